//! Files and folders that are there whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
    thread,
};

use crate::{Error, Result};

/// Writes a file under another name and renames it when it is whole: a reader sees what was there before or all of it.
///
/// # Errors
/// [`Error::File`] where that fails; then nothing is left behind, and what was there stays.
pub fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let part = with_suffix(path, &format!(".{}.part", maker()));
    let written = || -> io::Result<()> {
        // What may lie there is of a run that was killed, or a link that somebody laid: it is not written through.
        fs::remove_file(&part).or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        let mut file = BufWriter::new(File::create_new(&part)?);
        write(&mut file)?;
        file.flush()?;
        drop(file);
        fs::rename(&part, path)
    }();
    written.map_err(|source| {
        // What was written so far is of no use; that it cannot be removed either adds nothing to the first error.
        let _ = fs::remove_file(&part);
        Error::file("write", path)(source)
    })
}

/// Makes the folder `path`, and those above it: `fill` is given one beside it, which is renamed when all is there.
///
/// # Errors
/// [`Error::File`] where that fails, and `fill`'s own; then nothing is left behind.
pub(crate) fn folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let fresh = path.with_file_name(format!(".{}-{}", path.file_name().unwrap_or_default().to_string_lossy(), maker()));
    let filled = fs::create_dir_all(&fresh)
        .map_err(Error::file("create", path))
        .and_then(|()| fill(&fresh))
        .and_then(|()| fs::rename(&fresh, path).map_err(Error::file("write", path)));
    if filled.is_err() {
        // What is left half-made is of no use; that it cannot be removed adds nothing to the first error.
        let _ = fs::remove_dir_all(&fresh);
    }
    filled
}

/// Who makes it: no two at a time have the same name.
pub(crate) fn maker() -> String {
    format!("{}-{:?}", std::process::id(), thread::current().id())
}

/// A path whose file name goes on with `suffix`.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_filled_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("above/folder");
        let half = |folder: &Path| fs::write(folder.join("half"), "").map_err(Error::file("write", folder)).and(Err(Error::Worker));
        assert!(matches!(folder(&path, half), Err(Error::Worker)));
        assert_eq!(fs::read_dir(dir.path().join("above")).unwrap().count(), 0);
        folder(&path, |folder| fs::write(folder.join("all"), "").map_err(Error::file("write", folder))).unwrap();
        assert!(path.join("all").exists() && fs::read_dir(dir.path().join("above")).unwrap().count() == 1);
        let file = path.join("all");
        let below = folder(&file.join("folder"), |_| Ok(())).unwrap_err().to_string();
        assert!(below.contains("cannot create") && below.contains("all/folder"), "{below}");
    }

    #[test]
    fn what_cannot_be_written_whole_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace(&path, |file| file.write_all(b"first")).unwrap();
        let broken = replace(&path, |file| file.write_all(b"half").and(Err(io::Error::other("no more"))));
        assert!(broken.unwrap_err().to_string().contains("cannot write"));
        assert_eq!((fs::read(&path).unwrap(), fs::read_dir(dir.path()).unwrap().count()), (b"first".to_vec(), 1));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_lies_where_it_is_made_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (dir.path().join("file"), dir.path().join("elsewhere"));
        fs::write(&elsewhere, "not ours").unwrap();
        std::os::unix::fs::symlink(&elsewhere, with_suffix(&path, &format!(".{}.part", maker()))).unwrap();
        replace(&path, |file| file.write_all(b"ours")).unwrap();
        assert_eq!([path, elsewhere].map(|file| fs::read_to_string(file).unwrap()), ["ours", "not ours"]);
    }
}
