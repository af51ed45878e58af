//! One frame on its way: what is still missing from its answer, and who gets it.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;

use super::{Answer, FrameSettings, tower::FrameEncoding, turns::StreamKey};
use crate::{
    Result,
    frame::{Frame, FrameSource},
    geometry::Rect,
    pair::{Base, PairSpec},
    score::ClassScores,
    track::Follow,
    verdict::{Object, Reason, Verdict, judge},
};

/// A frame whose objects are being scored. The last object to come back answers it.
///
/// Lock order: `pixels` and `open` are never held together, nor across a model run.
pub(super) struct FrameTask {
    settings: Arc<FrameSettings>,
    pixels: Mutex<Option<Arc<dyn FrameSource>>>,
    base: OnceLock<Result<Base, String>>,
    /// What its objects share with `background=shared`, behind the first batch with one of them.
    encoding: OnceLock<FrameEncoding>,
    missing: AtomicUsize,
    open: Mutex<Open>,
    cancelled: Arc<AtomicBool>,
    submitted: Instant,
    stream: StreamKey,
    hurries: bool,
    /// When its objects were known.
    detected: Instant,
}

/// The answer as far as it is known.
struct Open {
    answer: Answer,
    reply: Option<Sender<Answer>>,
    /// The longest that one of its objects waited for its batch to be run.
    waited: Duration,
}

/// Where an object's score goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// `answer.objects[index]`.
    Object(usize),
    /// `answer.image`.
    Image,
}

/// One object to be encoded: a row of a batch. `Detection ─▶ ObjectPair`.
pub(super) struct ObjectTask {
    pub(super) frame: Arc<FrameTask>,
    pub(super) slot: Slot,
    pub(super) rect: Rect,
    /// Whether the frame holds other objects (method.md step 4).
    pub(super) has_context: bool,
}

/// What a frame task starts from.
pub(super) struct Submitted {
    pub(super) frame: Arc<dyn FrameSource>,
    pub(super) settings: Arc<FrameSettings>,
    pub(super) tracks: Option<Follow>,
    pub(super) reply: Sender<Answer>,
    pub(super) cancelled: Arc<AtomicBool>,
    pub(super) at: Instant,
    pub(super) stream: StreamKey,
    /// Its objects wait for an idle encoder alone.
    pub(super) hurries: bool,
}

impl Submitted {
    /// Whether nobody waits for the answer any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl FrameTask {
    /// Takes over a submitted frame; `missing` scores are awaited.
    pub(super) fn new(submitted: Submitted, answer: Answer, missing: usize) -> Arc<Self> {
        Arc::new(Self {
            settings: submitted.settings,
            pixels: Mutex::new(Some(submitted.frame)),
            base: OnceLock::new(),
            encoding: OnceLock::new(),
            missing: AtomicUsize::new(missing),
            open: Mutex::new(Open { answer, reply: Some(submitted.reply), waited: Duration::ZERO }),
            cancelled: submitted.cancelled,
            submitted: submitted.at,
            stream: submitted.stream,
            hurries: submitted.hurries,
            detected: Instant::now(),
        })
    }

    pub(super) fn settings(&self) -> &FrameSettings {
        &self.settings
    }

    pub(super) const fn stream(&self) -> StreamKey {
        self.stream
    }

    /// Whether its objects wait for an idle encoder alone.
    pub(super) const fn hurries(&self) -> bool {
        self.hurries
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Runs `read` on the pixels and on the background's base, which is made once.
    pub(super) fn with_pixels<T>(&self, spec: &PairSpec, read: impl FnOnce(&Frame<'_>, &Base) -> Result<T>) -> Result<T, String> {
        let source = lock(&self.pixels).clone().ok_or("the frame was answered already")?;
        let frame = source.frame();
        let base = self.base.get_or_init(|| Base::new(&frame, spec).map_err(|error| error.to_string()));
        read(&frame, base.as_ref().map_err(Clone::clone)?).map_err(|error| error.to_string())
    }

    /// The frame as the tower takes it, `[S, S, 3]`; `None` before an object's pixels were written.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        self.base.get()?.as_ref().ok().map(Base::whole)
    }

    /// What its objects share, once it is [`encoded`](Self::encoded).
    pub(super) fn encoding(&self) -> Option<&FrameEncoding> {
        self.encoding.get()
    }

    /// Keeps what its objects share for as long as one of them waits.
    pub(super) fn encoded(&self, encoding: FrameEncoding) {
        // Two encoders may have objects of it at the same time; a second encoding is the same.
        let _ = self.encoding.set(encoding);
    }

    /// Notes one object's score, when its batch was begun, and the time spent on it; the last one sends the answer.
    pub(super) fn scored(&self, slot: Slot, scores: &ClassScores, begun: Instant, spent: Duration) {
        let settings = &self.settings;
        match judge(scores, &settings.vocabulary, settings.threshold, settings.calibration.as_deref(), settings.keep_scores) {
            Ok(scored) => self.note(slot, Verdict::Scored(scored), begun, spent, None),
            Err(error) => self.failed(slot, &error.to_string(), begun, spent),
        }
    }

    /// Notes that one object could not be scored.
    pub(super) fn failed(&self, slot: Slot, error: &str, begun: Instant, spent: Duration) {
        self.note(slot, Verdict::Unscored(Reason::Error), begun, spent, Some(error));
    }

    fn note(&self, slot: Slot, verdict: Verdict, begun: Instant, spent: Duration, error: Option<&str>) {
        let mut open = lock(&self.open);
        match slot {
            Slot::Object(index) => open.answer.objects[index].verdict = verdict,
            Slot::Image => open.answer.image = Some(verdict),
        }
        open.answer.timings.encode += spent;
        open.waited = open.waited.max(begun.saturating_duration_since(self.detected));
        if let Some(error) = error {
            open.answer.error.get_or_insert_with(|| error.to_owned());
        }
        drop(open);
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.send();
        }
    }

    /// Sends the answer; the pixels are let go first, so that their buffer is writable for who waits.
    pub(super) fn send(&self) {
        drop(lock(&self.pixels).take());
        let mut open = lock(&self.open);
        let mut answer = std::mem::take(&mut open.answer);
        answer.timings.queue += open.waited;
        answer.timings.total = self.submitted.elapsed();
        let reply = open.reply.take();
        drop(open);
        if let Some(reply) = reply {
            // Nobody listens after a flush; that is no error.
            let _ = reply.try_send(answer);
        }
    }
}

/// Objects waiting for their scores.
pub(super) fn waiting(rect: Rect, detection: crate::detect::Detection) -> Object {
    Object { rect, detection, verdict: Verdict::Unscored(Reason::Error), track: None }
}

/// A poisoned lock means that a worker panicked while it held it; what it guards is replaced whole, never half-written.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
