//! ID or OOD: the score against the threshold. `ClassScores ─▶ Verdict`.
//!
//! `s = max_c Ω_c`; nearest class = arg-max; **OOD when `s < δ`** (method.md, image side, step 7).

use std::{collections::HashMap, sync::Arc};

use ndarray::ArrayRef1;

use crate::{
    Error, Result,
    attention::size,
    detect::Detection,
    geometry::Rect,
    score::{ClassScores, NOT_LISTED},
    track::Track,
    vocabulary::Vocabulary,
};

/// What is said of one object (or of the frame).
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It was scored.
    Scored(Scored),
    /// It was not, and why.
    Unscored(Reason),
}

/// A scored object's verdict. **omega: higher is more ID.**
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// `true` when `omega < threshold`; along a track, from the third observation on.
    pub ood: bool,
    /// `s = max_c Ω_c`.
    pub omega: f32,
    /// δ.
    pub threshold: f32,
    /// Share of the calibration's ID objects that score lower, 0..=1; `None` without calibration.
    pub percentile: Option<f32>,
    /// The class of the highest Ω.
    pub nearest: Arc<str>,
    /// Ω of every class on the object's shortlist, in the vocabulary's order; kept where it was asked for.
    pub omegas: Option<Vec<(Arc<str>, f32)>>,
    /// Plain CLIP's cosine of every class, in the vocabulary's order; kept where it was asked for.
    pub cosines: Option<Vec<(Arc<str>, f32)>>,
}

/// Why an object has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// More objects than `max-objects`; the most confident were scored.
    MaxObjects,
    /// The queue was full and `overload=bypass`.
    Overload,
    /// Downstream said by QoS that the frame would come too late, and `qos=true`.
    Late,
    /// The model run failed.
    Error,
    /// Its track was not scored in this frame and has no score yet.
    Pending,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::MaxObjects, Self::Overload, Self::Late, Self::Error, Self::Pending];

    /// The word used in JSON, metadata and statistics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxObjects => "max-objects",
            Self::Overload => "overload",
            Self::Late => "late",
            Self::Error => "error",
            Self::Pending => "pending",
        }
    }
}

/// Which scores ID objects have: quantiles of `s` over the calibration's objects, evenly spaced from the lowest to the highest;
/// and the thresholds of classes that have their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    quantiles: Vec<f32>,
    of_class: HashMap<Arc<str>, f32>,
}

/// One object of a frame with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The pixels that were scored.
    pub rect: Rect,
    /// The box it came from.
    pub detection: Detection,
    /// What is said of it.
    pub verdict: Verdict,
    /// Its track, where there is a tracker.
    pub track: Option<Track>,
}

/// The verdict that scores lead to. Of classes with the same Ω the first in the vocabulary is the nearest.
///
/// `keep_scores` keeps Ω and the plain cosine of every class in it.
///
/// # Errors
/// [`Error::Inference`] where a score is not finite, or there is not one for each class: such an object is [`Verdict::Unscored`].
pub fn judge(
    scores: &ClassScores,
    vocabulary: &Vocabulary,
    threshold: f32,
    calibration: Option<&Calibration>,
    keep_scores: bool,
) -> Result<Scored> {
    let classes = &vocabulary.classes;
    for (name, scores) in [("omega", &scores.omega), ("clip_cosine", &scores.clip_cosine)] {
        if scores.len() != classes.len() {
            return Err(inference(format!("{} values of {name} for {} classes; build the graph again", scores.len(), classes.len())));
        }
        if let Some(class) = scores.iter().position(|score| !score.is_finite()) {
            let (score, class) = (scores[class], &classes[class]);
            return Err(inference(format!(
                "{name} of `{class}` is {score}; run it in fp32, or check the weights with `uniood models check`"
            )));
        }
    }
    let best = |best: (usize, f32), (class, omega): (usize, &f32)| if *omega > best.1 { (class, *omega) } else { best };
    let (nearest, omega) = scores.omega.iter().enumerate().fold((0, f32::NEG_INFINITY), best);
    let Some(nearest) = classes.get(nearest) else { return Err(inference("there are no classes to score against".to_owned())) };
    let keep = |scores: &ArrayRef1<f32>| -> Option<Vec<_>> {
        let of_classes = classes.iter().cloned().zip(scores.iter().copied());
        keep_scores.then(|| of_classes.filter(|(_, score)| *score > NOT_LISTED).collect())
    };
    let scored = Scored {
        ood: false,
        omega,
        threshold,
        percentile: None,
        nearest: Arc::clone(nearest),
        omegas: keep(&scores.omega),
        cosines: keep(&scores.clip_cosine),
    };
    Ok(scored.judged_by(threshold, calibration))
}

