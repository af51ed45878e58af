//! Where the bin's sink pad leads is decided when it is linked, from what the peer can send.

use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use gst::{glib, prelude::*, subclass::prelude::*};

use super::front::{Front, Need};
use crate::{
    meta, properties,
    score::{self, Score},
    source::FORMATS,
};

pub(super) static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("unioodfilter", gst::DebugColorFlags::empty(), Some("UNI-OOD filter")));

/// What a decoder in front can take, and RTP video. Not ANY: with ANY, `qtdemux ! unioodfilter` links the audio pad.
const ENCODED: [&str; 36] = [
    "video/quicktime",
    "video/x-matroska",
    "video/webm",
    "video/mpegts",
    "video/mpeg",
    "video/x-msvideo",
    "video/x-flv",
    "video/x-ms-asf",
    "video/x-3gp",
    "video/mj2",
    "video/x-vcd",
    "video/x-dv",
    "video/x-nuv",
    "video/x-ivf",
    "video/x-h263",
    "video/x-h264",
    "video/x-h265",
    "video/x-h266",
    "video/x-av1",
    "video/x-vp8",
    "video/x-vp9",
    "video/x-theora",
    "video/x-dirac",
    "video/x-prores",
    "video/x-divx",
    "video/x-xvid",
    "video/x-wmv",
    "video/x-ffv",
    "video/x-huffyuv",
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "multipart/x-mixed-replace",
    "application/ogg",
    "application/mxf",
];

/// The bin.
pub struct Filter {
    sink: gst::GhostPad,
    src: gst::GhostPad,
    score: Score,
    /// What is in front of the scoring element now.
    front: Mutex<Option<Front>>,
}

#[glib::object_subclass]
impl ObjectSubclass for Filter {
    const NAME: &'static str = "GstUniOodFilter";
    type Type = super::UniOodFilter;
    type ParentType = gst::Bin;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("pad_templates has it");
        let sink = gst::GhostPad::builder_from_template(&template("sink"))
            .link_function(|pad, parent, peer| {
                Self::catch_panic_pad_function(parent, || Err(gst::PadLinkError::Refused), |filter| filter.link(pad, peer))
            })
            .build();
        let src = gst::GhostPad::from_template(&template("src"));
        let score = glib::Object::builder().property("name", "score").build();
        Self { sink, src, score, front: Mutex::new(None) }
    }
}

impl ObjectImpl for Filter {
    fn properties() -> &'static [glib::ParamSpec] {
        properties::all()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.score.set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        self.score.get(pspec.name())
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.add(&self.score).expect("a new bin takes its first child");
        let target = self.score.static_pad("src").expect("made with the element");
        self.src.set_target(Some(&target)).expect("a new ghost pad takes a target");
        // The signal and not the unlink function, which is called with the pad's lock held.
        self.sink.connect_unlinked(|sink, _| {
            // The next peer may send something else: without a target, the pad's caps are its template's again.
            if sink.set_target(None::<&gst::Pad>).is_err() {
                gst::warning!(CAT, obj = sink, "the sink pad keeps its target");
            }
        });
        for pad in [&self.sink, &self.src] {
            obj.add_pad(pad).expect("a new element takes its pads");
        }
    }
}

impl GstObjectImpl for Filter {}

impl ElementImpl for Filter {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: OnceLock<gst::subclass::ElementMetadata> = OnceLock::new();
        Some(METADATA.get_or_init(|| {
            gst::subclass::ElementMetadata::new(
                "UNI-OOD filter",
                "Filter/Analyzer/Video",
                "Gives every object in a video an in-distribution or out-of-distribution verdict; takes raw or encoded video",
                "The uniood developers",
            )
        }))
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
        TEMPLATES.get_or_init(|| {
            let raw = gst_video::VideoCapsBuilder::new().format_list(FORMATS).build();
            // These formats are scored as they are; the others are converted on the way in.
            let mut any = raw.clone();
            any.make_mut().append(gst::Caps::new_empty_simple("video/x-raw"));
            for name in ENCODED {
                any.make_mut().append(gst::Caps::new_empty_simple(name));
            }
            any.make_mut().append(gst::Caps::builder("application/x-rtp").field("media", "video").build());
            let template =
                |name, direction, presence, caps| gst::PadTemplate::new(name, direction, presence, caps).expect("the caps are valid");
            vec![
                template("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &any),
                template("src", gst::PadDirection::Src, gst::PadPresence::Always, &raw),
                template(score::LINES, gst::PadDirection::Src, gst::PadPresence::Request, &score::lines_caps()),
            ]
        })
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused {
            // A bin orders its children by their links, and decodebin's come late: left to the bin, it may stream
            // before what comes behind it is ready.
            self.score.set_state(gst::State::Paused)?;
            let front = self.front.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(front) = front {
                front.prepare()?;
            }
        }
        self.parent_change_state(transition)
    }

