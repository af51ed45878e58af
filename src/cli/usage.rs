//! What was typed cannot be meant, though each argument alone could be: as wrong as what clap finds itself, and as its exit code.

use std::fmt::{self, Display};

/// A sentence that says what to type in its place.
#[derive(Debug)]
pub(crate) struct Usage(String);

/// The error of such a sentence.
pub(crate) fn usage(sentence: impl Into<String>) -> anyhow::Error {
    Usage(sentence.into()).into()
}

impl Display for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for Usage {}
