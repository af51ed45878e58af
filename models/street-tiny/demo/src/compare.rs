//! Verdicts beside the truth, object by object and track by track.

use std::collections::BTreeMap;

use street_world::class::Kind;
use uniood::{
    eval::matching::{LEAST_IOU, matched},
    geometry::BBox,
    report::{FrameReport, ObjectReport},
};

use crate::truth::Object;

/// Fewer frames than this say nothing of a track.
const LEAST_FRAMES: usize = 3;
/// A box on nothing goes on where a box of at most this many frames before was.
const GAP: u64 = 5;

/// One detection and what is there.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) frame: u64,
    pub(crate) region: usize,
    pub(crate) bbox: BBox,
    pub(crate) ood: bool,
    pub(crate) omega: f32,
    /// Plain CLIP's largest cosine.
    pub(crate) cosine: f64,
    pub(crate) nearest: String,
    pub(crate) on: On,
}

/// What a detection is on.
#[derive(Debug, Clone)]
pub(crate) enum On {
    /// An object that counts.
    Object { track: u32, kind: Kind, class: String },
    /// One that does not.
    Ignored,
    /// No object at all, or a part of a known one; the number joins boxes that follow one another.
    Nothing { trail: usize },
}

/// A true track: how often it could be found, how often it was, and how often that was called OOD.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    pub(crate) kind: Kind,
    pub(crate) frames: usize,
    pub(crate) found: usize,
    pub(crate) ood: usize,
}

impl Track {
    pub(crate) fn alarms(&self) -> bool {
        alarms(self.found, self.ood)
    }
}

/// At least three verdicts, most of them OOD.
fn alarms(verdicts: usize, ood: usize) -> bool {
    verdicts >= LEAST_FRAMES && 2 * ood > verdicts
}

/// Boxes on nothing, joined where they follow one another: the frame and the box that each was last seen in.
#[derive(Default)]
struct Trails(Vec<(u64, BBox)>);

impl Trails {
    /// The number of the trail that this box goes on, or begins.
    fn follow(&mut self, frame: u64, bbox: BBox) -> usize {
        let recent = self.0.iter().enumerate().filter(|(_, (seen, _))| frame - seen <= GAP);
        let best = recent.map(|(index, (_, last))| (index, last.iou(&bbox))).max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((index, _)) = best.filter(|(_, iou)| *iou > LEAST_IOU) {
            self.0[index] = (frame, bbox);
            return index;
        }
        self.0.push((frame, bbox));
        self.0.len() - 1
    }
}

/// A video's verdicts beside its truth.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) frames: usize,
    pub(crate) detections: Vec<Judged>,
    /// Tracks that are in view for at least three frames.
    pub(crate) tracks: Vec<Track>,
    /// Tracks of boxes on nothing that alarm.
    pub(crate) alarms_on_nothing: usize,
}

