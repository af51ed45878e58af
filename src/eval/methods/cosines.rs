//! Methods that need nothing but the crop's cosines with the class texts.

/// The largest cosine: plain CLIP, zero-shot.
#[must_use]
pub fn max_cosine(s: &[f64]) -> f64 {
    s.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// `max softmax(s/T)` (MCM, Ming et al. 2022).
#[must_use]
pub fn mcm(s: &[f64], temperature: f64) -> f64 {
    (max_cosine(s) / temperature - log_sum_exp(s, temperature)).exp()
}

/// `T·logsumexp(s/T)` (Liu et al. 2020).
#[must_use]
pub fn energy(s: &[f64], temperature: f64) -> f64 {
    temperature * log_sum_exp(s, temperature)
}

/// The largest cosine less the mean of the next ⌈0.2·C⌉, as far as there are so many.
#[must_use]
pub fn logit_gap(s: &[f64]) -> f64 {
    let mut falling = s.to_vec();
    falling.sort_by(|a, b| b.total_cmp(a));
    let next: Vec<f64> = falling.iter().copied().skip(1).take(s.len().div_ceil(5)).collect();
    #[expect(clippy::cast_precision_loss, reason = "a number of classes")]
    let mean = next.iter().sum::<f64>() / next.len().max(1) as f64;
    max_cosine(s) - mean
}

/// `ln Σ exp(s/T)`, without overflow.
pub(super) fn log_sum_exp(s: &[f64], temperature: f64) -> f64 {
    let most = max_cosine(s) / temperature;
    most + s.iter().map(|s| (s / temperature - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: [f64; 6] = [0.3, 0.1, 0.2, 0.0, -0.1, 0.05];

    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
    }

    #[test]
    fn plain_clip_is_the_largest_cosine() {
        near(max_cosine(&S), 0.3);
    }

    #[test]
    fn mcm_is_the_largest_share() {
        // e^0 / (e^0 + e^-ln 3) = 3/4, whatever the temperature takes apart.
        near(mcm(&[0.0, -3f64.ln()], 1.0), 0.75);
        near(mcm(&[0.0, -0.01 * 3f64.ln()], 0.01), 0.75);
        near(mcm(&[0.2, 0.2, 0.2, 0.2], 0.01), 0.25);
    }

    #[test]
    fn energy_is_a_soft_maximum() {
        // T·ln(2·e^(s/T)) = s + T·ln 2.
        near(energy(&[0.3, 0.3], 0.01), 0.3 + 0.01 * 2f64.ln());
        near(energy(&[900.0, 0.0], 0.01), 900.0);
    }

    #[test]
    fn the_gap_is_to_the_mean_of_the_next_fifth() {
        // ⌈0.2·6⌉ = 2: 0.3 − (0.2 + 0.1)/2.
        near(logit_gap(&S), 0.15);
        near(logit_gap(&[0.4]), 0.4);
    }
}
