//! Which candidate is taken: by two questions about held-out shots, over folds. No object of an unknown class is looked at.
//!
//! *Own class out*: a held-out object counts once as it is (`max_c Ω_c`, ID) and once as if its class were not on the list
//! (`max over c ≠ own`, OOD). Training has seen that class, so this flatters it: what is trained longer or stronger looks better.
//! *Classes out*: a second training of the fold knows neither objects nor names of a part of the classes; held-out objects of the
//! others are ID, all objects of these OOD. That is what an unknown thing is, but there is less to learn from, and few classes are few
//! unknown things. Candidates are compared by the mean of the two AUROCs; plain CLIP is the first.

use ndarray::{Array2, ArrayRef2, ArrayView1, Axis};

use super::{
    recipe::Recipe,
    rng::{Purpose, Rng},
};
use crate::{Result, attention::size, calibrate::conformal, eval::metrics};

/// Parts of the shots, and of the classes, that are held out in turn.
const FOLDS: usize = 5;

/// Fewer classes than these are no list to train on.
const LEAST_LISTED: usize = 2;

/// The share of known objects that the threshold keeps.
const KEEP: f64 = 0.95;

/// One candidate and how it did on shots that it was not trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Steps of training; `None` is plain CLIP.
    pub steps: Option<usize>,
    /// The share that is kept of what training adds; of plain CLIP 0.
    pub strength: f32,
    /// What is compared: the mean of the two AUROCs below.
    pub auroc: f64,
    /// FPR95, the mean over the same two.
    pub fpr95: f64,
    /// AUROC with each object's own class off the list, over the held-out shots of all folds.
    pub own_class_out: f64,
    /// AUROC against classes that were held out of training, over all folds; `None` where the list is too short for that.
    pub classes_out: Option<f64>,
    /// The mean AUROC of each fold.
    pub of_folds: Vec<f64>,
    /// Scores of the held-out objects as they are.
    kept: Vec<f64>,
}

/// All candidates, and the one that is taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Plain CLIP first, then by steps, then by strength.
    pub candidates: Vec<Candidate>,
    /// Index of the one that is taken.
    pub chosen: usize,
}

/// Scores of objects that count as ID and as OOD.
type Scores = (Vec<f64>, Vec<f64>);

/// What one candidate scored, fold by fold.
#[derive(Debug, Clone, Default)]
struct Pooled {
    own_class_out: Vec<Scores>,
    /// `None` in a fold that holds no classes out.
    classes_out: Vec<Option<Scores>>,
}

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

/// What is held out together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folds {
    count: usize,
    /// Of each shot.
    shots: Vec<usize>,
    /// Of each class.
    classes: Vec<usize>,
}

impl Folds {
    /// Each class's own shots are spread evenly, and so are the classes, in random order.
    pub(super) fn new(classes: &[usize], listed: usize, shots: usize, seed: u64) -> Self {
        let count = FOLDS.min(shots);
        let mut rng = Rng::new(seed, Purpose::Folds);
        let mut of_shots = vec![0; classes.len()];
        let spread = |mut members: Vec<usize>, folds: &mut [usize], rng: &mut Rng| {
            rng.shuffle(&mut members);
            for (position, member) in members.into_iter().enumerate() {
                folds[member] = position % count;
            }
        };
        for class in 0..listed {
            spread((0..classes.len()).filter(|&index| classes[index] == class).collect(), &mut of_shots, &mut rng);
        }
        let mut of_classes = vec![0; listed];
        spread((0..listed).collect(), &mut of_classes, &mut Rng::new(seed, Purpose::Classes));
        Self { count, shots: of_shots, classes: of_classes }
    }

    /// How often is trained to compare the candidates.
    pub(super) fn trainings(&self) -> usize {
        self.count + (0..self.count).filter(|&fold| self.listed(fold).is_some()).count()
    }

    /// The classes that stay on the list of a fold's second training; none where there is no such training.
    fn listed(&self, fold: usize) -> Option<Vec<usize>> {
        let listed: Vec<usize> = (0..self.classes.len()).filter(|&class| self.classes[class] != fold).collect();
        (LEAST_LISTED..self.classes.len()).contains(&listed.len()).then_some(listed)
    }
}

