//! News of a track as a JSON line: `uniood.track/1`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{FrameHeader, OodReport, Resolution};
use crate::track::{TrackEvent, View};

/// The version of the form.
pub const TRACK_SCHEMA: &str = "uniood.track/1";

/// How a line of this form begins.
const BEGINNING: &[u8] = br#"{"schema":"uniood.track/"#;

/// A track's line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackReport<'a> {
    /// [`TRACK_SCHEMA`].
    pub schema: Cow<'a, str>,
    /// `start`, `update` or `end`.
    pub event: Cow<'a, str>,
    /// Which stream the track is of.
    pub stream_id: Cow<'a, str>,
    /// As in a frame's line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<Cow<'a, str>>,
    /// The track: `id` of its objects in frames' lines.
    pub id: u64,
    /// Of the frames, in pixels.
    pub resolution: Resolution,
    /// Where the stream came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Cow<'a, str>>,
    /// The detector's label in the best view, or `object`.
    pub roi_type: Cow<'a, str>,
    /// Frames that it was seen in.
    pub frames: u64,
    /// Those of them in which it was called OOD.
    pub ood_frames: u64,
    /// As it was seen first.
    pub first: ViewReport,
    /// As it was seen last.
    pub last: ViewReport,
    /// As it was seen best: most pixels, weighed by confidence.
    pub best: ViewReport,
    /// The last verdict.
    pub ood: OodReport<'a>,
}

/// A track's object in one frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ViewReport {
    /// The frame's number.
    pub frame_id: u64,
    /// Its time in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// Left edge of its pixels.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
    /// 0..=1.
    pub confidence: f32,
}

impl<'a> TrackReport<'a> {
    /// What an event says, as it is written; of the header's frame its stream counts.
    #[must_use]
    pub fn new(header: &FrameHeader<'a>, TrackEvent { happening, course }: &'a TrackEvent) -> Self {
        Self {
            schema: TRACK_SCHEMA.into(),
            event: happening.as_str().into(),
            stream_id: header.stream_id.into(),
            run_id: header.run.map(Cow::from),
            id: course.id,
            resolution: Resolution { width: header.resolution.0, height: header.resolution.1 },
            source: header.source.map(Cow::from),
            roi_type: course.label.as_deref().unwrap_or("object").into(),
            frames: course.frames,
            ood_frames: course.ood_frames,
            first: (&course.first).into(),
            last: (&course.last).into(),
            best: (&course.best).into(),
            ood: OodReport { observations: Some(course.observations), ..OodReport::new(&course.verdict, header.model) },
        }
    }

    /// One line of JSON, without the line's end.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("every key is a string and every value has a JSON form")
    }
}

impl From<&View> for ViewReport {
    fn from(View { frame_id, timestamp, rect, confidence }: &View) -> Self {
        let (x, y, w, h) = (rect.x(), rect.y(), rect.w(), rect.h());
        Self { frame_id: *frame_id, timestamp: *timestamp, x, y, w, h, confidence: *confidence }
    }
}

/// Whether a line of ours tells of a track, and of no frame.
#[must_use]
pub fn is_track(line: &[u8]) -> bool {
    line.starts_with(BEGINNING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        geometry::{BBox, Rect},
        track::{Course, Happening},
        verdict::{Scored, Verdict},
    };

    #[test]
    fn a_track_is_one_line_of_the_documented_form() {
        let view = |frame_id: u64, x: f32| {
            let rect = Rect::cover(&BBox { x, y: 20.0, w: 72.0, h: 97.0 }, 960, 540).unwrap();
            View { frame_id, timestamp: Some(frame_id * 1000), rect, confidence: 0.5 }
        };
        let scored =
            Scored { ood: true, omega: 0.2141, threshold: 0.243, percentile: None, nearest: "truck".into(), omegas: None, cosines: None };
        let course = Course {
            id: 17,
            label: Some("car".into()),
            first: view(400, 10.0),
            last: view(412, 22.0),
            best: view(405, 15.0),
            frames: 12,
            ood_frames: 9,
            verdict: Verdict::Scored(scored),
            observations: 5,
        };
        let header = FrameHeader {
            stream_id: "cam-3",
            frame_id: 440,
            timestamp: Some(440_000),
            resolution: (960, 540),
            source: Some("dashcam.mp4"),
            model: "street",
            run: Some("2026-11-25T08:00:00.000Z"),
        };
        let event = TrackEvent { happening: Happening::End, course };
        let report = TrackReport::new(&header, &event);
        let line = report.to_line();
        assert_eq!(
            line,
            concat!(
                r#"{"schema":"uniood.track/1","event":"end","stream_id":"cam-3","run_id":"2026-11-25T08:00:00.000Z","id":17,"#,
                r#""resolution":{"width":960,"height":540},"source":"dashcam.mp4","roi_type":"car","frames":12,"ood_frames":9,"#,
                r#""first":{"frame_id":400,"timestamp":400000,"x":10,"y":20,"w":72,"h":97,"confidence":0.5},"#,
                r#""last":{"frame_id":412,"timestamp":412000,"x":22,"y":20,"w":72,"h":97,"confidence":0.5},"#,
                r#""best":{"frame_id":405,"timestamp":405000,"x":15,"y":20,"w":72,"h":97,"confidence":0.5},"#,
                r#""ood":{"label":"ood","omega":0.2141,"threshold":0.243,"nearest":"truck","observations":5,"model":{"name":"street"}}}"#,
            )
        );
        assert!(is_track(line.as_bytes()) && !is_track(br#"{"schema":"uniood.frame/1"}"#));
        assert_eq!(serde_json::from_str::<TrackReport<'_>>(&line).unwrap(), report);
    }
}
