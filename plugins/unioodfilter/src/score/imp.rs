//! The element: its pads, its state, its life.

use std::sync::{
    Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use gst::{glib, prelude::*, subclass::prelude::*};
use uniood::overlay::Overlay;

use super::{
    input::Stream,
    latency::Latency,
    lines::{self, Lines},
    live::{Running, Snapshot},
    output::Item,
    qos::Qos,
    telling::Telling,
};
use crate::{
    errors,
    lane::{Lane, Limit},
    properties::STATS,
    settings::Settings,
    source::FORMATS,
    stats::Stats,
};

pub(super) static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("unioodscore", gst::DebugColorFlags::empty(), Some("UNI-OOD scoring element")));

/// Lock order: `settings`, then `snapshot`. Every other lock is taken alone. None is held across a pad call, a
/// model run or a wait.
pub(crate) struct Score {
    pub(super) sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    /// What the user set.
    pub(super) settings: Mutex<Settings>,
    /// What frames are answered with; there from READY→PAUSED to PAUSED→READY.
    pub(super) snapshot: Mutex<Option<Arc<Snapshot>>>,
    /// The engine; there from READY→PAUSED to READY→NULL.
    pub(super) running: Mutex<Option<Arc<Running>>>,
    /// The single truth of the flow.
    pub(super) flow: Mutex<Flow>,
    /// What the sink pad's streaming thread knows of its stream.
    pub(super) stream: Mutex<Stream>,
    pub(super) lines: Mutex<Option<Arc<Lines>>>,
    /// The tracks that the source pad's task tells of; it outlives a flush, behind which their ends are told.
    pub(super) telling: Mutex<Option<Telling>>,
    pub(super) latency: Mutex<Latency>,
    pub(super) qos: Mutex<Qos>,
    pub(super) stats: Mutex<Stats>,
    /// The source pad's task alone draws.
    pub(super) overlay: Mutex<Overlay>,
    /// The last frame's model run failed: warned of once, not for every frame.
    pub(super) failing: AtomicBool,
    /// Upstream said that it is live: latency matters.
    pub(super) live: AtomicBool,
    /// Sequence number of the last seek, which a pipeline sends to each of its sinks.
    pub(super) last_seek: Mutex<Option<gst::Seqnum>>,
}

/// The lane of the present generation, between two flushes or state changes, and whether it flows.
pub(super) struct Flow {
    pub(super) lane: Arc<Lane<Item>>,
    pub(super) result: Result<gst::FlowSuccess, gst::FlowError>,
    /// EOS has come in: nobody pushes any more, and so nobody would see why the flow stops.
    pub(super) ended: bool,
}

impl Default for Flow {
    fn default() -> Self {
        let lane = Lane::new(Limit { items: 1, bytes: 0 });
        lane.close();
        Self { lane: Arc::new(lane), result: Err(gst::FlowError::Flushing), ended: false }
    }
}

/// A panic elsewhere must not become a second one here: what the locks guard is whole after every statement.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[glib::object_subclass]
impl ObjectSubclass for Score {
    const NAME: &'static str = "GstUniOodScore";
    type Type = super::Score;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("pad_templates has it");
        let flushing = || Err(gst::FlowError::Error);
        let sinkpad = gst::Pad::builder_from_template(&template("sink"))
            .activatemode_function(|_, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "panicked")),
                    |score| score.activate_sink(mode, active),
                )
            })
            .chain_function(move |_, parent, buffer| Self::catch_panic_pad_function(parent, flushing, |score| score.chain(buffer)))
            .event_full_function(move |pad, parent, event| {
                Self::catch_panic_pad_function(parent, flushing, |score| score.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| Self::catch_panic_pad_function(parent, || false, |score| score.sink_query(pad, query)))
            .iterate_internal_links_function(|_, parent| links(parent, |score| score.srcpad.clone()))
            .build();
        let srcpad = gst::Pad::builder_from_template(&template("src"))
            .activatemode_function(|_, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "panicked")),
                    |score| score.activate_src(mode, active),
                )
            })
            .event_function(|pad, parent, event| Self::catch_panic_pad_function(parent, || false, |score| score.src_event(pad, event)))
            .query_function(|pad, parent, query| Self::catch_panic_pad_function(parent, || false, |score| score.src_query(pad, query)))
            .iterate_internal_links_function(|_, parent| links(parent, |score| score.sinkpad.clone()))
            .build();
        Self {
            sinkpad,
            srcpad,
            settings: Mutex::default(),
            snapshot: Mutex::default(),
            running: Mutex::default(),
            flow: Mutex::default(),
            stream: Mutex::default(),
            lines: Mutex::default(),
            telling: Mutex::default(),
            latency: Mutex::default(),
            qos: Mutex::default(),
            stats: Mutex::default(),
            overlay: Mutex::default(),
            failing: AtomicBool::new(false),
            live: AtomicBool::new(false),
            last_seek: Mutex::default(),
        }
    }
}

