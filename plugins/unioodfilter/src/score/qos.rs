//! What downstream says of lateness, and which frames that makes late: as `GstBaseTransform` reckons it, but that late
//! frames go through unscored where a transform drops them.

use gst::prelude::*;

/// When a frame is, as far as its stream says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct When {
    pub(super) running: Option<gst::ClockTime>,
    pub(super) stream: Option<gst::ClockTime>,
}

/// What was said last, and what came of it.
#[derive(Debug)]
pub(super) struct Qos {
    /// Frames up to this running time would come too late.
    earliest: Option<gst::ClockTime>,
    proportion: f64,
    scored: u64,
    passed: u64,
}

impl Default for Qos {
    fn default() -> Self {
        Self { earliest: None, proportion: 1.0, scored: 0, passed: 0 }
    }
}

impl When {
    /// The buffer's times in `segment`.
    pub(super) fn of(buffer: &gst::BufferRef, segment: Option<&gst::FormattedSegment<gst::ClockTime>>) -> Self {
        let (Some(pts), Some(segment)) = (buffer.pts(), segment) else { return Self::default() };
        Self { running: segment.to_running_time(pts), stream: segment.to_stream_time(pts) }
    }
}

impl Qos {
    /// Downstream had a frame of the running time `timestamp` by `diff` ns too late (or too early).
    pub(super) fn told(&mut self, event: &gst::event::Qos) {
        let (_, proportion, diff, timestamp) = event.get();
        self.proportion = proportion;
        self.earliest = timestamp.and_then(|timestamp| {
            let diff_of = gst::ClockTime::from_nseconds(diff.unsigned_abs());
            if diff < 0 { timestamp.checked_sub(diff_of) } else { timestamp.checked_add(diff_of) }
        });
    }

    /// Whether a frame would come too late.
    pub(super) fn is_late(&self, when: When) -> bool {
        matches!((self.earliest, when.running), (Some(earliest), Some(running)) if running <= earliest)
    }

    /// Nothing was said of what comes now.
    pub(super) fn reset(&mut self) {
        (self.earliest, self.proportion) = (None, 1.0);
    }

    /// Counts a frame that was scored.
    pub(super) const fn scored(&mut self) {
        self.scored += 1;
    }

    /// Counts a late frame, and says what to tell the application of it.
    pub(super) fn passed(&mut self, when: When, buffer: &gst::BufferRef, live: bool, src: &impl IsA<gst::Object>) -> gst::Message {
        self.passed += 1;
        let late_by = self.earliest.zip(when.running).map_or(0, |(earliest, running)| earliest.saturating_sub(running).nseconds());
        gst::message::Qos::builder(live)
            .src(src)
            .running_time(when.running)
            .stream_time(when.stream)
            .timestamp(buffer.pts())
            .duration(buffer.duration())
            .values(i64::try_from(late_by).unwrap_or(i64::MAX), self.proportion, FULL_QUALITY)
            .stats(gst::format::Buffers::from_u64(self.scored), gst::format::Buffers::from_u64(self.passed))
            .build()
    }
}

/// GStreamer's number for quality that was not lowered.
const FULL_QUALITY: i32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> When {
        When { running: Some(gst::ClockTime::from_mseconds(milliseconds)), stream: None }
    }

    fn told(qos: &mut Qos, milliseconds: u64, diff: i64) {
        let event = gst::event::Qos::builder(gst::QOSType::Underflow, 1.2, diff * 1_000_000)
            .timestamp(gst::ClockTime::from_mseconds(milliseconds))
            .build();
        let gst::EventView::Qos(event) = event.view() else { unreachable!() };
        qos.told(event);
    }

    #[test]
    fn frames_are_late_up_to_when_the_late_one_came() {
        gst::init().unwrap();
        let mut qos = Qos::default();
        assert!(!qos.is_late(at(0)), "nothing was said");
        told(&mut qos, 100, 120);
        assert!(qos.is_late(at(220)) && !qos.is_late(at(221)));
        assert!(!qos.is_late(When::default()), "a frame without a time is never late");
        told(&mut qos, 300, -40);
        assert!(qos.is_late(at(260)) && !qos.is_late(at(261)));
        qos.reset();
        assert!(!qos.is_late(at(0)));
    }
}
