//! The way of a frame on worker threads: detect, pair, encode, verdict; every channel bounded.
//!
//! A [`Job`] goes in with [`Engine::submit`], a [`Ticket`] comes back at once: the receiving end of that
//! frame's own one-shot reply. Workers finish in any order; whoever keeps tickets in a queue has order.
//! This module alone names ONNX Runtime.

mod device;
mod runtime;
mod session;

use std::{path::PathBuf, sync::Arc, time::Duration};

use crossbeam_channel::Receiver;

use crate::{
    Result,
    detect::{Detection, Selection},
    frame::FrameSource,
    models::ModelSet,
    verdict::{Object, Verdict},
    vocabulary::Vocabulary,
};

pub use runtime::{LIBRARY_VARIABLE, Runtime};
pub use session::{Element, Input, Outputs, Port, Session};

/// What an engine is made of; fixed for its life.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The model set.
    pub models: ModelSet,
    /// Where boxes come from.
    pub detector: DetectorChoice,
    /// Where the models run.
    pub device: Device,
    /// Objects in an encode batch, at least 1.
    pub batch_size: usize,
    /// How long an open batch waits for more; `None`: until it is full or [`Engine::flush`].
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
    /// An ONNX file with the set's layout, or `yolox`.
    File(PathBuf),
    /// Boxes come with every job ([`Boxes::Given`]).
    Upstream,
    /// The whole frame is the object.
    Frame,
}

/// Where the models run; parsed from `auto`, `cpu`, `cuda[:n]`, `tensorrt[:n]`, `openvino[:name]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Device {
    /// The best that is there; what was taken is in [`Engine::device`].
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// CUDA device `n`.
    Cuda(u32),
    /// TensorRT on CUDA device `n`.
    TensorRt(u32),
    /// OpenVINO on the named device (`CPU` where none is named).
    OpenVino(String),
}

/// Everything that may change between two frames, never within one.
#[derive(Debug, Clone)]
pub struct FrameSettings {
    /// The ID classes with their texts.
    pub vocabulary: Arc<Vocabulary>,
    /// δ.
    pub threshold: f32,
    /// What counts as an object.
    pub selection: Selection,
    /// Verdict per object, per frame, or both.
    pub scope: Scope,
    /// Keep Ω and the plain cosines of every class in the verdicts.
    pub keep_scores: bool,
}

/// What gets a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Every object.
    #[default]
    Object,
    /// The frame: the most confident detection as its sole object, without context.
    Image,
    /// Both.
    Both,
}

/// Where one job's boxes come from.
#[derive(Debug, Clone)]
pub enum Boxes {
    /// The engine's detector (for [`DetectorChoice::Frame`]: the whole frame).
    Detect,
    /// These, in this order; [`Selection`] does not apply to them but for `max_objects`.
    Given(Vec<Detection>),
}

/// One frame to be answered.
pub struct Job {
    /// The pixels; dropped before the answer is sent, so that its buffer is writable again.
    pub frame: Arc<dyn FrameSource>,
    /// Where its boxes come from.
    pub boxes: Boxes,
    /// The settings it is answered with, whole.
    pub settings: Arc<FrameSettings>,
}

/// What is known of one frame.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Objects, the most confident first (given boxes: in their order).
    pub objects: Vec<Object>,
    /// The frame's own verdict where the scope includes it.
    pub image: Option<Verdict>,
    /// Where the time went.
    pub timings: Timings,
    /// Why the frame went on unscored.
    pub error: Option<String>,
}

/// Time spent on one frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Timings {
    /// Detector with its pre- and post-processing; its share of the batch.
    pub detect: Duration,
    /// Pixels of the pairs and the dual encoder; its share of the batches.
    pub encode: Duration,
    /// From submit to answer, queues included.
    pub total: Duration,
}

/// One per model set, device and detector; shared by every stream that uses it. Dropping it ends its threads.
pub struct Engine {
    _private: (),
}

/// The receiving end of one frame's reply.
pub struct Ticket {
    reply: Receiver<Answer>,
}

/// A wait was given up because the caller's abort channel closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted;

/// Never sent on: a wait selects on it and ends when every sender is dropped (a flush, a shutdown).
pub type Abort = Receiver<std::convert::Infallible>;

impl Engine {
    /// Loads the models, builds the graphs, starts the worker threads and waits until each has its session.
    ///
    /// # Errors
    /// Whatever a model set, a device or ONNX Runtime can be wrong in.
    pub fn open(_config: &EngineConfig) -> Result<Self> {
        todo!("engine")
    }

    /// The texts of a class list under the set's templates; runs the text tower (some 10 ms a class).
    ///
    /// # Errors
    /// [`crate::Error::Classes`] for an unusable list or an over-long name.
    pub fn vocabulary<S: AsRef<str>>(&self, _classes: &[S]) -> Result<Arc<Vocabulary>> {
        todo!("engine")
    }

    /// The model set.
    #[must_use]
    pub fn models(&self) -> &ModelSet {
        todo!("engine")
    }

    /// The device that was taken, in words: `cpu (2 threads)`.
    #[must_use]
    pub fn device(&self) -> &str {
        todo!("engine")
    }

    /// Queues a frame; waits while the queue is full.
    ///
    /// # Errors
    /// [`Aborted`] when `abort` closed before there was room.
    pub fn submit(&self, _job: Job, _abort: &Abort) -> std::result::Result<Ticket, Aborted> {
        todo!("engine")
    }

    /// Queues a frame if there is room now; else hands the job back (`overload=bypass`).
    ///
    /// # Errors
    /// The job itself when the queue is full.
    pub fn try_submit(&self, _job: Job) -> std::result::Result<Ticket, Job> {
        todo!("engine")
    }

    /// Closes the open batch behind everything submitted so far: call it before waiting for the last tickets.
    pub fn flush(&self) {
        todo!("engine")
    }
}

impl Ticket {
    /// To select on, beside an abort channel. Disconnected without a message: the worker died ([`crate::Error::Worker`]).
    #[must_use]
    pub const fn receiver(&self) -> &Receiver<Answer> {
        &self.reply
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// [`crate::Error::Worker`] when the worker died.
    pub fn wait(self) -> Result<Answer> {
        self.reply.recv().map_err(|_| crate::Error::Worker)
    }
}
