//! Files that are there whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    thread,
};

use crate::{Error, Result};

/// Writes a file under another name and renames it when it is whole: a reader sees what was there before or all of it.
///
/// # Errors
/// [`Error::File`] where that fails; then nothing is left behind, and what was there stays.
pub fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let part = with_suffix(path, &format!(".{}-{:?}.part", std::process::id(), thread::current().id()));
    let written = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(&part)?);
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
    fn what_cannot_be_written_whole_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace(&path, |file| file.write_all(b"first")).unwrap();
        let broken = replace(&path, |file| file.write_all(b"half").and(Err(io::Error::other("no more"))));
        assert!(broken.unwrap_err().to_string().contains("cannot write"));
        assert_eq!((fs::read(&path).unwrap(), fs::read_dir(dir.path()).unwrap().count()), (b"first".to_vec(), 1));
    }
}
