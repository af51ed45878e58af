//! What frames are answered with: the engine, and the settings that may change between two frames.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use gst::{glib, subclass::prelude::*};
use uniood::{
    Error, Result,
    engine::{DetectorChoice, Engine, FrameSettings, Scheduling, Stream},
    metrics::{Endpoint, StreamMetrics},
    track,
    vocabulary::{Vocabulary, parse_classes},
};

use super::{
    imp::{CAT, Score, lock},
    latency::Latency,
};
use crate::{
    choices::{Events, Overload},
    lane::Limit,
    settings::{EngineKey, Settings, filled},
};

/// Frames in flight for each batch, however large it is.
const MOST_OF_A_BATCH: usize = 32;

/// Bytes of frames in flight, whatever their number.
const BYTES_IN_FLIGHT: usize = 256 << 20;

/// Frames in the engine while `overload=bypass` and scheduling is for latency: one in each stage. More would only be
/// older when they are answered.
const FRAMES_IN_STAGES: usize = 3;

/// This element's way into its engine and what follows from it.
pub(super) struct Running {
    pub(super) stream: Stream,
    pub(super) key: EngineKey,
    /// Its other owners are the frames that the engine holds.
    pub(super) in_engine: Arc<()>,
    pub(super) limit: Limit,
    pub(super) batch_timeout: Option<Duration>,
}

/// The settings of one frame, whole.
pub(super) struct Snapshot {
    pub(super) frame: Arc<FrameSettings>,
    pub(super) tracking: Option<track::Settings>,
    pub(super) events: Events,
    pub(super) event_interval: Option<Duration>,
    pub(super) annotate: bool,
    pub(super) post_messages: bool,
    pub(super) overload: Overload,
    pub(super) qos: bool,
    pub(super) stream_id: Arc<str>,
    pub(super) run_id: Option<Arc<str>>,
    pub(super) model: Arc<str>,
    pub(super) metrics: Option<Arc<StreamMetrics>>,
}

impl Running {
    /// `by` is what others that share the engine are told of who opened it.
    fn open(key: EngineKey, by: &str) -> Result<Self> {
        let config = key.config()?;
        // Batches of frames with one object each: one in every session that encodes, and one that fills meanwhile.
        let batches = config.encoder_sessions().saturating_add(1);
        let items = config.batch_size.saturating_mul(batches).clamp(4, batches.saturating_mul(MOST_OF_A_BATCH));
        let limit = Limit { items, bytes: BYTES_IN_FLIGHT };
        let engine = match key.instance() {
            Some(id) => Engine::shared(id, by, &config)?,
            None => Engine::open(&config)?,
        };
        Ok(Self { stream: engine.stream(), key, in_engine: Arc::new(()), limit, batch_timeout: config.batch_timeout })
    }

    /// Whether boxes come with the buffers.
    pub(super) fn boxes_are_given(&self) -> bool {
        self.key.detector == DetectorChoice::Upstream
    }

    pub(super) fn engine(&self) -> &Engine {
        self.stream.engine()
    }

    /// Whether `overload=bypass` lets a frame pass that is mapped already: the engine has enough to do; or, where time
    /// matters, half of what may be in flight is `queued` behind a frame of it.
    pub(super) fn is_full(&self, queued: usize) -> bool {
        // Without this element's own and that of the frame that asks.
        let in_engine = Arc::strong_count(&self.in_engine).saturating_sub(2);
        let half = self.limit.items / 2;
        match self.stream.scheduling() {
            Scheduling::Latency => in_engine >= half.min(FRAMES_IN_STAGES) || in_engine > 0 && queued >= half,
            Scheduling::Throughput => in_engine >= half,
        }
    }

    /// Closes the engine's open batch before a wait that more frames cannot end. With a batch timeout the batch
    /// closes by itself, and closing it early would make small batches of a steady stream.
    pub(super) fn before_waiting(&self) {
        if self.batch_timeout.is_none() {
            self.stream.flush();
        }
    }
}

impl Snapshot {
    fn new(
        settings: &Settings,
        running: &Running,
        vocabulary: Arc<Vocabulary>,
        stream_id: Arc<str>,
        metrics: Option<Arc<StreamMetrics>>,
    ) -> Result<Self> {
        let models = running.engine().models();
        let manifest = &models.manifest;
        let (threshold, calibration) = models.threshold(settings.threshold(), &vocabulary.classes, &stream_id);
        Ok(Self {
            frame: Arc::new(FrameSettings {
                vocabulary,
                threshold,
                calibration,
                selection: settings.selection(),
                scope: settings.engine_scope(),
                keep_scores: settings.keep_scores,
                approximation: settings.approximation(),
            }),
            tracking: settings.tracking()?,
            events: settings.events()?,
            event_interval: settings.event_interval(),
            annotate: settings.annotate,
            post_messages: settings.post_messages,
            overload: settings.overload,
            qos: settings.qos,
            stream_id,
            run_id: filled(settings.run_id.as_deref()).map(Arc::from),
            model: manifest.name.as_str().into(),
            metrics,
        })
    }
}

