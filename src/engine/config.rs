//! What an engine is made of.

use std::{num::NonZero, path::PathBuf, thread, time::Duration};

use super::{Device, Precision};
use crate::models::ModelSet;

/// What an engine is made of; fixed for its life.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The model set.
    pub models: ModelSet,
    /// Where boxes come from.
    pub detector: DetectorChoice,
    /// Where the models run.
    pub device: Device,
    /// What the encoder computes in.
    pub precision: Precision,
    /// Objects in an encode batch, at least 1.
    pub batch_size: usize,
    /// How long an open batch waits for more, for [`super::Scheduling::Throughput`]; `None`: until it is full or [`super::Stream::flush`].
    pub batch_timeout: Option<Duration>,
    /// Where built graphs are kept; `None`: the user's cache.
    pub cache_dir: Option<PathBuf>,
    /// Threads of the models on a processor; `None`: one a core for each of them.
    pub threads: Option<Threads>,
}

/// Threads of the models on a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Threads {
    /// Of the encoder; `None`: one a core.
    pub encoder: Option<NonZero<usize>>,
    /// Sessions that encode at the same time, a batch each, and share the encoder's threads; `None`: one. Weights are in memory once for each.
    pub encoder_sessions: Option<NonZero<usize>>,
    /// Of the detector; `None`: one a core.
    pub detector: Option<NonZero<usize>>,
}

impl Threads {
    /// So many for each; 0: one a core.
    #[must_use]
    pub const fn each(number: usize) -> Self {
        Self { encoder: NonZero::new(number), encoder_sessions: None, detector: NonZero::new(number) }
    }
}

impl EngineConfig {
    /// On the processor, with a thread a core; batches of 16 objects close when they are full.
    #[must_use]
    pub const fn on_processor(models: ModelSet, detector: DetectorChoice) -> Self {
        Self {
            models,
            detector,
            device: Device::Cpu,
            precision: Precision::Auto,
            batch_size: 16,
            batch_timeout: None,
            cache_dir: None,
            threads: None,
        }
    }

    /// Threads of the encoder, as [`super::Session`] takes them.
    pub(super) fn encoder_threads(&self) -> Option<usize> {
        self.threads?.encoder.map(NonZero::get)
    }

    /// Sessions that encode at the same time.
    #[must_use]
    pub fn encoder_sessions(&self) -> usize {
        self.threads.and_then(|threads| threads.encoder_sessions).map_or(1, NonZero::get)
    }

    /// Threads of each of them.
    pub(super) fn session_threads(&self) -> Option<usize> {
        match self.encoder_sessions() {
            1 => self.encoder_threads(),
            sessions => {
                let cores = || thread::available_parallelism().map_or(1, NonZero::get);
                Some((self.encoder_threads().unwrap_or_else(cores) / sessions).max(1))
            }
        }
    }

    /// Threads of the detector.
    pub(super) fn detector_threads(&self) -> Option<usize> {
        self.threads?.detector.map(NonZero::get)
    }
}

/// Where boxes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetectorChoice {
    /// The model set's own detector.
    Set,
    /// An ONNX file whose layout is told from its ports (80 classes are taken for COCO's), or an OWLv2 folder.
    File(PathBuf),
    /// Boxes come with every job ([`super::Boxes::Given`]).
    Upstream,
    /// The whole frame is the object.
    Frame,
}
