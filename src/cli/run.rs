//! `uniood run`: videos through the GStreamer element.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result};
use clap::Args;
use gst::prelude::*;
use indicatif::ProgressBar;

use crate::{
    Outcome, console,
    inputs::{self, Named},
    parallel, plugin,
    recording::{self, End, Outputs},
    settings::{Models, Settings},
    summary::Summary,
};

/// The engine's name where several inputs share it.
const INSTANCE: &str = "uniood-run";

/// Videos and cameras: annotated recording, JSON lines, crops of what was OOD
#[derive(Args)]
#[command(
    after_help = "Examples: uniood run dashcam.mp4 --models street --out out\n          uniood run rtsp://user:password@camera/stream --models street --out out\n          uniood run rtsp://cam-1/live rtsp://cam-2/live v4l2:/dev/video0 --out out"
)]
pub(crate) struct Run {
    /// Video files, folders of them, rtsp://… or v4l2:/dev/video0
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
    #[command(flatten)]
    models: Models,
    /// Folder for NAME.annotated.mp4, NAME.jsonl and NAME.crops/
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Files that are read at the same time, by one engine; live inputs always are
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Most crops kept of one input; 0: none
    #[arg(long, value_name = "N", default_value_t = 1000)]
    crops: u64,
    /// Omega and plain CLIP's cosine of every class in the JSON lines
    #[arg(long)]
    keep_scores: bool,
    /// Exit with 3 when anything is OOD
    #[arg(long)]
    fail_on_ood: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Run {
    /// Runs files one after the other, or `jobs` of them at a time, and all live inputs at the same time.
    pub(crate) fn run(self) -> Result<Outcome> {
        let inputs = inputs::parse(&self.inputs)?;
        // Read here too, so that a wrong set is told of before a pipeline is built.
        let models = self.models.open(&self.settings)?;
        plugin::load()?;
        let (encoder, _) = recording::encoder()?;
        if encoder != "x264enc" {
            console::note(format_args!("GStreamer has no x264enc (gstreamer1.0-plugins-ugly); recording with {encoder}"));
        }
        fs::create_dir_all(&self.out).with_context(|| format!("cannot create {}", self.out.display()))?;
        let interrupts = interrupts()?;

        let jobs = usize::from(self.jobs);
        let is_shared = parallel::at_once(&inputs, jobs) > 1;
        let (started, total) = (Instant::now(), Mutex::new(Summary::default()));
        let one = |named: &Named| {
            let (summary, outcome) = self.one(named, &models.dir, is_shared, &interrupts);
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            report(&named.input.shown(), &summary);
            *total += summary;
            outcome
        };
        let outcomes = parallel::run(&inputs, jobs, || interrupts.load(Ordering::Relaxed) > 0, one).context("cannot start a thread")?;
        let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
        total.elapsed = started.elapsed();
        let outcome = if interrupts.load(Ordering::Relaxed) > 0 {
            Outcome::Interrupted
        } else if outcomes.contains(&Outcome::Failed) {
            Outcome::Failed
        } else {
            Outcome::Done
        };
        if inputs.len() > 1 {
            report("all inputs", &total);
        }
        Ok(match outcome {
            Outcome::Done if self.fail_on_ood && total.ood > 0 => Outcome::GateMissed,
            outcome => outcome,
        })
    }

    /// Runs one input to its end; what went wrong is said.
    fn one(&self, named: &Named, models: &Path, is_shared: bool, interrupts: &AtomicUsize) -> (Summary, Outcome) {
        let outputs = Outputs {
            video: self.out.join(format!("{}.annotated.mp4", named.name)),
            lines: self.out.join(format!("{}.jsonl", named.name)),
            crops: self.out.join(format!("{}.crops", named.name)),
            most_crops: self.crops,
        };
        // Bars of several inputs would write over one another: each says a line now and then.
        let bar =
            if is_shared { ProgressBar::hidden().with_prefix(format!("{}: ", named.name)) } else { console::progress_of_time(&named.name) };
        let (summary, end) = match self.element(models, &named.name, is_shared) {
            Ok(filter) => recording::record(&named.input, &outputs, &filter, interrupts, &bar),
            Err(error) => (Summary::default(), Err(error)),
        };
        bar.finish_and_clear();
        let outcome = match end {
            Ok(End::Done) => Outcome::Done,
            Ok(End::Interrupted) => Outcome::Interrupted,
            Err(error) => {
                console::error(&error.context(named.input.shown()));
                Outcome::Failed
            }
        };
        (summary, outcome)
    }

    /// The element with this command's settings.
    fn element(&self, models: &Path, stream_id: &str, is_shared: bool) -> Result<gst::Element> {
        let settings = &self.settings;
        let filter = gst::ElementFactory::make("unioodfilter")
            .property("model-dir", models.to_str().context("the model set's path is not UTF-8; move it")?)
            .property("stream-id", stream_id)
            .property("keep-scores", self.keep_scores)
            .property("post-messages", false)
            .property("model-instance-id", is_shared.then_some(INSTANCE))
            .build()
            .context("the element unioodfilter")?;
        for (name, value) in settings.properties() {
            filter.set_property_from_str(name, &value);
        }
        Ok(filter)
    }
}

/// Counts Ctrl-C and SIGTERM; the process goes on until its files are closed.
fn interrupts() -> Result<Arc<AtomicUsize>> {
    let interrupts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&interrupts);
    ctrlc::set_handler(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(interrupts)
}

#[expect(clippy::print_stdout, reason = "the summary is the result")]
fn report(name: &str, summary: &Summary) {
    println!("{name}\n{summary}");
}
