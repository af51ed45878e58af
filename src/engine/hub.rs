//! Where the stages meet: what waits for each of them, in one place behind one lock.
//!
//! ```text
//! streams ─ frames, in turn ─▶ detect ─ objects, in turn ─▶ batch ─ one batch ─▶ encode
//! ```
//!
//! A stream whose objects fill a batch has no further frame taken from it until they are fewer, so what waits is
//! bounded for each stream, and no stage ever waits for room that another stream's work takes up. (A stream's frames
//! are bounded by whoever puts them in.)
//!
//! One thread a stage, or several that encode. The lock is never held while anything of a frame is dropped.

use std::time::Instant;

use super::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    turns::{StreamKey, Turns},
};

/// What waits for each stage: frames `F`, objects `O`, one batch `B`.
pub(crate) struct Hub<F, O, B> {
    /// Objects of a stream from which on no frame of it is taken.
    crowd: usize,
    state: Mutex<State<F, O, B>>,
    /// The detect stage may have something to do.
    detect: Condvar,
    /// The batch stage may.
    batch: Condvar,
    /// The encode stage may.
    encode: Condvar,
}

struct State<F, O, B> {
    stage: Stage,
    frames: Turns<F>,
    objects: Turns<O>,
    ready: Option<B>,
    /// Encoders that have nothing to do.
    idle: usize,
}

/// How far the end has come: each stage ends behind the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Frames come in.
    Open,
    /// No more frames come in.
    Closed,
    /// No more objects.
    Detected,
    /// No more batches.
    Batched,
    /// A stage broke: nothing is answered any more.
    Broken,
}

/// When an open batch closes that is not full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// There is none.
    Never,
    /// Then, or as soon as nothing else could be put into it.
    At(Instant),
    /// As soon as nothing else could be put into it.
    WhenOthersWait,
}

/// What the batch stage does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<O> {
    /// Puts this into the batch.
    Object(StreamKey, O),
    /// Closes the batch.
    Close,
}

impl<F, O, B> Hub<F, O, B> {
    pub(crate) fn new(crowd: usize) -> Self {
        let state = State { stage: Stage::Open, frames: Turns::default(), objects: Turns::default(), ready: None, idle: 0 };
        Self { crowd: crowd.max(1), state: Mutex::new(state), detect: Condvar::new(), batch: Condvar::new(), encode: Condvar::new() }
    }

    /// Queues a frame, or drops it where a stage broke.
    pub(crate) fn put_frame(&self, key: StreamKey, frame: F) {
        let mut state = self.lock();
        if state.stage == Stage::Open {
            state.frames.push(key, frame);
            self.detect.notify_one();
        }
    }

    /// Queues a mark behind the stream's frames, unless its last is one already.
    pub(crate) fn put_mark(&self, key: StreamKey, mark: F, is_mark: impl FnOnce(&F) -> bool) {
        let mut state = self.lock();
        if state.stage == Stage::Open && !state.frames.last_is(key, is_mark) {
            state.frames.push(key, mark);
            self.detect.notify_one();
        }
    }

    /// Drops what waits of a stream and is not wanted.
    pub(crate) fn prune(&self, key: StreamKey, frame: impl Fn(&F) -> bool, object: impl Fn(&O) -> bool) {
        let mut state = self.lock();
        let unwanted = (state.frames.prune(key, frame), state.objects.prune(key, object));
        self.detect.notify_one();
        drop(state);
        drop(unwanted);
    }

