//! Model sets: a folder with `uniood.json`, a CLIP folder, a combiner, perhaps a detector and a calibration.
//!
//! Where no set is named it is the [`shipped`] one.
//!
//! The manifest's form (`uniood.models/1`) lives in this file alone. Unknown keys, missing files and
//! shapes that do not fit are errors that name file, key, what was found and what was wanted.

mod clip;
mod fingerprint;
mod owlv2;
pub mod shipped;
mod tokenizer;
mod weights;

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

pub use clip::{Activation, ClipConfig, TextConfig, VisionConfig};
pub use owlv2::Owlv2Config;
pub use tokenizer::{Tokenizer, Tokens};
#[cfg(feature = "hub")]
pub(crate) use weights::Index;
pub use weights::Weights;

use crate::{
    Error, Result,
    calibrate::{self, Document},
    file,
    verdict::Calibration,
};

/// The manifest's version.
pub const SCHEMA: &str = "uniood.models/1";

/// The manifest's file name.
pub const MANIFEST: &str = "uniood.json";

/// Longest text file of a set that is read, in bytes; a CLIP's `tokenizer.json` has some 4 MB.
const LONGEST_TEXT: u64 = 64 << 20;

/// `uniood.json`, as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// The set's name, shown in every verdict.
    pub name: String,
    /// Licence of the weights.
    pub licence: String,
    /// CLIP folder, relative to the manifest.
    pub clip: PathBuf,
    /// Combiner weights, relative to the manifest; `null` is plain CLIP.
    pub combiner: Option<PathBuf>,
    /// The in-distribution classes.
    pub classes: Vec<String>,
    /// Prompts with `{}` where the class name goes.
    #[serde(default = "default_templates")]
    pub templates: Vec<String>,
    /// δ: below it an object is OOD.
    pub threshold: f32,
    /// The detector that comes with the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<DetectorManifest>,
}

/// The manifest's `detector`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorManifest {
    /// ONNX file, or the Hugging Face folder of an OWLv2; relative to the manifest.
    pub file: PathBuf,
    /// How its output reads; where absent, told from the names and shapes of its inputs and outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// How a frame becomes its input; the layout's own default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
    /// Class names in the order of its outputs.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What its logits mean; for [`Layout::Detr`], told from their number where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scores>,
    /// What its colours are scaled to; for [`Layout::Detr`] and [`Layout::Rtdetr`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<Normalize>,
    /// For [`Layout::Owlv2`]: look for `labels`, or else for the set's classes, by this text with `{}` where the name goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

/// A detector's output contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Raw grid `[N, A, 5+K]`, strides 8, 16, 32; BGR 0–255.
    Yolox,
    /// `[N, 4+K, A]`, cx, cy, w, h in input pixels; RGB 0–1.
    Yolov8,
    /// `logits [N, Q, K]` and `pred_boxes [N, Q, 4]`, or RF-DETR's `labels` and `dets`: cx, cy, w, h as shares of the input.
    Detr,
    /// Input `orig_target_sizes [N, 2]`; `labels [N, Q]`, `boxes [N, Q, 4]` between corners, `scores [N, Q]`: RT-DETR, D-FINE.
    Rtdetr,
    /// A Hugging Face folder, built into a graph here.
    Owlv2,
}

impl Layout {
    /// Its name in a manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yolox => "yolox",
            Self::Yolov8 => "yolov8",
            Self::Detr => "detr",
            Self::Rtdetr => "rtdetr",
            Self::Owlv2 => "owlv2",
        }
    }
}

/// How a frame is fitted to a detector's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// Aspect ratio kept, the picture at the top left, the rest filled with 114.
    Letterbox,
    /// Both sides stretched to fit.
    Stretch,
}

/// What the logits of a detector's boxes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scores {
    /// One decision a class: RT-DETR, RF-DETR, Deformable DETR.
    Sigmoid,
    /// One decision among the classes and, last, no object: DETR.
    Softmax,
}

/// What a detector's colours are scaled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalize {
    /// 0–1.
    None,
    /// 0–1, less ImageNet's mean, over its standard deviation.
    Imagenet,
}

/// A model set that was read and whose files are there.
#[derive(Debug, Clone)]
pub struct ModelSet {
    /// The folder.
    pub dir: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// The CLIP folder's configuration.
    pub clip: ClipConfig,
    /// `calibration.json`, where it is there: its thresholds go before the manifest's.
    pub calibration: Option<Document>,
}

