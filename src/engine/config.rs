//! What an engine is made of.

use std::{path::PathBuf, time::Duration};

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
    /// Threads of the encode session; `None`: one a core.
    pub threads: Option<usize>,
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
