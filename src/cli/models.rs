//! `uniood models`: list, pull, build, check.

#[cfg(feature = "hub")]
mod pull;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use ndarray::Array3;
use uniood::{
    combiner::Combiner,
    encode::reference::Reference,
    engine::{DetectorChoice, Device, Engine, EngineConfig, Precision},
    frame::{FrameSource, Picture},
    geometry::{BBox, Rect},
    graph::{ImageGraph, TextGraph},
    models::{ClipConfig, MANIFEST, ModelSet, Weights},
    pair::{Base, PairSpec, write_pair},
};

use crate::{
    Outcome,
    console::{self, say},
    precision::{Guarded, omegas, settings},
    settings::Models as Chosen,
    usage::usage,
};

/// Model sets: what there is, their ONNX files, whether they are sound
#[derive(Args)]
#[command(
    after_help = "Examples: uniood models check street\n          uniood models build street --out street.onnx --text street-text.onnx"
)]
pub(crate) struct Models {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    #[cfg(feature = "hub")]
    Pull(pull::Pull),
    Build(Build),
    Check(Check),
}

/// The model sets in a folder, without one the set that ships; and those that can be pulled
#[derive(Args)]
#[command(after_help = "Example: uniood models list --models ~/models")]
struct List {
    #[command(flatten)]
    models: Chosen,
}

/// Write a set's graphs as ONNX files
#[derive(Args)]
#[command(after_help = "Examples: uniood models build street --out street.onnx\n          \
uniood models build street --precision int8 --data val/instances.json --out street-int8.onnx")]
struct Build {
    /// Model set, or a bare CLIP folder of Hugging Face
    dir: PathBuf,
    /// Where the image graph goes: both encoder passes, attentions, combiners, scores
    #[arg(long, value_name = "FILE.onnx", default_value = "model.onnx")]
    out: PathBuf,
    /// Where the text graph goes, if it is wanted
    #[arg(long, value_name = "FILE.onnx")]
    text: Option<PathBuf>,
    /// Combiner weights for a bare CLIP folder; without them it is plain CLIP
    #[arg(long, value_name = "FILE")]
    combiner: Option<PathBuf>,
    /// Put out the attention over target and background as well
    #[arg(long)]
    betas: bool,
    #[command(flatten)]
    guarded: Guarded,
}

/// Say whether a set is sound: files, shapes, the graph's numbers against the plain reference, and what a precision costs it
#[derive(Args)]
#[command(
    after_help = "Examples: uniood models check street\n          uniood models check street --precision int8 --data val/instances.json"
)]
struct Check {
    /// Model set
    dir: PathBuf,
    #[command(flatten)]
    guarded: Guarded,
}

