//! An evaluation whole: what is asked for, and what came of it.

use std::{path::PathBuf, sync::Arc};

use super::{
    ablations::Ablation,
    bank::{Bank, Source},
    confidence,
    disturb::Disturbance,
    methods::{Method, Supplies},
    omega::Omega,
    pass::{self, Counted, Level, Progress, Reader, Stage, Tally, Watch},
    scorers::{Column, Context, Scorers, Variant},
    sets::Part,
    words::{Negatives, Words},
};
use crate::{
    Error, Result,
    combiner::Combiner,
    data::{DataSet, Faults},
    detect::Selection,
    engine::{Approximation, Detector, EngineConfig, FeatureEncoder, OpenVocabulary},
    pair::Background,
    tune::{self, ContextText, Switches, texts::Texts},
};

/// What is to be evaluated.
#[derive(Debug)]
pub struct Request {
    /// The data sets.
    pub parts: Vec<Part>,
    /// The ID classes.
    pub classes: Vec<String>,
    /// What gets a score.
    pub level: Level,
    /// Whether the detector finds the boxes; else they are the labels'.
    pub detect: bool,
    /// What counts as an object.
    pub selection: Selection,
    /// Whether the detector's threshold is the one of best F1 on the ID set, in place of the selection's.
    pub best_f1: bool,
    /// Columns of the table.
    pub methods: Vec<Method>,
    /// Words that are no class.
    pub negatives: Option<Vec<String>>,
    /// Where objects of known classes come from, and how they are drawn.
    pub shots: Option<(DataSet, tune::Settings)>,
    /// The Hugging Face folder of an OWLv2 that is asked for classes.
    pub open_vocabulary: Option<PathBuf>,
    /// A column more each: UNI-OOD trained on the shots without one of its parts.
    pub ablations: Vec<Ablation>,
    /// A column more, in which an object's context is the other objects' own most likely classes.
    pub context_detected: bool,
    /// How boxes are made worse: a run each.
    pub disturbances: Vec<Disturbance>,
    /// What is left out of uniood for speed, as in the engine.
    pub approximation: Approximation,
    /// For everything that is drawn at random.
    pub seed: u64,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The class list.
    pub classes: Vec<Arc<str>>,
    /// The detector's threshold that was used.
    pub detection_threshold: f32,
    /// A run over all pictures for each disturbance.
    pub runs: Vec<Run>,
}

/// One pass over all pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// How its boxes were made worse.
    pub disturbance: Disturbance,
    /// Every object that counts.
    pub objects: Vec<Counted>,
    /// What was counted in each set.
    pub tallies: Vec<Tally>,
}

impl Request {
    /// Every labelled box of `parts` under one method, nothing else asked for.
    #[must_use]
    pub fn new(parts: Vec<Part>, classes: Vec<String>, method: Method) -> Self {
        Self {
            parts,
            classes,
            level: Level::Object,
            detect: false,
            selection: Selection::default(),
            best_f1: false,
            methods: vec![method],
            negatives: None,
            shots: None,
            open_vocabulary: None,
            ablations: Vec::new(),
            context_detected: false,
            disturbances: vec![Disturbance::default()],
            approximation: Approximation::default(),
            seed: 0,
        }
    }

    /// What it has beside pictures and texts.
    #[must_use]
    pub const fn supplies(&self) -> Supplies {
        Supplies {
            detector: self.detect,
            negatives: self.negatives.is_some(),
            shots: self.shots.is_some(),
            open_vocabulary: self.open_vocabulary.is_some(),
        }
    }

    fn check(&self) -> Result<()> {
        if self.methods.is_empty() {
            return Err(Error::Setting("there is no method to evaluate; name one with --methods".to_owned()));
        }
        for (index, method) in self.methods.iter().enumerate() {
            if let Some(lacks) = method.lacks(self.supplies()) {
                return Err(Error::Setting(format!("`{method}` needs {lacks}")));
            }
            if self.methods[..index].contains(method) {
                return Err(Error::Setting(format!("`{method}` stands in the list of methods twice; remove one")));
            }
        }
        if self.approximation.background == Background::Shared && self.methods.contains(&Method::GlMcm) {
            return Err(Error::Setting("`gl-mcm` takes more of CLIP than background=shared computes; leave one of them out".to_owned()));
        }
        let boxless = |part: &&Part| part.data.pictures.iter().all(|picture| picture.objects.is_empty());
        if let (false, Level::Object, Some(part)) = (self.detect, self.level, self.parts.iter().find(boxless)) {
            return Err(Error::content(
                &part.data.path,
                "its pictures have no boxes; leave --boxes truth out, so that a detector finds them",
            ));
        }
        Ok(())
    }
}

