//! The default recipe: half a mean shift first; then mlp2 of both branches, with cross-entropy and leave-own-class-out.
//!
//! Everything before mlp2 stays at its random start, so what mlp2 works on is computed once for all classes, and a step
//! costs next to nothing. Where the context's text is learned ([`super::context`]), the background's part is computed anew in every step.

use candle_core::{D, DType, Device, Tensor};
use ndarray::{Array1, Array2, Axis};

use super::{
    adamw::AdamW,
    context::{Company, ContextNet},
    head::{Branch, Head, Layer, Mixed},
    losses::{cross_entropy, leave_own_class_out, omega},
    recipe::{DECAY, Recipe, WARM_UP, World, loss_of, positions},
    rng::{Purpose, Rng},
    samples::{Samples, indices, own},
    shift,
    tensor::{array, failed, tensor},
};
use crate::Result;

/// Numbers of steps to choose among.
const STEPS: [usize; 8] = [0, 10, 20, 30, 40, 60, 80, 120];

/// Shares of what training adds to choose among. What ten shots teach is often right in direction and too much in size.
const STRENGTHS: [f32; 4] = [0.25, 0.5, 0.75, 1.0];

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
    background: Background,
    classes: Vec<usize>,
}

/// The background's branch.
#[derive(Debug, Clone)]
enum Background {
    /// What mlp2 works on under each kind of weights in [`Samples`], `[n, C, M]`.
    Computed { met: Tensor, listed: Tensor, alone: Tensor },
    /// The context's text is learned, so what mlp2 works on changes with every step.
    Learned { mixed: Mixed, company: Company, net: ContextNet },
}

/// What training gives.
#[derive(Debug, Clone)]
pub(super) struct Fitted {
    second: Second,
    /// Where the context's text is learned.
    net: Option<ContextNet>,
}

/// mlp2 of both branches.
#[derive(Debug, Clone)]
struct Second {
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
        let hidden = Hidden::new(&start, samples, seed)?;
        Ok(Self { world, start, hidden, seed })
    }
}

impl Recipe for DefaultRecipe {
    type Fitted = Fitted;

    fn fit(&self, shots: &[usize], listed: &[usize], each: &mut dyn FnMut(usize, f32) -> Result<()>) -> Result<Vec<(usize, Fitted)>> {
        let world = self.world.listing(listed)?;
        let mut hidden = self.hidden.of(shots)?.listing(listed)?;
        let own = own(&hidden.classes, listed.len(), DType::F32)?;
        let mut second = Second::start(&world, &hidden, &self.start)?;
        let mut variables = Vec::new();
        for layer in [&mut second.target, &mut second.background] {
            layer.train(&mut variables).map_err(failed)?;
        }
        if let Background::Learned { net, .. } = &mut hidden.background {
            net.train(&mut variables).map_err(failed)?;
        }
        let mut optimiser = AdamW::new(variables, DECAY).map_err(failed)?;
        let mut rng = Rng::new(self.seed, Purpose::Context);
        let mut kept = Vec::new();
        let most = STEPS[STEPS.len() - 1];
        for step in 0..=most {
            if STEPS.contains(&step) {
                kept.push((step, Fitted { second: second.frozen().map_err(failed)?, net: hidden.net().map_err(failed)? }));
            }
            if step == most {
                break;
            }
            let background = hidden.partly_alone(&self.start.background, &mut rng).map_err(failed)?;
            let loss = loss(&world, &hidden, &background, &second, &own).map_err(failed)?;
            each(step, loss_of(&loss, step)?)?;
            #[expect(clippy::cast_precision_loss, reason = "the first few steps")]
            let rate = RATE * ((step + 1) as f64 / WARM_UP as f64).min(1.0);
            loss.backward().and_then(|gradients| optimiser.step(&gradients, rate)).map_err(failed)?;
        }
        Ok(kept)
    }

    fn weakened(&self, Fitted { second, net }: &Fitted, strength: f32) -> Result<Fitted> {
        Ok(Fitted { second: second.weakened(strength.into()).map_err(failed)?, net: net.clone() })
    }

