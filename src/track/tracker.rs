//! The tracks of one stream, frame after frame: which box is whose, where the others are, who is scored now.

use std::{mem, sync::Arc};

use super::{Follow, Ids, Method, associate::associate, motion::Motion, scoring::Scoring, signature::Signature};
use crate::{
    detect::Detection,
    frame::Frame,
    geometry::{BBox, Rect},
    vocabulary::Vocabulary,
};

/// A track that was not found for so many frames, and in three looks, has ended.
const MEMORY: u64 = 30;
const LOOKS: u64 = 3;

/// Where frames are left out looks are rare; so long after it was found, a track has ended all the same.
const LONGEST: u64 = 300;

/// Objects of a frame that are followed, the most confident; the best assignment takes the third power of their number.
const MOST: usize = 256;

/// The tracks of one stream.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    tracks: Vec<Track>,
    method: Option<Method>,
    /// The last frame that passed.
    at: u64,
    /// The last frame in which boxes were looked for.
    looked: Option<u64>,
    /// What tracks were scored against.
    vocabulary: Option<Arc<Vocabulary>>,
}

/// One track.
#[derive(Debug)]
struct Track {
    id: u64,
    motion: Motion,
    /// As it was found last.
    detection: Detection,
    /// In this frame.
    found: u64,
    /// Looks since then, in which it was not.
    missed: u64,
    scoring: Scoring,
}

/// An object of a frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Followed {
    /// Where it is now.
    pub(crate) detection: Detection,
    /// The pixels of that box.
    pub(crate) rect: Rect,
    /// Its track; `None` for a box that cannot be followed.
    pub(crate) track: Option<u64>,
    pub(crate) turn: Turn,
}

/// Whether an object is scored in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is.
    Score,
    /// Its track's verdict stands.
    Keep,
    /// More confident ones are, and it has no verdict yet.
    Beyond,
}

/// An object whose score is due.
struct Due {
    object: usize,
    track: Option<usize>,
}

/// What a frame came to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Step {
    pub(crate) objects: Vec<Followed>,
    /// Tracks that are no more.
    pub(crate) ended: Vec<u64>,
}

impl Tracker {
    /// Whether boxes should be looked for in frame `number`; asked once for each frame, in order.
    pub(crate) fn looks(&mut self, number: u64, interval: u32) -> bool {
        let due = self.looked.is_none_or(|last| number < last || number - last >= u64::from(interval));
        if due {
            self.looked = Some(number);
        }
        due
    }

    /// What was looked for could not be found out: the next frame looks again.
    pub(crate) fn look_failed(&mut self) {
        self.looked = None;
    }

    /// Takes a frame: its boxes, each with the id that it came with, or `None` where nobody looked. At most `most` objects are scored.
    pub(super) fn step(
        &mut self,
        ids: &Ids,
        frame: &Frame<'_>,
        follow: &Follow,
        vocabulary: &Arc<Vocabulary>,
        most: usize,
        seen: Option<Vec<(Detection, Option<u64>)>>,
    ) -> Step {
        let mut ended = Vec::new();
        let settings = &follow.settings;
        if self.method.replace(settings.method).is_some_and(|before| before != settings.method) {
            ended.extend(mem::take(&mut self.tracks).into_iter().map(|track| track.id));
        }
        if !self.vocabulary.as_ref().is_some_and(|before| Arc::ptr_eq(before, vocabulary)) {
            self.vocabulary = Some(Arc::clone(vocabulary));
            // Scores against other classes say nothing about these.
            self.tracks.iter_mut().for_each(|track| track.scoring = Scoring::default());
        }
        let longest = LONGEST.max(LOOKS.saturating_mul(settings.inference_interval.into()));
        let passed = follow.number.saturating_sub(mem::replace(&mut self.at, follow.number));
        // Looks are counted too: in frames that were left out, too late or too many, nobody could have found it.
        self.retain(&mut ended, |track| {
            let unseen = follow.number.saturating_sub(track.found);
            unseen <= MEMORY || track.missed < LOOKS && unseen <= longest
        });
        for track in &mut self.tracks {
            (0..passed).for_each(|_| track.motion.advance());
        }
        let looked = seen.is_some();
        let mut objects = match seen {
            Some(seen) => self.found(ids, frame, follow, seen),
            None => self.carried(frame),
        };
        // Not before boxes were looked at: what should be outside by now may still show its edge.
        self.retain(&mut ended, |track| track.missed == 0 || Rect::cover(&track.motion.bbox(), frame.width(), frame.height()).is_some());
        self.forget_the_longest_lost(&mut ended);
        self.turns(frame, follow, most, looked, &mut objects);
        Step { objects, ended }
    }

