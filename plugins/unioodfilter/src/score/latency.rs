//! How long frames stay inside, for live pipelines: declared as the batch timeout, raised when it takes longer.

use std::time::{Duration, Instant};

/// What was declared and what was seen. It only grows: a live pipeline must not jump back and forth.
#[derive(Debug, Default)]
pub(super) struct Latency {
    declared: Duration,
    /// When the frame before was ready to leave; frames leave in order.
    ready: Option<Instant>,
}

impl Latency {
    /// Starts from what is known beforehand.
    pub(super) const fn new(batch_timeout: Option<Duration>) -> Self {
        let declared = match batch_timeout {
            Some(timeout) => timeout,
            None => Duration::ZERO,
        };
        Self { declared, ready: None }
    }

    /// What to tell the pipeline.
    pub(super) const fn declared(&self) -> Duration {
        self.declared
    }

    /// Sees a frame that came in at `arrival` and was answered `total` later; `true` where the declared latency
    /// had to be raised. The first frame warms the models up and does not count.
    pub(super) fn observe(&mut self, arrival: Instant, total: Duration) -> bool {
        let answered = arrival + total;
        let Some(before) = self.ready else {
            self.ready = Some(arrival);
            return false;
        };
        let ready = before.max(answered);
        self.ready = Some(ready);
        let seen = ready.saturating_duration_since(arrival);
        if seen <= self.declared {
            return false;
        }
        // A quarter more, so that the pipeline is not told again for every frame that is a little later.
        self.declared = seen + seen / 4;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_batch_timeout_is_declared_and_raised_when_frames_take_longer() {
        let mut latency = Latency::new(Some(10 * MS));
        let start = Instant::now();
        assert!(!latency.observe(start, 900 * MS), "the first frame warms up");
        assert!(!latency.observe(start + 1000 * MS, 9 * MS));
        assert_eq!(latency.declared(), 10 * MS);
        assert!(latency.observe(start + 1040 * MS, 40 * MS));
        assert_eq!(latency.declared(), 50 * MS);
        assert!(!latency.observe(start + 1100 * MS, 45 * MS));
    }

    #[test]
    fn a_frame_waits_for_the_one_before_it() {
        let mut latency = Latency::new(None);
        let start = Instant::now();
        latency.observe(start, MS);
        latency.observe(start + MS, 100 * MS);
        assert!(!latency.observe(start + 2 * MS, MS), "99 ms behind the frame before, 125 are declared");
        assert_eq!(latency.declared(), 125 * MS);
    }
}
