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
    super::mean_attention(query_cls, key, |_| false)
}

/// β of a frame that is encoded once for all its objects (`background=shared`): the object's own patches, `[N]`, are masked out of
/// the keys in place of the pixels. CLS is never masked. Sums to 1.
#[must_use]
pub fn beta_shared(query_cls: &ArrayRef3<f32>, key: &ArrayRef4<f32>, own: &[bool]) -> Array1<f32> {
    super::mean_attention(query_cls, key, |token| token.checked_sub(1).is_some_and(|patch| own[patch]))
}
