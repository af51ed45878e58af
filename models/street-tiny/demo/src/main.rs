//! What uniood said of street-world's videos beside the truth.
//!
//! A track alarms when it has at least three verdicts and most of them are OOD. Detections are matched to true objects at
//! IoU > 0.3; what is hidden, cut off, smaller than 16 pixels or only on show is neither right nor wrong, and so is a box on a
//! part of an unknown thing. A box on a part of a known one is a box on nothing.

mod compare;
mod sheet;
mod table;
mod truth;

use std::{
    fs,
    io::{Write, stdout},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use uniood::report::FrameReport;

use compare::{Comparison, compare};

/// What uniood said of street-world's videos beside the truth: a table, and a contact sheet of what was called OOD
#[derive(Parser)]
#[command(version, after_help = "Example: street-demo --out demo-out demo-out/drive.mp4 demo-out/watch.mp4")]
struct Arguments {
    /// Videos of `street-world video`, their truth beside them
    #[arg(required = true)]
    videos: Vec<PathBuf>,
    /// Where `uniood run --keep-scores` put its JSON lines and crops
    #[arg(long)]
    out: PathBuf,
    /// Frames a second of the videos
    #[arg(long, default_value_t = 25.0)]
    fps: f64,
    /// The contact sheet, a PNG file
    #[arg(long)]
    sheet: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut found: Vec<(String, Comparison)> = Vec::new();
    for video in &arguments.videos {
        let name = video.file_stem().with_context(|| format!("{} is no file", video.display()))?.to_string_lossy().into_owned();
        let truth = truth::read(&video.with_extension("coco.json"))?;
        let path = arguments.out.join(format!("{name}.jsonl"));
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let lines = lines(&text, &path)?;
        if lines.len() != truth.len() {
            bail!("{} has {} lines for {} frames: let `uniood run` end", path.display(), lines.len(), truth.len());
        }
        found.push((name, compare(&truth, &lines)));
    }
    if let Some(path) = &arguments.sheet {
        let crops = found.iter().map(|(name, found)| (found, arguments.out.join(format!("{name}.crops")))).collect::<Vec<_>>();
        if let Some(picture) = sheet::sheet(&crops)? {
            fs::write(path, picture.png()).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    let mut out = stdout().lock();
    for line in table::lines(&found, arguments.fps) {
        writeln!(out, "{line}").context("cannot write to stdout")?;
    }
    Ok(())
}

fn lines<'a>(text: &'a str, path: &Path) -> Result<Vec<FrameReport<'a>>> {
    let parse =
        |(number, line)| serde_json::from_str(line).with_context(|| format!("{}:{}: not a frame of uniood's", path.display(), number + 1));
    text.lines().enumerate().map(parse).collect()
}
