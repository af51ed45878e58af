//! A detector's output to boxes in the frame. `Frame ─▶ Detection*`, second half.

use ndarray::{ArrayView, ArrayViewD, Axis, Dimension, Ix1, Ix2};

use super::{Detection, DetectorLabel, DetectorSpec, Mapping, Selection, contract::form, detr, nms, rtdetr, spec::anchors, yolov8, yolox};
use crate::{
    Error, Result,
    geometry::{BBox, Rect},
    models::{Layout, Scores},
};

/// One box of the output, in input pixels until [`decode`] maps it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) bbox: BBox,
    pub(super) class: usize,
    pub(super) score: f32,
}

/// The objects of one frame, the most confident first, clipped to the frame.
///
/// `outputs` are one frame's, N = 1, in the order of [`DetectorSpec::outputs`]. Boxes with a number that is not finite, without
/// area in the frame, or not selected are dropped; what is left goes through class-agnostic NMS. [`Selection::max_objects`] does
/// not apply: who scores the objects decides that.
///
/// # Errors
/// [`Error::Inference`] naming the shapes found and wanted, or a label that is not on the list.
pub fn decode(outputs: &[ArrayViewD<'_, f32>], mapping: &Mapping, spec: &DetectorSpec, selection: &Selection) -> Result<Vec<Detection>> {
    let candidates = candidates(outputs, spec).ok_or_else(|| misfit(outputs, spec))?;
    let candidates = nms::suppress(select(candidates, mapping, spec, selection), selection.iou_threshold);
    let detection = |Candidate { bbox, class, score }: Candidate| {
        let name = spec.labels.get(class).ok_or_else(|| {
            inference(format!(
                "a box has the label {class}, and there are {} names; give the detector's `labels` in uniood.json",
                spec.labels.len()
            ))
        })?;
        let label = u32::try_from(class).ok().map(|id| DetectorLabel { id, name: name.clone() });
        Ok(Detection { bbox: bbox.clipped(mapping.width, mapping.height), confidence: score.min(1.0), label })
    };
    candidates.into_iter().map(detection).collect()
}

/// The boxes of the output; `None` where it has another shape.
fn candidates<'a>(outputs: &[ArrayViewD<'a, f32>], spec: &DetectorSpec) -> Option<Box<dyn Iterator<Item = Candidate> + 'a>> {
    let classes = spec.labels.len();
    Some(match (spec.layout, outputs) {
        (Layout::Yolox, [grid]) => {
            let grid = of_frame::<Ix2>(grid)?;
            let fits = Some(grid.nrows()) == anchors(spec.width, spec.height) && grid.ncols() == classes + 5;
            Box::new(yolox::decode(fits.then_some(&grid)?, spec))
        }
        (Layout::Yolov8, [columns]) => {
            let columns = of_frame::<Ix2>(columns)?;
            Box::new(yolov8::decode((columns.nrows() == classes + 4).then_some(&columns)?))
        }
        (Layout::Detr | Layout::Owlv2, [boxes, logits]) => {
            let boxes = of_frame::<Ix2>(boxes)?;
            // OWLv2's objectness comes without a side for the classes.
            let logits = of_frame::<Ix2>(logits).or_else(|| Some(of_frame::<Ix1>(logits)?.insert_axis(Axis(1))))?;
            let numbers = classes + usize::from(spec.scores == Scores::Softmax);
            let fits = boxes.dim() == (logits.nrows(), 4) && logits.ncols() == numbers;
            Box::new(detr::decode(fits.then_some(&boxes)?, &logits, spec))
        }
        (Layout::Rtdetr, [labels, boxes, scores]) => {
            let (labels, boxes, scores) = (of_frame::<Ix1>(labels)?, of_frame::<Ix2>(boxes)?, of_frame::<Ix1>(scores)?);
            let fits = boxes.dim() == (labels.len(), 4) && scores.len() == labels.len();
            Box::new(rtdetr::decode(&labels, fits.then_some(&boxes)?, &scores))
        }
        _ => return None,
    })
}

/// An output without its first side, where that is 1 and `D` sides are left.
pub(super) fn of_frame<'a, D: Dimension>(output: &ArrayViewD<'a, f32>) -> Option<ArrayView<'a, f32, D>> {
    let is_one = output.shape().first() == Some(&1);
    is_one.then(|| output.clone().index_axis_move(Axis(0), 0))?.into_dimensionality().ok()
}