impl Score {
    pub(super) fn running(&self) -> Option<Arc<Running>> {
        lock(&self.running).clone()
    }

    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        lock(&self.snapshot).clone()
    }

    /// News on the bus; in the debug text too, since that is all of it that gst-launch-1.0 prints.
    fn tell(&self, news: &str) {
        gst::element_imp_info!(self, gst::ResourceError::Settings, ("{news}"), ["{news}"]);
    }

    /// Opens the engine, or keeps the one of the last start where nothing it is made of has changed.
    pub(super) fn open(&self) -> Result<()> {
        let mut settings = lock(&self.settings).clone();
        settings.tracking()?;
        settings.events()?;
        let key = settings.engine_key()?;
        let old = lock(&self.running).take();
        let running = if let Some(old) = old.filter(|old| old.key == key && !old.engine().is_broken()) {
            old
        } else {
            let running = Arc::new(Running::open(key, &self.stream_id(&settings))?);
            let device = running.engine().device();
            gst::info!(CAT, imp = self, "models run on {device}");
            // Nothing is chosen in silence.
            if running.key.set_is_the_shipped() {
                let name = &running.engine().models().manifest.name;
                self.tell(&format!("no model-dir: model set {name}, which ships with uniood"));
            }
            if running.key.device_is_chosen_by_engine() {
                self.tell(&format!("device auto: models run on {device}"));
            }
            running
        };
        let mut texts = vocabulary(running.engine(), &settings)?;
        let stream_id = self.stream_id(&settings);
        let metrics = match filled(settings.metrics.as_deref()) {
            Some(address) => Some(Arc::new(Endpoint::open(address)?.stream(&stream_id))),
            None => None,
        };
        *lock(&self.latency) = Latency::new(running.batch_timeout);
        *lock(&self.running) = Some(Arc::clone(&running));
        // What may change while frames flow may have changed while models were loaded. From the snapshot on, `set` applies it.
        loop {
            let now = lock(&self.settings);
            if now.classes == settings.classes {
                *lock(&self.snapshot) = Some(Arc::new(Snapshot::new(&now, &running, texts, stream_id, metrics)?));
                break;
            }
            settings = now.clone();
            drop(now);
            texts = vocabulary(running.engine(), &settings)?;
        }
        self.schedule();
        Ok(())
    }

    /// Tells the engine what this stream's objects wait for.
    pub(super) fn schedule(&self) {
        let scheduling = lock(&self.settings).scheduling(self.live.load(Ordering::Relaxed));
        if let Some(running) = self.running() {
            running.stream.set_scheduling(scheduling);
        }
    }

    /// Sets a property of the bin. While frames flow, what may change does so between two of them; a value that
    /// cannot be used is answered with a warning, and the one before it stays. For `classes` this returns when the
    /// new list's texts are computed and in force.
    pub(super) fn set(&self, name: &str, value: &glib::Value) {
        let before = {
            let mut settings = lock(&self.settings);
            let before = settings.get(name);
            settings.set(name, value);
            before
        };
        let (Some(running), Some(_)) = (self.running(), self.snapshot()) else { return };
        if let Err(error) = self.apply(name, &running) {
            let mut settings = lock(&self.settings);
            // Another thread may have set it again in the meantime.
            if format!("{:?}", settings.get(name)) == format!("{value:?}") {
                settings.set(name, &before);
            }
            drop(settings);
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{name} stays as it was: {error}"));
        }
    }

    fn apply(&self, name: &str, running: &Running) -> Result<()> {
        let settings = lock(&self.settings).clone();
        let new = if name == "classes" { Some(vocabulary(running.engine(), &settings)?) } else { None };
        // From here on under the lock, so that of two changes at once the later one wins as a whole.
        let settings_now = lock(&self.settings);
        let mut snapshot = lock(&self.snapshot);
        let Some(old) = &*snapshot else { return Ok(()) };
        let superseded = new.is_some() && settings_now.classes != settings.classes;
        let vocabulary = new.filter(|_| !superseded).unwrap_or_else(|| Arc::clone(&old.frame.vocabulary));
        *snapshot = Some(Arc::new(Snapshot::new(&settings_now, running, vocabulary, Arc::clone(&old.stream_id), old.metrics.clone())?));
        drop((snapshot, settings_now));
        self.schedule();
        Ok(())
    }
}

/// The texts of the user's classes, or of the model set's.
fn vocabulary(engine: &Engine, settings: &Settings) -> Result<Arc<Vocabulary>> {
    let Some(text) = filled(settings.classes.as_deref()) else { return engine.vocabulary(&engine.models().manifest.classes) };
    parse_classes(text).and_then(|classes| engine.vocabulary(&classes)).map_err(|error| match error {
        Error::Classes(problem) => Error::Classes(format!("{problem} (property `classes`)")),
        other => other,
    })
}
