//! Where a family of models keeps its tensors.

/// Names of a model with two towers, as transformers saves it.
#[derive(Debug)]
pub(super) struct Names {
    /// The image tower's.
    pub(super) vision: &'static str,
    /// The text tower's.
    pub(super) text: &'static str,
    /// Layer norm of the embedded patches, within the image tower.
    pub(super) pre_norm: &'static str,
    /// The texts' way into the shared embedding.
    pub(super) text_projection: &'static str,
}

/// CLIP, with the slip that its first release made.
pub(super) const CLIP: Names =
    Names { vision: "vision_model", text: "text_model", pre_norm: "pre_layrnorm", text_projection: "text_projection.weight" };

/// OWLv2, whose towers are a part of the detector.
pub(super) const OWLV2: Names = Names {
    vision: "owlv2.vision_model",
    text: "owlv2.text_model",
    pre_norm: "pre_layernorm",
    text_projection: "owlv2.text_projection.weight",
};
