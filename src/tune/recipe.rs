//! What a recipe is to the choice among its candidates, and what both recipes share.

use candle_core::{DType, Tensor};
use ndarray::{Array1, Array2};

use super::{
    head::Head,
    samples::indices,
    tensor::{array, failed, tensor},
    texts::Texts,
};
use crate::{Error, Result};

/// AdamW's weight decay.
pub(super) const DECAY: f64 = 0.01;

/// Steps in which the rate grows to its full size.
pub(super) const WARM_UP: usize = 5;

/// Trains on some of the shots, and scores others.
pub(super) trait Recipe {
    /// What training gives.
    type Fitted;

    /// Trains on the shots at these positions as if the list were these of its classes, to which all of them belong: what there is after
    /// each number of steps that is a candidate, fewest first. `each` is told of every step and its loss.
    fn fit(&self, shots: &[usize], listed: &[usize], each: &mut dyn FnMut(usize, f32) -> Result<()>) -> Result<Vec<(usize, Self::Fitted)>>;

    /// Ω of the shots at these positions as at inference, under every class of the list, `[n, C]`, with each of the
    /// [`strengths`](Self::strengths).
    fn omegas(&self, fitted: &Self::Fitted, shots: &[usize]) -> Result<Vec<Array2<f32>>>;

    /// The same with a share of what it adds to plain CLIP.
    fn weakened(&self, fitted: &Self::Fitted, strength: f32) -> Result<Self::Fitted>;

    /// The whole head.
    fn head(&self, fitted: &Self::Fitted) -> Head;

    /// M̃ of the whole class list, `[E]`, where it was learned.
    fn context(&self, _fitted: &Self::Fitted) -> Result<Option<Array1<f32>>> {
        Ok(None)
    }

    /// Candidates and the steps of one training.
    fn steps(&self) -> &'static [usize];

    /// Shares of what training adds that are candidates, least first.
    fn strengths(&self) -> &'static [f32];
}

/// Texts as tensors.
#[derive(Debug, Clone)]
pub(super) struct World {
    /// M(t_c), `[C, E]`.
    pub(super) text: Tensor,
    /// P, `[E, D]`.
    pub(super) projection: Tensor,
    /// τ.
    pub(super) scale: f64,
}

impl World {
    pub(super) fn new(texts: &Texts) -> Result<Self> {
        Ok(Self { text: tensor(&texts.text)?, projection: tensor(&texts.projection)?, scale: f64::from(texts.scale) })
    }

    /// The same for a list of these of its classes.
    pub(super) fn listing(&self, classes: &[usize]) -> Result<Self> {
        let text = self.text.index_select(&indices(classes)?, 0).map_err(failed)?;
        Ok(Self { text, ..self.clone() })
    }

    /// Plain CLIP's cosines, `[n, C]`, of z_0 `[n, D]`.
    pub(super) fn plain(&self, cls: &Tensor) -> Result<Array2<f32>> {
        let embedding = cls.matmul(&self.projection.t().map_err(failed)?).map_err(failed)?;
        let cosines = super::losses::unit(&embedding).and_then(|unit| unit.matmul(&self.text.t()?)).map_err(failed)?;
        array(&cosines)
    }
}

/// The loss of a step as a number.
///
/// # Errors
/// [`Error::Setting`] where it is not finite: what comes of it would be of no use.
pub(crate) fn loss_of(loss: &Tensor, step: usize) -> Result<f32> {
    let value: f32 = loss.to_dtype(DType::F32).and_then(|loss| loss.to_scalar()).map_err(failed)?;
    if value.is_finite() {
        return Ok(value);
    }
    Err(Error::Setting(format!("the training's loss became {value} at step {step}; check the CLIP weights with `uniood models check`")))
}

/// Each shot's class as its position among `listed`.
pub(super) fn positions(classes: &[usize], listed: &[usize]) -> Vec<usize> {
    let position = |class: &usize| listed.iter().position(|one| one == class).expect("a training's shots are of classes that it lists");
    classes.iter().map(position).collect()
}
