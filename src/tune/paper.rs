//! The paper's recipe: both combiners trained whole with CLIP's contrastive loss, each object under its own class.
//!
//! The paper names no optimiser, rate or number of steps **(ours: AdamW, 10⁻³ with warm-up and cosine decay, 60 steps of all shots)**.

use std::f64::consts::PI;

use candle_core::{DType, Tensor};
use ndarray::{Array2, Array3, Axis};

use super::{
    adamw::AdamW,
    head::Head,
    losses::{contrastive, omega, unit},
    recipe::{DECAY, Recipe, WARM_UP, World, loss_of, positions},
    samples::{Samples, own},
    tensor::{array, failed},
};
use crate::Result;

const STEPS: [usize; 1] = [60];

const RATE: f64 = 1e-3;

/// Objects that are scored at once.
const CHUNK: usize = 32;

/// The paper's recipe on given shots.
pub(super) struct PaperRecipe {
    world: World,
    start: Head,
    samples: Samples,
}

impl PaperRecipe {
    pub(super) const fn new(world: World, start: Head, samples: Samples) -> Self {
        Self { world, start, samples }
    }
}

impl Recipe for PaperRecipe {
    type Fitted = Head;

    fn fit(&self, shots: &[usize], listed: &[usize], each: &mut dyn FnMut(usize, f32) -> Result<()>) -> Result<Vec<(usize, Head)>> {
        let world = self.world.listing(listed)?;
        let samples = self.samples.of(shots)?;
        let own = own(&positions(&samples.classes, listed), listed.len(), DType::F32)?;
        let conditioned = Conditioned::new(&samples).map_err(failed)?;
        let (head, variables) = self.start.trainable().map_err(failed)?;
        let mut optimiser = AdamW::new(variables, DECAY).map_err(failed)?;
        for step in 0..STEPS[0] {
            let loss = conditioned.loss(&head, &world, &own).map_err(failed)?;
            each(step, loss_of(&loss, step)?)?;
            loss.backward().and_then(|gradients| optimiser.step(&gradients, rate(step))).map_err(failed)?;
        }
        Ok(vec![(STEPS[0], head.frozen().map_err(failed)?)])
    }

    /// The form `paper` replaces CLIP's state, so there is nothing to take a share of.
    fn weakened(&self, head: &Head, _strength: f32) -> Result<Head> {
        Ok(head.clone())
    }

    fn omegas(&self, head: &Head, shots: &[usize]) -> Result<Vec<Array2<f32>>> {
        let chunks = shots.chunks(CHUNK).map(|shots| {
            let samples = self.samples.of(shots)?;
            let fused = head.fused(&samples.target, &samples.background, &samples.target_weights, &samples.listed);
            array(&fused.and_then(|fused| omega(&fused, &self.world.projection, &self.world.text)).map_err(failed)?)
        });
        let chunks: Vec<Array2<f32>> = chunks.collect::<Result<_>>()?;
        let views: Vec<_> = chunks.iter().map(|chunk| chunk.view()).collect();
        Ok(vec![ndarray::concatenate(Axis(0), &views).expect("every chunk has the class list's columns")])
    }

    fn head(&self, fitted: &Head) -> Head {
        fitted.clone()
    }

    fn steps(&self) -> &'static [usize] {
        &STEPS
    }

    fn strengths(&self) -> &'static [f32] {
        &[1.0]
    }
}

/// Grows over the first steps, then falls along a cosine.
#[expect(clippy::cast_precision_loss, reason = "some steps")]
fn rate(step: usize) -> f64 {
    let grown = ((step + 1) as f64 / WARM_UP as f64).min(1.0);
    RATE * grown * 0.5 * (1.0 + (PI * step as f64 / STEPS[0] as f64).cos())
}

/// Objects under their own class alone.
struct Conditioned {
    target: Tensor,
    background: Tensor,
    /// `[n, T, 1]`.
    target_weights: Tensor,
    /// `[n, T, 1]`.
    background_weights: Tensor,
}

impl Conditioned {
    fn new(samples: &Samples) -> candle_core::Result<Self> {
        Ok(Self {
            target: samples.target.clone(),
            background: samples.background.clone(),
            target_weights: of_own_class(&samples.target_weights, &samples.classes)?,
            background_weights: of_own_class(&samples.met, &samples.classes)?,
        })
    }

    fn loss(&self, head: &Head, world: &World, own: &Tensor) -> candle_core::Result<Tensor> {
        let fused = head.fused(&self.target, &self.background, &self.target_weights, &self.background_weights)?.squeeze(1)?;
        let embedding = unit(&fused.matmul(&world.projection.t()?)?)?;
        contrastive(&(embedding.matmul(&world.text.t()?)? * world.scale)?, own)
    }
}

/// Of `[n, T, C]` each object's own class, `[n, T, 1]`.
fn of_own_class(weights: &Tensor, classes: &[usize]) -> candle_core::Result<Tensor> {
    let (objects, tokens, _) = weights.dims3()?;
    let all = Array3::from_shape_vec(weights.dims3()?, weights.flatten_all()?.to_vec1::<f32>()?).expect("as many as the shape says");
    let own = all.outer_iter().zip(classes).flat_map(|(weights, &class)| weights.column(class).to_vec());
    Tensor::from_vec(own.collect::<Vec<f32>>(), (objects, tokens, 1), weights.device())
}
