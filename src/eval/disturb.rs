//! Boxes made worse on purpose: how far wrong or missing detections carry into the verdicts.

use super::boxes::Found;
use crate::{
    geometry::{BBox, Rect},
    tune::rng::{Purpose, Rng},
};

/// How boxes are made worse.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Disturbance {
    /// Each edge's place and each side's length move by up to this share of width or height, uniformly.
    pub jitter: f32,
    /// The share of boxes that are taken away, each by itself.
    pub drop: f32,
}

impl Disturbance {
    /// Whether anything is done at all.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// Moves and drops boxes of a picture; one that no longer covers a pixel stays where it was. The same for the same seed and picture.
    pub(super) fn apply(self, found: Vec<Found>, (width, height): (u32, u32), seed: u64) -> Vec<Found> {
        if self.is_none() {
            return found;
        }
        let mut rng = Rng::new(seed, Purpose::Disturbance);
        let mut left = Vec::with_capacity(found.len());
        for found in found {
            let [x, y, w, h, stays] = std::array::from_fn(|_| rng.unit());
            if stays < self.drop {
                continue;
            }
            let share = |unit: f32| (unit * 2.0 - 1.0) * self.jitter;
            let old = found.bbox;
            let (w, h) = (old.w * (1.0 + share(w)), old.h * (1.0 + share(h)));
            let bbox = BBox { x: old.x + share(x) * old.w, y: old.y + share(y) * old.h, w, h };
            left.push(match Rect::cover(&bbox, width, height) {
                Some(rect) if self.jitter > 0.0 => Found { bbox, rect, ..found },
                _ => found,
            });
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes() -> Vec<Found> {
        let bbox = BBox { x: 40.0, y: 40.0, w: 20.0, h: 10.0 };
        let rect = Rect::cover(&bbox, 100, 100).unwrap();
        vec![Found { bbox, rect, confidence: None, truth: Some(0) }; 400]
    }

    #[test]
    fn boxes_move_by_up_to_their_share_and_a_seed_gives_the_same() {
        let jitter = Disturbance { jitter: 0.1, drop: 0.0 };
        let moved = jitter.apply(boxes(), (100, 100), 3);
        assert_eq!((moved.len(), &moved), (400, &jitter.apply(boxes(), (100, 100), 3)));
        assert_ne!(moved, jitter.apply(boxes(), (100, 100), 4));
        let most = moved.iter().map(|found| (found.bbox.x - 40.0).abs()).fold(0.0, f32::max);
        assert!(most <= 2.0 && most > 1.8, "{most}");
        assert!(moved.iter().all(|found| (found.bbox.h - 10.0).abs() <= 1.0));
    }

    #[test]
    fn about_the_share_of_boxes_goes_and_the_rest_stays_in_place() {
        let left = Disturbance { jitter: 0.0, drop: 0.25 }.apply(boxes(), (100, 100), 3);
        assert!((270..330).contains(&left.len()), "{}", left.len());
        assert_eq!(left[0], boxes()[0]);
        assert_eq!(Disturbance::default().apply(boxes(), (100, 100), 3), boxes());
    }
}
