//! Names of inputs and outputs.

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
