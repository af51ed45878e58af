//! One frame as a JSON line: `uniood.frame/1`, gvametaconvert's shape and one attribute more, `ood`.
//!
//! The form lives in this file alone. Readers ignore keys they do not know; a change that breaks one gets a new
//! version in [`SCHEMA`].

use std::{borrow::Cow, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::{
    engine::Answer,
    verdict::{Object, Scored, Verdict},
};

/// The version of the form.
pub const SCHEMA: &str = "uniood.frame/1";

/// What a line says of a frame beside its verdicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHeader<'a> {
    /// Which stream the frame is of.
    pub stream_id: &'a str,
    /// Its number in the stream, from 0.
    pub frame_id: u64,
    /// Its presentation timestamp in nanoseconds; absent for pictures.
    pub timestamp: Option<u64>,
    /// Width and height in pixels.
    pub resolution: (u32, u32),
    /// The file, picture or address it came from, where that is known.
    pub source: Option<&'a str>,
    /// The model set's name.
    pub model: &'a str,
}

/// A frame's line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameReport<'a> {
    /// [`SCHEMA`].
    pub schema: Cow<'a, str>,
    /// Which stream the frame is of.
    pub stream_id: Cow<'a, str>,
    /// Its number in the stream, from 0.
    pub frame_id: u64,
    /// Nanoseconds; absent for pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// In pixels.
    pub resolution: Resolution,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Cow<'a, str>>,
    /// What was found in it.
    pub objects: Vec<ObjectReport<'a>>,
    /// The frame's own verdict; `null` where the scope does not include it.
    pub image: Option<OodReport<'a>>,
    /// Where the time went.
    pub timings_ms: TimingsReport,
    /// Set where the line tells of the stream itself, and of no frame: see [`FrameReport::of_event`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Cow<'a, str>>,
    /// Why the frame went on unscored, or what befell the stream; `null` where nothing did.
    pub error: Option<Cow<'a, str>>,
}

/// A frame's size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectReport<'a> {
    /// The track; absent without a tracker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Its number in the frame, from 0.
    pub region_id: usize,
    /// Left edge of the pixels that were scored.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
    /// The detector's label, or `object`.
    pub roi_type: Cow<'a, str>,
    /// What the detector said.
    pub detection: DetectionReport<'a>,
    /// The verdict.
    pub ood: OodReport<'a>,
}

/// What a detector said of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectionReport<'a> {
    /// In shares of the frame's sides, clipped to it.
    pub bounding_box: BoundingBox,
    /// 0..=1.
    pub confidence: f32,
    /// The detector's own class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Cow<'a, str>>,
    /// Its index in the detector's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_id: Option<u32>,
}

/// A box in shares of the frame's sides, 0..=1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BoundingBox {
    pub x_min: f32,
    pub y_min: f32,
    pub x_max: f32,
    pub y_max: f32,
}

/// A verdict. **omega: higher is more ID.**
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OodReport<'a> {
    /// `id`, `ood` or `unscored`.
    pub label: Cow<'a, str>,
    /// Why it is unscored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// `max_c Ω_c`; along a track, that of its median observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omega: Option<f32>,
    /// δ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Share of the calibration's ID objects that score lower; absent without calibration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentile: Option<f32>,
    /// The class of the highest Ω.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Cow<'a, str>>,
    /// Ω by class, 9 significant digits; only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Map<String, Value>>,
    /// Plain CLIP's cosine by class, 9 significant digits; only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosines: Option<Map<String, Value>>,
    /// Scores of the track behind it; absent without a tracker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observations: Option<u32>,
    /// Which model said so; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelReport<'a>>,
}

/// The model set behind a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelReport<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
}

/// Milliseconds spent on a frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TimingsReport {
    /// Waiting for the detector and for batches; 0 in lines from before it was told.
    #[serde(default)]
    pub queue: f64,
    /// Detector.
    pub detect: f64,
    /// Pixels and dual encoder.
    pub encode: f64,
    /// From the engine's entry to its answer, queues included.
    pub total: f64,
}

impl<'a> FrameReport<'a> {
    /// What an answer says, as it is written.
    #[must_use]
    pub fn new(header: &FrameHeader<'a>, answer: &'a Answer) -> Self {
        let objects = answer.objects.iter().enumerate();
        Self {
            objects: objects.map(|(region_id, object)| ObjectReport::new(region_id, object, header)).collect(),
            image: answer.image.as_ref().map(|verdict| OodReport::new(verdict, header.model)),
            timings_ms: TimingsReport {
                queue: milliseconds(answer.timings.queue),
                detect: milliseconds(answer.timings.detect),
                encode: milliseconds(answer.timings.encode),
                total: milliseconds(answer.timings.total),
            },
            error: answer.error.as_deref().map(Cow::from),
            ..Self::empty(header)
        }
    }

