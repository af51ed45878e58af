//! What a model set's scores depend on, as a hash.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::{ModelSet, weights};
use crate::{Error, Result, file};

/// Of large weights only the length and this much from both ends is read: a set is opened often, and CLIP's weights are gigabytes.
const END: u64 = 64 << 10;

impl ModelSet {
    /// A hash of classes, templates, CLIP and combiner: two sets with the same one give the same scores.
    ///
    /// # Errors
    /// [`Error::File`] where a file cannot be read, [`Error::Content`] where it is none, or the index of shards is no index.
    pub fn fingerprint(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        let mut add = |part: &[u8]| {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        };
        for text in self.manifest.classes.iter().chain(&self.manifest.templates) {
            add(text.as_bytes());
        }
        add(self.manifest.combiner.as_ref().map_or(&b"plain"[..], |_| b"combiner"));
        let clip = self.clip_dir();
        let files = [clip.join("config.json")].into_iter().chain(weights::files(&clip)?).chain(self.combiner_path());
        for path in files {
            add(&ends(&path)?);
        }
        Ok(hasher.finalize().to_hex()[..32].to_owned())
    }
}

/// A file's length, beginning and end.
fn ends(path: &Path) -> Result<Vec<u8>> {
    let length = file::length(path, "no file; fetch the model set again")?;
    let mut file = File::open(path).map_err(Error::file("read", path))?;
    let mut found = length.to_le_bytes().to_vec();
    let mut read = |from: u64| -> std::io::Result<()> {
        file.seek(SeekFrom::Start(from))?;
        file.by_ref().take(END).read_to_end(&mut found).map(drop)
    };
    read(0).and_then(|()| read(length.saturating_sub(END))).map_err(Error::file("read", path))?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use serde_json::json;

    use super::*;
    use crate::models::{MANIFEST, SCHEMA, Weights};

    /// A golden CLIP in a folder of its own under a manifest.
    fn set(dir: &Path) -> PathBuf {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/no_cnn_g4_wide/clip");
        let clip = dir.join("clip");
        fs::create_dir(&clip).unwrap();
        for name in ["config.json", "preprocessor_config.json", "model.safetensors"] {
            fs::copy(golden.join(name), clip.join(name)).unwrap();
        }
        let manifest = json!({
            "schema": SCHEMA, "name": "test", "licence": "MIT", "clip": "clip", "combiner": null, "classes": ["car", "bus"], "threshold": 0.1,
        });
        fs::write(dir.join(MANIFEST), manifest.to_string()).unwrap();
        clip
    }

    #[test]
    fn weights_in_shards_have_a_fingerprint_that_each_of_them_changes() {
        let dir = tempfile::tempdir().unwrap();
        let clip = set(dir.path());
        let fingerprint = || ModelSet::open(dir.path()).and_then(|set| set.fingerprint());
        let whole = fingerprint().unwrap();
        let weights = Weights::open_folder(&clip).unwrap();
        let shard = "model-00001-of-00001.safetensors";
        let map: serde_json::Map<String, serde_json::Value> = weights.names().map(|name| (name.to_owned(), json!(shard))).collect();
        fs::write(clip.join("model.safetensors.index.json"), json!({"weight_map": map}).to_string()).unwrap();
        fs::rename(clip.join("model.safetensors"), clip.join(shard)).unwrap();
        let sharded = fingerprint().unwrap();
        assert_ne!(sharded, whole);
        assert_eq!(sharded, fingerprint().unwrap());
        let mut bytes = fs::read(clip.join(shard)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(clip.join(shard), bytes).unwrap();
        assert_ne!(fingerprint().unwrap(), sharded);
    }

    #[test]
    fn a_device_in_a_file_s_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let clip = set(dir.path());
        fs::remove_file(clip.join("model.safetensors")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", clip.join("model.safetensors")).unwrap();
        let error = ModelSet::open(dir.path()).and_then(|set| set.fingerprint()).unwrap_err().to_string();
        assert!(error.contains("model.safetensors: no file"), "{error}");
    }
}
