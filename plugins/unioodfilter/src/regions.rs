//! Regions of interest on a buffer: another element's boxes read, our objects written, joined by id.

use std::collections::HashSet;

use gst_video::VideoRegionOfInterestMeta;
use uniood::{
    detect::{Detection, DetectorLabel},
    geometry::{BBox, Rect},
    verdict::Object,
};

use crate::meta::{OodObject, Region};

/// The region type of an object without a detector label.
pub(crate) const OBJECT: &str = "object";

/// The param that names a region's track, as DL Streamer has it.
const TRACK: &str = "object_id";

/// A box that another element put on the buffer (`detector=upstream`).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Given {
    /// Which region of the buffer, counted over its region-of-interest metas.
    nth: usize,
    /// What it says.
    pub(crate) detection: Detection,
    /// The track that it is of.
    pub(crate) track: Option<u64>,
}

/// The buffer's regions that cover at least a pixel of a `width`×`height` frame. Confidence and label id are
/// those of the param `detection`, where DL Streamer puts them; 1 and 0 without it. The track is that of the param `object_id`,
/// where DL Streamer's gvatrack puts it.
pub(crate) fn given(buffer: &gst::BufferRef, width: u32, height: u32) -> Vec<Given> {
    let regions = buffer.iter_meta::<VideoRegionOfInterestMeta>().enumerate();
    regions
        .filter_map(|(nth, region)| {
            let (x, y, w, h) = region.rect();
            #[expect(clippy::cast_precision_loss, reason = "frames are far below 2^24 pixels a side")]
            let bbox = BBox { x: x as f32, y: y as f32, w: w as f32, h: h as f32 };
            Rect::cover(&bbox, width, height)?;
            let param = region.param("detection");
            #[expect(clippy::cast_possible_truncation, reason = "a confidence is 0..=1")]
            let confidence = param
                .and_then(|param| param.get::<f64>("confidence").map(|value| value as f32).or_else(|_| param.get::<f32>("confidence")).ok())
                .filter(|confidence| confidence.is_finite());
            let id = param.and_then(|param| param.get::<i32>("label_id").ok()).and_then(|id| u32::try_from(id).ok());
            let label = DetectorLabel { id: id.unwrap_or(0), name: region.roi_type().into() };
            let track = region.param(TRACK).and_then(|param| param.get::<i32>("id").ok()).and_then(|id| u64::try_from(id).ok());
            Some(Given { nth, detection: Detection { bbox, confidence: confidence.unwrap_or(1.0), label: Some(label) }, track })
        })
        .collect()
}

/// Puts one region an object on the buffer and says which id each has. Regions that the objects came from
/// (`given`) are used again, not doubled; ids are unique among all regions of the buffer.
pub(crate) fn attach(buffer: &mut gst::BufferRef, objects: &[Object], given: &[Given]) -> Vec<OodObject> {
    let mut origins = given.iter();
    let mut ids = Ids::of(buffer);
    objects
        .iter()
        .map(|object| {
            let rect = object.rect;
            // The engine keeps the order of given boxes, and may leave some out.
            let origin = origins.by_ref().find(|given| given.detection == object.detection);
            let region = origin.and_then(|origin| buffer.iter_meta_mut::<VideoRegionOfInterestMeta>().nth(origin.nth));
            let id = if let Some(mut region) = region {
                let id = ids.keep_or_next(region.id());
                region.set_id(id);
                name_track(&mut region, object);
                id
            } else {
                let name = object.detection.label.as_ref().map_or(OBJECT, |label| &*label.name);
                let id = ids.next();
                let mut region = VideoRegionOfInterestMeta::add(buffer, name, (rect.x(), rect.y(), rect.w(), rect.h()));
                region.set_id(id);
                name_track(&mut region, object);
                id
            };
            OodObject {
                id,
                track: object.track,
                region: Some(Region { x: rect.x(), y: rect.y(), w: rect.w(), h: rect.h() }),
                confidence: object.detection.confidence,
                label: object.detection.label.clone(),
                verdict: object.verdict.clone(),
            }
        })
        .collect()
}

