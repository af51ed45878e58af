//! `uniood tune`: a few pictures of each class in, a model set out.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use uniood::{
    combiner::Form,
    data::{DataSet, Faults},
    detect::Selection,
    engine::DetectorChoice,
    models::ModelSet,
    tune::{self, Candidate, Origin, Progress, Pseudo, PseudoLabels, Recipe, Settings, Switches, Tuned, check_out, gained, write_set},
    vocabulary::parse_classes,
};

use crate::{
    Outcome,
    console::{self, say},
    labelled,
    offline::{Offline, ended},
    settings::{Models, share},
    signals::{self, interrupted},
    usage::set_name,
};

/// Train a set's combiner on a few objects of each class
#[derive(Args)]
#[command(
    after_help = "Examples: uniood tune shots/instances.json --shots 10 --out my-street\n          uniood tune pictures/ --models street --classes car,bus,deer --out three-classes"
)]
pub(crate) struct Tune {
    /// COCO JSON, Pascal VOC folder, a folder of pictures for each class, or JSON lines of a video; with --pseudo, also a folder
    /// of pictures alone
    #[arg(value_name = "DATA")]
    data: PathBuf,
    #[command(flatten)]
    models: Models,
    /// Folder of a COCO file's pictures, or the video of JSON lines, where it is none of the usual ones
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// In-distribution classes: `car,bus,…` or a text file, one a line [default: those of the set that are in DATA]
    #[arg(long, value_name = "LIST")]
    classes: Option<String>,
    /// Look at no labels: boxes from the detector, classes from plain CLIP where its surest class is ahead of the next by this
    /// share (0.5 where none is given)
    #[arg(long, value_name = "MARGIN", num_args = 0..=1, require_equals = true, default_missing_value = "0.5", value_parser = share::<f32>)]
    pseudo: Option<f32>,
    /// With --pseudo: ONNX detector file or OWLv2 folder [default: the set's]
    #[arg(long, value_name = "FILE", requires = "pseudo")]
    detector: Option<PathBuf>,
    /// With --pseudo: boxes with less confidence are dropped
    #[arg(long, value_name = "0..1", requires = "pseudo", value_parser = share::<f32>, default_value_t = Selection::default().detection_threshold)]
    detection_threshold: f32,
    /// Objects of each class to learn from
    #[arg(long, value_name = "M", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    shots: u32,
    /// Seed of everything that is drawn at random
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// What is trained
    #[arg(long, value_enum, default_value_t = RecipeName::Default)]
    recipe: RecipeName,
    /// The head: `residual` starts as plain CLIP, `paper` at random (with --recipe paper)
    #[arg(long, value_enum, default_value_t = FormName::Residual)]
    form: FormName,
    /// A head without convolutions
    #[arg(long)]
    no_cnn: bool,
    /// Where the new model set goes; a folder that is not there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The new set's name [default: that of the folder]
    #[arg(long)]
    name: Option<String>,
    /// One JSON object (uniood.tune/1) in place of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    offline: Offline,
}

/// The recipes by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RecipeName {
    /// Half a mean shift, then the last layer alone
    Default,
    /// Everything, with the paper's contrastive loss
    Paper,
}

/// The heads by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormName {
    /// Adds to CLIP's own state
    Residual,
    /// One linear layer, the paper's
    Paper,
}

