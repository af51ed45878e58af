//! CLIP's two towers in plain Rust: literal and readable, what the ONNX graphs are checked against.
//! `ObjectPair ─▶ DualEncoding`.
//!
//! [`vision`] and [`text`] run one transformer each and keep what the attentions need: queries and keys
//! of every layer and head, with bias, before scaling. [`reference`](mod@reference) puts them together with the method
//! and shows every intermediate. Nothing here is meant for speed; the engine runs [`crate::graph`]'s files.

pub mod reference;
pub mod text;
mod transformer;
pub mod vision;

use ndarray::{Array1, Array2, Array3, Array4};

/// One image through the image tower. T = N+1 tokens, 0 is CLS; L layers, H heads of width `d_h`.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageEncoding {
    /// Last hidden states behind the post layer norm, all tokens **(ours)**, `[T, D]`.
    pub z: Array2<f32>,
    /// The CLS token's queries, `[L, H, d_h]`.
    pub query_cls: Array3<f32>,
    /// Every token's keys, `[L, H, T, d_h]`.
    pub key: Array4<f32>,
    /// Patches behind the last layer's value path and the post layer norm, `[N, D]`.
    pub values: Array2<f32>,
}

/// An object's two images through the same tower.
#[derive(Debug, Clone, PartialEq)]
pub struct DualEncoding {
    /// The crop of the object.
    pub target: ImageEncoding,
    /// The frame with the object masked.
    pub background: ImageEncoding,
}

/// What the combiners work on, of one object: all that depends on neither class list nor combiner.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// z of the target, `[T, D]`.
    pub tokens_target: Array2<f32>,
    /// z of the background, `[T, D]`.
    pub tokens_background: Array2<f32>,
    /// Intra-image attention, `[T]`.
    pub beta_target: Array1<f32>,
    /// Inter-image attention, `[T]`.
    pub beta_background: Array1<f32>,
    /// The target's patches on the last layer's value path, `[N, D]`; only where they were asked for.
    pub values_target: Option<Array2<f32>>,
}

/// Prompts through the text tower: one template's, C of them. What the text graph puts out.
#[derive(Debug, Clone, PartialEq)]
pub struct TextEncoding {
    /// The projected EOT states, not scaled, `[C, E]`.
    pub text_embedding: Array2<f32>,
    /// The EOT token's queries, `[C, L, H, d_h]`.
    pub query_eot: Array4<f32>,
    /// The EOT token's keys, `[C, L, H, d_h]`.
    pub key_eot: Array4<f32>,
}
