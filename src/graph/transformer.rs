//! One layer of CLIP's transformers, image and text alike.
//!
//! The state is rows `[T·B, D]`, so that a linear layer is one Gemm with its bias inside. Tokens run along the
//! *first* side: per head that is `[T, B·H, d_h]` without moving a number, and a runtime's matrix product reads
//! it transposed in place, so of the four transpositions of an attention only the last one copies.
//!
//! What can be folded into weights is folded, none of it changes a result by more than rounding:
//!
//! - the scale `1/√d_h` into the queries' weights;
//! - the values' bias into the output's (rows of a softmax sum to 1);
//! - the keys' bias away, where nobody asks for keys (it shifts all logits of a query alike);
//! - QuickGELU's 1.702 into the layers around it (`x·σ(1.702x) = y·σ(y) / 1.702` with `y = 1.702x`).

use ndarray::{Array1, Array2, Axis, concatenate};

use super::builder::{Builder, Value, signed};
use crate::{
    Result,
    attention::size,
    models::{Activation, Weights},
};

/// A stack of layers and where their weights are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transformer<'a> {
    pub(super) weights: &'a Weights,
    /// Where its weights' names begin: `vision_model`, `text_model`.
    pub(super) tower: &'static str,
    /// D.
    pub(super) width: usize,
    /// Width of the MLP's hidden layer.
    pub(super) inner: usize,
    /// H.
    pub(super) heads: usize,
    /// L.
    pub(super) layers: usize,
    pub(super) activation: Activation,
    pub(super) epsilon: f32,
    /// Whether keys are wanted with their bias.
    pub(super) key_bias: bool,
}

/// What a layer gives.
#[derive(Debug)]
pub(super) struct Layer {
    /// Scaled by `1/√d_h`, `[T·B, D]`.
    pub(super) query: Value,
    /// `[T·B, D]`.
    pub(super) key: Value,
    /// Without bias, `[T·B, D]`.
    pub(super) value: Value,
    /// The hidden state before the layer, `[T·B, D]`.
    pub(super) input: Value,
    /// The hidden state behind the layer, `[T·B, D]` or what was picked of it.
    pub(super) state: Value,
}

/// Queries, keys, values, and the heads' weighted values before the output layer, each `[T·B, D]`.
struct Attention {
    query: Value,
    key: Value,
    value: Value,
    context: Value,
}

/// What goes on through the last layer's second half: all rows, or those this function picks.
pub(super) type Pick<'a> = &'a dyn Fn(&mut Builder, &Value) -> Value;

