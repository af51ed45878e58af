//! CLIP's transformer, the same in both towers: pre-norm layers of attention and MLP.
//!
//! `x ← x + W_o·softmax(q kᵀ/√d_h)·v`, `x ← x + fc2(act(fc1(LN x)))`, q, k, v linear in `LN x` with bias
//! (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision";
//! names and layout: transformers' `CLIPEncoder`).

use ndarray::{Array1, Array2, Array4, ArrayRef2, Axis, Slice, Zip};

use crate::{
    Result, activation,
    attention::{size, softmax},
    combiner::Linear,
    models::{Activation, Weights},
};

/// A tower's layers.
#[derive(Debug)]
pub(super) struct Transformer {
    layers: Vec<Layer>,
    heads: usize,
    activation: fn(f32) -> f32,
}

/// The sizes of a tower: either of the configuration's two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) width: usize,
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) activation: Activation,
    pub(super) eps: f32,
}

/// Which tokens a token may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mask {
    /// All.
    Full,
    /// Itself and those before it.
    Causal,
}

/// What comes out of the last layer, and every layer's queries and keys, with bias, before scaling.
#[derive(Debug)]
pub(super) struct States {
    /// `[T, D]`.
    pub(super) hidden: Array2<f32>,
    /// `[L, H, T, d_h]`.
    pub(super) query: Array4<f32>,
    /// `[L, H, T, d_h]`.
    pub(super) key: Array4<f32>,
    /// What comes out of the last layer where every token looks at itself alone: its value path (MaskCLIP, Zhou et al. 2022), `[T, D]`.
    pub(super) values: Array2<f32>,
}

#[derive(Debug)]
struct Layer {
    attention_norm: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    mlp_norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

/// `(x − mean)/√(variance + ε)·weight + bias`, row by row.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Array1<f32>,
    bias: Array1<f32>,
    eps: f32,
}

impl Transformer {
    /// Reads `{tower}.encoder.layers.*`.
    pub(super) fn open(weights: &Weights, tower: &str, sizes: Sizes) -> Result<Self> {
        let layers = (0..sizes.layers).map(|index| Layer::open(weights, &format!("{tower}.encoder.layers.{index}"), sizes));
        Ok(Self { layers: layers.collect::<Result<_>>()?, heads: sizes.heads, activation: activation::function(sizes.activation) })
    }

    /// Runs tokens `[T, D]` through every layer.
    pub(super) fn run(&self, mut x: Array2<f32>, mask: Mask) -> States {
        let (tokens, width) = x.dim();
        let shape = (self.layers.len(), self.heads, tokens, width / self.heads);
        let (mut query, mut key, mut values) = (Array4::zeros(shape), Array4::zeros(shape), Array2::zeros((0, 0)));
        for (index, layer) in self.layers.iter().enumerate() {
            let normed = layer.attention_norm.apply(&x);
            let (q, k, v) = (layer.q_proj.apply(&normed), layer.k_proj.apply(&normed), layer.v_proj.apply(&normed));
            let mut context = Array2::zeros((tokens, width));
            for head in 0..self.heads {
                let columns = Slice::from(head * shape.3..(head + 1) * shape.3);
                let [q, k, v] = [&q, &k, &v].map(|of_all_heads| of_all_heads.slice_axis(Axis(1), columns));
                context.slice_axis_mut(Axis(1), columns).assign(&attention(&q, &k, &v, mask));
                query.index_axis_mut(Axis(0), index).index_axis_mut(Axis(0), head).assign(&q);
                key.index_axis_mut(Axis(0), index).index_axis_mut(Axis(0), head).assign(&k);
            }
            if index + 1 == shape.0 {
                values = self.second_half(layer, x.clone(), &v);
            }
            x = self.second_half(layer, x, &context);
        }
        States { hidden: x, query, key, values }
    }

    fn second_half(&self, layer: &Layer, mut x: Array2<f32>, context: &Array2<f32>) -> Array2<f32> {
        x += &layer.out_proj.apply(context);
        let hidden = layer.fc1.apply(&layer.mlp_norm.apply(&x)).mapv_into(self.activation);
        x += &layer.fc2.apply(&hidden);
        x
    }
}

