//! When a track is scored again.

use super::{book::LEAST_OBSERVATIONS, signature::Signature};
use crate::geometry::Rect;

/// A crop that has grown by this factor, as a fraction, since it was scored shows more: scores of small crops are the worst.
const GROWN: (u64, u64) = (3, 2);

/// A crop whose signature is further from that of the last score, in levels, looks different.
const CHANGED: f32 = 30.0;

/// What a track's scores were asked for.
#[derive(Debug, Clone)]
pub(super) struct Scoring {
    /// Scores that are due whatever the interval says.
    owed: u32,
    last: Option<Last>,
}

/// The crop that was scored last.
#[derive(Debug, Clone)]
struct Last {
    number: u64,
    pixels: u64,
    /// Not made where every frame is scored.
    signature: Option<Signature>,
}

impl Default for Scoring {
    fn default() -> Self {
        Self { owed: LEAST_OBSERVATIONS, last: None }
    }
}

impl Scoring {
    /// Whether a score was ever asked for.
    pub(super) const fn began(&self) -> bool {
        self.last.is_some()
    }

    /// Whether frame `number` should score the crop `rect`, which looks like `signature`.
    ///
    /// A new track is due until it has as many scores as an alarm wants. So is one that has grown, or that looks different and may have
    /// become another thing: so many new scores outweigh the old ones.
    pub(super) fn is_due(&mut self, number: u64, interval: u32, rect: Rect, signature: Option<&Signature>) -> bool {
        let Some(last) = &self.last else { return true };
        let grown = GROWN.1 * pixels(rect) >= GROWN.0 * last.pixels;
        let different = signature.is_some_and(|now| last.signature.is_none_or(|then| then.distance(now) > CHANGED));
        if grown || different {
            self.owed = LEAST_OBSERVATIONS;
        }
        let elapsed = interval > 0 && number.saturating_sub(last.number) >= u64::from(interval);
        self.owed > 0 || elapsed
    }

    /// It is scored in frame `number`.
    pub(super) fn scored(&mut self, number: u64, rect: Rect, signature: Option<Signature>) {
        self.owed = self.owed.saturating_sub(1);
        self.last = Some(Last { number, pixels: pixels(rect), signature });
    }
}

fn pixels(rect: Rect) -> u64 {
    u64::from(rect.w()) * u64::from(rect.h())
}
