//! Files that a stranger may have named.

use std::{fs, path::Path};

use crate::{Error, Result};

/// A file's length in bytes. Asked before it is opened: opening a pipe waits for its writer, and a device has no end.
///
/// # Errors
/// [`Error::File`] where there is nothing, [`Error::Content`] with this `problem` where it is no file.
pub(crate) fn length(path: &Path, problem: &str) -> Result<u64> {
    let kind = fs::metadata(path).map_err(Error::file("read", path))?;
    if kind.is_file() { Ok(kind.len()) } else { Err(Error::content(path, problem)) }
}

/// A file's text, whole.
///
/// # Errors
/// [`Error::File`] where it cannot be read, [`Error::Content`] where it is no file, or longer than `most` bytes; `wanted` ends that sentence.
pub(crate) fn text(path: &Path, most: u64, wanted: &str) -> Result<String> {
    let problem = format!("no file, or one of more than {} MiB; {wanted}", most >> 20);
    if length(path, &problem)? > most {
        return Err(Error::content(path, problem));
    }
    fs::read_to_string(path).map_err(Error::file("read", path))
}
