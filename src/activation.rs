//! The two activations of CLIP's transformers; the combiner's head uses the exact GELU as well.

use std::f32::consts::FRAC_1_SQRT_2;

use crate::models::Activation;

/// The exact, erf form: `x·Φ(x) = x/2·(1 + erf(x/√2))` (PyTorch's `F.gelu`).
#[must_use]
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * FRAC_1_SQRT_2))
}

/// OpenAI's stand-in for it: `x·sigmoid(1.702·x)`.
#[must_use]
pub fn quick_gelu(x: f32) -> f32 {
    x / (1.0 + (-1.702 * x).exp())
}

/// The function a configuration names.
#[must_use]
pub const fn function(activation: Activation) -> fn(f32) -> f32 {
    match activation {
        Activation::QuickGelu => quick_gelu,
        Activation::Gelu => gelu,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gelu_is_the_erf_form_and_not_the_tanh_one() {
        // torch.nn.functional.gelu; the tanh form gives 0.841192 at 1 and −0.045402 at −2.
        for (x, wanted) in [(0.0, 0.0), (1.0, 0.841_345), (-2.0, -0.045_500), (3.5, 3.499_186), (-40.0, 0.0)] {
            assert!((gelu(x) - wanted).abs() < 1e-6, "gelu({x}) = {}", gelu(x));
        }
    }

    #[test]
    fn quick_gelu_has_no_overflow_at_either_end() {
        assert!((quick_gelu(1.0) - 0.845_796).abs() < 1e-6);
        assert!(quick_gelu(-1000.0).abs() < 1e-6 && (quick_gelu(1000.0) - 1000.0).abs() < 1e-3);
    }
}
