//! Image-text alignment: how well each token fits a candidate class, or its context.
//!
//! Target `μ_i = max( cos(P z_i, M(t_c)), 0 )`; background `μ_i = max( cos(P z_i, M̃_c), 0 )`, and 1 where
//! there is no other object in the frame, `has_context = 0` (UNI-OOD, "image-text alignment"; method.md,
//! image side, step 4).

use ndarray::{Array2, ArrayRef2};

use crate::score::cosines;

/// μ, `[C, T]`, each in 0..=1.
///
/// `projected`: P z of every token, `[T, E]`; `text`: M(t_c) for the target, M̃_c for the background, `[C, E]`. Neither need be scaled.
#[must_use]
pub fn mu(projected: &ArrayRef2<f32>, text: &ArrayRef2<f32>) -> Array2<f32> {
    cosines(text, projected).mapv_into(|cosine| cosine.max(0.0))
}

/// μ of a background without other objects: 1 for every class and token, `[C, T]`.
#[must_use]
pub fn mu_without_context(classes: usize, tokens: usize) -> Array2<f32> {
    Array2::ones((classes, tokens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn tokens_against_the_text_are_worth_nothing() {
        let mu = mu(&array![[3.0, 0.0], [-1.0, 0.0], [1.0, 1.0]], &array![[0.5, 0.0]]);
        assert!((mu[[0, 0]] - 1.0).abs() < 1e-6);
        assert_eq!(mu.column(1), array![0.0]);
        assert!((mu[[0, 2]] - std::f32::consts::FRAC_1_SQRT_2).abs() < 1e-6);
    }

    #[test]
    fn without_context_every_background_token_counts_fully() {
        assert_eq!(mu_without_context(2, 3), array![[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]);
    }
}
