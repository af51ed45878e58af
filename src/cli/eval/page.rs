//! Where the report goes.

use std::{io::Write, path::PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use uniood::whole::replace;

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

    /// Writes it, whole or not at all; makes none where none is asked for.
    pub(super) fn write(&self, make: impl FnOnce() -> uniood::Result<String>) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = make()?;
        Ok(replace(path, |file| file.write_all(text.as_bytes()))?)
    }
}