/// Trains without each fold and scores it. `each`: the number of the training, the step and its loss.
pub(super) fn compare<R: Recipe>(
    recipe: &R,
    plain: &ArrayRef2<f32>,
    classes: &[usize],
    folds: &Folds,
    each: &mut dyn FnMut(usize, usize, f32) -> Result<()>,
) -> Result<Curve> {
    let everything: Vec<usize> = (0..plain.ncols()).collect();
    let trained = recipe.steps().iter().flat_map(|&steps| recipe.strengths().iter().map(move |&strength| (Some(steps), strength)));
    let settings: Vec<(Option<usize>, f32)> = std::iter::once((None, 0.0)).chain(trained).collect();
    let mut pooled = vec![Pooled::default(); settings.len()];
    let mut training = 0;
    // Ω of some shots by each candidate, trained on others.
    let mut candidates = |shots: &[usize], listed: &[usize], scored: &[usize]| -> Result<Vec<Array2<f32>>> {
        let fitted = recipe.fit(shots, listed, &mut |step, loss| each(training, step, loss))?;
        training += 1;
        let mut omegas = vec![plain.select(Axis(0), scored)];
        for (_, fitted) in &fitted {
            omegas.extend(recipe.omegas(fitted, scored)?);
        }
        Ok(omegas)
    };
    for fold in 0..folds.count {
        let (held, others): (Vec<usize>, Vec<usize>) = (0..classes.len()).partition(|&index| folds.shots[index] == fold);
        for (omega, pooled) in candidates(&others, &everything, &held)?.iter().zip(&mut pooled) {
            let without = |own: usize| everything.iter().copied().filter(move |&class| class != own);
            let rows = || omega.rows().into_iter().zip(&held);
            let kept = rows().map(|(row, _)| most(&row, everything.iter().copied())).collect();
            let left = rows().map(|(row, &index)| most(&row, without(classes[index]))).collect();
            pooled.own_class_out.push((kept, left));
        }
        let Some(listed) = folds.listed(fold) else {
            for pooled in &mut pooled {
                pooled.classes_out.push(None);
            }
            continue;
        };
        let is_listed = |index: &usize| listed.contains(&classes[*index]);
        let known: Vec<usize> = held.into_iter().filter(is_listed).collect();
        let scored: Vec<usize> = known.iter().copied().chain((0..classes.len()).filter(|index| !is_listed(index))).collect();
        let others: Vec<usize> = others.into_iter().filter(is_listed).collect();
        for (omega, pooled) in candidates(&others, &listed, &scored)?.iter().zip(&mut pooled) {
            let mut kept: Vec<f64> = omega.rows().into_iter().map(|row| most(&row, listed.iter().copied())).collect();
            let left = kept.split_off(known.len());
            pooled.classes_out.push(Some((kept, left)));
        }
    }
    let candidates = settings.into_iter().zip(pooled);
    let candidates: Vec<Candidate> =
        candidates.map(|((steps, strength), pooled)| candidate(steps, strength, &pooled)).collect::<Result<_>>()?;
    let chosen = best(&candidates);
    Ok(Curve { candidates, chosen })
}

fn candidate(steps: Option<usize>, strength: f32, pooled: &Pooled) -> Result<Candidate> {
    let own = answer(pooled.own_class_out.iter())?;
    let classes = if pooled.classes_out.iter().any(Option::is_some) { Some(answer(pooled.classes_out.iter().flatten())?) } else { None };
    let of_fold = |(own, classes): (&Scores, &Option<Scores>)| {
        let of = |fold: &Scores| Ok::<_, crate::Error>(answer(std::iter::once(fold))?.0);
        Ok(both(of(own)?, classes.as_ref().map(of).transpose()?))
    };
    Ok(Candidate {
        steps,
        strength,
        auroc: both(own.0, classes.map(|classes| classes.0)),
        fpr95: both(own.1, classes.map(|classes| classes.1)),
        own_class_out: own.0,
        classes_out: classes.map(|classes| classes.0),
        of_folds: pooled.own_class_out.iter().zip(&pooled.classes_out).map(of_fold).collect::<Result<_>>()?,
        kept: pooled.own_class_out.iter().flat_map(|(kept, _)| kept).copied().collect(),
    })
}

