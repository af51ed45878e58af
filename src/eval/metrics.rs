//! AUROC, FPR95 in its three readings, and average precision. A high score means ID; equal scores move together.
//!
//! Sources: Fawcett 2006 ("An introduction to ROC analysis"); the public code of VOS (`fpr95_vos`) and of OpenOOD
//! (`fpr95_oodpos`), with which the check values in the tests were computed.

use serde::Serialize;

use super::curve::Curve;
use crate::{Error, Result};

/// What separates two lists of scores, in fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Metrics {
    /// Probability that an ID score is above an OOD score, ties counted half.
    pub auroc: f64,
    /// Share of OOD accepted at the highest threshold that keeps at least 95 % of ID.
    pub fpr95: f64,
    /// Share of ID kept at that threshold.
    pub tpr: f64,
    /// As VOS computes it: at the threshold whose share of ID is closest to 95 %.
    pub fpr95_vos: f64,
    /// OOD positive, as OpenOOD and pytorch-ood print it: share of ID flagged where at least 95 % of OOD are.
    pub fpr95_oodpos: f64,
    /// Average precision, ID positive.
    pub aupr_in: f64,
    /// Average precision, OOD positive.
    pub aupr_out: f64,
    /// Number of ID scores.
    pub n_id: usize,
    /// Number of OOD scores.
    pub n_ood: usize,
    /// The highest threshold that keeps at least 95 % of ID.
    pub threshold: f64,
    /// The share of ID or of OOD, whichever is larger, that stands exactly there; 0 where that is a single score.
    pub tied: f64,
}

/// Ties at the threshold of more than this share make FPR95 jump: they are told of.
pub const TOLD: f64 = 0.01;

/// Metrics of two lists of scores.
///
/// # Errors
/// [`Error::Setting`] where a list is empty or holds NaN.
pub fn metrics(id: &[f64], ood: &[f64]) -> Result<Metrics> {
    for (name, scores) in [("ID", id), ("OOD", ood)] {
        if scores.is_empty() {
            return Err(Error::Setting(format!("there are no {name} scores; metrics need at least one of each kind")));
        }
        if let Some(position) = scores.iter().position(|score| score.is_nan()) {
            return Err(Error::Setting(format!("{name} score {} is NaN; remove it or find out why", position + 1)));
        }
    }
    let negated = |scores: &[f64]| -> Vec<f64> { scores.iter().map(|score| -score).collect() };
    let curve = Curve::of(id, ood);
    let flipped = Curve::of(&negated(ood), &negated(id));
    let strict = curve.at_least(0.95);
    #[expect(clippy::float_cmp, reason = "equal scores move together")]
    let there = |scores: &[f64]| scores.iter().filter(|score| **score == strict.threshold).count();
    let tied = [there(id), there(ood)];
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let share = |count: usize, all: &[f64]| count as f64 / all.len() as f64;
    Ok(Metrics {
        auroc: curve.area(),
        fpr95: strict.negative,
        tpr: strict.positive,
        fpr95_vos: curve.closest_to(0.95).negative,
        fpr95_oodpos: flipped.at_least(0.95).negative,
        aupr_in: curve.average_precision(),
        aupr_out: flipped.average_precision(),
        n_id: id.len(),
        n_ood: ood.len(),
        threshold: strict.threshold,
        tied: if tied[0] + tied[1] > 1 { share(tied[0], id).max(share(tied[1], ood)) } else { 0.0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(id: &[f64], ood: &[f64], [auroc, aupr_in, vos, strict, oodpos]: [f64; 5]) {
        let found = metrics(id, ood).unwrap();
        for (found, wanted) in
            [(found.auroc, auroc), (found.aupr_in, aupr_in), (found.fpr95_vos, vos), (found.fpr95, strict), (found.fpr95_oodpos, oodpos)]
        {
            assert!((found - wanted).abs() < 1e-5, "{found} {wanted}");
        }
    }

    fn ladder(steps: u8) -> Vec<f64> {
        (0..steps).map(|k| 1.0 - f64::from(k) / 100.0).collect()
    }

    #[test]
    fn check_values_of_the_public_code() {
        check(&[0.9, 0.8, 0.7, 0.6, 0.5], &[0.65, 0.55, 0.4, 0.3, 0.2], [0.88, 0.902_857, 0.4, 0.4, 0.4]);
        check(&[0.9, 0.9, 0.7, 0.7, 0.5], &[0.7, 0.7, 0.5, 0.3, 0.3], [0.82, 0.791_667, 0.6, 0.6, 0.6]);
        let ood = [0.995, 0.905, 0.815, 0.805, 0.795];
        check(&ladder(20), &ood, [0.7, 0.863_270, 0.6, 0.4, 0.95]);
        check(&ladder(21), &ood, [0.676_190, 0.862_162, 0.8, 0.6, 0.952_381]);
        let (mut id, mut ood) = (vec![0.9; 90], vec![0.8; 10]);
        id.extend([0.0; 10]);
        ood.extend([0.0; 90]);
        check(&id, &ood, [0.945, 0.95, 0.1, 1.0, 0.1]);
    }

    #[test]
    fn empty_lists_and_nan_are_errors_with_a_sentence() {
        assert!(metrics(&[], &[1.0]).unwrap_err().to_string().contains("no ID scores"));
        assert!(metrics(&[1.0], &[0.0, f64::NAN]).unwrap_err().to_string().contains("OOD score 2 is NaN"));
    }

    #[test]
    fn ties_at_the_threshold_are_told_and_a_single_score_is_none() {
        let spread: Vec<f64> = (0..200).map(|k| f64::from(k) / 100.0).collect();
        assert!(metrics(&spread, &[-1.0]).unwrap().tied < TOLD);
        assert!(metrics(&[1.0], &[0.0]).unwrap().tied == 0.0);
        let found = metrics(&[0.9, 0.5, 0.5, 0.5], &[0.5, 0.1]).unwrap();
        assert!((found.tied - 0.75).abs() < 1e-9 && (found.threshold - 0.5).abs() < 1e-9, "{found:?}");
    }

    proptest! {
        #[test]
        #[expect(clippy::float_cmp, clippy::cast_precision_loss, reason = "small whole numbers")]
        fn auroc_is_the_share_of_ordered_pairs(id in proptest::collection::vec(0i32..9, 1..30), ood in proptest::collection::vec(0i32..9, 1..30)) {
            let [id, ood] = [id, ood].map(|scores| scores.into_iter().map(f64::from).collect::<Vec<_>>());
            let pairs = id.iter().flat_map(|i| ood.iter().map(move |o| if i > o { 1.0 } else if i == o { 0.5 } else { 0.0 }));
            let share = pairs.sum::<f64>() / (id.len() * ood.len()) as f64;
            let found = metrics(&id, &ood).unwrap();
            prop_assert!((found.auroc - share).abs() < 1e-9);
            prop_assert!(found.tpr >= 0.95);
        }
    }
}
