//! An evaluation as JSON: `uniood.eval/1`. Numbers are fractions, in full precision.

use std::num::NonZero;

use serde::Serialize;

use super::{
    rows::Row,
    sets::{Part, Role},
};
use crate::{
    data::Faults,
    eval::{Evaluation, Request, pass::Level},
    pair::Background,
};

/// The version of the form.
pub const SCHEMA: &str = "uniood.eval/1";

/// All that is written of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Document<'a> {
    schema: &'static str,
    version: &'static str,
    /// The table.
    pub metrics: &'a [Row],
    /// What it was made with; absent where scores came from elsewhere.
    #[serde(flatten)]
    pub origin: Option<Origin<'a>>,
}

/// What an evaluation was made with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Origin<'a> {
    /// The model set's name.
    pub models: &'a str,
    classes: &'a [String],
    /// `id-ood`, `open-world` or `vos`.
    pub protocol: &'a str,
    scope: &'static str,
    boxes: &'static str,
    detection_threshold: f32,
    iou_threshold: f32,
    min_object_size: u32,
    shots: Option<usize>,
    /// Where it is not the exact one.
    #[serde(skip_serializing_if = "Option::is_none")]
    background: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shortlist: Option<NonZero<usize>>,
    seed: u64,
    sets: Vec<Set<'a>>,
    left_out: LeftOut,
}

/// What was not used of all data sets, those of the shots too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct LeftOut {
    crowds: usize,
    ignored: usize,
    /// What was broken or unreadable.
    faults: usize,
}

/// A data set, and what was found in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Set<'a> {
    name: &'a str,
    path: String,
    role: &'static str,
    pictures: usize,
    unreadable: usize,
    objects: usize,
    missed: Option<usize>,
}

impl<'a> Document<'a> {
    /// A table and where it comes from.
    #[must_use]
    pub const fn new(metrics: &'a [Row], origin: Option<Origin<'a>>) -> Self {
        Self { schema: SCHEMA, version: env!("CARGO_PKG_VERSION"), metrics, origin }
    }

    /// The JSON text, one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("every key is a string and every value has a JSON form")
    }
}

impl<'a> Origin<'a> {
    /// What a request says, what its first run counted, and what was left out on the way.
    #[must_use]
    pub fn new(models: &'a str, protocol: &'a str, request: &'a Request, evaluation: &Evaluation, faults: &Faults) -> Self {
        let run = &evaluation.runs[0];
        let set = |(index, part): (usize, &'a Part)| {
            let tally = run.tallies[index];
            Set {
                name: &part.name,
                path: part.data.path.display().to_string(),
                role: match part.role {
                    Role::Known => "id",
                    Role::Unknown => "ood",
                    Role::Mixed => "both",
                },
                pictures: tally.pictures,
                unreadable: tally.unreadable,
                objects: run.objects.iter().filter(|object| object.part == index).count(),
                missed: tally.missed,
            }
        };
        Self {
            models,
            classes: &request.classes,
            protocol,
            scope: match request.level {
                Level::Object => "object",
                Level::Image => "image",
            },
            boxes: if request.detect { "detector" } else { "truth" },
            detection_threshold: evaluation.detection_threshold,
            iou_threshold: request.selection.iou_threshold,
            min_object_size: request.selection.min_object_size,
            shots: request.shots.as_ref().map(|(_, settings)| settings.shots),
            background: (request.approximation.background == Background::Shared).then_some("shared"),
            shortlist: request.approximation.shortlist,
            seed: request.seed,
            sets: request.parts.iter().enumerate().map(set).collect(),
            left_out: LeftOut { crowds: faults.crowds, ignored: faults.ignored, faults: faults.count() },
        }
    }
}