impl Tune {
    /// Reads, trains, writes.
    pub(crate) fn run(self) -> Result<Outcome> {
        check_out(&self.out)?;
        let name = set_name(self.name.as_deref(), &self.out)?;
        let models = self.offline.open(&self.models)?;
        let mut faults = self.offline.faults();
        let (data, classes) = self.open(&models, &mut faults)?;
        let settings = self.settings();
        settings.check(classes.len())?;
        let detector = self.detector(&models)?;
        let config = self.offline.engine(models, detector);

        signals::watch()?;
        let mut shown = Shown::new(settings.shots * classes.len());
        let mut watch = |progress| {
            shown.show(progress);
            interrupted()
        };
        let mut labels = None;
        let tuned = match self.pseudo {
            None => tune::tune(&config, &data, &classes, &settings, &mut faults, &mut watch),
            Some(margin) => {
                let pseudo = Pseudo { margin, selection: self.selection() };
                tune::pseudo(&config, &data, &classes, &pseudo, &mut faults, &mut watch).and_then(|found| {
                    console::note(format_args!("labels: {found}"));
                    let data = &labels.insert(found).data;
                    // What is broken in the pictures was told of when they were looked through.
                    tune::tune(&config, data, &classes, &settings, &mut Faults::default(), &mut watch)
                })
            }
        };
        shown.finish();
        let Some(tuned) = ended(tuned, &faults)? else { return Ok(Outcome::Interrupted) };
        let words = labels.as_ref().map(ToString::to_string);
        let origin = Origin { models: &config.models, data: &self.data, classes: &classes, settings: &settings, labels: words.as_deref() };
        write_set(&self.out, &name, &tuned, &origin)?;
        if self.json {
            say(summary(&name, &tuned, &classes, &settings, labels.as_ref()));
        } else {
            self.table(&tuned, classes.len());
        }
        Ok(Outcome::Done)
    }

    fn table(&self, tuned: &Tuned, classes: usize) {
        for candidate in &tuned.curve.candidates {
            let name = candidate.steps.map_or_else(|| "plain CLIP".to_owned(), |steps| format!("{steps} steps × {}", candidate.strength));
            say(format_args!("  {name:16} AUROC {:.2}  FPR95 {:.1}", candidate.auroc * 100.0, candidate.fpr95 * 100.0));
        }
        say(format_args!("{}: {classes} classes, {} objects, threshold {:.4}", self.out.display(), tuned.objects, tuned.threshold));
        say(gained(tuned));
    }

    fn settings(&self) -> Settings {
        Settings {
            shots: self.shots as usize,
            seed: self.seed,
            recipe: match self.recipe {
                RecipeName::Default => Recipe::Default,
                RecipeName::Paper => Recipe::Paper,
            },
            form: match self.form {
                FormName::Residual => Form::Residual,
                FormName::Paper => Form::Paper,
            },
            cnn: !self.no_cnn,
            switches: Switches::default(),
        }
    }

    /// The data, and the classes to learn from them.
    fn open(&self, models: &ModelSet, faults: &mut Faults) -> Result<(DataSet, Vec<String>)> {
        let named = self.classes.as_deref().map(parse_classes).transpose()?;
        let wanted = named.clone().unwrap_or_else(|| models.manifest.classes.clone());
        if self.pseudo.is_some() {
            return Ok((labelled::open_unlabelled(&self.data, self.images.as_deref(), &wanted, faults)?, wanted));
        }
        let data = labelled::open(&self.data, self.images.as_deref(), &wanted, faults)?;
        let classes = self.class_list(models, &data, named)?;
        Ok((data, classes))
    }

    /// Where boxes come from: the labels, but with --pseudo.
    fn detector(&self, models: &ModelSet) -> Result<DetectorChoice> {
        Ok(match (self.pseudo, &self.detector) {
            (None, _) => DetectorChoice::Upstream,
            (Some(_), Some(file)) => DetectorChoice::File(file.clone()),
            (Some(_), None) if models.manifest.detector.is_some() => DetectorChoice::Set,
            (Some(_), None) => {
                bail!("model set `{}` has no detector, which --pseudo needs; name one with --detector", models.manifest.name)
            }
        })
    }

    /// What counts as an object for --pseudo. All of a picture's do, however many there are.
    fn selection(&self) -> Selection {
        Selection { detection_threshold: self.detection_threshold, max_objects: usize::MAX, ..Selection::default() }
    }

    /// The classes to learn: those the user named, else the set's that the data have.
    fn class_list(&self, models: &ModelSet, data: &DataSet, named: Option<Vec<String>>) -> Result<Vec<String>> {
        let has = |class: &str| data.categories.iter().any(|category| category.trim().to_lowercase() == class.trim().to_lowercase());
        let there = || data.categories.join(", ");
        if let Some(classes) = named {
            if let Some(missing) = classes.iter().find(|class| !has(class)) {
                bail!("{}: there is no category `{missing}` in it; there are {}", self.data.display(), there());
            }
            return Ok(classes);
        }
        let (found, missing): (Vec<String>, Vec<String>) = models.manifest.classes.iter().cloned().partition(|class| has(class));
        if found.is_empty() {
            bail!(
                "{}: none of the set's classes ({}) is in it; name some of its own with --classes: {}",
                self.data.display(),
                models.manifest.classes.join(", "),
                there()
            );
        }
        if !missing.is_empty() {
            console::note(format_args!("not in the data, so not in the new set: {}", missing.join(", ")));
        }
        Ok(found)
    }
}

