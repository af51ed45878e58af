//! Whole files only: each is written under another name and takes its own when it is complete.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

/// A file on its way: removed again unless it is finished.
pub(crate) struct Draft {
    file: NamedTempFile,
    path: PathBuf,
}

impl Draft {
    /// Begins a file in the folder where it will be.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // Files here are for others to read, as any file that a program writes.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.prefix(".street-world-").tempfile_in(folder).with_context(|| refused(path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Its name until it is finished.
    #[cfg(feature = "video")]
    pub(crate) fn working_path(&self) -> &Path {
        self.file.path()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).with_context(|| refused(&self.path))
    }

    /// Gives it its name.
    pub(crate) fn finish(self) -> Result<()> {
        let told = || refused(&self.path);
        self.file.as_file().sync_data().with_context(told)?;
        self.file.persist(&self.path).map_err(|error| error.error).with_context(told)?;
        Ok(())
    }
}

/// Writes a file that is there as a whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = Draft::create(path)?;
    draft.write(bytes)?;
    draft.finish()
}

/// Makes a folder and those above it.
pub(crate) fn folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create the folder {}", path.display()))
}

fn refused(path: &Path) -> String {
    format!("cannot write {}", path.display())
}