/// Video and JSON lines both come from the one sink pad; what comes in goes on to the video pad.
pub(super) fn links(parent: Option<&gst::Object>, other: impl FnOnce(&Score) -> gst::Pad) -> gst::Iterator<gst::Pad> {
    let element = parent.and_then(|parent| parent.downcast_ref::<super::Score>());
    gst::Iterator::from_option(element.map(|element| other(element.imp())))
}

impl ObjectImpl for Score {
    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sinkpad, &self.srcpad] {
            self.obj().add_pad(pad).expect("a new element takes its pads");
        }
    }
}

impl GstObjectImpl for Score {}

impl ElementImpl for Score {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: OnceLock<gst::subclass::ElementMetadata> = OnceLock::new();
        Some(METADATA.get_or_init(|| {
            gst::subclass::ElementMetadata::new(
                "UNI-OOD scoring",
                "Filter/Analyzer/Video",
                "The element inside unioodfilter that scores raw video",
                "The uniood developers",
            )
        }))
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
        TEMPLATES.get_or_init(|| {
            let raw = gst_video::VideoCapsBuilder::new().format_list(FORMATS).build();
            let template =
                |name, direction, presence, caps| gst::PadTemplate::new(name, direction, presence, caps).expect("the caps are valid");
            vec![
                template("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &raw),
                template("src", gst::PadDirection::Src, gst::PadPresence::Always, &raw),
                template(lines::LINES, gst::PadDirection::Src, gst::PadPresence::Request, &lines::caps()),
            ]
        })
    }

    fn request_new_pad(&self, template: &gst::PadTemplate, _name: Option<&str>, _caps: Option<&gst::Caps>) -> Option<gst::Pad> {
        self.add_lines(template)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        self.remove_lines(pad);
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused
            && let Err(error) = self.start()
        {
            self.post_error_message(errors::message(&error));
            return Err(gst::StateChangeError);
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToReady => self.stop(),
            gst::StateChange::ReadyToNull => self.close(),
            _ => (),
        }
        Ok(success)
    }
}

impl Score {
    /// Reads a property of the bin.
    pub(super) fn get(&self, name: &str) -> glib::Value {
        if name == STATS { lock(&self.stats).to_structure().to_value() } else { lock(&self.settings).get(name) }
    }

    /// Loads what the settings ask for and starts counting from nothing.
    fn start(&self) -> uniood::Result<()> {
        self.live.store(false, Ordering::Relaxed);
        self.open()?;
        *lock(&self.qos) = Qos::default();
        *lock(&self.stream) = Stream::default();
        *lock(&self.stats) = Stats::default();
        *lock(&self.telling) = None;
        *lock(&self.last_seek) = None;
        self.failing.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// The pads are inactive. The engine stays for the next start, the counts for whoever asks.
    fn stop(&self) {
        if let Some(running) = self.running() {
            // Else a batch that waits until it is full would keep frames that nobody waits for, and upstream's pool its buffers.
            running.stream.flush();
        }
        *lock(&self.snapshot) = None;
        *lock(&self.stream) = Stream::default();
        *lock(&self.telling) = None;
    }

    /// Ends the engine's threads, outside the lock.
    fn close(&self) {
        let running = lock(&self.running).take();
        drop(running);
    }

    /// The stream's id as the user named it, else the name of the element that the user knows.
    pub(super) fn stream_id(&self, settings: &Settings) -> Arc<str> {
        let named = crate::settings::filled(settings.stream_id.as_deref()).map(Arc::from);
        named.unwrap_or_else(|| self.obj().parent().map_or_else(|| self.obj().name(), |bin| bin.name()).as_str().into())
    }
}
