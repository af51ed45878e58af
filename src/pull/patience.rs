//! How often something that failed is tried again.

use std::time::{Duration, Instant};

use super::{News, TICK, Watch, fault::Fault};
use crate::{
    Error, Result,
    backoff::{self, Backoff},
};

/// The pause before the second attempt; it doubles.
const FIRST: Duration = Duration::from_secs(1);

/// Attempts that are left for one thing.
pub(super) struct Patience {
    attempts: u32,
    left: u32,
    backoff: Backoff,
}

impl Patience {
    /// For `attempts` of them, one at least.
    pub(super) fn new(attempts: u32) -> Self {
        let attempts = attempts.max(1);
        Self { attempts, left: attempts, backoff: Backoff::new(FIRST, backoff::MOST) }
    }

    /// The attempt brought something: what follows counts from the beginning.
    pub(super) fn encourage(&mut self) {
        self.left = self.attempts;
        self.backoff.reset();
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The failure itself where no attempt is left, or none would help; `watch`'s own.
    pub(super) fn wait(&mut self, fault: Fault, watch: &mut Watch<'_>) -> Result<()> {
        let (why, asked) = match fault {
            Fault::Lasting(error) => return Err(error),
            Fault::Passing { why, pause } => (why, pause),
        };
        self.left -= 1;
        if self.left == 0 {
            let times = if self.attempts == 1 { String::new() } else { format!(", {} times in a row", self.attempts) };
            return Err(Error::Hub(format!("{why}{times}; the same command goes on from what is there")));
        }
        let pause = self.backoff.delay().max(asked.unwrap_or_default().min(backoff::MOST));
        watch(News::Again { why: &why, pause })?;
        let until = Instant::now() + pause;
        while Instant::now() < until {
            watch(News::Idle)?;
            std::thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing() -> Fault {
        Fault::Passing { why: "cut".to_owned(), pause: None }
    }

    #[test]
    fn attempts_end_and_begin_anew_with_a_success() {
        let mut heard = Vec::new();
        // The watch ends each pause at once, by the error that it may give.
        let mut wait = |patience: &mut Patience, fault| {
            patience.wait(fault, &mut |news| {
                if let News::Again { pause, .. } = news {
                    heard.push(pause.as_secs());
                }
                Err(Error::Interrupted)
            })
        };
        let mut patience = Patience::new(3);
        assert!(matches!(wait(&mut patience, passing()), Err(Error::Interrupted)));
        assert!(matches!(wait(&mut patience, passing()), Err(Error::Interrupted)));
        patience.encourage();
        let busy = Fault::Passing { why: "busy".to_owned(), pause: Some(Duration::from_secs(7)) };
        assert!(matches!(wait(&mut patience, busy), Err(Error::Interrupted)));
        assert!(matches!(wait(&mut patience, passing()), Err(Error::Interrupted)));
        let last = wait(&mut patience, passing()).unwrap_err().to_string();
        assert!(last.starts_with("cut, 3 times in a row; the same command goes on"), "{last}");
        assert!(matches!(wait(&mut Patience::new(9), Fault::Lasting(Error::Worker)), Err(Error::Worker)));
        assert_eq!(heard, [1, 2, 7, 2]);
    }
}
