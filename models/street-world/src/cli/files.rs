//! Whole files only: each is written under another name and takes its own when it is complete.

use std::{io::Write, path::Path};

use anyhow::{Context, Result};

/// Writes a file that is there as a whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let told = || format!("cannot write {}", path.display());
    let mut file = tempfile::Builder::new().prefix(".street-world-").tempfile_in(folder).with_context(told)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_data()).with_context(told)?;
    file.persist(path).map_err(|error| error.error).with_context(told)?;
    Ok(())
}
