//! The object-level protocol's own threshold of the detector: the confidence of best F1 on the ID set's labelled boxes.
//!
//! The protocol takes each class's own and their mean; detectors are used class-agnostically here, so there is one.

use super::{
    matching::matched_above,
    pass::{Progress, Stage, Watch},
    sets::Part,
};
use crate::{
    Error, Result,
    data::{Faults, Place},
    detect::Selection,
    engine::Detector,
    frame::FrameSource,
    geometry::BBox,
};

/// Detections below it are never taken.
const LEAST: f32 = 0.05;

/// A detection is right above this IoU, as the field counts for a detector's own quality.
const RIGHT: f32 = 0.5;

/// The confidence of best F1 on the labels of a set.
///
/// # Errors
/// [`Error::Content`] where it has no boxes, or none is found; what the detector and `faults` refuse.
pub(super) fn best_f1(
    detector: &mut Detector,
    part: &Part,
    selection: &Selection,
    faults: &mut Faults,
    watch: &mut Watch<'_>,
) -> Result<f32> {
    let selection = Selection { detection_threshold: LEAST, ..selection.clone() };
    let (mut found, mut labelled) = (Vec::new(), 0);
    let total = part.data.pictures.len();
    for (done, picture) in part.data.pictures.iter().enumerate() {
        watch(Progress { stage: Stage::Threshold, done, total })?;
        let pixels = match picture.read() {
            Ok(pixels) => pixels,
            Err(fault @ (Error::File { .. } | Error::Content { .. })) => {
                faults.add(fault)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let detections = detector.detect(&[(pixels.frame(), &selection)])?.pop().unwrap_or_default();
        let boxes: Vec<(BBox, bool)> = picture
            .objects
            .iter()
            .filter_map(|object| match object.place {
                Place::Box(bbox) => Some((bbox, object.ignore)),
                Place::Whole => None,
            })
            .collect();
        labelled += boxes.iter().filter(|(_, ignore)| !ignore).count();
        let truth: Vec<BBox> = boxes.iter().map(|(bbox, _)| *bbox).collect();
        let detected: Vec<(BBox, f32)> = detections.iter().map(|detection| (detection.bbox, detection.confidence)).collect();
        let matches = matched_above(RIGHT, &truth, &detected);
        let counts = |(&(_, confidence), hit): (&(BBox, f32), Option<usize>)| match hit {
            Some(object) if boxes[object].1 => None,
            hit => Some((confidence, hit.is_some())),
        };
        found.extend(detected.iter().zip(matches).filter_map(counts));
    }
    let none = |problem: &str| {
        Error::content(&part.data.path, format!("{problem}, so that there is no best F1; give a number to --detection-threshold"))
    };
    if labelled == 0 {
        return Err(none("it has no boxes"));
    }
    best(found, labelled).ok_or_else(|| none("the detector finds none of its objects"))
}

/// The highest confidence of best F1 among detections, each right or not; `None` where none is right.
fn best(mut found: Vec<(f32, bool)>, labelled: usize) -> Option<f32> {
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut right, mut taken) = (0_usize, 0_usize);
    let mut best: Option<(f64, f32)> = None;
    #[expect(clippy::float_cmp, reason = "equal confidences are one threshold")]
    for equal in found.chunk_by(|a, b| a.0 == b.0) {
        right += equal.iter().filter(|(_, right)| *right).count();
        taken += equal.len();
        #[expect(clippy::cast_precision_loss, reason = "counts of boxes")]
        let f1 = 2.0 * right as f64 / (taken + labelled) as f64;
        if right > 0 && best.is_none_or(|(most, _)| f1 > most) {
            best = Some((f1, equal[0].0));
        }
    }
    best.map(|(_, confidence)| confidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_f1_weighs_what_is_found_against_what_is_wrong() {
        // Four labels: F1 is 2/5, 4/6, 4/7, 6/8, 6/9 at each step.
        let found = vec![(0.4, false), (0.9, true), (0.8, true), (0.7, false), (0.6, true)];
        assert_eq!(best(found, 4), Some(0.6));
        // Equal confidences come together: 2·1/(2 + 2) beats nothing before it.
        assert_eq!(best(vec![(0.5, false), (0.5, true)], 2), Some(0.5));
        assert_eq!(best(vec![(0.5, false)], 2), None);
    }
}
