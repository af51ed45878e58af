//! Non-maximum suppression, class-agnostic: of two boxes that overlap too much the less confident goes.

use super::Candidate;

/// Most boxes that are compared; of more, the most confident. (A square of it is what the worst input costs.)
const MOST: usize = 30_000;

/// The boxes that stay, the most confident first; equals keep the order they came in. A box goes where its IoU with
/// one that stays is above `iou_threshold`.
pub(super) fn suppress(mut candidates: Vec<Candidate>, iou_threshold: f32) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(MOST);
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if kept.iter().all(|stays| stays.bbox.iou(&candidate.bbox) <= iou_threshold) {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::BBox;

    fn candidate(x: f32, score: f32, class: usize) -> Candidate {
        Candidate { bbox: BBox { x, y: 0.0, w: 10.0, h: 10.0 }, class, score }
    }

    #[test]
    fn the_less_confident_of_two_that_overlap_goes_whatever_its_class() {
        let kept = suppress(vec![candidate(0.0, 0.5, 0), candidate(1.0, 0.9, 1), candidate(20.0, 0.1, 0)], 0.5);
        assert_eq!(kept.iter().map(|kept| kept.score).collect::<Vec<_>>(), [0.9, 0.1]);
    }

    #[test]
    fn ties_go_by_order() {
        let kept = suppress(vec![candidate(0.0, 0.5, 7), candidate(1.0, 0.5, 8), candidate(40.0, 0.5, 9)], 0.5);
        assert_eq!(kept.iter().map(|kept| kept.class).collect::<Vec<_>>(), [7, 9]);
    }

    #[test]
    fn an_overlap_at_the_threshold_stays() {
        // Half of each covered: IoU 1/3.
        let pair = vec![candidate(0.0, 0.9, 0), candidate(5.0, 0.8, 0)];
        assert_eq!(suppress(pair.clone(), 1.0 / 3.0).len(), 2);
        assert_eq!(suppress(pair, 0.33).len(), 1);
    }
}
