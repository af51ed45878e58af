//! The four cross-context attentions of the paper, one file each: what a token is worth to the verdict.
//!
//! | attention | asks | answers | file |
//! |---|---|---|---|
//! | intra-image | the target's CLS | the target's tokens | [`intra_image`] |
//! | inter-image | the target's CLS | the background's tokens | [`inter_image`] |
//! | inter-text | a class's prompt | the prompts of all ID classes | [`inter_text`] |
//! | image-text | every token | the class's text, or its context text | [`image_text`] |
//!
//! Symbols: l, h layer and head, L and H of them; `d_h` head width; T = N+1 tokens (0 is CLS, then N patches
//! row by row); C classes; E width of the shared embedding. Plain functions on views, no I/O. They panic
//! where views do not fit together: whoever makes the views has checked the shapes.

pub mod image_text;
pub mod inter_image;
pub mod inter_text;
pub mod intra_image;

use ndarray::{Array1, ArrayRef3, ArrayRef4, ArrayViewMut1};

/// `mean over l,h of softmax_i( k_i·q / √d_h )`: the attention behind three of the four.
///
/// `query` is one token's query per layer and head, `[L, H, d_h]`; `key` is `[L, H, T, d_h]`; gives `[T]`, which sums to 1.
/// A token that `is_hidden` gets nothing; one at least is not.
fn mean_attention(query: &ArrayRef3<f32>, key: &ArrayRef4<f32>, is_hidden: impl Fn(usize) -> bool) -> Array1<f32> {
    let (layers, heads, tokens, width) = key.dim();
    assert_eq!(query.dim(), (layers, heads, width), "queries and keys come from the same layers and heads");
    let scale = size(width).sqrt().recip();
    let mut mean = Array1::zeros(tokens);
    for (query, key) in query.outer_iter().zip(key.outer_iter()) {
        for (query, key) in query.outer_iter().zip(key.outer_iter()) {
            let mut logits = key.dot(&query) * scale;
            logits.indexed_iter_mut().filter(|(token, _)| is_hidden(*token)).for_each(|(_, logit)| *logit = f32::NEG_INFINITY);
            softmax(logits.view_mut());
            mean += &logits;
        }
    }
    mean / size(layers * heads)
}

/// `softmax` in place; the largest logit is taken off first, so that nothing overflows.
pub(crate) fn softmax(mut logits: ArrayViewMut1<'_, f32>) {
    let most = logits.fold(f32::NEG_INFINITY, |most, logit| most.max(*logit));
    logits.mapv_inplace(|logit| (logit - most).exp());
    let sum = logits.sum();
    logits /= sum;
}

#[expect(clippy::cast_precision_loss, reason = "counts of tokens, heads and widths are far below 2^24")]
pub(crate) const fn size(count: usize) -> f32 {
    count as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, Array4, Axis, array};
    use proptest::prelude::*;

    fn tensors(layers: usize, heads: usize, tokens: usize, width: usize) -> impl Strategy<Value = (Array3<f32>, Array4<f32>)> {
        let count = layers * heads * width;
        (proptest::collection::vec(-9f32..9.0, count), proptest::collection::vec(-9f32..9.0, count * tokens)).prop_map(move |(q, k)| {
            let query = Array3::from_shape_vec((layers, heads, width), q).unwrap();
            (query, Array4::from_shape_vec((layers, heads, tokens, width), k).unwrap())
        })
    }

    proptest! {
        #[test]
        fn attention_is_a_distribution_over_tokens((query, key) in tensors(2, 3, 5, 4)) {
            let beta = mean_attention(&query, &key, |_| false);
            prop_assert!((beta.sum() - 1.0).abs() < 1e-5);
            prop_assert!(beta.iter().all(|share| (0.0..=1.0).contains(share)));
        }

        #[test]
        fn tokens_in_another_order_have_the_same_attention((query, key) in tensors(2, 2, 4, 3)) {
            let straight = mean_attention(&query, &key, |_| false);
            let mut key = key;
            key.invert_axis(Axis(2));
            let reversed = mean_attention(&query, &key, |_| false);
            for (a, b) in straight.iter().zip(reversed.iter().rev()) {
                prop_assert!((a - b).abs() < 1e-6);
            }
        }
    }

    proptest! {
        #[test]
        fn hidden_tokens_get_nothing_and_the_others_what_they_would_get_alone((query, key) in tensors(2, 2, 5, 3), hidden in 1_usize..5) {
            let masked = mean_attention(&query, &key, |token| token == hidden);
            let mut fewer = key;
            let last = fewer.index_axis(Axis(2), 4).to_owned();
            fewer.index_axis_mut(Axis(2), hidden).assign(&last);
            fewer.slice_axis_inplace(Axis(2), (..4).into());
            let alone = mean_attention(&query, &fewer, |_| false);
            prop_assert_eq!(masked[hidden].to_bits(), 0);
            for token in (0..5).filter(|&token| token != hidden) {
                let place = if token == 4 { hidden } else { token };
                prop_assert!((masked[token] - alone[place]).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn equal_keys_share_attention_equally() {
        let query = Array3::from_elem((2, 2, 3), 0.7);
        let key = Array4::from_elem((2, 2, 8, 3), -1.3);
        assert!(mean_attention(&query, &key, |_| false).iter().all(|share| (share - 0.125).abs() < 1e-6));
    }

    #[test]
    fn the_mean_is_of_softmaxes_and_not_of_logits() {
        // One layer looks at token 0 alone, the other at token 1 alone: half each, whatever the logits' sizes.
        let query = array![[[1.0_f32]], [[1.0]]];
        let key = array![[100.0_f32, 0.0], [0.0, 3000.0]].insert_axis(Axis(1)).insert_axis(Axis(3));
        let beta = mean_attention(&query, &key, |_| false);
        assert!((beta[0] - 0.5).abs() < 1e-6 && (beta[1] - 0.5).abs() < 1e-6, "{beta}");
    }

    #[test]
    fn logits_are_divided_by_the_root_of_the_head_width() {
        let query = Array3::from_elem((1, 1, 4), 1.0);
        let key = array![[1.0_f32, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]].insert_axis(Axis(0)).insert_axis(Axis(0));
        // logits 4/√4 = 2 and 0
        let wanted = 1.0 / (1.0 + (-2f32).exp());
        assert!((mean_attention(&query, &key, |_| false)[0] - wanted).abs() < 1e-6);
    }
}
