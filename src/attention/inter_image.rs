//! Inter-image attention: which tokens of the background the target's CLS token would look at.
//!
//! `β_i = mean over l,h of softmax_i( k_i((x))·q_0(x) / √d_h )`: the target's query meets the background's
//! keys inside every layer (UNI-OOD, "inter-image attention"; method.md, image side, step 3).

use ndarray::{Array1, ArrayRef3, ArrayRef4};

/// β of the background, `[T]`, sums to 1.
///
/// `query_cls`: the **target's** CLS queries, `[L, H, d_h]`; `key`: the **background's** keys, `[L, H, T, d_h]`. Both with bias, before scaling.
#[must_use]
pub fn beta(query_cls: &ArrayRef3<f32>, key: &ArrayRef4<f32>) -> Array1<f32> {
    super::mean_attention(query_cls, key)
}
