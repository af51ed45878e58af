//! What is told of a track as a whole: when it starts, when its verdict changes, when it ends.
//!
//! A track starts when its verdict has [`LEAST_OBSERVATIONS`] scores behind it, so that what a detector saw for a moment is not told of, and
//! every track that started ends.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::LEAST_OBSERVATIONS;
use crate::{
    engine::Answer,
    geometry::Rect,
    verdict::{Object, Reason, Scored, Verdict},
};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// The track has a verdict that counts.
    Start,
    /// The verdict is another one, or there was no news of the track for long.
    Update,
    /// It is no more.
    End,
}

impl Happening {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Update => "update",
            Self::End => "end",
        }
    }
}

/// An object as one frame showed it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// The frame's number.
    pub frame_id: u64,
    /// Its time in nanoseconds.
    pub timestamp: Option<u64>,
    /// Where.
    pub rect: Rect,
    /// The detector's confidence.
    pub confidence: f32,
}

/// A track from its first frame to the present one.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Its id.
    pub id: u64,
    /// What the detector called it in its best view.
    pub label: Option<Arc<str>>,
    /// The first view.
    pub first: View,
    /// The last one.
    pub last: View,
    /// The one with the most pixels, weighed by confidence.
    pub best: View,
    /// Frames that it was seen in.
    pub frames: u64,
    /// Those of them in which it was called OOD.
    pub ood_frames: u64,
    /// The last verdict with a score.
    pub verdict: Verdict,
    /// Scores behind it.
    pub observations: u32,
}

/// News of a track.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackEvent {
    /// What happened.
    pub happening: Happening,
    /// The track up to now.
    pub course: Course,
}

/// The tracks of one stream, as far as they are told of.
#[derive(Debug, Clone, Default)]
pub struct TrackEvents {
    /// Without another verdict there is news of a track after this long; `None`: none.
    interval: Option<Duration>,
    tracks: BTreeMap<u64, Told>,
}

/// A track that was seen, and what was told of it.
#[derive(Debug, Clone)]
struct Told {
    course: Course,
    /// `None` before its start.
    last: Option<News>,
}

/// When there was news of a track, and what its verdict was.
#[derive(Debug, Clone)]
struct News {
    time: Option<u64>,
    ood: bool,
    nearest: Arc<str>,
}

impl TrackEvents {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(interval: Option<Duration>) -> Self {
        Self { interval, tracks: BTreeMap::new() }
    }

    /// Takes an answer after [`super::Tracks::resolve`], in the frames' order.
    pub fn frame(&mut self, frame_id: u64, timestamp: Option<u64>, answer: &Answer) -> Vec<TrackEvent> {
        // First, since an id that came from elsewhere may end and be given anew in one frame.
        let mut events: Vec<TrackEvent> = answer.ended.iter().filter_map(|id| self.tracks.remove(id)?.end()).collect();
        for object in &answer.objects {
            let Some(track) = object.track else { continue };
            let view = View { frame_id, timestamp, rect: object.rect, confidence: object.detection.confidence };
            let told = self.tracks.entry(track.id).or_insert_with(|| Told::new(track.id, view));
            told.see(view, object);
            events.extend(told.news(self.interval));
        }
        events
    }

    /// No frame of these tracks comes any more: those that started end.
    #[must_use]
    pub fn end(&mut self) -> Vec<TrackEvent> {
        std::mem::take(&mut self.tracks).into_values().filter_map(Told::end).collect()
    }
}

impl Told {
    fn new(id: u64, view: View) -> Self {
        let verdict = Verdict::Unscored(Reason::Pending);
        let course = Course { id, label: None, first: view, last: view, best: view, frames: 0, ood_frames: 0, verdict, observations: 0 };
        Self { course, last: None }
    }

    fn see(&mut self, view: View, object: &Object) {
        let course = &mut self.course;
        if course.frames == 0 || view.worth() > course.best.worth() {
            course.best = view;
            course.label = object.detection.label.as_ref().map(|label| Arc::clone(&label.name));
        }
        course.last = view;
        course.frames += 1;
        if let (Verdict::Scored(scored), Some(track)) = (&object.verdict, object.track) {
            course.ood_frames += u64::from(scored.ood);
            course.verdict = object.verdict.clone();
            course.observations = track.observations;
        }
    }

    /// What there is to tell after a frame.
    fn news(&mut self, interval: Option<Duration>) -> Option<TrackEvent> {
        let Verdict::Scored(Scored { ood, nearest, .. }) = &self.course.verdict else { return None };
        let (time, enough) = (self.course.last.timestamp, self.course.observations >= LEAST_OBSERVATIONS);
        let happening = match &self.last {
            None if enough => Happening::Start,
            // Classes that changed begin the observations anew: what few of them say is no news yet.
            Some(last) if enough && (last.ood != *ood || last.nearest != *nearest) => Happening::Update,
            Some(last) if is_due(last.time, time, interval) => Happening::Update,
            _ => return None,
        };
        self.last = Some(News { time, ood: *ood, nearest: Arc::clone(nearest) });
        Some(TrackEvent { happening, course: self.course.clone() })
    }

    /// Its end, where it had started.
    fn end(self) -> Option<TrackEvent> {
        self.last.map(|_| TrackEvent { happening: Happening::End, course: self.course })
    }
}

