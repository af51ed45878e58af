//! What goes into an engine and what comes out, frame by frame.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::Receiver;

use crate::{
    Error, Result,
    detect::{Detection, Selection},
    frame::FrameSource,
    pair::Background,
    track::Follow,
    verdict::{Calibration, Object, Verdict},
    vocabulary::Vocabulary,
};

/// Everything that may change between two frames, never within one.
#[derive(Debug, Clone)]
pub struct FrameSettings {
    /// The ID classes with their texts.
    pub vocabulary: Arc<Vocabulary>,
    /// δ.
    pub threshold: f32,
    /// From which verdicts get their percentile.
    pub calibration: Option<Arc<Calibration>>,
    /// What counts as an object.
    pub selection: Selection,
    /// Verdict per object, per frame, or both.
    pub scope: Scope,
    /// Keep Ω and the plain cosines of every class in the verdicts.
    pub keep_scores: bool,
    /// What is left out for speed.
    pub approximation: Approximation,
}

/// What is computed otherwise than the method says, for less work; nothing unless asked for. The graphs it takes are loaded when
/// the first frame asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Approximation {
    /// How the backgrounds of a frame's objects are encoded.
    pub background: Background,
    /// Only so many classes of each object, those of the largest plain cosines, are scored; `None`: all.
    pub shortlist: Option<NonZero<usize>>,
}

impl Approximation {
    /// What is left of it for a list of so many classes; nothing for plain CLIP, which looks at no background and does nothing for
    /// a class but one product.
    #[must_use]
    pub fn on(self, classes: usize, has_combiner: bool) -> Self {
        if !has_combiner {
            return Self::default();
        }
        Self { shortlist: self.shortlist.filter(|count| count.get() < classes), ..self }
    }
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
    /// The engine's detector (for [`super::DetectorChoice::Frame`]: the whole frame).
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
    /// How its objects are followed; `None`: every frame on its own. Whoever takes the answer then calls [`crate::track::Tracks::resolve`].
    pub tracks: Option<Follow>,
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
    /// Objects of it that were sent through the encoder, the frame itself included where the scope asks for its verdict.
    pub encoded: usize,
    /// Tracks that ended with this frame.
    pub ended: Vec<u64>,
    /// Why the frame went on unscored.
    pub error: Option<String>,
}

/// Time spent on one frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Timings {
    /// Waiting: for the detect stage, then for the last batch with one of its objects to be run.
    pub queue: Duration,
    /// Detector with its pre- and post-processing; its share of the batch.
    pub detect: Duration,
    /// Pixels of the pairs and the dual encoder; its share of the batches.
    pub encode: Duration,
    /// From submit to answer, queues included.
    pub total: Duration,
}

/// The receiving end of one frame's reply.
pub struct Ticket {
    reply: Receiver<Answer>,
    cancelled: Arc<AtomicBool>,
    waiting: Arc<AtomicUsize>,
}

/// A wait was given up because the caller's abort channel closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted;

/// Never sent on: a wait selects on it and ends when every sender is dropped (a flush, a shutdown).
pub type Abort = Receiver<std::convert::Infallible>;

impl Ticket {
    /// A ticket that counts in `waiting` while it lives.
    pub(super) fn new(reply: Receiver<Answer>, waiting: &Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self { reply, cancelled: Arc::default(), waiting: Arc::clone(waiting) }
    }

    /// Set once nobody waits for the answer any more.
    pub(super) fn cancelled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancelled)
    }

    /// To select on, beside an abort channel. Disconnected without a message: the worker died ([`Error::Worker`]).
    #[must_use]
    pub const fn receiver(&self) -> &Receiver<Answer> {
        &self.reply
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// [`Error::Worker`] when the worker died.
    pub fn wait(self) -> Result<Answer> {
        self.reply.recv().map_err(|_| Error::Worker)
    }
}

impl Drop for Ticket {
    /// Work for an answer that nobody waits for is left undone.
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
