//! The class list's texts: computed once per list, they do not depend on any picture.

use std::sync::Arc;

use ndarray::Array2;

/// Text embeddings and context texts of a class list.
#[derive(Debug, Clone, PartialEq)]
pub struct Vocabulary {
    /// The ID classes, C of them.
    pub classes: Vec<Arc<str>>,
    /// M(t_c), unit rows, `[C, E]`.
    pub text: Array2<f32>,
    /// w[c′,c] as row c, column c′; rows sum to 1, `[C, C]`.
    pub inter_text: Array2<f32>,
    /// M̃_c, not re-scaled, `[C, E]`.
    pub context_text: Array2<f32>,
}
