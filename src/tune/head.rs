//! The combiner as tensors that gradients flow through: the same function as [`crate::combiner`], for all classes at once.
//!
//! conv1 mixes channels linearly and the class enters only as a factor per token, so its nine products with the tokens are
//! made once an image, and each class only re-weights and sums them (as `graph/combiner.rs` does).

use std::f64::consts::SQRT_2;

use candle_core::{Result, Tensor, Var};

use super::rng::Rng;
use crate::combiner::{Form, STRIDES};

/// A layer's weight and bias, PyTorch's layout.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
}

/// One branch.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    /// `[K, D, 3, 3]`, `[K, K, 3, 3]` twice.
    pub(crate) conv: Option<[Layer; 3]>,
    pub(crate) mlp1: Layer,
    pub(crate) mlp2: Option<Layer>,
}

/// Both branches.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) form: Form,
    pub(crate) target: Branch,
    pub(crate) background: Branch,
}

/// Tokens as a branch takes them, before any weight.
#[derive(Debug, Clone)]
pub(crate) struct Mixed {
    /// z_0, `[B, 1, D]`.
    cls: Tensor,
    /// conv1's products, `[B, N·9, K]`; without CNN the patches, `[B, N, D]`.
    patches: Tensor,
}

/// Widths of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) form: Form,
    /// D.
    pub(crate) width: usize,
    /// K; `None` is the head without CNN.
    pub(crate) channels: Option<usize>,
    /// M, of the residual form.
    pub(crate) hidden: usize,
}

impl Head {
    /// As a head starts: mlp2 zero, everything else at random as PyTorch does it, uniform in ±1/√(inputs).
    pub(crate) fn random(shape: Shape, rng: &mut Rng) -> Result<Self> {
        Ok(Self { form: shape.form, target: Branch::random(shape, rng)?, background: Branch::random(shape, rng)? })
    }

    /// The same head with every tensor a variable, and the variables.
    pub(crate) fn trainable(&self) -> Result<(Self, Vec<Var>)> {
        let mut variables = Vec::new();
        let mut head = self.clone();
        for layer in head.layers_mut() {
            layer.train(&mut variables)?;
        }
        Ok((head, variables))
    }

    /// Apart from the variables it was made of, which go on changing.
    pub(crate) fn frozen(&self) -> Result<Self> {
        let mut head = self.clone();
        for layer in head.layers_mut() {
            *layer = layer.frozen()?;
        }
        Ok(head)
    }

    /// `z_x + z_(x)`, `[B, C, D]`, of both images' tokens `[B, T, D]` under their weights `[B, T, C]`.
    pub(crate) fn fused(
        &self,
        target: &Tensor,
        background: &Tensor,
        target_weights: &Tensor,
        background_weights: &Tensor,
    ) -> Result<Tensor> {
        let sum = (self.target.output(target, target_weights)? + self.background.output(background, background_weights)?)?;
        match self.form {
            Form::Paper => Ok(sum),
            Form::Residual => sum.broadcast_add(&target.narrow(1, 0, 1)?),
        }
    }

    fn layers_mut(&mut self) -> impl Iterator<Item = &mut Layer> {
        [&mut self.target, &mut self.background].into_iter().flat_map(|branch| {
            let Branch { conv, mlp1, mlp2 } = branch;
            conv.iter_mut().flatten().chain([mlp1]).chain(mlp2)
        })
    }
}

impl Branch {
    fn random(Shape { form, width, channels, hidden }: Shape, rng: &mut Rng) -> Result<Self> {
        let conv = match channels {
            Some(k) => {
                Some([Layer::random(&[k, width, 3, 3], rng)?, Layer::random(&[k, k, 3, 3], rng)?, Layer::random(&[k, k, 3, 3], rng)?])
            }
            None => None,
        };
        let joined = width + channels.unwrap_or(width);
        Ok(match form {
            Form::Paper => Self { conv, mlp1: Layer::random(&[width, joined], rng)?, mlp2: None },
            Form::Residual => Self { conv, mlp1: Layer::random(&[hidden, joined], rng)?, mlp2: Some(Layer::zero(width, hidden)?) },
        })
    }

