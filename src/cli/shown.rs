//! An evaluation with its progress on the terminal, a line now and then elsewhere.

use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::ProgressBar;
use uniood::{
    data::Faults,
    engine::EngineConfig,
    eval::{self, Evaluation, Progress, Request, Stage},
};

use crate::{
    console,
    offline::ended,
    signals::{self, interrupted},
};

/// How often progress is told of where there is no terminal.
const NEWS: Duration = Duration::from_secs(20);

/// Evaluates with progress shown; `None` where the user interrupted it.
pub(crate) fn evaluate(config: &EngineConfig, request: &Request, faults: &mut Faults) -> Result<Option<Evaluation>> {
    Ok(evaluate_each(std::slice::from_ref(config), request, faults)?.and_then(|mut evaluations| evaluations.pop()))
}

/// Evaluates the same with each of these, one after the other.
pub(crate) fn evaluate_each(configs: &[EngineConfig], request: &Request, faults: &mut Faults) -> Result<Option<Vec<Evaluation>>> {
    signals::watch()?;
    let mut shown = Shown::default();
    let mut watch = |progress| {
        shown.show(progress);
        interrupted()
    };
    // What is broken in the data is told of once.
    let mut again = Faults::default();
    let each = configs.iter().enumerate().map(|(index, config)| {
        let faults = if index == 0 { &mut *faults } else { &mut again };
        eval::evaluate(config, request, faults, &mut watch)
    });
    let evaluations = each.collect();
    shown.finish();
    ended(evaluations, faults)
}

/// What is shown of an evaluation under way.
struct Shown {
    bar: Option<(Stage, ProgressBar)>,
    told: Instant,
}

impl Default for Shown {
    fn default() -> Self {
        Self { bar: None, told: Instant::now() }
    }
}

impl Shown {
    fn show(&mut self, Progress { stage, done, total }: Progress) {
        let unit = match stage {
            Stage::Shots => "shots through CLIP",
            Stage::Training => "steps of training",
            Stage::Threshold => "pictures for the detector's threshold",
            Stage::Pictures => "pictures",
        };
        if self.bar.as_ref().is_none_or(|(shown, _)| *shown != stage) {
            self.finish();
            self.bar = Some((stage, console::progress(total as u64, unit)));
        }
        let Some((_, bar)) = &self.bar else { return };
        bar.set_position(done as u64);
        if bar.is_hidden() && self.told.elapsed() >= NEWS {
            self.told = Instant::now();
            console::note(format_args!("{done}/{total} {unit}"));
        }
    }

    fn finish(&self) {
        if let Some((_, bar)) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
