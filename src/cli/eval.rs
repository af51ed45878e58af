//! `uniood eval`: how well scores tell known things from unknown ones.

mod boxes;
mod data;
mod lists;
mod page;
mod table;

use std::{path::PathBuf, str::FromStr};

use anyhow::Result;
use clap::{Args, ValueEnum};
use uniood::{
    combiner::Form,
    data::Faults,
    eval::{
        self, Ablation, Document, Level, MEAN, Origin, Request, Row,
        methods::{Method, Supplies},
    },
    models::ModelSet,
    tune::{self, Recipe, Switches},
    vocabulary::parse_classes,
};

use self::{boxes::Boxes, data::Data, lists::Lists, page::Page, table::print};
use crate::{
    Outcome, console, labelled,
    offline::Offline,
    settings::{LeaveOut, Models, share},
    shown::evaluate,
    usage::usage,
};

/// Measure how well known things are told from unknown ones
#[derive(Args)]
#[command(after_help = "Examples: uniood eval --open-world street/ --boxes truth --report street.html\n          \
uniood eval --id roads/ --ood animals/ --ood furniture/ --shots shots/ --json\n          \
uniood eval --protocol vos --root datasets --id bdd\n          \
uniood eval --id-scores id.txt --ood-scores ood.txt")]
pub(crate) struct Eval {
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    lists: Lists,
    #[command(flatten)]
    boxes: Boxes,
    #[command(flatten, next_help_heading = "What is compared")]
    compared: Compared,
    #[command(flatten, next_help_heading = "What is left out of uniood for speed")]
    leave_out: LeaveOut,
    #[command(flatten, next_help_heading = "Options")]
    models: Models,
    /// In-distribution classes: `car,bus,…` or a text file, one a line [default: the set's]
    #[arg(long, value_name = "LIST")]
    classes: Option<String>,
    /// A score for each object, or for each picture [default: image where the ID set has a folder for each class, else object]
    #[arg(long, value_enum)]
    scope: Option<Scope>,
    /// Seed of everything that is drawn at random
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Exit with 3 when uniood's AUROC (a fraction) is lower; over several OOD sets, their mean
    #[arg(long, value_name = "0..1", value_parser = share::<f32>)]
    min_auroc: Option<f32>,
    /// JSON (uniood.eval/1) in place of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    offline: Offline,
}

/// Columns of the table.
#[derive(Args)]
struct Compared {
    /// Methods, with commas between; `all` is all that what is given allows [default: those of them that take no more of CLIP
    /// than uniood itself; gl-mcm and runa-like do]. runa-like is in RUNA's manner, whose exact formula could not be found
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    methods: Vec<Named>,
    /// Words that are no class, for neg-label and neg-max: a list or a text file, one a line
    #[arg(long, value_name = "LIST")]
    negatives: Option<String>,
    /// Hugging Face folder of an OWLv2, for agree: how sure it is of the class that CLIP predicts
    #[arg(long, value_name = "DIR")]
    open_vocabulary: Option<PathBuf>,
    /// Labelled objects of the classes, for knn, mahalanobis, runa-like, shift and --ablations
    #[arg(long, value_name = "DATA")]
    shots: Option<PathBuf>,
    /// How many of each class
    #[arg(long, value_name = "M", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    shots_per_class: u32,
    /// More columns: uniood trained on the shots, whole (`full`) and without each of its parts, or without these
    #[arg(long, value_name = "LIST", value_delimiter = ',', num_args = 0..=1, default_missing_value = "all", require_equals = true, requires = "shots")]
    ablations: Vec<String>,
    /// One column more: an object's context is the other objects' own most likely classes
    #[arg(long)]
    context_detected: bool,
}

/// One of a list of methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    All,
    Method(Method),
}

impl FromStr for Named {
    type Err = uniood::Error;

    fn from_str(name: &str) -> Result<Self, uniood::Error> {
        if name == "all" { Ok(Self::All) } else { name.parse().map(Self::Method) }
    }
}

/// What gets a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scope {
    /// Every object
    Object,
    /// The picture: its most confident object alone, or all of it where there is none
    Image,
}

