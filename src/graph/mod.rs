//! CLIP folder → ONNX: both sides of UNI-OOD as standard ONNX files.
//!
//! [`ImageGraph`] is one graph for everything that happens to an object: both encoder passes, all four
//! attentions, both combiners, Ω. [`FeatureGraph`] stops where the combiners begin: what they are trained on. [`PictureGraph`] is the
//! tower on pictures alone. [`TextGraph`] is run when the class list changes. [`Owlv2Graph`] is a detector. Weights appear once, the
//! class list is an input, and nothing but standard operators is used ([`OPSET`]), so that ONNX Runtime runs
//! it on CPU and CUDA and TensorRT and OpenVINO take it whole; [`Numbers::Int8`] gives that up for speed on a processor. The numbers are those of [`crate::attention`],
//! [`crate::combiner`] and [`crate::score`], which the tests compare it with.
//!
//! | graph | inputs | outputs |
//! |---|---|---|
//! | image | `target u8[O,S,S,3]`, `background u8[O,S,S,3]`, `has_context f32[O]` (1 or 0), `text f32[C,E]`, `context_text f32[C,E]` | `omega f32[O,C]`, `clip_cosine f32[O,C]`; on request `beta_target f32[O,N+1]`, `beta_background f32[O,N+1]` |
//! | features | `target u8[O,S,S,3]`, `background u8[O,S,S,3]` | `tokens_target f32[O,N+1,D]`, `tokens_background f32[O,N+1,D]` (z), `beta_target f32[O,N+1]`, `beta_background f32[O,N+1]`; on request `values_target f32[O,N,D]` (patches on the last layer's value path) |
//! | pictures | `target u8[O,S,S,3]` | `cls f32[O,D]` (z_0) |
//! | tower | `image u8[B,S,S,3]` | `tokens f32[B,T,D]` (z), `beta f32[B,T]` (intra-image), `query_cls f32[B,L,D]` (scaled by 1/√d_h), `key_0` … `key_{L−1}` `f32[T,B,D]` (without bias) |
//! | heads | of targets `tokens_target f32[O,T,D]`, `beta_target f32[O,T]`, `query_cls f32[O,L,D]`; of frames `tokens_frame f32[F,T,D]`, `key_frame f32[F,L,T,D]`; `frame i64[O]` (whose), `hidden f32[O,T]` (1 where a token is masked out of the keys, else 0); `has_context`, `text`, `context_text` | `omega`, `clip_cosine`; on request `beta_background` |
//! | text | `input_ids i64[B,T]`, `eot i64[B]` (index of the EOT token) | `text_embedding f32[B,E]` (not scaled), `query_eot f32[B,L,H,d_h]`, `key_eot f32[B,L,H,d_h]` (with bias, before scaling) |
//! | owlv2 | `pixel_values f32[1,3,S,S]`; for names `queries f32[K,E]` (texts of unit length) | `pred_boxes f32[1,N,4]` (cx, cy, w, h as shares of S); `objectness_logits f32[1,N]`, or for names `logits f32[1,N,K]` |
//!
//! Image and heads come with a shortlist, too: an input more, `shortlist i64[1]`, is how many classes of the largest `clip_cosine`
//! an object is scored against; the others' `omega` is [`NOT_LISTED`](crate::score::NOT_LISTED).
//!
//! O, F, C, B and (of texts) T are dynamic; T is at most the text tower's `max_position_embeddings`.

mod builder;
mod combiner;
mod features;
mod image;
mod model;
mod names;
pub mod onnx;
mod owlv2;
mod quantize;
mod shared;
mod text;
mod tower;
mod transformer;

pub use model::{Model, OPSET};

use std::{fmt, path::Path};

use crate::{
    Error, Result,
    combiner::Combiner,
    models::{ClipConfig, ModelSet, Owlv2Config, Weights},
};

/// The version of the graphs' inputs and outputs, in their metadata under `schema`.
pub const SCHEMA: &str = "uniood.graph/1";

