//! The image tower on pairs of images, with intra- and inter-image attention gathered on the way.
//!
//! The target's CLS queries must meet the background's keys inside every layer, so both images of every object
//! are one batch of 2·O, targets first. One small product a layer, the target's CLS query on the keys of both
//! halves, gives the logits of both attentions; only their running sum over the layers is kept. For `background=shared`
//! there are images alone, each with what the other side of inter-image attention needs of it.

use ndarray::{Array1, Array2, Array4, Axis, concatenate};

use super::{
    builder::{Builder, Value, signed},
    names::{CLIP, Names},
    transformer::{Layer, Transformer},
};
use crate::{
    Result,
    attention::size,
    models::{ClipConfig, Weights},
};

/// The image tower of a CLIP.
pub(super) struct Tower<'a> {
    clip: &'a ClipConfig,
    weights: &'a Weights,
    names: &'static Names,
    transformer: Transformer<'a>,
}

/// Pairs of images, encoded.
pub(super) struct Encoded {
    /// z, `[2, O, T, D]`, or `[2, O, 1, D]` where only CLS was wanted.
    pub(super) tokens: Value,
    /// β, `[2, O, T]`: of intra-image attention, then of inter-image attention.
    pub(super) beta: Value,
    /// The last layer.
    last: Layer,
}

/// Images alone, encoded.
pub(super) struct Alone {
    /// z, `[B, T, D]`.
    pub(super) tokens: Value,
    /// β of intra-image attention, `[B, T]`.
    pub(super) beta: Value,
    /// CLS's queries, scaled by `1/√d_h`, `[B, L, D]`.
    pub(super) query_cls: Value,
    /// Every layer's keys, without bias, `[T, B, D]`.
    pub(super) keys: Vec<Value>,
}

impl<'a> Tower<'a> {
    pub(super) const fn new(clip: &'a ClipConfig, weights: &'a Weights) -> Self {
        Self::named(clip, weights, &CLIP)
    }

    /// The tower of another family of models.
    pub(super) const fn named(clip: &'a ClipConfig, weights: &'a Weights, names: &'static Names) -> Self {
        let vision = &clip.vision;
        let transformer = Transformer {
            weights,
            tower: names.vision,
            width: vision.hidden_size,
            inner: vision.intermediate_size,
            heads: vision.num_attention_heads,
            layers: vision.num_hidden_layers,
            activation: vision.hidden_act,
            epsilon: vision.layer_norm_eps,
            key_bias: false,
        };
        Self { clip, weights, names, transformer }
    }

    /// Both images of every object, `u8[O, S, S, 3]` each.
    pub(super) fn encode_pairs(&self, b: &mut Builder, target: &Value, background: &Value, all_tokens: bool) -> Result<Encoded> {
        let images = [target, background].map(|image| b.cast_to_f32("levels", image));
        let images = b.concat("images", 0, &[&images[0], &images[1]]);
        let mut sum: Option<Value> = None;
        let (tokens, last) = self.encode(b, &images, 2, all_tokens, |b, layer| {
            let attention = self.attention_of_target_cls(b, layer, 2);
            add_to(b, &mut sum, attention);
        })?;
        Ok(Encoded { tokens, beta: self.mean_attention(b, sum, 2), last })
    }

    /// Images `u8[B, S, S, 3]` alone.
    pub(super) fn encode_alone(&self, b: &mut Builder, images: &Value) -> Result<Alone> {
        let images = b.cast_to_f32("levels", images);
        let (tokens_count, width) = (signed(self.clip.vision.tokens()), signed(self.transformer.width));
        let mut sum: Option<Value> = None;
        let (mut queries, mut keys) = (Vec::new(), Vec::new());
        let (tokens, _) = self.encode(b, &images, 1, true, |b, layer| {
            let attention = self.attention_of_target_cls(b, layer, 1);
            add_to(b, &mut sum, attention);
            let query = b.reshape("query_tokens", &layer.query, &[tokens_count, -1, width]);
            queries.push(b.part("query_of_cls", &query, 0, 0));
            keys.push(b.reshape("key_tokens", &layer.key, &[tokens_count, -1, width]));
        })?;
        let beta = self.mean_attention(b, sum, 1);
        let queries = b.concat("queries_of_cls", 0, &queries.iter().collect::<Vec<_>>());
        Ok(Alone {
            tokens: b.squeeze("tokens_alone", &tokens, &[0]),
            beta: b.squeeze("beta_alone", &beta, &[0]),
            query_cls: b.transpose("queries_by_image", &queries, &[1, 0, 2]),
            keys,
        })
    }

    /// β `[halves, B, T]` from the layers' sum of the shares `[halves, B·H, 1, T]`.
    fn mean_attention(&self, b: &mut Builder, sum: Option<Value>, halves: i64) -> Value {
        let sum = sum.expect("a configuration has at least one layer");
        let (heads, tokens) = (signed(self.transformer.heads), signed(self.clip.vision.tokens()));
        let sum = b.reshape("attention_heads", &sum, &[halves, -1, heads, tokens]);
        let mean = b.reduce_mean("attention_mean", &sum, &[2]);
        let layers = b.float("layers", size(self.transformer.layers));
        b.div("beta_of_halves", &mean, &layers)
    }