    /// What befell the stream between two frames. The header's number is that of the frame that comes next, and its time is
    /// not before the last frame's, so that lines stay in order.
    #[must_use]
    pub fn of_event(header: &FrameHeader<'a>, event: &'a str, error: Option<&'a str>) -> Self {
        Self { event: Some(event.into()), error: error.map(Cow::from), ..Self::empty(header) }
    }

    /// What the header says, and nothing seen.
    fn empty(header: &FrameHeader<'a>) -> Self {
        Self {
            schema: SCHEMA.into(),
            stream_id: header.stream_id.into(),
            frame_id: header.frame_id,
            timestamp: header.timestamp,
            resolution: Resolution { width: header.resolution.0, height: header.resolution.1 },
            source: header.source.map(Cow::from),
            objects: Vec::new(),
            image: None,
            timings_ms: TimingsReport { queue: 0.0, detect: 0.0, encode: 0.0, total: 0.0 },
            event: None,
            error: None,
        }
    }

    /// One line of JSON, without the line's end.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("every key is a string and every value has a JSON form")
    }
}

impl<'a> ObjectReport<'a> {
    fn new(region_id: usize, object: &'a Object, header: &FrameHeader<'a>) -> Self {
        let (rect, detection) = (&object.rect, &object.detection);
        let label = detection.label.as_ref();
        Self {
            id: object.track.map(|track| track.id),
            region_id,
            x: rect.x(),
            y: rect.y(),
            w: rect.w(),
            h: rect.h(),
            roi_type: label.map_or("object", |label| &label.name).into(),
            detection: DetectionReport {
                bounding_box: BoundingBox::new(object, header.resolution),
                confidence: detection.confidence,
                label: label.map(|label| Cow::from(&*label.name)),
                label_id: label.map(|label| label.id),
            },
            ood: OodReport {
                observations: object.track.map(|track| track.observations).filter(|observations| *observations > 0),
                ..OodReport::new(&object.verdict, header.model)
            },
        }
    }
}

impl BoundingBox {
    fn new(object: &Object, (width, height): (u32, u32)) -> Self {
        let bbox = object.detection.bbox.clipped(width, height);
        #[expect(clippy::cast_precision_loss, reason = "frames are far below 2^24 pixels a side")]
        let (width, height) = (width as f32, height as f32);
        Self { x_min: bbox.x / width, y_min: bbox.y / height, x_max: (bbox.x + bbox.w) / width, y_max: (bbox.y + bbox.h) / height }
    }
}

impl<'a> OodReport<'a> {
    /// What a verdict says, as it is written.
    #[must_use]
    pub fn new(verdict: &'a Verdict, model: &'a str) -> Self {
        let unscored = Self {
            label: "unscored".into(),
            reason: None,
            omega: None,
            threshold: None,
            percentile: None,
            nearest: None,
            scores: None,
            cosines: None,
            observations: None,
            model: None,
        };
        match verdict {
            Verdict::Unscored(reason) => Self { reason: Some(reason.as_str().into()), ..unscored },
            Verdict::Scored(Scored { ood, omega, threshold, percentile, nearest, omegas, cosines }) => Self {
                label: if *ood { "ood" } else { "id" }.into(),
                omega: Some(*omega),
                threshold: Some(*threshold),
                percentile: *percentile,
                nearest: Some((&**nearest).into()),
                scores: omegas.as_deref().map(by_class),
                cosines: cosines.as_deref().map(by_class),
                model: Some(ModelReport { name: model.into() }),
                ..unscored
            },
        }
    }
}

/// Scores by class, 9 significant digits: as many as an `f32` needs to come back the same.
fn by_class(scores: &[(Arc<str>, f32)]) -> Map<String, Value> {
    let digits =
        |score: &f32| format!("{:.8e}", f64::from(*score)).parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number);
    scores.iter().map(|(class, score)| (class.to_string(), digits(score))).collect()
}

