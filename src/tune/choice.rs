//! Which candidate is taken: leave-own-class-out over folds of the shots. No object of an unknown class is looked at.
//!
//! In each fold a held-out object counts once as it is (`max_c Ω_c`, ID) and once as if its class were not on the list
//! (`max over c ≠ own`, OOD). Plain CLIP is the first candidate; the earliest one within one paired standard error of the best is taken.

use ndarray::{Array2, ArrayRef2};

use super::{
    recipe::Recipe,
    rng::{Purpose, Rng},
};
use crate::{Result, attention::size, calibrate::conformal, eval::metrics};

/// Parts of the shots that are held out in turn.
const FOLDS: usize = 5;

/// The share of known objects that the threshold keeps.
const KEEP: f64 = 0.95;

/// One candidate and how it did on shots that it was not trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Steps of training; `None` is plain CLIP.
    pub steps: Option<usize>,
    /// AUROC over the held-out shots of all folds.
    pub auroc: f64,
    /// FPR95 over them.
    pub fpr95: f64,
    /// AUROC of each fold.
    pub of_folds: Vec<f64>,
    /// Scores of the held-out objects as they are.
    kept: Vec<f64>,
}

/// All candidates, and the one that is taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Plain CLIP first, then by steps.
    pub candidates: Vec<Candidate>,
    /// Index of the one that is taken.
    pub chosen: usize,
}

/// Held-out objects' scores as they are, and as if their class were unknown, fold by fold.
type Pooled = Vec<(Vec<f64>, Vec<f64>)>;

impl Curve {
    /// The candidate that is taken.
    #[must_use]
    pub fn taken(&self) -> &Candidate {
        &self.candidates[self.chosen]
    }

    /// What was gained over plain CLIP in AUROC, over all held-out shots, and the standard error over folds.
    #[must_use]
    pub fn gain(&self) -> (f64, f64) {
        let (plain, taken) = (&self.candidates[0], self.taken());
        let (_, error) = paired(&taken.of_folds, &plain.of_folds);
        (taken.auroc - plain.auroc, error)
    }

    /// δ that keeps 95 % of ID objects, from the held-out shots: the conformal quantile; of fewer than 19 the lowest score.
    #[must_use]
    pub fn threshold(&self) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "they came from floats of that size")]
        let scores: Vec<f32> = self.taken().kept.iter().map(|score| *score as f32).collect();
        conformal(&scores, KEEP).unwrap_or_else(|| scores.iter().copied().fold(f32::INFINITY, f32::min))
    }
}

/// Which shots are held out together: each class's own spread evenly, in random order.
pub(super) fn folds(classes: &[usize], shots: usize, seed: u64) -> Vec<usize> {
    let count = FOLDS.min(shots);
    let mut rng = Rng::new(seed, Purpose::Folds);
    let mut folds = vec![0; classes.len()];
    for class in 0..=classes.iter().copied().max().unwrap_or(0) {
        let mut own: Vec<usize> = (0..classes.len()).filter(|&index| classes[index] == class).collect();
        rng.shuffle(&mut own);
        for (position, index) in own.into_iter().enumerate() {
            folds[index] = position % count;
        }
    }
    folds
}

/// Trains without each fold and scores it. `each`: the number of the training, the step and its loss.
pub(super) fn leave_own_class_out<R: Recipe>(
    recipe: &R,
    plain: &ArrayRef2<f32>,
    classes: &[usize],
    folds: &[usize],
    each: &mut dyn FnMut(usize, usize, f32) -> Result<()>,
) -> Result<Curve> {
    let count = folds.iter().max().map_or(0, |last| last + 1);
    let mut pooled: Vec<(Option<usize>, Pooled)> =
        std::iter::once(None).chain(recipe.steps().iter().map(|steps| Some(*steps))).map(|steps| (steps, Pooled::new())).collect();
    for fold in 0..count {
        let (held, others): (Vec<usize>, Vec<usize>) = (0..classes.len()).partition(|&index| folds[index] == fold);
        let own: Vec<usize> = held.iter().map(|&index| classes[index]).collect();
        pooled[0].1.push(scores(&plain.select(ndarray::Axis(0), &held), &own));
        let fitted = recipe.fit(&others, &mut |step, loss| each(fold, step, loss))?;
        for ((_, fitted), (_, pooled)) in fitted.iter().zip(&mut pooled[1..]) {
            pooled.push(scores(&recipe.omega(fitted, &held)?, &own));
        }
    }
    let candidates: Vec<Candidate> = pooled.into_iter().map(|(steps, pooled)| candidate(steps, &pooled)).collect::<Result<_>>()?;
    let chosen = earliest_as_good(&candidates);
    Ok(Curve { candidates, chosen })
}

