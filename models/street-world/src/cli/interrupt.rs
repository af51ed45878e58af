//! Ctrl-C: work stops between two frames, and what is unfinished is removed.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Someone pressed Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; unfinished files are removed")]
pub(crate) struct Interrupted;

pub(crate) fn listen() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).context("cannot listen for Ctrl-C")
}

/// An error once someone has pressed Ctrl-C.
pub(crate) fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
}