    /// The objects of a frame in which boxes were looked for, in the boxes' order.
    fn found(&mut self, ids: &Ids, frame: &Frame<'_>, follow: &Follow, seen: Vec<(Detection, Option<u64>)>) -> Vec<Followed> {
        let mut objects: Vec<(Followed, Option<u64>)> = seen
            .into_iter()
            .filter_map(|(detection, given)| {
                let rect = Rect::cover(&detection.bbox, frame.width(), frame.height())?;
                Some((Followed { detection, rect, track: None, turn: Turn::Beyond }, given))
            })
            .collect();
        self.tracks.iter_mut().for_each(|track| track.missed += 1);
        // Where boxes come with ids, those without are nobody's.
        let named = objects.iter().any(|(_, given)| given.is_some());
        let mut order: Vec<usize> = (0..objects.len()).filter(|&index| !named || objects[index].1.is_some()).collect();
        order.sort_by(|a, b| objects[*b].0.detection.confidence.total_cmp(&objects[*a].0.detection.confidence));
        order.truncate(MOST);
        order.sort_unstable();
        let of: Vec<Option<usize>> = if named {
            order.iter().map(|&index| self.tracks.iter().position(|track| Some(track.id) == objects[index].1)).collect()
        } else {
            let expected: Vec<BBox> = self.tracks.iter().map(|track| track.motion.bbox()).collect();
            let boxes: Vec<BBox> = order.iter().map(|&index| objects[index].0.detection.bbox).collect();
            associate(follow.settings.method, &expected, &boxes)
        };
        for (index, track) in order.into_iter().zip(of) {
            let (object, given) = &mut objects[index];
            let detection = object.detection.clone();
            let track = if let Some(track) = track {
                let track = &mut self.tracks[track];
                if track.missed == 0 {
                    // Two boxes with one id: the second is nobody's.
                    continue;
                }
                track.motion.found(&detection.bbox);
                (track.detection, track.found, track.missed) = (detection, follow.number, 0);
                track
            } else {
                let id = given.map_or_else(|| ids.next(), |given| ids.keep_clear_of(given));
                if self.tracks.iter().any(|track| track.id == id) {
                    continue;
                }
                let motion = Motion::new(follow.settings.method, &detection.bbox);
                self.tracks.push(Track { id, motion, detection, found: follow.number, missed: 0, scoring: Scoring::default() });
                self.tracks.last_mut().expect("it was just pushed")
            };
            object.track = Some(track.id);
        }
        objects.into_iter().map(|(object, _)| object).collect()
    }

    /// The objects of a frame in which nobody looked: tracks that were found at the last look, where they should be now.
    fn carried(&self, frame: &Frame<'_>) -> Vec<Followed> {
        let place = |track: &Track| {
            let bbox = track.motion.bbox();
            let rect = Rect::cover(&bbox, frame.width(), frame.height())?;
            Some(Followed { detection: Detection { bbox, ..track.detection.clone() }, rect, track: Some(track.id), turn: Turn::Beyond })
        };
        let mut objects: Vec<Followed> = self.tracks.iter().filter(|track| track.missed == 0).filter_map(place).collect();
        objects.sort_by(|a, b| b.detection.confidence.total_cmp(&a.detection.confidence));
        objects
    }

    /// Keeps tracks that `stay`; the others have ended.
    fn retain(&mut self, ended: &mut Vec<u64>, stay: impl Fn(&Track) -> bool) {
        let gone = self.tracks.extract_if(.., |track| !stay(track));
        ended.extend(gone.map(|track| track.id));
    }

