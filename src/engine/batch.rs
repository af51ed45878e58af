//! The batch stage: objects of many frames, of streams in turn, into one batch of pixels, closed when full; or, once the
//! encode stage has nothing to do, when late, flushed, holding an object that hurries, or in the way of objects of another class list.
//!
//! It writes the pixels of the next batch while the encode stage runs the last one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    EngineHub,
    detect::ToBatch,
    hub::{Due, Next},
    task::ObjectTask,
};
use crate::{
    pair::{PairSpec, write_pair},
    vocabulary::Vocabulary,
};

/// Rows of a batch whose pixels are written. `ObjectPair*`.
pub(super) struct Batch {
    /// Who gets the scores, row by row.
    pub(super) rows: Vec<ObjectTask>,
    /// `[O, S, S, 3]`.
    pub(super) target: Vec<u8>,
    /// `[O, S, S, 3]`.
    pub(super) background: Vec<u8>,
    /// `[O]`, 1 with other objects in the frame.
    pub(super) has_context: Vec<f32>,
    /// The texts all rows are scored against.
    pub(super) vocabulary: Arc<Vocabulary>,
    /// Time spent on its pixels.
    pub(super) pixels: Duration,
}

/// When a batch closes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closing {
    /// Rows of a full batch, at least 1.
    pub(super) size: usize,
    /// After its first row; `None`: when full or flushed.
    pub(super) timeout: Option<Duration>,
}

/// Runs until the detect stage is done or another is gone.
pub(super) fn run(spec: &PairSpec, closing: Closing, hub: &EngineHub) {
    let mut open: Option<Open> = None;
    while let Some(next) = hub.next_object(|next| open.as_ref().is_none_or(|open| open.takes(next)), Open::due(open.as_ref())) {
        match next {
            Next::Object(_, ToBatch::Object(object)) => {
                let open = open.get_or_insert_with(|| Open::new(&object, spec, closing.size));
                open.push(object, spec, closing.timeout);
            }
            Next::Object(stream, ToBatch::Flush) => {
                if let Some(open) = open.as_mut().filter(|open| open.batch.rows.iter().any(|row| row.frame.stream() == stream)) {
                    open.due_at(Instant::now());
                }
            }
            Next::Close => {
                if let Some(open) = open.take()
                    && !hub.put_batch(open.batch)
                {
                    return;
                }
            }
        }
        if let Some(full) = open.take_if(|open| open.batch.rows.len() >= closing.size)
            && !hub.put_batch(full.batch)
        {
            return;
        }
    }
    if let Some(open) = open {
        hub.put_batch(open.batch);
    }
    hub.batch_ended();
}

/// The batch that is being filled.
struct Open {
    batch: Batch,
    since: Instant,
    due: Option<Instant>,
}

impl Open {
    fn new(first: &ObjectTask, spec: &PairSpec, size: usize) -> Self {
        let bytes = size * spec.bytes();
        let batch = Batch {
            rows: Vec::with_capacity(size),
            target: Vec::with_capacity(bytes),
            background: Vec::with_capacity(bytes),
            has_context: Vec::with_capacity(size),
            vocabulary: Arc::clone(&first.frame.settings().vocabulary),
            pixels: Duration::ZERO,
        };
        Self { batch, since: Instant::now(), due: None }
    }

    fn takes(&self, next: &ToBatch) -> bool {
        match next {
            ToBatch::Object(object) => {
                self.batch.rows.is_empty() || Arc::ptr_eq(&self.batch.vocabulary, &object.frame.settings().vocabulary)
            }
            ToBatch::Flush => true,
        }
    }

    /// When the batch closes that is not full.
    fn due(open: Option<&Self>) -> Due {
        match open {
            Some(open) if !open.batch.rows.is_empty() => open.due.map_or(Due::WhenOthersWait, Due::At),
            _ => Due::Never,
        }
    }

    fn due_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn push(&mut self, object: ObjectTask, spec: &PairSpec, timeout: Option<Duration>) {
        if self.batch.rows.is_empty() {
            self.since = Instant::now();
            self.due = None;
            self.batch.vocabulary = Arc::clone(&object.frame.settings().vocabulary);
        }
        if object.frame.hurries() {
            self.due_at(self.since);
        }
        if let Some(late) = timeout.and_then(|timeout| self.since.checked_add(timeout)) {
            self.due_at(late);
        }
        self.batch.push(object, spec);
    }
}

impl Batch {
    /// Writes an object's pair behind the others; one whose frame nobody waits for is left out.
    fn push(&mut self, object: ObjectTask, spec: &PairSpec) {
        if object.frame.is_cancelled() {
            return;
        }
        let started = Instant::now();
        let at = self.target.len();
        self.target.resize(at + spec.bytes(), 0);
        self.background.resize(at + spec.bytes(), 0);
        let (target, background) = (&mut self.target[at..], &mut self.background[at..]);
        let written = object.frame.with_pixels(spec, |frame, base| write_pair(frame, base, object.rect, spec, target, background));
        let spent = started.elapsed();
        match written {
            Ok(()) => {
                self.has_context.push(f32::from(u8::from(object.has_context)));
                self.rows.push(object);
                self.pixels += spent;
            }
            Err(error) => {
                self.target.truncate(at);
                self.background.truncate(at);
                object.frame.failed(object.slot, &error, started, spent);
            }
        }
    }
}
