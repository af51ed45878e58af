//! Few-shot training of the combiner on a frozen CLIP: a few objects of each class in, a model set out.
//!
//! ```text
//! DataSet ─▶ Shot* ─▶ Samples ─▶ Recipe ─▶ Curve ─▶ Combiner ─▶ model set
//! data       shots    samples    fit, paper  choice   here       set
//! ```
//!
//! CLIP's outputs come from the same ONNX graph builder as the scores ([`crate::engine::FeatureEncoder`]), once an object.
//! Two recipes (method.md, "Training"): the default one trains mlp2 alone, the paper's everything. Both are judged over folds of
//! the shots (`choice.rs`), with plain CLIP as a candidate: what does not help is not written.

pub(crate) mod adamw;
mod choice;
mod context;
mod fit;
pub(crate) mod head;
pub(crate) mod losses;
mod paper;
mod pseudo;
pub(crate) mod recipe;
pub(crate) mod rng;
pub(crate) mod samples;
mod set;
pub(crate) mod shift;
pub(crate) mod shots;
pub(crate) mod tensor;
pub(crate) mod texts;
pub(crate) mod weights;

#[cfg(test)]
mod gradients;

pub use choice::{Candidate, Curve};
pub use pseudo::{Pseudo, PseudoLabels, pseudo};
#[cfg(feature = "hub")]
pub(crate) use set::take_over;
pub use set::{Origin, check_out, gained, write_calibrated, write_set};
pub use weights::{ContextText, Switches};

use self::{
    choice::Folds,
    fit::DefaultRecipe,
    head::{Branch, Head, Layer, Shape},
    paper::PaperRecipe,
    recipe::World,
    rng::{Purpose, Rng},
    samples::Samples,
    tensor::{array, failed, tensor},
    texts::Texts,
};
use crate::{
    Error, Result,
    combiner::{self, Combiner, Conv, Form, Linear},
    data::{DataSet, Faults},
    engine::{EngineConfig, FeatureEncoder},
};

/// K: channels of the convolutions (256 were no better, and six times slower).
const CHANNELS: usize = 64;

/// Most memory that features and what mlp2 works on may take together, in bytes.
const MOST_BYTES: usize = 8 << 30;

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Objects of each class, at least 2.
    pub shots: usize,
    /// For everything that is drawn at random.
    pub seed: u64,
    /// What is trained, and on what.
    pub recipe: Recipe,
    /// The head's form.
    pub form: Form,
    /// Whether the head has convolutions.
    pub cnn: bool,
    /// Parts of the method that are taken out.
    pub switches: Switches,
}

/// What is trained, and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recipe {
    /// Half a mean shift, then mlp2 alone.
    #[default]
    Default,
    /// Everything, with the contrastive loss.
    Paper,
}

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// Pictures in which objects were looked for.
    Searched {
        /// So far.
        done: usize,
        /// Of so many.
        total: usize,
    },
    /// Objects that went through CLIP.
    Encoded {
        /// So far.
        done: usize,
        /// Of so many.
        total: usize,
    },
    /// A step of training.
    Trained {
        /// Steps so far, of all trainings.
        done: usize,
        /// Of so many.
        total: usize,
        /// This step's loss.
        loss: f32,
    },
}

/// Told what goes on; whatever it refuses ends the training (an interrupt).
pub type Watch<'a> = dyn FnMut(Progress) -> Result<()> + 'a;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Tuned {
    /// The trained combiner; `None` where nothing was gained over plain CLIP.
    pub combiner: Option<Combiner>,
    /// M̃ of the whole class list, `[E]`, where it was learned ([`ContextText::Mlp`]).
    pub context: Option<ndarray::Array1<f32>>,
    /// δ from held-out shots: keeps 95 % of them.
    pub threshold: f32,
    /// The candidates.
    pub curve: Curve,
    /// Objects that were learned from.
    pub objects: usize,
}

impl Settings {
    /// Whether they can go together.
    ///
    /// # Errors
    /// [`Error::Setting`] with what to change.
    pub fn check(&self, classes: usize) -> Result<()> {
        let wrong = |problem: &str| Err(Error::Setting(problem.to_owned()));
        if self.shots < 2 {
            return wrong("training needs at least 2 shots of each class, one to learn from and one to be held out");
        }
        if classes < 2 {
            return wrong("training needs at least 2 classes: an object is compared with the classes that it is not");
        }
        if (self.recipe, self.form) == (Recipe::Default, Form::Paper) {
            return wrong(
                "the default recipe trains mlp2 alone, which the head of form `paper` does not have; use the recipe `paper` with it",
            );
        }
        if (self.recipe, self.switches.context) == (Recipe::Paper, ContextText::Mlp) {
            return wrong("the recipe `paper` trains no network for the context's text; use the default recipe with it");
        }
        Ok(())
    }
}

