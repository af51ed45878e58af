//! `uniood bench --tune`: the settings that are fastest on this machine, one after the other, each beside the best so far.

use std::{
    fmt,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use gst::prelude::*;
use indicatif::ProgressBar;
use uniood::{
    Error,
    models::ModelSet,
    tuned::{Document, Found, SCHEMA, Trial, Tuned},
};

use super::{
    around::{Around, element},
    choice::{Gain, fastest, median, range},
    film,
    knob::{Knob, all, words},
    lock,
    pictures::Pictures,
};
use crate::{
    Outcome,
    console::{self, say},
    settings::{Settings, Tracking},
    signals::{self, interrupted},
};

/// Frames ahead of those that are timed: models warm up.
const WARM_UP: usize = 4;

/// Frames of a round.
const FEWEST: usize = 8;
const MOST: usize = 4096;

/// A frame that takes longer hangs.
const HANG: Duration = Duration::from_mins(10);

/// How often Ctrl-C is looked for.
const GLANCE: Duration = Duration::from_millis(100);

/// How `--tune` measures.
#[derive(Args)]
#[command(next_help_heading = "Looking for the fastest settings")]
pub(super) struct Tuning {
    /// Look for the fastest batch-size, threads and batch-timeout for this machine and model set; those that are given stay as they are
    #[arg(long, conflicts_with_all = ["streams", "tuned_file"])]
    pub(super) tune: bool,
    /// With --tune: a video to measure on, its first frames [default: a rendered street]
    #[arg(long, value_name = "FILE", requires = "tune")]
    clip: Option<PathBuf>,
    /// With --tune: rounds of each setting
    #[arg(long, value_name = "N", requires = "tune", default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=100))]
    repeats: u16,
    /// With --tune: about how long a round takes
    #[arg(long, value_name = "SECONDS", requires = "tune", default_value_t = 3.0, value_parser = seconds)]
    round: f64,
    /// With --tune: the file that --settings and the element's property settings take
    #[arg(long, value_name = "FILE", requires = "tune", default_value = "uniood-settings.json")]
    out: PathBuf,
}

/// One round.
#[derive(Debug, Clone, Copy)]
struct Round {
    frames: f64,
    objects: f64,
    p99: f64,
}

/// The rounds of one setting.
#[derive(Default)]
struct Rounds {
    frames: Vec<f64>,
    objects: Vec<f64>,
    p99: Vec<f64>,
}

impl Rounds {
    fn take(&mut self, round: Round) {
        self.frames.push(round.frames);
        self.objects.push(round.objects);
        self.p99.push(round.p99);
    }

    fn trial(&self, setting: &str, value: i64, gain: Gain) -> Trial {
        Trial {
            setting: setting.to_owned(),
            value,
            objects_per_second: median(&self.objects),
            range: range(&self.objects),
            frames_per_second: median(&self.frames),
            p99_ms: median(&self.p99),
            gain: gain.median,
            spread: gain.spread,
        }
    }
}

/// A row of the table.
struct Row<'a>(&'a Trial);

impl Row<'_> {
    const HEAD: &'static str = "setting                 objects/s  (least–most)      frames/s    p99 ms   ÷ best so far (spread)";
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trial { setting, value, objects_per_second, range: (least, most), frames_per_second, p99_ms, gain, spread } = self.0;
        let setting = format!("{setting} {value}");
        let range = format!("({least:.2}–{most:.2})");
        write!(f, "{setting:<22} {objects_per_second:>10.2}  {range:<16} {frames_per_second:>9.2} {p99_ms:>9.0}   {gain:.3} ({spread:.3})")
    }
}

/// What is measured, and with what else.
pub(super) struct Tuner<'a> {
    pub(super) tuning: &'a Tuning,
    pub(super) settings: &'a Settings,
    pub(super) tracking: &'a Tracking,
    pub(super) models: &'a ModelSet,
    pub(super) fps: u16,
}

