//! A baseline in the manner of RUNA (Zhang et al. 2025): the crop and the whole picture with its background blurred, fused, and a projection that
//! is tuned on the shots.
//!
//! The paper's exact formula could not be found, and no code of it is public, so all of it is **ours**: both embeddings are scaled to unit length
//! and added; the projection starts as the identity and is trained with cross-entropy at CLIP's own temperature, all shots in a batch; the score is
//! the largest cosine, as that of plain CLIP and of `shift`, so that what is compared is fusion and tuning alone. The rate is that of this project's
//! own recipe, and nothing was chosen by looking at OOD data.

use candle_core::{DType, Tensor};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use crate::{
    Result,
    tune::{
        Progress,
        adamw::AdamW,
        losses::{cross_entropy, unit},
        recipe::loss_of,
        samples::own,
        tensor::{array, failed, tensor},
    },
};

const STEPS: usize = 40;
const RATE: f64 = 3e-4;
const DECAY: f64 = 0.01;

/// A tuned projection.
#[derive(Debug, Clone)]
pub struct RunaLike {
    /// `[E, E]`.
    projection: Array2<f32>,
}

/// Crop and scene in one embedding; both of unit length.
#[must_use]
pub fn fused(crop: &ArrayRef1<f32>, scene: &ArrayRef1<f32>) -> Array1<f32> {
    crop.to_owned() + scene
}

impl RunaLike {
    /// Tunes the projection on fused shots `[n, E]` of these classes under texts `[C, E]`, of unit length; `scale` is τ, what cosines are multiplied
    /// with before a softmax; `each` is told of every step.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] where the loss is no number; whatever `each` refuses.
    pub fn tune(
        shots: &ArrayRef2<f32>,
        classes: &[usize],
        texts: &ArrayRef2<f32>,
        scale: f32,
        each: &mut dyn FnMut(Progress) -> Result<()>,
    ) -> Result<Self> {
        let scale = f64::from(scale);
        let (shots, texts, own) = (tensor(shots)?, tensor(texts)?, own(classes, texts.nrows(), DType::F32)?);
        let start = tensor(&Array2::<f32>::eye(texts.dim(1).map_err(failed)?))?;
        let (projection, mut optimiser) = trainable(&start).map_err(failed)?;
        for step in 0..STEPS {
            let loss = loss(&shots, &projection, &texts, &own, scale).map_err(failed)?;
            each(Progress::Trained { done: step + 1, total: STEPS, loss: loss_of(&loss, step)? })?;
            loss.backward().and_then(|gradients| optimiser.step(&gradients, RATE)).map_err(failed)?;
        }
        Ok(Self { projection: array(&projection)? })
    }

    /// The largest cosine.
    #[must_use]
    pub fn score(&self, fused: &ArrayRef1<f32>, texts: &ArrayRef2<f32>) -> f64 {
        let projected = self.projection.dot(fused);
        let length = projected.dot(&projected).sqrt().max(f32::MIN_POSITIVE);
        f64::from(texts.dot(&projected).fold(f32::NEG_INFINITY, |most, cosine| most.max(*cosine)) / length)
    }
}

fn trainable(start: &Tensor) -> candle_core::Result<(Tensor, AdamW)> {
    let variable = candle_core::Var::from_tensor(start)?;
    Ok((variable.as_tensor().clone(), AdamW::new(vec![variable], DECAY)?))
}

fn loss(shots: &Tensor, projection: &Tensor, texts: &Tensor, own: &Tensor, scale: f64) -> candle_core::Result<Tensor> {
    let cosines = unit(&shots.matmul(&projection.t()?)?)?.matmul(&texts.t()?)?;
    cross_entropy(&(cosines * scale)?, own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn tuning_turns_the_shots_to_their_texts_and_gives_the_same_again() {
        // Both classes lie a little nearer to the first text.
        let texts = array![[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        let shots = array![[1.9, 0.2, 0.3], [1.8, 0.1, 0.2], [1.1, 0.9, 0.8], [1.0, 0.9, 0.9]];
        let mut steps = 0;
        let mut tune = || {
            RunaLike::tune(&shots, &[0, 0, 1, 1], &texts, 10.0, &mut |_| {
                steps += 1;
                Ok(())
            })
            .unwrap()
        };
        let (tuned, again) = (tune(), tune());
        assert_eq!(tuned.projection, again.projection);
        assert_eq!(steps, 2 * STEPS);
        let plain = RunaLike { projection: Array2::eye(3) };
        // How far the second class's shots are ahead in their own text.
        let ahead = |method: &RunaLike| {
            let of = |text: usize| method.score(&shots.row(2), &texts.select(ndarray::Axis(0), &[text]));
            of(1) - of(0)
        };
        assert!(ahead(&tuned) > ahead(&plain), "{} {}", ahead(&tuned), ahead(&plain));
        let between = plain.score(&fused(&array![0.6, 0.8, 0.0], &array![0.8, 0.6, 0.0]), &texts);
        assert!((between - 0.5f64.sqrt()).abs() < 1e-6, "{between}");
    }

    #[test]
    fn whoever_watches_can_stop_it() {
        let stopped = RunaLike::tune(&array![[1.0, 0.0]], &[0], &array![[1.0, 0.0]], 1.0, &mut |_| Err(crate::Error::Interrupted));
        assert!(matches!(stopped, Err(crate::Error::Interrupted)));
    }
}