    /// The head's output without what the target's has added, `[B, C, D]`.
    pub(crate) fn output(&self, z: &Tensor, weights: &Tensor) -> Result<Tensor> {
        match &self.mlp2 {
            Some(mlp2) => mlp2.apply(&self.hidden(&self.mixed(z)?, weights)?),
            None => self.mlp1.apply(&self.joined(&self.mixed(z)?, weights)?),
        }
    }

    /// What of tokens `z` `[B, T, D]` depends on no weight.
    pub(crate) fn mixed(&self, z: &Tensor) -> Result<Mixed> {
        let patches = match &self.conv {
            Some(conv) => products(&conv[0], z)?,
            None => z.narrow(1, 1, z.dim(1)? - 1)?.contiguous()?,
        };
        Ok(Mixed { cls: z.narrow(1, 0, 1)?.contiguous()?, patches })
    }

    /// What mlp2 works on, `[B, C, M]`.
    pub(crate) fn hidden(&self, mixed: &Mixed, weights: &Tensor) -> Result<Tensor> {
        gelu(&self.mlp1.apply(&self.joined(mixed, weights)?)?)
    }

    /// a_0 and the pooled patches of mixed tokens under `weights` `[B, T, C]`: `[B, C, D+K]`, without CNN `[B, C, 2D]`.
    fn joined(&self, Mixed { cls, patches }: &Mixed, weights: &Tensor) -> Result<Tensor> {
        let cls = weights.narrow(1, 0, 1)?.transpose(1, 2)?.broadcast_mul(cls)?;
        let pooled = if let Some(conv) = &self.conv {
            pooled(conv, patches, weights)?
        } else {
            let count = patches.dim(1)?;
            let weights = weights.narrow(1, 1, count)?.transpose(1, 2)?.contiguous()?;
            weights.matmul(patches)?.affine(1.0 / float(count), 0.0)?
        };
        Tensor::cat(&[&cls, &pooled], 2)
    }
}

impl Mixed {
    /// Some of the objects.
    pub(crate) fn of(&self, rows: &Tensor) -> Result<Self> {
        Ok(Self { cls: self.cls.index_select(rows, 0)?, patches: self.patches.index_select(rows, 0)? })
    }
}

impl Layer {
    pub(super) fn random(shape: &[usize], rng: &mut Rng) -> Result<Self> {
        let inputs: usize = shape[1..].iter().product();
        #[expect(clippy::cast_possible_truncation, reason = "a bound in 0..=1")]
        let bound = float(inputs).sqrt().recip() as f32;
        let mut draw = |shape: &[usize]| {
            let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|_| (rng.unit() * 2.0 - 1.0) * bound).collect();
            Tensor::from_vec(values, shape, &candle_core::Device::Cpu)
        };
        Ok(Self { weight: draw(shape)?, bias: draw(&shape[..1])? })
    }

    pub(crate) fn zero(outputs: usize, inputs: usize) -> Result<Self> {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &candle_core::Device::Cpu);
        Ok(Self { weight: zeros(&[outputs, inputs])?, bias: zeros(&[outputs])? })
    }

    /// Makes both tensors variables.
    pub(crate) fn train(&mut self, variables: &mut Vec<Var>) -> Result<()> {
        for tensor in [&mut self.weight, &mut self.bias] {
            let variable = Var::from_tensor(tensor)?;
            *tensor = variable.as_tensor().clone();
            variables.push(variable);
        }
        Ok(())
    }

    /// Apart from the variables it was made of.
    pub(super) fn frozen(&self) -> Result<Self> {
        Ok(Self { weight: self.weight.copy()?.detach(), bias: self.bias.copy()?.detach() })
    }

    /// `x·Wᵀ + b` along the last side of `[B, C, in]`.
    pub(crate) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, classes, inputs) = x.dims3()?;
        let out = x.reshape((rows * classes, inputs))?.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)?;
        out.reshape((rows, classes, ()))
    }

    /// A kernel as one matrix of rows `[9·in, out]`, offset by offset.
    fn kernel(&self) -> Result<Tensor> {
        let (outputs, inputs, ..) = self.weight.dims4()?;
        self.weight.permute((2, 3, 1, 0))?.reshape((9 * inputs, outputs))
    }
}

/// The exact form, `x·(1 + erf(x/√2))/2`. (candle's own has six digits of its gradient.)
pub(super) fn gelu(x: &Tensor) -> Result<Tensor> {
    (x * ((x / SQRT_2)?.erf()? + 1.0)?)? / 2.0
}

