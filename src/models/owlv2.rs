//! A Hugging Face OWLv2 folder's `config.json` and `preprocessor_config.json`. Its towers are a CLIP's, with other usual sizes.

use std::path::Path;

use serde_json::{Value, json};

use super::clip::{ClipConfig, ConfigJson, PreprocessorJson, read_json};
use crate::{Error, Result};

/// OpenAI's, which `Owlv2ImageProcessor` takes where nothing is said.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// What the graph builder and the pixels need to know of an OWLv2.
#[derive(Debug, Clone, PartialEq)]
pub struct Owlv2Config {
    /// Both towers, and what is taken from colours.
    pub clip: ClipConfig,
}

impl Owlv2Config {
    /// Reads the configuration of an OWLv2 folder. Without `preprocessor_config.json` the processor's usual values count.
    ///
    /// # Errors
    /// [`Error::File`] where `config.json` is missing, [`Error::Content`] where it is no OWLv2, [`Error::ModelSet`] for what does
    /// not fit together.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let mut value: Value = read_json(&path)?;
        let kind = value.get("model_type").and_then(Value::as_str).unwrap_or("absent").to_owned();
        if kind != "owlv2" {
            return Err(Error::model_set(&path, "model_type", format!("`{kind}`"), "`owlv2`; take another layout, or an OWLv2 folder"));
        }
        // Keys that an OWLv2 leaves out have other values than a CLIP's.
        for (section, key, usual) in
            [("vision_config", "image_size", 768), ("vision_config", "patch_size", 16), ("text_config", "max_position_embeddings", 16)]
        {
            let section = &mut value[section];
            if section.is_null() {
                *section = json!({});
            }
            if let Some(section) = section.as_object_mut() {
                section.entry(key).or_insert_with(|| json!(usual));
            }
        }
        let config: ConfigJson =
            serde_json::from_value(value).map_err(|error| Error::content(&path, format!("not an OWLv2 configuration: {error}")))?;
        let processor_path = dir.join("preprocessor_config.json");
        let processor =
            if processor_path.exists() { processor(&processor_path)? } else { PreprocessorJson { image_mean: MEAN, image_std: STD } };
        let clip = config.with(&processor);
        clip.check(&path, &processor_path)?;
        Ok(Self { clip })
    }
}

/// What stands in `preprocessor_config.json`; steps that are switched off there are refused: all of them are done here.
fn processor(path: &Path) -> Result<PreprocessorJson> {
    let mut value: Value = read_json(path)?;
    for step in ["do_resize", "do_rescale", "do_pad", "do_normalize"] {
        if value.get(step) == Some(&Value::Bool(false)) {
            return Err(Error::model_set(path, step, "false", "true: pictures are prepared as OWLv2's own processor does by default"));
        }
    }
    if let Some(keys) = value.as_object_mut() {
        for (key, usual) in [("image_mean", MEAN), ("image_std", STD)] {
            keys.entry(key).or_insert_with(|| json!(usual));
        }
    }
    serde_json::from_value(value).map_err(|error| Error::content(path, format!("not the JSON that was wanted: {error}")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/owlv2_s96/owlv2");

    fn open(config: &Value, processor: Option<&Value>) -> Result<Owlv2Config> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        if let Some(processor) = processor {
            fs::write(dir.path().join("preprocessor_config.json"), processor.to_string()).unwrap();
        }
        Owlv2Config::open(dir.path())
    }

    #[test]
    fn the_golden_folder_is_read() {
        let clip = Owlv2Config::open(Path::new(FOLDER)).unwrap().clip;
        assert_eq!((clip.vision.image_size, clip.vision.patch_size, clip.text.max_position_embeddings), (96, 16, 16));
        assert_eq!((clip.image_mean, clip.image_std), (MEAN, STD));
    }

    #[test]
    fn what_is_left_out_has_owlv2s_usual_value() {
        let clip = open(&json!({"model_type": "owlv2", "vision_config": {"image_size": 960}}), None).unwrap().clip;
        assert_eq!((clip.vision.grid(), clip.vision.hidden_size, clip.text.max_position_embeddings), (60, 768, 16));
        assert_eq!(open(&json!({"model_type": "owlv2"}), Some(&json!({}))).unwrap().clip.vision.grid(), 48);
    }

    #[test]
    fn what_is_no_owlv2_is_named() {
        let sound = json!({"model_type": "owlv2"});
        for (config, processor, sentence) in [
            (json!({"model_type": "owlvit"}), None, "`model_type` is `owlvit`"),
            (json!({}), None, "absent"),
            (json!([1]), None, "absent"),
            (json!({"model_type": "owlv2", "vision_config": 7}), None, "not an OWLv2 configuration"),
            (json!({"model_type": "owlv2", "vision_config": {"patch_size": [16, 16]}}), None, "not an OWLv2 configuration"),
            (json!({"model_type": "owlv2", "vision_config": {"patch_size": 7}}), None, "a divisor of the image size 768"),
            (json!({"model_type": "owlv2", "vision_config": {"hidden_size": 1_u64 << 40}}), None, "hidden_size"),
            (sound.clone(), Some(json!({"do_pad": false})), "`do_pad` is false"),
            (sound.clone(), Some(json!({"image_std": [0.0, 1.0, 1.0]})), "image_std"),
            (sound, Some(json!([])), "not the JSON"),
        ] {
            let error = open(&config, processor.as_ref()).unwrap_err().to_string();
            assert!(error.contains(sentence), "{config}: {error}");
        }
    }
}
