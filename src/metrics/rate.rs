//! Frames a second, as a scrape finds them: over the last whole seconds, so that scrapers do not disturb one another.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Seconds that are looked at.
const WINDOW: u64 = 10;

/// And the one that is not over.
const PLACES: usize = 11;

/// Counts by second.
pub(super) struct Rate {
    began: Instant,
    seconds: Mutex<Ring>,
}

/// The counts of the last seconds, and which second the last of them is.
#[derive(Default)]
struct Ring {
    counts: [u32; PLACES],
    last: u64,
}

impl Default for Rate {
    fn default() -> Self {
        Self { began: Instant::now(), seconds: Mutex::default() }
    }
}

impl Rate {
    pub(super) fn count(&self) {
        self.at(self.began.elapsed().as_secs(), Ring::count);
    }

    pub(super) fn per_second(&self) -> f64 {
        self.at(self.began.elapsed().as_secs(), Ring::per_second)
    }

    fn at<T>(&self, second: u64, what: impl FnOnce(&mut Ring, u64) -> T) -> T {
        what(&mut self.seconds.lock().unwrap_or_else(PoisonError::into_inner), second)
    }
}

impl Ring {
    fn go_to(&mut self, second: u64) {
        for passed in self.last + 1..=second.min(self.last + WINDOW + 1) {
            self.counts[place(passed)] = 0;
        }
        if second > self.last + WINDOW {
            self.counts = Default::default();
        }
        // Two threads may come in another order than they looked at the clock in.
        self.last = self.last.max(second);
    }

    fn count(&mut self, second: u64) {
        self.go_to(second);
        self.counts[place(self.last)] += 1;
    }

    /// Of the seconds that are over; of the first one, in it.
    fn per_second(&mut self, second: u64) -> f64 {
        self.go_to(second);
        let over = second.min(WINDOW);
        if over == 0 {
            return f64::from(self.counts[place(second)]);
        }
        let frames: u32 = (second - over..second).map(|second| self.counts[place(second)]).sum();
        #[expect(clippy::cast_precision_loss, reason = "at most ten")]
        let seconds = over as f64;
        f64::from(frames) / seconds
    }
}

fn place(second: u64) -> usize {
    usize::try_from(second % PLACES as u64).expect("a remainder by eleven")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_ten_seconds() {
        let mut ring = Ring::default();
        for second in 0..30 {
            for _ in 0..second {
                ring.count(second);
            }
        }
        assert!((ring.per_second(30) - 24.5).abs() < 1e-9, "the mean of 20 to 29");
        assert!((ring.per_second(35) - (25.0 + 26.0 + 27.0 + 28.0 + 29.0) / 10.0).abs() < 1e-9);
        assert!(ring.per_second(41).abs() < 1e-9);
        ring.count(1000);
        assert!((ring.per_second(1001) - 0.1).abs() < 1e-9);
    }

    #[test]
    fn who_looked_at_the_clock_before_another_and_comes_behind_it_loses_nothing() {
        let mut ring = Ring::default();
        for second in [5, 4, 5] {
            ring.count(second);
        }
        assert!((ring.per_second(6) - 0.5).abs() < 1e-9, "three in six seconds");
    }

    #[test]
    fn a_stream_that_has_just_begun_has_a_rate() {
        let mut ring = Ring::default();
        ring.count(0);
        ring.count(0);
        assert!((ring.per_second(0) - 2.0).abs() < 1e-9);
        assert!((ring.per_second(2) - 1.0).abs() < 1e-9);
    }
}
