//! Counts since the element started, as the `stats` property shows them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use uniood::{
    engine::{Answer, StageTimes},
    verdict::{Reason, Verdict},
};

/// Counts and times since READY→PAUSED.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    frames: u64,
    objects: u64,
    encoded: u64,
    ood: u64,
    unscored: BTreeMap<Reason, u64>,
    errors: u64,
    scored_frames: u32,
    detect: Duration,
    encode: Duration,
    draw: Duration,
    total: Duration,
    percentiles: StageTimes,
    /// When the first frame was finished, and the last.
    span: Option<(Instant, Instant)>,
}

impl Stats {
    /// Counts a finished frame. `unscored` is set where it went through as a whole: its objects, if they are
    /// known, count under that reason like any other; a frame whose objects are not known counts once.
    pub(crate) fn count(&mut self, answer: &Answer, unscored: Option<Reason>, draw: Duration) {
        self.frames += 1;
        self.encoded += answer.encoded as u64;
        for object in &answer.objects {
            self.objects += 1;
            match &object.verdict {
                Verdict::Scored(scored) => self.ood += u64::from(scored.ood),
                Verdict::Unscored(reason) => *self.unscored.entry(*reason).or_default() += 1,
            }
        }
        if let Some(reason) = unscored {
            self.errors += u64::from(reason == Reason::Error);
            if answer.objects.is_empty() {
                *self.unscored.entry(reason).or_default() += 1;
            }
        } else {
            self.scored_frames += 1;
            self.detect += answer.timings.detect;
            self.encode += answer.timings.encode;
            self.draw += draw;
            self.total += answer.timings.total;
            self.percentiles.record(&answer.timings);
        }
        let now = Instant::now();
        self.span = Some((self.span.map_or(now, |(first, _)| first), now));
    }

    /// The structure of the `stats` property.
    pub(crate) fn to_structure(&self) -> gst::Structure {
        let unscored = Reason::ALL
            .into_iter()
            .fold(gst::Structure::builder("unscored"), |structure, reason| {
                structure.field(reason.as_str(), self.unscored.get(&reason).copied().unwrap_or_default())
            })
            .build();
        let mean = |sum: Duration| if self.scored_frames == 0 { 0.0 } else { (sum / self.scored_frames).as_secs_f64() * 1e3 };
        let milliseconds = gst::Structure::builder("ms")
            .field("detect", mean(self.detect))
            .field("encode", mean(self.encode))
            .field("draw", mean(self.draw))
            .field("total", mean(self.total))
            .build();
        let percentiles =
            self.percentiles.stages().into_iter().fold(gst::Structure::builder("percentiles"), |structure, (stage, times)| {
                let milliseconds = |share| times.quantile(share).as_secs_f64() * 1e3;
                let of_stage = gst::Structure::builder(stage)
                    .field("p50", milliseconds(0.5))
                    .field("p95", milliseconds(0.95))
                    .field("p99", milliseconds(0.99));
                structure.field(stage, of_stage.build())
            });
        gst::Structure::builder("uniood-stats")
            .field("frames", self.frames)
            .field("objects", self.objects)
            .field("encoded", self.encoded)
            .field("ood", self.ood)
            .field("unscored", unscored)
            .field("errors", self.errors)
            .field("fps", self.frames_per_second())
            .field("ms", milliseconds)
            .field("percentiles", percentiles.build())
            .build()
    }

    fn frames_per_second(&self) -> f64 {
        let seconds = self.span.map_or(0.0, |(first, last)| (last - first).as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 frames")]
        let intervals = self.frames.saturating_sub(1) as f64;
        if seconds > 0.0 { intervals / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_without_known_objects_counts_once_under_its_reason() {
        gst::init().unwrap();
        let mut stats = Stats::default();
        stats.count(&Answer::default(), Some(Reason::Overload), Duration::ZERO);
        stats.count(&Answer::default(), Some(Reason::Error), Duration::ZERO);
        stats.count(&Answer::default(), None, Duration::ZERO);
        let structure = stats.to_structure();
        let unscored = structure.get::<gst::Structure>("unscored").unwrap();
        assert_eq!(structure.get::<u64>("frames"), Ok(3));
        assert_eq!(structure.get::<u64>("errors"), Ok(1));
        assert_eq!(unscored.get::<u64>("overload"), Ok(1));
        assert_eq!(unscored.get::<u64>("error"), Ok(1));
        assert_eq!(unscored.get::<u64>("max-objects"), Ok(0));
    }
}