/// The source of everything that decides what a graph is: a cached graph is only as good as the code that built it.
pub(crate) const SOURCES: [&str; 14] = [
    include_str!("builder.rs"),
    include_str!("combiner.rs"),
    include_str!("features.rs"),
    include_str!("image.rs"),
    include_str!("mod.rs"),
    include_str!("model.rs"),
    include_str!("names.rs"),
    include_str!("onnx.rs"),
    include_str!("owlv2.rs"),
    include_str!("quantize.rs"),
    include_str!("shared.rs"),
    include_str!("text.rs"),
    include_str!("tower.rs"),
    include_str!("transformer.rs"),
];

/// What a graph computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Numbers {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// 8-bit integers in the layers of the image tower, 32-bit floats around them. For ONNX Runtime on a processor.
    Int8,
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Int8 => "int8",
        })
    }
}

/// Names of inputs and outputs.
pub mod port {
    /// Crops, RGB levels.
    pub const TARGET: &str = "target";
    /// Frames with the object masked, RGB levels.
    pub const BACKGROUND: &str = "background";
    /// 1 where the frame holds other objects, else 0.
    pub const HAS_CONTEXT: &str = "has_context";
    /// M(t_c).
    pub const TEXT: &str = "text";
    /// M̃_c.
    pub const CONTEXT_TEXT: &str = "context_text";
    /// Ω_c.
    pub const OMEGA: &str = "omega";
    /// cos(P z_0(x), M(t_c)): plain CLIP.
    pub const CLIP_COSINE: &str = "clip_cosine";
    /// Intra-image attention.
    pub const BETA_TARGET: &str = "beta_target";
    /// Inter-image attention.
    pub const BETA_BACKGROUND: &str = "beta_background";
    /// z of the target.
    pub const TOKENS_TARGET: &str = "tokens_target";
    /// z of the background.
    pub const TOKENS_BACKGROUND: &str = "tokens_background";
    /// The target's patches on the last layer's value path.
    pub const VALUES_TARGET: &str = "values_target";
    /// z_0 of pictures alone.
    pub const CLS: &str = "cls";
    /// How many classes an object is scored against.
    pub const SHORTLIST: &str = "shortlist";
    /// A crop or a frame, RGB levels.
    pub const IMAGE: &str = "image";
    /// z of it.
    pub const TOKENS: &str = "tokens";
    /// Intra-image attention of it.
    pub const BETA: &str = "beta";
    /// CLS's queries of every layer.
    pub const QUERY_CLS: &str = "query_cls";
    /// z of frames.
    pub const TOKENS_FRAME: &str = "tokens_frame";
    /// Keys of frames.
    pub const KEY_FRAME: &str = "key_frame";
    /// Which of the frames is an object's.
    pub const FRAME: &str = "frame";
    /// Which of the frame's tokens are masked out of the keys.
    pub const HIDDEN: &str = "hidden";
    /// Token ids.
    pub const INPUT_IDS: &str = "input_ids";
    /// Where the EOT token stands.
    pub const EOT: &str = "eot";
    /// Text embeddings, not scaled.
    pub const TEXT_EMBEDDING: &str = "text_embedding";
    /// Queries of the EOT tokens.
    pub const QUERY_EOT: &str = "query_eot";
    /// Keys of the EOT tokens.
    pub const KEY_EOT: &str = "key_eot";
    /// A picture as transformers' processor makes it.
    pub const PIXEL_VALUES: &str = "pixel_values";
    /// Texts that are looked for.
    pub const QUERIES: &str = "queries";
    /// Boxes of all patches.
    pub const PRED_BOXES: &str = "pred_boxes";
    /// Whether there is an object.
    pub const OBJECTNESS_LOGITS: &str = "objectness_logits";
    /// Whether it is one of the texts.
    pub const LOGITS: &str = "logits";

    /// Keys of one layer.
    #[must_use]
    pub fn key(layer: usize) -> String {
        format!("key_{layer}")
    }
}

/// Builds a model set's image graph, without β, and writes it to `path` (and `path.data` where it passes 2 GiB).
///
/// # Errors
/// [`crate::Error::File`], [`crate::Error::Content`] or [`crate::Error::ModelSet`] for weights that are missing, broken or do not fit.
pub fn write_vision(models: &ModelSet, numbers: Numbers, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    let combiner = models.combiner_path().map(|path| Combiner::open(&path, &models.clip)).transpose()?;
    let graph =
        ImageGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights, combiner: combiner.as_ref(), betas: false };
    graph.build()?.in_numbers(numbers).write(path)
}