/// AUROC and FPR95 over some folds together.
fn answer<'a>(folds: impl Iterator<Item = &'a Scores>) -> Result<(f64, f64)> {
    let (mut kept, mut left) = Scores::default();
    for (of_kept, of_left) in folds {
        kept.extend_from_slice(of_kept);
        left.extend_from_slice(of_left);
    }
    let found = metrics(&kept, &left)?;
    Ok((found.auroc, found.fpr95))
}

/// The mean of both questions.
fn both(own_class_out: f64, classes_out: Option<f64>) -> f64 {
    classes_out.map_or(own_class_out, |classes_out| f64::midpoint(own_class_out, classes_out))
}

/// The largest of some classes' Ω.
fn most(row: &ArrayView1<'_, f32>, classes: impl Iterator<Item = usize>) -> f64 {
    f64::from(classes.map(|class| row[class]).fold(f32::NEG_INFINITY, f32::max))
}

/// Of equals the first, which is the least trained.
fn best(candidates: &[Candidate]) -> usize {
    (1..candidates.len()).fold(0, |best, index| if candidates[index].auroc > candidates[best].auroc { index } else { best })
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
    use crate::tune::head::Head;
    use ndarray::array;

    fn candidate(steps: Option<usize>, auroc: f64) -> Candidate {
        let of_folds = vec![auroc; 5];
        Candidate { steps, strength: 1.0, auroc, fpr95: 0.0, own_class_out: auroc, classes_out: None, of_folds, kept: vec![] }
    }

    #[test]
    fn the_best_is_taken_and_of_equals_the_first() {
        assert_eq!(best(&[candidate(None, 0.8), candidate(Some(10), 0.9), candidate(Some(20), 0.9), candidate(Some(30), 0.85)]), 1);
        // Nothing was gained: plain CLIP.
        assert_eq!(best(&[candidate(None, 0.8), candidate(Some(0), 0.8), candidate(Some(10), 0.7)]), 0);
    }

    /// Its Ω is that of plain CLIP plus a constant for every listed class, times the strength.
    struct Lifts {
        plain: Array2<f32>,
        trainings: std::cell::RefCell<Vec<Training>>,
    }

    impl Recipe for Lifts {
        type Fitted = (Vec<usize>, f32);

        fn fit(
            &self,
            shots: &[usize],
            listed: &[usize],
            each: &mut dyn FnMut(usize, f32) -> Result<()>,
        ) -> Result<Vec<(usize, Self::Fitted)>> {
            self.trainings.borrow_mut().push((shots.to_vec(), listed.to_vec()));
            each(0, 0.0)?;
            Ok(vec![(1, (listed.to_vec(), 1.0))])
        }

        fn omegas(&self, (listed, _): &Self::Fitted, shots: &[usize]) -> Result<Vec<Array2<f32>>> {
            let with = |&strength: &f32| {
                let mut omega = self.plain.select(Axis(0), shots);
                for &class in listed {
                    omega.column_mut(class).mapv_inplace(|value| value + strength);
                }
                omega
            };
            Ok(self.strengths().iter().map(with).collect())
        }

        fn weakened(&self, fitted: &Self::Fitted, _strength: f32) -> Result<Self::Fitted> {
            Ok(fitted.clone())
        }

        fn head(&self, _: &Self::Fitted) -> Head {
            unreachable!("a comparison writes no head")
        }

        fn steps(&self) -> &'static [usize] {
            &[1]
        }

        fn strengths(&self) -> &'static [f32] {
            &[0.5, 1.0]
        }
    }

    /// The shots and the listed classes of a training.
    type Training = (Vec<usize>, Vec<usize>);

    /// Two shots of each of four classes; all but the last are sure of their class.
    fn compared() -> (Curve, Vec<Training>, Folds) {
        let classes = [0, 0, 1, 1, 2, 2, 3, 3];
        let mut plain = Array2::from_shape_fn((8, 4), |(object, class)| if classes[object] == class { 0.9 } else { 0.1 });
        plain.row_mut(7).assign(&array![0.0, 0.0, 0.0, 0.05]);
        let recipe = Lifts { plain: plain.clone(), trainings: std::cell::RefCell::default() };
        let folds = Folds::new(&classes, 4, 2, 0);
        let mut told = Vec::new();
        let curve = compare(&recipe, &plain, &classes, &folds, &mut |training, _, _| {
            told.push(training);
            Ok(())
        });
        assert_eq!(told, (0..folds.trainings()).collect::<Vec<_>>());
        (curve.unwrap(), recipe.trainings.into_inner(), folds)
    }

    #[test]
    fn classes_that_are_held_out_are_seen_neither_as_objects_nor_on_the_list() {
        let (_, trainings, folds) = compared();
        assert_eq!((folds.trainings(), trainings.len()), (4, 4));
        for (fold, pair) in trainings.chunks(2).enumerate() {
            let [(shots, listed), (fewer, shorter)] = pair else { panic!("{pair:?}") };
            assert_eq!((shots.len(), &listed[..]), (4, &[0, 1, 2, 3][..]));
            assert!(shots.iter().all(|&shot| folds.shots[shot] != fold));
            assert_eq!((fewer.len(), shorter.len()), (2, 2));
            assert!(fewer.iter().all(|&shot| shots.contains(&shot) && shorter.contains(&(shot / 2))), "{fewer:?} {shorter:?}");
            assert!(shorter.iter().all(|&class| folds.classes[class] != fold));
        }
    }

    #[test]
    fn both_questions_count_alike() {
        let (curve, ..) = compared();
        let plain = &curve.candidates[0];
        // Only the last object, 0.05 as it is, is below others without their class (0.1): 8 · 7 of 64 pairs are right, one of its own more.
        assert!((plain.own_class_out - 57.0 / 64.0).abs() < 1e-9, "{plain:?}");
        assert_eq!((plain.steps, curve.candidates[2].steps, curve.candidates[2].strength.to_bits()), (None, Some(1), 1.0_f32.to_bits()));
        for one in &curve.candidates {
            assert!((one.auroc - f64::midpoint(one.own_class_out, one.classes_out.unwrap())).abs() < 1e-12, "{one:?}");
        }
        assert_eq!(plain.kept.len(), 8);
    }

    #[test]
    fn every_fold_has_its_share_of_each_class_and_of_the_classes() {
        let classes: Vec<usize> = (0..100).map(|index| index / 10).collect();
        let folds = Folds::new(&classes, 10, 10, 4);
        for (class, fold) in (0..10).flat_map(|class| (0..5).map(move |fold| (class, fold))) {
            assert_eq!((0..100).filter(|&index| classes[index] == class && folds.shots[index] == fold).count(), 2);
        }
        assert!((0..5).all(|fold| folds.listed(fold).unwrap().len() == 8));
        assert_eq!(folds.trainings(), 10);
        assert_ne!(folds.classes, Folds::new(&classes, 10, 10, 5).classes);
        assert_eq!(Folds::new(&[0, 0, 1, 1], 2, 2, 0).shots.iter().max(), Some(&1));
    }

    #[test]
    fn of_two_classes_none_is_held_out() {
        let folds = Folds::new(&[0, 0, 0, 1, 1, 1], 2, 3, 0);
        assert_eq!((folds.trainings(), folds.listed(0)), (3, None));
    }

    #[test]
    fn the_threshold_is_the_conformal_quantile() {
        let of = |count: u32| {
            let kept = (0..count).map(f64::from).collect();
            Curve { candidates: vec![Candidate { kept, ..candidate(None, 0.5) }], chosen: 0 }.threshold()
        };
        // 100 scores: the fifth from below; 19: the first; fewer: nothing below the least.
        for (count, wanted) in [(100, 4.0), (19, 0.0), (5, 0.0)] {
            assert!((of(count) - wanted).abs() < 1e-6, "{count}: {}", of(count));
        }
    }
}
