//! `uniood run`: videos through the GStreamer element.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use gst::prelude::*;
use indicatif::ProgressBar;
use uniood::{
    metrics::Endpoint,
    publish::{Publisher, Target},
};

use crate::{
    Outcome, console,
    inputs::{self, Named},
    journal::Lines,
    life::{self, End, Outputs, Patience},
    parallel, plugin,
    recording::{self, Files},
    settings::{Models, Settings, Tracking},
    signals,
    summary::Summary,
    usage::usage,
};

/// The engine's name where several inputs share it.
const INSTANCE: &str = "uniood-run";

/// How long brokers are waited for at the end.
const LAST_EVENTS: Duration = Duration::from_secs(10);

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
    /// Recordings of this length each, as 10m or 1h: NAME.0000.annotated.mp4, NAME.0001… [default: one]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    segment: Option<Duration>,
    /// JSON lines of all inputs on stdout too; the summary goes to stderr
    #[arg(long, value_name = "-", value_parser = ["-"])]
    lines: Option<String>,
    /// What JSON lines tell of, in files and to brokers: every frame, every track's start, changes and end, or both
    #[arg(long, value_enum, value_name = "EVENTS", default_value_t = Events::Frames)]
    events: Events,
    /// Seconds after which there is a line of a track whose verdict has not changed; 0: none
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=86_400))]
    event_interval: u32,
    /// IP and port that serve /metrics for Prometheus, as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<String>,
    /// JSON lines to a broker too: mqtt://[user:password@]host[:port]/topic, mqtts://… over TLS, or kafka://host[:port]/topic
    #[arg(long, value_name = "BROKER")]
    publish: Vec<String>,
    /// PEM file of the authorities that mqtts:// trusts [default: the system's]
    #[arg(long, value_name = "FILE")]
    publish_ca: Option<PathBuf>,
    /// Events that wait for a broker, 64 MiB of them at most; beyond, the oldest are dropped
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    publish_buffer: usize,
    #[command(flatten)]
    cameras: Cameras,
    #[command(flatten)]
    tracking: Tracking,
    #[command(flatten)]
    settings: Settings,
}

/// What JSON lines tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Events {
    /// Every frame
    Frames,
    /// Tracks: their start, another verdict, their end; wants a tracker
    Tracks,
    /// Frames and tracks
    Both,
}

/// What is done about a camera that fails: it is waited for, with pauses that double up to 30 s.
#[derive(Args)]
#[command(next_help_heading = "Cameras that fail")]
struct Cameras {
    /// A camera that ends its stream or is lost is not waited for
    #[arg(long)]
    exit_on_eos: bool,
    /// A camera that sends no frame for this long is lost
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    stall_timeout: Duration,
    /// Pause before the first attempt to reconnect
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    reconnect_delay: Duration,
}

