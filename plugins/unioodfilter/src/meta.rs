//! What the element says of a frame, as a custom meta on its buffer and as a message on the bus.
//!
//! One [`OodMeta`] a frame. On a buffer it is the custom meta `uniood-frame` plus one
//! [`VideoRegionOfInterestMeta`] an object: the region's rectangle follows `videoscale`, its id joins it to
//! the verdict. On the bus it is one structure of the same name that holds the rectangles too.
//!
//! The structure's form has a version and lives in this file alone:
//!
//! ```text
//! uniood-frame, version=(uint)1, stream-id=(string), frame-id=(uint64), model=(string),
//!   queue=(uint64)ns, detect=(uint64)ns, encode=(uint64)ns, total=(uint64)ns,
//!   [timestamp=(uint64)ns,] [error=(string),] [unscored=(string)reason,] [image=(structure)verdict,]
//!   objects=(list){ object, id=(int), [track=(uint64), observations=(uint),] confidence=(float),
//!                   [label=(string), label-id=(uint),] [x, y, w, h=(uint),] verdict=(structure)verdict }
//! verdict, status=(string)id|ood|unscored, then either reason=(string) or omega, threshold=(float),
//!   nearest=(string), [percentile=(float),] [scores=(list){ score, class=(string), omega=(float) [, cosine=(float)] }]
//! ```

use std::{sync::Arc, sync::Once, time::Duration};

use gst::{glib, meta::CustomMeta};
use gst_video::VideoRegionOfInterestMeta;
use uniood::{
    detect::DetectorLabel,
    engine::Timings,
    track::Track,
    verdict::{Reason, Scored, Verdict},
};

/// Name of the custom meta and of the message's structure.
pub const NAME: &str = "uniood-frame";

const VERSION: u32 = 1;

/// What is known of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct OodMeta {
    /// The element's `stream-id`.
    pub stream_id: Arc<str>,
    /// Frames since the stream started, from 0.
    pub frame_id: u64,
    /// The buffer's presentation timestamp; `None` on a buffer, which has it itself.
    pub timestamp: Option<gst::ClockTime>,
    /// The model set's name.
    pub model: Arc<str>,
    /// The objects, in the engine's order.
    pub objects: Vec<OodObject>,
    /// The frame's own verdict where `scope` includes it.
    pub image: Option<Verdict>,
    /// Where the time went.
    pub timings: Timings,
    /// Set where the whole frame went through unscored.
    pub unscored: Option<Reason>,
    /// The sentence that belongs to `unscored`.
    pub error: Option<String>,
}

/// One object of an [`OodMeta`].
#[derive(Debug, Clone, PartialEq)]
pub struct OodObject {
    /// The id of its region-of-interest meta; unique within the frame.
    pub id: i32,
    /// Its track, where there is a tracker: the same in all frames of the stream.
    pub track: Option<Track>,
    /// Its rectangle in pixels of the buffer it was read from; `None` where an element on the way dropped the region.
    pub region: Option<Region>,
    /// The detector's confidence, 0..=1.
    pub confidence: f32,
    /// The detector's own class.
    pub label: Option<DetectorLabel>,
    /// ID, OOD or unscored.
    pub verdict: Verdict,
}

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
}

impl OodMeta {
    /// Reads a buffer's meta and joins it with the regions of interest beside it.
    /// `None` where there is none, or one of another version.
    #[must_use]
    pub fn from_buffer(buffer: &gst::BufferRef) -> Option<Self> {
        register();
        let meta = CustomMeta::from_buffer(buffer, NAME).ok()?;
        let mut read = Self::from_structure(meta.structure())?;
        for object in &mut read.objects {
            object.region = buffer.iter_meta::<VideoRegionOfInterestMeta>().find(|region| region.id() == object.id).map(|region| {
                let (x, y, w, h) = region.rect();
                Region { x, y, w, h }
            });
        }
        Some(read)
    }

    /// Reads an element message that the element posted (`post-messages=true`). `None` for any other message.
    #[must_use]
    pub fn from_message(message: &gst::MessageRef) -> Option<Self> {
        match message.view() {
            gst::MessageView::Element(element) => Self::from_structure(element.structure()?),
            _ => None,
        }
    }

    /// Reads a structure; `None` where it is no `uniood-frame` of this version.
    #[must_use]
    pub fn from_structure(structure: &gst::StructureRef) -> Option<Self> {
        if structure.name() != NAME || structure.get::<u32>("version").ok()? != VERSION {
            return None;
        }
        let duration = |field| structure.get::<u64>(field).ok().map(Duration::from_nanos);
        let objects = structure.get::<gst::List>("objects").ok()?;
        Some(Self {
            stream_id: structure.get::<&str>("stream-id").ok()?.into(),
            frame_id: structure.get("frame-id").ok()?,
            timestamp: structure.get("timestamp").ok().map(gst::ClockTime::from_nseconds),
            model: structure.get::<&str>("model").ok()?.into(),
            objects: objects
                .iter()
                .map(|object| object.get::<gst::Structure>().ok().and_then(|object| read_object(&object)))
                .collect::<Option<_>>()?,
            image: match structure.get::<gst::Structure>("image") {
                Ok(image) => Some(read_verdict(&image)?),
                Err(_) => None,
            },
            timings: Timings {
                queue: duration("queue")?,
                detect: duration("detect")?,
                encode: duration("encode")?,
                total: duration("total")?,
            },
            unscored: match structure.get::<&str>("unscored") {
                Ok(reason) => Some(read_reason(reason)?),
                Err(_) => None,
            },
            error: structure.get("error").ok(),
        })
    }

