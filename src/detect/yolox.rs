//! YOLOX's raw grid, `[A, 5+K]`: per cell dx, dy, log w, log h in strides, objectness, K class scores.
//!
//! Source: YOLOX, arXiv 2107.08430; `demo_postprocess` of its repository.

use ndarray::ArrayView2;

use super::{Candidate, DetectorSpec, spec::YOLOX_STRIDES};
use crate::geometry::BBox;

/// Boxes in input pixels, in the output's order; score = objectness · best class score.
pub(super) fn decode<'a>(output: &ArrayView2<'a, f32>, spec: &DetectorSpec) -> impl Iterator<Item = Candidate> + use<'a> {
    let (width, height) = (spec.width, spec.height);
    let cells = YOLOX_STRIDES
        .into_iter()
        .flat_map(move |stride| (0..height / stride).flat_map(move |y| (0..width / stride).map(move |x| (x, y, stride))));
    cells.zip((*output).into_outer_iter()).map(|((x, y, stride), row)| {
        #[expect(clippy::cast_precision_loss, reason = "cells of a grid of at most 2^11 a side")]
        let (x, y, stride) = (x as f32, y as f32, stride as f32);
        let bbox = BBox::from_center((row[0] + x) * stride, (row[1] + y) * stride, row[2].exp() * stride, row[3].exp() * stride);
        let (class, score) = super::best_class(row.iter().skip(5).copied());
        Candidate { bbox, class, score: row[4] * score }
    })
}
