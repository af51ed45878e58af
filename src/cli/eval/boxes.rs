//! Where boxes come from, which of them count, and how they are made worse.

use std::{path::PathBuf, str::FromStr};

use anyhow::{Result, bail};
use clap::Args;
use uniood::{detect::Selection, engine::DetectorChoice, eval::Disturbance, models::ModelSet};

use crate::{offline::BoxesFrom, settings::share};

/// Boxes and the detector's settings; names and defaults are the element's.
#[derive(Args)]
#[command(next_help_heading = "Boxes")]
pub(super) struct Boxes {
    /// Where boxes come from
    #[arg(long = "boxes", value_name = "FROM", value_enum, default_value_t = BoxesFrom::Detector)]
    from: BoxesFrom,
    /// ONNX detector file or OWLv2 folder [default: the set's]
    #[arg(long, value_name = "FILE")]
    detector: Option<PathBuf>,
    /// Boxes with less confidence are dropped; `best-f1`: the confidence of best F1 on the ID set's boxes [default: 0.3; with --protocol vos, best-f1]
    #[arg(long, value_name = "0..1")]
    detection_threshold: Option<Confidence>,
    /// Of two boxes that overlap by more, the less confident is dropped
    #[arg(long, value_name = "0..1", value_parser = share::<f32>, default_value_t = Selection::default().iou_threshold)]
    iou_threshold: f32,
    /// Boxes with a shorter side below it, in pixels, are dropped
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(..=65_535), default_value_t = Selection::default().min_object_size)]
    min_object_size: u32,
    /// Move boxes by up to these shares of width and height, a run each: `0,.1,.3`
    #[arg(long = "box-jitter", value_name = "SHARES", value_delimiter = ',', value_parser = share::<f32>)]
    moved: Vec<f32>,
    /// Take these shares of the boxes away, a run each: `0,.25,.5`
    #[arg(long = "drop-boxes", value_name = "SHARES", value_delimiter = ',', value_parser = share::<f32>)]
    dropped: Vec<f32>,
}

/// The detector's threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Confidence {
    AtLeast(f32),
    /// The one of best F1 on the ID set's boxes.
    BestF1,
}

impl FromStr for Confidence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "best-f1" { Ok(Self::BestF1) } else { share(text).map(Self::AtLeast) }
    }
}

impl Boxes {
    pub(super) fn detect(&self) -> bool {
        self.from == BoxesFrom::Detector
    }

    pub(super) fn detector(&self, models: &ModelSet) -> Result<DetectorChoice> {
        Ok(match (self.from, &self.detector) {
            (BoxesFrom::Truth, _) => DetectorChoice::Upstream,
            (BoxesFrom::Detector, Some(file)) => DetectorChoice::File(file.clone()),
            (BoxesFrom::Detector, None) if models.manifest.detector.is_some() => DetectorChoice::Set,
            (BoxesFrom::Detector, None) => {
                bail!("model set `{}` has no detector; name one with --detector, or use --boxes truth", models.manifest.name)
            }
        })
    }

    /// What counts as an object. All of a picture's do, however many there are.
    pub(super) fn selection(&self) -> Selection {
        let default = Selection::default();
        Selection {
            detection_threshold: match self.detection_threshold {
                Some(Confidence::AtLeast(share)) => share,
                Some(Confidence::BestF1) | None => default.detection_threshold,
            },
            iou_threshold: self.iou_threshold,
            min_object_size: self.min_object_size,
            max_objects: usize::MAX,
            ..default
        }
    }

    /// Whether the threshold is the one of best F1; `unsaid` where the user says nothing.
    pub(super) fn best_f1(&self, unsaid: bool) -> bool {
        self.detection_threshold.map_or(unsaid, |confidence| confidence == Confidence::BestF1)
    }

    /// A run for each jitter and each share of missing boxes, each once; the plain one where neither is asked for.
    pub(super) fn disturbances(&self) -> Vec<Disturbance> {
        let jitters = self.moved.iter().map(|&jitter| Disturbance { jitter, drop: 0.0 });
        let drops = self.dropped.iter().map(|&drop| Disturbance { jitter: 0.0, drop });
        let mut all: Vec<Disturbance> = Vec::new();
        for disturbance in jitters.chain(drops) {
            if !all.contains(&disturbance) {
                all.push(disturbance);
            }
        }
        if all.is_empty() {
            all.push(Disturbance::default());
        }
        all
    }
}