fn candidate(steps: Option<usize>, pooled: &Pooled) -> Result<Candidate> {
    let kept: Vec<f64> = pooled.iter().flat_map(|(kept, _)| kept).copied().collect();
    let left: Vec<f64> = pooled.iter().flat_map(|(_, left)| left).copied().collect();
    let whole = metrics(&kept, &left)?;
    let of_folds = pooled.iter().map(|(kept, left)| Ok(metrics(kept, left)?.auroc)).collect::<Result<_>>()?;
    Ok(Candidate { steps, auroc: whole.auroc, fpr95: whole.fpr95, of_folds, kept })
}

/// `max_c Ω_c`, and the same without the own class.
fn scores(omega: &Array2<f32>, own: &[usize]) -> (Vec<f64>, Vec<f64>) {
    let most = |row: ndarray::ArrayView1<'_, f32>, without: Option<usize>| {
        let listed = row.iter().enumerate().filter(|(class, _)| Some(*class) != without);
        f64::from(listed.map(|(_, omega)| *omega).fold(f32::NEG_INFINITY, f32::max))
    };
    let rows = || omega.rows().into_iter().zip(own);
    (rows().map(|(row, _)| most(row, None)).collect(), rows().map(|(row, own)| most(row, Some(*own))).collect())
}

fn earliest_as_good(candidates: &[Candidate]) -> usize {
    let best = (1..candidates.len()).fold(0, |best, index| if candidates[index].auroc > candidates[best].auroc { index } else { best });
    let as_good = |candidate: &Candidate| {
        let (behind, error) = paired(&candidates[best].of_folds, &candidate.of_folds);
        behind <= error
    };
    candidates.iter().position(as_good).unwrap_or(best)
}

/// The mean of `a − b` over folds, and its standard error.
fn paired(a: &[f64], b: &[f64]) -> (f64, f64) {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let count = f64::from(size(differences.len()));
    let mean = differences.iter().sum::<f64>() / count;
    let squares: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0) / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn candidate(steps: Option<usize>, of_folds: &[f64]) -> Candidate {
        let auroc = of_folds.iter().sum::<f64>() / 5.0;
        Candidate { steps, auroc, fpr95: 0.0, of_folds: of_folds.to_vec(), kept: vec![] }
    }

    #[test]
    fn the_earliest_within_one_paired_standard_error_is_taken() {
        let plain = candidate(None, &[0.8, 0.8, 0.8, 0.8, 0.8]);
        let early = candidate(Some(10), &[0.9, 0.92, 0.9, 0.88, 0.9]);
        let late = candidate(Some(20), &[0.91, 0.9, 0.92, 0.87, 0.91]);
        assert_eq!(earliest_as_good(&[plain.clone(), early.clone(), late]), 1);
        // One that is better by the same in every fold is better for certain.
        let better = candidate(Some(30), &[0.91, 0.93, 0.91, 0.89, 0.91]);
        assert_eq!(earliest_as_good(&[plain.clone(), early, better]), 2);
        // Nothing was gained: plain CLIP.
        let worse = candidate(Some(10), &[0.7, 0.9, 0.8, 0.75, 0.8]);
        assert_eq!(earliest_as_good(&[plain, worse]), 0);
    }

    #[test]
    fn an_object_counts_with_and_without_its_class() {
        let (kept, left) = scores(&array![[0.9, 0.2, 0.1], [0.3, 0.1, 0.4]], &[0, 0]);
        assert_eq!(kept, [f64::from(0.9_f32), f64::from(0.4_f32)]);
        assert_eq!(left, [f64::from(0.2_f32), f64::from(0.4_f32)]);
    }

    #[test]
    fn every_fold_has_its_share_of_each_class() {
        let classes: Vec<usize> = (0..30).map(|index| index / 10).collect();
        let folds = folds(&classes, 10, 4);
        for (class, fold) in (0..3).flat_map(|class| (0..5).map(move |fold| (class, fold))) {
            assert_eq!((0..30).filter(|&index| classes[index] == class && folds[index] == fold).count(), 2);
        }
        assert_eq!(super::folds(&[0, 0, 1, 1], 2, 0).iter().max(), Some(&1));
    }

    #[test]
    fn the_threshold_is_the_conformal_quantile() {
        let of = |count: u32| {
            let kept = (0..count).map(f64::from).collect();
            Curve { candidates: vec![Candidate { kept, ..candidate(None, &[0.5; 5]) }], chosen: 0 }.threshold()
        };
        // 100 scores: the fifth from below; 19: the first; fewer: nothing below the least.
        for (count, wanted) in [(100, 4.0), (19, 0.0), (5, 0.0)] {
            assert!((of(count) - wanted).abs() < 1e-6, "{count}: {}", of(count));
        }
    }
}
