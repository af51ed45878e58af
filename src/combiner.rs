//! The combiner: weighted tokens of one image become one vector, with a head per branch.
//!
//! Weighted tokens `a_i = (N+1)·β_i·μ_i·z_i` **(ours: the factor N+1, so that uniform attention leaves a
//! token's size as it was)**. The patches a_1..a_N as a `[D, g, g]` map (row by row) go through three 3×3
//! convolutions with ReLU, strides 1, 2, 2, zero padding 1, and a mean over the map, `[K]`; behind a_0 that
//! is `[D+K]`. Then the head, in one of two forms:
//!
//! - `paper`: `z = mlp1(…)` in both branches;
//! - `residual` **(ours)**: `z_x = mlp2(GELU(mlp1(…))) + z_0(x)` for the target, `z_(x) = mlp2(GELU(mlp1(…)))`
//!   for the background. So mlp2 = 0 in both branches is plain CLIP zero-shot.
//!
//! Without convolutions the patches' plain mean `[D]` takes the place of `[K]` **(ours)**.
//! Source: UNI-OOD, "combiner"; method.md, image side, steps 5 and 6. [`Combiner::open`] reads the weights.

mod weights;

use ndarray::{Array1, Array2, Array4, ArrayRef1, ArrayRef2, Axis, Slice, concatenate};

use crate::{activation::gelu, attention::size};

/// The strides of conv1, conv2 and conv3.
pub const STRIDES: [usize; 3] = [1, 2, 2];

/// Both branches' weights: the same shapes, weights of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Combiner {
    /// The form of the head.
    pub form: Form,
    /// For the crop of the object.
    pub target: Branch,
    /// For the frame without it.
    pub background: Branch,
}

/// The two forms of head: the safetensors metadata key `form`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Form {
    /// One linear layer, no residual.
    Paper,
    /// Two linear layers with a GELU between; the target's CLS state is added. What a file without the key is.
    #[default]
    Residual,
}

/// One branch's weights. D: width of the image tower; K: of the convolutions; M: of the head.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// conv1 `[K, D, 3, 3]`, conv2 and conv3 `[K, K, 3, 3]`; `None` for the head without CNN.
    pub conv: Option<[Conv; 3]>,
    /// `[M, D+K]` (without CNN `[M, 2D]`); M = D in the paper's form.
    pub mlp1: Linear,
    /// `[D, M]`; `None` in the paper's form.
    pub mlp2: Option<Linear>,
}

/// A 3×3 convolution, PyTorch's layout.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv {
    /// `[out, in, 3, 3]`.
    pub weight: Array4<f32>,
    /// `[out]`.
    pub bias: Array1<f32>,
}

/// A linear layer, PyTorch's layout.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Array2<f32>,
    /// `[out]`.
    pub bias: Array1<f32>,
}

impl Combiner {
    /// `z_x` `[D]`: the target's tokens `z` `[T, D]` under its `beta` `[T]` and one class's `mu` `[T]`.
    #[must_use]
    pub fn target(&self, z: &ArrayRef2<f32>, beta: &ArrayRef1<f32>, mu: &ArrayRef1<f32>) -> Array1<f32> {
        let combined = self.target.combine(&weighted_tokens(z, beta, mu));
        match self.form {
            Form::Paper => combined,
            Form::Residual => combined + z.row(0),
        }
    }

    /// `z_(x)` `[D]`: the background's tokens `z` `[T, D]` under its `beta` `[T]` and one class's `mu` `[T]`.
    #[must_use]
    pub fn background(&self, z: &ArrayRef2<f32>, beta: &ArrayRef1<f32>, mu: &ArrayRef1<f32>) -> Array1<f32> {
        self.background.combine(&weighted_tokens(z, beta, mu))
    }
}

impl Form {
    /// The word in the file's metadata.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Residual => "residual",
        }
    }
}

/// `a_i = (N+1)·β_i·μ_i·z_i`, `[T, D]`.
#[must_use]
pub fn weighted_tokens(z: &ArrayRef2<f32>, beta: &ArrayRef1<f32>, mu: &ArrayRef1<f32>) -> Array2<f32> {
    let weight = beta * mu * size(z.nrows());
    &z.view() * &weight.insert_axis(Axis(1))
}