    /// The structure of the bus message.
    #[must_use]
    pub fn to_structure(&self) -> gst::Structure {
        let mut structure = gst::Structure::new_empty(NAME);
        self.write(&mut structure, true);
        structure
    }

    /// Puts the custom meta on a buffer. The regions of interest are not its business: it names their ids.
    pub(crate) fn attach(&self, buffer: &mut gst::BufferRef) -> Result<(), glib::BoolError> {
        register();
        self.write(CustomMeta::add(buffer, NAME)?.mut_structure(), false);
        Ok(())
    }

    fn write(&self, structure: &mut gst::StructureRef, regions: bool) {
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        structure.set("version", VERSION);
        structure.set("stream-id", &*self.stream_id);
        structure.set("frame-id", self.frame_id);
        structure.set("model", &*self.model);
        structure.set("queue", nanoseconds(self.timings.queue));
        structure.set("detect", nanoseconds(self.timings.detect));
        structure.set("encode", nanoseconds(self.timings.encode));
        structure.set("total", nanoseconds(self.timings.total));
        structure.set_if_some("timestamp", self.timestamp.map(gst::ClockTime::nseconds));
        structure.set_if_some("error", self.error.as_deref());
        structure.set_if_some("unscored", self.unscored.map(Reason::as_str));
        structure.set_if_some("image", self.image.as_ref().map(write_verdict));
        structure.set("objects", gst::List::new(self.objects.iter().map(|object| write_object(object, regions))));
    }
}

/// Registers the custom meta once; called when the plugin loads and by every reader.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An application that links this crate and loads the plugin holds two copies of this code.
        if !CustomMeta::is_registered(NAME) {
            CustomMeta::register(NAME, &[]);
        }
    });
}

fn write_object(object: &OodObject, region: bool) -> gst::Structure {
    let mut structure = gst::Structure::builder("object")
        .field("id", object.id)
        .field("confidence", object.confidence)
        .field("verdict", write_verdict(&object.verdict))
        .build();
    if let Some(Track { id, observations }) = object.track {
        structure.set("track", id);
        structure.set("observations", observations);
    }
    if let Some(label) = &object.label {
        structure.set("label", &*label.name);
        structure.set("label-id", label.id);
    }
    if let (true, Some(Region { x, y, w, h })) = (region, object.region) {
        for (field, value) in [("x", x), ("y", y), ("w", w), ("h", h)] {
            structure.set(field, value);
        }
    }
    structure
}

fn read_object(structure: &gst::StructureRef) -> Option<OodObject> {
    let side = |field| structure.get::<u32>(field).ok();
    let region = || Some(Region { x: side("x")?, y: side("y")?, w: side("w")?, h: side("h")? });
    Some(OodObject {
        id: structure.get("id").ok()?,
        track: structure.get("track").ok().zip(structure.get("observations").ok()).map(|(id, observations)| Track { id, observations }),
        region: region(),
        confidence: structure.get("confidence").ok()?,
        label: structure
            .get::<&str>("label")
            .ok()
            .zip(structure.get("label-id").ok())
            .map(|(name, id)| DetectorLabel { id, name: name.into() }),
        verdict: structure.get::<gst::Structure>("verdict").ok().and_then(|verdict| read_verdict(&verdict))?,
    })
}

fn write_verdict(verdict: &Verdict) -> gst::Structure {
    let structure = gst::Structure::builder("verdict");
    match verdict {
        Verdict::Unscored(reason) => structure.field("status", "unscored").field("reason", reason.as_str()).build(),
        Verdict::Scored(scored) => structure
            .field("status", if scored.ood { "ood" } else { "id" })
            .field("omega", scored.omega)
            .field("threshold", scored.threshold)
            .field("nearest", &*scored.nearest)
            .field_if_some("percentile", scored.percentile)
            .field_if_some("scores", scored.omegas.as_ref().map(|omegas| write_scores(omegas, scored.cosines.as_deref())))
            .build(),
    }
}

