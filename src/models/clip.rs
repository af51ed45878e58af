//! A Hugging Face CLIP folder's `config.json` and `preprocessor_config.json`.

use std::path::Path;

use serde::Deserialize;

use super::read_text;
use crate::{Error, Result};

/// Largest g: attention costs g⁴, the largest published CLIP has 24.
const MOST_PATCHES_A_SIDE: usize = 256;

/// What the graph builder and the pixels need to know of a CLIP.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipConfig {
    /// The image tower.
    pub vision: VisionConfig,
    /// The text tower.
    pub text: TextConfig,
    /// E: width of the shared embedding.
    pub projection_dim: usize,
    /// Per channel, RGB, 0..=1.
    pub image_mean: [f32; 3],
    /// Per channel, RGB, above 0.
    pub image_std: [f32; 3],
}

/// The image tower's sizes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct VisionConfig {
    /// D.
    #[serde(default = "d768")]
    pub hidden_size: usize,
    /// Width of the MLP's hidden layer.
    #[serde(default = "d3072")]
    pub intermediate_size: usize,
    /// L.
    #[serde(default = "d12")]
    pub num_hidden_layers: usize,
    /// H.
    #[serde(default = "d12")]
    pub num_attention_heads: usize,
    /// S.
    #[serde(default = "d224")]
    pub image_size: usize,
    /// Side of a patch; `S / patch_size` is g.
    #[serde(default = "d32")]
    pub patch_size: usize,
    /// The MLP's activation.
    #[serde(default = "quick_gelu")]
    pub hidden_act: Activation,
    /// Epsilon of every layer norm.
    #[serde(default = "eps")]
    pub layer_norm_eps: f32,
}

/// The text tower's sizes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TextConfig {
    /// Width.
    #[serde(default = "d512")]
    pub hidden_size: usize,
    /// Width of the MLP's hidden layer.
    #[serde(default = "d2048")]
    pub intermediate_size: usize,
    /// Layers.
    #[serde(default = "d12")]
    pub num_hidden_layers: usize,
    /// Heads.
    #[serde(default = "d8")]
    pub num_attention_heads: usize,
    /// Tokens a prompt may have, start and end included.
    #[serde(default = "d77")]
    pub max_position_embeddings: usize,
    /// Size of the vocabulary.
    #[serde(default = "d49408")]
    pub vocab_size: usize,
    /// The end token; 2 in old exports, where the arg-max of the ids marks the end.
    #[serde(default = "eos")]
    pub eos_token_id: i64,
    /// The MLP's activation.
    #[serde(default = "quick_gelu")]
    pub hidden_act: Activation,
    /// Epsilon of every layer norm.
    #[serde(default = "eps")]
    pub layer_norm_eps: f32,
}

/// A transformer MLP's activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x·sigmoid(1.702·x)`.
    QuickGelu,
    /// The exact, erf form.
    Gelu,
}

macro_rules! defaults {
    ($($name:ident: $value:expr),*) => { $(const fn $name() -> usize { $value })* };
}
// transformers' CLIPConfig leaves keys with their default value out of config.json.
defaults!(d8: 8, d12: 12, d32: 32, d77: 77, d224: 224, d512: 512, d768: 768, d2048: 2048, d3072: 3072, d49408: 49408);
const fn quick_gelu() -> Activation {
    Activation::QuickGelu
}
const fn eps() -> f32 {
    1e-5
}
const fn eos() -> i64 {
    49407
}

/// `config.json` of a model with two towers.
#[derive(Deserialize)]
pub(super) struct ConfigJson {
    #[serde(default = "d512")]
    projection_dim: usize,
    vision_config: VisionConfig,
    text_config: TextConfig,
}

/// `preprocessor_config.json`.
#[derive(Deserialize)]
pub(super) struct PreprocessorJson {
    pub(super) image_mean: [f32; 3],
    pub(super) image_std: [f32; 3],
}

impl ConfigJson {
    pub(super) fn with(self, processor: &PreprocessorJson) -> ClipConfig {
        ClipConfig {
            vision: self.vision_config,
            text: self.text_config,
            projection_dim: self.projection_dim,
            image_mean: processor.image_mean,
            image_std: processor.image_std,
        }
    }
}