fn misfit(outputs: &[ArrayViewD<'_, f32>], spec: &DetectorSpec) -> Error {
    let shapes: Vec<String> = outputs.iter().map(|output| format!("{:?}", output.shape())).collect();
    let anchors = if spec.layout == Layout::Yolox { anchors(spec.width, spec.height) } else { None };
    inference(format!(
        "the outputs' shapes are {}; wanted {} with N = 1, K = {}{}",
        shapes.join(", "),
        form(spec.layout),
        spec.labels.len() + usize::from(spec.scores == Scores::Softmax),
        anchors.map(|anchors| format!(", A = {anchors}")).unwrap_or_default()
    ))
}

const fn inference(problem: String) -> Error {
    Error::Inference { stage: "detect", problem }
}

/// Candidates in frame pixels that count as objects. Comparisons are written so that NaN fails them.
fn select(candidates: impl Iterator<Item = Candidate>, mapping: &Mapping, spec: &DetectorSpec, selection: &Selection) -> Vec<Candidate> {
    let wanted: Vec<bool> = spec.labels.iter().map(|label| selection.wants(label)).collect();
    #[expect(clippy::cast_precision_loss, reason = "pixels of a frame, far below 2^24")]
    let smallest = selection.min_object_size as f32;
    let in_frame = |candidate: Candidate| Candidate { bbox: mapping.to_frame(candidate.bbox), ..candidate };
    let counts = |candidate: &Candidate| {
        let BBox { x, y, w, h } = candidate.bbox;
        let clipped = candidate.bbox.clipped(mapping.width, mapping.height);
        [x, y, w, h, candidate.score].iter().all(|number| number.is_finite())
            && candidate.score >= 0.0
            && candidate.score >= selection.detection_threshold
            // A label that has no name is an error, which only boxes that count are worth.
            && wanted.get(candidate.class).is_none_or(|wanted| *wanted)
            && Rect::cover(&candidate.bbox, mapping.width, mapping.height).is_some()
            && clipped.w > 0.0
            && clipped.h > 0.0
            && clipped.w.min(clipped.h) >= smallest
    };
    candidates.map(in_frame).filter(counts).collect()
}

impl Selection {
    /// Whether a detector's label passes [`Selection::object_class`].
    #[must_use]
    pub fn wants(&self, label: &str) -> bool {
        self.object_class.is_empty() || self.object_class.iter().any(|class| class == label)
    }
}

/// The highest class score and the first class that has it; NaN never is the highest.
pub(super) fn best_class(scores: impl Iterator<Item = f32>) -> (usize, f32) {
    scores.enumerate().fold((0, f32::NEG_INFINITY), |best, (class, score)| if score > best.1 { (class, score) } else { best })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::{ArrayD, array};
    use proptest::prelude::*;

    use super::*;
    use crate::models::Resize;

    const MAPPING: Mapping = Mapping { x: 2.0, y: 2.0, width: 100, height: 60 };

    fn spec(layout: Layout, classes: usize) -> DetectorSpec {
        let labels = (0..classes).map(|class| Arc::from(format!("class {class}"))).collect();
        DetectorSpec {
            layout,
            resize: Resize::Letterbox,
            scores: Scores::Sigmoid,
            labels,
            width: 64,
            height: 32,
            mean: [0.0; 3],
            std: [1.0; 3],
            input: "images".to_owned(),
            companion: None,
            outputs: Vec::new(),
        }
    }

    /// Of a detector with one output.
    fn decode(output: ArrayViewD<'_, f32>, mapping: &Mapping, spec: &DetectorSpec, selection: &Selection) -> Result<Vec<Detection>> {
        super::decode(&[output], mapping, spec, selection)
    }

    /// `[1, 4+K, A]` from columns.
    fn yolov8(columns: &[[f32; 6]]) -> ArrayD<f32> {
        ArrayD::from_shape_fn(vec![1, 6, columns.len()], |at| columns[at[2]][at[1]])
    }

    fn loose() -> Selection {
        Selection { detection_threshold: 0.0, min_object_size: 0, ..Selection::default() }
    }

    #[test]
    fn a_yolov8_column_is_a_box_in_frame_pixels_with_its_best_class() {
        let output = yolov8(&[[20.0, 10.0, 8.0, 6.0, 0.2, 0.7]]);
        let found = decode(output.view(), &MAPPING, &spec(Layout::Yolov8, 2), &loose()).unwrap();
        let label = Some(DetectorLabel { id: 1, name: "class 1".into() });
        assert_eq!(found, [Detection { bbox: BBox { x: 32.0, y: 14.0, w: 16.0, h: 12.0 }, confidence: 0.7, label }]);
    }

    #[test]
    fn a_yolox_row_is_offset_by_its_cell_and_scaled_by_its_stride() {
        // 8×4 cells of stride 8, 4×2 of 16, 2×1 of 32: row 32 + 5 is cell (1, 1) of stride 16.
        let mut output = ArrayD::zeros(vec![1, 42, 7]);
        for (column, number) in [0.5, 0.25, 0.0, 2_f32.ln(), 0.8, 0.5, 0.25].into_iter().enumerate() {
            output[[0, 37, column]] = number;
        }
        let spec = spec(Layout::Yolox, 2);
        let found = decode(output.view(), &MAPPING, &spec, &Selection { detection_threshold: 0.1, ..loose() }).unwrap();
        assert_eq!(found.len(), 1);
        let BBox { x, y, w, h } = found[0].bbox;
        // Centre (1.5, 1.25)·16 = (24, 20), sides (16, 32), in frame pixels twice that, cut off below at 60.
        for (found, wanted) in [x, y, w, h].into_iter().zip([32.0, 8.0, 32.0, 52.0]) {
            assert!((found - wanted).abs() < 1e-3, "{found} for {wanted}");
        }
        assert!((found[0].confidence - 0.4).abs() < 1e-6);
        assert_eq!(found[0].label.as_ref().unwrap().id, 0);
    }

    #[test]
    fn what_is_not_selected_does_not_suppress() {
        let spec = spec(Layout::Yolov8, 2);
        let output = yolov8(&[[20.0, 10.0, 8.0, 8.0, 0.9, 0.0], [20.0, 10.0, 8.0, 8.0, 0.0, 0.6], [40.0, 10.0, 4.0, 8.0, 0.5, 0.0]]);
        let scores = |selection: &Selection| {
            let found = decode(output.view(), &MAPPING, &spec, selection).unwrap();
            found.iter().map(|found| found.confidence).collect::<Vec<_>>()
        };
        assert_eq!(scores(&loose()), [0.9, 0.5]);
        assert_eq!(scores(&Selection { object_class: vec!["class 1".to_owned()], ..loose() }), [0.6]);
        assert_eq!(scores(&Selection { min_object_size: 9, ..loose() }), [0.9]);
        assert_eq!(scores(&Selection { detection_threshold: 0.9, ..loose() }), [0.9]);
        assert_eq!(scores(&Selection { iou_threshold: 1.0, ..loose() }), [0.9, 0.6, 0.5]);
    }

    #[test]
    fn the_smaller_side_is_that_of_the_clipped_box() {
        // 20 pixels wide, 6 of them in the frame.
        let output = yolov8(&[[48.0, 10.0, 10.0, 10.0, 0.9, 0.0], [1.5, 20.0, 10.0, 10.0, 0.8, 0.0]]);
        let kept = |smallest| {
            let selection = Selection { min_object_size: smallest, ..loose() };
            decode(output.view(), &MAPPING, &spec(Layout::Yolov8, 2), &selection).unwrap().len()
        };
        assert_eq!((kept(13), kept(14)), (2, 1));
    }

    #[test]
    fn a_wrong_shape_names_what_was_found_and_wanted() {
        let yolox = spec(Layout::Yolox, 2);
        for shape in [vec![1, 42, 8], vec![1, 41, 7], vec![2, 42, 7], vec![42, 7], vec![1, 7, 42], vec![]] {
            let output = ArrayD::<f32>::zeros(shape.clone());
            let error = decode(output.view(), &MAPPING, &yolox, &loose()).unwrap_err().to_string();
            assert!(error.contains(&format!("{shape:?}")) && error.contains("A = 42"), "{error}");
        }
    }

    fn boxes_of(found: &[Detection]) -> Vec<[f32; 4]> {
        found.iter().map(|found| [found.bbox.x, found.bbox.y, found.bbox.w, found.bbox.h].map(f32::round)).collect()
    }

    #[test]
    fn a_detr_query_is_a_box_in_shares_of_the_input_with_its_best_class() {
        // ln 3: odds of 3 to 1.
        let boxes = array![[[0.5, 0.5, 0.25, 0.5], [0.25, 0.25, 0.125, 0.25]]].into_dyn();
        let logits = array![[[0.0, 3_f32.ln(), 3_f32.ln()], [0.0, -9.0, 9.0]]].into_dyn();
        let outputs = [boxes.view(), logits.view()];
        let sigmoid = spec(Layout::Detr, 3);
        let found = super::decode(&outputs, &MAPPING, &sigmoid, &Selection { detection_threshold: 0.7, ..loose() }).unwrap();
        // Input pixels (24, 8) to (40, 24) and (12, 4) to (20, 12), twice that in the frame, less confident ones last.
        assert_eq!(boxes_of(&found), [[24.0, 8.0, 16.0, 16.0], [48.0, 16.0, 32.0, 32.0]]);
        assert!((found[1].confidence - 0.75).abs() < 1e-6 && found[1].label.as_ref().unwrap().id == 1);

        // The last is no object: 3 of 1 + 3 + 3, and next to nothing.
        let softmax = DetectorSpec { scores: Scores::Softmax, ..spec(Layout::Detr, 2) };
        let found = super::decode(&outputs, &MAPPING, &softmax, &Selection { detection_threshold: 0.1, ..loose() }).unwrap();
        assert_eq!(boxes_of(&found), [[48.0, 16.0, 32.0, 32.0]]);
        assert!((found[0].confidence - 3.0 / 7.0).abs() < 1e-6 && found[0].label.as_ref().unwrap().id == 1);
    }

    #[test]
    fn a_query_whose_best_logit_is_no_number_is_dropped() {
        let boxes = array![[[0.5, 0.5, 0.25, 0.5], [0.25, 0.25, 0.125, 0.25]]].into_dyn();
        for nothing in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let logits = ArrayD::from_shape_fn(vec![1, 2, 3], |at| if at[1] == 0 { nothing } else { 1.0 });
            for (scores, classes) in [(Scores::Sigmoid, 3), (Scores::Softmax, 2)] {
                let spec = DetectorSpec { scores, ..spec(Layout::Detr, classes) };
                let found = super::decode(&[boxes.view(), logits.view()], &MAPPING, &spec, &loose()).unwrap();
                assert_eq!(boxes_of(&found), [[24.0, 8.0, 16.0, 16.0]], "{nothing} {scores:?}");
            }
        }
    }

    #[test]
    fn an_rtdetr_row_is_a_box_between_corners_of_the_input() {
        let labels = array![[1.0, 0.0, 7.0]].into_dyn();
        let boxes = array![[[10.0, 5.0, 20.0, 15.0], [30.0, 0.0, 40.0, 8.0], [0.0, 0.0, 9.0, 9.0]]].into_dyn();
        let scores = array![[0.5, 0.9, 0.2]].into_dyn();
        let (outputs, spec) = ([labels.view(), boxes.view(), scores.view()], spec(Layout::Rtdetr, 2));
        let found = super::decode(&outputs, &MAPPING, &spec, &Selection { detection_threshold: 0.3, ..loose() }).unwrap();
        assert_eq!(boxes_of(&found), [[60.0, 0.0, 20.0, 16.0], [20.0, 10.0, 20.0, 20.0]]);
        assert_eq!(found.iter().map(|found| found.label.as_ref().unwrap().id).collect::<Vec<_>>(), [0, 1]);
        let error = super::decode(&outputs, &MAPPING, &spec, &loose()).unwrap_err().to_string();
        assert!(error.contains("label 7") && error.contains("2 names"), "{error}");
    }

    fn number() -> impl Strategy<Value = f32> {
        prop_oneof![8 => -2f32..80.0, 4 => 0f32..1.0, 1 => any::<f32>(), 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn whatever_the_numbers_what_comes_out_is_sound(
            yolox: bool,
            numbers in prop::collection::vec(number(), 42 * 7),
            (detection_threshold, iou_threshold) in (0f32..1.0, 0f32..1.0),
            min_object_size in 0_u32..20,
        ) {
            let layout = if yolox { Layout::Yolox } else { Layout::Yolov8 };
            let (classes, shape) = if yolox { (2, [1, 42, 7]) } else { (3, [1, 7, 42]) };
            let output = ArrayD::from_shape_vec(shape.to_vec(), numbers).unwrap();
            let selection = Selection { detection_threshold, iou_threshold, min_object_size, ..Selection::default() };
            let found = decode(output.view(), &MAPPING, &spec(layout, classes), &selection).unwrap();
            prop_assert!(found.is_sorted_by(|a, b| a.confidence >= b.confidence));
            for Detection { bbox: BBox { x, y, w, h }, confidence, label } in &found {
                prop_assert!((detection_threshold..=1.0).contains(confidence));
                prop_assert!(label.is_some());
                prop_assert!(*x >= 0.0 && *y >= 0.0 && x + w <= 100.001 && y + h <= 60.001, "{x} {y} {w} {h}");
                #[expect(clippy::cast_precision_loss, reason = "below 20")]
                let smallest = min_object_size as f32;
                prop_assert!(*w > 0.0 && *h > 0.0 && w.min(*h) >= smallest);
                let rect = Rect::cover(&BBox { x: *x, y: *y, w: *w, h: *h }, 100, 60);
                prop_assert!(rect.is_some(), "every detection has pixels");
            }
        }

        #[test]
        fn whatever_queries_say_what_comes_out_is_sound(
            layout in prop_oneof![Just(Layout::Detr), Just(Layout::Rtdetr), Just(Layout::Owlv2)],
            softmax: bool,
            numbers in prop::collection::vec(number(), 9 * 4),
            others in prop::collection::vec(number(), 9 * 3),
        ) {
            let scores = if softmax { Scores::Softmax } else { Scores::Sigmoid };
            let spec = DetectorSpec { scores, ..spec(layout, if softmax { 2 } else { 3 }) };
            let boxes = ArrayD::from_shape_vec(vec![1, 9, 4], numbers).unwrap();
            let logits = ArrayD::from_shape_vec(vec![1, 9, 3], others.clone()).unwrap();
            let rows = |first: usize| ArrayD::from_shape_vec(vec![1, 9], others[first..first + 9].to_vec()).unwrap();
            let (labels, confidences) = (rows(0), rows(9));
            let found = if layout == Layout::Rtdetr {
                super::decode(&[labels.view(), boxes.view(), confidences.view()], &MAPPING, &spec, &loose())
            } else {
                super::decode(&[boxes.view(), logits.view()], &MAPPING, &spec, &loose())
            };
            let labels_fit = labels.iter().all(|label| (0.0..2.0).contains(label));
            prop_assert!(found.is_ok() || layout == Layout::Rtdetr && !labels_fit);
            for Detection { bbox: BBox { x, y, w, h }, confidence, .. } in found.unwrap_or_default() {
                prop_assert!((0.0..=1.0).contains(&confidence));
                prop_assert!(x >= 0.0 && y >= 0.0 && w > 0.0 && h > 0.0 && x + w <= 100.001 && y + h <= 60.001, "{} {} {} {}", x, y, w, h);
            }
            // Other numbers of boxes and classes are told.
            prop_assert!(super::decode(&[boxes.view(), confidences.view(), labels.view()], &MAPPING, &spec, &loose()).is_err());
            prop_assert!(super::decode(&[logits.view(), boxes.view()], &MAPPING, &spec, &loose()).is_err());
        }

        #[test]
        fn whatever_the_shape_there_is_no_panic(
            yolox: bool,
            shape in prop::collection::vec(0_usize..9, 0..5),
            classes in 1_usize..4,
            fill in number(),
        ) {
            let layout = if yolox { Layout::Yolox } else { Layout::Yolov8 };
            let output = ArrayD::from_elem(shape.clone(), fill);
            let fits = !yolox && shape.len() == 3 && shape[0] == 1 && shape[1] == 4 + classes;
            prop_assert_eq!(decode(output.view(), &MAPPING, &spec(layout, classes), &loose()).is_ok(), fits);
        }
    }
}
