//! What can go wrong, each with a sentence that says what to do.

use std::path::{Path, PathBuf};

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure a caller can meet. The text names what was found, what was wanted, and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("cannot {action} {}: {cause}", path.display())]
    File {
        /// The verb: `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// A file was read but its content does not fit.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// A key or tensor of a model set does not fit.
    #[error("{}: `{key}` is {found}; wanted {wanted}", path.display())]
    ModelSet {
        /// The file of the set.
        path: PathBuf,
        /// JSON key or tensor name.
        key: String,
        /// What stands there.
        found: String,
        /// What should stand there.
        wanted: String,
    },
    /// The list of in-distribution classes is unusable.
    #[error("class list: {0}")]
    Classes(String),
    /// Boxes given by the user or another element are unusable.
    #[error("boxes: {0}")]
    Boxes(String),
    /// A picture or video frame does not have the shape it claims.
    #[error("frame: {0}")]
    Frame(String),
    /// A device was asked for and cannot be had.
    #[error("device `{device}` cannot be used: {problem}")]
    Device {
        /// As the user wrote it.
        device: String,
        /// Why, and what to do.
        problem: String,
    },
    /// ONNX Runtime itself is missing or too old.
    #[error("ONNX Runtime: {0}")]
    Runtime(String),
    /// A model was loaded but its run failed.
    #[error("model run failed in {stage}: {problem}")]
    Inference {
        /// `detect`, `encode` or `text`.
        stage: &'static str,
        /// The runtime's words.
        problem: String,
    },
    /// A setting that this build does not have, or a value out of range.
    #[error("{0}")]
    Setting(String),
    /// A hub, or the way to it, did not give what was asked for.
    #[error("{0}")]
    Hub(String),
    /// The user stopped it.
    #[error("interrupted; the same command goes on from what is kept")]
    Interrupted,
    /// A worker thread ended before it answered.
    #[error("a worker thread of the engine ended before it answered; see the log for its panic")]
    Worker,
}

impl Error {
    /// An [`Error::File`] for `path`.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |cause| Self::File { action, path, cause }
    }

    /// An [`Error::Content`] for `path`.
    pub fn content(path: &Path, problem: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), problem: problem.into() }
    }

    /// An [`Error::ModelSet`] for `key` in `path`.
    pub fn model_set(path: &Path, key: impl Into<String>, found: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self::ModelSet { path: path.to_owned(), key: key.into(), found: found.into(), wanted: wanted.into() }
    }
}
