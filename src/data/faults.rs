//! What is wrong with the parts of a data set that can be done without.

use crate::{Error, Result};

/// Sentences that are kept; more are counted alone.
const KEPT: usize = 20;

/// What was left out of a data set, and why.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    strict: bool,
    sentences: Vec<String>,
    count: usize,
    /// Boxes around crowds (COCO's `iscrowd`): no single objects, so they are never used.
    pub crowds: usize,
    /// Objects that the data set says to ignore.
    pub ignored: usize,
    /// Objects whose label is a verdict that nobody corrected.
    pub verdicts: usize,
}

impl Faults {
    /// Every fault is an error.
    #[must_use]
    pub fn strict() -> Self {
        Self { strict: true, ..Self::default() }
    }

    /// Something is broken and will be left out.
    ///
    /// # Errors
    /// The fault itself where the user is strict.
    pub fn add(&mut self, fault: Error) -> Result<()> {
        if self.strict {
            return Err(fault);
        }
        self.count += 1;
        let sentence = fault.to_string();
        // A video that breaks off breaks every frame behind.
        if self.sentences.len() < KEPT && self.sentences.last() != Some(&sentence) {
            self.sentences.push(sentence);
        }
        Ok(())
    }

    /// How many there were.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The first of them, in words.
    #[must_use]
    pub fn sentences(&self) -> &[String] {
        &self.sentences
    }
}
