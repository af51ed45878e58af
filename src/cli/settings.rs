//! The element's settings as flags: the same names, the same defaults, once for every command that takes them.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use uniood::{
    detect::Selection,
    engine::{self, Approximation, DetectorChoice, Device, Engine, EngineConfig, FrameSettings, Precision},
    models::{ModelSet, shipped},
    pair, track,
    tuned::Tuned,
    vocabulary::parse_classes,
};

use crate::{console, usage::usage};

/// Which model set.
#[derive(Args, Debug, Clone)]
pub(crate) struct Models {
    /// Model set: a folder with uniood.json [default: street-tiny, which ships with uniood]
    #[arg(long = "models", value_name = "DIR", env = shipped::MODELS_VARIABLE)]
    pub(crate) dir: Option<PathBuf>,
}

impl Models {
    /// The folder, where one is named.
    pub(crate) fn named(&self) -> Option<&Path> {
        self.dir.as_deref().filter(|dir| !dir.as_os_str().is_empty())
    }

    /// Reads the set; the one that ships is told of, since nobody named it.
    pub(crate) fn open(&self, settings: &Settings) -> Result<ModelSet> {
        self.open_in(settings.model_cache_dir.as_deref())
    }

    /// [`Models::open`]; the one that ships is unpacked into `cache_dir`.
    pub(crate) fn open_in(&self, cache_dir: Option<&Path>) -> Result<ModelSet> {
        let named = self.named();
        if named.is_none() {
            console::note(format_args!("model set {}, which ships with uniood (--models DIR for another)", shipped::NAME));
        }
        Ok(ModelSet::open_or_shipped(named, cache_dir)?)
    }
}

/// The settings of element and commands; see the element's properties of the same names.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Settings, as the element's properties")]
pub(crate) struct Settings {
    /// ONNX detector file, OWLv2 folder, or `frame`: the whole frame is the object [default: the set's]
    #[arg(long, value_name = "FILE")]
    pub(crate) detector: Option<String>,
    /// In-distribution classes: `car,bus,…` or a text file, one a line [default: the set's]
    #[arg(long, value_name = "LIST")]
    pub(crate) classes: Option<String>,
    /// Below it an object is OOD [default: the set's]
    #[arg(long, value_name = "DELTA", value_parser = finite, allow_negative_numbers = true)]
    pub(crate) ood_threshold: Option<f32>,
    /// Boxes with less confidence are dropped
    #[arg(long, value_name = "0..1", value_parser = share::<f32>, default_value_t = Selection::default().detection_threshold)]
    pub(crate) detection_threshold: f32,
    /// Of two boxes that overlap by more, the less confident is dropped
    #[arg(long, value_name = "0..1", value_parser = share::<f32>, default_value_t = Selection::default().iou_threshold)]
    pub(crate) iou_threshold: f32,
    /// The most confident objects of a frame that are scored; the others are reported unscored
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), default_value = "32")]
    pub(crate) max_objects: u32,
    /// Boxes with a shorter side below it, in pixels, are dropped
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(..=65_535), default_value_t = Selection::default().min_object_size)]
    pub(crate) min_object_size: u32,
    /// Only boxes with one of these detector labels [default: all]
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub(crate) object_class: Vec<String>,
    /// Verdict per object, per frame, or both
    #[arg(long, value_enum, default_value_t = Scope::Object)]
    pub(crate) scope: Scope,
    /// Where the models run: auto, cpu, cuda[:n], tensorrt[:n], openvino[:name]
    #[arg(long, default_value_t = Device::Auto)]
    pub(crate) device: Device,
    /// What the encoder computes in: auto (fp32), fp32, fp16 (with device tensorrt), bf16 (with device openvino), int8 (on a processor)
    #[arg(long, default_value_t = Precision::Auto)]
    pub(crate) precision: Precision,
    #[command(flatten)]
    pub(crate) leave_out: LeaveOut,
    /// Objects that are encoded together [default: 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) batch_size: Option<u32>,
    /// Milliseconds that an open batch waits for more objects; -1: until it is full [default: 10]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(i32).range(-1..=60_000), allow_negative_numbers = true)]
    pub(crate) batch_timeout: Option<i32>,
    /// Threads of the encoder on a processor; 0: one a core [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1024))]
    pub(crate) encoder_threads: Option<u32>,
    /// Sessions of the encoder that share its threads and encode a batch each; weights are in memory once for each [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) encoder_sessions: Option<u32>,
    /// Threads of the detector on a processor; 0: one a core [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1024))]
    pub(crate) detector_threads: Option<u32>,
    /// What `uniood bench --tune` wrote: these five, where they are not given
    #[arg(long = "settings", value_name = "FILE")]
    pub(crate) tuned_file: Option<PathBuf>,
    /// Where built graphs are kept [default: the user's cache]
    #[arg(long, value_name = "DIR")]
    pub(crate) model_cache_dir: Option<PathBuf>,
}

