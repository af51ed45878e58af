//! Intra-image attention: which tokens of the target its own CLS token looks at.
//!
//! `β_i = mean over l,h of softmax_i( k_i(x)·q_0(x) / √d_h )`, i over all N+1 target tokens
//! (UNI-OOD, "intra-image attention"; method.md, image side, step 2).

use ndarray::{Array1, ArrayRef3, ArrayRef4};

/// β of the target, `[T]`, sums to 1.
///
/// `query_cls`: the target's CLS queries, `[L, H, d_h]`; `key`: the target's own keys, `[L, H, T, d_h]`. Both with bias, before scaling.
#[must_use]
pub fn beta(query_cls: &ArrayRef3<f32>, key: &ArrayRef4<f32>) -> Array1<f32> {
    super::mean_attention(query_cls, key, |_| false)
}
