//! What a model set's scores depend on, as a hash.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::ModelSet;
use crate::{Error, Result};

/// Of large weights only the length and this much from both ends is read: a set is opened often, and CLIP's weights are gigabytes.
const END: u64 = 64 << 10;

impl ModelSet {
    /// A hash of classes, templates, CLIP and combiner: two sets with the same one give the same scores.
    ///
    /// # Errors
    /// [`Error::File`] where a file cannot be read.
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
        let weights = [clip.join("config.json"), clip.join("model.safetensors")].into_iter().chain(self.combiner_path());
        for path in weights {
            add(&ends(&path)?);
        }
        Ok(hasher.finalize().to_hex()[..32].to_owned())
    }
}

/// A file's length, beginning and end.
fn ends(path: &Path) -> Result<Vec<u8>> {
    let mut file = File::open(path).map_err(Error::file("read", path))?;
    let length = file.metadata().map_err(Error::file("read", path))?.len();
    let mut found = length.to_le_bytes().to_vec();
    let mut read = |from: u64| -> std::io::Result<()> {
        file.seek(SeekFrom::Start(from))?;
        file.by_ref().take(END).read_to_end(&mut found).map(drop)
    };
    read(0).and_then(|()| read(length.saturating_sub(END))).map_err(Error::file("read", path))?;
    Ok(found)
}
