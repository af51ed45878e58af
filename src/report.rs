//! JSON lines: a frame's, `uniood.frame/1`, gvametaconvert's shape and one attribute more, `ood`; and a track's ([`TrackReport`]).
//!
//! The forms live here alone. Readers ignore keys they do not know; a change that breaks one gets a new version in its schema.

mod object;
mod track;

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};

pub use object::{BoundingBox, DetectionReport, ModelReport, ObjectReport, OodReport};
pub use track::{TRACK_SCHEMA, TrackReport, ViewReport, is_track};

use crate::engine::Answer;

/// The version of a frame's form.
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
    /// The run it is of, where frames of several may come together.
    pub run: Option<&'a str>,
}

/// A frame's line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameReport<'a> {
    /// [`SCHEMA`].
    pub schema: Cow<'a, str>,
    /// Which stream the frame is of.
    pub stream_id: Cow<'a, str>,
    /// The run it is of: numbers and times begin anew with each. Absent where nobody named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<Cow<'a, str>>,
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
            run_id: header.run.map(Cow::from),
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

/// Milliseconds to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        detect::{Detection, DetectorLabel},
        engine::Timings,
        geometry::{BBox, Rect},
        verdict::{Object, Reason, Scored, Verdict},
    };

    const HEADER: FrameHeader<'static> = FrameHeader {
        stream_id: "cam-3",
        frame_id: 412,
        timestamp: Some(13_733_333_333),
        resolution: (960, 540),
        source: Some("dashcam.mp4"),
        model: "street-tiny",
        run: None,
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
}