/// Tells elements behind which track a region is of, where nobody has yet.
fn name_track<T>(region: &mut gst::MetaRefMut<'_, VideoRegionOfInterestMeta, T>, object: &Object) {
    if let Some(track) = object.track.and_then(|track| i32::try_from(track.id).ok())
        && region.param(TRACK).is_none()
    {
        region.add_param(gst::Structure::builder(TRACK).field("id", track).build());
    }
}

/// Ids handed out on one buffer.
struct Ids {
    used_before: HashSet<i32>,
    kept: HashSet<i32>,
    last: i32,
}

impl Ids {
    fn of(buffer: &gst::BufferRef) -> Self {
        let used_before = buffer.iter_meta::<VideoRegionOfInterestMeta>().map(|region| region.id()).collect();
        Self { used_before, kept: HashSet::new(), last: -1 }
    }

    /// The id itself where this is the first region that has it, else a new one.
    fn keep_or_next(&mut self, id: i32) -> i32 {
        if id >= 0 && self.kept.insert(id) { id } else { self.next() }
    }

    fn next(&mut self) -> i32 {
        loop {
            self.last = self.last.wrapping_add(1).max(0);
            if !self.used_before.contains(&self.last) && self.kept.insert(self.last) {
                return self.last;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uniood::verdict::{Reason, Verdict};

    fn object(detection: &Detection) -> Object {
        Object {
            rect: Rect::cover(&detection.bbox, 320, 240).unwrap(),
            detection: detection.clone(),
            verdict: Verdict::Unscored(Reason::Error),
            track: None,
        }
    }

    #[test]
    fn given_regions_are_read_with_dl_streamers_confidence_and_without_empty_ones() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        VideoRegionOfInterestMeta::add(buffer, "car", (10, 20, 30, 40))
            .add_param(gst::Structure::builder("detection").field("confidence", 0.5_f64).field("label_id", 3_i32).build());
        let mut tracked = VideoRegionOfInterestMeta::add(buffer, "car", (50, 20, 30, 40));
        tracked.add_param(gst::Structure::builder(TRACK).field("id", 12_i32).build());
        VideoRegionOfInterestMeta::add(buffer, "car", (400, 20, 30, 40));
        VideoRegionOfInterestMeta::add(buffer, "bus", (0, 0, 0, 9));
        let given = given(buffer, 320, 240);
        assert_eq!(given.iter().map(|given| given.track).collect::<Vec<_>>(), [None, Some(12)]);
        assert!((given[0].detection.confidence - 0.5).abs() < f32::EPSILON);
        assert_eq!(given[0].detection.label, Some(DetectorLabel { id: 3, name: "car".into() }));
    }

    #[test]
    fn regions_from_upstream_are_not_doubled_and_get_unique_ids() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        for (x, id) in [(10, 5), (50, 5), (90, 0)] {
            VideoRegionOfInterestMeta::add(buffer, "car", (x, 20, 30, 40)).set_id(id);
        }
        let given = given(buffer, 320, 240);
        let objects: Vec<_> = given.iter().map(|given| object(&given.detection)).collect();
        let attached = attach(buffer, &objects, &given);
        let regions: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().map(|region| (region.rect().0, region.id())).collect();
        assert_eq!(regions.iter().map(|(x, _)| *x).collect::<Vec<_>>(), [10, 50, 90]);
        assert_eq!(regions.iter().map(|(_, id)| *id).collect::<HashSet<_>>().len(), 3);
        assert_eq!(attached.iter().map(|object| object.id).collect::<Vec<_>>(), regions.iter().map(|(_, id)| *id).collect::<Vec<_>>());
        assert_eq!(regions[0].1, 5);
    }

    #[test]
    fn our_regions_do_not_take_the_id_of_another_elements() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        VideoRegionOfInterestMeta::add(buffer, "face", (1, 2, 3, 4)).set_id(0);
        let detection = Detection { bbox: BBox { x: 9.0, y: 9.0, w: 9.0, h: 9.0 }, confidence: 0.9, label: None };
        let attached = attach(buffer, &[object(&detection)], &[]);
        assert_ne!(attached[0].id, 0);
        let types: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().map(|region| region.roi_type().to_owned()).collect();
        assert_eq!(types, ["face", OBJECT]);
    }
}
