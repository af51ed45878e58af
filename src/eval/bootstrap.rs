//! How far metrics would move with other pictures of the same kind: 95 % intervals by bootstrap over pictures.
//!
//! Pictures are drawn with replacement within their own set (a picture's objects come or stay away together), and the
//! 2.5 % and 97.5 % quantiles of 1000 draws are taken (Efron 1979).

use serde::Serialize;

use super::curve::Curve;
use crate::tune::rng::{Purpose, Rng};

const DRAWS: usize = 1000;

/// One score and where it came from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// High means ID.
    pub score: f64,
    /// ID or OOD.
    pub known: bool,
    /// Index of its set.
    pub set: usize,
    /// Index of its picture in that set.
    pub picture: usize,
}

/// Lower and upper end of each metric's 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Intervals {
    /// Of `auroc`.
    pub auroc: [f64; 2],
    /// Of `fpr95`.
    pub fpr95: [f64; 2],
    /// Of `aupr_in`.
    pub aupr_in: [f64; 2],
    /// Of `aupr_out`.
    pub aupr_out: [f64; 2],
}

/// Intervals of scores without NaN. `pictures`: how many there are in each set, those without a score included.
///
/// `None` where most draws have no ID or no OOD score: then nothing can be said.
#[must_use]
pub fn intervals(scores: &[Observed], pictures: &[usize], seed: u64) -> Option<Intervals> {
    let mut falling = scores.to_vec();
    falling.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut rng = Rng::new(seed, Purpose::Bootstrap);
    let mut found: [Vec<f64>; 4] = std::array::from_fn(|_| Vec::with_capacity(DRAWS));
    for _ in 0..DRAWS {
        let weights: Vec<Vec<f64>> = pictures.iter().map(|&count| drawn(count, &mut rng)).collect();
        let weight = |of: &Observed| weights[of.set][of.picture];
        let part = |of: &Observed| if of.known { (weight(of), 0.0) } else { (0.0, weight(of)) };
        let present = || falling.iter().filter(|of| weight(of) > 0.0);
        let curve = Curve::falling(present().map(|of| (of.score, part(of).0, part(of).1)));
        if !curve.has_both() {
            continue;
        }
        let flipped = Curve::falling(present().rev().map(|of| (-of.score, part(of).1, part(of).0)));
        let values = [curve.area(), curve.at_least(0.95).negative, curve.average_precision(), flipped.average_precision()];
        for (all, value) in found.iter_mut().zip(values) {
            all.push(value);
        }
    }
    if found[0].len() < DRAWS / 2 {
        return None;
    }
    let [auroc, fpr95, aupr_in, aupr_out] = found.map(|mut values| {
        values.sort_by(f64::total_cmp);
        [quantile(&values, 0.025), quantile(&values, 0.975)]
    });
    Some(Intervals { auroc, fpr95, aupr_in, aupr_out })
}

/// How often each of `count` pictures was drawn, in `count` draws.
fn drawn(count: usize, rng: &mut Rng) -> Vec<f64> {
    let mut times = vec![0.0; count];
    for _ in 0..count {
        times[rng.below(count)] += 1.0;
    }
    times
}

/// Between the two nearest of sorted values, linearly; there is at least one.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positions in a short list")]
pub(crate) fn quantile<T: Copy + Into<f64>>(sorted: &[T], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let (low, high) = (sorted[below].into(), sorted[above].into());
    low + (high - low) * (at - at.floor())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::metrics;

    fn observed(known: bool, scores: impl Iterator<Item = f64>) -> Vec<Observed> {
        scores.enumerate().map(|(picture, score)| Observed { score, known, set: usize::from(!known), picture }).collect()
    }

    #[test]
    fn the_interval_holds_the_value_and_narrows_with_more_pictures() {
        let width = |count: u32| {
            let ladder = |from: f64| (0..count).map(move |k| from + f64::from(k * 7919 % count) / f64::from(count));
            let all = [observed(true, ladder(0.4)), observed(false, ladder(0.0))].concat();
            let of = |known| all.iter().filter(|of| of.known == known).map(|of| of.score).collect::<Vec<_>>();
            let value = metrics(&of(true), &of(false)).unwrap();
            let found = intervals(&all, &[count as usize, count as usize], 0).unwrap();
            for (value, [low, high]) in [(value.auroc, found.auroc), (value.aupr_in, found.aupr_in), (value.aupr_out, found.aupr_out)] {
                assert!(low <= value && value <= high, "{value} {low} {high}");
            }
            assert_eq!(intervals(&all, &[count as usize, count as usize], 0), Some(found), "equal seeds, equal intervals");
            found.auroc[1] - found.auroc[0]
        };
        let (few, many) = (width(20), width(500));
        assert!(many < few / 3.0, "{few} {many}");
    }

    #[test]
    fn objects_of_one_picture_come_together() {
        // All ID objects in one picture, all OOD in another: every draw has all of them, and nothing moves.
        let mut all = observed(true, [0.9, 0.5].into_iter());
        all.extend(observed(false, [0.7, 0.1].into_iter()));
        for of in &mut all {
            of.picture = 0;
        }
        let found = intervals(&all, &[1, 1], 0).unwrap();
        assert!(found.auroc.iter().all(|end| (end - 0.75).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn what_is_mostly_not_there_has_no_interval() {
        // The one picture with something unknown is drawn in 63 % of draws; of a single kind in none.
        assert!(intervals(&observed(true, [0.5].into_iter()), &[1, 0], 0).is_none());
    }

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        assert!((quantile(&[1.0, 2.0, 4.0], 0.75) - 3.0).abs() < 1e-12);
        assert!((quantile(&[5.0], 0.975) - 5.0).abs() < 1e-12);
    }
}