impl View {
    fn worth(&self) -> f64 {
        f64::from(self.rect.w()) * f64::from(self.rect.h()) * f64::from(self.confidence)
    }
}

fn is_due(last: Option<u64>, now: Option<u64>, interval: Option<Duration>) -> bool {
    let passed = now.zip(last).map(|(now, last)| Duration::from_nanos(now.saturating_sub(last)));
    passed.zip(interval).is_some_and(|(passed, interval)| passed >= interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        detect::{Detection, DetectorLabel},
        geometry::BBox,
        track::Track,
    };

    /// An object of track `id` in a box of `side` pixels, `observations` scores behind its verdict.
    fn object(id: u64, side: f32, observations: u32, ood: bool, nearest: &str) -> Object {
        let bbox = BBox { x: 1.0, y: 2.0, w: side, h: side };
        let label = Some(DetectorLabel { id: 0, name: format!("{side}").into() });
        let scored = Scored { ood, omega: 0.5, threshold: 0.4, percentile: None, nearest: nearest.into(), omegas: None, cosines: None };
        Object {
            rect: Rect::cover(&bbox, 640, 360).unwrap(),
            detection: Detection { bbox, confidence: 0.5, label },
            verdict: if observations > 0 { Verdict::Scored(scored) } else { Verdict::Unscored(Reason::Pending) },
            track: Some(Track { id, observations }),
        }
    }

    /// Frames of 100 ms each, one call a frame; what is told of each.
    struct Stream(TrackEvents, u64);

    impl Stream {
        fn frame(&mut self, objects: Vec<Object>, ended: Vec<u64>) -> Vec<(Happening, u64)> {
            self.1 += 1;
            let answer = Answer { objects, ended, ..Answer::default() };
            let events = self.0.frame(self.1, Some(self.1 * 100_000_000), &answer);
            events.into_iter().map(|event| (event.happening, event.course.id)).collect()
        }
    }

    fn stream(interval: Option<Duration>) -> Stream {
        Stream(TrackEvents::new(interval), 0)
    }

    use Happening::{End, Start, Update};

    #[test]
    fn a_track_starts_with_its_third_score_and_ends_once() {
        let mut stream = stream(None);
        assert_eq!(stream.frame(vec![object(1, 20.0, 1, false, "car")], vec![]), []);
        assert_eq!(stream.frame(vec![object(1, 20.0, 2, false, "car"), object(2, 20.0, 1, false, "car")], vec![]), []);
        assert_eq!(stream.frame(vec![object(1, 20.0, 3, false, "car")], vec![]), [(Start, 1)]);
        assert_eq!(stream.frame(vec![], vec![1, 2]), [(End, 1)], "the other one never started");
        assert_eq!(stream.0.end(), []);
    }

    #[test]
    fn another_verdict_is_news_at_once_and_the_same_one_after_the_interval() {
        let mut stream = stream(Some(Duration::from_secs(1)));
        let mut say = |ood, nearest| stream.frame(vec![object(1, 20.0, 3, ood, nearest)], vec![]);
        assert_eq!(say(false, "car"), [(Start, 1)]);
        assert_eq!(say(false, "car"), []);
        assert_eq!(say(true, "car"), [(Update, 1)]);
        assert_eq!(say(true, "bus"), [(Update, 1)]);
        (0..9).for_each(|_| assert_eq!(say(true, "bus"), []));
        assert_eq!(say(true, "bus"), [(Update, 1)]);
        assert_eq!(say(true, "bus"), []);
    }

    #[test]
    fn what_begins_anew_is_no_news_before_it_counts() {
        let mut stream = stream(None);
        let mut say = |observations, nearest| stream.frame(vec![object(1, 20.0, observations, false, nearest)], vec![]);
        assert_eq!(say(3, "car"), [(Start, 1)]);
        assert_eq!((say(1, "deer"), say(2, "deer")), (vec![], vec![]));
        assert_eq!(say(3, "deer"), [(Update, 1)]);
    }

    #[test]
    fn the_end_sums_up_and_every_started_track_has_one() {
        let mut stream = stream(None);
        for (side, ood) in [(20.0, false), (40.0, true), (30.0, true)] {
            stream.frame(vec![object(7, side, 3, ood, "car"), object(8, side, 3, ood, "car")], vec![]);
        }
        stream.frame(vec![object(7, 10.0, 0, false, "car")], vec![]);
        let events = stream.0.end();
        assert_eq!(events.iter().map(|event| (event.happening, event.course.id)).collect::<Vec<_>>(), [(End, 7), (End, 8)]);
        let course = &events[0].course;
        assert_eq!((course.first.frame_id, course.last.frame_id, course.best.frame_id), (1, 4, 2));
        assert_eq!((course.frames, course.ood_frames, course.observations), (4, 2, 3));
        assert_eq!(course.label.as_deref(), Some("40"));
        assert!(matches!(&course.verdict, Verdict::Scored(scored) if scored.ood), "the last score stands");
    }

    #[test]
    fn an_id_that_ends_and_returns_in_one_frame_is_two_tracks() {
        let mut stream = stream(None);
        assert_eq!(stream.frame(vec![object(5, 20.0, 3, false, "car")], vec![]), [(Start, 5)]);
        assert_eq!(stream.frame(vec![object(5, 20.0, 3, false, "car")], vec![5]), [(End, 5), (Start, 5)]);
    }
}
