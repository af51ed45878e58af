//! What a session's runs are told, and how they are ended from another thread.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions};

/// Options of all runs of a session, or of several that are ended together.
#[derive(Clone)]
pub(super) struct Options(Arc<Shared>);

struct Shared {
    all: RunOptions,
    ended: AtomicBool,
}

impl Options {
    pub(super) fn new() -> ort::Result<Self> {
        Ok(Self(Arc::new(Shared { all: RunOptions::new()?, ended: AtomicBool::new(false) })))
    }

    /// For a run that gives all outputs.
    pub(super) fn all(&self) -> &RunOptions {
        &self.0.all
    }

    /// For a run that gives these outputs alone. Another thread cannot have these options, so that such a run is ended before it
    /// begins or not at all: shutdown waits for one run at most.
    pub(super) fn some(&self, wanted: &[String]) -> ort::Result<RunOptions<HasSelectedOutputs>> {
        let selector = wanted.iter().fold(OutputSelector::no_default(), |selector, name| selector.with(name.as_str()));
        let options = RunOptions::new()?.with_outputs(selector);
        if self.0.ended.load(Ordering::Acquire) {
            options.terminate()?;
        }
        Ok(options)
    }
}

/// Ends the runs of a session from another thread: the one under way, which fails soon, and every one after it.
pub(super) struct Terminator(pub(super) Options);

impl Terminator {
    pub(super) fn terminate(&self) {
        self.0.0.ended.store(true, Ordering::Release);
        if let Err(error) = self.0.0.all.terminate() {
            // The run then goes on to its end, which only takes longer.
            tracing::debug!(%error, "terminate");
        }
    }
}
