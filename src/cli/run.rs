//! `uniood run`: videos through the GStreamer element.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result};
use clap::{Args, Command, error::ErrorKind};
use gst::prelude::*;

use crate::{
    Outcome, console, inputs, plugin,
    recording::{self, End, Outputs},
    settings::{Models, Settings, Tracking},
    summary::Summary,
};

/// Videos and cameras: annotated recording, JSON lines, crops of what was OOD
#[derive(Args)]
#[command(
    after_help = "Examples: uniood run dashcam.mp4 --models street --out out\n          uniood run rtsp://user:password@camera/stream --models street --out out"
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
    tracking: Tracking,
    #[command(flatten)]
    settings: Settings,
}

impl Run {
    /// Runs the inputs one after the other.
    pub(crate) fn run(self) -> Result<Outcome> {
        if let Err(error) = self.tracking.check() {
            // As clap says what it finds wrong itself.
            Self::augment_args(Command::new("uniood run")).error(ErrorKind::ArgumentConflict, error).exit();
        }
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

        let mut total = Summary::default();
        let mut outcome = Outcome::Done;
        for named in &inputs {
            let shown = named.input.shown();
            let outputs = Outputs {
                video: self.out.join(format!("{}.annotated.mp4", named.name)),
                lines: self.out.join(format!("{}.jsonl", named.name)),
                crops: self.out.join(format!("{}.crops", named.name)),
                most_crops: self.crops,
            };
            let filter = self.element(&models.dir, &named.name)?;
            let bar = console::progress_of_time(&named.name);
            let (summary, end) = recording::record(&named.input, &outputs, &filter, &interrupts, &bar);
            bar.finish_and_clear();
            report(&shown, &summary);
            total += summary;
            match end {
                Ok(End::Done) => {}
                Ok(End::Interrupted) => outcome = Outcome::Interrupted,
                Err(error) => {
                    console::error(&error.context(shown));
                    outcome = Outcome::Failed;
                }
            }
            if interrupts.load(Ordering::Relaxed) > 0 {
                outcome = Outcome::Interrupted;
                break;
            }
        }
        if inputs.len() > 1 {
            report("all inputs", &total);
        }
        Ok(match outcome {
            Outcome::Done if self.fail_on_ood && total.ood > 0 => Outcome::GateMissed,
            outcome => outcome,
        })
    }

    /// The element with this command's settings.
    fn element(&self, models: &std::path::Path, stream_id: &str) -> Result<gst::Element> {
        let settings = &self.settings;
        let filter = gst::ElementFactory::make("unioodfilter")
            .property("model-dir", models.to_str().context("the model set's path is not UTF-8; move it")?)
            .property("stream-id", stream_id)
            .property("keep-scores", self.keep_scores)
            .property("post-messages", false)
            .build()
            .context("the element unioodfilter")?;
        for (name, value) in settings.properties().into_iter().chain(self.tracking.properties()) {
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
