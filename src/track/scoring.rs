//! When a track is scored again.

use super::{book::LEAST_OBSERVATIONS, signature::Signature};
use crate::geometry::Rect;

/// A crop that has grown by this factor, as a fraction, beyond the largest one that was scored shows more: scores of small crops are
/// the worst.
const GROWN: (u64, u64) = (3, 2);

/// Scores that it is then worth. What comes nearer grows again and again: one does not move a median of five, and with as many as an
/// alarm wants it would be scored in most of its looks.
const OWED_TO_GROWTH: u32 = 2;

/// A crop whose signature is further from another's, in levels, looks different. On rendered streets three of four pairs of different
/// things do, and one thing in one of thirty looks since it was scored.
const CHANGED: f32 = 40.0;

/// What a track's scores were asked for.
///
/// Only looks count, frames in which its box was found: a carried box lags behind or runs ahead, and what it shows is no evidence of
/// changed looks.
#[derive(Debug, Clone)]
pub(super) struct Scoring {
    /// Scores that are due whatever the interval says.
    owed: u32,
    /// The frame that was scored last.
    scored: Option<u64>,
    /// Pixels of the largest crop that was scored, of this thing.
    largest: u64,
    /// How it looked when it was scored last; not known where every frame is scored.
    then: Option<Signature>,
    /// The last look.
    now: Look,
}

/// A track in a frame in which it was found.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    pixels: u64,
    signature: Option<Signature>,
}

impl Default for Scoring {
    fn default() -> Self {
        Self { owed: LEAST_OBSERVATIONS, scored: None, largest: 0, then: None, now: Look::default() }
    }
}

impl Scoring {
    /// Whether a score was ever asked for.
    pub(super) const fn began(&self) -> bool {
        self.scored.is_some()
    }

    /// It was found at `rect` and looks like `signature`, which is not needed where every frame is scored.
    ///
    /// One that has grown is owed a better score. One that looks different from what was scored may have become another thing, which
    /// so many new scores as an alarm wants outweigh; but not before two looks agree on it, since something may only have passed in front.
    pub(super) fn found(&mut self, rect: Rect, signature: Option<Signature>) {
        let pixels = u64::from(rect.w()) * u64::from(rect.h());
        let before = std::mem::replace(&mut self.now, Look { pixels, signature });
        if !self.began() {
            return;
        }
        if GROWN.1 * pixels >= GROWN.0 * self.largest {
            self.owed = self.owed.max(OWED_TO_GROWTH);
        }
        if let (Some(then), Some(before), Some(now)) = (&self.then, &before.signature, &signature)
            && then.distance(before) > CHANGED
            && then.distance(now) > CHANGED
            && before.distance(now) <= CHANGED
        {
            self.owed = LEAST_OBSERVATIONS;
            self.largest = 0;
        }
    }

    /// Whether frame `number` should score it: where it never was; where it is `found`, for what is owed, one score a look; and where
    /// the interval is over.
    pub(super) fn is_due(&self, number: u64, interval: u32, found: bool) -> bool {
        let elapsed = |last: u64| interval > 0 && number.saturating_sub(last) >= u64::from(interval);
        self.scored.is_none_or(elapsed) || found && self.owed > 0
    }

    /// It is scored in frame `number`.
    pub(super) fn scored(&mut self, number: u64) {
        self.owed = self.owed.saturating_sub(1);
        self.scored = Some(number);
        self.largest = self.largest.max(self.now.pixels);
        self.then = self.now.signature;
    }
}
