//! How well tracks keep to true ones: IDF1 and id switches.
//!
//! Sources: Ristani et al. 2016, "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking" (IDF1);
//! Bernardin and Stiefelhagen 2008, "Evaluating Multiple Object Tracking Performance" (switches).

use std::collections::BTreeMap;

use pathfinding::{kuhn_munkres::kuhn_munkres, matrix::Matrix};
use serde::Serialize;

/// One frame: the true tracks in it, the ids that were given, and which pairs lie on one another.
///
/// A box that lies on nothing that counts, but on something that does not (hidden, cut off), is left out by the caller.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    /// Ids of the true tracks.
    pub truth: Vec<u64>,
    /// Ids that were given.
    pub found: Vec<u64>,
    /// Places in `truth` and `found` whose boxes overlap by a half or more.
    pub overlaps: Vec<(usize, usize)>,
}

/// How well tracks keep to true ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Identity {
    /// 2·IDTP / (true boxes + found boxes), each true track joined with one that was found so that IDTP is largest.
    pub idf1: f64,
    /// Times that a true track, found again, had another id than when it was found last.
    pub switches: usize,
}

/// Identity of a video.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of boxes are far below 2^52")]
pub fn identity(frames: &[Frame]) -> Identity {
    let boxes: usize = frames.iter().map(|frame| frame.truth.len() + frame.found.len()).sum();
    let idf1 = if boxes == 0 { 1.0 } else { 2.0 * together(frames) as f64 / boxes as f64 };
    Identity { idf1, switches: switches(frames) }
}

/// The largest number of frames in which true tracks lie under the tracks that they are joined with.
fn together(frames: &[Frame]) -> i64 {
    let mut truth: BTreeMap<u64, usize> = BTreeMap::new();
    let mut found: BTreeMap<u64, usize> = BTreeMap::new();
    let mut counts: BTreeMap<(usize, usize), i64> = BTreeMap::new();
    let place = |places: &mut BTreeMap<u64, usize>, id: u64| {
        let next = places.len();
        *places.entry(id).or_insert(next)
    };
    for frame in frames {
        for &(true_at, found_at) in &frame.overlaps {
            let pair = (place(&mut truth, frame.truth[true_at]), place(&mut found, frame.found[found_at]));
            *counts.entry(pair).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return 0;
    }
    let (rows, columns) = (truth.len().min(found.len()), truth.len().max(found.len()));
    let turned = truth.len() > found.len();
    let weights = Matrix::from_fn(rows, columns, |(row, column)| {
        counts.get(&if turned { (column, row) } else { (row, column) }).copied().unwrap_or(0)
    });
    kuhn_munkres(&weights).0
}

/// In each frame, a true track keeps the id it had where that is still on it; else it takes the first that is on it and on no other.
fn switches(frames: &[Frame]) -> usize {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    let mut switches = 0;
    for frame in frames {
        let mut taken = vec![false; frame.found.len()];
        let mut left: Vec<usize> = Vec::new();
        for (at, id) in frame.truth.iter().enumerate() {
            let kept = frame.overlaps.iter().find(|(on, found)| *on == at && !taken[*found] && last.get(id) == Some(&frame.found[*found]));
            match kept {
                Some((_, found)) => taken[*found] = true,
                None => left.push(at),
            }
        }
        for at in left {
            let free = frame.overlaps.iter().find(|(on, found)| *on == at && !taken[*found]);
            if let Some((_, found)) = free {
                taken[*found] = true;
                switches += usize::from(last.insert(frame.truth[at], frame.found[*found]).is_some());
            }
        }
    }
    switches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(truth: &[u64], found: &[u64], overlaps: &[(usize, usize)]) -> Frame {
        Frame { truth: truth.to_vec(), found: found.to_vec(), overlaps: overlaps.to_vec() }
    }

    #[test]
    fn idf1_and_switches_of_a_case_by_hand() {
        // Two true tracks, A (1) for six frames and B (2) for four. A is followed as 10 for four frames and, once missed, as 11 for
        // one; B as 12 for one frame, then as 10, which has jumped over, for one; one box lies on nothing.
        let frames = [
            frame(&[1, 2], &[10, 12], &[(0, 0), (1, 1)]),
            frame(&[1, 2], &[10], &[(0, 0)]),
            frame(&[1, 2], &[10, 99], &[(0, 0)]),
            frame(&[1, 2], &[10], &[(1, 0)]),
            frame(&[1], &[10], &[(0, 0)]),
            frame(&[1], &[11], &[(0, 0)]),
        ];
        // Joined: A with 10 (4 frames), B with 12 (1). IDTP = 5; true boxes 10, found boxes 8.
        let found = identity(&frames);
        assert!((found.idf1 - 2.0 * 5.0 / 18.0).abs() < 1e-12, "{}", found.idf1);
        // B from 12 to 10; A from 10 to 11.
        assert_eq!(found.switches, 2);
    }

    #[test]
    fn the_best_join_is_of_whole_tracks_and_not_frame_by_frame() {
        // 10 is on A for three frames and on B for two, 11 on A for two: B has no other, so A takes 11 only if that is more in sum.
        let frames = [
            frame(&[1], &[10], &[(0, 0)]),
            frame(&[1], &[10], &[(0, 0)]),
            frame(&[1], &[10], &[(0, 0)]),
            frame(&[1, 2], &[11, 10], &[(0, 0), (1, 1)]),
            frame(&[1, 2], &[11, 10], &[(0, 0), (1, 1)]),
        ];
        // A–11 and B–10: 2 + 2 = 4; A–10 alone: 3.
        assert!((identity(&frames).idf1 - 2.0 * 4.0 / 14.0).abs() < 1e-12);
    }

    #[test]
    fn perfect_tracks_are_one_and_nothing_found_is_zero() {
        let all = vec![frame(&[1, 2], &[7, 8], &[(0, 0), (1, 1)]); 4];
        assert_eq!(identity(&all), Identity { idf1: 1.0, switches: 0 });
        let none = vec![frame(&[1, 2], &[], &[]); 4];
        assert_eq!(identity(&none), Identity { idf1: 0.0, switches: 0 });
        assert_eq!(identity(&[]).switches, 0);
    }
}
