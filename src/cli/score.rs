//! `uniood score`: verdicts for pictures.

use std::{
    collections::VecDeque,
    io::{IsTerminal, Write, stdout},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use uniood::{
    engine::{Answer, Boxes, DetectorChoice, Engine, FrameSettings, Job, Stream, Ticket, no_abort},
    frame::Picture,
    picture,
    report::{FrameHeader, FrameReport},
    verdict::{Reason, Scored, Verdict},
};

use crate::{
    Outcome,
    boxes::GivenBoxes,
    console,
    settings::{Models, Settings},
};

/// Verdicts for pictures
#[derive(Args)]
#[command(
    after_help = "Examples: uniood score photo.jpg\n          uniood score --models street --boxes instances.json images/*.jpg --json"
)]
pub(crate) struct Score {
    /// Picture files: JPEG, PNG, WebP, BMP, TIFF
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    models: Models,
    /// Boxes in place of a detector: a JSON list of [x,y,w,h] in pixels, a COCO JSON, or `frame`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["detector", "detection_threshold", "iou_threshold", "max_objects", "min_object_size", "object_class"])]
    boxes: Option<String>,
    /// `all`: omega and plain CLIP's cosine of every class
    #[arg(long, value_enum)]
    scores: Option<Scores>,
    /// One uniood.frame/1 a line in place of the table
    #[arg(long)]
    json: bool,
    /// Exit with 3 when anything is OOD
    #[arg(long)]
    fail_on_ood: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Which scores are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scores {
    /// Of every class
    All,
}

/// Pictures in the engine at once: enough to fill batches, few enough to hold in memory.
const WINDOW: usize = 16;

/// A picture on its way.
struct Pending {
    path: PathBuf,
    size: (u32, u32),
    ticket: Ticket,
}

impl Score {
    /// Scores the pictures in their order.
    pub(crate) fn run(self) -> Result<Outcome> {
        let boxes = self.boxes.as_deref().map(GivenBoxes::read).transpose()?;
        let models = self.models.open(&self.settings)?;
        let config = self.settings.engine(models, boxes.as_ref().map(|_| DetectorChoice::Upstream))?;
        let engine = Engine::open(&config)?;
        let stream = engine.stream();
        let mut settings = self.settings.frame(&engine, self.scores.is_some())?;
        if boxes.is_some() {
            // Boxes that the user gave are all answered.
            settings.selection.max_objects = usize::MAX;
        }
        let settings = Arc::new(settings);

        let bar = console::progress(self.images.len() as u64, "pictures");
        let mut printer = Printer::new(&engine, self.json);
        let mut outcome = Outcome::Done;
        let mut pending = VecDeque::new();
        let mut images = self.images.iter();
        loop {
            while pending.len() < WINDOW
                && let Some(path) = images.next()
            {
                match submit(&stream, path.clone(), boxes.as_ref(), &settings) {
                    Ok(picture) => pending.push_back(picture),
                    Err(error) => {
                        bar.suspend(|| console::error(&error));
                        outcome = Outcome::Failed;
                    }
                }
            }
            if config.batch_timeout.is_none() {
                stream.flush();
            }
            let Some(Pending { path, size, ticket }) = pending.pop_front() else { break };
            let answer = ticket.wait()?;
            if let Some(error) = &answer.error {
                bar.suspend(|| console::error(&anyhow::anyhow!("{}: {error}", path.display())));
                outcome = Outcome::Failed;
            }
            bar.suspend(|| printer.print(&path.to_string_lossy(), size, &answer)).context("cannot write to stdout")?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(match outcome {
            Outcome::Done if self.fail_on_ood && printer.any_ood => Outcome::GateMissed,
            outcome => outcome,
        })
    }
}

fn submit(stream: &Stream, path: PathBuf, boxes: Option<&GivenBoxes>, settings: &Arc<FrameSettings>) -> Result<Pending> {
    let picture: Picture = picture::read(&path)?;
    let size = (picture.width, picture.height);
    let boxes = match boxes {
        Some(given) => Boxes::Given(given.of(&path, size.0, size.1).with_context(|| path.display().to_string())?),
        None => Boxes::Detect,
    };
    let job = Job { frame: Arc::new(picture), boxes, settings: Arc::clone(settings), tracks: None };
    let ticket = stream.submit(job, &no_abort()).map_err(|_| anyhow::anyhow!("the engine was closed"))?;
    Ok(Pending { path, size, ticket })
}

/// Prints answers, as JSON lines or as a table.
struct Printer {
    model: String,
    json: bool,
    colours: bool,
    frame_id: u64,
    any_ood: bool,
}

impl Printer {
    fn new(engine: &Engine, json: bool) -> Self {
        let colours = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { model: engine.models().manifest.name.clone(), json, colours, frame_id: 0, any_ood: false }
    }

    fn print(&mut self, source: &str, resolution: (u32, u32), answer: &Answer) -> std::io::Result<()> {
        let verdicts = answer.objects.iter().map(|object| &object.verdict).chain(&answer.image);
        self.any_ood |= verdicts.clone().any(|verdict| matches!(verdict, Verdict::Scored(Scored { ood: true, .. })));
        let mut out = stdout().lock();
        if self.json {
            let header = FrameHeader {
                run: None,
                stream_id: "score",
                frame_id: self.frame_id,
                timestamp: None,
                resolution,
                source: Some(source),
                model: &self.model,
            };
            writeln!(out, "{}", FrameReport::new(&header, answer).to_line())?;
        } else {
            writeln!(out, "{source}")?;
            for (index, object) in answer.objects.iter().enumerate() {
                let rect = object.rect;
                let place = format!("{}×{} at {},{}", rect.w(), rect.h(), rect.x(), rect.y());
                let detected = object.detection.label.as_ref().map_or_else(String::new, |label| format!(", detected as {}", label.name));
                self.row(&mut out, &format!("{index:>4}"), &object.verdict, &format!("{place}{detected}"))?;
            }
            if let Some(verdict) = &answer.image {
                self.row(&mut out, " all", verdict, "the picture")?;
            }
            if answer.objects.is_empty() && answer.image.is_none() && answer.error.is_none() {
                writeln!(out, "     no objects")?;
            }
        }
        self.frame_id += 1;
        out.flush()
    }

    fn row(&self, out: &mut impl Write, name: &str, verdict: &Verdict, place: &str) -> std::io::Result<()> {
        let (colour, said) = match verdict {
            Verdict::Scored(scored) if scored.ood => {
                (31, format!("OOD       {:+.4} < {:+.4}  nearest {}", scored.omega, scored.threshold, scored.nearest))
            }
            Verdict::Scored(scored) => (32, format!("ID        {:+.4} ≥ {:+.4}  {}", scored.omega, scored.threshold, scored.nearest)),
            Verdict::Unscored(reason) => (90, format!("unscored  {}", sentence(*reason))),
        };
        let said = if self.colours { format!("\x1b[{colour}m{said}\x1b[0m") } else { said };
        writeln!(out, "{name} {said}  {place}")?;
        if let Verdict::Scored(Scored { omegas: Some(omegas), cosines: Some(cosines), .. }) = verdict {
            for ((class, omega), (_, cosine)) in omegas.iter().zip(cosines) {
                writeln!(out, "          {class:24} omega {omega:+.6}  cosine {cosine:+.6}")?;
            }
        }
        Ok(())
    }
}

fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::MaxObjects => "more objects than --max-objects",
        Reason::Overload => "no room in the queue",
        Reason::Late => "late by quality of service",
        Reason::Error => "the model run failed",
        Reason::Pending => "its track has no score yet",
    }
}