/// What is left out for speed; each of it is an approximation.
#[derive(Args, Debug, Clone, Copy)]
pub(crate) struct LeaveOut {
    /// How an object's background is encoded
    #[arg(long, value_enum, default_value_t = Background::Exact)]
    background: Background,
    /// Score an object against so many classes alone, those most like it by plain CLIP; 0: all
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(..=100_000), default_value = "0")]
    shortlist: u32,
}

/// How an object's background is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Background {
    /// Once for every object, which is masked out of its pixels
    Exact,
    /// Once for every frame; an object's own patches are masked out of the keys
    Shared,
}

impl LeaveOut {
    /// The engine's words.
    pub(crate) fn approximation(self) -> Approximation {
        Approximation {
            background: match self.background {
                Background::Exact => pair::Background::Exact,
                Background::Shared => pair::Background::Shared,
            },
            shortlist: NonZero::new(self.shortlist as usize),
        }
    }

    /// The element's properties, by name, as text.
    fn properties(self) -> [(&'static str, Option<String>); 2] {
        let background = self.background.to_possible_value().map(|value| value.get_name().to_owned());
        [("background", background), ("shortlist", Some(self.shortlist.to_string()))]
    }
}

/// How a video's objects are followed; see the element's properties of the same names.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Tracking, as the element's properties")]
pub(crate) struct Tracking {
    /// What follows an object from frame to frame: ids that stay, verdicts that are the median of a track's last scores
    #[arg(long, value_enum, default_value_t = Tracker::None)]
    tracker: Tracker,
    /// Detect on every n-th frame; the tracker carries boxes between
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), default_value = "1")]
    inference_interval: u32,
    /// Score a tracked object again every n frames, and when its crop has changed; 0: only then
    #[arg(long, value_name = "N", default_value = "1")]
    reclassify_interval: u32,
}

/// What follows an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tracker {
    /// Nothing: every frame on its own
    None,
    /// Overlap with where an object was last
    Iou,
    /// Overlap with where an object should be by its motion
    Sort,
}

impl Tracking {
    /// Settings that do not fit together are wrong usage.
    pub(crate) fn check(&self) -> Result<()> {
        self.settings().map(drop).map_err(|error| usage(error.to_string()))
    }

    /// Whether there is a tracker.
    pub(crate) fn follows(&self) -> bool {
        self.tracker != Tracker::None
    }

    fn settings(&self) -> uniood::Result<Option<track::Settings>> {
        let method = match self.tracker {
            Tracker::None => None,
            Tracker::Iou => Some(track::Method::Iou),
            Tracker::Sort => Some(track::Method::Sort),
        };
        track::Settings::new(method, self.inference_interval, self.reclassify_interval)
    }

    /// The element's properties, by name, as text.
    pub(crate) fn properties(&self) -> [(&'static str, String); 3] {
        let tracker = self.tracker.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        [
            ("tracker", tracker),
            ("inference-interval", self.inference_interval.to_string()),
            ("reclassify-interval", self.reclassify_interval.to_string()),
        ]
    }
}

/// What gets a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// Every object
    Object,
    /// The frame: its most confident object, or all of it where there is none
    Image,
    /// Both
    Both,
}