impl Eval {
    /// Reads, scores, prints.
    pub(crate) fn run(self) -> Result<Outcome> {
        if let Some(rows) = self.lists.rows(self.seed)? {
            return Ok(self.finish(&rows, None));
        }
        self.page.check()?;
        let models = self.offline.open(&self.models)?;
        let mut faults = self.offline.faults();
        let request = self.request(&models, &mut faults)?;
        if self.min_auroc.is_some() && !request.methods.contains(&Method::Uniood) {
            return Err(usage("--min-auroc asks for uniood's AUROC; add it to --methods"));
        }
        let detector = self.boxes.detector(&models)?;
        let config = self.offline.engine(models, detector);
        let Some(evaluation) = evaluate(&config, &request, &mut faults)? else { return Ok(Outcome::Interrupted) };
        let rows = evaluation.rows(&request.parts, self.seed)?;
        let origin = Origin::new(&config.models.manifest.name, self.data.protocol(), &request, &evaluation, &faults);
        self.page.write(|| eval::report(&config, &request, &evaluation, &rows, &origin))?;
        Ok(self.finish(&rows, Some(origin)))
    }

    /// Prints the rows, and looks at the gate.
    fn finish(&self, rows: &[Row], origin: Option<Origin<'_>>) -> Outcome {
        if self.json {
            console::say(Document::new(rows, origin).to_json());
        } else {
            print(rows);
        }
        let Some(least) = self.min_auroc else { return Outcome::Done };
        let gated = |row: &&Row| self.lists.given() || row.method == Method::Uniood.name();
        // The first run's: its mean over several OOD sets, or the one there is. The mean stands last, also behind a set of that name.
        let first = rows.iter().take_while(|row| rows.first().is_some_and(|first| first.same_run(row)));
        let row = first.clone().filter(|row| gated(row) && row.ood == MEAN).last().or_else(|| first.clone().find(gated));
        let auroc = row.map_or(0.0, |row| row.metrics.auroc);
        if auroc >= f64::from(least) {
            return Outcome::Done;
        }
        console::note(format_args!("AUROC {:.2} is below the gate of {:.2}", auroc * 100.0, f64::from(least) * 100.0));
        Outcome::GateMissed
    }

    fn request(&self, models: &ModelSet, faults: &mut Faults) -> Result<Request> {
        let classes = match &self.classes {
            Some(list) => parse_classes(list)?,
            None => models.manifest.classes.clone(),
        };
        let parts = self.data.open(&classes, faults)?;
        let level = match self.scope {
            Some(Scope::Image) => Level::Image,
            None if parts[0].data.layout.is_whole_pictures() => Level::Image,
            Some(Scope::Object) | None => Level::Object,
        };
        if level == Level::Image && self.data.is_open_world() {
            return Err(usage("at the image level a picture is ID or OOD as a whole; give them apart with --id and --ood"));
        }
        let Compared { negatives, shots, open_vocabulary, context_detected, .. } = &self.compared;
        let shots = match shots {
            Some(path) => Some((labelled::open(path, None, &classes, faults)?, self.shot_settings())),
            None => None,
        };
        let supplies = Supplies {
            detector: self.boxes.detect(),
            negatives: negatives.is_some(),
            shots: shots.is_some(),
            open_vocabulary: open_vocabulary.is_some(),
        };
        Ok(Request {
            parts,
            classes,
            level,
            detect: supplies.detector,
            selection: self.boxes.selection(),
            best_f1: self.boxes.best_f1(self.data.is_vos()),
            methods: self.methods(supplies),
            negatives: negatives.as_deref().map(parse_classes).transpose()?,
            shots,
            open_vocabulary: open_vocabulary.clone(),
            ablations: self.ablations()?,
            context_detected: *context_detected,
            disturbances: self.boxes.disturbances(),
            approximation: self.leave_out.approximation(),
            seed: self.seed,
        })
    }

    fn methods(&self, supplies: Supplies) -> Vec<Method> {
        let named = &self.compared.methods;
        if named.is_empty() {
            return Method::supported(supplies).into_iter().filter(|method| !method.is_extra()).collect();
        }
        let of = |named: &Named| match named {
            Named::All => Method::supported(supplies),
            Named::Method(method) => vec![*method],
        };
        named.iter().flat_map(of).collect()
    }

    fn ablations(&self) -> Result<Vec<Ablation>> {
        let names = &self.compared.ablations;
        if *names == ["all"] {
            return Ok(Ablation::ALL.to_vec());
        }
        names.iter().map(|name| Ok(name.parse()?)).collect()
    }

    fn shot_settings(&self) -> tune::Settings {
        tune::Settings {
            shots: self.compared.shots_per_class as usize,
            seed: self.seed,
            recipe: Recipe::Default,
            form: Form::Residual,
            cnn: true,
            switches: Switches::default(),
        }
    }
}