/// Scores every object of every set under every method.
///
/// # Errors
/// [`Error::Setting`] for a request that cannot be, and whatever model set, pictures and `faults` can be wrong in.
pub fn evaluate(config: &EngineConfig, request: &Request, faults: &mut Faults, watch: &mut Watch<'_>) -> Result<Evaluation> {
    request.check()?;
    let mut detector = if request.detect { Detector::open(config)? } else { None };
    if request.detect && detector.is_none() && request.level == Level::Object {
        return Err(Error::Setting("there is no detector to find objects; name one with --detector, or use --boxes truth".to_owned()));
    }
    let mut selection = request.selection.clone();
    if let (true, Some(detector), Some(part)) = (request.best_f1, &mut detector, request.parts.first()) {
        selection.detection_threshold = confidence::best_f1(detector, part, &selection, faults, watch)?;
    }
    let values = request.methods.contains(&Method::GlMcm);
    let background = request.approximation.background;
    let mut encoder =
        if values { FeatureEncoder::open_with_values(config)? } else { FeatureEncoder::open_with_background(config, background)? };
    let scorers = scorers(config, request, &mut encoder, faults, watch)?;
    let mut open_vocabulary = match &request.open_vocabulary {
        Some(dir) if request.methods.contains(&Method::Agree) => Some(OpenVocabulary::open(config, dir, &request.classes)?),
        _ => None,
    };
    let mut runs = Vec::new();
    // What is broken is told of once.
    let mut again = Faults::default();
    for &disturbance in &request.disturbances {
        let mut reader = Reader {
            encoder: &mut encoder,
            detector: detector.as_mut(),
            open_vocabulary: open_vocabulary.as_mut(),
            selection: &selection,
            level: request.level,
            disturbance,
            seed: request.seed,
        };
        let (objects, tallies) =
            pass::pass(&mut reader, &request.parts, &scorers, if runs.is_empty() { &mut *faults } else { &mut again }, watch)?;
        runs.push(Run { disturbance, objects, tallies });
    }
    let columns = scorers.columns.iter().map(|column| column.name().to_owned()).collect();
    Ok(Evaluation { columns, classes: scorers.words.vocabulary.classes.clone(), detection_threshold: selection.detection_threshold, runs })
}

fn scorers(
    config: &EngineConfig,
    request: &Request,
    encoder: &mut FeatureEncoder,
    faults: &mut Faults,
    watch: &mut Watch<'_>,
) -> Result<Scorers> {
    let words = Words::open(config, &request.classes)?;
    let negatives = match &request.negatives {
        Some(list) if request.methods.iter().any(|method| matches!(method, Method::NegLabel | Method::NegMax)) => {
            Some(Negatives::open(config, list, &words)?)
        }
        _ => None,
    };
    let learns = |method: &Method| matches!(method, Method::Knn | Method::Mahalanobis | Method::RunaLike | Method::Shift);
    let bank = match &request.shots {
        Some((data, settings)) if request.methods.iter().any(learns) => {
            let runa = request.methods.contains(&Method::RunaLike);
            let source = Source { config, data, settings, classes: &request.classes, words: &words, runa };
            Some(Bank::open(&source, encoder, faults, &mut told(watch))?)
        }
        _ => None,
    };
    let models = &config.models;
    let combiner = models.combiner_path().map(|path| Combiner::open(&path, &models.clip)).transpose()?;
    let omega_of = |combiner: &Combiner| Omega::new(combiner, Switches::default(), &words.vocabulary.text, &words.projection);
    let mut columns: Vec<Column> = request.methods.iter().map(|method| Column::Method(*method)).collect();
    if request.context_detected {
        let Some(combiner) = &combiner else {
            return Err(Error::Setting("the model set is plain CLIP, which looks at no context; tune one first".to_owned()));
        };
        let context = Context::Detected(Box::new(Texts::open(config, &request.classes)?));
        let variant = Variant { name: "context=detected".to_owned(), omega: Some(omega_of(combiner)?), context };
        columns.push(Column::Variant(Box::new(variant)));
    }
    for &ablation in &request.ablations {
        columns.push(Column::Variant(Box::new(trained(config, request, ablation, &words, watch)?)));
    }
    let omega = combiner.as_ref().map(omega_of).transpose()?;
    Ok(Scorers { words, negatives, bank, omega, shortlist: request.approximation.shortlist, columns })
}

/// UNI-OOD trained without one of its parts.
fn trained(config: &EngineConfig, request: &Request, ablation: Ablation, words: &Words, watch: &mut Watch<'_>) -> Result<Variant> {
    let Some((data, base)) = &request.shots else {
        return Err(Error::Setting("ablations are trained; give labelled objects of the classes with --shots DATA".to_owned()));
    };
    let settings = ablation.settings(*base);
    // What is broken in the shots was told of when they were read first.
    let tuned = tune::tune(config, data, &request.classes, &settings, &mut Faults::default(), &mut told(watch))?;
    let mut texts = Texts::open(config, &request.classes)?;
    if settings.switches.context == ContextText::Comma {
        texts.read_commas(config, &request.classes, std::iter::empty())?;
    }
    let text = &words.vocabulary.text;
    let listed = match &tuned.context {
        Some(context) => Some(context.broadcast(text.dim()).expect("a text has the width of all texts").to_owned()),
        None => texts.context(&vec![1; request.classes.len()], settings.switches.context),
    };
    let omega = tuned.combiner.as_ref().map(|combiner| Omega::new(combiner, settings.switches, text, &words.projection)).transpose()?;
    Ok(Variant { name: ablation.name().to_owned(), omega, context: Context::Fixed(listed.unwrap_or_else(|| text.clone())) })
}

/// A training's progress as an evaluation's.
fn told(watch: &mut Watch<'_>) -> impl FnMut(tune::Progress) -> Result<()> {
    |progress| {
        watch(match progress {
            tune::Progress::Searched { done, total } | tune::Progress::Encoded { done, total } => {
                Progress { stage: Stage::Shots, done, total }
            }
            tune::Progress::Trained { done, total, .. } => Progress { stage: Stage::Training, done, total },
        })
    }
}