/// Chooses the shots, runs CLIP on them, trains, and chooses among the candidates.
///
/// # Errors
/// [`Error::Setting`] for settings that cannot be, [`Error::Content`] where a class has too few objects, and whatever model set,
/// pictures and `faults` can be wrong in.
pub fn tune(
    config: &EngineConfig,
    data: &DataSet,
    classes: &[String],
    settings: &Settings,
    faults: &mut Faults,
    watch: &mut Watch<'_>,
) -> Result<Tuned> {
    settings.check(classes.len())?;
    check_memory(config, classes.len(), settings)?;
    let mut encoder = FeatureEncoder::open(config)?;
    let shots = shots::gather(&mut encoder, data, classes, settings, faults, watch)?;
    drop(encoder);
    let mut texts = Texts::open(config, classes)?;
    if settings.switches.context == ContextText::Comma {
        texts.read_commas(config, classes, shots.iter().map(|shot| &shot.others[..]))?;
    }
    let samples = Samples::new(&shots, &texts, settings.switches)?;
    drop(shots);
    let world = World::new(&texts)?;
    let width = config.models.clip.vision.hidden_size;
    let shape = Shape { form: settings.form, width, channels: settings.cnn.then_some(CHANNELS), hidden: 2 * width };
    let start = Head::random(shape, &mut Rng::new(settings.seed, Purpose::Weights)).map_err(failed)?;
    let plain = world.plain(&samples.cls()?)?;
    let labels = samples.classes.clone();
    match settings.recipe {
        Recipe::Default => {
            let recipe = DefaultRecipe::new(world, start, &samples, settings.seed)?;
            drop(samples);
            train(&recipe, &plain, &labels, settings, watch)
        }
        Recipe::Paper => train(&PaperRecipe::new(world, start, samples), &plain, &labels, settings, watch),
    }
}

fn train<R: recipe::Recipe>(
    recipe: &R,
    plain: &ndarray::Array2<f32>,
    classes: &[usize],
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Tuned> {
    let listed: Vec<usize> = (0..plain.ncols()).collect();
    let folds = Folds::new(classes, listed.len(), settings.shots, settings.seed);
    let trainings = folds.trainings() + 1;
    let steps = recipe.steps().iter().max().map_or(0, |most| *most);
    let total = trainings * steps;
    let mut each = |training: usize, step: usize, loss: f32| watch(Progress::Trained { done: training * steps + step + 1, total, loss });
    let curve = choice::compare(recipe, plain, classes, &folds, &mut each)?;
    let &Candidate { steps: taken, strength, .. } = curve.taken();
    let (combiner, context) = match taken {
        None => (None, None),
        Some(taken) => {
            let everything: Vec<usize> = (0..classes.len()).collect();
            let fitted = recipe.fit(&everything, &listed, &mut |step, loss| each(trainings - 1, step, loss))?;
            let (_, fitted) = fitted.iter().find(|(steps, _)| *steps == taken).expect("a fit gives all its candidates");
            let fitted = recipe.weakened(fitted, strength)?;
            (Some(recipe.head(&fitted).combiner()?), recipe.context(&fitted)?)
        }
    };
    let threshold = curve.threshold();
    Ok(Tuned { combiner, context, threshold, curve, objects: classes.len() })
}

/// A class list of thousands would take more memory than there is, after hours of reading.
fn check_memory(config: &EngineConfig, classes: usize, settings: &Settings) -> Result<()> {
    let vision = &config.models.clip.vision;
    let (tokens, width) = (vision.tokens(), vision.hidden_size);
    let objects = settings.shots.saturating_mul(classes);
    // Tokens and their weights; what mlp2 works on, once whole and once without a fold.
    let numbers = 2 * tokens * width + 4 * tokens * classes + 8 * classes * 2 * width;
    let bytes = objects.saturating_mul(numbers).saturating_mul(size_of::<f32>());
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    Err(Error::Setting(format!(
        "{objects} objects under {classes} classes would take {} GiB of memory, more than {}; use fewer shots, or fewer classes with --classes",
        bytes >> 30,
        MOST_BYTES >> 30
    )))
}

impl Head {
    /// A combiner as tensors.
    pub(crate) fn of(combiner: &Combiner) -> Result<Self> {
        Ok(Self { form: combiner.form, target: Branch::of(&combiner.target)?, background: Branch::of(&combiner.background)? })
    }

    fn combiner(&self) -> Result<Combiner> {
        Ok(Combiner { form: self.form, target: self.target.combiner()?, background: self.background.combiner()? })
    }
}

impl Branch {
    fn of(branch: &combiner::Branch) -> Result<Self> {
        let conv = |layer: &Conv| Ok(Layer { weight: tensor(&layer.weight)?, bias: tensor(&layer.bias)? });
        let linear = |layer: &Linear| Ok(Layer { weight: tensor(&layer.weight)?, bias: tensor(&layer.bias)? });
        Ok(Self {
            conv: match &branch.conv {
                Some([first, second, third]) => Some([conv(first)?, conv(second)?, conv(third)?]),
                None => None,
            },
            mlp1: linear(&branch.mlp1)?,
            mlp2: branch.mlp2.as_ref().map(linear).transpose()?,
        })
    }

    fn combiner(&self) -> Result<combiner::Branch> {
        let conv = |layer: &Layer| Ok(Conv { weight: array(&layer.weight)?, bias: array(&layer.bias)? });
        let linear = |layer: &Layer| Ok(Linear { weight: array(&layer.weight)?, bias: array(&layer.bias)? });
        Ok(combiner::Branch {
            conv: match &self.conv {
                Some([first, second, third]) => Some([conv(first)?, conv(second)?, conv(third)?]),
                None => None,
            },
            mlp1: linear(&self.mlp1)?,
            mlp2: self.mlp2.as_ref().map(linear).transpose()?,
        })
    }
}
