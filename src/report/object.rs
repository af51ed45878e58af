//! One object of a frame, and a verdict, as they are written.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::FrameHeader;
use crate::verdict::{Object, Scored, Verdict};

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

impl<'a> ObjectReport<'a> {
    pub(super) fn new(region_id: usize, object: &'a Object, header: &FrameHeader<'a>) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

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
