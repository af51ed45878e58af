//! The way of a frame on worker threads; every channel bounded.
//!
//! ```text
//! submit ─▶ detect ─▶ batch ─▶ encode ─▶ the frame's own ticket
//!           boxes     pixels   Ω
//! ```
//!
//! A [`Job`] goes in with [`Engine::submit`], a [`Ticket`] comes back at once: the receiving end of that
//! frame's own one-shot reply. Batches hold objects of many frames, so frames may be answered in any order;
//! whoever keeps tickets in a queue has order. This module alone names ONNX Runtime.

mod batch;
mod cache;
mod config;
mod detect;
mod detector;
mod device;
mod encode;
mod features;
mod job;
mod runtime;
mod session;
mod task;
mod texts;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use crossbeam_channel::{Sender, TrySendError, bounded, never, select};

pub use config::{DetectorChoice, EngineConfig};
pub use detector::Detector;
pub use device::Device;
pub use features::{FeatureEncoder, Pair};
pub use job::{Abort, Aborted, Answer, Boxes, FrameSettings, Job, Scope, Ticket, Timings};
pub use runtime::{LIBRARY_VARIABLE, Runtime};
pub use session::{Element, Input, Outputs, Port, Session};
pub use texts::encodings as text_encodings;

use self::{batch::Closing, detect::ToDetect, session::Terminator, task::Submitted};
use crate::{Error, Result, models::ModelSet, pair::PairSpec, vocabulary::Vocabulary};

/// Frames waiting for the detect stage: one under way, one ready.
const JOBS: usize = 2;

/// One per model set, device and detector; shared by every stream that uses it.
///
/// Dropping it ends its threads: after the frames that somebody still holds a ticket for, at once where nobody does.
pub struct Engine {
    config: EngineConfig,
    device_words: String,
    jobs: Option<Sender<ToDetect>>,
    /// Tickets that are held somewhere.
    waiting: Arc<AtomicUsize>,
    encoder: Terminator,
    workers: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Loads the models, builds the graphs, starts the worker threads and waits until each has its session.
    ///
    /// # Errors
    /// Whatever a model set, a device or ONNX Runtime can be wrong in.
    pub fn open(config: &EngineConfig) -> Result<Self> {
        let spec = PairSpec::new(config.models.clip.vision.image_size, config.models.clip.image_mean);
        let encoder = encode::Encoder::open(config)?;
        let detector = detector::Detector::open(config)?;
        let terminator = encoder.terminator();
        let device_words = match encoder.device() {
            device @ Device::Cpu => format!("{device} ({} threads)", encoder.threads()),
            device => device.to_string(),
        };

        let (jobs, to_detect) = bounded(JOBS);
        let (objects, to_batch) = bounded(config.batch_size.max(1));
        let (batches, to_encode) = bounded(1);
        let closing = Closing { size: config.batch_size.max(1), timeout: config.batch_timeout };
        let workers = vec![
            spawn("uniood-encode", move || encode::run(encoder, &to_encode))?,
            spawn("uniood-batch", move || batch::run(&spec, closing, &to_batch, &batches))?,
            spawn("uniood-detect", move || detect::run(detector, &to_detect, &objects))?,
        ];
        Ok(Self { config: config.clone(), device_words, jobs: Some(jobs), waiting: Arc::default(), encoder: terminator, workers })
    }

    /// The texts of a class list under the set's templates; runs the text tower (some 10 ms a class).
    ///
    /// # Errors
    /// [`Error::Classes`] for an unusable list or an over-long name.
    pub fn vocabulary<S: AsRef<str>>(&self, classes: &[S]) -> Result<Arc<Vocabulary>> {
        texts::vocabulary(&self.config, classes).map(Arc::new)
    }

    /// The model set.
    #[must_use]
    pub const fn models(&self) -> &ModelSet {
        &self.config.models
    }

    /// The device that was taken, in words: `cpu (2 threads)`.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device_words
    }

    /// Queues a frame; waits while the queue is full. A frame that meets a dead worker gets a ticket that says so.
    ///
    /// # Errors
    /// [`Aborted`] when `abort` closed before there was room.
    pub fn submit(&self, job: Job, abort: &Abort) -> Result<Ticket, Aborted> {
        let (message, ticket) = self.message(job);
        select! {
            send(self.jobs(), message) -> _ => Ok(ticket),
            recv(abort) -> _ => Err(Aborted),
        }
    }

    /// Queues a frame if there is room now; else hands the job back (`overload=bypass`).
    ///
    /// # Errors
    /// The job itself when the queue is full.
    pub fn try_submit(&self, job: Job) -> Result<Ticket, Job> {
        let (message, ticket) = self.message(job);
        match self.jobs().try_send(message) {
            Err(TrySendError::Full(ToDetect::Frame(submitted, boxes))) => {
                Err(Job { frame: submitted.frame, boxes, settings: submitted.settings, tracks: submitted.tracks })
            }
            _ => Ok(ticket),
        }
    }

    /// Closes the open batch behind everything submitted so far: call it before waiting for the last tickets.
    pub fn flush(&self) {
        // A dead worker has no open batch.
        let _ = self.jobs().send(ToDetect::Flush);
    }

    fn message(&self, job: Job) -> (ToDetect, Ticket) {
        let (reply, answer) = bounded(1);
        let ticket = Ticket::new(answer, &self.waiting);
        let Job { frame, boxes, settings, tracks } = job;
        let submitted = Submitted { frame, settings, tracks, reply, cancelled: ticket.cancelled(), at: Instant::now() };
        (ToDetect::Frame(submitted, boxes), ticket)
    }

    fn jobs(&self) -> &Sender<ToDetect> {
        self.jobs.as_ref().expect("the sender is taken in drop alone")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.jobs = None;
        if self.waiting.load(Ordering::Relaxed) == 0 {
            // Nobody waits for the batch under way, which may take seconds.
            self.encoder.terminate();
        }
        for worker in self.workers.drain(..) {
            // A worker's panic was already told to everyone who waited for its replies.
            let _ = worker.join();
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| Error::Runtime(format!("cannot start thread {name}: {error}; close other programs")))
}

/// An abort channel that never closes.
#[must_use]
pub fn no_abort() -> Abort {
    never()
}