impl Tuner<'_> {
    /// Looks, says what was tried, writes what was found.
    pub(super) fn run(&self) -> Result<Outcome> {
        signals::watch()?;
        match self.look() {
            Ok(()) => Ok(Outcome::Done),
            Err(error) if matches!(error.downcast_ref(), Some(Error::Interrupted)) => {
                console::note("interrupted; nothing was written");
                Ok(Outcome::Interrupted)
            }
            Err(error) => Err(error),
        }
    }

    fn look(&self) -> Result<()> {
        // Told now and not when all is measured.
        let folder = self.tuning.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() || self.tuning.out.is_dir() {
            bail!("--out {}: wanted a file in a folder that is there", self.tuning.out.display());
        }
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let given = self.settings.tuned();
        let repeats = usize::from(self.tuning.repeats);
        let pictures = match &self.tuning.clip {
            Some(clip) => Pictures::of_clip(clip)?,
            None => film(self.fps)?,
        };
        let knobs: Vec<(Knob, Vec<i32>)> = Knob::ALL
            .into_iter()
            .filter(|knob| !knob.is_given(given))
            .map(|knob| (knob, knob.others(cores, self.settings)))
            .filter(|(_, others)| !others.is_empty())
            .collect();
        let frames = self.frames(&pictures, given)?;
        let rounds = knobs.iter().map(|(_, others)| (1 + others.len()) * repeats).sum::<usize>() + 2 * repeats;
        console::note(format_args!("rounds of {frames} frames, {repeats} of each setting, {rounds} at most"));
        let bar = console::progress(rounds as u64, "rounds");
        let measure = |candidates: &[Tuned]| self.measure(&pictures, frames, candidates, repeats, &bar);

        let (mut best, mut tried) = (given, Vec::new());
        bar.suspend(|| say(Row::HEAD));
        for (knob, others) in &knobs {
            let mut candidates = vec![best];
            candidates.extend(others.iter().map(|value| knob.set(best, *value)));
            let rounds = measure(&candidates)?;
            let rates: Vec<Vec<f64>> = rounds.iter().map(|rounds| rounds.objects.clone()).collect();
            for (candidate, rounds) in candidates.iter().zip(&rounds) {
                let trial = rounds.trial(knob.name(), knob.of(*candidate), Gain::of(&rounds.objects, &rates[0]));
                bar.suspend(|| say(Row(&trial)));
                tried.push(trial);
            }
            best = candidates[fastest(&rates)];
        }
        let gain = if best == given {
            Gain::NONE
        } else {
            let rounds = measure(&[given, best])?;
            Gain::of(&rounds[1].objects, &rounds[0].objects)
        };
        bar.finish_and_clear();
        let sure = gain.is_sure();
        say(if sure {
            format!(
                "{:.3} times the objects a second of the defaults, measured beside them (spread {:.3}): {}",
                gain.median,
                gain.spread,
                words(best)
            )
        } else if best == given {
            "no setting beats the defaults by more than the rounds are apart: they are kept".to_owned()
        } else {
            format!(
                "{} beside the defaults again: {:.3} times (spread {:.3}), no more than the rounds are apart; the defaults are kept",
                words(best),
                gain.median,
                gain.spread
            )
        });
        let (kept, gain) = if sure { (best, gain) } else { (given, Gain::NONE) };
        let clip = self.tuning.clip.as_ref().map_or_else(|| "a rendered street".to_owned(), |clip| clip.display().to_string());
        let found = Found {
            uniood: env!("CARGO_PKG_VERSION").to_owned(),
            model: self.models.manifest.name.clone(),
            device: self.settings.device.to_string(),
            precision: self.settings.precision.to_string(),
            cores,
            clip,
            repeats,
            gain: gain.median,
            spread: gain.spread,
            tried,
        };
        interrupted()?;
        Document { schema: SCHEMA.to_owned(), settings: all(kept), found: Some(found) }.write(&self.tuning.out)?;
        let file = self.tuning.out.display();
        say(format_args!("wrote {file}; use it as `uniood run --settings {file}` or `unioodfilter settings={file}`"));
        Ok(())
    }

    /// So many frames that a round takes as long as was asked for.
    fn frames(&self, pictures: &Pictures, tuned: Tuned) -> Result<usize> {
        let mut frames = FEWEST;
        loop {
            let round = self.round(pictures, frames, tuned)?;
            if round.objects <= 0.0 {
                bail!(
                    "no object was scored in the first {frames} frames; give a clip that shows some (--clip), or lower --detection-threshold"
                );
            }
            let wanted = wanted(round.frames * self.tuning.round);
            // A short round says little of how long a long one takes.
            if wanted <= 2 * frames || frames == MOST {
                return Ok(wanted.max(FEWEST));
            }
            frames = wanted.min(8 * frames);
        }
    }

    /// Rounds of each, in turn.
    fn measure(&self, pictures: &Pictures, frames: usize, candidates: &[Tuned], repeats: usize, bar: &ProgressBar) -> Result<Vec<Rounds>> {
        let mut all: Vec<Rounds> = candidates.iter().map(|_| Rounds::default()).collect();
        for _ in 0..repeats {
            for (candidate, rounds) in candidates.iter().zip(&mut all) {
                rounds.take(self.round(pictures, frames, *candidate)?);
                bar.inc(1);
            }
        }
        Ok(all)
    }

    /// Frames as fast as the element takes them, from the first to the last.
    fn round(&self, pictures: &Pictures, frames: usize, tuned: Tuned) -> Result<Round> {
        let line = Line::start(self.filter(tuned)?, pictures)?;
        line.push(pictures, 0..WARM_UP)?;
        line.wait_for(WARM_UP)?;
        let before = line.around.counted("objects");
        lock(&line.entered).clear();
        let started = Instant::now();
        line.push(pictures, WARM_UP..WARM_UP + frames)?;
        line.around.end()?;
        let left = line.wait_for(frames)?;
        let (Some(last), entered) = (left.last(), lock(&line.entered).clone()) else { bail!("no frame came out") };
        let seconds = last.duration_since(started).as_secs_f64();
        let mut ages: Vec<Duration> = left.iter().zip(&entered).map(|(left, entered)| left.duration_since(*entered)).collect();
        ages.sort_unstable();
        let p99 = ages.get((ages.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let [frames, objects] = [frames as f64, line.around.counted("objects").saturating_sub(before) as f64];
        Ok(Round { frames: frames / seconds, objects: objects / seconds, p99: p99.as_secs_f64() * 1e3 })
    }

    fn filter(&self, tuned: Tuned) -> Result<gst::Element> {
        let filter = element(self.models, self.settings, self.tracking)?;
        for knob in Knob::ALL {
            filter.set_property_from_str(knob.name(), &knob.of(tuned).to_string());
        }
        Ok(filter)
    }
}

/// A pipeline whose frames are timed; what is asked of it is given up at Ctrl-C.
struct Line {
    around: Around,
    /// When each frame went into the element.
    entered: Arc<Mutex<Vec<Instant>>>,
    /// When each came out of it, in the same order.
    left: Receiver<Instant>,
}

impl Line {
    fn start(filter: gst::Element, pictures: &Pictures) -> Result<Self> {
        let entered = Arc::new(Mutex::new(Vec::new()));
        let (leave, left) = bounded(WARM_UP + MOST);
        let enter = Arc::clone(&entered);
        filter.static_pad("sink").context("the element's sink pad")?.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            lock(&enter).push(Instant::now());
            gst::PadProbeReturn::Ok
        });
        let around = Around::new(filter, &pictures.caps, false)?;
        around.out.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            // Nobody counts any more where nobody listens.
            let _ = leave.try_send(Instant::now());
            gst::PadProbeReturn::Ok
        });
        around.play()?;
        Ok(Self { around, entered, left })
    }

    fn push(&self, pictures: &Pictures, numbers: std::ops::Range<usize>) -> Result<()> {
        numbers.map(|number| pictures.frame(number)).try_for_each(|picture| self.around.push(picture))
    }

    /// When so many more frames came out.
    fn wait_for(&self, frames: usize) -> Result<Vec<Instant>> {
        let mut left = Vec::with_capacity(frames);
        let mut last = Instant::now();
        while left.len() < frames {
            interrupted()?;
            match self.left.recv_timeout(GLANCE) {
                Ok(at) => {
                    last = at;
                    left.push(at);
                }
                Err(RecvTimeoutError::Disconnected) => bail!("a pipeline stopped"),
                Err(RecvTimeoutError::Timeout) => {
                    self.around.check()?;
                    if last.elapsed() > HANG {
                        bail!("no frame came out for {} minutes; try fewer objects (--max-objects)", HANG.as_secs() / 60);
                    }
                }
            }
        }
        Ok(left)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is cut to what a round may have")]
fn wanted(frames: f64) -> usize {
    (frames.max(0.0) as usize).clamp(FEWEST, MOST)
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|seconds| (0.1..=600.0).contains(seconds)).ok_or_else(|| "wanted seconds from 0.1 to 600".to_owned())
}
