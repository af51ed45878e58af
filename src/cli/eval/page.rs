//! Where the report goes.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

/// The report's file.
#[derive(Args)]
pub(super) struct Page {
    /// A page with charts and the worst mistakes, whole in one file
    #[arg(long = "report", value_name = "FILE.html", conflicts_with = "id_scores")]
    path: Option<PathBuf>,
}

impl Page {
    /// Whether one could be written: said before hours of work.
    pub(super) fn check(&self) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if path.is_dir() || path.file_name().is_none() {
            bail!("--report {} is a folder; name a file", path.display());
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        match folder {
            Some(folder) if !folder.is_dir() => bail!("there is no folder {} for the report; make it first", folder.display()),
            _ => Ok(()),
        }
    }

    /// Writes it beside and renames it, so that there is all of it or what was there before; makes none where none is asked for.
    pub(super) fn write(&self, make: impl FnOnce() -> uniood::Result<String>) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = make()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = path.with_file_name(format!(".{name}-{}", std::process::id()));
        let written = fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, path));
        if written.is_err() {
            // Half a page is of no use; that it cannot be removed changes nothing for the user.
            let _ = fs::remove_file(&fresh);
        }
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}
