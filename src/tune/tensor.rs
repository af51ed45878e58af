//! Between ndarray, in which the method is written, and candle, in which gradients are.

use candle_core::{DType, Device, Tensor};
use ndarray::{Array, Array2, Array3, ArrayRef, Axis, Dimension};

use crate::{Error, Result};

/// A candle failure as an error of ours: there is none that a user's data could cause.
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` calls")]
pub(crate) fn failed(error: candle_core::Error) -> Error {
    Error::Inference { stage: "train", problem: error.to_string() }
}

/// An array as a tensor.
pub(crate) fn tensor<D: Dimension>(array: &ArrayRef<f32, D>) -> Result<Tensor> {
    Tensor::from_vec(array.iter().copied().collect::<Vec<f32>>(), array.shape(), &Device::Cpu).map_err(failed)
}

/// Rows of one shape, `[T, C]` each, as one tensor `[n, T, C]`.
pub(crate) fn stacked(rows: impl Iterator<Item = Array2<f32>>) -> Result<Tensor> {
    let rows: Vec<Array2<f32>> = rows.collect();
    let views: Vec<_> = rows.iter().map(|row| row.view()).collect();
    let all: Array3<f32> = ndarray::stack(Axis(0), &views).expect("every object has the same number of tokens");
    tensor(&all)
}

/// A tensor as an array of `D`'s number of sides.
pub(crate) fn array<D: Dimension>(tensor: &Tensor) -> Result<Array<f32, D>> {
    let values = tensor.to_dtype(DType::F32).and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>()).map_err(failed)?;
    let array = ndarray::ArrayD::from_shape_vec(tensor.dims(), values).expect("as many numbers as the shape says");
    Ok(array.into_dimensionality().expect("callers name the tensor's own number of sides"))
}