    fn omegas(&self, Fitted { second, net }: &Fitted, shots: &[usize]) -> Result<Vec<Array2<f32>>> {
        let hidden = self.hidden.of(shots)?.with(net.as_ref());
        let listed = hidden.listed(&self.start.background);
        let change = listed.and_then(|listed| second.change(&hidden, &listed)).map_err(failed)?;
        let with =
            |strength: f32| array(&(&change * f64::from(strength)).and_then(|change| hidden.omega(&self.world, &change)).map_err(failed)?);
        STRENGTHS.into_iter().map(with).collect()
    }

    fn context(&self, fitted: &Fitted) -> Result<Option<Array1<f32>>> {
        let Some(net) = &fitted.net else { return Ok(None) };
        let context = self.world.text.mean_keepdim(0).and_then(|mean| net.apply(&mean)?.squeeze(0)).map_err(failed)?;
        array(&context).map(Some)
    }

    fn head(&self, Fitted { second: fitted, .. }: &Fitted) -> Head {
        let with = |branch: &Branch, mlp2: &Layer| Branch { mlp2: Some(mlp2.clone()), ..branch.clone() };
        let Head { form, target, background } = &self.start;
        Head { form: *form, target: with(target, &fitted.target), background: with(background, &fitted.background) }
    }

    fn steps(&self) -> &'static [usize] {
        &STEPS
    }

    fn strengths(&self) -> &'static [f32] {
        &STRENGTHS
    }
}

fn loss(world: &World, hidden: &Hidden, background: &Tensor, second: &Second, own: &Tensor) -> candle_core::Result<Tensor> {
    let omega = hidden.omega(world, &second.change(hidden, background)?)?;
    cross_entropy(&(&omega * world.scale)?, own)? + leave_own_class_out(&omega, own, world.scale)?
}

impl Hidden {
    fn new(head: &Head, samples: &Samples, seed: u64) -> Result<Self> {
        let of = |branch: &Branch, z: &Tensor, weights: &Tensor| -> candle_core::Result<Tensor> {
            let count = z.dim(0)?;
            let chunks = (0..count).step_by(CHUNK).map(|from| {
                let length = CHUNK.min(count - from);
                branch.hidden(&branch.mixed(&z.narrow(0, from, length)?)?, &weights.narrow(0, from, length)?)
            });
            Tensor::cat(&chunks.collect::<candle_core::Result<Vec<_>>>()?, 0)
        };
        let background = |weights: &Tensor| of(&head.background, &samples.background, weights).map_err(failed);
        Ok(Self {
            cls: samples.cls()?,
            target: of(&head.target, &samples.target, &samples.target_weights).map_err(failed)?,
            background: match &samples.company {
                None => Background::Computed {
                    met: background(&samples.met)?,
                    listed: background(&samples.listed)?,
                    alone: background(&samples.alone)?,
                },
                Some(company) => Background::Learned {
                    mixed: head.background.mixed(&samples.background).map_err(failed)?,
                    net: ContextNet::new(company.width().map_err(failed)?, &mut Rng::new(seed, Purpose::ContextNet)).map_err(failed)?,
                    company: company.clone(),
                },
            },
            classes: samples.classes.clone(),
        })
    }

    fn of(&self, chosen: &[usize]) -> Result<Self> {
        let rows = indices(chosen)?;
        let of = |tensor: &Tensor| tensor.index_select(&rows, 0).map_err(failed);
        Ok(Self {
            cls: of(&self.cls)?,
            target: of(&self.target)?,
            background: match &self.background {
                Background::Computed { met, listed, alone } => {
                    Background::Computed { met: of(met)?, listed: of(listed)?, alone: of(alone)? }
                }
                Background::Learned { mixed, company, net } => {
                    Background::Learned { mixed: mixed.of(&rows).map_err(failed)?, company: company.of(chosen)?, net: net.clone() }
                }
            },
            classes: chosen.iter().map(|&index| self.classes[index]).collect(),
        })
    }

    /// The same for a list of these classes, to which all objects belong.
    fn listing(self, classes: &[usize]) -> Result<Self> {
        let columns = indices(classes)?;
        let of = |tensor: &Tensor| tensor.index_select(&columns, 1).map_err(failed);
        Ok(Self {
            target: of(&self.target)?,
            background: match self.background {
                Background::Computed { met, listed, alone } => {
                    Background::Computed { met: of(&met)?, listed: of(&listed)?, alone: of(&alone)? }
                }
                // The same for every class.
                learned @ Background::Learned { .. } => learned,
            },
            classes: positions(&self.classes, classes),
            cls: self.cls,
        })
    }