/// One head: `softmax(q kᵀ/√d_h)·v`, all `[T, d_h]`.
fn attention(q: &ArrayRef2<f32>, k: &ArrayRef2<f32>, v: &ArrayRef2<f32>, mask: Mask) -> Array2<f32> {
    let mut logits = q.dot(&k.t()) / size(q.ncols()).sqrt();
    for (token, mut row) in logits.rows_mut().into_iter().enumerate() {
        if mask == Mask::Causal {
            row.slice_axis_mut(Axis(0), Slice::from(token + 1..)).fill(f32::NEG_INFINITY);
        }
        softmax(row);
    }
    logits.dot(v)
}

impl Layer {
    fn open(weights: &Weights, prefix: &str, sizes: Sizes) -> Result<Self> {
        let (width, hidden) = (sizes.width, sizes.hidden);
        let linear = |name: &str, inputs, outputs| linear(weights, &format!("{prefix}.{name}"), inputs, outputs);
        let norm = |name: &str| LayerNorm::open(weights, &format!("{prefix}.{name}"), width, sizes.eps);
        Ok(Self {
            attention_norm: norm("layer_norm1")?,
            q_proj: linear("self_attn.q_proj", width, width)?,
            k_proj: linear("self_attn.k_proj", width, width)?,
            v_proj: linear("self_attn.v_proj", width, width)?,
            out_proj: linear("self_attn.out_proj", width, width)?,
            mlp_norm: norm("layer_norm2")?,
            fc1: linear("mlp.fc1", width, hidden)?,
            fc2: linear("mlp.fc2", hidden, width)?,
        })
    }
}

fn linear(weights: &Weights, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
    Ok(Linear {
        weight: weights.array(&format!("{name}.weight"), (outputs, inputs))?,
        bias: weights.array(&format!("{name}.bias"), outputs)?,
    })
}

impl LayerNorm {
    pub(super) fn open(weights: &Weights, name: &str, width: usize, eps: f32) -> Result<Self> {
        Ok(Self { weight: weights.array(&format!("{name}.weight"), width)?, bias: weights.array(&format!("{name}.bias"), width)?, eps })
    }

    /// Rows `[T, D]`.
    pub(super) fn apply(&self, x: &ArrayRef2<f32>) -> Array2<f32> {
        let mut x = x.to_owned();
        for mut row in x.rows_mut() {
            let mean = row.sum() / size(row.len());
            row -= mean;
            let variance = row.dot(&row) / size(row.len());
            let scale = (variance + self.eps).sqrt().recip();
            Zip::from(&mut row).and(&self.weight).and(&self.bias).for_each(|x, weight, bias| *x = *x * scale * weight + bias);
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_layer_norm_centres_and_scales_each_row() {
        let norm = LayerNorm { weight: array![1.0, 1.0, 2.0, 1.0], bias: array![0.0, 0.0, 0.0, 5.0], eps: 0.0 };
        // mean 2.5, variance 1.25
        let unit = 1.25f32.sqrt().recip();
        let wanted = array![[-1.5 * unit, -0.5 * unit, unit, 5.0 + 1.5 * unit]];
        let found = norm.apply(&array![[1.0, 2.0, 3.0, 4.0]]);
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{found}");
    }

    #[test]
    fn a_causal_token_does_not_see_those_behind_it() {
        let (q, k) = (array![[1.0f32], [1.0], [1.0]], array![[0.5f32], [0.5], [0.5]]);
        let v = array![[3.0f32], [6.0], [900.0]];
        let causal = attention(&q, &k, &v, Mask::Causal);
        assert!((causal[[0, 0]] - 3.0).abs() < 1e-5 && (causal[[1, 0]] - 4.5).abs() < 1e-5);
        assert!((attention(&q, &k, &v, Mask::Full)[[0, 0]] - 303.0).abs() < 1e-3);
    }
}