    fn forget_the_longest_lost(&mut self, ended: &mut Vec<u64>) {
        while self.tracks.len() > 2 * MOST {
            let longest = self.tracks.iter().enumerate().min_by_key(|(_, track)| (track.found, track.id)).map_or(0, |(index, _)| index);
            ended.push(self.tracks.remove(longest).id);
        }
    }

    /// Decides who is scored: of those that are due, the `most` most confident.
    fn turns(&mut self, frame: &Frame<'_>, follow: &Follow, most: usize, looked: bool, objects: &mut [Followed]) {
        let interval = follow.settings.reclassify_interval;
        let mut due: Vec<Due> = Vec::new();
        for (index, object) in objects.iter_mut().enumerate() {
            let Some(at) = object.track.and_then(|id| self.tracks.iter().position(|track| track.id == id)) else {
                due.push(Due { object: index, track: None });
                continue;
            };
            let scoring = &mut self.tracks[at].scoring;
            if looked {
                scoring.found(object.rect, (interval != 1).then(|| Signature::of(frame, object.rect)));
            }
            if scoring.is_due(follow.number, interval, looked) {
                due.push(Due { object: index, track: Some(at) });
            }
            if scoring.began() {
                object.turn = Turn::Keep;
            }
        }
        due.sort_by(|a, b| objects[b.object].detection.confidence.total_cmp(&objects[a.object].detection.confidence));
        for Due { object, track } in due.into_iter().take(most) {
            objects[object].turn = Turn::Score;
            if let Some(at) = track {
                self.tracks[at].scoring.scored(follow.number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        frame::{FrameSource as _, Picture},
        track::{Settings, Tracks},
    };

    const SIZE: (u32, u32) = (320, 240);

    /// A stream whose frames are `picture`, frame by frame.
    struct Stream {
        follow: Follow,
        vocabulary: Arc<Vocabulary>,
        picture: Picture,
        most: usize,
    }

    fn words() -> Arc<Vocabulary> {
        let none = || Array2::zeros((0, 0));
        Arc::new(Vocabulary { classes: Vec::new(), text: none(), inter_text: none(), context_text: none() })
    }

    fn stream(method: Method, inference_interval: u32, reclassify_interval: u32) -> Stream {
        let settings = Settings { method, inference_interval, reclassify_interval };
        let follow = Follow { tracks: Tracks::default(), settings, number: 0, ids: Vec::new() };
        let picture = Picture { width: SIZE.0, height: SIZE.1, rgb: vec![90; 320 * 240 * 3] };
        Stream { follow, vocabulary: words(), picture, most: 100 }
    }

    impl Stream {
        /// The next frame shows these.
        fn show(&mut self, boxes: &[BBox]) -> Step {
            let detection = |(place, bbox): (u8, &BBox)| Detection { bbox: *bbox, confidence: 0.9 - 0.01 * f32::from(place), label: None };
            let seen = (0..).zip(boxes).map(detection).collect();
            self.step(Some(seen))
        }

        fn step(&mut self, seen: Option<Vec<Detection>>) -> Step {
            let ids = self.follow.ids.iter().copied().chain(std::iter::repeat(None));
            let seen = seen.map(|seen| seen.into_iter().zip(ids).collect());
            let tracks = &self.follow.tracks;
            let step =
                tracks.tracker.lock().unwrap().step(&tracks.ids, &self.picture.frame(), &self.follow, &self.vocabulary, self.most, seen);
            self.follow.number += 1;
            step
        }

        /// Everything looks different from now on.
        fn repaint(&mut self) {
            self.picture.rgb.iter_mut().enumerate().for_each(|(at, level)| *level = if at % 3 == 0 { 200 } else { 30 });
        }
    }

    fn at(x: f32, y: f32) -> BBox {
        BBox { x, y, w: 40.0, h: 30.0 }
    }

    fn ids(step: &Step) -> Vec<Option<u64>> {
        step.objects.iter().map(|object| object.track).collect()
    }

    fn turns(step: &Step) -> Vec<Turn> {
        step.objects.iter().map(|object| object.turn).collect()
    }

    #[test]
    fn ids_stay_with_their_boxes_whatever_order_they_come_in() {
        for method in [Method::Iou, Method::Sort] {
            let mut stream = stream(method, 1, 1);
            assert_eq!(ids(&stream.show(&[at(10.0, 10.0), at(200.0, 100.0)])), [Some(1), Some(2)]);
            assert_eq!(ids(&stream.show(&[at(198.0, 102.0), at(14.0, 10.0)])), [Some(2), Some(1)]);
            assert_eq!(ids(&stream.show(&[at(196.0, 104.0), at(100.0, 10.0), at(18.0, 10.0)])), [Some(2), Some(3), Some(1)]);
        }
    }

    #[test]
    fn a_thing_that_moves_is_known_again_behind_what_hid_it_and_one_that_rests_by_either() {
        let moved = |method, step: f32| {
            let mut stream = stream(method, 1, 1);
            (0_u8..12).for_each(|frame| drop(stream.show(&[at(10.0 + step * f32::from(frame), 50.0)])));
            (0..10).for_each(|_| assert!(stream.show(&[]).objects.is_empty()));
            ids(&stream.show(&[at(10.0 + step * 22.0, 50.0)]))
        };
        assert_eq!((moved(Method::Sort, 6.0), moved(Method::Iou, 6.0)), (vec![Some(1)], vec![Some(2)]));
        assert_eq!((moved(Method::Sort, 0.0), moved(Method::Iou, 0.0)), (vec![Some(1)], vec![Some(1)]));
    }

    #[test]
    fn a_track_ends_when_it_was_not_found_for_long_or_has_left_the_frame() {
        let mut resting = stream(Method::Sort, 1, 1);
        resting.show(&[at(100.0, 100.0)]);
        for _ in 0..MEMORY {
            assert!(resting.show(&[]).ended.is_empty());
        }
        assert_eq!(resting.show(&[]).ended, [1]);
        assert_eq!(ids(&resting.show(&[at(100.0, 100.0)])), [Some(2)]);

        let mut leaving = stream(Method::Sort, 1, 1);
        (0_u8..7).for_each(|frame| drop(leaving.show(&[at(250.0 + 10.0 * f32::from(frame), 100.0)])));
        let left = (0..MEMORY).position(|_| leaving.show(&[]).ended == [1]);
        assert!(left.is_some_and(|frames| frames < 10), "{left:?}");
    }

    #[test]
    fn between_looks_boxes_are_carried_and_what_was_lost_is_not() {
        let mut stream = stream(Method::Sort, 3, 1);
        for number in 0_u8..30 {
            let looks = stream.follow.looks();
            assert_eq!(looks, number % 3 == 0);
            let expected = at(10.0 + 5.0 * f32::from(number), 50.0);
            let step = if looks { stream.show(&[expected]) } else { stream.step(None) };
            assert_eq!(ids(&step), [Some(1)]);
            assert!(number < 9 || step.objects[0].detection.bbox.iou(&expected) > 0.8, "frame {number}: {:?}", step.objects[0]);
        }
        stream.follow.looks();
        assert!(stream.show(&[]).objects.is_empty() && stream.step(None).objects.is_empty());
    }

    #[test]
    fn a_look_that_failed_is_made_good_in_the_next_frame() {
        let stream = stream(Method::Iou, 5, 1);
        let looks = |number| Follow { number, ..stream.follow.clone() }.looks();
        assert_eq!([0, 1, 5].map(looks), [true, false, true]);
        stream.follow.look_failed();
        assert_eq!([6, 7, 11].map(looks), [true, false, true]);
    }

    #[test]
    fn frames_that_were_left_out_break_no_track() {
        let mut stream = stream(Method::Sort, 1, 1);
        for number in 0_u8..40 {
            if number < 10 || number % 4 == 0 {
                stream.follow.number = number.into();
                assert_eq!(ids(&stream.show(&[at(10.0 + 6.0 * f32::from(number), 50.0)])), [Some(1)], "frame {number}");
            }
        }
    }

    #[test]
    fn only_looks_make_a_track_lost_but_for_very_long() {
        for method in [Method::Iou, Method::Sort] {
            let mut stream = stream(method, 1, 1);
            (0..3).for_each(|_| drop(stream.show(&[at(100.0, 100.0)])));
            stream.follow.number += 4 * MEMORY;
            assert_eq!(ids(&stream.show(&[at(100.0, 100.0)])), [Some(1)]);
            stream.follow.number += 4 * MEMORY;
            (0..LOOKS).for_each(|_| assert!(stream.show(&[]).ended.is_empty()));
            assert_eq!(stream.show(&[]).ended, [1]);

            stream.show(&[at(100.0, 100.0)]);
            stream.follow.number += LONGEST;
            let step = stream.show(&[at(100.0, 100.0)]);
            assert_eq!((ids(&step), step.ended), (vec![Some(3)], vec![2]));
        }
    }

    #[test]
    fn a_new_track_is_scored_three_times_and_then_as_often_as_was_asked() {
        for (interval, wanted) in [(1, (0..20).collect()), (0, vec![0, 1, 2]), (5, vec![0, 1, 2, 7, 12, 17])] {
            let mut stream = stream(Method::Sort, 1, interval);
            let scored: Vec<usize> = (0..20).filter(|_| turns(&stream.show(&[at(50.0, 50.0)])) == [Turn::Score]).collect();
            assert_eq!(scored, wanted, "every {interval}");
        }
    }

    #[test]
    fn a_crop_that_has_grown_is_scored_twice_again_and_one_that_looks_different_three_times() {
        let mut stream = stream(Method::Iou, 1, 0);
        let scored =
            |stream: &mut Stream, bbox, frames: usize| (0..frames).filter(|_| turns(&stream.show(&[bbox])) == [Turn::Score]).count();
        let (small, large) = (BBox { x: 50.0, y: 50.0, w: 40.0, h: 40.0 }, BBox { x: 45.0, y: 45.0, w: 58.0, h: 58.0 });
        assert_eq!(scored(&mut stream, small, 10), 3);
        assert_eq!(scored(&mut stream, large, 10), 2);
        assert_eq!(scored(&mut stream, small, 10), 0, "one that has shrunk shows no more");
        assert_eq!(scored(&mut stream, large, 10), 0, "as large as it was scored once");
        stream.repaint();
        assert_eq!(scored(&mut stream, small, 1), 0, "something may have passed in front");
        assert_eq!(scored(&mut stream, small, 10), 3);
        assert_eq!(scored(&mut stream, large, 10), 2, "the new thing was not yet scored as large");
        assert_eq!(stream.follow.tracks.ids.next(), 2, "it is one track");
    }

    #[test]
    fn what_passes_in_front_of_a_track_for_one_look_changes_nothing() {
        let mut stream = stream(Method::Iou, 1, 0);
        (0..5).for_each(|_| drop(stream.show(&[at(50.0, 50.0)])));
        let plain = stream.picture.rgb.clone();
        stream.repaint();
        assert_eq!(turns(&stream.show(&[at(50.0, 50.0)])), [Turn::Keep]);
        stream.picture.rgb = plain;
        (0..5).for_each(|_| assert_eq!(turns(&stream.show(&[at(50.0, 50.0)])), [Turn::Keep]));
    }

    #[test]
    fn between_looks_nothing_is_scored_but_what_the_interval_asks_for() {
        for (interval, wanted) in [(0, vec![0, 3, 6]), (5, vec![0, 3, 6, 11, 16]), (1, (0..20).collect())] {
            let mut stream = stream(Method::Sort, 3, interval);
            let mut scored = Vec::new();
            for number in 0..20 {
                let step = if stream.follow.looks() { stream.show(&[at(50.0, 50.0)]) } else { stream.step(None) };
                if turns(&step) == [Turn::Score] {
                    scored.push(number);
                }
            }
            assert_eq!(scored, wanted, "every {interval}");
        }
    }

    #[test]
    fn looks_of_carried_boxes_are_no_evidence() {
        let mut stream = stream(Method::Sort, 3, 0);
        let plain = stream.picture.rgb.clone();
        for number in 0..30 {
            let looks = stream.follow.looks();
            stream.picture.rgb.clone_from(&plain);
            if !looks {
                stream.repaint();
            }
            let step = if looks { stream.show(&[at(50.0, 50.0)]) } else { stream.step(None) };
            assert_eq!(turns(&step) == [Turn::Score], [0, 3, 6].contains(&number), "frame {number}");
        }
    }

    #[test]
    fn of_those_that_are_due_the_most_confident_are_scored_and_the_others_have_their_turn() {
        let mut stream = stream(Method::Iou, 1, 0);
        stream.most = 2;
        let three = [at(10.0, 10.0), at(100.0, 10.0), at(200.0, 10.0)];
        for _ in 0..3 {
            assert_eq!(turns(&stream.show(&three)), [Turn::Score, Turn::Score, Turn::Beyond]);
        }
        for _ in 0..3 {
            assert_eq!(turns(&stream.show(&three)), [Turn::Keep, Turn::Keep, Turn::Score]);
        }
        assert_eq!(turns(&stream.show(&three)), [Turn::Keep; 3]);
    }

    #[test]
    fn another_class_list_is_scored_anew_and_another_method_follows_anew() {
        let mut stream = stream(Method::Iou, 1, 0);
        (0..5).for_each(|_| drop(stream.show(&[at(10.0, 10.0)])));
        stream.vocabulary = words();
        let scored = (0..5).filter(|_| turns(&stream.show(&[at(10.0, 10.0)])) == [Turn::Score]).count();
        assert_eq!(scored, 3);
        stream.follow.settings.method = Method::Sort;
        let step = stream.show(&[at(10.0, 10.0)]);
        assert_eq!((ids(&step), step.ended), (vec![Some(2)], vec![1]));
    }

    #[test]
    fn ids_from_upstream_are_kept_and_a_box_without_one_is_nobodys() {
        let mut stream = stream(Method::Sort, 1, 0);
        stream.follow.ids = vec![Some(70), None, Some(9), Some(70)];
        let four = [at(10.0, 10.0), at(80.0, 10.0), at(150.0, 10.0), at(220.0, 10.0)];
        let step = stream.show(&four);
        assert_eq!(ids(&step), [Some(70), None, Some(9), None]);
        assert_eq!(turns(&step), [Turn::Score; 4]);
        // They are where upstream says, however far that is.
        stream.follow.ids = vec![Some(9), Some(70)];
        assert_eq!(ids(&stream.show(&[at(10.0, 200.0), at(250.0, 10.0)])), [Some(9), Some(70)]);
        stream.follow.ids = Vec::new();
        assert_eq!(ids(&stream.show(&[at(150.0, 100.0)])), [Some(71)]);
    }

    fn scene() -> impl Strategy<Value = Vec<(u8, Vec<BBox>)>> {
        let one = (-20f32..330.0, -20f32..250.0, 1f32..200.0, 1f32..200.0).prop_map(|(x, y, w, h)| BBox { x, y, w, h });
        prop::collection::vec((0_u8..40, prop::collection::vec(one, 0..6)), 1..30)
    }

    proptest! {
        #[test]
        fn whatever_is_shown_ids_are_one_objects_each_and_nothing_keeps_a_verdict_that_it_never_had(
            scene in scene(),
            sort: bool,
            (inference, reclassify, most) in (1_u32..4, 0_u32..4, 0_usize..4),
        ) {
            let method = if sort { Method::Sort } else { Method::Iou };
            let run = || {
                let mut stream = stream(method, inference, reclassify);
                stream.most = most;
                scene.iter().map(|(skipped, boxes)| {
                    stream.follow.number += u64::from(*skipped);
                    if stream.follow.looks() { stream.show(boxes) } else { stream.step(None) }
                }).collect::<Vec<Step>>()
            };
            let steps = run();
            prop_assert_eq!(&steps, &run(), "the same frames, the same tracks");
            let (mut scored, mut ended) = (std::collections::HashSet::new(), std::collections::HashSet::new());
            for step in &steps {
                ended.extend(step.ended.iter().copied());
                let mut here = std::collections::HashSet::new();
                prop_assert!(step.objects.iter().filter(|object| object.turn == Turn::Score).count() <= most);
                for object in &step.objects {
                    let id = object.track.unwrap();
                    prop_assert!(here.insert(id) && !ended.contains(&id));
                    match object.turn {
                        Turn::Score => drop(scored.insert(id)),
                        Turn::Keep => prop_assert!(scored.contains(&id)),
                        Turn::Beyond => prop_assert!(!scored.contains(&id)),
                    }
                }
            }
        }
    }
}
