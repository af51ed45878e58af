//! Model sets from the Hugging Face hub.
//!
//! A set of the [`catalog`], or any CLIP by the id of its repository, is fetched into the hub's own cache and written from there as a
//! whole folder by [`pull`]. The cache is laid out as `huggingface_hub` does it, so both take what the other has fetched.
//!
//! Nothing of a server is believed: what it names as a file stays below the cache, hashes are computed here, and every wait is bounded
//! and can be ended.

mod blob;
mod cache;
pub mod catalog;
mod client;
mod fault;
mod hash;
mod hub;
mod patience;
mod repository;
mod set;
mod transformers;

use std::time::Duration;

pub use hub::Hub;
pub use repository::{RepositoryId, Revision};
pub use set::{Pulled, PulledSource, Source, Wanted, pull};

use crate::Result;

/// How often a wait asks whether it is to go on.
const TICK: Duration = Duration::from_millis(100);

/// Who is told of what happens; an error of theirs ends the work with it.
pub type Watch<'a> = dyn FnMut(News<'_>) -> Result<()> + 'a;

/// What happens while a set is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News<'a> {
    /// A repository is fetched from; its weights come after this.
    Source {
        /// Its id.
        repository: &'a str,
        /// The commit.
        commit: &'a str,
        /// The licence of what is in it.
        licence: &'a str,
    },
    /// A file is fetched.
    File {
        /// Its path in the repository.
        path: &'a str,
        /// Its size.
        bytes: u64,
        /// What is there of it from before.
        there: u64,
    },
    /// So much of that file is there now.
    There(u64),
    /// An attempt failed; the next one follows after a pause.
    Again {
        /// Why it failed.
        why: &'a str,
        /// The pause.
        pause: Duration,
    },
    /// Something else to be told.
    Note(&'a str),
    /// Nothing new: asked now and then while something is waited for.
    Idle,
}
