//! DETR's sets of queries: boxes `[Q, 4]` as cx, cy, w, h in shares of the input, and logits `[Q, K]`, or `[Q, K+1]` with no object last.
//!
//! Sources: DETR, arXiv 2005.12872, and transformers' `post_process_object_detection` (softmax); Deformable DETR, arXiv
//! 2010.04159, whose sigmoids RT-DETR, RF-DETR and OWLv2 took over.

use ndarray::ArrayView2;

use super::{Candidate, DetectorSpec};
use crate::{geometry::BBox, models::Scores};

/// Boxes in input pixels, in the queries' order; score = that of the best class.
pub(super) fn decode<'a>(
    boxes: &ArrayView2<'a, f32>,
    logits: &ArrayView2<'a, f32>,
    spec: &DetectorSpec,
) -> impl Iterator<Item = Candidate> + use<'a> {
    #[expect(clippy::cast_precision_loss, reason = "sides of at most 2^14")]
    let (width, height) = (spec.width as f32, spec.height as f32);
    let (scores, classes) = (spec.scores, spec.labels.len());
    (*boxes).into_outer_iter().zip((*logits).into_outer_iter()).map(move |(at, logits)| {
        let bbox = BBox::from_center(at[0] * width, at[1] * height, at[2] * width, at[3] * height);
        let (class, logit) = super::best_class(logits.iter().take(classes).copied());
        // Not finite, it is to be dropped with its box; a sigmoid would make a number of it.
        let logit = if logit.is_finite() { logit } else { f32::NAN };
        let score = match scores {
            Scores::Sigmoid => 1.0 / (1.0 + (-logit).exp()),
            Scores::Softmax => {
                let most = logits.fold(f32::NEG_INFINITY, |most, logit| most.max(*logit));
                (logit - most).exp() / logits.iter().map(|logit| (logit - most).exp()).sum::<f32>()
            }
        };
        Candidate { bbox, class, score }
    })
}