/// Milliseconds to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        detect::{Detection, DetectorLabel},
        engine::Timings,
        geometry::{BBox, Rect},
        verdict::Reason,
    };

    const HEADER: FrameHeader<'static> = FrameHeader {
        stream_id: "cam-3",
        frame_id: 412,
        timestamp: Some(13_733_333_333),
        resolution: (960, 540),
        source: Some("dashcam.mp4"),
        model: "street-tiny",
    };

    fn answer() -> Answer {
        let bbox = BBox { x: 12.5, y: 20.0, w: 71.0, h: 97.0 };
        let rect = Rect::cover(&bbox, 960, 540).unwrap();
        let truck: Arc<str> = "truck".into();
        let scored = Scored {
            ood: true,
            omega: 0.2141,
            threshold: 0.243,
            percentile: Some(0.012),
            nearest: truck.clone(),
            omegas: Some(vec![(truck, 0.2141), ("car".into(), 0.205)]),
            cosines: None,
        };
        let label = Some(DetectorLabel { id: 2, name: "car".into() });
        let object = |verdict, label| Object { rect, detection: Detection { bbox, confidence: 0.91, label }, verdict, track: None };
        Answer {
            objects: vec![object(Verdict::Scored(scored), label), object(Verdict::Unscored(Reason::MaxObjects), None)],
            timings: Timings {
                queue: Duration::from_micros(900),
                detect: Duration::from_micros(3100),
                encode: Duration::from_nanos(21_700_400),
                total: Duration::from_millis(26),
            },
            ..Answer::default()
        }
    }

    #[test]
    fn a_frame_is_one_line_of_the_documented_form() {
        let answer = answer();
        let line = FrameReport::new(&HEADER, &answer).to_line();
        assert_eq!(
            line,
            concat!(
                r#"{"schema":"uniood.frame/1","stream_id":"cam-3","frame_id":412,"timestamp":13733333333,"#,
                r#""resolution":{"width":960,"height":540},"source":"dashcam.mp4","objects":[{"region_id":0,"x":12,"y":20,"w":72,"h":97,"#,
                r#""roi_type":"car","detection":{"bounding_box":{"x_min":0.013020833,"y_min":0.037037037,"x_max":0.086979166,"y_max":0.21666667},"#,
                r#""confidence":0.91,"label":"car","label_id":2},"ood":{"label":"ood","omega":0.2141,"threshold":0.243,"percentile":0.012,"#,
                r#""nearest":"truck","scores":{"truck":0.214100003,"car":0.204999998},"model":{"name":"street-tiny"}}},"#,
                r#"{"region_id":1,"x":12,"y":20,"w":72,"h":97,"roi_type":"object","detection":{"bounding_box":{"x_min":0.013020833,"#,
                r#""y_min":0.037037037,"x_max":0.086979166,"y_max":0.21666667},"confidence":0.91},"ood":{"label":"unscored","reason":"max-objects"}}],"#,
                r#""image":null,"timings_ms":{"queue":0.9,"detect":3.1,"encode":21.7,"total":26.0},"error":null}"#,
            )
        );
    }

    #[test]
    fn an_event_is_a_line_without_objects() {
        let line = FrameReport::of_event(&HEADER, "lost", Some("the camera closed the connection")).to_line();
        assert_eq!(
            line,
            concat!(
                r#"{"schema":"uniood.frame/1","stream_id":"cam-3","frame_id":412,"timestamp":13733333333,"resolution":{"width":960,"height":540},"#,
                r#""source":"dashcam.mp4","objects":[],"image":null,"timings_ms":{"queue":0.0,"detect":0.0,"encode":0.0,"total":0.0},"#,
                r#""event":"lost","error":"the camera closed the connection"}"#,
            )
        );
    }

    #[test]
    fn a_line_reads_back_and_unknown_keys_are_passed_over() {
        let answer = answer();
        let report = FrameReport::new(&HEADER, &answer);
        let line = report.to_line().replacen('{', r#"{"later":1,"#, 1);
        assert_eq!(serde_json::from_str::<FrameReport>(&line).unwrap(), report);
    }

    #[test]
    fn nine_digits_bring_an_f32_back() {
        for bits in (0x3d00_0000_u32..0x3f80_0000).step_by(99_991) {
            let score = f32::from_bits(bits);
            let written = serde_json::to_string(&by_class(&[("c".into(), score)])).unwrap();
            let read: std::collections::HashMap<String, f64> = serde_json::from_str(&written).unwrap();
            #[expect(clippy::cast_possible_truncation, reason = "that is the question")]
            let back = read["c"] as f32;
            assert_eq!(back.to_bits(), bits, "{written}");
        }
    }
}