impl Branch {
    /// The head's output `[D]` for weighted tokens `[T, D]`, T = g² + 1; nothing is added to it yet.
    fn combine(&self, a: &ArrayRef2<f32>) -> Array1<f32> {
        let patches = a.slice_axis(Axis(0), Slice::from(1..));
        let pooled = match &self.conv {
            Some(conv) => pooled_convolutions(conv, &patches),
            None => mean_row(&patches),
        };
        let joined = concatenate![Axis(0), a.row(0), pooled];
        let hidden = self.mlp1.apply(&joined.insert_axis(Axis(0)));
        let output = match &self.mlp2 {
            Some(mlp2) => mlp2.apply(&hidden.mapv_into(gelu)),
            None => hidden,
        };
        output.index_axis_move(Axis(0), 0)
    }
}

impl Linear {
    /// `x·Wᵀ + b`: rows `[R, in]` to `[R, out]`.
    #[must_use]
    pub fn apply(&self, x: &ArrayRef2<f32>) -> Array2<f32> {
        x.dot(&self.weight.t()) + &self.bias
    }
}

impl Conv {
    /// A `side`×`side` map of pixels `[side², in]`, row by row, to `[⌈side/stride⌉², out]`, zero padding 1.
    fn apply(&self, map: &ArrayRef2<f32>, side: usize, stride: usize) -> Array2<f32> {
        let (outputs, inputs, ..) = self.weight.dim();
        let out_side = side.div_ceil(stride);
        // Each row holds one output pixel's 3×3 neighbourhood, in the order of a weight's row.
        let mut columns = Array2::<f32>::zeros((out_side * out_side, inputs * 9));
        for ((y, x), mut column) in ndarray::indices((out_side, out_side)).into_iter().zip(columns.rows_mut()) {
            for (offset, (ky, kx)) in (0..).zip(ndarray::indices((3, 3))) {
                // One is taken off for the padding: positions −1 and `side` stay zero.
                let (Some(y), Some(x)) = ((y * stride + ky).checked_sub(1), (x * stride + kx).checked_sub(1)) else { continue };
                if y < side && x < side {
                    column.slice_axis_mut(Axis(0), Slice::new(offset, None, 9)).assign(&map.row(y * side + x));
                }
            }
        }
        let weight = self.weight.to_shape((outputs, inputs * 9)).expect("a weight's rows hold in·3·3 numbers");
        columns.dot(&weight.t()) + &self.bias
    }
}

/// conv1, conv2, conv3, a ReLU behind each, then the mean over the map: patches `[g², D]` to `[K]`.
fn pooled_convolutions(conv: &[Conv; 3], patches: &ArrayRef2<f32>) -> Array1<f32> {
    let mut side = patches.nrows().isqrt();
    let mut map = patches.to_owned();
    for (conv, stride) in conv.iter().zip(STRIDES) {
        map = conv.apply(&map, side, stride).mapv_into(|value| value.max(0.0));
        side = side.div_ceil(stride);
    }
    mean_row(&map)
}

