//! What a recording came to, in numbers.

use std::{fmt, ops::AddAssign, time::Duration};

use uniood::{
    engine::{StageTimes, Timings},
    report::{FrameReport, TimingsReport},
};

/// Counts of one input, or of several together.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) frames: u64,
    pub(crate) objects: u64,
    /// Of them, the ones that were sent through the encoder; the others kept their track's verdict.
    pub(crate) encoded: u64,
    pub(crate) ood: u64,
    pub(crate) unscored: u64,
    /// Frames that went on unscored.
    pub(crate) failed: u64,
    /// Frames of a camera that were not taken because scoring did not keep up.
    pub(crate) dropped: u64,
    /// How often a camera was lost, and how long until it was back.
    pub(crate) losses: u64,
    pub(crate) away: Duration,
    pub(crate) crops: u64,
    pub(crate) crops_left_out: u64,
    pub(crate) elapsed: Duration,
    detect_ms: f64,
    encode_ms: f64,
    /// Of the frames that were scored.
    times: StageTimes,
}

impl Summary {
    /// Counts a frame. With `scope=image` the frame is its own object.
    pub(crate) fn count(&mut self, report: &FrameReport<'_>) {
        self.frames += 1;
        let verdicts = report.objects.iter().map(|object| &object.ood).chain(&report.image);
        for ood in verdicts {
            self.objects += 1;
            match &*ood.label {
                "ood" => self.ood += 1,
                "unscored" => self.unscored += 1,
                _ => {}
            }
        }
        self.failed += u64::from(report.error.is_some());
        self.detect_ms += report.timings_ms.detect;
        self.encode_ms += report.timings_ms.encode;
        if report.error.is_none() {
            self.times.record(&timings(&report.timings_ms));
        }
    }
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.objects += other.objects;
        self.encoded += other.encoded;
        self.ood += other.ood;
        self.unscored += other.unscored;
        self.failed += other.failed;
        self.dropped += other.dropped;
        self.losses += other.losses;
        self.away += other.away;
        self.crops += other.crops;
        self.crops_left_out += other.crops_left_out;
        self.elapsed += other.elapsed;
        self.detect_ms += other.detect_ms;
        self.encode_ms += other.encode_ms;
        self.times += &other.times;
    }
}

impl fmt::Display for Summary {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scored = self.objects - self.unscored;
        let seconds = self.elapsed.as_secs_f64().max(1e-9);
        writeln!(f, "  frames    {} in {:.1} s, {:.1} a second", self.frames, self.elapsed.as_secs_f64(), self.frames as f64 / seconds)?;
        if self.failed > 0 {
            writeln!(f, "            {} of them unscored, see `error` in the JSON lines", self.failed)?;
        }
        if self.dropped > 0 {
            writeln!(f, "            {} more were dropped: scoring did not keep up with the camera", self.dropped)?;
        }
        if self.losses > 0 {
            writeln!(f, "  camera    lost and back {} times, away for {:.1} s", self.losses, self.away.as_secs_f64())?;
        }
        writeln!(
            f,
            "  objects   {}: {} ID, {} OOD, {} unscored; {:.1} scored a second, {} encoded",
            self.objects,
            scored - self.ood,
            self.ood,
            self.unscored,
            scored as f64 / seconds,
            self.encoded
        )?;
        let left_out = if self.crops_left_out > 0 { format!(", {} left out (--crops)", self.crops_left_out) } else { String::new() };
        writeln!(f, "  crops     {}{left_out}", self.crops)?;
        let frames = (self.frames as f64).max(1.0);
        write!(f, "  a frame   {:.1} ms detect, {:.1} ms encode", self.detect_ms / frames, self.encode_ms / frames)?;
        for (share, name) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")] {
            let spread = self.times.stages().map(|(stage, times)| format!("{:.1} ms {stage}", times.quantile(share).as_secs_f64() * 1e3));
            write!(f, "\n  {name}       {}", spread.join(", "))?;
        }
        Ok(())
    }
}

/// What a line says of a frame's time. A line is the element's own, but it went through text: what is no time counts as none.
fn timings(said: &TimingsReport) -> Timings {
    let time = |milliseconds: f64| Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or_default();
    Timings { queue: time(said.queue), detect: time(said.detect), encode: time(said.encode), total: time(said.total) }
}
