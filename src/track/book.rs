//! What tracks were scored at, and the verdict that follows: that of their median observation.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::Track;
use crate::{
    engine::{Answer, FrameSettings},
    verdict::{Object, Reason, Scored, Verdict},
    vocabulary::Vocabulary,
};

/// Fewer observations than this make no alarm: with a median below δ, such a track is still called ID.
pub const LEAST_OBSERVATIONS: u32 = 3;

/// A verdict is that of so many of the last observations: older ones were of a thing further away, or of another one, and
/// [`LEAST_OBSERVATIONS`] new ones outweigh what is left of them.
pub const MOST_OBSERVATIONS: usize = 5;

/// The observations of one stream's tracks.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// As each was judged in its own frame, the oldest first.
    tracks: HashMap<u64, VecDeque<Scored>>,
    /// What they were scored against.
    vocabulary: Option<Arc<Vocabulary>>,
}

impl Book {
    /// Notes the scores of an answer, and gives every followed object in it the verdict of its track. An object that could not be scored
    /// is no observation.
    pub(super) fn resolve(&mut self, answer: &mut Answer, settings: &FrameSettings) {
        if !self.vocabulary.as_ref().is_some_and(|before| Arc::ptr_eq(before, &settings.vocabulary)) {
            self.vocabulary = Some(Arc::clone(&settings.vocabulary));
            self.tracks.clear();
        }
        for id in &answer.ended {
            self.tracks.remove(id);
        }
        for object in &mut answer.objects {
            let Some(id) = object.track.map(|track| track.id) else { continue };
            self.resolve_object(id, object, settings);
        }
    }

    fn resolve_object(&mut self, id: u64, object: &mut Object, settings: &FrameSettings) {
        let observations = match &object.verdict {
            Verdict::Scored(scored) => {
                let observations = self.tracks.entry(id).or_default();
                observations.push_back(scored.clone());
                while observations.len() > MOST_OBSERVATIONS {
                    observations.pop_front();
                }
                observations
            }
            Verdict::Unscored(Reason::Pending | Reason::MaxObjects) => match self.tracks.get_mut(&id) {
                Some(observations) => observations,
                None => return,
            },
            // What went wrong in this frame is said of this frame.
            Verdict::Unscored(_) => return,
        };
        let count = u32::try_from(observations.len()).unwrap_or(u32::MAX);
        let median = median(observations.make_contiguous());
        let mut verdict = median.judged_by(settings.threshold, settings.calibration.as_deref());
        verdict.ood &= count >= LEAST_OBSERVATIONS;
        object.verdict = Verdict::Scored(verdict);
        object.track = Some(Track { id, observations: count });
    }
}

