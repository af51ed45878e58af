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
pub mod port;
mod quantize;
mod shared;
mod text;
mod tower;
mod transformer;
mod write;

pub use model::{Model, OPSET};
pub use write::{
    write_features, write_heads, write_owlv2, write_owlv2_text, write_pictures, write_shortlist, write_text, write_tower, write_vision,
};

use std::fmt;

use crate::{
    Result,
    combiner::Combiner,
    models::{ClipConfig, Owlv2Config, Weights},
};

/// The version of the graphs' inputs and outputs, in their metadata under `schema`.
pub const SCHEMA: &str = "uniood.graph/1";

/// The source of everything that decides what a graph is: a cached graph is only as good as the code that built it.
pub(crate) const SOURCES: [&str; 16] = [
    include_str!("builder.rs"),
    include_str!("combiner.rs"),
    include_str!("features.rs"),
    include_str!("image.rs"),
    include_str!("mod.rs"),
    include_str!("model.rs"),
    include_str!("names.rs"),
    include_str!("onnx.rs"),
    include_str!("owlv2.rs"),
    include_str!("port.rs"),
    include_str!("quantize.rs"),
    include_str!("shared.rs"),
    include_str!("text.rs"),
    include_str!("tower.rs"),
    include_str!("transformer.rs"),
    include_str!("write.rs"),
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
