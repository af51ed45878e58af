//! Quantiles with their guarantee.

use crate::{attention::size, eval::quantile};

/// Quantiles that are kept of more scores than this.
const MOST: usize = 1001;

/// Room for what binary fractions lack of decimal ones: 10·(1 − 0.9) is 1.
const SLACK: f64 = 1e-9;

/// δ that keeps at least the share `keep` of exchangeable new scores: the ⌊(n+1)·(1−keep)⌋-th from below.
///
/// `None` where there are fewer than [`least_objects`]: then no score is low enough for the guarantee.
#[must_use]
pub fn conformal(scores: &[f32], keep: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a count")]
    let rank = ((scores.len() + 1) as f64 * (1.0 - keep) + SLACK).floor() as usize;
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    rank.checked_sub(1).and_then(|index| sorted.get(index)).copied()
}

/// The least number of objects from which [`conformal`] gives a threshold.
#[must_use]
pub fn least_objects(keep: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and large only for a share close to 1")]
    let all = (1.0 / (1.0 - keep) - SLACK).ceil() as usize;
    all.saturating_sub(1).max(1)
}

/// Evenly spaced quantiles from the lowest to the highest score: all of them, or 1001 of more. Two at least.
#[must_use]
pub fn table(scores: &[f32]) -> Vec<f32> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    if sorted.len() == 1 {
        sorted.push(sorted[0]);
    }
    if sorted.len() <= MOST {
        return sorted;
    }
    #[expect(clippy::cast_possible_truncation, reason = "between two numbers of that size")]
    let at = |index: usize| quantile(&sorted, f64::from(size(index)) / f64::from(size(MOST - 1))) as f32;
    (0..MOST).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_threshold_is_the_conformal_rank_from_below() {
        let scores = |count: u16| (0..count).map(f32::from).rev().collect::<Vec<_>>();
        // ⌊101·0.05⌋ = 5, ⌊20·0.05⌋ = 1, ⌊19·0.05⌋ = 0; ⌊10·0.1⌋ = 1 in spite of binary fractions.
        for (count, keep, wanted) in [(100, 0.95, Some(4.0)), (19, 0.95, Some(0.0)), (18, 0.95, None), (9, 0.9, Some(0.0)), (0, 0.5, None)]
        {
            assert_eq!(conformal(&scores(count), keep), wanted, "{count} {keep}");
        }
        for keep in [0.5, 0.9, 0.95, 0.99, 0.995] {
            let least = least_objects(keep);
            let count = u16::try_from(least).unwrap();
            assert!(conformal(&scores(count), keep).is_some() && conformal(&scores(count - 1), keep).is_none(), "{keep}");
        }
    }

    #[test]
    fn a_long_table_goes_from_the_lowest_to_the_highest() {
        let scores: Vec<f32> = (0..5001_u16).map(f32::from).collect();
        let table = table(&scores);
        assert_eq!((table.len(), table[0], table[500], table[1000]), (1001, 0.0, 2500.0, 5000.0));
        assert_eq!(super::table(&[0.5]), [0.5, 0.5]);
    }

    /// Of uniform draws, split into calibration and new ones: the share that is kept.
    fn kept(seed: u64, calibration: usize, keep: f64) -> f64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut draw = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            f32::from(u16::try_from(state >> 48).unwrap()) / 65536.0
        };
        let known: Vec<f32> = (0..calibration).map(|_| draw()).collect();
        let threshold = conformal(&known, keep).unwrap();
        let new = 4000;
        let above = (0..new).filter(|_| draw() >= threshold).count();
        f64::from(size(above)) / f64::from(size(new))
    }

    #[test]
    fn on_average_at_least_the_asked_share_is_kept_and_hardly_more() {
        for (count, keep) in [(400, 0.95), (99, 0.9), (2000, 0.99)] {
            let draws: Vec<f64> = (1..=40).map(|seed| kept(seed, count, keep)).collect();
            let mean = draws.iter().sum::<f64>() / 40.0;
            let most_too_much = 1.0 / f64::from(size(count + 1));
            assert!(mean > keep - 0.006 && mean < keep + most_too_much + 0.006, "{count} {keep}: {mean}");
        }
    }

    proptest! {
        #[test]
        fn at_least_the_asked_share_of_the_calibrations_own_scores_is_kept(scores in proptest::collection::vec(-1f32..1.0, 1..200), keep in 0.01f64..0.99) {
            if let Some(threshold) = conformal(&scores, keep) {
                let above = scores.iter().filter(|score| **score >= threshold).count();
                prop_assert!(f64::from(size(above)) >= keep * f64::from(size(scores.len())));
            }
            prop_assert!(table(&scores).is_sorted());
        }
    }
}
