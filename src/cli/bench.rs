//! `uniood bench`: cameras in real time through one process, and the fastest settings for this machine.

mod around;
mod choice;
mod knob;
mod pictures;
mod tune;

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;
use gst::prelude::*;
use street_world::film::{Film, Settings as Filming};
use uniood::{engine::Times, models::ModelSet};

use self::{
    around::{Around, element},
    pictures::Pictures,
    tune::{Tuner, Tuning},
};
use crate::{
    Outcome,
    console::{self, say},
    plugin,
    settings::{Models, Settings, Tracking},
};

/// The cameras' pictures.
const SIZE: (u32, u32) = (640, 360);

/// Pictures of the film, which goes forth and back: nothing in it jumps.
const PICTURES: usize = 90;

/// A camera is held where 99 of 100 frames are younger when they leave.
const YOUNG: Duration = Duration::from_millis(500);

/// Not measured: models warm up.
const WARM_UP: Duration = Duration::from_secs(2);

/// How long the last frames may take to come out.
const LAST_FRAMES: Duration = Duration::from_secs(10);

/// More cameras than any machine is asked for.
const MOST: u16 = 1024;

/// Cameras in real time through one process: how old frames get until they leave, or how many this machine holds; the fastest settings
///
/// Every camera films a rendered street, 640×360, and is not decoded; all share one engine. With --tune, frames come as fast as they are
/// taken: each setting is measured beside the best so far, in turn, and kept where it is faster by more than the rounds are apart.
#[derive(Args)]
#[command(
    after_help = "Examples: uniood bench --streams 8\n          uniood bench --streams max --tracker sort --inference-interval 3 --reclassify-interval 15\n          uniood bench --tune --models street --precision int8"
)]
pub(crate) struct Bench {
    /// Cameras; `max`: the most that are held, with every frame answered and the age's p99 under 500 ms
    #[arg(long, value_name = "N|max", required_unless_present = "tune")]
    streams: Option<Streams>,
    /// Frames a second of each
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=240))]
    fps: u16,
    /// How long a number of cameras is measured
    #[arg(long, value_name = "SECONDS", conflicts_with = "tune", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: u16,
    #[command(flatten)]
    tuning: Tuning,
    #[command(flatten)]
    models: Models,
    #[command(flatten)]
    tracking: Tracking,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Streams {
    Number(u16),
    Max,
}

impl FromStr for Streams {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "max" => Ok(Self::Max),
            number => number
                .parse()
                .ok()
                .filter(|number| (1..=MOST).contains(number))
                .map(Self::Number)
                .ok_or_else(|| format!("wanted a number from 1 to {MOST}, or max")),
        }
    }
}

impl Bench {
    /// Measures one number of cameras, looks for the largest that is held, or for settings.
    pub(crate) fn run(self) -> Result<Outcome> {
        self.tracking.check()?;
        let models = self.models.open(&self.settings)?;
        plugin::load()?;
        let Some(streams) = self.streams else {
            let Self { tuning, settings, tracking, fps, .. } = &self;
            return Tuner { tuning, settings, tracking, models: &models, fps: *fps }.run();
        };
        let film = film(self.fps)?;
        let measure = |streams: u16| -> Result<Measured> {
            let measured = self.measure(streams, &film, &models)?;
            say(&measured);
            Ok(measured)
        };
        match streams {
            Streams::Number(streams) => {
                measure(streams)?;
            }
            Streams::Max => {
                let (mut held, mut too_many) = (None, 1);
                loop {
                    let measured = measure(too_many)?;
                    if !measured.is_held() || too_many == MOST {
                        break;
                    }
                    held = Some(measured);
                    too_many = (too_many * 2).min(MOST);
                }
                while let Some(most) = held.as_ref().map(|held| held.streams)
                    && too_many - most > 1
                {
                    let between = most.midpoint(too_many);
                    let measured = measure(between)?;
                    if measured.is_held() { held = Some(measured) } else { too_many = between }
                }
                say(match held {
                    Some(held) => format!("held: {held}"),
                    None => "held: none; use a faster device, fewer frames a second, or fewer objects (--max-objects)".to_owned(),
                });
            }
        }
        Ok(Outcome::Done)
    }