impl Scored {
    /// The same score against this δ, or that of its nearest class where the calibration has one.
    #[must_use]
    pub fn judged_by(&self, threshold: f32, calibration: Option<&Calibration>) -> Self {
        let threshold = calibration.and_then(|calibration| calibration.of_class.get(&self.nearest).copied()).unwrap_or(threshold);
        let percentile = calibration.map(|calibration| calibration.percentile(self.omega));
        Self { ood: self.omega < threshold, threshold, percentile, ..self.clone() }
    }
}

fn inference(problem: String) -> Error {
    Error::Inference { stage: "encode", problem }
}

impl Calibration {
    /// A table of at least two ascending quantiles.
    ///
    /// # Errors
    /// [`Error::Setting`] for fewer, for one that is not finite, and for one below its predecessor.
    pub fn new(quantiles: Vec<f32>) -> Result<Self> {
        let ascending = quantiles.is_sorted() && quantiles.iter().all(|quantile| quantile.is_finite());
        if quantiles.len() < 2 || !ascending {
            return Err(Error::Setting("the calibration's quantiles are not at least two ascending numbers; calibrate again".to_owned()));
        }
        Ok(Self { quantiles, of_class: HashMap::new() })
    }

    /// The same with thresholds of their own for objects whose nearest class is one of these.
    #[must_use]
    pub fn with_thresholds(self, of_class: HashMap<Arc<str>, f32>) -> Self {
        Self { of_class, ..self }
    }

    /// The share of the calibration's ID objects that score lower than `omega`, 0..=1; linear between quantiles.
    #[must_use]
    pub fn percentile(&self, omega: f32) -> f32 {
        let lower = self.quantiles.partition_point(|quantile| *quantile < omega);
        let steps = size(self.quantiles.len() - 1);
        let Some((last_lower, next)) = lower.checked_sub(1).map(|last| (last, self.quantiles.get(lower))) else { return 0.0 };
        let Some(next) = next else { return 1.0 };
        let from = self.quantiles[last_lower];
        (size(last_lower) + (omega - from) / (next - from)) / steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2};
    use proptest::prelude::*;

    fn vocabulary(classes: &[&str]) -> Vocabulary {
        let (c, e) = (classes.len(), 2);
        Vocabulary {
            classes: classes.iter().map(|class| Arc::from(*class)).collect(),
            text: Array2::zeros((c, e)),
            inter_text: Array2::zeros((c, c)),
            context_text: Array2::zeros((c, e)),
        }
    }

    fn scores(omega: &[f32]) -> ClassScores {
        ClassScores { omega: Array1::from(omega.to_vec()), clip_cosine: Array1::zeros(omega.len()) }
    }

    fn verdict(omega: &[f32], threshold: f32) -> Result<Scored> {
        judge(&scores(omega), &vocabulary(&["car", "bus", "tram"]), threshold, None, false)
    }

    #[test]
    fn the_best_class_decides_and_is_the_nearest() {
        let scored = verdict(&[0.1, 0.3, 0.2], 0.25).unwrap();
        assert_eq!((scored.ood, &*scored.nearest, scored.omega.to_bits()), (false, "bus", 0.3f32.to_bits()));
        assert!(verdict(&[0.1, 0.2, -0.3], 0.25).unwrap().ood);
    }