pub(crate) fn default_templates() -> Vec<String> {
    vec!["A photo of a {}".to_owned()]
}

impl ModelSet {
    /// Reads `dir/uniood.json` and the CLIP configuration, and checks that every file named is there.
    ///
    /// # Errors
    /// [`Error::File`] for what is missing, [`Error::Content`] or [`Error::ModelSet`] for what does not fit.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(MANIFEST);
        let text = read_text(&path)?;
        let manifest: Manifest =
            serde_json::from_str(&text).map_err(|error| Error::content(&path, format!("not a model set manifest: {error}")))?;
        manifest.check(&path)?;
        let clip = ClipConfig::open(&dir.join(&manifest.clip))?;
        let mut set = Self { dir: dir.to_owned(), manifest, clip, calibration: None };
        let named = [set.combiner_path(), set.detector_path()];
        for file in named.into_iter().flatten() {
            fs::metadata(&file).map_err(Error::file("read", &file))?;
        }
        set.calibration = set.read_calibration()?;
        Ok(set)
    }

    fn read_calibration(&self) -> Result<Option<Document>> {
        let path = self.dir.join(calibrate::FILE);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let document = Document::read(&path)?;
        if document.fingerprint != self.fingerprint()? {
            let problem = format!(
                "it was made for other weights or classes (set `{}`), so its thresholds mean nothing here; calibrate again, or remove it",
                document.model
            );
            return Err(Error::content(&path, problem));
        }
        Ok(Some(document))
    }

    /// δ in a stream, and what verdicts need of the calibration; `named` is the threshold that the user asked for, `classes` the
    /// list that is scored against: of other classes than the set's a calibration says nothing.
    #[must_use]
    pub fn threshold(&self, named: Option<f32>, classes: &[impl AsRef<str>], stream: &str) -> (f32, Option<Arc<Calibration>>) {
        let own = self.manifest.classes.iter().map(String::as_str).eq(classes.iter().map(AsRef::as_ref));
        let document = self.calibration.as_ref().filter(|_| own);
        let threshold = document.map_or(self.manifest.threshold, |document| document.threshold_of(stream));
        let calibration = document.map(|document| Arc::new(document.calibration(stream, named.is_none())));
        (named.unwrap_or(threshold), calibration)
    }

    /// The CLIP folder.
    #[must_use]
    pub fn clip_dir(&self) -> PathBuf {
        self.dir.join(&self.manifest.clip)
    }

    /// The combiner's weights; `None` is plain CLIP.
    #[must_use]
    pub fn combiner_path(&self) -> Option<PathBuf> {
        self.manifest.combiner.as_ref().map(|file| self.dir.join(file))
    }

    /// The detector's ONNX file, or its folder.
    #[must_use]
    pub fn detector_path(&self) -> Option<PathBuf> {
        self.manifest.detector.as_ref().map(|detector| self.dir.join(&detector.file))
    }
}

impl Manifest {
    fn check(&self, path: &Path) -> Result<()> {
        let wrong = |key: &str, found: String, wanted: &str| Err(Error::model_set(path, key, found, wanted));
        if self.schema != SCHEMA {
            return wrong("schema", format!("`{}`", self.schema), "`uniood.models/1`; a newer set needs a newer uniood");
        }
        if !self.threshold.is_finite() {
            return wrong("threshold", self.threshold.to_string(), "a number");
        }
        if self.templates.is_empty() {
            return wrong("templates", "an empty list".to_owned(), "at least one prompt such as \"A photo of a {}\"");
        }
        if let Some(template) = self.templates.iter().find(|template| template.matches("{}").count() != 1) {
            return wrong("templates", format!("`{template}`"), "prompts with `{}` once, where the class name goes");
        }
        if let Some(prompt) =
            self.detector.as_ref().and_then(|detector| detector.prompt.as_ref()).filter(|prompt| prompt.matches("{}").count() != 1)
        {
            return wrong("detector.prompt", format!("`{prompt}`"), "a text with `{}` once, where the name goes");
        }
        check_classes(&self.classes).map_err(|error| Error::model_set(path, "classes", error.to_string(), "distinct names, at least one"))
    }
}

/// A text file of a set, whole, without the mark of byte order that some editors put first.
///
/// # Errors
/// [`Error::File`] where it cannot be read, [`Error::Content`] where it is no file, or longer than any that is meant.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let mut text = file::text(path, LONGEST_TEXT, "fetch it again")?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

