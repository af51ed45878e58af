//! The batch stage: objects of many frames into one batch of pixels, closed when full, late, or flushed.
//!
//! It writes the pixels of the next batch while the encode stage runs the last one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::{detect::ToBatch, task::ObjectTask};
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

/// Runs until the detect stage is gone or the encode stage is.
pub(super) fn run(spec: &PairSpec, closing: Closing, objects: &Receiver<ToBatch>, batches: &Sender<Batch>) {
    // The first object that did not fit the batch before it: another class list.
    let mut next = None;
    loop {
        let first = match next.take().map_or_else(|| objects.recv(), |object| Ok(ToBatch::Object(object))) {
            Ok(ToBatch::Object(object)) => object,
            Ok(ToBatch::Flush) => continue,
            Err(_) => return,
        };
        let opened = Instant::now();
        let mut batch = Batch::open(&first, spec, closing.size);
        batch.push(first, spec);
        while batch.rows.len() < closing.size {
            let message = match closing.timeout {
                Some(timeout) => objects.recv_deadline(opened + timeout),
                None => objects.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(ToBatch::Object(object)) if batch.takes(&object) => batch.push(object, spec),
                Ok(ToBatch::Object(object)) => {
                    next = Some(object);
                    break;
                }
                Ok(ToBatch::Flush) | Err(_) => break,
            }
        }
        if !batch.rows.is_empty() && batches.send(batch).is_err() {
            return;
        }
    }
}

impl Batch {
    fn open(first: &ObjectTask, spec: &PairSpec, size: usize) -> Self {
        let bytes = size * spec.bytes();
        Self {
            rows: Vec::with_capacity(size),
            target: Vec::with_capacity(bytes),
            background: Vec::with_capacity(bytes),
            has_context: Vec::with_capacity(size),
            vocabulary: Arc::clone(&first.frame.settings().vocabulary),
            pixels: Duration::ZERO,
        }
    }

    fn takes(&self, object: &ObjectTask) -> bool {
        Arc::ptr_eq(&self.vocabulary, &object.frame.settings().vocabulary)
    }

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
                object.frame.failed(object.slot, &error, spent);
            }
        }
    }
}