/// Builds a model set's image graph with a shortlist.
///
/// # Errors
/// As [`write_vision`]; [`Error::Setting`] for plain CLIP.
pub fn write_shortlist(models: &ModelSet, numbers: Numbers, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    let combiner = combiner(models)?;
    let graph = ImageGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights, combiner: Some(&combiner), betas: false };
    graph.build_with_shortlist()?.in_numbers(numbers).write(path)
}

/// Builds a model set's tower for `background=shared` and writes it to `path`.
///
/// # Errors
/// As [`write_vision`].
pub fn write_tower(models: &ModelSet, numbers: Numbers, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    TowerGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights }.build()?.in_numbers(numbers).write(path)
}

/// Builds a model set's heads for `background=shared` and writes them to `path`.
///
/// # Errors
/// As [`write_shortlist`].
pub fn write_heads(models: &ModelSet, shortlist: bool, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    let combiner = combiner(models)?;
    let graph = HeadsGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights, combiner: &combiner, betas: false };
    graph.build(shortlist)?.write(path)
}

fn combiner(models: &ModelSet) -> Result<Combiner> {
    let path = models.combiner_path().ok_or_else(|| {
        Error::Setting(
            "the set is plain CLIP, whose scores look at no background and cost nothing for a class; tune a combiner first".to_owned(),
        )
    })?;
    Combiner::open(&path, &models.clip)
}

/// Builds a model set's text graph and writes it to `path`.
///
/// # Errors
/// As [`write_vision`].
pub fn write_text(models: &ModelSet, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    TextGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights }.build()?.write(path)
}

/// Builds a model set's feature graph, with the patches' values where `values`, and writes it to `path`.
///
/// # Errors
/// As [`write_vision`].
pub fn write_features(models: &ModelSet, values: bool, numbers: Numbers, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    FeatureGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights, values }.build()?.in_numbers(numbers).write(path)
}

/// Builds a model set's graph of pictures alone and writes it to `path`.
///
/// # Errors
/// As [`write_vision`].
pub fn write_pictures(models: &ModelSet, numbers: Numbers, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    PictureGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights }.build()?.in_numbers(numbers).write(path)
}

/// Builds the graph of an OWLv2 folder, for names or for objects, and writes it to `path`.
///
/// # Errors
/// As [`write_vision`].
pub fn write_owlv2(dir: &Path, config: &Owlv2Config, names: bool, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(dir)?;
    Owlv2Graph { config, weights: &weights, names }.build()?.write(path)
}

/// Builds the text graph of an OWLv2 folder and writes it to `path`.
///
/// # Errors
/// As [`write_vision`].
pub fn write_owlv2_text(dir: &Path, config: &Owlv2Config, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(dir)?;
    Model::new(text::build(&config.clip, &weights, &names::OWLV2)?, SCHEMA, "owlv2").write(path)
}

/// What the image graph is made of.
#[derive(Debug, Clone, Copy)]
pub struct ImageGraph<'a> {
    /// The model set's name, for the metadata.
    pub name: &'a str,
    /// Sizes.
    pub clip: &'a ClipConfig,
    /// The CLIP folder's tensors.
    pub weights: &'a Weights,
    /// `None` is plain CLIP: `omega` is `clip_cosine`, and the background is only looked at where β is asked for.
    pub combiner: Option<&'a Combiner>,
    /// Whether `beta_target` and `beta_background` are outputs.
    pub betas: bool,
}

/// What the feature graph is made of.
#[derive(Debug, Clone, Copy)]
pub struct FeatureGraph<'a> {
    /// The model set's name, for the metadata.
    pub name: &'a str,
    /// Sizes.
    pub clip: &'a ClipConfig,
    /// The CLIP folder's tensors.
    pub weights: &'a Weights,
    /// Whether `values_target` is an output.
    pub values: bool,
}

