//! Both combiners and the projection behind them, for all classes at once.
//!
//! A class enters only as a factor per token, so whatever is linear in the tokens is computed once per image:
//!
//! - conv1: `conv1(a)[p] = b + Σ_o w_{p+o}(c)·(K_o z_{p+o})`. The nine products `K_o z` are one; each place then
//!   gathers its nine neighbours, and all classes are one small product `[C, 9]·[9, K]` a place;
//! - mlp1 on a_0 = w_0(c)·z_0: its product with z_0, times the weight.
//!
//! And what follows the head's last nonlinearity is one matrix: P·mlp2, or in the paper's form P·mlp1.

use ndarray::{Array2, Axis, Slice};

use super::{
    builder::{Builder, Value, signed},
    transformer::{gelu, linear},
};
use crate::{
    attention::size,
    combiner::{Branch, Combiner, Conv, Form, Linear, STRIDES},
};

/// What the combiners work on; target first.
pub(super) struct Branches {
    /// z, `[O, T, D]`.
    pub(super) tokens: [Value; 2],
    /// `(N+1)·β_i·μ_i`, `[O, T, C]`.
    pub(super) weights: [Value; 2],
    /// P z of the target, `[1, O, T, E]`.
    pub(super) target_embedding: Value,
    /// C, as a list of one integer.
    pub(super) classes: Value,
}

/// One image of every object.
struct Image<'a> {
    tokens: &'a Value,
    weights: &'a Value,
    classes: &'a Value,
    /// g.
    grid: usize,
    /// D.
    width: usize,
}

/// `P(z_x + z_(x))` for every class, `[O, C, E]`; `projection` is P `[E, D]`, `grid` is g.
pub(super) fn build(b: &mut Builder, combiner: &Combiner, of: &Branches, projection: &Array2<f32>, grid: usize) -> Value {
    let named = [("target", &combiner.target), ("background", &combiner.background)];
    let [target, background] = [0, 1].map(|index| {
        let image = Image { tokens: &of.tokens[index], weights: &of.weights[index], classes: &of.classes, grid, width: projection.ncols() };
        let (name, branch) = named[index];
        b.scoped(name, |b| branch_output(b, branch, &image, projection))
    });
    let joined = b.add("joined", &target, &background);
    match combiner.form {
        Form::Paper => joined,
        Form::Residual => {
            let cls = b.part("target_embedding.cls", &of.target_embedding, 2, 0);
            let cls = b.squeeze("target_embedding.residual", &cls, &[0]);
            b.add("joined_with_residual", &joined, &cls)
        }
    }
}

/// One branch's head, projected, `[O, C, E]`.
fn branch_output(b: &mut Builder, branch: &Branch, image: &Image, projection: &Array2<f32>) -> Value {
    let (pooled, pooled_scale) = match &branch.conv {
        Some(conv) => (convolved(b, conv, image), 1.0),
        None => (summed_patches(b, image), size(image.grid * image.grid).recip()),
    };
    match &branch.mlp2 {
        None => first_layer(b, &projected(&branch.mlp1, projection), image, &pooled, pooled_scale),
        Some(mlp2) => {
            let hidden = first_layer(b, &branch.mlp1, image, &pooled, pooled_scale);
            let hidden = gelu(b, &hidden);
            let second = projected(mlp2, projection);
            linear(b, "mlp2", &hidden, &second.weight, Some(&second.bias))
        }
    }
}

/// P behind a layer, as one layer.
fn projected(layer: &Linear, projection: &Array2<f32>) -> Linear {
    Linear { weight: projection.dot(&layer.weight), bias: projection.dot(&layer.bias) }
}

/// mlp1 on a_0 and the pooled patches, `[O, C, M]`.
fn first_layer(b: &mut Builder, mlp1: &Linear, image: &Image, pooled: &Value, pooled_scale: f32) -> Value {
    let on_cls = mlp1.weight.slice_axis(Axis(1), Slice::from(..image.width)).to_owned();
    let on_pooled = mlp1.weight.slice_axis(Axis(1), Slice::from(image.width..)).to_owned() * pooled_scale;
    let cls = b.part("cls", image.tokens, 1, 0);
    let cls = linear(b, "mlp1.cls", &cls, &on_cls, None);
    let weight = b.part("cls_weight", image.weights, 1, 0);
    let weight = b.transpose("cls_weight.column", &weight, &[0, 2, 1]);
    let cls = b.mul("mlp1.cls.weighted", &cls, &weight);
    let pooled = linear(b, "mlp1.pooled", pooled, &on_pooled, Some(&mlp1.bias));
    b.add("mlp1", &cls, &pooled)
}