    fn request_new_pad(&self, template: &gst::PadTemplate, _name: Option<&str>, _caps: Option<&gst::Caps>) -> Option<gst::Pad> {
        let target = self.score.request_pad_simple(score::LINES)?;
        let ghost = gst::GhostPad::builder_from_template_with_target(template, &target).ok()?.name(score::LINES).build();
        let obj = self.obj();
        if obj.current_state().max(obj.pending_state()) >= gst::State::Paused {
            ghost.set_active(true).ok()?;
        }
        obj.add_pad(&ghost).ok()?;
        Some(ghost.upcast())
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let target = pad.downcast_ref::<gst::GhostPad>().and_then(gst::GhostPad::target);
        let deactivated = pad.set_active(false);
        let removed = self.obj().remove_pad(pad);
        if deactivated.is_err() || removed.is_err() {
            gst::warning!(CAT, imp = self, "{} was not removed", pad.name());
        }
        if let Some(target) = target {
            self.score.release_request_pad(&target);
        }
    }
}

impl BinImpl for Filter {
    /// What the scoring element says of a frame comes from the element that the user knows.
    fn handle_message(&self, message: gst::Message) {
        let said = match message.view() {
            gst::MessageView::Element(said) => said.structure().filter(|structure| structure.name() == meta::NAME).map(ToOwned::to_owned),
            _ => None,
        };
        let message = match said {
            Some(structure) => gst::message::Element::builder(structure).src(&*self.obj()).build(),
            None => message,
        };
        self.parent_handle_message(message);
    }
}

impl Filter {
    fn link(&self, pad: &gst::GhostPad, peer: &gst::Pad) -> Result<gst::PadLinkSuccess, gst::PadLinkError> {
        let need = need(pad, peer);
        gst::debug!(CAT, imp = self, "linked to {}, needs in front: {need:?}", peer.name());
        let target = self.route(need).inspect_err(|error| {
            gst::element_imp_error!(self, gst::CoreError::MissingPlugin, ("{}", error.message));
        });
        let target = target.map_err(|_| gst::PadLinkError::Refused)?;
        pad.set_target(Some(&target)).map_err(|_| gst::PadLinkError::Refused)?;
        Ok(gst::PadLinkSuccess)
    }

    /// Puts in front what is needed in place of what was there, and says where the sink pad leads.
    fn route(&self, need: Need) -> Result<gst::Pad, glib::BoolError> {
        let score = self.score.static_pad("sink").ok_or_else(|| glib::bool_error!("the scoring element has no sink pad"))?;
        let bin = self.obj().clone().upcast::<gst::Bin>();
        let old = self.front.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(old) = old {
            old.remove(&bin);
        }
        if need == Need::Nothing {
            return Ok(score);
        }
        let front = Front::add(need, &bin, &score)?;
        let sink = front.sink().ok_or_else(|| glib::bool_error!("the element in front has no sink pad"));
        *self.front.lock().unwrap_or_else(PoisonError::into_inner) = Some(front);
        sink
    }
}

/// What the peer sends, or can send where it does not know yet. Only what the template takes counts: videotestsrc
/// also has Bayer formats.
fn need(pad: &gst::GhostPad, peer: &gst::Pad) -> Need {
    let caps = peer.current_caps().unwrap_or_else(|| peer.query_caps(Some(&pad.pad_template_caps())));
    if caps.is_empty() || caps.iter().any(|structure| structure.name() != "video/x-raw") {
        return Need::Decoder;
    }
    let scored = gst_video::VideoCapsBuilder::new().format_list(FORMATS).build();
    if caps.can_intersect(&scored) { Need::Nothing } else { Need::Conversion }
}