    #[test]
    fn a_score_at_the_threshold_is_id() {
        assert!(!verdict(&[0.25, 0.0, 0.0], 0.25).unwrap().ood);
    }

    #[test]
    fn the_first_of_equal_classes_is_the_nearest() {
        assert_eq!(&*verdict(&[-0.1, -0.1, -0.1], 0.0).unwrap().nearest, "car");
    }

    #[test]
    fn a_score_that_is_no_number_is_an_error_that_names_its_class() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = verdict(&[0.9, bad, 0.1], 0.0).unwrap_err().to_string();
            assert!(error.contains("omega of `bus`"), "{error}");
        }
        let mut scores = scores(&[0.1, 0.2, 0.3]);
        scores.clip_cosine[2] = f32::NAN;
        assert!(judge(&scores, &vocabulary(&["car", "bus", "tram"]), 0.0, None, false).is_err());
    }

    #[test]
    fn scores_of_another_list_and_no_classes_are_errors() {
        assert!(verdict(&[0.1, 0.2], 0.0).is_err());
        assert!(judge(&scores(&[]), &vocabulary(&[]), 0.0, None, false).is_err());
    }

    #[test]
    fn every_class_is_kept_only_when_asked_for() {
        let (scores, vocabulary) = (scores(&[0.1, 0.2]), vocabulary(&["car", "bus"]));
        let kept = judge(&scores, &vocabulary, 0.0, None, true).unwrap();
        assert_eq!(kept.omegas.unwrap(), [(Arc::from("car"), 0.1), (Arc::from("bus"), 0.2)]);
        assert_eq!(kept.cosines.unwrap().len(), 2);
        assert_eq!(judge(&scores, &vocabulary, 0.0, None, false).unwrap().omegas, None);
    }

    #[test]
    fn a_class_with_a_threshold_of_its_own_is_judged_by_it() {
        let calibration = Calibration::new(vec![0.0, 1.0]).unwrap().with_thresholds([(Arc::from("bus"), 0.4)].into());
        let of = |omega: &[f32]| judge(&scores(omega), &vocabulary(&["car", "bus"]), 0.2, Some(&calibration), false).unwrap();
        assert!(of(&[0.1, 0.3]).ood && !of(&[0.3, 0.1]).ood);
        assert!((of(&[0.1, 0.3]).threshold - 0.4).abs() < 1e-6);
    }

    #[test]
    fn the_percentile_is_the_share_that_scores_lower() {
        let calibration = Calibration::new(vec![0.1, 0.2, 0.2, 0.4]).unwrap();
        for (omega, wanted) in [(0.0, 0.0), (0.1, 0.0), (0.15, 1.0 / 6.0), (0.2, 1.0 / 3.0), (0.3, 5.0 / 6.0), (0.4, 1.0), (9.0, 1.0)] {
            assert!((calibration.percentile(omega) - wanted).abs() < 1e-5, "{omega}: {}", calibration.percentile(omega));
        }
        let scored = judge(&scores(&[0.3]), &vocabulary(&["car"]), 0.0, Some(&calibration), false).unwrap();
        assert!((scored.percentile.unwrap() - 5.0 / 6.0).abs() < 1e-5);
    }

    #[test]
    fn a_table_that_does_not_ascend_is_refused() {
        for quantiles in [vec![], vec![0.1], vec![0.2, 0.1], vec![0.1, f32::NAN], vec![0.1, f32::INFINITY]] {
            assert!(Calibration::new(quantiles.clone()).is_err(), "{quantiles:?}");
        }
    }

    proptest! {
        #[test]
        fn a_higher_score_never_has_a_lower_percentile(mut quantiles in proptest::collection::vec(-1f32..1.0, 2..20), a in -2f32..2.0, b in -2f32..2.0) {
            quantiles.sort_by(f32::total_cmp);
            let calibration = Calibration::new(quantiles).unwrap();
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(calibration.percentile(low) <= calibration.percentile(high));
            prop_assert!((0.0..=1.0).contains(&calibration.percentile(a)));
        }
    }
}