fn mean_row(rows: &ArrayRef2<f32>) -> Array1<f32> {
    rows.sum_axis(Axis(0)) / size(rows.nrows())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, ShapeBuilder, array};

    /// Numbers that look random but are the same everywhere.
    fn noise<S: ShapeBuilder>(shape: S, seed: u32) -> Array<f32, S::Dim> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        Array::from_shape_simple_fn(shape, || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(state >> 16).unwrap()) / 32768.0 - 1.0
        })
    }

    fn linear(outputs: usize, inputs: usize, seed: u32) -> Linear {
        Linear { weight: noise((outputs, inputs), seed), bias: noise(outputs, seed + 1) }
    }

    fn branch(d: usize, k: usize, m: usize, seed: u32) -> Branch {
        let conv = |inputs, seed| Conv { weight: noise((k, inputs, 3, 3), seed), bias: noise(k, seed + 1) };
        Branch {
            conv: Some([conv(d, seed), conv(k, seed + 2), conv(k, seed + 4)]),
            mlp1: linear(m, d + k, seed + 6),
            mlp2: Some(linear(d, m, seed + 8)),
        }
    }

    #[test]
    fn uniform_attention_leaves_tokens_as_they_were() {
        let z = noise((10, 4), 3);
        let a = weighted_tokens(&z, &Array1::from_elem(10, 0.1), &Array1::ones(10));
        assert!(a.iter().zip(&z).all(|(a, z)| (a - z).abs() < 1e-6));
    }

    #[test]
    fn a_convolution_sums_its_neighbourhood_and_pads_with_zero() {
        // A weight of ones over a map of ones counts the neighbours that lie inside.
        let conv = Conv { weight: Array4::ones((1, 1, 3, 3)), bias: Array1::zeros(1) };
        let ones = Array2::ones((9, 1));
        let counts = conv.apply(&ones, 3, 1).into_shape_with_order((3, 3)).unwrap();
        assert_eq!(counts, array![[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]);
        // stride 2 keeps positions 0 and 2 of each axis
        assert_eq!(conv.apply(&ones, 3, 2).into_raw_vec_and_offset().0, [4.0, 4.0, 4.0, 4.0]);
        assert_eq!(conv.apply(&Array2::ones((16, 1)), 4, 2).into_raw_vec_and_offset().0, [4.0, 6.0, 6.0, 9.0]);
    }

    #[test]
    fn a_convolution_is_a_correlation_with_rows_before_columns() {
        let mut weight = Array4::zeros((1, 1, 3, 3));
        weight[[0, 0, 1, 2]] = 1.0; // the right neighbour
        let conv = Conv { weight, bias: array![10.0] };
        let map = Array::from_iter((0..9u8).map(f32::from)).into_shape_with_order((9, 1)).unwrap();
        assert_eq!(conv.apply(&map, 3, 1).into_raw_vec_and_offset().0, [11.0, 12.0, 10.0, 14.0, 15.0, 10.0, 17.0, 18.0, 10.0]);
    }

    #[test]
    fn the_head_without_convolutions_takes_the_patches_mean() {
        let (d, tokens) = (3, 5);
        let mut bare = branch(d, 2, 4, 7);
        bare.conv = None;
        // mlp1 picks out the second half of its input: the mean.
        let weight = concatenate![Axis(1), Array2::<f32>::zeros((d, d)), Array2::<f32>::eye(d)];
        bare.mlp1 = Linear { weight, bias: Array1::zeros(d) };
        bare.mlp2 = None;
        let a = noise((tokens, d), 11);
        let wanted = a.slice_axis(Axis(0), Slice::from(1..)).mean_axis(Axis(0)).unwrap();
        assert!(bare.combine(&a).iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn a_zero_mlp2_leaves_the_targets_cls_and_no_background() {
        let (d, k, m) = (4, 3, 8);
        let zeroed =
            |seed| Branch { mlp2: Some(Linear { weight: Array2::zeros((d, m)), bias: Array1::zeros(d) }), ..branch(d, k, m, seed) };
        let combiner = Combiner { form: Form::Residual, target: zeroed(1), background: zeroed(20) };
        let (z, beta, mu) = (noise((10, d), 40), noise(10, 41).mapv_into(f32::abs), noise(10, 42).mapv_into(f32::abs));
        assert_eq!(combiner.target(&z, &beta, &mu), z.row(0));
        assert_eq!(combiner.background(&z, &beta, &mu), Array1::<f32>::zeros(d));
    }

    #[test]
    fn only_the_residual_forms_target_has_its_cls_added() {
        let (d, k) = (4, 3);
        let one = branch(d, k, 8, 5);
        let mut combiner = Combiner { form: Form::Residual, target: one.clone(), background: one };
        let (z, beta, mu) = (noise((5, d), 6), Array1::from_elem(5, 0.2), Array1::ones(5));
        let views = || (&z, &beta, &mu);
        let (z_view, beta_view, mu_view) = views();
        let background = combiner.background(z_view, beta_view, mu_view);
        let (z_view, beta_view, mu_view) = views();
        assert_eq!(combiner.target(z_view, beta_view, mu_view), &background + &z.row(0));
        combiner.form = Form::Paper;
        let (z_view, beta_view, mu_view) = views();
        assert_eq!(combiner.target(z_view, beta_view, mu_view), background);
    }

    #[test]
    fn the_smallest_grid_is_one_patch() {
        let combined = branch(3, 2, 4, 9).combine(&noise((2, 3), 10));
        assert!(combined.len() == 3 && combined.iter().all(|value| value.is_finite()));
    }
}