/// What the graph of pictures alone is made of.
#[derive(Debug, Clone, Copy)]
pub struct PictureGraph<'a> {
    /// The model set's name, for the metadata.
    pub name: &'a str,
    /// Sizes.
    pub clip: &'a ClipConfig,
    /// The CLIP folder's tensors.
    pub weights: &'a Weights,
}

/// What the tower of `background=shared` is made of.
#[derive(Debug, Clone, Copy)]
pub struct TowerGraph<'a> {
    /// The model set's name, for the metadata.
    pub name: &'a str,
    /// Sizes.
    pub clip: &'a ClipConfig,
    /// The CLIP folder's tensors.
    pub weights: &'a Weights,
}

/// What the heads of `background=shared` are made of.
#[derive(Debug, Clone, Copy)]
pub struct HeadsGraph<'a> {
    /// The model set's name, for the metadata.
    pub name: &'a str,
    /// Sizes.
    pub clip: &'a ClipConfig,
    /// The CLIP folder's tensors.
    pub weights: &'a Weights,
    /// Plain CLIP looks at no background.
    pub combiner: &'a Combiner,
    /// Whether `beta_background` is an output.
    pub betas: bool,
}

/// What the text graph is made of.
#[derive(Debug, Clone, Copy)]
pub struct TextGraph<'a> {
    /// The model set's name, for the metadata.
    pub name: &'a str,
    /// Sizes.
    pub clip: &'a ClipConfig,
    /// The CLIP folder's tensors.
    pub weights: &'a Weights,
}

/// What an OWLv2's graph is made of.
#[derive(Debug, Clone, Copy)]
pub struct Owlv2Graph<'a> {
    /// Sizes.
    pub config: &'a Owlv2Config,
    /// The folder's tensors.
    pub weights: &'a Weights,
    /// Whether it looks for texts and not for objects.
    pub names: bool,
}

impl ImageGraph<'_> {
    /// Builds the model.
    ///
    /// # Errors
    /// [`crate::Error::ModelSet`] for a tensor that is missing or has another shape than the configuration says.
    pub fn build(&self) -> Result<Model> {
        Ok(Model::new(image::build(self, false)?, SCHEMA, self.name))
    }

    /// Builds the model with a shortlist; plain CLIP's scores need none, and its model has none.
    ///
    /// # Errors
    /// As [`ImageGraph::build`].
    pub fn build_with_shortlist(&self) -> Result<Model> {
        Ok(Model::new(image::build(self, true)?, SCHEMA, self.name))
    }
}

impl FeatureGraph<'_> {
    /// Builds the model.
    ///
    /// # Errors
    /// As [`ImageGraph::build`].
    pub fn build(&self) -> Result<Model> {
        Ok(Model::new(features::build(self)?, SCHEMA, self.name))
    }
}

impl PictureGraph<'_> {
    /// Builds the model.
    ///
    /// # Errors
    /// As [`ImageGraph::build`].
    pub fn build(&self) -> Result<Model> {
        Ok(Model::new(features::build_pictures(self)?, SCHEMA, self.name))
    }
}

impl TowerGraph<'_> {
    /// Builds the model.
    ///
    /// # Errors
    /// As [`ImageGraph::build`].
    pub fn build(&self) -> Result<Model> {
        Ok(Model::new(shared::build_tower(self)?, SCHEMA, self.name))
    }
}

impl HeadsGraph<'_> {
    /// Builds the model, with a shortlist or without.
    ///
    /// # Errors
    /// As [`ImageGraph::build`].
    pub fn build(&self, shortlist: bool) -> Result<Model> {
        Ok(Model::new(shared::build_heads(self, shortlist)?, SCHEMA, self.name))
    }
}

impl TextGraph<'_> {
    /// Builds the model.
    ///
    /// # Errors
    /// As [`ImageGraph::build`].
    pub fn build(&self) -> Result<Model> {
        Ok(Model::new(text::build(self.clip, self.weights, &names::CLIP)?, SCHEMA, self.name))
    }
}

impl Owlv2Graph<'_> {
    /// Builds the model.
    ///
    /// # Errors
    /// As [`ImageGraph::build`].
    pub fn build(&self) -> Result<Model> {
        Ok(Model::new(owlv2::build(self)?, SCHEMA, "owlv2"))
    }
}
