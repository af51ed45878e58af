//! RT-DETR's and D-FINE's deployed output: per query a label `[Q]`, a box between corners `[Q, 4]` in pixels of the size that
//! was asked for, here the input's, and a score `[Q]`.
//!
//! Source: RT-DETR, arXiv 2304.08069; `RTDETRPostProcessor` in deploy mode, `tools/export_onnx.py` of its repository and D-FINE's.

use ndarray::{ArrayView1, ArrayView2};

use super::Candidate;
use crate::geometry::BBox;

/// Boxes in input pixels, in the output's order.
pub(super) fn decode<'a>(
    labels: &ArrayView1<'a, f32>,
    boxes: &ArrayView2<'a, f32>,
    scores: &ArrayView1<'a, f32>,
) -> impl Iterator<Item = Candidate> + use<'a> {
    (*labels).into_iter().zip((*boxes).into_outer_iter()).zip(*scores).map(|((label, at), score)| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a label that is no index is none of the list's")]
        let class = if *label >= 0.0 { *label as usize } else { usize::MAX };
        Candidate { bbox: BBox::from_edges(at[0], at[1], at[2], at[3]), class, score: *score }
    })
}
