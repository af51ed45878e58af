//! Objects followed from frame to frame: ids, boxes between detections, verdicts smoothed along a track.
//!
//! ```text
//! Detection* ─▶ Tracker ─▶ ids, boxes, who is scored now ─▶ (the engine scores) ─▶ Book ─▶ Verdict*
//!               motion, association, signature                                     median of the last scores ─▶ TrackEvents
//! ```
//!
//! The two halves of one stream are in one [`Tracks`]. The engine's detect stage takes the first: frames pass it in
//! order, and which objects are scored is decided from boxes and pixels alone, so that nobody waits for a score. Whoever
//! takes the answers in the frames' order asks the second ([`Tracks::resolve`]): an object that was not scored again has its
//! track's earlier scores by then, in whatever order batches ended.
//!
//! Sources: Bewley et al. 2016, "Simple Online and Realtime Tracking" (SORT); Bochinski et al. 2017, "High-Speed
//! Tracking-by-Detection Without Using Image Information" (IoU tracker).

mod associate;
mod book;
mod events;
pub mod identity;
mod motion;
mod scoring;
mod signature;
mod tracker;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use book::Book;
pub use book::{LEAST_OBSERVATIONS, MOST_OBSERVATIONS};
pub use events::{Course, Happening, TrackEvent, TrackEvents, View};
use tracker::Tracker;
pub(crate) use tracker::{Followed, Step, Turn};

use crate::{
    Error, Result,
    detect::Detection,
    engine::{Answer, FrameSettings},
    frame::Frame,
};

/// How boxes of two frames are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// By overlap with where a track was last, the largest overlaps first.
    Iou,
    /// By overlap with where a track should be by its motion, the best assignment as a whole.
    Sort,
}

/// How a stream's objects are followed; may change between two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How boxes are joined.
    pub method: Method,
    /// Boxes are looked for in every n-th frame and carried by their tracks in between; at least 1.
    pub inference_interval: u32,
    /// A track is scored again every n frames; 0: only when its crop has changed.
    pub reclassify_interval: u32,
}

impl Settings {
    /// Settings that fit together; `None` without a tracker.
    ///
    /// # Errors
    /// [`Error::Setting`] for intervals that only a tracker can keep.
    pub fn new(method: Option<Method>, inference_interval: u32, reclassify_interval: u32) -> Result<Option<Self>> {
        let needs = |name: &str, value: u32, why: &str| {
            Err(Error::Setting(format!("{name}={value} needs a tracker, which {why}; set tracker=sort or tracker=iou, or {name}=1")))
        };
        match method {
            _ if inference_interval == 0 => Err(Error::Setting("inference-interval is 0; wanted 1 (every frame) or more".to_owned())),
            Some(method) => Ok(Some(Self { method, inference_interval, reclassify_interval })),
            None if inference_interval != 1 => needs("inference-interval", inference_interval, "carries boxes between detections"),
            None if reclassify_interval != 1 => needs("reclassify-interval", reclassify_interval, "knows an object again"),
            None => Ok(None),
        }
    }
}

/// What an object's track is, as far as its frame knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track {
    /// The same in all frames of a stream.
    pub id: u64,
    /// Scores behind the verdict, [`MOST_OBSERVATIONS`] at most; 0 where there is none.
    pub observations: u32,
}

/// How one frame is followed. Frames of one [`Tracks`] are submitted in their order.
#[derive(Debug, Clone)]
pub struct Follow {
    /// The stream's tracks.
    pub tracks: Tracks,
    /// How.
    pub settings: Settings,
    /// The frame's number; one that was left out is a frame in which nobody looked.
    pub number: u64,
    /// Of boxes that are given, the ids that they came with; empty where they have none.
    pub ids: Vec<Option<u64>>,
}

/// One stream's tracks: a handle, whose clones are the same tracks.
///
/// Lock order: the two locks are never held together, nor across a model run.
#[derive(Debug, Clone, Default)]
pub struct Tracks {
    tracker: Arc<Mutex<Tracker>>,
    book: Arc<Mutex<Book>>,
    ids: Ids,
}

impl Tracks {
    /// Tracks that know nothing of what these have seen, for what comes behind a flush, a seek or another break. Ids go on.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { ids: self.ids.clone(), ..Self::default() }
    }

    /// Puts the tracks' verdicts into an answer. Call it once for each answer, in the frames' order, with the settings that the frame
    /// was submitted with.
    pub fn resolve(&self, answer: &mut Answer, settings: &FrameSettings) {
        lock(&self.book).resolve(answer, settings);
    }

    /// Whether both are the same tracks.
    #[must_use]
    pub fn are(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tracker, &other.tracker)
    }
}

impl Follow {
    /// Whether boxes should be looked for in this frame; the detect stage asks once for each frame, in order.
    pub(crate) fn looks(&self) -> bool {
        lock(&self.tracks.tracker).looks(self.number, self.settings.inference_interval)
    }

    /// The look failed: the next frame looks again.
    pub(crate) fn look_failed(&self) {
        lock(&self.tracks.tracker).look_failed();
    }

    /// Takes the frame with what was `seen` in it, `None` where nobody looked: its objects, and which of them are scored, `most` at most.
    pub(crate) fn step(&self, frame: &Frame<'_>, settings: &FrameSettings, most: usize, seen: Option<Vec<Detection>>) -> Step {
        let ids = self.ids.iter().copied().chain(std::iter::repeat(None));
        let seen = seen.map(|seen| seen.into_iter().zip(ids).collect());
        lock(&self.tracks.tracker).step(&self.tracks.ids, frame, self, &settings.vocabulary, most, seen)
    }
}

/// Ids of one stream, each given once.
#[derive(Debug, Clone)]
struct Ids(Arc<AtomicU64>);

impl Default for Ids {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(1)))
    }
}

impl Ids {
    /// An id that no track of this stream had.
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes an id that came from elsewhere; ours are above it.
    fn keep_clear_of(&self, id: u64) -> u64 {
        self.0.fetch_max(id.saturating_add(1), Ordering::Relaxed);
        id
    }
}

/// What the locks guard is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_without_a_tracker_are_refused_by_name() {
        assert_eq!(Settings::new(None, 1, 1).unwrap(), None);
        for (inference, reclassify, name) in
            [(3, 1, "inference-interval=3"), (1, 5, "reclassify-interval=5"), (1, 0, "reclassify-interval=0")]
        {
            let sentence = Settings::new(None, inference, reclassify).unwrap_err().to_string();
            assert!(sentence.contains(name) && sentence.contains("tracker=sort"), "{sentence}");
        }
        assert!(Settings::new(Some(Method::Iou), 0, 1).is_err());
        let all = Settings { method: Method::Sort, inference_interval: 3, reclassify_interval: 0 };
        assert_eq!(Settings::new(Some(Method::Sort), 3, 0).unwrap(), Some(all));
    }

    #[test]
    fn ids_go_on_behind_a_break() {
        let tracks = Tracks::default();
        assert_eq!((tracks.ids.next(), tracks.anew().ids.next(), tracks.ids.next()), (1, 2, 3));
        assert_eq!(tracks.ids.keep_clear_of(40), 40);
        assert_eq!(tracks.ids.next(), 41);
    }
}