impl Transformer<'_> {
    /// d_h.
    pub(super) const fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Layer norm with the weights `name`.
    pub(super) fn norm(&self, b: &mut Builder, name: &str, x: &Value) -> Result<Value> {
        let weight = self.weights.array(&format!("{}.{name}.weight", self.tower), self.width)?;
        let bias = self.weights.array(&format!("{}.{name}.bias", self.tower), self.width)?;
        let (weight, bias) = (b.floats(&format!("{name}.weight"), &weight), b.floats(&format!("{name}.bias"), &bias));
        Ok(b.layer_norm(name, x, &weight, &bias, self.epsilon))
    }

    /// One layer on `x` `[T·B, D]`; `heads` is the shape `[T, -1, d_h]`, `mask` `[T, T]` is added to the logits.
    pub(super) fn layer(
        &self,
        b: &mut Builder,
        index: usize,
        x: &Value,
        heads: &Value,
        mask: Option<&Value>,
        pick: Option<Pick>,
    ) -> Result<Layer> {
        b.scoped(format!("layer{index}"), |b| {
            let at = format!("encoder.layers.{index}");
            let normed = self.norm(b, &format!("{at}.layer_norm1"), x)?;
            let Attention { query, key, value, context } = self.attention(b, &at, &normed, heads, mask)?;
            let input = x.clone();
            let (context, x) = match pick {
                None => (context, x.clone()),
                Some(pick) => (pick(b, &context), pick(b, x)),
            };
            let state = self.second_half(b, &at, &x, &context)?;
            Ok(Layer { query, key, value, input, state })
        })
    }

    /// The hidden state behind a layer in which every token looks at itself alone: `input` and `value` are rows of [`Layer`]'s.
    pub(super) fn value_path(&self, b: &mut Builder, index: usize, input: &Value, value: &Value) -> Result<Value> {
        b.scoped(format!("layer{index}/value_path"), |b| self.second_half(b, &format!("encoder.layers.{index}"), input, value))
    }

    /// What follows on the heads' weighted values: the output layer and the MLP, each added to what came in.
    fn second_half(&self, b: &mut Builder, at: &str, x: &Value, context: &Value) -> Result<Value> {
        let value_bias = self.bias(&format!("{at}.self_attn.v_proj"), self.width)?;
        let out = self.weight(&format!("{at}.self_attn.out_proj"), self.width, self.width)?;
        let out_bias = self.bias(&format!("{at}.self_attn.out_proj"), self.width)? + out.dot(&value_bias);
        let attended = linear_rows(b, "attention", context, &out, &out_bias);
        let x = b.add("attended", x, &attended);
        let normed = self.norm(b, &format!("{at}.layer_norm2"), &x)?;
        let mlp = self.mlp(b, at, &normed)?;
        Ok(b.add("state", &x, &mlp))
    }

    fn attention(&self, b: &mut Builder, at: &str, x: &Value, heads: &Value, mask: Option<&Value>) -> Result<Attention> {
        let width = self.width;
        let scale = size(self.head_width()).sqrt().recip();
        let name = |which: &str| format!("{at}.self_attn.{which}_proj");
        let query_weight = self.weight(&name("q"), width, width)? * scale;
        let query_bias = self.bias(&name("q"), width)? * scale;
        let key_bias = if self.key_bias { Some(self.bias(&name("k"), width)?) } else { None };
        let key_weight = self.weight(&name("k"), width, width)?;
        let query = linear_rows(b, "query", x, &query_weight, &query_bias);
        let key = match key_bias {
            Some(bias) => linear_rows(b, "key", x, &key_weight, &bias),
            None => linear(b, "key", x, &key_weight, None),
        };
        let value = linear(b, "value", x, &self.weight(&name("v"), width, width)?, None);

        let [q, k, v] = [&query, &key, &value].map(|rows| b.reshape_to("heads", rows, heads));
        let q = b.transpose("query_heads", &q, &[1, 0, 2]);
        let k = b.transpose("key_heads", &k, &[1, 2, 0]);
        let v = b.transpose("value_heads", &v, &[1, 0, 2]);
        let mut logits = b.matmul("logits", &q, &k);
        if let Some(mask) = mask {
            logits = b.add("masked", &logits, mask);
        }
        let share = b.softmax("share", &logits);
        let context = b.matmul("context_heads", &share, &v);
        let context = b.transpose("context_tokens", &context, &[1, 0, 2]);
        let context = b.reshape("context", &context, &[-1, signed(width)]);
        Ok(Attention { query, key, value, context })
    }

    fn mlp(&self, b: &mut Builder, at: &str, x: &Value) -> Result<Value> {
        let mut first = self.weight(&format!("{at}.mlp.fc1"), self.inner, self.width)?;
        let mut first_bias = self.bias(&format!("{at}.mlp.fc1"), self.inner)?;
        let mut second = self.weight(&format!("{at}.mlp.fc2"), self.width, self.inner)?;
        let second_bias = self.bias(&format!("{at}.mlp.fc2"), self.width)?;
        let padding = cache_padding(self.inner);
        if padding > 0 {
            first = concatenate![Axis(0), first, Array2::zeros((padding, self.width))];
            first_bias = concatenate![Axis(0), first_bias, Array1::zeros(padding)];
            second = concatenate![Axis(1), second, Array2::zeros((self.width, padding))];
        }
        if self.activation == Activation::QuickGelu {
            first *= 1.702;
            first_bias *= 1.702;
            second /= 1.702;
        }
        let hidden = linear_rows(b, "hidden", x, &first, &first_bias);
        let active = match self.activation {
            Activation::QuickGelu => {
                let sigmoid = b.sigmoid("sigmoid", &hidden);
                b.mul("active", &hidden, &sigmoid)
            }
            Activation::Gelu => gelu(b, &hidden),
        };
        Ok(linear_rows(b, "mlp", &active, &second, &second_bias))
    }

    fn weight(&self, name: &str, outputs: usize, inputs: usize) -> Result<Array2<f32>> {
        self.weights.array(&format!("{}.{name}.weight", self.tower), (outputs, inputs))
    }

    fn bias(&self, name: &str, outputs: usize) -> Result<Array1<f32>> {
        self.weights.array(&format!("{}.{name}.bias", self.tower), outputs)
    }
}

/// How many units of weight 0 to add to a hidden layer of `width`.
///
/// Rows whose length is a multiple of a page fall on the same lines of a processor's first cache, and the product
/// behind them runs at 85 % (K = 3072 in ONNX Runtime's sgemm, the width of both base models). One cache line more
/// keeps them apart, for 0.5 % more work.
const fn cache_padding(width: usize) -> usize {
    const PAGE: usize = 4096 / size_of::<f32>();
    const LINE: usize = 64 / size_of::<f32>();
    if width.is_multiple_of(PAGE) { LINE } else { 0 }
}

/// `x·Wᵀ + b` of rows `[R, in]`, with `W` `[out, in]`.
fn linear_rows(b: &mut Builder, label: &str, x: &Value, weight: &Array2<f32>, bias: &Array1<f32>) -> Value {
    let weight = b.floats(&format!("{label}.weight"), &weight.t());
    let bias = b.floats(&format!("{label}.bias"), bias);
    b.gemm(label, x, &weight, &bias)
}

/// `x·Wᵀ + b` over the last side, with `W` `[out, in]`.
pub(super) fn linear(b: &mut Builder, label: &str, x: &Value, weight: &Array2<f32>, bias: Option<&Array1<f32>>) -> Value {
    let weight = b.floats(&format!("{label}.weight"), &weight.t());
    let product = b.matmul(label, x, &weight);
    match bias {
        None => product,
        Some(bias) => {
            let bias = b.floats(&format!("{label}.bias"), bias);
            b.add(&format!("{label}.biased"), &product, &bias)
        }
    }
}

/// The exact GELU, in the form that runtimes recognise: `x·(erf(x/√2) + 1)·½`.
pub(super) fn gelu(b: &mut Builder, x: &Value) -> Value {
    b.scoped("gelu", |b| {
        let (root, one, half) = (b.float("root", std::f32::consts::SQRT_2), b.float("one", 1.0), b.float("half", 0.5));
        let scaled = b.div("scaled", x, &root);
        let erf = b.erf("erf", &scaled);
        let above = b.add("above", &erf, &one);
        let product = b.mul("product", x, &above);
        b.mul("active", &product, &half)
    })
}
