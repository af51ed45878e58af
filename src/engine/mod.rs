//! The way of a frame on worker threads; every channel bounded.
//!
//! ```text
//! streams ─▶ detect ─▶ batch ─▶ encode ─▶ the frame's own ticket
//!            boxes     pixels   Ω
//! ```
//!
//! A [`Job`] goes in with [`Stream::submit`], a [`Ticket`] comes back at once: the receiving end of that
//! frame's own one-shot reply. Streams are served in turn, and batches hold objects of many frames of many streams, so
//! frames may be answered in any order; whoever keeps tickets in a queue has order. This module alone names ONNX Runtime.

mod batch;
mod cache;
mod config;
mod detect;
mod detector;
mod device;
mod encode;
mod ending;
mod features;
mod hub;
mod job;
mod open_vocabulary;
mod owlv2;
mod precision;
mod registry;
mod runtime;
mod session;
mod shared;
mod stages;
mod stream;
mod task;
mod tensorrt;
mod texts;
mod tower;
mod turns;

/// What [`hub`] is made of; `tests/interleavings.rs` compiles it with shuttle's in place of these.
mod sync {
    pub(super) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
}

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use crossbeam_channel::never;

pub use config::{DetectorChoice, EngineConfig, Threads};
pub use detector::Detector;
pub use device::Device;
pub use features::{FeatureEncoder, Pair};
pub use job::{Abort, Aborted, Answer, Approximation, Boxes, FrameSettings, Job, Scope, Ticket, Timings};
pub use open_vocabulary::OpenVocabulary;
pub use precision::{Precision, bf16_is_native, sums_of_bytes_are_exact};
pub use runtime::{LIBRARY_VARIABLE, Runtime};
pub use session::{Element, Input, Outputs, Port, Session};
pub use stages::{StageTimes, Times};
pub use stream::{Scheduling, Stream};
pub use texts::encodings as text_encodings;

use self::{
    batch::{Batch, Closing, Encoded},
    detect::{ToBatch, ToDetect},
    ending::Terminator,
    hub::Hub,
    turns::StreamKey,
};
use crate::{Error, Result, graph::Numbers, models::ModelSet, pair::PairSpec, vocabulary::Vocabulary};

/// What waits for each stage.
type EngineHub = Hub<ToDetect, ToBatch, Batch>;

/// The class lists in use, each with its texts.
type Vocabularies = Vec<(Vec<String>, Weak<Vocabulary>)>;

/// One per model set, device and detector; shared by every [`Stream`] of it.
///
/// Dropping it ends its threads: after the frames that somebody still holds a ticket for, at once where nobody does.
pub struct Engine {
    config: EngineConfig,
    device_words: String,
    hub: Arc<EngineHub>,
    /// Streams there have been.
    streams: AtomicU64,
    vocabularies: Mutex<Vocabularies>,
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
    pub fn open(config: &EngineConfig) -> Result<Arc<Self>> {
        let clip = &config.models.clip;
        let encoded = Encoded {
            spec: PairSpec::new(clip.vision.image_size, clip.image_mean),
            grid: clip.vision.grid(),
            has_combiner: config.models.combiner_path().is_some(),
        };
        let encoder = encode::Encoder::open(config)?;
        let detector = detector::Detector::open(config)?;
        let terminator = encoder.terminator();
        let threads = match config.encoder_sessions() {
            1 => format!("{} threads", encoder.threads()),
            sessions => format!("{sessions} sessions, {} threads each", encoder.threads()),
        };
        let device_words = match (encoder.device(), encoder.numbers()) {
            (device @ Device::Cpu, Numbers::Fp32) => format!("{device} ({threads})"),
            (device @ Device::Cpu, numbers) => format!("{device} ({threads}, {numbers})"),
            (device, _) => device.to_string(),
        };
        let mut encoders = vec![encoder];
        while encoders.len() < config.encoder_sessions() {
            encoders.push(encode::Encoder::open(config)?.ended_by(&terminator));
        }

        let closing = Closing { size: config.batch_size.max(1), timeout: config.batch_timeout };
        let hub = Arc::new(Hub::new(closing.size));
        let encode = encoders.into_iter().map(|encoder| spawn("uniood-encode", &hub, move |hub| encode::run(encoder, hub)));
        let others = [
            spawn("uniood-batch", &hub, move |hub| batch::run(&encoded, closing, hub)),
            spawn("uniood-detect", &hub, move |hub| detect::run(detector, hub)),
        ];
        // Those that did start would wait for ever for one that did not.
        let workers = encode.chain(others).collect::<Result<_>>().inspect_err(|_| hub.fail())?;
        Ok(Arc::new(Self {
            config: config.clone(),
            device_words,
            hub,
            streams: AtomicU64::new(0),
            vocabularies: Mutex::default(),
            waiting: Arc::default(),
            encoder: terminator,
            workers,
        }))
    }

    /// The texts of a class list under the set's templates; runs the text tower (some 10 ms a class) unless somebody has
    /// those of the same list. Objects share a batch only where they share this.
    ///
    /// # Errors
    /// [`Error::Classes`] for an unusable list or an over-long name.
    pub fn vocabulary<S: AsRef<str>>(&self, classes: &[S]) -> Result<Arc<Vocabulary>> {
        let list: Vec<String> = classes.iter().map(|class| class.as_ref().to_owned()).collect();
        if let Some(known) = self.known(&list, None) {
            return Ok(known);
        }
        let vocabulary = texts::vocabulary(&self.config, classes).map(Arc::new)?;
        Ok(self.known(&list, Some(&vocabulary)).unwrap_or(vocabulary))
    }

    /// The list's texts where somebody has them; `new` is kept where nobody has.
    fn known(&self, list: &[String], new: Option<&Arc<Vocabulary>>) -> Option<Arc<Vocabulary>> {
        let mut all = self.vocabularies.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, vocabulary)| vocabulary.strong_count() > 0);
        let known = all.iter().find(|(known, _)| known == list).and_then(|(_, vocabulary)| vocabulary.upgrade());
        if let (None, Some(new)) = (&known, new) {
            all.push((list.to_owned(), Arc::downgrade(new)));
        }
        known
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

    /// Whether a worker thread died: every ticket says so, and no frame is answered any more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.hub.is_broken()
    }

    fn new_key(&self) -> StreamKey {
        StreamKey(self.streams.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.hub.close();
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

/// A worker that panics takes the others with it: without one of them nothing is answered.
struct Fails<'a>(&'a EngineHub);

impl Drop for Fails<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail();
        }
    }
}

fn spawn(name: &str, hub: &Arc<EngineHub>, run: impl FnOnce(&EngineHub) + Send + 'static) -> Result<JoinHandle<()>> {
    let hub = Arc::clone(hub);
    let worker = move || {
        let fails = Fails(&hub);
        run(fails.0);
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(worker)
        .map_err(|error| Error::Runtime(format!("cannot start thread {name}: {error}; close other programs")))
}

/// An abort channel that never closes.
#[must_use]
pub fn no_abort() -> Abort {
    never()
}