    /// The next frames in turn, `most` of them where as many wait; waits for the first. `None` at the end.
    pub(crate) fn take_frames(&self, most: usize) -> Option<Vec<(StreamKey, F)>> {
        let mut guard = self.lock();
        loop {
            let state = &mut *guard;
            if state.stage == Stage::Broken {
                return None;
            }
            let mut taken = Vec::new();
            while taken.len() < most.max(1) {
                let objects = &state.objects;
                let Some(next) = state.frames.take(|key, _| objects.len(key) < self.crowd) else { break };
                taken.push(next);
            }
            if !taken.is_empty() {
                return Some(taken);
            }
            if state.stage >= Stage::Closed && state.frames.is_empty() {
                return None;
            }
            guard = self.detect.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Queues objects of a stream.
    pub(crate) fn put_objects(&self, key: StreamKey, objects: impl IntoIterator<Item = O>) {
        let mut state = self.lock();
        if state.stage < Stage::Detected {
            for object in objects {
                state.objects.push(key, object);
            }
            self.batch.notify_one();
        }
    }

    /// The detect stage is done.
    pub(crate) fn detect_ended(&self) {
        self.advance(Stage::Detected);
    }

    /// What to do with the open batch: the next object in turn that `fits`, or close it, which it is told to only when
    /// an encoder has nothing to do: until then there is no gain in closing a batch that is not full.
    /// `None` at the end.
    pub(crate) fn next_object(&self, fits: impl Fn(&O) -> bool, due: Due) -> Option<Next<O>> {
        let mut guard = self.lock();
        loop {
            let state = &mut *guard;
            if state.stage == Stage::Broken {
                return None;
            }
            if let Some((key, object)) = state.objects.take(|_, object| fits(object)) {
                if state.objects.len(key) < self.crowd {
                    self.detect.notify_one();
                }
                return Some(Next::Object(key, object));
            }
            if state.objects.is_empty() && state.stage >= Stage::Detected {
                return None;
            }
            let encoder_is_idle = state.idle > 0 && state.ready.is_none();
            let left = match due {
                Due::At(_) | Due::WhenOthersWait if encoder_is_idle && !state.objects.is_empty() => return Some(Next::Close),
                Due::At(at) if encoder_is_idle => match at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                    None => return Some(Next::Close),
                    left => left,
                },
                Due::Never | Due::At(_) | Due::WhenOthersWait => None,
            };
            guard = match left {
                None => self.batch.wait(guard).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.batch.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Hands a batch to the encode stage; waits while the one before it is not yet taken. `false` where a stage broke.
    pub(crate) fn put_batch(&self, batch: B) -> bool {
        let mut state = self.lock();
        while state.ready.is_some() && state.stage != Stage::Broken {
            state = self.batch.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stage == Stage::Broken {
            return false;
        }
        state.ready = Some(batch);
        self.encode.notify_one();
        true
    }

    /// The batch stage is done.
    pub(crate) fn batch_ended(&self) {
        self.advance(Stage::Batched);
    }

    /// The next batch; waits for it. `None` at the end.
    pub(crate) fn take_batch(&self) -> Option<B> {
        let mut state = self.lock();
        state.idle += 1;
        self.batch.notify_one();
        while state.ready.is_none() && state.stage < Stage::Batched {
            state = self.encode.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle -= 1;
        let batch = state.ready.take();
        self.batch.notify_one();
        batch
    }

    /// No more frames come in; the stages end when what waits is done.
    pub(crate) fn close(&self) {
        self.advance(Stage::Closed);
    }

    /// A stage broke: drops what waits, so that whoever waits for an answer learns of it, and ends the others.
    pub(crate) fn fail(&self) {
        let mut state = self.lock();
        state.stage = Stage::Broken;
        let left = (std::mem::take(&mut state.frames), std::mem::take(&mut state.objects), state.ready.take());
        self.wake_all();
        drop(state);
        drop(left);
    }

    /// Whether a stage broke.
    pub(crate) fn is_broken(&self) -> bool {
        self.lock().stage == Stage::Broken
    }

    fn advance(&self, stage: Stage) {
        let mut state = self.lock();
        state.stage = state.stage.max(stage);
        self.wake_all();
    }

    fn wake_all(&self) {
        for stage in [&self.detect, &self.batch, &self.encode] {
            stage.notify_all();
        }
    }

    /// A panic while the lock was held leaves queues that are still whole.
    fn lock(&self) -> MutexGuard<'_, State<F, O, B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
