//! `street-world sheet`: every class at a glance.

use std::path::PathBuf;

use anyhow::Result;

use crate::files;

/// Draw every class with a few of its looks into one PNG
#[derive(clap::Args)]
pub(crate) struct Sheet {
    /// Where to write it
    #[arg(long, default_value = "street-world-classes.png")]
    out: PathBuf,
    /// Other individuals of the same classes
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Sheet {
    pub(crate) fn run(&self) -> Result<()> {
        files::write(&self.out, &street_world::sheet::contact_sheet(self.seed).png())
    }
}
