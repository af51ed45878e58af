//! Built graphs on disk, keyed by the content they were built from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result, cache,
    graph::{Numbers, SOURCES},
};

/// The graph file's name in its folder; its external data lies beside it.
const GRAPH: &str = "graph.onnx";

/// The files of a CLIP folder that a graph depends on, as far as they are there.
pub(super) fn clip_sources(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// The kind's name in these numbers.
pub(super) fn kind(name: &str, numbers: Numbers) -> String {
    match numbers {
        Numbers::Fp32 => name.to_owned(),
        Numbers::Int8 => format!("{name}-{numbers}"),
    }
}

/// The graph built from `sources`, from the cache or built now by `build(path)`.
///
/// # Errors
/// [`Error::File`] where a source cannot be read or the cache cannot be written.
pub(super) fn graph(cache_dir: Option<&Path>, kind: &str, sources: &[PathBuf], build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = cache::folder(cache_dir, &format!("{kind}-{}", key(kind, sources)?), GRAPH, |folder| build(&folder.join(GRAPH)))?;
    Ok(folder.join(GRAPH))
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
    fn every_file_of_the_graph_builder_is_part_of_the_key() {
        let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/graph")).unwrap().count();
        assert_eq!(files, SOURCES.len());
    }
}