/// The observation with the middle score; of two, the higher one, which is the more ID.
fn median(observations: &[Scored]) -> &Scored {
    let mut order: Vec<&Scored> = observations.iter().collect();
    order.sort_by(|a, b| a.omega.total_cmp(&b.omega));
    order[order.len() / 2]
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::{
        detect::{Detection, Selection},
        engine::{Approximation, Scope},
        geometry::{BBox, Rect},
    };

    fn settings(threshold: f32) -> FrameSettings {
        let none = || Array2::zeros((0, 0));
        let vocabulary = Arc::new(Vocabulary { classes: Vec::new(), text: none(), inter_text: none(), context_text: none() });
        let (selection, scope) = (Selection::default(), Scope::Object);
        FrameSettings {
            vocabulary,
            threshold,
            calibration: None,
            selection,
            scope,
            keep_scores: false,
            approximation: Approximation::default(),
        }
    }

    fn scored(omega: f32) -> Verdict {
        let nearest = if omega < 0.5 { "truck" } else { "car" };
        let scored = Scored { ood: false, omega, threshold: 9.0, percentile: None, nearest: nearest.into(), omegas: None, cosines: None };
        Verdict::Scored(scored)
    }

    /// What is said of track 1 in a frame that brings this.
    fn say(book: &mut Book, settings: &FrameSettings, verdict: Verdict) -> Object {
        let bbox = BBox { x: 0.0, y: 0.0, w: 9.0, h: 9.0 };
        let detection = Detection { bbox, confidence: 1.0, label: None };
        let object = Object { rect: Rect::whole(9, 9).unwrap(), detection, verdict, track: Some(Track { id: 1, observations: 0 }) };
        let mut answer = Answer { objects: vec![object], ..Answer::default() };
        book.resolve(&mut answer, settings);
        answer.objects.remove(0)
    }

    /// Label, omega and observations.
    fn said(object: &Object) -> (bool, f32, u32) {
        let Verdict::Scored(scored) = &object.verdict else { panic!("{:?}", object.verdict) };
        (scored.ood, scored.omega, object.track.unwrap().observations)
    }

    const PENDING: Verdict = Verdict::Unscored(Reason::Pending);

    #[test]
    fn a_single_frame_makes_no_alarm_and_three_do() {
        let (mut book, settings) = (Book::default(), settings(0.5));
        let mut observe = |omega| said(&say(&mut book, &settings, scored(omega)));
        assert_eq!(observe(0.2), (false, 0.2, 1));
        // Of two the higher.
        assert_eq!(observe(0.3), (false, 0.3, 2));
        assert_eq!(observe(0.1), (true, 0.2, 3));
        assert_eq!(observe(0.9), (true, 0.3, 4));
        assert_eq!(observe(0.9), (true, 0.3, 5));
        assert_eq!(observe(0.9), (false, 0.9, 5));
    }

    #[test]
    fn one_bad_frame_of_a_known_thing_changes_nothing() {
        let (mut book, settings) = (Book::default(), settings(0.5));
        for number in 0..30 {
            let (ood, omega, _) = said(&say(&mut book, &settings, scored(if number % 7 == 3 { 0.0 } else { 0.8 })));
            assert!(!ood && omega > 0.5, "{number}");
        }
    }

    #[test]
    fn a_verdict_is_kept_where_nothing_is_scored_and_the_thing_of_old_is_forgotten() {
        let (mut book, settings) = (Book::default(), settings(0.5));
        (0..20).for_each(|_| drop(say(&mut book, &settings, scored(0.8))));
        assert_eq!(said(&say(&mut book, &settings, PENDING)), (false, 0.8, 5));
        (0..3).for_each(|_| drop(say(&mut book, &settings, scored(0.1))));
        assert_eq!(said(&say(&mut book, &settings, PENDING)), (true, 0.1, 5));
    }

    #[test]
    fn an_object_that_could_not_be_scored_is_no_observation() {
        let (mut book, settings) = (Book::default(), settings(0.5));
        assert_eq!(say(&mut book, &settings, PENDING).verdict, PENDING, "there is no score yet");
        for reason in [Reason::Error, Reason::Overload] {
            (0..5).for_each(|_| assert_eq!(say(&mut book, &settings, Verdict::Unscored(reason)).verdict, Verdict::Unscored(reason)));
        }
        (0..3).for_each(|_| drop(say(&mut book, &settings, scored(0.2))));
        assert_eq!(say(&mut book, &settings, Verdict::Unscored(Reason::Error)).verdict, Verdict::Unscored(Reason::Error));
        assert_eq!(said(&say(&mut book, &settings, PENDING)), (true, 0.2, 3));
        assert_eq!(said(&say(&mut book, &settings, Verdict::Unscored(Reason::MaxObjects))), (true, 0.2, 3));
    }

    #[test]
    fn another_threshold_counts_at_once_and_other_classes_begin_anew() {
        let (mut book, mut settings) = (Book::default(), settings(0.5));
        (0..3).for_each(|_| drop(say(&mut book, &settings, scored(0.4))));
        assert_eq!(said(&say(&mut book, &settings, PENDING)), (true, 0.4, 3));
        settings.threshold = 0.3;
        assert_eq!(said(&say(&mut book, &settings, PENDING)), (false, 0.4, 3));
        settings.threshold = 0.5;
        settings.vocabulary = Arc::new(Vocabulary::clone(&settings.vocabulary));
        assert_eq!(said(&say(&mut book, &settings, scored(0.4))), (false, 0.4, 1));
    }

    #[test]
    fn the_verdict_is_that_of_the_median_observation_as_a_whole() {
        let (mut book, settings) = (Book::default(), settings(0.5));
        for omega in [0.2, 0.9] {
            say(&mut book, &settings, scored(omega));
        }
        let Verdict::Scored(verdict) = say(&mut book, &settings, scored(0.4)).verdict else { panic!("unscored") };
        assert_eq!((&*verdict.nearest, verdict.threshold.to_bits()), ("truck", 0.5_f32.to_bits()));
    }

    #[test]
    fn a_track_that_ended_leaves_nothing() {
        let (mut book, settings) = (Book::default(), settings(0.5));
        say(&mut book, &settings, scored(0.4));
        assert_eq!(book.tracks.len(), 1);
        book.resolve(&mut Answer { ended: vec![1], ..Answer::default() }, &settings);
        assert!(book.tracks.is_empty());
    }
}