/// A class list must name at least one class, none empty, none twice.
///
/// # Errors
/// [`Error::Classes`] that names the first class that is wrong.
pub fn check_classes<S: AsRef<str>>(classes: &[S]) -> Result<()> {
    let mut seen = HashSet::new();
    if classes.is_empty() {
        return Err(Error::Classes("it is empty; name at least one in-distribution class".to_owned()));
    }
    for class in classes {
        let name = class.as_ref().trim();
        if name.is_empty() {
            return Err(Error::Classes("it holds an empty name; remove the empty entry".to_owned()));
        }
        if !seen.insert(name.to_lowercase()) {
            return Err(Error::Classes(format!("`{name}` stands there twice; remove one")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// A golden CLIP and combiner under a manifest that a test may change.
    fn open(change: impl FnOnce(&mut Value)) -> Result<ModelSet> {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/no_cnn_g4_wide");
        let mut manifest = json!({
            "schema": SCHEMA, "name": "test", "licence": "MIT", "clip": golden.join("clip"), "combiner": golden.join("combiner.safetensors"),
            "classes": ["car", "bus"], "templates": ["A photo of a {}"], "threshold": 0.1,
        });
        change(&mut manifest);
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(MANIFEST), manifest.to_string()).unwrap();
        ModelSet::open(dir.path())
    }

    #[test]
    fn a_sound_manifest_is_read_and_templates_have_a_default() {
        let set = open(|manifest| drop(manifest.as_object_mut().unwrap().remove("templates"))).unwrap();
        assert_eq!(set.manifest.templates, ["A photo of a {}"]);
        assert!(open(|manifest| manifest["combiner"] = Value::Null).unwrap().combiner_path().is_none());
    }

    #[test]
    fn every_slip_in_a_manifest_is_named() {
        for (key, value, sentence) in [
            ("schema", json!("uniood.models/9"), "`schema` is `uniood.models/9`"),
            ("colour", json!(1), "unknown field `colour`"),
            ("classes", json!([]), "`classes`"),
            ("classes", json!(["car", " "]), "empty name"),
            ("classes", json!(["car", "CAR"]), "`CAR` stands there twice"),
            ("templates", json!([]), "`templates` is an empty list"),
            ("templates", json!(["a photo"]), "`{}` once"),
            ("templates", json!(["{} or {}"]), "`{}` once"),
            ("threshold", json!("high"), "not a model set manifest"),
            ("threshold", json!(null), "not a model set manifest"),
            ("clip", json!("nowhere"), "nowhere"),
            ("combiner", json!("none.safetensors"), "none.safetensors"),
            ("detector", json!({"file": "none.onnx", "layout": "yolox", "labels": []}), "none.onnx"),
            ("detector", json!({"file": "a.onnx", "layout": "yolo99", "labels": []}), "yolo99"),
            ("detector", json!({"file": "a.onnx", "scores": "relu"}), "relu"),
            ("detector", json!({"file": "owlv2", "layout": "owlv2", "prompt": "a photo"}), "`{}` once"),
        ] {
            let error = open(|manifest| manifest[key] = value.clone()).unwrap_err().to_string();
            assert!(error.contains(sentence), "{key}: {value}: {error}");
        }
    }

    #[test]
    fn texts_are_read_without_a_mark_of_byte_order_and_only_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        fs::write(&path, "\u{feff}{}\r\n").unwrap();
        assert_eq!(read_text(&path).unwrap(), "{}\r\n");
        for other in [dir.path(), Path::new("/dev/zero")] {
            assert!(read_text(other).unwrap_err().to_string().contains("no file"));
        }
        fs::File::create(&path).unwrap().set_len(LONGEST_TEXT + 1).unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("64 MiB"));
    }

    proptest! {
        #[test]
        fn no_manifest_makes_the_reader_panic(text in "\\PC{0,200}", cut in 0usize..400, key in "[a-z]{0,9}", number in any::<f64>()) {
            let dir = tempfile::tempdir().unwrap();
            let whole = json!({"schema": SCHEMA, "name": text, "licence": "", "clip": key, "combiner": null, "classes": [text, key], "threshold": number, "templates": [text]}).to_string();
            for manifest in [text.clone(), whole.clone(), whole.chars().take(cut).collect()] {
                fs::write(dir.path().join(MANIFEST), manifest).unwrap();
                prop_assert!(ModelSet::open(dir.path()).is_err());
            }
        }
    }
}