    /// The targets' patches behind the last layer's value path and the post layer norm, `[O, N, D]` (MaskCLIP, Zhou et al. 2022).
    pub(super) fn values(&self, b: &mut Builder, Encoded { last, .. }: &Encoded) -> Result<Value> {
        let (tokens, width) = (signed(self.clip.vision.tokens()), signed(self.transformer.width));
        let [input, value] = [("input", &last.input), ("value", &last.value)].map(|(label, rows)| {
            let halves = b.reshape(&format!("{label}_halves"), rows, &[tokens, 2, -1, width]);
            let targets = b.part(&format!("{label}_targets"), &halves, 1, 0);
            let patches = b.slice(&format!("{label}_patches"), &targets, 0, 1, tokens);
            b.reshape(&format!("{label}_rows"), &patches, &[-1, width])
        });
        let state = self.transformer.value_path(b, self.transformer.layers - 1, &input, &value)?;
        let normed = self.transformer.norm(b, "post_layernorm", &state)?;
        let patches = b.reshape("values_of_patches", &normed, &[tokens - 1, -1, width]);
        Ok(b.transpose("values", &patches, &[1, 0, 2]))
    }

    /// CLS of targets alone, `[1, O, 1, D]`.
    pub(super) fn encode_targets(&self, b: &mut Builder, target: &Value) -> Result<Value> {
        let images = b.cast_to_f32("levels", target);
        self.encode(b, &images, 1, false, |_, _| {}).map(|(tokens, _)| tokens)
    }

    /// All tokens of colours as the model's own processor makes them, `f32[O, 3, S, S]`: `[1, O, T, D]`.
    pub(super) fn encode_pixel_values(&self, b: &mut Builder, pixel_values: &Value) -> Result<Value> {
        let patches = self.patches_of_pixel_values(b, pixel_values)?;
        self.encode_patches(b, &patches, 1, true, |_, _| {}).map(|(tokens, _)| tokens)
    }

    /// z of levels 0..=255 `[halves·O, S, S, 3]`, `[halves, O, T or 1, D]`, and the last layer; `each` sees every layer.
    fn encode(
        &self,
        b: &mut Builder,
        images: &Value,
        halves: i64,
        all_tokens: bool,
        each: impl FnMut(&mut Builder, &Layer),
    ) -> Result<(Value, Layer)> {
        let patches = self.patches(b, images)?;
        self.encode_patches(b, &patches, halves, all_tokens, each)
    }

    /// [`Tower::encode`] from embedded patches `[T, halves·O, D]` on.
    fn encode_patches(
        &self,
        b: &mut Builder,
        patches: &Value,
        halves: i64,
        all_tokens: bool,
        mut each: impl FnMut(&mut Builder, &Layer),
    ) -> Result<(Value, Layer)> {
        let (tokens, width) = (signed(self.clip.vision.tokens()), signed(self.transformer.width));
        let heads = b.integers(&[tokens, -1, signed(self.transformer.head_width())]);
        let patches = b.reshape("patch_rows", patches, &[-1, width]);
        let mut x = self.transformer.norm(b, self.names.pre_norm, &patches)?;
        let cls = |b: &mut Builder, rows: &Value| {
            let tokens = b.reshape("tokens", rows, &[tokens, -1, width]);
            let cls = b.part("cls", &tokens, 0, 0);
            b.squeeze("cls_rows", &cls, &[0])
        };
        let mut last_layer = None;
        for index in 0..self.transformer.layers {
            let last = index + 1 == self.transformer.layers;
            let layer = self.transformer.layer(b, index, &x, &heads, None, if last && !all_tokens { Some(&cls) } else { None })?;
            b.scoped(format!("layer{index}"), |b| each(b, &layer));
            x = layer.state.clone();
            last_layer = Some(layer);
        }
        let z = self.transformer.norm(b, "post_layernorm", &x)?;
        let z = b.reshape("tokens_of_halves", &z, &[if all_tokens { tokens } else { 1 }, halves, -1, width]);
        let z = b.transpose("z", &z, &[1, 2, 0, 3]);
        Ok((z, last_layer.expect("a configuration has at least one layer")))
    }