pub(crate) fn compare(truth: &[Vec<Object>], lines: &[FrameReport<'_>]) -> Comparison {
    let mut detections: Vec<Judged> = Vec::new();
    let mut trails = Trails::default();
    for line in lines {
        let objects = usize::try_from(line.frame_id).ok().and_then(|index| truth.get(index)).map_or(&[][..], Vec::as_slice);
        let found: Vec<(BBox, &ObjectReport<'_>)> = line.objects.iter().map(|object| (bbox(object), object)).collect();
        let boxes: Vec<BBox> = objects.iter().map(|object| object.bbox).collect();
        let scored: Vec<(BBox, f32)> = found.iter().map(|(bbox, object)| (*bbox, object.detection.confidence)).collect();
        for ((bbox, object), matched) in found.into_iter().zip(matched(&boxes, &scored)) {
            let Some(omega) = object.ood.omega else { continue };
            let on = match matched.map(|index| &objects[index]) {
                Some(object) if object.ignore => On::Ignored,
                Some(object) => On::Object { track: object.track, kind: object.kind, class: object.class.clone() },
                // A part of what is unknown or does not count; a part of a known thing is no thing.
                None if objects.iter().any(|object| (object.ignore || object.kind != Kind::Id) && within(&bbox, &object.bbox) > 0.5) => {
                    On::Ignored
                }
                None => On::Nothing { trail: trails.follow(line.frame_id, bbox) },
            };
            let cosines = object.ood.cosines.iter().flat_map(|cosines| cosines.values().filter_map(serde_json::Value::as_f64));
            detections.push(Judged {
                frame: line.frame_id,
                region: object.region_id,
                bbox,
                ood: object.ood.label == "ood",
                omega,
                cosine: cosines.fold(f64::NAN, f64::max),
                nearest: object.ood.nearest.as_deref().unwrap_or_default().to_owned(),
                on,
            });
        }
    }
    let tracks = tracks(truth, &detections);
    let alarms_on_nothing = alarms_on_nothing(&detections);
    Comparison { frames: lines.len(), detections, tracks, alarms_on_nothing }
}

fn tracks(truth: &[Vec<Object>], detections: &[Judged]) -> Vec<Track> {
    let mut tracks: BTreeMap<u32, Track> = BTreeMap::new();
    for object in truth.iter().flatten().filter(|object| !object.ignore) {
        tracks.entry(object.track).or_insert(Track { kind: object.kind, frames: 0, found: 0, ood: 0 }).frames += 1;
    }
    for judged in detections {
        if let On::Object { track, .. } = &judged.on
            && let Some(track) = tracks.get_mut(track)
        {
            track.found += 1;
            track.ood += usize::from(judged.ood);
        }
    }
    tracks.into_values().filter(|track| track.frames >= LEAST_FRAMES).collect()
}

fn alarms_on_nothing(detections: &[Judged]) -> usize {
    let mut found: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for judged in detections {
        if let On::Nothing { trail } = judged.on {
            let (all, ood) = found.entry(trail).or_default();
            *all += 1;
            *ood += usize::from(judged.ood);
        }
    }
    found.values().filter(|(all, ood)| alarms(*all, *ood)).count()
}

/// The share of a box that lies in another.
fn within(part: &BBox, whole: &BBox) -> f32 {
    let across = (part.x + part.w).min(whole.x + whole.w) - part.x.max(whole.x);
    let down = (part.y + part.h).min(whole.y + whole.h) - part.y.max(whole.y);
    across.max(0.0) * down.max(0.0) / part.area().max(f32::MIN_POSITIVE)
}

#[expect(clippy::cast_precision_loss, reason = "frames are far below 2^24 pixels a side")]
fn bbox(object: &ObjectReport<'_>) -> BBox {
    BBox { x: object.x as f32, y: object.y as f32, w: object.w as f32, h: object.h as f32 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn truth(kind: Kind, ignore: bool) -> Vec<Object> {
        vec![Object { bbox: BBox { x: 10.0, y: 10.0, w: 20.0, h: 20.0 }, track: 7, kind, class: "deer".to_owned(), ignore }]
    }

    fn line(frame: u64, x: u32, label: &str) -> FrameReport<'static> {
        serde_json::from_value(json!({
            "schema": "uniood.frame/1", "stream_id": "", "frame_id": frame, "resolution": {"width": 100, "height": 100}, "image": null,
            "objects": [{"region_id": 0, "x": x, "y": 10, "w": 20, "h": 20, "roi_type": "object",
                "detection": {"bounding_box": {"x_min": 0.0, "y_min": 0.0, "x_max": 0.1, "y_max": 0.1}, "confidence": 0.9},
                "ood": {"label": label, "omega": 0.2, "cosines": {"car": 0.1, "bus": 0.25}}}],
            "timings_ms": {"detect": 0.0, "encode": 0.0, "total": 0.0}, "error": null,
        }))
        .unwrap()
    }

    #[test]
    fn a_track_alarms_when_most_of_three_verdicts_are_ood() {
        let frames: Vec<_> = (0..3).map(|_| truth(Kind::NamedOod, false)).collect();
        let lines = [line(0, 10, "ood"), line(1, 12, "id"), line(2, 9, "ood")];
        let found = compare(&frames, &lines);
        assert_eq!((found.tracks.len(), found.tracks[0].frames, found.tracks[0].found, found.tracks[0].ood), (1, 3, 3, 2));
        assert!(found.tracks[0].alarms());
        assert!(!compare(&frames, &lines[..2]).tracks[0].alarms(), "two verdicts are too few");
        assert!((found.detections[0].cosine - 0.25).abs() < 1e-9);
    }

    #[test]
    fn what_is_ignored_is_neither_right_nor_wrong() {
        let frames: Vec<_> = (0..3).map(|_| truth(Kind::Id, true)).collect();
        let found = compare(&frames, &[line(0, 10, "ood"), line(1, 10, "ood"), line(2, 10, "ood")]);
        assert!(found.tracks.is_empty() && found.alarms_on_nothing == 0);
        assert!(found.detections.iter().all(|judged| matches!(judged.on, On::Ignored)));
    }

    #[test]
    fn a_part_of_an_unknown_thing_is_ignored_and_one_of_a_known_thing_is_nothing() {
        let on = |kind| {
            let mut part = line(0, 12, "ood");
            (part.objects[0].w, part.objects[0].h) = (8, 8);
            compare(&[truth(kind, false)], &[part]).detections.remove(0).on
        };
        assert!(matches!(on(Kind::NamedOod), On::Ignored));
        assert!(matches!(on(Kind::Id), On::Nothing { .. }));
    }

    #[test]
    fn boxes_on_nothing_that_follow_one_another_are_one_alarm() {
        let frames: Vec<_> = (0..8).map(|_| truth(Kind::Id, false)).collect();
        let lines = [line(0, 60, "ood"), line(1, 61, "ood"), line(2, 62, "ood"), line(6, 20, "ood")];
        assert_eq!(compare(&frames, &lines).alarms_on_nothing, 1);
        assert_eq!(compare(&frames, &lines[..2]).alarms_on_nothing, 0);
    }
}