impl VisionConfig {
    /// g: patches along a side.
    #[must_use]
    pub const fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// N + 1: patches and CLS.
    #[must_use]
    pub const fn tokens(&self) -> usize {
        self.grid() * self.grid() + 1
    }
}

impl ClipConfig {
    /// Reads `config.json` and `preprocessor_config.json` of a CLIP folder.
    ///
    /// # Errors
    /// [`Error::File`] where one is missing, [`Error::Content`] where it is no CLIP, [`Error::ModelSet`] for sizes that do not fit together.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let value: serde_json::Value = read_json(&path)?;
        let kind = value.get("model_type").and_then(serde_json::Value::as_str).unwrap_or("absent").to_owned();
        if kind != "clip" {
            return Err(Error::model_set(
                &path,
                "model_type",
                format!("`{kind}`"),
                "`clip`; other families are not supported, convert to a Hugging Face CLIP folder",
            ));
        }
        let config: ConfigJson =
            serde_json::from_value(value).map_err(|error| Error::content(&path, format!("not a CLIP configuration: {error}")))?;
        let processor_path = dir.join("preprocessor_config.json");
        let processor: PreprocessorJson = read_json(&processor_path)?;
        let clip = config.with(&processor);
        clip.check(&path, &processor_path)?;
        Ok(clip)
    }

    pub(super) fn check(&self, path: &Path, processor_path: &Path) -> Result<()> {
        let (v, t) = (&self.vision, &self.text);
        let sizes = [
            ("vision_config.hidden_size", v.hidden_size, 16_384),
            ("vision_config.intermediate_size", v.intermediate_size, 65_536),
            ("vision_config.num_hidden_layers", v.num_hidden_layers, 256),
            ("vision_config.num_attention_heads", v.num_attention_heads, 256),
            ("vision_config.image_size", v.image_size, 4096),
            ("vision_config.patch_size", v.patch_size, 4096),
            ("text_config.hidden_size", t.hidden_size, 16_384),
            ("text_config.intermediate_size", t.intermediate_size, 65_536),
            ("text_config.num_hidden_layers", t.num_hidden_layers, 256),
            ("text_config.num_attention_heads", t.num_attention_heads, 256),
            ("text_config.max_position_embeddings", t.max_position_embeddings, 4096),
            ("text_config.vocab_size", t.vocab_size, 10_000_000),
            ("projection_dim", self.projection_dim, 16_384),
        ];
        for (key, value, most) in sizes {
            if value == 0 || value > most {
                return Err(Error::model_set(path, key, value.to_string(), format!("a number in 1..={most}")));
            }
        }
        for (key, epsilon) in [("vision_config.layer_norm_eps", v.layer_norm_eps), ("text_config.layer_norm_eps", t.layer_norm_eps)] {
            if !(epsilon.is_finite() && epsilon > 0.0) {
                return Err(Error::model_set(path, key, epsilon.to_string(), "a small number above 0"));
            }
        }
        for (key, width, heads) in [
            ("vision_config.num_attention_heads", v.hidden_size, v.num_attention_heads),
            ("text_config.num_attention_heads", t.hidden_size, t.num_attention_heads),
        ] {
            if width % heads != 0 {
                return Err(Error::model_set(path, key, heads.to_string(), format!("a divisor of the hidden size {width}")));
            }
        }
        if v.image_size % v.patch_size != 0 {
            return Err(Error::model_set(
                path,
                "vision_config.patch_size",
                v.patch_size.to_string(),
                format!("a divisor of the image size {}", v.image_size),
            ));
        }
        if v.grid() > MOST_PATCHES_A_SIDE {
            return Err(Error::model_set(
                path,
                "vision_config.patch_size",
                v.patch_size.to_string(),
                format!("at most {MOST_PATCHES_A_SIDE} patches along the image size {}", v.image_size),
            ));
        }
        if self.image_std.iter().any(|std| !(std.is_finite() && *std > 0.0)) {
            return Err(Error::model_set(processor_path, "image_std", format!("{:?}", self.image_std), "three numbers above 0"));
        }
        if self.image_mean.iter().any(|mean| !(0.0..=1.0).contains(mean)) {
            return Err(Error::model_set(processor_path, "image_mean", format!("{:?}", self.image_mean), "three numbers in 0..=1"));
        }
        Ok(())
    }
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read_text(path)?;
    serde_json::from_str(&text).map_err(|error| Error::content(path, format!("not the JSON that was wanted: {error}")))
}
