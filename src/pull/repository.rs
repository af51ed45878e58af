//! What is asked for: a repository by its id, at a revision. Both are checked, since they become addresses and paths.

use std::{fmt, str::FromStr};

use super::hash::is_hash;
use crate::{Error, Result};

/// A repository's id: `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryId(String);

/// A branch, a tag, a pull request (`refs/pr/1`) or a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision(String);

impl FromStr for RepositoryId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let sound = |part: &str| {
            (1..=96).contains(&part.len())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
                && !part.starts_with(['.', '-'])
                && !part.ends_with(['.', '-'])
                && !part.contains("--")
                && !part.contains("..")
        };
        match text.split_once('/') {
            Some((owner, name)) if sound(owner) && sound(name) => Ok(Self(text.to_owned())),
            _ => Err(Error::Setting(format!("`{text}` is no repository of the hub; wanted owner/name, as openai/clip-vit-base-patch32"))),
        }
    }
}

impl RepositoryId {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its folder in the cache.
    pub(super) fn folder(&self) -> String {
        format!("models--{}", self.0.replace('/', "--"))
    }
}

impl FromStr for Revision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let sound =
            |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if text.len() <= 256 && text.split('/').all(sound) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::Setting(format!("`{text}` is no revision; wanted a branch, a tag, refs/pr/N or a commit")))
    }
}

impl Revision {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a commit, which never means anything else.
    pub(super) fn is_commit(&self) -> bool {
        is_hash(&self.0, &[40])
    }
}

impl Default for Revision {
    fn default() -> Self {
        Self("main".to_owned())
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_hub_allows_is_an_id_or_a_revision() {
        assert_eq!("openai/clip-vit-base-patch32".parse::<RepositoryId>().unwrap().folder(), "models--openai--clip-vit-base-patch32");
        for text in ["clip", "a/b/c", "../b", "a/..", "a/b--c", "a /b", "a/", "/b", "a/b?x", "a/.b", ""] {
            assert!(text.parse::<RepositoryId>().is_err(), "{text}");
        }
        assert!("refs/pr/15".parse::<Revision>().is_ok() && "v1.0".parse::<Revision>().is_ok());
        for text in ["", "../x", "a//b", "a/../b", "a b", "/a", "a/"] {
            assert!(text.parse::<Revision>().is_err(), "{text}");
        }
        assert!("0".repeat(40).parse::<Revision>().unwrap().is_commit() && !Revision::default().is_commit());
    }
}
