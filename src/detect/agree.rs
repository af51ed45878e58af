//! How sure an open-vocabulary detector is of a class where an object is. `(Frame, BBox*) ─▶ agreement [B, K]`.

use ndarray::{Array2, ArrayViewD, Ix2};

use super::{DetectorSpec, Mapping, decode::of_frame};
use crate::{Error, Result, geometry::BBox};

/// A detector's own box speaks of an object that it overlaps by this much.
const LEAST_IOU: f32 = 0.2;

/// For each of `boxes`, in frame pixels, and each of the texts, the largest confidence of the detector's own boxes there; 0
/// where it has none.
///
/// `outputs` are one frame's: boxes `[1, P, 4]` and logits `[1, P, K]`, as [`Layout::Owlv2`](crate::models::Layout::Owlv2) has them.
///
/// # Errors
/// [`Error::Inference`] where they have other shapes.
pub fn agreement(outputs: &[ArrayViewD<'_, f32>], mapping: &Mapping, spec: &DetectorSpec, boxes: &[BBox]) -> Result<Array2<f32>> {
    let texts = spec.labels.len();
    let found = match outputs {
        [at, logits] => {
            let rows = of_frame::<Ix2>(at).zip(of_frame::<Ix2>(logits));
            rows.filter(|(at, logits)| at.dim() == (logits.nrows(), 4) && logits.ncols() == texts)
        }
        _ => None,
    };
    let (at, logits) = found.ok_or_else(|| Error::Inference {
        stage: "detect",
        problem: format!("the outputs have other shapes than boxes [1, P, 4] and logits [1, P, {texts}]"),
    })?;
    #[expect(clippy::cast_precision_loss, reason = "sides of at most 2^14")]
    let (width, height) = (spec.width as f32, spec.height as f32);
    let mut agreement = Array2::zeros((boxes.len(), texts));
    for (at, logits) in at.outer_iter().zip(logits.outer_iter()) {
        let own = mapping.to_frame(BBox::from_center(at[0] * width, at[1] * height, at[2] * width, at[3] * height));
        let own = own.clipped(mapping.width, mapping.height);
        // An edge that is no number would leave it to the others how much is covered.
        if ![own.x, own.y, own.w, own.h].iter().all(|number| number.is_finite()) {
            continue;
        }
        for (bbox, mut most) in boxes.iter().zip(agreement.outer_iter_mut()) {
            if own.iou(bbox) >= LEAST_IOU {
                most.zip_mut_with(&logits, |most: &mut f32, logit| *most = most.max(1.0 / (1.0 + (-logit).exp())));
            }
        }
    }
    Ok(agreement)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::{Axis, arr2, array};

    use super::*;
    use crate::models::{Layout, Resize, Scores};

    #[test]
    fn the_surest_of_the_boxes_that_overlap_speaks_for_each_text() {
        let spec = DetectorSpec {
            layout: Layout::Owlv2,
            resize: Resize::Letterbox,
            scores: Scores::Sigmoid,
            labels: vec![Arc::from("car"), Arc::from("bus")],
            width: 100,
            height: 100,
            mean: [0.0; 3],
            std: [1.0; 3],
            input: String::new(),
            companion: None,
            outputs: Vec::new(),
        };
        let mapping = Mapping { x: 2.0, y: 2.0, width: 200, height: 100 };
        // In the frame: 20 to 60 across and down, twice; one beside it; one that is nowhere, and one from 40 to 120 across alone.
        let boxes = [[0.2; 4], [0.2; 4], [0.8, 0.2, 0.2, 0.2], [f32::NAN, 0.2, 0.2, 0.2], [0.4, f32::NAN, 0.4, 0.2]];
        let boxes = arr2(&boxes).insert_axis(Axis(0)).into_dyn();
        let logits = array![[[0.0, -9.0], [-9.0, 3_f32.ln()], [9.0, 9.0], [9.0, 9.0], [9.0, 9.0]]].into_dyn();
        let outputs = [boxes.view(), logits.view()];
        // IoU 1; a fifth and a little less of it; none.
        let asked = [
            BBox { x: 20.0, y: 20.0, w: 40.0, h: 40.0 },
            BBox { x: 20.0, y: 20.0, w: 8.1, h: 40.0 },
            BBox { x: 20.0, y: 20.0, w: 7.9, h: 40.0 },
            BBox { x: 90.0, y: 70.0, w: 9.0, h: 9.0 },
        ];
        let found = agreement(&outputs, &mapping, &spec, &asked).unwrap();
        let wanted = array![[0.5, 0.75], [0.5, 0.75], [0.0, 0.0], [0.0, 0.0]];
        assert!(found.iter().zip(&wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-6), "{found}");
        assert!(agreement(&outputs[..1], &mapping, &spec, &asked).unwrap_err().to_string().contains("[1, P, 2]"));
    }
}