/// Σ a_i over the patches, `[O, C, D]`.
fn summed_patches(b: &mut Builder, image: &Image) -> Value {
    let tokens = signed(image.grid * image.grid) + 1;
    let patches = b.slice("patches", image.tokens, 1, 1, tokens);
    let weights = b.slice("patch_weights", image.weights, 1, 1, tokens);
    let weights = b.transpose("patch_weights.rows", &weights, &[0, 2, 1]);
    b.matmul("summed_patches", &weights, &patches)
}

/// The three convolutions and the mean over the map, `[O, C, K]`.
fn convolved(b: &mut Builder, conv: &[Conv; 3], image: &Image) -> Value {
    let (grid, k) = (signed(image.grid), signed(conv[0].bias.len()));
    let map = first_convolution(b, &conv[0], image);
    // [O, N, C, K] to one picture a class
    let map = b.transpose("conv1.map", &map, &[0, 2, 3, 1]);
    let mut map = b.reshape("conv1.pictures", &map, &[-1, k, grid, grid]);
    for (index, conv) in conv.iter().enumerate().skip(1) {
        let name = format!("conv{}", index + 1);
        let weight = b.floats(&format!("{name}.weight"), &conv.weight);
        let bias = b.floats(&format!("{name}.bias"), &conv.bias);
        map = b.conv3x3(&name, &map, &weight, &bias, signed(STRIDES[index]));
        map = b.relu(&format!("{name}.positive"), &map);
    }
    let mean = b.reduce_mean("pooled_pictures", &map, &[2, 3]);
    let (rest, k) = (b.integers(&[-1]), b.integers(&[k]));
    let shape = b.concat("pooled.shape", 0, &[&rest, image.classes, &k]);
    b.reshape_to("pooled", &mean, &shape)
}

/// conv1 and ReLU, `[O, N, C, K]`.
fn first_convolution(b: &mut Builder, conv: &Conv, image: &Image) -> Value {
    let (k, width, ..) = conv.weight.dim();
    let mix = conv.weight.view().permuted_axes([2, 3, 0, 1]).as_standard_layout().into_owned();
    let mix: Array2<f32> = mix.into_shape_with_order((9 * k, width)).expect("the same number of weights");
    let mixed = linear(b, "conv1.mixed", image.tokens, &mix, None);
    let neighbours = Neighbours::of(image.grid);
    let patches = image.grid * image.grid;
    let mixed = b.reshape("conv1.mixed.by_offset", &mixed, &[0, signed((patches + 1) * 9), signed(k)]);
    let indices = b.indices("conv1.sources", patches, &neighbours.products);
    let mixed = b.gather("conv1.gathered", &mixed, 1, &indices);
    // One token of weight 0 behind the last stands for whatever lies outside the map.
    let weights = b.pad("conv1.weights", image.weights, &[0, 0, 0, 0, 1, 0]);
    let indices = b.indices("conv1.weight_sources", patches, &neighbours.tokens);
    let weights = b.gather("conv1.weights.gathered", &weights, 1, &indices);
    let weights = b.transpose("conv1.weights.by_class", &weights, &[0, 1, 3, 2]);
    let map = b.matmul("conv1", &weights, &mixed);
    let bias = b.floats("conv1.bias", &conv.bias);
    let map = b.add("conv1.biased", &map, &bias);
    b.relu("conv1.positive", &map)
}

/// For every patch, row by row, its nine neighbours in the order of a 3×3 kernel.
struct Neighbours {
    /// Their tokens (CLS is 0); N+1 for one outside the map.
    tokens: Vec<i64>,
    /// Row `token·9 + offset` of the products `K_o z`; row 0 for one outside, whose weight is 0.
    products: Vec<i64>,
}

impl Neighbours {
    fn of(grid: usize) -> Self {
        let grid = signed(grid);
        let mut neighbours = Self { tokens: Vec::new(), products: Vec::new() };
        for patch in 0..grid * grid {
            for offset in 0..9 {
                let (row, column) = (patch / grid + offset / 3 - 1, patch % grid + offset % 3 - 1);
                let inside = (0..grid).contains(&row) && (0..grid).contains(&column);
                let token = if inside { 1 + row * grid + column } else { grid * grid + 1 };
                neighbours.tokens.push(token);
                neighbours.products.push(if inside { token * 9 + offset } else { 0 });
            }
        }
        neighbours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_those_of_a_3x3_kernel_with_zero_padding() {
        let of = Neighbours::of(2);
        // A 2×2 map holds the tokens 1 2 / 3 4; 5 is outside.
        assert_eq!(of.tokens[..9], [5, 5, 5, 5, 1, 2, 5, 3, 4]);
        assert_eq!(of.tokens[27..], [1, 2, 5, 3, 4, 5, 5, 5, 5]);
        assert_eq!(of.products[..9], [0, 0, 0, 0, 9 + 4, 18 + 5, 0, 27 + 7, 36 + 8]);
    }
}
