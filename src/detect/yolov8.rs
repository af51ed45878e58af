//! YOLOv8's output, `[4+K, A]`: cx, cy, w, h in input pixels, then K class scores, a box a column.

use ndarray::ArrayView2;

use super::Candidate;
use crate::geometry::BBox;

/// Boxes in input pixels, in the output's order; score = best class score.
pub(super) fn decode<'a>(output: &ArrayView2<'a, f32>) -> impl Iterator<Item = Candidate> + use<'a> {
    output.reversed_axes().into_outer_iter().map(|column| {
        let (class, score) = super::best_class(column.iter().skip(4).copied());
        Candidate { bbox: BBox::from_center(column[0], column[1], column[2], column[3]), class, score }
    })
}
