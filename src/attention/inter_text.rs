//! Inter-text attention: which of the ID classes make up a class's context.
//!
//! `w[c′,c] = mean over l,h of softmax_c′( k_EOT(c′)·q_EOT(c) / √d_h )` over all ID classes c′, c itself
//! included **(ours)**; context text `M̃_c = Σ_c′ w[c′,c]·M(t_c′)`, not re-scaled: only its direction
//! matters (UNI-OOD, "inter-text attention"; method.md, text side).

use ndarray::{Array2, ArrayRef2, ArrayRef4, Axis};

/// w, `[C, C]`: row c is the target class, column c′ the other; every row sums to 1.
///
/// `query_eot`, `key_eot`: query and key of every prompt's EOT token, `[C, L, H, d_h]`, with bias, before scaling.
#[must_use]
pub fn weights(query_eot: &ArrayRef4<f32>, key_eot: &ArrayRef4<f32>) -> Array2<f32> {
    let classes = query_eot.dim().0;
    let key = key_eot.view().permuted_axes([1, 2, 0, 3]);
    let mut weights = Array2::zeros((classes, classes));
    for (query, mut row) in query_eot.axis_iter(Axis(0)).zip(weights.rows_mut()) {
        row.assign(&super::mean_attention(&query, &key, |_| false));
    }
    weights
}

/// M̃, `[C, E]`, from `weights` `[C, C]` and the unit text embeddings `[C, E]`.
#[must_use]
pub fn context_text(weights: &ArrayRef2<f32>, text: &ArrayRef2<f32>) -> Array2<f32> {
    weights.dot(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;
    use proptest::prelude::*;

    fn eots() -> impl Strategy<Value = (Array4<f32>, Array4<f32>)> {
        let tensor = || proptest::collection::vec(-5f32..5.0, 4 * 2 * 2 * 3).prop_map(|v| Array4::from_shape_vec((4, 2, 2, 3), v).unwrap());
        (tensor(), tensor())
    }

    proptest! {
        #[test]
        fn rows_sum_to_one((query, key) in eots()) {
            for row in weights(&query, &key).rows() {
                prop_assert!((row.sum() - 1.0).abs() < 1e-5);
            }
        }

        #[test]
        fn classes_in_another_order_permute_rows_and_columns((query, key) in eots()) {
            let straight = weights(&query, &key);
            let reversed = |mut eots: Array4<f32>| { eots.invert_axis(Axis(0)); eots };
            let mut back = weights(&reversed(query), &reversed(key));
            back.invert_axis(Axis(0));
            back.invert_axis(Axis(1));
            prop_assert!(straight.iter().zip(back.iter()).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }

    #[test]
    fn a_sole_class_is_its_own_context() {
        let query = Array4::from_elem((1, 2, 2, 3), 0.3);
        let text = Array2::from_shape_vec((1, 2), vec![0.6, 0.8]).unwrap();
        let w = weights(&query, &query);
        assert_eq!(context_text(&w, &text), text);
    }

    #[test]
    fn the_row_is_the_class_that_asks() {
        // Class 0 asks strongly, class 1 not at all: row 0 is peaked, row 1 is even.
        let query = Array4::from_shape_vec((2, 1, 1, 1), vec![8.0, 0.0]).unwrap();
        let key = Array4::from_shape_vec((2, 1, 1, 1), vec![1.0, -1.0]).unwrap();
        let w = weights(&query, &key);
        assert!(w[[0, 0]] > 0.99 && (w[[1, 0]] - 0.5).abs() < 1e-6, "{w}");
    }
}