    /// The same under another network, where there is one.
    fn with(mut self, trained: Option<&ContextNet>) -> Self {
        if let (Background::Learned { net, .. }, Some(trained)) = (&mut self.background, trained) {
            *net = trained.clone();
        }
        self
    }

    /// The network as it is now.
    fn net(&self) -> candle_core::Result<Option<ContextNet>> {
        match &self.background {
            Background::Computed { .. } => Ok(None),
            Background::Learned { net, .. } => net.frozen().map(Some),
        }
    }

    /// The background's features in their real context, some of them as if alone, `[n, C or 1, M]`.
    fn partly_alone(&self, branch: &Branch, rng: &mut Rng) -> candle_core::Result<Tensor> {
        let dropped: Vec<f32> = self.classes.iter().map(|_| f32::from(u8::from(rng.unit() < NO_CONTEXT))).collect();
        let dropped = Tensor::from_vec(dropped, (self.classes.len(), 1), &Device::Cpu)?;
        match &self.background {
            Background::Computed { met, alone, .. } => met + dropped.unsqueeze(2)?.broadcast_mul(&(alone - met)?)?,
            Background::Learned { mixed, company, net } => branch.hidden(mixed, &company.met(net, &(1.0 - dropped)?)?),
        }
    }

    /// The background's features as at inference.
    fn listed(&self, branch: &Branch) -> candle_core::Result<Tensor> {
        match &self.background {
            Background::Computed { listed, .. } => Ok(listed.clone()),
            Background::Learned { mixed, company, net } => branch.hidden(mixed, &company.listed(net)?),
        }
    }

    /// Ω, `[n, C]`, of z_0 and what is added to it.
    fn omega(&self, world: &World, change: &Tensor) -> candle_core::Result<Tensor> {
        omega(&change.broadcast_add(&self.cls.unsqueeze(1)?)?, &world.projection, &world.text)
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
        Ok(Self { target: self.target.frozen()?, background: self.background.frozen()? })
    }

    fn weakened(&self, strength: f64) -> candle_core::Result<Self> {
        let layer =
            |Layer { weight, bias }: &Layer| Ok::<_, candle_core::Error>(Layer { weight: (weight * strength)?, bias: (bias * strength)? });
        Ok(Self { target: layer(&self.target)?, background: layer(&self.background)? })
    }

