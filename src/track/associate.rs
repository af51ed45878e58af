//! Which box belongs to which track: by overlap, greedily or as the best assignment.

use pathfinding::{kuhn_munkres::kuhn_munkres, matrix::Matrix};

use super::Method;
use crate::geometry::BBox;

/// Boxes that overlap by less are not the same thing (SORT's value).
const LEAST_IOU: f32 = 0.3;

/// What sides grow by each way, in shares of themselves, before boxes that were left over are joined.
const GROWN: f32 = 0.5;

/// For each box, the track that it belongs to. Equal inputs have equal outputs.
pub(super) fn associate(method: Method, tracks: &[BBox], boxes: &[BBox]) -> Vec<Option<usize>> {
    if tracks.is_empty() || boxes.is_empty() {
        return vec![None; boxes.len()];
    }
    match method {
        Method::Iou => greedy(tracks, boxes),
        Method::Sort => twice(tracks, boxes),
    }
}

/// The best assignment, and what it leaves once more with all boxes grown: a thing that is small and fast, or whose speed is not known yet,
/// does not overlap itself from one look to the next.
fn twice(tracks: &[BBox], boxes: &[BBox]) -> Vec<Option<usize>> {
    let mut found = best(tracks, boxes);
    let mut free = vec![true; tracks.len()];
    found.iter().flatten().for_each(|&track| free[track] = false);
    let free: Vec<usize> = (0..tracks.len()).filter(|&track| free[track]).collect();
    let left: Vec<usize> = (0..boxes.len()).filter(|&index| found[index].is_none()).collect();
    if !free.is_empty() && !left.is_empty() {
        let tracks: Vec<BBox> = free.iter().map(|&track| grown(&tracks[track])).collect();
        let boxes: Vec<BBox> = left.iter().map(|&index| grown(&boxes[index])).collect();
        for (index, track) in left.into_iter().zip(best(&tracks, &boxes)) {
            found[index] = track.map(|track| free[track]);
        }
    }
    found
}

/// The largest overlap first; of equal ones the first track, then the first box.
fn greedy(tracks: &[BBox], boxes: &[BBox]) -> Vec<Option<usize>> {
    let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
    for (track, old) in tracks.iter().enumerate() {
        pairs.extend(boxes.iter().enumerate().map(|(index, new)| (old.iou(new), track, index)).filter(|(iou, ..)| *iou >= LEAST_IOU));
    }
    // Stable, and made in order: nothing else decides among equals.
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut found, mut taken) = (vec![None; boxes.len()], vec![false; tracks.len()]);
    for (_, track, index) in pairs {
        if found[index].is_none() && !taken[track] {
            (found[index], taken[track]) = (Some(track), true);
        }
    }
    found
}

/// A box with its sides moved out.
fn grown(bbox: &BBox) -> BBox {
    let (w, h) = (GROWN * bbox.w, GROWN * bbox.h);
    BBox { x: bbox.x - w, y: bbox.y - h, w: bbox.w + 2.0 * w, h: bbox.h + 2.0 * h }
}

/// The assignment with the largest sum of overlaps (the Hungarian algorithm).
fn best(tracks: &[BBox], boxes: &[BBox]) -> Vec<Option<usize>> {
    // Whole numbers, since the algorithm wants an order that has no NaN; what overlaps too little adds nothing.
    #[expect(clippy::cast_possible_truncation, reason = "an overlap is 0..=1")]
    let weight = |track: &BBox, new: &BBox| match track.iou(new) {
        iou if iou >= LEAST_IOU => (iou * 1e6) as i64,
        _ => 0,
    };
    // It wants no more rows than columns.
    let wide = boxes.len() <= tracks.len();
    let (rows, columns) = if wide { (boxes.len(), tracks.len()) } else { (tracks.len(), boxes.len()) };
    let weights =
        Matrix::from_fn(
            rows,
            columns,
            |(row, column)| if wide { weight(&tracks[column], &boxes[row]) } else { weight(&tracks[row], &boxes[column]) },
        );
    let mut found = vec![None; boxes.len()];
    for (row, column) in kuhn_munkres(&weights).1.into_iter().enumerate() {
        if weights[(row, column)] > 0 {
            let (index, track) = if wide { (row, column) } else { (column, row) };
            found[index] = Some(track);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(x: f32) -> BBox {
        BBox { x, y: 0.0, w: 10.0, h: 10.0 }
    }

    #[test]
    fn greed_takes_the_largest_overlap_and_the_best_assignment_the_largest_sum() {
        let (tracks, boxes) = ([at(0.0), at(4.0)], [at(2.5), at(8.0)]);
        // IoU: 0–2.5: 7.5/12.5, 4–2.5: 8.5/11.5, 4–8: 6/14.
        assert_eq!(associate(Method::Iou, &tracks, &boxes), [Some(1), None]);
        assert_eq!(associate(Method::Sort, &tracks, &boxes), [Some(0), Some(1)]);
    }

    #[test]
    fn boxes_that_overlap_too_little_are_strangers() {
        // 4/16 and 5/15; of boxes that are twice as wide 9/31 and 10/30.
        for (method, far, near) in [(Method::Iou, 6.0, 5.0), (Method::Sort, 11.0, 10.0)] {
            assert_eq!(associate(method, &[at(0.0)], &[at(far)]), [None], "{method:?}");
            assert_eq!(associate(method, &[at(0.0)], &[at(near)]), [Some(0)], "{method:?}");
            assert_eq!(associate(method, &[], &[at(5.0)]), [None]);
            assert!(associate(method, &[at(5.0)], &[]).is_empty());
        }
    }

    fn boxes(most: usize) -> impl Strategy<Value = Vec<BBox>> {
        let one = (0f32..60.0, 0f32..40.0, 4f32..30.0, 4f32..30.0).prop_map(|(x, y, w, h)| BBox { x, y, w, h });
        prop::collection::vec(one, 0..most)
    }

    proptest! {
        #[test]
        fn no_track_has_two_boxes_and_none_is_a_strangers(tracks in boxes(7), new in boxes(7)) {
            let sum = |method| -> Result<f32, TestCaseError> {
                let found = associate(method, &tracks, &new);
                let mut taken = vec![false; tracks.len()];
                for (index, track) in found.iter().enumerate() {
                    if let Some(track) = *track {
                        prop_assert!(!std::mem::replace(&mut taken[track], true));
                        let (track, new) = (&tracks[track], &new[index]);
                        let iou = if method == Method::Iou { track.iou(new) } else { grown(track).iou(&grown(new)) };
                        prop_assert!(track.iou(new) >= LEAST_IOU || iou >= LEAST_IOU);
                    }
                }
                Ok(found.iter().zip(&new).filter_map(|(track, new)| Some(tracks[(*track)?].iou(new))).sum())
            };
            prop_assert!(sum(Method::Sort)? + 1e-4 >= sum(Method::Iou)?, "the best assignment is no worse than greed");
        }
    }
}
