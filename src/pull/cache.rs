//! The hub's cache as `huggingface_hub` lays it out:
//!
//! ```text
//! models--owner--name/refs/main                      the commit that `main` was last
//!                     blobs/HASH                     content, by its entity tag
//!                     blobs/HASH.incomplete          what is there of it
//!                     snapshots/COMMIT/config.json   a link to a blob
//! .locks/models--owner--name/HASH.lock               who fetches it
//! ```

use std::{
    fs::{self, File, TryLockError},
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::{
    News, TICK, Watch,
    hash::{Etag, is_hash},
    repository::{RepositoryId, Revision},
};
use crate::{Error, Result, whole};

/// One repository's part of the cache.
#[derive(Debug, Clone)]
pub(super) struct Cached {
    dir: PathBuf,
    locks: PathBuf,
}

impl Cached {
    pub(super) fn new(root: &Path, repository: &RepositoryId) -> Self {
        let folder = repository.folder();
        Self { dir: root.join(&folder), locks: root.join(".locks").join(folder) }
    }

    pub(super) fn blob(&self, etag: &Etag) -> PathBuf {
        self.dir.join("blobs").join(etag.as_str())
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.dir.join("snapshots").join(commit)
    }

    /// The commit that a revision was when it was last asked for.
    pub(super) fn commit(&self, revision: &Revision) -> Option<String> {
        if revision.is_commit() {
            return Some(revision.as_str().to_owned());
        }
        let text = fs::read_to_string(self.dir.join("refs").join(revision.as_str())).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_hash(commit, &[40]))
    }

    /// Writes down what a revision is now.
    pub(super) fn remember(&self, revision: &Revision, commit: &str) -> Result<()> {
        if revision.is_commit() {
            return Ok(());
        }
        let path = self.dir.join("refs").join(revision.as_str());
        make_parent(&path)?;
        whole::replace(&path, |file| file.write_all(commit.as_bytes()))
    }

    /// Makes `file` of the snapshot a link to its blob.
    pub(super) fn link(&self, commit: &str, file: &str, etag: &Etag) -> Result<PathBuf> {
        let path = self.snapshot(commit).join(file);
        make_parent(&path)?;
        let up = "../".repeat(2 + file.matches('/').count());
        // Another process may do the same: a link is put over what is there, and at no time absent.
        let fresh = whole::with_suffix(&path, &format!(".{}", whole::maker()));
        symlink(format!("{up}blobs/{}", etag.as_str()), &fresh)
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(Error::file("write", &path))?;
        Ok(path)
    }

    /// Waits until nobody else fetches this blob; dropped, it is free.
    pub(super) fn lock(&self, etag: &Etag, watch: &mut Watch<'_>) -> Result<File> {
        let path = self.locks.join(format!("{}.lock", etag.as_str()));
        make_parent(&path)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(Error::file("write", &path))?;
        let mut told = false;
        // A file system without locks has no second process told apart; it is then as if there were none.
        while let Err(TryLockError::WouldBlock) = file.try_lock() {
            let news = if told { News::Idle } else { News::Note("another process fetches the same file; waiting for it") };
            told = true;
            watch(news)?;
            std::thread::sleep(TICK);
        }
        Ok(file)
    }
}

/// Makes the folder that a file lies in.
pub(super) fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(Error::file("create", parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_links_to_its_blobs_from_any_depth() {
        let root = tempfile::tempdir().unwrap();
        let cached = Cached::new(root.path(), &"a/b".parse().unwrap());
        let (commit, etag) = ("1".repeat(40), Etag::parse(&"2".repeat(40)).unwrap());
        let blob = cached.blob(&etag);
        make_parent(&blob).unwrap();
        fs::write(&blob, "content").unwrap();
        for file in ["config.json", "onnx/model.onnx"] {
            // Twice: a link that is there is replaced.
            cached.link(&commit, file, &etag).unwrap();
            assert_eq!(fs::read_to_string(cached.link(&commit, file, &etag).unwrap()).unwrap(), "content");
        }
        let main = Revision::default();
        assert_eq!(cached.commit(&main), None);
        cached.remember(&main, &commit).unwrap();
        assert_eq!(cached.commit(&main), Some(commit.clone()));
        fs::write(root.path().join("models--a--b/refs/main"), "../../x").unwrap();
        assert_eq!(cached.commit(&main), None, "a ref that is no commit names no folder");
        assert_eq!(cached.commit(&commit.parse().unwrap()), Some(commit));
    }
}