impl Models {
    /// Does what was asked for.
    pub(crate) fn run(self) -> Result<Outcome> {
        match self.command {
            Command::List(list) => list.run(),
            #[cfg(feature = "hub")]
            Command::Pull(pull) => pull.run(),
            Command::Build(build) => build.run(),
            Command::Check(check) => check.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<Outcome> {
        let outcome = self.sets()?;
        #[cfg(feature = "hub")]
        pull::list();
        Ok(outcome)
    }

    fn sets(self) -> Result<Outcome> {
        let Some(dir) = self.models.named().map(Path::to_owned) else {
            describe(&ModelSet::shipped(None)?);
            return Ok(Outcome::Done);
        };
        let mut folders = vec![dir.clone()];
        let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        let mut below: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        below.sort();
        folders.extend(below);
        let sets: Vec<PathBuf> = folders.into_iter().filter(|folder| folder.join(MANIFEST).is_file()).collect();
        if sets.is_empty() {
            bail!("{}: there is no model set here (a folder with {MANIFEST})", dir.display());
        }
        let mut outcome = Outcome::Done;
        for folder in sets {
            match ModelSet::open(&folder) {
                Ok(set) => describe(&set),
                Err(error) => {
                    console::error(&error.into());
                    outcome = Outcome::Failed;
                }
            }
        }
        Ok(outcome)
    }
}

fn describe(set: &ModelSet) {
    let manifest = &set.manifest;
    let detector = manifest.detector.as_ref().map_or("none", |_| "included");
    say(format_args!("{}\n  folder    {}\n  licence   {}", manifest.name, set.dir.display(), manifest.licence));
    say(format_args!("  classes   {}\n  detector  {detector}", manifest.classes.join(", ")));
}

impl Build {
    fn run(self) -> Result<Outcome> {
        if self.guarded.precision == Precision::Bf16 {
            return Err(usage("bf16 is what OpenVINO makes of the graph in fp32 as it loads it; build it with --precision fp32"));
        }
        let (numbers, _) = self.guarded.precision.on(&Device::Cpu)?;
        let (name, clip_dir, clip, combiner) = if self.dir.join(MANIFEST).exists() {
            let set = ModelSet::open(&self.dir)?;
            if self.combiner.is_some() {
                return Err(usage(format!("{} has its own combiner; --combiner is for a bare CLIP folder", self.dir.display())));
            }
            if let Some(said) = self.guarded.check_auroc(&set)? {
                console::note(said);
            }
            let combiner = set.combiner_path();
            (set.manifest.name.clone(), set.clip_dir(), set.clip, combiner)
        } else {
            if self.guarded.data.is_some() {
                return Err(usage(format!(
                    "{} is a bare CLIP folder, which has no classes to tell from others; --data is for a model set",
                    self.dir.display()
                )));
            }
            let clip = ClipConfig::open(&self.dir)?;
            let name = self.dir.file_name().map_or_else(|| "clip".to_owned(), |name| name.to_string_lossy().into_owned());
            (name, self.dir.clone(), clip, self.combiner)
        };
        let weights = Weights::open_folder(&clip_dir)?;
        let combiner = combiner.map(|path| Combiner::open(&path, &clip)).transpose()?;
        let graph = ImageGraph { name: &name, clip: &clip, weights: &weights, combiner: combiner.as_ref(), betas: self.betas };
        graph.build()?.in_numbers(numbers).write(&self.out)?;
        say(self.out.display());
        if let Some(text) = &self.text {
            TextGraph { name: &name, clip: &clip, weights: &weights }.build()?.write(text)?;
            say(text.display());
        }
        Ok(Outcome::Done)
    }
}

/// How far the graph's scores may be from the plain reference's.
const AGREEMENT: f32 = 1e-3;

impl Check {
    fn run(self) -> Result<Outcome> {
        // Refused before anything is loaded.
        self.guarded.precision.on(&self.guarded.device())?;
        let set = ModelSet::open(&self.dir)?;
        let (vision, clip) = (&set.clip.vision, &set.clip);
        say(format_args!(
            "ok  {}: {} classes, {}×{} pixels, {}×{} patches, width {}, {} layers",
            set.manifest.name,
            set.manifest.classes.len(),
            vision.image_size,
            vision.image_size,
            vision.grid(),
            vision.grid(),
            vision.hidden_size,
            vision.num_hidden_layers
        ));
        let reference = Reference::open(&set.clip_dir(), set.combiner_path().as_deref())?;
        say("ok  CLIP weights, tokenizer and combiner have the names and shapes that were wanted");
        let detector = if set.manifest.detector.is_some() { DetectorChoice::Set } else { DetectorChoice::Frame };
        let config = EngineConfig {
            models: set.clone(),
            detector,
            device: Device::Cpu,
            precision: Precision::Fp32,
            batch_size: 2,
            batch_timeout: None,
            cache_dir: self.guarded.cache_dir().map(Path::to_owned),
            threads: None,
        };
        let engine = Engine::open(&config)?;
        say(match set.manifest.detector {
            Some(_) => "ok  the image graph and the detector load in ONNX Runtime",
            None => "ok  the image graph loads in ONNX Runtime; the set has no detector",
        });
        let settings = settings(&engine)?;
        say("ok  the text graph ran on the set's classes");

        let picture = Arc::new(noise());
        let boxes = [BBox { x: 10.0, y: 12.0, w: 60.0, h: 40.0 }, BBox { x: 70.0, y: 30.0, w: 30.0, h: 55.0 }];
        let answered = omegas(&engine, &settings, &picture, &boxes)?;
        let vocabulary = reference.vocabulary(&set.manifest.classes, &set.manifest.templates)?;
        let mut furthest = 0_f32;
        for (omegas, bbox) in answered.iter().zip(&boxes) {
            let (target, background) = pair(&picture, bbox, &PairSpec::new(clip.vision.image_size, clip.image_mean))?;
            let scores = reference.trace(&reference.encode(&target, &background)?, &vocabulary, true).scores;
            for (omega, wanted) in omegas.iter().zip(&scores.omega) {
                furthest = furthest.max((omega - wanted).abs());
            }
        }
        if furthest > AGREEMENT {
            bail!(
                "omega is up to {furthest:e} off the plain reference, more than {AGREEMENT}; this ONNX Runtime computes it wrong, try another version"
            );
        }
        say(format_args!("ok  omega agrees with the plain reference to {furthest:.1e}"));
        if !matches!(self.guarded.precision, Precision::Auto | Precision::Fp32) {
            say(format_args!("ok  {}", self.guarded.check_omega(&set)?));
            if let Some(said) = self.guarded.check_auroc(&set)? {
                say(format_args!("ok  {said}"));
            }
        }
        Ok(Outcome::Done)
    }
}

/// A picture that any two runs agree on.
fn noise() -> Picture {
    let (width, height) = (128, 96);
    let mut state = 1_u32;
    let byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    Picture { width, height, rgb: std::iter::repeat_with(byte).take((width * height * 3) as usize).collect() }
}

fn pair(picture: &Picture, bbox: &BBox, spec: &PairSpec) -> Result<(Array3<u8>, Array3<u8>)> {
    let frame = picture.frame();
    let rect = Rect::cover(bbox, picture.width, picture.height).context("the box lies in the picture")?;
    let (mut target, mut background) = (vec![0; spec.bytes()], vec![0; spec.bytes()]);
    write_pair(&frame, &Base::new(&frame, spec)?, rect, spec, &mut target, &mut background)?;
    let shape = (spec.size, spec.size, 3);
    Ok((Array3::from_shape_vec(shape, target)?, Array3::from_shape_vec(shape, background)?))
}
