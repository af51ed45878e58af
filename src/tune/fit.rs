//! The default recipe: half a mean shift first; then mlp2 of both branches, with cross-entropy and leave-own-class-out.
//!
//! Everything before mlp2 stays at its random start, so what mlp2 works on is computed once for all classes, and a step
//! costs next to nothing.

use candle_core::{D, DType, Device, Tensor};
use ndarray::{Array1, Array2, Axis};

use super::{
    adamw::AdamW,
    head::{Branch, Head, Layer},
    losses::{cross_entropy, leave_own_class_out, omega},
    recipe::{DECAY, Recipe, WARM_UP, World, loss_of},
    rng::{Purpose, Rng},
    samples::{Samples, indices, own},
    shift,
    tensor::{array, failed, tensor},
};
use crate::Result;

/// Numbers of steps to choose among.
const STEPS: [usize; 8] = [0, 10, 20, 30, 40, 60, 80, 120];

const RATE: f64 = 3e-4;

/// The share of samples that are trained as if alone in the frame: else a head trained on scenes destroys the image level.
const NO_CONTEXT: f32 = 0.3;

/// Objects whose hidden features are computed at once.
const CHUNK: usize = 32;

/// What mlp2 works on, of n objects.
#[derive(Debug, Clone)]
struct Hidden {
    /// z_0, `[n, D]`.
    cls: Tensor,
    /// Of the target's branch, `[n, C, M]`.
    target: Tensor,
    /// Of the background's under each kind of weights in [`Samples`], `[n, C, M]`.
    met: Tensor,
    listed: Tensor,
    alone: Tensor,
    classes: Vec<usize>,
}

/// mlp2 of both branches.
#[derive(Debug, Clone)]
pub(super) struct Second {
    target: Layer,
    background: Layer,
}

/// The default recipe on given shots.
pub(super) struct DefaultRecipe {
    world: World,
    start: Head,
    hidden: Hidden,
    seed: u64,
}

impl DefaultRecipe {
    /// `start`: a head of the residual form.
    pub(super) fn new(world: World, start: Head, samples: &Samples, seed: u64) -> Result<Self> {
        let hidden = Hidden::new(&start, samples)?;
        Ok(Self { world, start, hidden, seed })
    }
}

impl Recipe for DefaultRecipe {
    type Fitted = Second;

    fn fit(&self, shots: &[usize], each: &mut dyn FnMut(usize, f32) -> Result<()>) -> Result<Vec<(usize, Second)>> {
        let hidden = self.hidden.of(shots)?;
        let own = own(&hidden.classes, self.world.text.dim(0).map_err(failed)?, DType::F32)?;
        let mut second = Second::start(&self.world, &hidden, &self.start)?;
        let mut variables = Vec::new();
        for layer in [&mut second.target, &mut second.background] {
            layer.train(&mut variables).map_err(failed)?;
        }
        let mut optimiser = AdamW::new(variables, DECAY).map_err(failed)?;
        let mut rng = Rng::new(self.seed, Purpose::Context);
        let mut kept = Vec::new();
        let most = STEPS[STEPS.len() - 1];
        for step in 0..=most {
            if STEPS.contains(&step) {
                kept.push((step, second.frozen().map_err(failed)?));
            }
            if step == most {
                break;
            }
            let background = hidden.partly_alone(&mut rng).map_err(failed)?;
            let loss = self.loss(&hidden, &background, &second, &own).map_err(failed)?;
            each(step, loss_of(&loss, step)?)?;
            #[expect(clippy::cast_precision_loss, reason = "the first few steps")]
            let rate = RATE * ((step + 1) as f64 / WARM_UP as f64).min(1.0);
            loss.backward().and_then(|gradients| optimiser.step(&gradients, rate)).map_err(failed)?;
        }
        Ok(kept)
    }

    fn omega(&self, fitted: &Second, shots: &[usize]) -> Result<Array2<f32>> {
        let hidden = self.hidden.of(shots)?;
        array(&fitted.omega(&self.world, &hidden, &hidden.listed).map_err(failed)?)
    }

    fn head(&self, fitted: &Second) -> Head {
        let with = |branch: &Branch, mlp2: &Layer| Branch { mlp2: Some(mlp2.clone()), ..branch.clone() };
        let Head { form, target, background } = &self.start;
        Head { form: *form, target: with(target, &fitted.target), background: with(background, &fitted.background) }
    }

    fn steps(&self) -> &'static [usize] {
        &STEPS
    }
}

impl DefaultRecipe {
    fn loss(&self, hidden: &Hidden, background: &Tensor, second: &Second, own: &Tensor) -> candle_core::Result<Tensor> {
        let omega = second.omega(&self.world, hidden, background)?;
        let scale = self.world.scale;
        cross_entropy(&(&omega * scale)?, own)? + leave_own_class_out(&omega, own, scale)?
    }
}

impl Hidden {
    fn new(head: &Head, samples: &Samples) -> Result<Self> {
        let of = |branch: &Branch, z: &Tensor, weights: &Tensor| -> candle_core::Result<Tensor> {
            let count = z.dim(0)?;
            let chunks = (0..count).step_by(CHUNK).map(|from| {
                let length = CHUNK.min(count - from);
                branch.hidden(&z.narrow(0, from, length)?, &weights.narrow(0, from, length)?)
            });
            Tensor::cat(&chunks.collect::<candle_core::Result<Vec<_>>>()?, 0)
        };
        let background = |weights: &Tensor| of(&head.background, &samples.background, weights).map_err(failed);
        Ok(Self {
            cls: samples.cls()?,
            target: of(&head.target, &samples.target, &samples.target_weights).map_err(failed)?,
            met: background(&samples.met)?,
            listed: background(&samples.listed)?,
            alone: background(&samples.alone)?,
            classes: samples.classes.clone(),
        })
    }

