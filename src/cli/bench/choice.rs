//! Whether one setting is faster than another: rounds that were measured in turn, compared round by round.

/// A ratio over rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gain {
    /// Median of the rounds' ratios.
    pub(super) median: f64,
    /// What the least and the largest are apart.
    pub(super) spread: f64,
}

impl Gain {
    /// One that is its own measure.
    pub(super) const NONE: Self = Self { median: 1.0, spread: 0.0 };

    /// Rates over those of the same rounds. What the machine did otherwise meanwhile was done to both.
    pub(super) fn of(rates: &[f64], over: &[f64]) -> Self {
        let ratios: Vec<f64> = rates.iter().zip(over).map(|(rate, over)| rate / over).collect();
        let (least, most) = range(&ratios);
        Self { median: median(&ratios), spread: most - least }
    }

    /// Faster by more than the rounds are apart.
    pub(super) fn is_sure(self) -> bool {
        self.median - 1.0 > self.spread
    }
}

/// Which of them is surely faster than the first and the fastest of those; the first where none is.
pub(super) fn fastest(rates: &[Vec<f64>]) -> usize {
    let gains = rates.iter().map(|of| Gain::of(of, &rates[0])).enumerate().skip(1).filter(|(_, gain)| gain.is_sure());
    gains.max_by(|(_, a), (_, b)| a.median.total_cmp(&b.median)).map_or(0, |(index, _)| index)
}

/// The middle one; of an even number what is between the two.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    f64::midpoint(at(sorted.len() / 2), at(sorted.len().saturating_sub(1) / 2))
}

/// The least and the largest.
pub(super) fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(*value), most.max(*value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_kept_unless_another_beats_it_by_more_than_the_spread() {
        let first = vec![10.0, 10.0, 10.0];
        let within = vec![12.0, 9.0, 11.0];
        let slower = vec![8.0, 8.0, 8.0];
        let surely = vec![11.0, 11.5, 11.2];
        assert_eq!(fastest(&[first.clone(), within.clone(), slower.clone()]), 0);
        assert_eq!(fastest(&[first.clone(), within, surely.clone(), slower]), 2);
        assert_eq!(fastest(&[surely, first]), 0);
    }

    #[test]
    fn a_machine_that_slows_down_does_not_hide_a_gain() {
        let (before, faster) = (vec![10.0, 5.0, 2.0], vec![12.0, 6.0, 2.4]);
        let gain = Gain::of(&faster, &before);
        assert!((gain.median - 1.2).abs() < 1e-9 && gain.spread < 1e-9 && gain.is_sure());
    }

    #[test]
    fn rounds_that_are_apart_are_not_sure() {
        assert!(!Gain::of(&[1.4, 10.5], &[1.0, 1.0]).is_sure());
        let gain = Gain::of(&[1.25, 1.5], &[1.0, 1.0]);
        assert!((gain.median - 1.375).abs() < 1e-9 && gain.is_sure());
        assert!(!Gain::NONE.is_sure());
    }
}