fn read_verdict(structure: &gst::StructureRef) -> Option<Verdict> {
    let status = structure.get::<&str>("status").ok()?;
    if status == "unscored" {
        return Some(Verdict::Unscored(read_reason(structure.get("reason").ok()?)?));
    }
    let (omegas, cosines) = structure.get::<gst::List>("scores").ok().and_then(|scores| read_scores(&scores)).unzip();
    Some(Verdict::Scored(Scored {
        ood: status == "ood",
        omega: structure.get("omega").ok()?,
        threshold: structure.get("threshold").ok()?,
        percentile: structure.get("percentile").ok(),
        nearest: structure.get::<&str>("nearest").ok()?.into(),
        omegas,
        cosines: cosines.flatten(),
    }))
}

type Scores = Vec<(Arc<str>, f32)>;

fn write_scores(omegas: &[(Arc<str>, f32)], cosines: Option<&[(Arc<str>, f32)]>) -> gst::List {
    gst::List::new(omegas.iter().enumerate().map(|(index, (class, omega))| {
        let cosine = cosines.and_then(|cosines| cosines.get(index)).map(|(_, cosine)| *cosine);
        gst::Structure::builder("score").field("class", &**class).field("omega", *omega).field_if_some("cosine", cosine).build()
    }))
}

fn read_scores(scores: &gst::List) -> Option<(Scores, Option<Scores>)> {
    let mut omegas = Scores::new();
    let mut cosines = Scores::new();
    for score in scores.iter() {
        let score = score.get::<gst::Structure>().ok()?;
        let class: Arc<str> = score.get::<&str>("class").ok()?.into();
        omegas.push((Arc::clone(&class), score.get("omega").ok()?));
        cosines.extend(score.get("cosine").ok().map(|cosine| (class, cosine)));
    }
    let cosines = (cosines.len() == omegas.len()).then_some(cosines);
    Some((omegas, cosines))
}

fn read_reason(word: &str) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| reason.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> OodMeta {
        let class = |name: &str, value| (Arc::from(name), value);
        let scored = Scored {
            ood: true,
            omega: 0.2141,
            threshold: 0.243,
            percentile: Some(0.012),
            nearest: "truck".into(),
            omegas: Some(vec![class("truck", 0.2141), class("car", 0.205)]),
            cosines: Some(vec![class("truck", 0.31), class("car", 0.3)]),
        };
        let plain = Scored { ood: false, percentile: None, omegas: None, cosines: None, ..scored.clone() };
        let region = Region { x: 12, y: 20, w: 71, h: 97 };
        OodMeta {
            stream_id: "cam-3".into(),
            frame_id: 412,
            timestamp: Some(gst::ClockTime::from_nseconds(13_733_333_333)),
            model: "street-tiny".into(),
            objects: vec![
                OodObject {
                    id: 7,
                    track: Some(Track { id: u64::MAX, observations: 3 }),
                    region: Some(region),
                    confidence: 0.91,
                    label: Some(DetectorLabel { id: 2, name: "car".into() }),
                    verdict: Verdict::Scored(scored),
                },
                OodObject {
                    id: 8,
                    track: None,
                    region: Some(region),
                    confidence: 0.4,
                    label: None,
                    verdict: Verdict::Unscored(Reason::MaxObjects),
                },
            ],
            image: Some(Verdict::Scored(plain)),
            timings: Timings {
                queue: Duration::from_micros(900),
                detect: Duration::from_micros(3100),
                encode: Duration::from_micros(21_700),
                total: Duration::from_millis(26),
            },
            unscored: None,
            error: None,
        }
    }

    #[test]
    fn a_message_reads_back_what_was_said() {
        gst::init().unwrap();
        let meta = example();
        assert_eq!(OodMeta::from_structure(&meta.to_structure()), Some(meta));
    }

    #[test]
    fn a_frame_that_went_through_reads_back_its_reason() {
        gst::init().unwrap();
        let meta = OodMeta {
            objects: Vec::new(),
            image: None,
            unscored: Some(Reason::Overload),
            error: Some("queue full".to_owned()),
            ..example()
        };
        assert_eq!(OodMeta::from_structure(&meta.to_structure()), Some(meta));
    }

    #[test]
    fn a_structure_of_another_version_is_not_read() {
        gst::init().unwrap();
        let mut structure = example().to_structure();
        structure.set("version", VERSION + 1);
        assert_eq!(OodMeta::from_structure(&structure), None);
    }

    #[test]
    fn a_buffer_joins_verdicts_with_its_regions_by_id() {
        gst::init().unwrap();
        let meta = OodMeta { timestamp: None, ..example() };
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        VideoRegionOfInterestMeta::add(buffer, "other", (1, 2, 3, 4)).set_id(3);
        VideoRegionOfInterestMeta::add(buffer, "car", (6, 10, 35, 48)).set_id(7);
        meta.attach(buffer).unwrap();
        let read = OodMeta::from_buffer(buffer).unwrap();
        assert_eq!(read.objects[0].region, Some(Region { x: 6, y: 10, w: 35, h: 48 }));
        assert_eq!(read.objects[1].region, None);
        assert_eq!(read.objects[0].verdict, meta.objects[0].verdict);
    }
}