    fn of(&self, chosen: &[usize]) -> Result<Self> {
        let rows = indices(chosen)?;
        let of = |tensor: &Tensor| tensor.index_select(&rows, 0).map_err(failed);
        Ok(Self {
            cls: of(&self.cls)?,
            target: of(&self.target)?,
            met: of(&self.met)?,
            listed: of(&self.listed)?,
            alone: of(&self.alone)?,
            classes: chosen.iter().map(|&index| self.classes[index]).collect(),
        })
    }

    /// The background's features in their real context, some of them as if alone.
    fn partly_alone(&self, rng: &mut Rng) -> candle_core::Result<Tensor> {
        let dropped: Vec<f32> = self.classes.iter().map(|_| f32::from(u8::from(rng.unit() < NO_CONTEXT))).collect();
        let dropped = Tensor::from_vec(dropped, (self.classes.len(), 1, 1), &Device::Cpu)?;
        &self.met + dropped.broadcast_mul(&(&self.alone - &self.met)?)?
    }
}

impl Second {
    /// Zero, but for the target's bias: half a mean shift.
    fn start(world: &World, hidden: &Hidden, head: &Head) -> Result<Self> {
        let width = hidden.cls.dim(D::Minus1).map_err(failed)?;
        let features = head.target.mlp1.weight.dim(0).map_err(failed)?;
        let zero = || Layer::zero(width, features).map_err(failed);
        let (cls, projection): (Array2<f32>, Array2<f32>) = (array(&hidden.cls)?, array(&world.projection)?);
        let text: Array2<f32> = array(&world.text)?;
        let bias: Array1<f32> =
            shift::half(&cls.dot(&projection.t()), &text.select(Axis(0), &hidden.classes), &hidden.classes, &projection);
        Ok(Self { target: Layer { bias: tensor(&bias)?, ..zero()? }, background: zero()? })
    }

    fn frozen(&self) -> candle_core::Result<Self> {
        let of =
            |layer: &Layer| Ok::<_, candle_core::Error>(Layer { weight: layer.weight.copy()?.detach(), bias: layer.bias.copy()?.detach() });
        Ok(Self { target: of(&self.target)?, background: of(&self.background)? })
    }

    /// Ω, `[n, C]`, with `background` features `[n, C, M]`.
    fn omega(&self, world: &World, hidden: &Hidden, background: &Tensor) -> candle_core::Result<Tensor> {
        let change = (self.target.apply(&hidden.target)? + self.background.apply(background)?)?;
        omega(&change.broadcast_add(&hidden.cls.unsqueeze(1)?)?, &world.projection, &world.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{combiner::Form, tune::head::Shape};

    const SHAPE: Shape = Shape { form: Form::Residual, width: 6, channels: Some(3), hidden: 8 };

    /// Two classes of three objects that lie apart, and texts that lie elsewhere.
    fn recipe(projection: f32) -> DefaultRecipe {
        let mut rng = Rng::new(9, Purpose::Shots);
        let classes = [0, 0, 0, 1, 1, 1];
        let mut tokens = || {
            let z = ndarray::Array3::from_shape_fn((6, 5, 6), |(object, _, at)| rng.unit() + if at == classes[object] { 2.0 } else { 0.0 });
            tensor(&z).unwrap()
        };
        let (target, background) = (tokens(), tokens());
        let weights = || tensor(&ndarray::Array3::<f32>::from_elem((6, 5, 2), 0.5)).unwrap();
        let samples = Samples {
            target,
            background,
            target_weights: weights(),
            met: weights(),
            listed: weights(),
            alone: weights(),
            classes: classes.to_vec(),
        };
        let text = ndarray::array![[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let projection = Array2::from_shape_fn((4, 6), |(row, column)| if row == column { projection } else { 0.0 });
        let world = World { text: tensor(&text).unwrap(), projection: tensor(&projection).unwrap(), scale: 10.0 };
        let start = Head::random(SHAPE, &mut Rng::new(0, Purpose::Weights)).unwrap();
        DefaultRecipe::new(world, start, &samples, 0).unwrap()
    }

    #[test]
    fn the_loss_falls_and_equal_seeds_give_equal_weights() {
        let fit = || {
            let mut losses = Vec::new();
            let recipe = recipe(1.0);
            let kept = recipe
                .fit(&[0, 1, 2, 3, 4, 5], &mut |_, loss| {
                    losses.push(loss);
                    Ok(())
                })
                .unwrap();
            // How far the own class is ahead, before the first step and after the last.
            let ahead = [&kept[0], &kept[7]].map(|(_, fitted)| {
                let omega = recipe.omega(fitted, &[0, 1, 2, 3, 4, 5]).unwrap();
                (0..6).map(|object| omega[[object, object / 3]] - omega[[object, 1 - object / 3]]).sum::<f32>()
            });
            (losses, ahead, kept.len())
        };
        let (losses, ahead, kept) = fit();
        assert_eq!((losses.len(), kept), (120, STEPS.len()));
        assert!(losses[119] < 0.9 * losses[0], "{} {}", losses[0], losses[119]);
        assert!(ahead[1] > ahead[0], "{ahead:?}");
        assert_eq!(fit(), (losses, ahead, kept));
    }

    #[test]
    fn a_loss_that_is_no_number_is_a_sentence() {
        let error = recipe(f32::NAN).fit(&[0, 1, 3, 4], &mut |_, _| Ok(())).unwrap_err().to_string();
        assert!(error.contains("loss became NaN at step 0"), "{error}");
    }
}
