//! The curve behind every metric: what is at or above each threshold, from the highest score down.

/// Weighted counts at or above each distinct score.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    /// Score, positives and negatives at or above it.
    steps: Vec<(f64, f64, f64)>,
    positives: f64,
    negatives: f64,
}

/// Shares at or above a threshold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    pub(super) threshold: f64,
    pub(super) positive: f64,
    pub(super) negative: f64,
}

impl Curve {
    /// Of plain lists.
    pub(super) fn of(positive: &[f64], negative: &[f64]) -> Self {
        let mut all: Vec<(f64, f64, f64)> =
            positive.iter().map(|score| (*score, 1.0, 0.0)).chain(negative.iter().map(|score| (*score, 0.0, 1.0))).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self::falling(all.into_iter())
    }

    /// Of scores in falling order, each with its weight among positives and among negatives; one of them is above 0.
    pub(super) fn falling(scores: impl Iterator<Item = (f64, f64, f64)>) -> Self {
        let mut steps: Vec<(f64, f64, f64)> = Vec::new();
        let (mut tp, mut fp) = (0.0, 0.0);
        for (score, positive, negative) in scores {
            tp += positive;
            fp += negative;
            // `==` rather than `total_cmp`, so that 0.0 and -0.0 are one threshold.
            match steps.last_mut() {
                #[expect(clippy::float_cmp, reason = "equal scores are one threshold")]
                Some(last) if last.0 == score => *last = (score, tp, fp),
                _ => steps.push((score, tp, fp)),
            }
        }
        Self { steps, positives: tp, negatives: fp }
    }

    /// Whether there is something of both kinds; all below asks for it.
    pub(super) fn has_both(&self) -> bool {
        self.positives > 0.0 && self.negatives > 0.0
    }

    /// Every step, the highest threshold first.
    pub(super) fn shares(&self) -> impl Iterator<Item = Shares> {
        self.steps.iter().map(|step| self.share(*step))
    }

    /// Precision and recall behind each step.
    pub(super) fn precisions(&self) -> impl Iterator<Item = (f64, f64)> {
        self.steps.iter().map(|&(_, tp, fp)| (tp / (tp + fp), tp / self.positives))
    }

    fn share(&self, (threshold, tp, fp): (f64, f64, f64)) -> Shares {
        Shares { threshold, positive: tp / self.positives, negative: fp / self.negatives }
    }

    /// At the highest threshold that keeps at least `share` of the positives.
    pub(super) fn at_least(&self, share: f64) -> Shares {
        let first = self.steps.iter().find(|(_, tp, _)| tp / self.positives >= share);
        self.share(*first.expect("the lowest score keeps all positives"))
    }

    /// At the threshold whose share of positives is closest to `share`; of several the lowest, as VOS's code picks.
    pub(super) fn closest_to(&self, share: f64) -> Shares {
        // VOS cuts the curve off where all positives are in.
        let end = self.steps.iter().position(|(_, tp, _)| *tp >= self.positives).expect("the lowest score keeps all positives");
        let distance = |(_, tp, _): &(f64, f64, f64)| (tp / self.positives - share).abs();
        let closest = self.steps[..=end].iter().rev().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        self.share(*closest.expect("a curve has at least one step"))
    }

    /// Area under the ROC curve, trapezoids.
    pub(super) fn area(&self) -> f64 {
        let (mut area, mut last) = (0.0, (0.0, 0.0));
        for &(_, tp, fp) in &self.steps {
            area += (fp - last.1) * (tp + last.0) / 2.0;
            last = (tp, fp);
        }
        area / (self.positives * self.negatives)
    }

    /// Σ (recall step) · precision, without interpolation.
    pub(super) fn average_precision(&self) -> f64 {
        let (mut sum, mut last) = (0.0, 0.0);
        for &(_, tp, fp) in &self.steps {
            sum += (tp - last) * tp / (tp + fp);
            last = tp;
        }
        sum / self.positives
    }
}
