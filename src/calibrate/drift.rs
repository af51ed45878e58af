//! Whether new ID objects still score as the calibration's did.

use super::Document;
use crate::{Error, Result, attention::size};

/// Terms of Kolmogorov's series; they fall like e^(−j²).
const TERMS: u32 = 100;

/// New scores beside the calibration's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// How many new scores.
    pub objects: usize,
    /// The share of them that the threshold keeps.
    pub kept: f64,
    /// Its 95 % interval (Wilson).
    pub interval: (f64, f64),
    /// Kolmogorov's and Smirnov's D: the largest distance between the two distributions.
    pub distance: f64,
    /// How likely a D as large is where both have one distribution (two-sample test, asymptotic).
    pub p_value: f64,
}

impl Drift {
    /// Compares scores of independent ID objects with a calibration, at its common threshold.
    ///
    /// # Errors
    /// [`Error::Setting`] where there are none.
    pub fn of(scores: &[f32], document: &Document) -> Result<Self> {
        if scores.is_empty() {
            return Err(Error::Setting("there is no scored object in the footage; give some that shows known things".to_owned()));
        }
        let mut sorted = scores.to_vec();
        sorted.sort_by(f32::total_cmp);
        let count = f64::from(size(sorted.len()));
        let calibration = document.calibration("", false);
        let distance = sorted.iter().enumerate().fold(0.0_f64, |most, (index, score)| {
            let below = f64::from(calibration.percentile(*score));
            let (before, after) = (f64::from(size(index)) / count, f64::from(size(index + 1)) / count);
            most.max((below - before).abs()).max((after - below).abs())
        });
        let kept = f64::from(size(sorted.iter().filter(|score| **score >= document.threshold).count())) / count;
        let calibrated = f64::from(size(document.objects.max(1)));
        let effective = (count * calibrated / (count + calibrated)).sqrt();
        Ok(Self {
            objects: sorted.len(),
            kept,
            interval: wilson(kept, count),
            distance,
            p_value: kolmogorov((effective + 0.12 + 0.11 / effective) * distance),
        })
    }
}

/// `P(K > λ) = 2·Σ (−1)^(j−1)·e^(−2j²λ²)`, with Stephens's correction for finite samples in λ.
fn kolmogorov(lambda: f64) -> f64 {
    // The series does not converge there, and the probability is 1 to ten digits.
    if lambda < 0.2 {
        return 1.0;
    }
    let term = |j: u32| {
        let sign = if j % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * f64::from(j).powi(2) * lambda * lambda).exp()
    };
    (1..=TERMS).map(term).sum::<f64>().clamp(0.0, 1.0)
}

/// Wilson's 95 % interval of a share.
fn wilson(share: f64, count: f64) -> (f64, f64) {
    let z = 1.959_964;
    let (centre, spread) = (share + z * z / (2.0 * count), z * (share * (1.0 - share) / count + z * z / (4.0 * count * count)).sqrt());
    let whole = 1.0 + z * z / count;
    (((centre - spread) / whole).max(0.0), ((centre + spread) / whole).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kolmogorovs_distribution_has_scipys_values() {
        // scipy.special.kolmogorov([0.5, 0.8276, 1.2238, 1.6276, 2.5])
        for (lambda, wanted) in
            [(0.5, 0.963_945_243_664_875_1), (0.8276, 0.499_915_591_2), (1.2238, 0.100_042_6), (1.6276, 0.010_001_9), (2.5, 7.453_e-6)]
        {
            let found = kolmogorov(lambda);
            assert!((found - wanted).abs() < 2e-4 * wanted.max(0.01), "{lambda}: {found} {wanted}");
        }
        assert!((kolmogorov(0.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn wilsons_interval_is_not_empty_at_the_ends() {
        let (low, high) = wilson(1.0, 20.0);
        assert!((low - 0.8389).abs() < 1e-3 && (high - 1.0).abs() < 1e-9, "{low} {high}");
    }
}