impl Settings {
    /// What an engine is made of; `detector` in place of the flag where boxes come from elsewhere.
    ///
    /// # Errors
    /// Whatever a file of settings can be wrong in.
    pub(crate) fn engine(&self, models: ModelSet, detector: Option<DetectorChoice>) -> Result<EngineConfig> {
        let tuned = self.tuned().or_file(self.tuned_file.as_deref())?;
        let flag = || match self.detector.as_deref() {
            None => DetectorChoice::Set,
            Some("frame") => DetectorChoice::Frame,
            Some(file) => DetectorChoice::File(file.into()),
        };
        Ok(EngineConfig {
            models,
            detector: detector.unwrap_or_else(flag),
            device: self.device.clone(),
            precision: self.precision,
            batch_size: tuned.batch_size(),
            batch_timeout: tuned.batch_timeout(),
            cache_dir: self.model_cache_dir.clone(),
            threads: tuned.threads(),
        })
    }

    /// What was given of the settings that a file may have.
    pub(crate) const fn tuned(&self) -> Tuned {
        let Self { batch_size, batch_timeout, encoder_threads, encoder_sessions, detector_threads, .. } = *self;
        Tuned { batch_size, batch_timeout, encoder_threads, encoder_sessions, detector_threads }
    }

    /// The element's properties, by name, as text; those that were not given keep the element's default.
    pub(crate) fn properties(&self) -> Vec<(&'static str, String)> {
        let text = |value: &dyn ToString| Some(value.to_string());
        let given = |value: &Option<u32>| value.map(|value| value.to_string());
        let named = [
            ("detector", self.detector.clone()),
            ("classes", self.classes.clone()),
            ("ood-threshold", self.ood_threshold.as_ref().and_then(|delta| text(delta))),
            ("detection-threshold", text(&self.detection_threshold)),
            ("iou-threshold", text(&self.iou_threshold)),
            ("max-objects", text(&self.max_objects)),
            ("min-object-size", text(&self.min_object_size)),
            ("object-class", Some(self.object_class.join(","))),
            ("scope", self.scope.to_possible_value().map(|value| value.get_name().to_owned())),
            ("device", text(&self.device)),
            ("precision", text(&self.precision)),
            ("batch-size", given(&self.batch_size)),
            ("batch-timeout", self.batch_timeout.as_ref().and_then(|timeout| text(timeout))),
            ("encoder-threads", given(&self.encoder_threads)),
            ("encoder-sessions", given(&self.encoder_sessions)),
            ("detector-threads", given(&self.detector_threads)),
            ("settings", self.tuned_file.as_ref().map(|file| file.to_string_lossy().into_owned())),
            ("model-cache-dir", self.model_cache_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned())),
        ];
        named
            .into_iter()
            .chain(self.leave_out.properties())
            .filter_map(|(name, value)| Some((name, value?)))
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }

    /// What every frame is answered with.
    pub(crate) fn frame(&self, engine: &Engine, keep_scores: bool) -> Result<FrameSettings> {
        let manifest = &engine.models().manifest;
        let vocabulary = match &self.classes {
            Some(list) => engine.vocabulary(&parse_classes(list)?)?,
            None => engine.vocabulary(&manifest.classes)?,
        };
        let (threshold, calibration) = engine.models().threshold(self.ood_threshold, &vocabulary.classes, "");
        Ok(FrameSettings {
            vocabulary,
            threshold,
            calibration,
            selection: Selection {
                detection_threshold: self.detection_threshold,
                iou_threshold: self.iou_threshold,
                max_objects: self.max_objects as usize,
                min_object_size: self.min_object_size,
                object_class: self.object_class.clone(),
            },
            scope: match self.scope {
                Scope::Object => engine::Scope::Object,
                Scope::Image => engine::Scope::Image,
                Scope::Both => engine::Scope::Both,
            },
            keep_scores,
            approximation: self.leave_out.approximation(),
        })
    }
}

pub(crate) fn share<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    text.parse().ok().filter(|share| (T::from(0)..=T::from(1)).contains(share)).ok_or_else(|| "wanted a number in 0..=1".to_owned())
}

fn finite(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|number: &f32| number.is_finite()).ok_or_else(|| "wanted a number".to_owned())
}
