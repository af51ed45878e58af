//! The batch stage: objects of many frames, of streams in turn, into one batch of pixels, closed when full; or, once the
//! encode stage has nothing to do, when late, flushed, holding an object that hurries, or in the way of objects of another class list.
//!
//! It writes the pixels of the next batch while the encode stage runs the last one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Approximation, EngineHub,
    detect::ToBatch,
    hub::{Due, Next},
    task::ObjectTask,
};
use crate::{
    pair::{Background, PairSpec, View, view, write_pair, write_target},
    vocabulary::Vocabulary,
};

/// Rows of a batch whose pixels are written. `ObjectPair*`.
pub(super) struct Batch {
    /// Who gets the scores, row by row.
    pub(super) rows: Vec<ObjectTask>,
    /// `[O, S, S, 3]`.
    pub(super) target: Vec<u8>,
    pub(super) background: Backgrounds,
    /// `[O]`, 1 with other objects in the frame.
    pub(super) has_context: Vec<f32>,
    /// The texts all rows are scored against.
    pub(super) vocabulary: Arc<Vocabulary>,
    /// What all rows leave out.
    pub(super) approximation: Approximation,
    /// Time spent on its pixels.
    pub(super) pixels: Duration,
}

/// Backgrounds of a batch's rows.
pub(super) enum Backgrounds {
    /// `[O, S, S, 3]`.
    Pixels(Vec<u8>),
    /// Each a part of its frame, `[O]`.
    Views(Vec<View>),
}

/// What pixels are written for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoded {
    pub(super) spec: PairSpec,
    /// g.
    pub(super) grid: usize,
    /// Whether there is one; else the set is plain CLIP.
    pub(super) has_combiner: bool,
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
pub(super) fn run(encoded: &Encoded, closing: Closing, hub: &EngineHub) {
    let mut open: Option<Open> = None;
    while let Some(next) = hub.next_object(|next| open.as_ref().is_none_or(|open| open.takes(next, encoded)), Open::due(open.as_ref())) {
        match next {
            Next::Object(_, ToBatch::Object(object)) => {
                let open = open.get_or_insert_with(|| Open::new(&object, encoded, closing.size));
                open.push(object, encoded, closing.timeout);
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
    fn new(first: &ObjectTask, encoded: &Encoded, size: usize) -> Self {
        let bytes = size * encoded.spec.bytes();
        let approximation = encoded.approximation(first);
        let batch = Batch {
            rows: Vec::with_capacity(size),
            target: Vec::with_capacity(bytes),
            background: Backgrounds::new(approximation, size, bytes),
            has_context: Vec::with_capacity(size),
            vocabulary: Arc::clone(&first.frame.settings().vocabulary),
            approximation,
            pixels: Duration::ZERO,
        };
        Self { batch, since: Instant::now(), due: None }
    }

    fn takes(&self, next: &ToBatch, encoded: &Encoded) -> bool {
        match next {
            ToBatch::Object(object) => {
                self.batch.rows.is_empty()
                    || Arc::ptr_eq(&self.batch.vocabulary, &object.frame.settings().vocabulary)
                        && self.batch.approximation == encoded.approximation(object)
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

    fn push(&mut self, object: ObjectTask, encoded: &Encoded, timeout: Option<Duration>) {
        if self.batch.rows.is_empty() {
            let approximation = encoded.approximation(&object);
            self.since = Instant::now();
            self.due = None;
            self.batch.vocabulary = Arc::clone(&object.frame.settings().vocabulary);
            if self.batch.approximation != approximation {
                self.batch.approximation = approximation;
                self.batch.background = Backgrounds::new(approximation, self.batch.rows.capacity(), self.batch.target.capacity());
            }
        }
        if object.frame.hurries() {
            self.due_at(self.since);
        }
        if let Some(late) = timeout.and_then(|timeout| self.since.checked_add(timeout)) {
            self.due_at(late);
        }
        self.batch.push(object, encoded);
    }
}

impl Encoded {
    /// What is left out for an object.
    fn approximation(&self, object: &ObjectTask) -> Approximation {
        let settings = object.frame.settings();
        settings.approximation.on(settings.vocabulary.classes.len(), self.has_combiner)
    }
}

impl Backgrounds {
    fn new(approximation: Approximation, rows: usize, bytes: usize) -> Self {
        match approximation.background {
            Background::Exact => Self::Pixels(Vec::with_capacity(bytes)),
            Background::Shared => Self::Views(Vec::with_capacity(rows)),
        }
    }

    fn truncate(&mut self, rows: usize, spec: &PairSpec) {
        match self {
            Self::Pixels(pixels) => pixels.truncate(rows * spec.bytes()),
            Self::Views(views) => views.truncate(rows),
        }
    }
}

impl Batch {
    /// Writes an object's pair behind the others; one whose frame nobody waits for is left out.
    fn push(&mut self, object: ObjectTask, encoded: &Encoded) {
        if object.frame.is_cancelled() {
            return;
        }
        let started = Instant::now();
        let spec = &encoded.spec;
        let at = self.target.len();
        self.target.resize(at + spec.bytes(), 0);
        let target = &mut self.target[at..];
        let background = &mut self.background;
        let written = object.frame.with_pixels(spec, |frame, base| match background {
            Backgrounds::Pixels(pixels) => {
                pixels.resize(at + spec.bytes(), 0);
                write_pair(frame, base, object.rect, spec, target, &mut pixels[at..])
            }
            Backgrounds::Views(views) => {
                views.push(view(object.rect, frame.width(), frame.height(), encoded.grid));
                write_target(frame, object.rect, spec, target)
            }
        });
        let spent = started.elapsed();
        match written {
            Ok(()) => {
                self.has_context.push(f32::from(u8::from(object.has_context)));
                self.rows.push(object);
                self.pixels += spent;
            }
            Err(error) => {
                self.target.truncate(at);
                self.background.truncate(self.rows.len(), spec);
                object.frame.failed(object.slot, &error, started, spent);
            }
        }
    }
}
