//! street-tiny, the model set inside every program: what is used where no other is named.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::{MANIFEST, ModelSet};
use crate::{Error, Result, cache};

/// The environment variable that names a set where nothing else does.
pub const MODELS_VARIABLE: &str = "UNIOOD_MODELS";

/// The folder that the environment names; an empty value names none.
#[must_use]
pub fn named_by_environment() -> Option<PathBuf> {
    env::var_os(MODELS_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The set's name.
pub const NAME: &str = "street-tiny";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../models/street-tiny/set/", $name)).as_slice())),*]
    };
}

/// The set's files, by their paths in its folder.
static FILES: [(&str, &[u8]); 11] = files![
    "uniood.json",
    "calibration.json",
    "combiner.safetensors",
    "detector.onnx",
    "clip/config.json",
    "clip/merges.txt",
    "clip/model.safetensors",
    "clip/preprocessor_config.json",
    "clip/tokenizer.json",
    "clip/tokenizer_config.json",
    "clip/vocab.json",
];

impl ModelSet {
    /// street-tiny, unpacked into the cache (`None`: the user's) at the first call.
    ///
    /// # Errors
    /// [`Error::Setting`] where there is no cache, [`Error::File`] where it cannot be written or what lies there is damaged.
    pub fn shipped(cache_dir: Option<&Path>) -> Result<Self> {
        let mut key = blake3::Hasher::new();
        for (name, content) in FILES {
            key.update(name.as_bytes()).update(blake3::hash(content).as_bytes());
        }
        let folder = cache::folder(cache_dir, &format!("{NAME}-{}", &key.finalize().to_hex()[..32]), MANIFEST, unpack)?;
        for (name, content) in FILES {
            let file = folder.join(name);
            if fs::read(&file).map_err(Error::file("read", &file))? != content {
                return Err(Error::content(&file, "damaged since it was unpacked; delete its folder, it is made anew".to_owned()));
            }
        }
        Self::open(&folder)
    }

    /// The set in this folder, or the one that ships where none is named.
    ///
    /// # Errors
    /// Those of [`ModelSet::open`] and [`ModelSet::shipped`].
    pub fn open_or_shipped(dir: Option<&Path>, cache_dir: Option<&Path>) -> Result<Self> {
        dir.map_or_else(|| Self::shipped(cache_dir), Self::open)
    }
}

fn unpack(folder: &Path) -> Result<()> {
    for (name, content) in FILES {
        let file: PathBuf = folder.join(name);
        let parent = file.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
        fs::write(&file, content).map_err(Error::file("write", &file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file below a folder, as paths from it.
    fn below(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.extend(below(&path).into_iter().map(|inner| format!("{name}/{inner}")));
            } else {
                found.push(name);
            }
        }
        found.sort();
        found
    }

    #[test]
    fn the_whole_set_is_inside_and_small() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/street-tiny/set");
        let mut names = FILES.map(|(name, _)| name.to_owned());
        names.sort();
        assert_eq!(names.to_vec(), below(&folder));
        let size: usize = FILES.iter().map(|(_, content)| content.len()).sum();
        assert!(size <= 8_000_000, "{size} bytes");
    }

    #[test]
    fn it_is_unpacked_once_and_damage_is_told() {
        let cache = tempfile::tempdir().unwrap();
        let set = ModelSet::shipped(Some(cache.path())).unwrap();
        assert_eq!((set.manifest.name.as_str(), set.manifest.classes.len()), (NAME, 10));
        assert!(set.detector_path().is_some() && set.combiner_path().is_some() && set.calibration.is_some());
        assert_eq!(ModelSet::shipped(Some(cache.path())).unwrap().dir, set.dir);
        fs::write(set.dir.join("detector.onnx"), "cut").unwrap();
        let error = ModelSet::shipped(Some(cache.path())).unwrap_err().to_string();
        assert!(error.contains("detector.onnx") && error.contains("delete its folder"), "{error}");
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = ModelSet::shipped(Some(file.path())).unwrap_err().to_string();
        assert!(error.contains(file.path().to_str().unwrap()), "{error}");
    }
}
