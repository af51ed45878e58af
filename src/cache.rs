//! The cache of what is made from models: a folder a thing, made whole or not at all.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{Error, Result, whole};

/// `$XDG_CACHE_HOME/uniood`, or `~/.cache/uniood`.
pub(crate) fn user_cache() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache"))).map(|dir| dir.join("uniood"))
}

/// `dir`, or else the user's cache.
///
/// # Errors
/// [`Error::Setting`] where there is neither.
pub(crate) fn root(dir: Option<&Path>) -> Result<PathBuf> {
    let no_home = || Error::Setting("there is no HOME for the model cache; set model-cache-dir".to_owned());
    dir.map(Path::to_owned).or_else(user_cache).ok_or_else(no_home)
}

/// The cache's folder `name`, from before or filled now by `make(folder)`; `dir` in place of the user's cache.
///
/// The file `proof` in it says that it was filled. It is made as [`whole::folder`] does, so that two processes, or an interrupted one, never leave half of it.
///
/// # Errors
/// [`Error::Setting`] where there is no cache, [`Error::File`] where it cannot be written, and `make`'s own.
pub(crate) fn folder(dir: Option<&Path>, name: &str, proof: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = root(dir)?.join(name);
    let is_filled = || folder.join(proof).exists();
    if is_filled() {
        return Ok(folder);
    }
    match whole::folder(&folder, make) {
        // Another process was first; what it made is the same.
        Err(_) if is_filled() => Ok(folder),
        made => made.map(|()| folder),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let make = |text: &'static str| move |folder: &Path| fs::write(folder.join("file"), text).map_err(Error::file("write", folder));
        let first = folder(Some(&cache), "one", "file", make("first")).unwrap();
        let again = folder(Some(&cache), "one", "file", make("again")).unwrap();
        assert_eq!((first.clone(), fs::read_to_string(again.join("file")).unwrap()), (again, "first".to_owned()));
        assert_ne!(first, folder(Some(&cache), "two", "file", make("second")).unwrap());
        fs::remove_file(first.join("file")).unwrap();
        folder(Some(&cache), "one", "file", make("anew")).unwrap();
        assert_eq!(fs::read_to_string(first.join("file")).unwrap(), "anew", "a folder that was emptied is filled again");
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let failed = folder(Some(dir.path()), "one", "file", |_| Err(Error::Worker));
        assert!(matches!(failed, Err(Error::Worker)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