    /// What is added to z_0, `[n, C, D]`, with `background` features `[n, C or 1, M]`.
    fn change(&self, hidden: &Hidden, background: &Tensor) -> candle_core::Result<Tensor> {
        self.target.apply(&hidden.target)?.broadcast_add(&self.background.apply(background)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{combiner::Form, tune::head::Shape};

    const SHAPE: Shape = Shape { form: Form::Residual, width: 6, channels: Some(3), hidden: 8 };

    /// Two classes of three objects that lie apart, and texts that lie elsewhere.
    fn recipe(projection: f32, learned: bool) -> DefaultRecipe {
        let mut rng = Rng::new(9, Purpose::Shots);
        let classes = [0, 0, 0, 1, 1, 1];
        let mut tokens = || {
            let z = ndarray::Array3::from_shape_fn((6, 5, 6), |(object, _, at)| rng.unit() + if at == classes[object] { 2.0 } else { 0.0 });
            tensor(&z).unwrap()
        };
        let (target, background) = (tokens(), tokens());
        let weights = || tensor(&ndarray::Array3::<f32>::from_elem((6, 5, 2), 0.5)).unwrap();
        let company = learned.then(|| {
            let ones = |sides: (usize, usize)| tensor(&Array2::<f32>::ones(sides)).unwrap();
            let embedding = ndarray::Array3::from_shape_fn((6, 5, 4), |_| rng.unit() - 0.3);
            let alike = || [ones((6, 4)), ones((6, 1))];
            Company { attention: ones((6, 5)).unsqueeze(2).unwrap(), embedding: tensor(&embedding).unwrap(), met: alike(), listed: alike() }
        });
        let samples = Samples {
            target,
            background,
            target_weights: weights(),
            met: weights(),
            listed: weights(),
            alone: weights(),
            classes: classes.to_vec(),
            company,
        };
        let text = ndarray::array![[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let projection = Array2::from_shape_fn((4, 6), |(row, column)| if row == column { projection } else { 0.0 });
        let world = World { text: tensor(&text).unwrap(), projection: tensor(&projection).unwrap(), scale: 10.0 };
        let start = Head::random(SHAPE, &mut Rng::new(0, Purpose::Weights)).unwrap();
        DefaultRecipe::new(world, start, &samples, 0).unwrap()
    }

    /// How far the own class is ahead, over all objects, at full strength.
    fn ahead(recipe: &DefaultRecipe, fitted: &Fitted) -> f32 {
        let omega = recipe.omegas(fitted, &[0, 1, 2, 3, 4, 5]).unwrap().pop().unwrap();
        (0..6).map(|object| omega[[object, object / 3]] - omega[[object, 1 - object / 3]]).sum()
    }

    #[test]
    fn a_learned_context_moves_away_from_the_mean_and_equal_seeds_give_equal_networks() {
        let fit = || {
            let recipe = recipe(1.0, true);
            let kept = recipe.fit(&[0, 1, 2, 3, 4, 5], &[0, 1], &mut |_, _| Ok(())).unwrap();
            [&kept[0], &kept[7]].map(|(_, fitted)| (recipe.context(fitted).unwrap().unwrap(), ahead(&recipe, fitted)))
        };
        let found = fit();
        let [(first, before), (last, after)] = &found;
        assert_eq!(first, ndarray::array![0.0, 0.0, 0.5, 0.5]);
        assert!((last - first).mapv(f32::abs).sum() > 1e-3, "{last}");
        assert!(after > before, "{before} {after}");
        assert_eq!(fit(), found);
        assert!(recipe(1.0, false).context(&recipe(1.0, false).fit(&[0, 3], &[0, 1], &mut |_, _| Ok(())).unwrap()[0].1).unwrap().is_none());
    }

    #[test]
    fn the_loss_falls_and_equal_seeds_give_equal_weights() {
        let fit = || {
            let mut losses = Vec::new();
            let recipe = recipe(1.0, false);
            let kept = recipe
                .fit(&[0, 1, 2, 3, 4, 5], &[0, 1], &mut |_, loss| {
                    losses.push(loss);
                    Ok(())
                })
                .unwrap();
            // Before the first step and after the last.
            let ahead = [&kept[0], &kept[7]].map(|(_, fitted)| ahead(&recipe, fitted));
            (losses, ahead, kept.len())
        };
        let (losses, ahead, kept) = fit();
        assert_eq!((losses.len(), kept), (120, STEPS.len()));
        assert!(losses[119] < 0.9 * losses[0], "{} {}", losses[0], losses[119]);
        assert!(ahead[1] > ahead[0], "{ahead:?}");
        assert_eq!(fit(), (losses, ahead, kept));
    }

    #[test]
    fn a_weakened_head_scores_as_its_strength_did_and_a_list_without_a_class_trains_without_it() {
        let recipe = recipe(1.0, false);
        let (shots, listed) = ([0, 1, 2, 3, 4, 5], [0, 1]);
        let fitted = recipe.fit(&shots, &listed, &mut |_, _| Ok(())).unwrap().pop().unwrap().1;
        let omegas = recipe.omegas(&fitted, &shots).unwrap();
        for (omega, strength) in omegas.iter().zip(STRENGTHS) {
            let weak = recipe.weakened(&fitted, strength).unwrap();
            let wanted = recipe.omegas(&weak, &shots).unwrap().pop().unwrap();
            assert!(omega.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{omega} {wanted}");
        }
        assert_ne!(omegas[0], omegas[3]);
        // The order of the list is nothing but the order of its columns.
        let turned = recipe.fit(&shots, &[1, 0], &mut |_, _| Ok(())).unwrap().pop().unwrap().1;
        let [one, other] = [&fitted, &turned].map(|fitted| recipe.omegas(fitted, &shots).unwrap().pop().unwrap());
        assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-4), "{one} {other}");
        let shorter = recipe.fit(&[3, 4, 5], &[1], &mut |_, _| Ok(())).unwrap().pop().unwrap().1;
        assert_eq!(recipe.omegas(&shorter, &shots).unwrap()[0].dim(), (6, 2));
    }

    #[test]
    fn a_loss_that_is_no_number_is_a_sentence() {
        let error = recipe(f32::NAN, false).fit(&[0, 1, 3, 4], &[0, 1], &mut |_, _| Ok(())).unwrap_err().to_string();
        assert!(error.contains("loss became NaN at step 0"), "{error}");
    }
}