impl Run {
    /// Runs files one after the other, or `jobs` of them at a time, and all live inputs at the same time.
    pub(crate) fn run(self) -> Result<Outcome> {
        self.tracking.check()?;
        if self.events != Events::Frames && !self.tracking.follows() {
            return Err(usage("--events tells of tracks only where there is a tracker; add --tracker sort or --tracker iou"));
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
        let metrics = self.metrics.as_deref().map(Endpoint::open).transpose()?;
        if let Some(metrics) = &metrics {
            console::note(format_args!("metrics at {}", metrics.url()));
        }
        let publishers = self.publish.iter().map(|target| self.publisher(target)).collect::<Result<Vec<_>>>()?;
        if let Some(metrics) = &metrics {
            for publisher in &publishers {
                metrics.publisher(publisher);
            }
        }
        let interrupts = signals::watch()?;
        let run_id = humantime::format_rfc3339_millis(SystemTime::now()).to_string();

        let jobs = usize::from(self.jobs);
        let is_shared = parallel::at_once(&inputs, jobs) > 1;
        let (started, total) = (Instant::now(), Mutex::new(Summary::default()));
        let one = |named: &Named| {
            let (summary, outcome) =
                self.one(named, &models.dir, is_shared, self.outputs(named, &run_id, metrics.as_ref(), &publishers), interrupts);
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            self.report(&named.input.shown(), &summary);
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
            self.report("all inputs", &total);
        }
        for publisher in &publishers {
            let counts = publisher.finish(LAST_EVENTS, || interrupts.load(Ordering::Relaxed) > 1);
            self.report(
                &publisher.target().to_string(),
                &format_args!("  events    {} delivered, {} dropped", counts.delivered, counts.dropped),
            );
        }
        Ok(match outcome {
            Outcome::Done if self.fail_on_ood && total.ood > 0 => Outcome::GateMissed,
            outcome => outcome,
        })
    }

    /// Runs one input to its end; what went wrong is said.
    fn one(&self, named: &Named, models: &Path, is_shared: bool, outputs: Outputs, interrupts: &AtomicUsize) -> (Summary, Outcome) {
        // Bars of several inputs would write over one another: each says a line now and then.
        let bar =
            if is_shared { ProgressBar::hidden().with_prefix(format!("{}: ", named.name)) } else { console::progress_of_time(&named.name) };
        let (summary, end) = match self.element(models, &named.name, &outputs.run_id, is_shared) {
            Ok(filter) => life::record(named, outputs, &filter, interrupts, &bar, self.patience()),
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

    fn outputs(&self, Named { name, .. }: &Named, run_id: &str, metrics: Option<&Arc<Endpoint>>, publishers: &[Arc<Publisher>]) -> Outputs {
        let lines = Lines {
            path: self.out.join(format!("{name}.jsonl")),
            append: self.segment.is_some(),
            stdout: self.lines.is_some(),
            frames: self.events != Events::Tracks,
        };
        Outputs {
            video: Files::new(&self.out, name, self.segment),
            lines,
            crops: self.out.join(format!("{name}.crops")),
            most_crops: self.crops,
            metrics: metrics.map(|endpoint| endpoint.stream(name)),
            publishers: publishers.to_vec(),
            run_id: run_id.to_owned(),
        }
    }

    fn publisher(&self, target: &str) -> Result<Arc<Publisher>> {
        let mut target: Target = target.parse()?;
        if let Some(ca) = &self.publish_ca {
            target = target.trusting(ca);
        }
        let name = target.to_string();
        Ok(Arc::new(Publisher::start(target, self.publish_buffer, move |news| console::note(format_args!("{name}: {news}")))?))
    }

    const fn patience(&self) -> Patience {
        let Cameras { exit_on_eos, stall_timeout, reconnect_delay } = self.cameras;
        Patience { exit_on_eos, stall_timeout, reconnect_delay }
    }

    /// The summary is the result, unless lines are.
    fn report(&self, name: &str, summary: &dyn fmt::Display) {
        let report = format_args!("{name}\n{summary}");
        if self.lines.is_some() { console::note(report) } else { console::say(report) }
    }

    /// The element with this command's settings.
    fn element(&self, models: &Path, stream_id: &str, run_id: &str, is_shared: bool) -> Result<gst::Element> {
        let settings = &self.settings;
        let filter = gst::ElementFactory::make("unioodfilter")
            .property("model-dir", models.to_str().context("the model set's path is not UTF-8; move it")?)
            .property("stream-id", stream_id)
            .property("run-id", run_id)
            // Frames are counted here, whoever is told of them.
            .property_from_str("events", if self.events == Events::Frames { "frames" } else { "both" })
            .property("event-interval", self.event_interval)
            .property("keep-scores", self.keep_scores)
            .property("post-messages", false)
            .property("model-instance-id", is_shared.then_some(INSTANCE))
            .build()
            .context("the element unioodfilter")?;
        for (name, value) in settings.properties().into_iter().chain(self.tracking.properties()) {
            filter.set_property_from_str(name, &value);
        }
        Ok(filter)
    }
}

/// A length of time above zero, as `10m` or `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; wanted a time as 500ms, 10s or 10m"))?;
    if duration.is_zero() { Err("wanted a time above zero".to_owned()) } else { Ok(duration) }
}
