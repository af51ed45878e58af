//! Detections and true objects, paired.

use crate::geometry::BBox;

/// Detections count as matched above this IoU: the open-world protocol's.
pub const LEAST_IOU: f32 = 0.3;

/// For each detection the true object it is matched to.
///
/// The most confident detection chooses first, and takes the free object that it overlaps best, if by more than
/// [`LEAST_IOU`]; every object is taken at most once.
#[must_use]
pub fn matched(truth: &[BBox], found: &[(BBox, f32)]) -> Vec<Option<usize>> {
    matched_above(LEAST_IOU, truth, found)
}

/// [`matched`] with another least IoU.
#[must_use]
pub fn matched_above(least_iou: f32, truth: &[BBox], found: &[(BBox, f32)]) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by(|&a, &b| found[b].1.total_cmp(&found[a].1));
    let mut taken = vec![false; truth.len()];
    let mut matches = vec![None; found.len()];
    for detection in order {
        let free = (0..truth.len()).filter(|&object| !taken[object]);
        let overlaps = free.map(|object| (object, truth[object].iou(&found[detection].0)));
        let best = overlaps.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, iou)| *iou > least_iou);
        if let Some((object, _)) = best {
            taken[object] = true;
            matches[detection] = Some(object);
        }
    }
    matches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32) -> BBox {
        BBox { x, y: 0.0, w: 10.0, h: 10.0 }
    }

    #[test]
    fn the_most_confident_takes_the_object_and_the_next_gets_none() {
        assert_eq!(matched(&[at(0.0)], &[(at(1.0), 0.5), (at(3.0), 0.9)]), [None, Some(0)]);
    }

    #[test]
    fn a_detection_takes_the_object_it_overlaps_best() {
        assert_eq!(matched(&[at(0.0), at(4.0)], &[(at(3.0), 0.5)]), [Some(1)]);
    }

    #[test]
    fn a_small_overlap_is_no_match() {
        // 4 of 16 columns are shared: an IoU of 0.25.
        assert_eq!(matched(&[at(0.0)], &[(at(6.0), 0.9)]), [None]);
        assert_eq!(matched(&[], &[(at(6.0), 0.9)]), [None]);
    }
}
