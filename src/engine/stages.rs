//! How long frames spend in each stage: distributions in bounded memory.

use std::{ops::AddAssign, time::Duration};

use hdrhistogram::Histogram;

use super::Timings;

/// Times up to an hour, in microseconds.
const MOST: u64 = 3_600_000_000;

/// Significant digits: quantiles are within 1 %.
const DIGITS: u8 = 2;

/// A distribution of times.
#[derive(Debug, Clone, PartialEq)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, MOST, DIGITS).expect("the bounds are in order and the digits few"))
    }
}

impl Times {
    /// Counts one; more than an hour counts as an hour.
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(MOST));
    }

    /// The time that a share of 0..=1 stayed below, to the next 1 %; zero where none was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }
}

/// The distribution of each part of [`Timings`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StageTimes {
    queue: Times,
    detect: Times,
    encode: Times,
    total: Times,
}

impl StageTimes {
    /// Counts a frame.
    pub fn record(&mut self, timings: &Timings) {
        self.queue.record(timings.queue);
        self.detect.record(timings.detect);
        self.encode.record(timings.encode);
        self.total.record(timings.total);
    }

    /// Each with its name.
    #[must_use]
    pub const fn stages(&self) -> [(&'static str, &Times); 4] {
        [("queue", &self.queue), ("detect", &self.detect), ("encode", &self.encode), ("total", &self.total)]
    }
}

impl AddAssign<&Self> for Times {
    fn add_assign(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }
}

impl AddAssign<&Self> for StageTimes {
    fn add_assign(&mut self, other: &Self) {
        self.queue += &other.queue;
        self.detect += &other.detect;
        self.encode += &other.encode;
        self.total += &other.total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_times_within_a_hundredth(mut times in prop::collection::vec(0_u64..10_000_000, 1..300), split in 0_usize..300) {
            let mut counted = [StageTimes::default(), StageTimes::default()];
            for (index, time) in times.iter().enumerate() {
                counted[usize::from(index < split)].record(&Timings { total: Duration::from_micros(*time), ..Timings::default() });
            }
            let [mut all, rest] = counted;
            all += &rest;
            times.sort_unstable();
            for (share, rank) in [(0.5, times.len().div_ceil(2)), (1.0, times.len())] {
                let (wanted, found) = (times[rank - 1], all.stages()[3].1.quantile(share).as_micros());
                prop_assert!(found.abs_diff(u128::from(wanted)) <= u128::from(wanted / 100 + 1), "{} for {}", found, wanted);
            }
        }
    }

    #[test]
    fn nothing_counted_is_zero_and_a_day_counts_as_an_hour() {
        let mut times = Times::default();
        assert_eq!(times.quantile(0.99), Duration::ZERO);
        times.record(Duration::from_hours(24));
        assert!(times.quantile(0.5) >= Duration::from_mins(59));
    }
}