    /// Embedded patches behind CLS, with positions, `[T, B, D]`.
    ///
    /// The convolution of stride = kernel is a product of `[p·p·3]` rows; `(level/255 − mean)/std` is folded into
    /// its weights. CLS starts as a row of zeros: its embedding is in the positions.
    fn patches(&self, b: &mut Builder, images: &Value) -> Result<Value> {
        let vision = &self.clip.vision;
        let (width, side, grid) = (vision.hidden_size, vision.patch_size, vision.grid());
        let mut kernel = self.kernel()?;
        let mut bias = Array1::zeros(width);
        for (channel, (mean, std)) in self.clip.image_mean.iter().zip(self.clip.image_std).enumerate() {
            let mut kernel = kernel.index_axis_mut(Axis(1), channel);
            kernel /= std;
            bias.scaled_add(-mean, &kernel.sum_axis(Axis(2)).sum_axis(Axis(1)));
            kernel /= 255.0;
        }
        let kernel = kernel.permuted_axes([2, 3, 1, 0]).as_standard_layout().into_owned();
        let kernel = kernel.into_shape_with_order((side * side * 3, width)).expect("the same number of weights");
        let positions = self.positions(&bias)?;

        b.scoped("patches", |b| {
            let (grid, side) = (signed(grid), signed(side));
            let rows = b.reshape("rows", images, &[-1, grid, side, grid, side * 3]);
            let patches = b.transpose("patches", &rows, &[1, 3, 0, 2, 4]);
            let patches = b.reshape("flat", &patches, &[grid * grid, -1, side * side * 3]);
            Ok(embedded(b, &patches, &kernel, positions))
        })
    }

    /// The same of colours `[B, 3, S, S]` that nothing need be folded in for.
    fn patches_of_pixel_values(&self, b: &mut Builder, pixel_values: &Value) -> Result<Value> {
        let vision = &self.clip.vision;
        let (width, side, grid) = (vision.hidden_size, vision.patch_size, vision.grid());
        let kernel = self.kernel()?.into_shape_with_order((width, 3 * side * side)).expect("the same number of weights");
        let positions = self.positions(&Array1::zeros(width))?;

        b.scoped("patches", |b| {
            let (grid, side) = (signed(grid), signed(side));
            let rows = b.reshape("rows", pixel_values, &[-1, 3, grid, side, grid, side]);
            let patches = b.transpose("patches", &rows, &[2, 4, 0, 1, 3, 5]);
            let patches = b.reshape("flat", &patches, &[grid * grid, -1, 3 * side * side]);
            Ok(embedded(b, &patches, &kernel.reversed_axes(), positions))
        })
    }

    /// The convolution's weights, `[D, 3, p, p]`.
    fn kernel(&self) -> Result<Array4<f32>> {
        let vision = &self.clip.vision;
        let name = format!("{}.embeddings.patch_embedding.weight", self.names.vision);
        self.weights.array(&name, (vision.hidden_size, 3, vision.patch_size, vision.patch_size))
    }

    /// What is added to every token, `[T, D]`: its position, and CLS's embedding or the patches' `bias`.
    fn positions(&self, bias: &Array1<f32>) -> Result<Array2<f32>> {
        let vision = &self.clip.vision;
        let (width, tokens) = (vision.hidden_size, vision.tokens());
        let name = |which: &str| format!("{}.embeddings.{which}", self.names.vision);
        let class: Array1<f32> = self.weights.array(&name("class_embedding"), width)?;
        let mut positions: Array2<f32> = self.weights.array(&name("position_embedding.weight"), (tokens, width))?;
        let start = concatenate![Axis(0), class.insert_axis(Axis(0)), bias.broadcast((tokens - 1, width)).expect("rows of one bias")];
        positions += &start;
        Ok(positions)
    }

    /// The share of every token of each half in the first half's CLS query, `[halves, O·H, 1, T]`.
    fn attention_of_target_cls(&self, b: &mut Builder, layer: &Layer, halves: i64) -> Value {
        let (tokens, head) = (signed(self.clip.vision.tokens()), signed(self.transformer.head_width()));
        let query = b.reshape("query_halves", &layer.query, &[tokens, halves, -1, head]);
        let query = b.part("query_cls", &query, 0, 0);
        let query = b.part("query_target_cls", &query, 1, 0);
        let query = b.reshape("query_row", &query, &[1, -1, 1, head]);
        let key = b.reshape("key_halves", &layer.key, &[tokens, halves, -1, head]);
        let key = b.transpose("key_columns", &key, &[1, 2, 3, 0]);
        let logits = b.matmul("cls_logits", &query, &key);
        b.softmax("cls_share", &logits)
    }
}

/// Patches `[N, B, in]` through the kernel `[in, D]`, behind a row of zeros, with positions: `[T, B, D]`.
fn embedded(b: &mut Builder, patches: &Value, kernel: &Array2<f32>, positions: Array2<f32>) -> Value {
    let kernel = b.floats("kernel", kernel);
    let embedded = b.matmul("embedded", patches, &kernel);
    let with_cls = b.pad("with_cls", &embedded, &[1, 0, 0, 0, 0, 0]);
    let positions = b.floats("positions", &positions.insert_axis(Axis(1)));
    b.add("placed", &with_cls, &positions)
}

fn add_to(b: &mut Builder, sum: &mut Option<Value>, attention: Value) {
    *sum = Some(match &*sum {
        None => attention,
        Some(sum) => b.add("attention_sum", sum, &attention),
    });
}
