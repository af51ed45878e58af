//! Scores that were made elsewhere: two lists of numbers, one a line.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use uniood::eval::{Observed, Row, intervals, metrics};

/// Two lists of scores.
#[derive(Args)]
#[command(next_help_heading = "Scores made elsewhere, in place of data")]
pub(super) struct Lists {
    /// Scores of known things, one a line; high means ID
    #[arg(long, value_name = "FILE", requires = "ood_scores", conflicts_with_all = ["id", "ood", "open_world", "protocol", "images", "methods", "shots", "negatives"])]
    id_scores: Option<PathBuf>,
    /// Scores of unknown things, one a line
    #[arg(long, value_name = "FILE", requires = "id_scores")]
    ood_scores: Option<PathBuf>,
}

impl Lists {
    /// Whether there are any.
    pub(super) const fn given(&self) -> bool {
        self.id_scores.is_some()
    }

    /// Their one row; every score counts as a picture of its own.
    pub(super) fn rows(&self, seed: u64) -> Result<Option<Vec<Row>>> {
        let (Some(id), Some(ood)) = (&self.id_scores, &self.ood_scores) else { return Ok(None) };
        let lists = [read(id)?, read(ood)?];
        let observe = |set: usize| {
            let scores = lists[set].iter().enumerate();
            scores.map(move |(picture, &score)| Observed { score, known: set == 0, set, picture })
        };
        let found = metrics(&lists[0], &lists[1]).with_context(|| format!("{} and {}", id.display(), ood.display()))?;
        let observed: Vec<Observed> = observe(0).chain(observe(1)).collect();
        Ok(Some(vec![Row {
            method: "scores".to_owned(),
            ood: ood.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            box_jitter: 0.0,
            drop_boxes: 0.0,
            metrics: found,
            missed: None,
            intervals: intervals(&observed, &[lists[0].len(), lists[1].len()], seed),
        }]))
    }
}

fn read(path: &Path) -> Result<Vec<f64>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut scores = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match line.trim().parse() {
            Ok(score) => scores.push(score),
            Err(_) => bail!("{}: line {} is `{}`; wanted a number a line", path.display(), number + 1, line.trim()),
        }
    }
    Ok(scores)
}
