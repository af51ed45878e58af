//! Ω: how well the two fused views of an object fit each class. `DualEncoding ─▶ ClassScores`.
//!
//! `Ω_c = cos( P(z_x + z_(x)), M(t_c) )` (UNI-OOD's score; method.md, image side, step 7). Beside it stands
//! plain CLIP's zero-shot cosine of the target, `cos( P z_0(x), M(t_c) )`: what the method has to beat.

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis, Zip};

/// Ω of a class that is not on its object's shortlist: below every cosine, so that it is never the nearest.
pub const NOT_LISTED: f32 = -2.0;

/// The scores of one object against every class of the vocabulary, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassScores {
    /// Ω, `[C]`, −1..=1; higher is more ID. [`NOT_LISTED`] for a class that is not on the object's shortlist.
    pub omega: Array1<f32>,
    /// Plain CLIP's cosine, `[C]`, −1..=1.
    pub clip_cosine: Array1<f32>,
}

/// Ω of every class, `[C]`.
///
/// `z_target`, `z_background`: the combiner's outputs per candidate class, `[C, D]`; `projection`: P, `[E, D]`; `text`: M(t_c), `[C, E]`.
#[must_use]
pub fn omega(z_target: &ArrayRef2<f32>, z_background: &ArrayRef2<f32>, projection: &ArrayRef2<f32>, text: &ArrayRef2<f32>) -> Array1<f32> {
    let fused = z_target + z_background;
    Zip::from(fused.rows()).and(text.rows()).map_collect(|fused, text| cosine(&projection.dot(&fused), &text))
}

/// Plain CLIP's cosine of every class, `[C]`, from the target's CLS state `z_0` `[D]`.
#[must_use]
pub fn clip_cosine(cls: &ArrayRef1<f32>, projection: &ArrayRef2<f32>, text: &ArrayRef2<f32>) -> Array1<f32> {
    let embedding = projection.dot(cls);
    text.rows().into_iter().map(|text| cosine(&embedding, &text)).collect()
}

/// The shortlist: the `count` classes of the largest plain cosines, the largest first; of equal ones the first in the list.
/// All where there are no more.
#[must_use]
pub fn shortlist(clip_cosine: &ArrayRef1<f32>, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..clip_cosine.len()).collect();
    order.sort_by(|a, b| clip_cosine[*b].total_cmp(&clip_cosine[*a]));
    order.truncate(count);
    order
}

/// `a·b / (|a|·|b|)`; 0 where either is the zero vector.
#[must_use]
pub fn cosine(a: &ArrayRef1<f32>, b: &ArrayRef1<f32>) -> f32 {
    let lengths = a.dot(a).sqrt() * b.dot(b).sqrt();
    if lengths == 0.0 { 0.0 } else { a.dot(b) / lengths }
}

/// The cosine of every row of `a` `[A, E]` with every row of `b` `[B, E]`: `[A, B]`.
#[must_use]
pub fn cosines(a: &ArrayRef2<f32>, b: &ArrayRef2<f32>) -> Array2<f32> {
    unit_rows(a).dot(&unit_rows(b).t())
}

/// Rows scaled to unit length; a zero row stays zero.
#[must_use]
pub fn unit_rows(rows: &ArrayRef2<f32>) -> Array2<f32> {
    let mut rows = rows.to_owned();
    for mut row in rows.axis_iter_mut(Axis(0)) {
        let length = row.dot(&row).sqrt();
        if length != 0.0 {
            row /= length;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f32>> {
        proptest::collection::vec(-3f32..3.0, rows * columns).prop_map(move |v| Array2::from_shape_vec((rows, columns), v).unwrap())
    }

    proptest! {
        #[test]
        fn classes_in_another_order_permute_omega(zt in matrix(4, 5), zb in matrix(4, 5), p in matrix(3, 5), text in matrix(4, 3)) {
            let straight = omega(&zt, &zb, &p, &text);
            let back = |mut rows: Array2<f32>| { rows.invert_axis(Axis(0)); rows };
            let reversed = omega(&back(zt), &back(zb), &p, &back(text));
            prop_assert!(straight.iter().zip(reversed.iter().rev()).all(|(a, b)| (a - b).abs() < 1e-6));
            prop_assert!(straight.iter().all(|omega| omega.abs() <= 1.0 + 1e-5));
        }

        #[test]
        fn only_the_directions_of_text_and_image_matter(zt in matrix(2, 5), p in matrix(3, 5), text in matrix(2, 3), scale in 0.1f32..10.0) {
            let zero = Array2::zeros((2, 5));
            let plain = omega(&zt, &zero, &p, &text);
            let scaled = omega(&(&zt * scale), &zero, &p, &(&text * scale));
            prop_assert!(plain.iter().zip(&scaled).all(|(a, b)| (a - b).abs() < 1e-4));
        }

        #[test]
        fn an_empty_background_leaves_plain_clip_exactly(cls in matrix(1, 5), p in matrix(3, 5), text in matrix(4, 3)) {
            let target = cls.broadcast((4, 5)).unwrap();
            let omega = omega(&target, &Array2::zeros((4, 5)), &p, &text);
            prop_assert_eq!(omega, clip_cosine(&cls.row(0), &p, &text));
        }
    }

    #[test]
    fn a_zero_vector_has_no_direction_and_no_nan() {
        assert_eq!(clip_cosine(&array![0.0, 0.0], &Array2::eye(2), &array![[1.0, 0.0]]), array![0.0]);
        assert_eq!(cosines(&array![[0.0, 0.0]], &array![[1.0, 0.0]]), array![[0.0]]);
    }
}
