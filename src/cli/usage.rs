//! What was typed cannot be meant, though each argument alone could be: as wrong as what clap finds itself, and as its exit code.

use std::{
    fmt::{self, Display},
    path::Path,
};

use anyhow::Result;

/// A sentence that says what to type in its place.
#[derive(Debug)]
pub(crate) struct Usage(String);

/// The error of such a sentence.
pub(crate) fn usage(sentence: impl Into<String>) -> anyhow::Error {
    Usage(sentence.into()).into()
}

/// What a set that is written is called: the name that was given, or else its folder's.
pub(crate) fn set_name(name: Option<&str>, out: &Path) -> Result<String> {
    match (name, out.file_name()) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, Some(name)) => Ok(name.to_string_lossy().into_owned()),
        (None, None) => Err(usage(format!("--out {} has no name of its own; name a folder that is not there yet", out.display()))),
    }
}

impl Display for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for Usage {}
