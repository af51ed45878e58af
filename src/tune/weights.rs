//! What each token of an object weighs for each class, `(N+1)·β_i·μ_i`, and the switches of the ablations that change it.

use ndarray::{Array1, Array2, ArrayRef2};

use crate::{
    attention::{image_text, size},
    encode::Features,
};

/// Parts of the method that can be taken out (method.md, "Ablations"); all true is the method itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four switches of their own, as the paper's table has them")]
pub struct Switches {
    /// Target's β; else 1/(N+1).
    pub intra_image: bool,
    /// Background's β; else 1/(N+1).
    pub inter_image: bool,
    /// Target's μ; else 1.
    pub target_alignment: bool,
    /// Background's μ; else 1.
    pub background_alignment: bool,
    /// What an object's context text is.
    pub context: ContextText,
}

/// How the texts of an object's context become one, M̃_c.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContextText {
    /// By inter-text attention: the method.
    #[default]
    InterText,
    /// Their mean, one entry an object.
    Average,
    /// One prompt that lists their names with commas.
    Comma,
    /// Their mean behind a trained network of two layers.
    Mlp,
}

impl Default for Switches {
    fn default() -> Self {
        Self { intra_image: true, inter_image: true, target_alignment: true, background_alignment: true, context: ContextText::InterText }
    }
}

/// Of the target's tokens, `[T, C]`; `text`: M(t_c), `[C, E]`; `projection`: P, `[E, D]`.
pub(crate) fn target(features: &Features, text: &ArrayRef2<f32>, projection: &ArrayRef2<f32>, switches: Switches) -> Array2<f32> {
    let context = switches.target_alignment.then_some(text);
    weights(&features.tokens_target, &features.beta_target, switches.intra_image, context, text.nrows(), projection)
}

/// Of the background's tokens, `[T, C]`; `context`: M̃_c, `[C, E]`, or none: μ = 1.
pub(crate) fn background(
    features: &Features,
    context: Option<&ArrayRef2<f32>>,
    classes: usize,
    projection: &ArrayRef2<f32>,
    switches: Switches,
) -> Array2<f32> {
    let context = context.filter(|_| switches.background_alignment);
    weights(&features.tokens_background, &features.beta_background, switches.inter_image, context, classes, projection)
}

fn weights(
    z: &Array2<f32>,
    beta: &Array1<f32>,
    attended: bool,
    text: Option<&ArrayRef2<f32>>,
    classes: usize,
    projection: &ArrayRef2<f32>,
) -> Array2<f32> {
    let tokens = beta.len();
    let mu = match text {
        Some(text) => image_text::mu(&z.dot(&projection.t()), text),
        None => image_text::mu_without_context(classes, tokens),
    };
    // [C, T] to [T, C]
    if attended { (mu * &(beta * size(tokens))).reversed_axes() } else { mu.reversed_axes() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn features() -> Features {
        Features {
            tokens_target: array![[1.0, 0.0], [0.0, 1.0]],
            tokens_background: array![[-1.0, 0.0], [3.0, 4.0]],
            beta_target: array![0.75, 0.25],
            beta_background: array![0.5, 0.5],
            values_target: None,
        }
    }

    #[test]
    fn a_token_weighs_its_attention_times_its_alignment() {
        let (text, projection) = (array![[1.0, 0.0], [0.0, 1.0]], Array2::eye(2));
        let all = Switches::default();
        assert_eq!(target(&features(), &text, &projection, all), array![[1.5, 0.0], [0.0, 0.5]]);
        assert_eq!(target(&features(), &text, &projection, Switches { intra_image: false, ..all }), array![[1.0, 0.0], [0.0, 1.0]]);
        assert_eq!(target(&features(), &text, &projection, Switches { target_alignment: false, ..all }), array![[1.5, 1.5], [0.5, 0.5]]);
        let found = background(&features(), Some(&text), 2, &projection, all);
        assert!((found - array![[0.0, 0.0], [0.6, 0.8]]).iter().all(|difference: &f32| difference.abs() < 1e-6));
        let alone = background(&features(), None, 2, &projection, all);
        assert_eq!(alone, array![[1.0, 1.0], [1.0, 1.0]]);
        assert_eq!(background(&features(), Some(&text), 2, &projection, Switches { background_alignment: false, ..all }), alone);
        assert_eq!(background(&features(), None, 2, &projection, Switches { inter_image: false, ..all }), alone);
    }
}