    fn measure(&self, streams: u16, film: &Pictures, models: &ModelSet) -> Result<Measured> {
        let step = Duration::from_secs(1) / u32::from(self.fps);
        let cameras = (0..streams).map(|number| self.camera(number, models, &film.caps)).collect::<Result<Vec<_>>>()?;
        for camera in &cameras {
            camera.around.play()?;
        }
        let begun = Instant::now();
        let turns = u32::from(self.seconds) * u32::from(self.fps);
        let turns = turns + u32::try_from(WARM_UP.as_millis() / step.as_millis().max(1)).unwrap_or(0);
        let mut sent = 0_u64;
        for turn in 0..turns {
            for (number, camera) in (0_u32..).zip(&cameras) {
                // Cameras do not expose at the same moment.
                let at = begun + step * turn + step * number / u32::from(streams);
                thread::sleep(at.saturating_duration_since(Instant::now()));
                let is_measured = at.duration_since(begun) >= WARM_UP;
                lock(&camera.made).push(is_measured.then_some(at));
                let frame = film.shown(turn as usize + film.len() * number as usize / usize::from(streams), turn as usize);
                camera.around.push(frame)?;
                sent += 1;
            }
        }
        let last = Instant::now();
        let left = || cameras.iter().map(|camera| lock(&camera.seen).0).sum::<u64>();
        while left() < sent && last.elapsed() < LAST_FRAMES {
            thread::sleep(Duration::from_millis(10));
        }
        let mut measured =
            Measured { streams, fps: self.fps, sent, answered: left(), objects: 0, encoded: 0, frames: 0, age: Times::default() };
        for camera in &cameras {
            camera.around.check()?;
            measured.objects += camera.around.counted("objects");
            measured.encoded += camera.around.counted("encoded");
            measured.frames += camera.around.counted("frames");
            measured.answered -= camera.around.counted("errors").min(measured.answered);
            measured.age += &lock(&camera.seen).1;
        }
        Ok(measured)
    }

    fn camera(&self, number: u16, models: &ModelSet, caps: &gst::Caps) -> Result<Camera> {
        let filter = element(models, &self.settings, &self.tracking)?;
        filter.set_property("stream-id", format!("cam-{number}"));
        filter.set_property("model-instance-id", "uniood-bench");
        let around = Around::new(filter, caps, true)?;
        let (made, seen) = (Arc::new(Mutex::new(Vec::<Option<Instant>>::new())), Arc::new(Mutex::new((0, Times::default()))));
        let (made_at, counted) = (Arc::clone(&made), Arc::clone(&seen));
        around.out.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let mut seen = lock(&counted);
            // Frames leave in the order they were made.
            let made = usize::try_from(seen.0).ok().and_then(|nth| lock(&made_at).get(nth).copied().flatten());
            if let Some(made) = made {
                seen.1.record(made.elapsed());
            }
            seen.0 += 1;
            gst::PadProbeReturn::Ok
        });
        Ok(Camera { around, made, seen })
    }
}

/// One camera's pipeline.
struct Camera {
    around: Around,
    /// When each frame was made; `None` while models warm up.
    made: Arc<Mutex<Vec<Option<Instant>>>>,
    /// Frames that left, and how old they were.
    seen: Arc<Mutex<(u64, Times)>>,
}

/// What a number of cameras came to.
struct Measured {
    streams: u16,
    fps: u16,
    sent: u64,
    answered: u64,
    objects: u64,
    encoded: u64,
    frames: u64,
    age: Times,
}

impl Measured {
    fn is_held(&self) -> bool {
        self.answered == self.sent && self.age.quantile(0.99) < YOUNG
    }
}

impl fmt::Display for Measured {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99] = [0.5, 0.99].map(|share| self.age.quantile(share).as_millis());
        let [objects, encoded] = [self.objects, self.encoded].map(|count| count as f64 / (self.frames as f64).max(1.0));
        write!(
            f,
            "{} cameras at {} a second, {objects:.2} objects a frame, {encoded:.2} encoded: {} of {} frames answered, age p50 {p50} ms, p99 {p99} ms",
            self.streams, self.fps, self.answered, self.sent
        )
    }
}

/// The film, once for all cameras.
fn film(fps: u16) -> Result<Pictures> {
    let settings = Filming { seed: 8, width: SIZE.0, height: SIZE.1, fps: f64::from(fps), ..Filming::default() };
    let bar = console::progress(PICTURES as u64, "pictures");
    let film = Film::new(&settings)?.take(PICTURES).map(|frame| {
        bar.inc(1);
        frame.picture.rgb
    });
    let pictures = Pictures::new(SIZE, fps, film);
    bar.finish_and_clear();
    Ok(pictures)
}

/// What the locks guard is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