/// What came of it, for programs: fractions, `steps: null` (and strength 0) is plain CLIP.
fn summary(name: &str, tuned: &Tuned, classes: &[String], settings: &Settings, labels: Option<&PseudoLabels>) -> Value {
    let candidate = |one: &Candidate| {
        json!({
            "steps": one.steps,
            "strength": one.strength,
            "auroc": one.auroc,
            "fpr95": one.fpr95,
            "auroc_own_class_out": one.own_class_out,
            "auroc_classes_out": one.classes_out,
            "auroc_of_folds": one.of_folds,
        })
    };
    let (gain, error) = tuned.curve.gain();
    json!({
        "schema": "uniood.tune/1",
        "name": name,
        "classes": classes,
        "shots": settings.shots,
        "seed": settings.seed,
        "objects": tuned.objects,
        "candidates": tuned.curve.candidates.iter().map(candidate).collect::<Vec<_>>(),
        "taken": {"steps": tuned.curve.taken().steps, "strength": tuned.curve.taken().strength},
        "gain": {"auroc": gain, "standard_error": error},
        "threshold": tuned.threshold,
        "pseudo": labels.map(|labels| json!({"margin": labels.margin, "objects": labels.counts.iter().cloned().collect::<BTreeMap<_, _>>(), "unsure": labels.unsure})),
    })
}

/// How often progress is told of where there is no terminal.
const NEWS: Duration = Duration::from_secs(20);

/// Progress on the terminal, a line now and then elsewhere, and how long each part took.
struct Shown {
    bar: ProgressBar,
    unit: &'static str,
    objects: usize,
    started: Instant,
    encoded: Option<Duration>,
    steps: usize,
    told: Instant,
}

impl Shown {
    fn new(objects: usize) -> Self {
        let now = Instant::now();
        Self { bar: ProgressBar::hidden(), unit: "", objects, started: now, encoded: None, steps: 0, told: now }
    }

    fn show(&mut self, progress: Progress) {
        let line = match progress {
            Progress::Searched { done, total } => {
                // What follows is timed by itself.
                self.started = Instant::now();
                self.count("pictures looked through", done, total)
            }
            Progress::Encoded { done, total } => self.count("objects through CLIP", done, total),
            Progress::Trained { done, total, loss } => {
                if self.encoded.is_none() {
                    self.encoded = Some(self.started.elapsed());
                    self.bar.finish_and_clear();
                    self.bar = console::progress_of_training(total as u64);
                }
                self.steps += 1;
                self.bar.set_position(done as u64);
                self.bar.set_message(format!("loss {loss:.4}"));
                format!("{done}/{total} steps, loss {loss:.4}")
            }
        };
        if self.bar.is_hidden() && self.told.elapsed() >= NEWS {
            self.told = Instant::now();
            console::note(line);
        }
    }

    /// Work that is counted, with a bar of its own.
    fn count(&mut self, unit: &'static str, done: usize, total: usize) -> String {
        if self.unit != unit {
            self.unit = unit;
            self.bar.finish_and_clear();
            self.bar = console::progress(total as u64, unit);
        }
        self.bar.set_position(done as u64);
        format!("{done}/{total} {unit}")
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
        let (Some(encoded), true) = (self.encoded, self.steps > 0) else { return };
        let training = self.started.elapsed().saturating_sub(encoded);
        #[expect(clippy::cast_precision_loss, reason = "a number of steps")]
        let each = training.as_secs_f64() * 1000.0 / self.steps as f64;
        console::note(format_args!(
            "{} objects through CLIP in {:.1} s, {} steps in {:.1} s ({each:.1} ms each)",
            self.objects,
            encoded.as_secs_f64(),
            self.steps,
            training.as_secs_f64()
        ));
    }
}
