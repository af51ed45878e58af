//! Built graphs on disk, keyed by the content they were built from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::runtime::user_cache;
use crate::{Error, Result, graph::SOURCES};

/// The graph file's name in its folder; its external data lies beside it.
const GRAPH: &str = "graph.onnx";

/// The files of a CLIP folder that a graph depends on, as far as they are there.
pub(super) fn clip_sources(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// The graph built from `sources`, from the cache or built now by `build(path)`.
///
/// It is built in a folder of its own that is renamed when whole, so that two processes, or an
/// interrupted one, never leave half a graph.
///
/// # Errors
/// [`Error::File`] where a source cannot be read or the cache cannot be written.
pub(super) fn graph(cache_dir: Option<&Path>, kind: &str, sources: &[PathBuf], build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let root = match cache_dir {
        Some(dir) => dir.to_owned(),
        None => user_cache().ok_or_else(|| Error::Setting("there is no HOME for the model cache; set model-cache-dir".to_owned()))?,
    };
    let folder = root.join(format!("{kind}-{}", key(kind, sources)?));
    let graph = folder.join(GRAPH);
    if graph.exists() {
        return Ok(graph);
    }
    fs::create_dir_all(&root).map_err(Error::file("create", &root))?;
    let fresh = root.join(format!(".{kind}-{}-{:?}", std::process::id(), std::thread::current().id()));
    let built = fs::create_dir_all(&fresh).map_err(Error::file("create", &fresh)).and_then(|()| build(&fresh.join(GRAPH)));
    let moved = built.and_then(|()| match fs::rename(&fresh, &folder) {
        // Another process was first; its graph is the same.
        Err(_) if graph.exists() => Ok(()),
        renamed => renamed.map_err(Error::file("write", &folder)),
    });
    if moved.is_err() || fresh.exists() {
        // What is left half-built is of no use; that it cannot be removed changes nothing for the caller.
        let _ = fs::remove_dir_all(&fresh);
    }
    moved.map(|()| graph)
}

fn key(kind: &str, sources: &[PathBuf]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for code in SOURCES {
        hasher.update(code.as_bytes());
    }
    hasher.update(kind.as_bytes());
    for source in sources {
        let name = source.file_name().unwrap_or_default().as_encoded_bytes();
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name);
        let mut content = blake3::Hasher::new();
        fs::File::open(source).and_then(|file| content.update_reader(file).map(drop)).map_err(Error::file("read", source))?;
        hasher.update(content.finalize().as_bytes());
    }
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_is_built_once_and_again_when_a_source_changes() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("weights");
        fs::write(&source, "one").unwrap();
        let cache = dir.path().join("cache");
        let build = |text: &'static str| move |path: &Path| fs::write(path, text).map_err(Error::file("write", path));
        let first = graph(Some(&cache), "vision", std::slice::from_ref(&source), build("first")).unwrap();
        let again = graph(Some(&cache), "vision", std::slice::from_ref(&source), build("again")).unwrap();
        assert_eq!((first.clone(), fs::read_to_string(&again).unwrap()), (again, "first".to_owned()));
        fs::write(&source, "two").unwrap();
        let other = graph(Some(&cache), "vision", &[source], build("second")).unwrap();
        assert_ne!(first, other);
        assert_eq!(fs::read_to_string(other).unwrap(), "second");
    }

    #[test]
    fn a_failed_build_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let failed = graph(Some(dir.path()), "vision", &[], |_| Err(Error::Worker));
        assert!(matches!(failed, Err(Error::Worker)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn every_file_of_the_graph_builder_is_part_of_the_key() {
        let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/graph")).unwrap().count();
        assert_eq!(files, SOURCES.len());
    }
}
