//! AUROC, FPR95 in its three readings, and average precision. A high score means ID; equal scores move together.
//!
//! Sources: Fawcett 2006 ("An introduction to ROC analysis"); the public code of VOS (`fpr95_vos`) and of OpenOOD
//! (`fpr95_oodpos`), with which the check values in the tests were computed.

use serde::Serialize;

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
}

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
    let curve = Curve::new(id, ood);
    let negated = |scores: &[f64]| -> Vec<f64> { scores.iter().map(|score| -score).collect() };
    let flipped = Curve::new(&negated(ood), &negated(id));
    let strict = curve.at_least(0.95);
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
    })
}

/// Counts at or above each distinct score, from the highest score down.
struct Curve {
    steps: Vec<(f64, f64)>,
    positives: f64,
    negatives: f64,
}

/// Shares at or above a threshold.
struct Shares {
    positive: f64,
    negative: f64,
}

impl Curve {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn new(positive: &[f64], negative: &[f64]) -> Self {
        let mut all: Vec<(f64, bool)> = positive.iter().map(|s| (*s, true)).chain(negative.iter().map(|s| (*s, false))).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut tp, mut fp) = (0.0, 0.0);
        let mut steps = Vec::new();
        #[expect(clippy::float_cmp, reason = "equal scores are one threshold")]
        // `==` rather than `total_cmp`, so that 0.0 and -0.0 are one threshold.
        for tied in all.chunk_by(|a, b| a.0 == b.0) {
            let positives = tied.iter().filter(|(_, positive)| *positive).count();
            tp += positives as f64;
            fp += (tied.len() - positives) as f64;
            steps.push((tp, fp));
        }
        Self { steps, positives: positive.len() as f64, negatives: negative.len() as f64 }
    }

    fn shares(&self, (tp, fp): (f64, f64)) -> Shares {
        Shares { positive: tp / self.positives, negative: fp / self.negatives }
    }

    /// At the highest threshold that keeps at least `share` of the positives.
    fn at_least(&self, share: f64) -> Shares {
        let first = self.steps.iter().find(|(tp, _)| tp / self.positives >= share);
        self.shares(*first.expect("the lowest score keeps all positives"))
    }

    /// At the threshold whose share of positives is closest to `share`; of several the lowest, as VOS's code picks.
    fn closest_to(&self, share: f64) -> Shares {
        // VOS cuts the curve off where all positives are in.
        let end = self.steps.iter().position(|(tp, _)| *tp >= self.positives).expect("the lowest score keeps all positives");
        let distance = |(tp, _): &(f64, f64)| (tp / self.positives - share).abs();
        let closest = self.steps[..=end].iter().rev().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        self.shares(*closest.expect("a curve has at least one step"))
    }

    /// Area under the ROC curve, trapezoids.
    fn area(&self) -> f64 {
        let (mut area, mut last) = (0.0, (0.0, 0.0));
        for &(tp, fp) in &self.steps {
            area += (fp - last.1) * (tp + last.0) / 2.0;
            last = (tp, fp);
        }
        area / (self.positives * self.negatives)
    }

    /// Σ (recall step) · precision, without interpolation.
    fn average_precision(&self) -> f64 {
        let (mut sum, mut last) = (0.0, 0.0);
        for &(tp, fp) in &self.steps {
            sum += (tp - last) * tp / (tp + fp);
            last = tp;
        }
        sum / self.positives
    }
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