/// conv1's products of every token with all nine offsets, at each place its own nine, `[B, N·9, K]`.
fn products(conv1: &Layer, z: &Tensor) -> Result<Tensor> {
    let (objects, tokens, width) = z.dims3()?;
    let (outputs, inputs, ..) = conv1.weight.dims4()?;
    let mix = conv1.weight.permute((2, 3, 0, 1))?.reshape((9 * outputs, inputs))?;
    let mixed = z.reshape((objects * tokens, width))?.matmul(&mix.t()?)?.reshape((objects, tokens * 9, outputs))?;
    let (_, products_of) = neighbours((tokens - 1).isqrt());
    mixed.index_select(&products_of, 1)
}

/// The three convolutions and the mean over the map, `[B, C, K]`, of conv1's products under the tokens' weights.
fn pooled(conv: &[Layer; 3], products: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let (objects, tokens, classes) = weights.dims3()?;
    let (mut side, channels) = ((tokens - 1).isqrt(), conv[0].weight.dim(0)?);
    let places = side * side;
    let (tokens_of, _) = neighbours(side);
    let mixed = products.reshape((objects * places, 9, channels))?;
    let nothing = weights.narrow(1, 0, 1)?.zeros_like()?;
    let gathered = Tensor::cat(&[weights, &nothing], 1)?.index_select(&tokens_of, 1)?;
    let gathered = gathered.reshape((objects * places, 9, classes))?.transpose(1, 2)?.contiguous()?;
    let map = gathered.matmul(&mixed)?.broadcast_add(&conv[0].bias)?.relu()?;
    // [B, N, C, K] to one map a class
    let map = map.reshape((objects, places, classes, channels))?.transpose(1, 2)?.contiguous()?;
    let mut map = map.reshape((objects * classes, places, channels))?;
    for (layer, stride) in conv.iter().zip(STRIDES).skip(1) {
        let (sources, out) = windows(side, stride);
        let outside = map.narrow(1, 0, 1)?.zeros_like()?;
        let rows = Tensor::cat(&[&map, &outside], 1)?.index_select(&sources, 1)?.reshape((objects * classes * out * out, 9 * channels))?;
        map = rows.matmul(&layer.kernel()?)?.broadcast_add(&layer.bias)?.relu()?.reshape((objects * classes, out * out, channels))?;
        side = out;
    }
    map.mean(1)?.reshape((objects, classes, channels))
}

/// For every patch its nine neighbours: their tokens (one behind the last for what lies outside), and the rows of their products.
fn neighbours(side: usize) -> (Tensor, Tensor) {
    let (sources, _) = positions(side, 1);
    let outside = side * side;
    let tokens = sources.iter().map(|&source| if source == outside { outside + 1 } else { source + 1 });
    let products = sources.iter().enumerate().map(|(at, &source)| if source == outside { 0 } else { (source + 1) * 9 + at % 9 });
    (index(tokens), index(products))
}

/// For every output of a 3×3 convolution its nine inputs, `side²` for one outside; and the output's side.
fn windows(side: usize, stride: usize) -> (Tensor, usize) {
    let (sources, out) = positions(side, stride);
    (index(sources.into_iter()), out)
}

fn positions(side: usize, stride: usize) -> (Vec<usize>, usize) {
    let out = side.div_ceil(stride);
    let mut sources = Vec::with_capacity(out * out * 9);
    for (y, x) in ndarray::indices((out, out)) {
        for (ky, kx) in ndarray::indices((3, 3)) {
            // One is taken off for the padding.
            let source = match ((y * stride + ky).checked_sub(1), (x * stride + kx).checked_sub(1)) {
                (Some(y), Some(x)) if y < side && x < side => y * side + x,
                _ => side * side,
            };
            sources.push(source);
        }
    }
    (sources, out)
}

fn index(positions: impl Iterator<Item = usize>) -> Tensor {
    let positions: Vec<u32> = positions.map(|position| u32::try_from(position).expect("a grid has at most 256² patches")).collect();
    let count = positions.len();
    Tensor::from_vec(positions, count, &candle_core::Device::Cpu).expect("as many as were counted")
}

#[expect(clippy::cast_precision_loss, reason = "widths and counts are far below 2^52")]
fn float(count: usize) -> f64 {
    count as f64
}
