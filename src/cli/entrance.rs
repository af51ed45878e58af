//! Where the frames of all connections to an input go in, and get the times that they keep.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context, Result};
use gst::{ClockTime, prelude::*};
use gst_app::AppSrc;
use gst_video::VideoInfo;

use crate::{
    inputs::Input,
    journal::{Journal, Moment},
};

/// Frames that wait to be scored. A file is held back beyond that; a camera is not, its frames are dropped and counted.
const WAITING: u64 = 4;

/// A camera's times are its own as long as they stay this close to when its frames arrive.
const DRIFT: ClockTime = ClockTime::from_seconds(5);

/// What two frames of a camera lie apart at least.
const APART: ClockTime = ClockTime::from_mseconds(1);

/// The way into the scoring pipeline. It outlives every connection.
pub(crate) struct Entrance {
    src: AppSrc,
    journal: Arc<Journal>,
    live: bool,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Frames that went in.
    frames: u64,
    caps: Option<gst::Caps>,
    size: Option<(u32, u32)>,
    /// The time of the last frame that went in.
    last: Option<ClockTime>,
    /// Of the present connection: a frame's own time, and what was made of it.
    anchor: Option<(ClockTime, ClockTime)>,
    /// When the present connection's last frame came.
    arrival: Option<Instant>,
    /// Since when there has been no frame, after a loss.
    away: Option<Instant>,
}

impl Entrance {
    /// The entrance for one input; `src()` is what the pipeline begins with.
    pub(crate) fn new(input: &Input, journal: Arc<Journal>) -> Result<Self> {
        let live = input.is_live();
        let src = AppSrc::builder().format(gst::Format::Time).is_live(live).max_bytes(0).max_buffers(WAITING).block(!live).build();
        let uri = input.uri()?;
        // Asked by the element for the `source` of its lines.
        src.static_pad("src").context("an appsrc's pad")?.add_probe(gst::PadProbeType::QUERY_UPSTREAM, move |_, probe| {
            match probe.query_mut().map(gst::QueryRef::view_mut) {
                Some(gst::QueryViewMut::Uri(query)) => {
                    query.set_uri(Some(uri.as_str()));
                    gst::PadProbeReturn::Handled
                }
                _ => gst::PadProbeReturn::Ok,
            }
        });
        Ok(Self { src, journal, live, started: Instant::now(), state: Mutex::default() })
    }

    pub(crate) fn src(&self) -> &AppSrc {
        &self.src
    }

    /// The next frames are of another connection.
    pub(crate) fn reconnect(&self) {
        let mut state = self.lock();
        (state.anchor, state.arrival) = (None, None);
    }

    /// There was a loss: the time away is counted from here until the next frame.
    pub(crate) fn lost(&self) {
        self.lock().away.get_or_insert_with(Instant::now);
    }

    /// What was seen so far has ended for now: tracks end, and are told of as ended, before a camera is back.
    pub(crate) fn gap(&self) {
        let last = self.lock().last;
        if let Some(last) = last {
            // Refused only where the pipeline has stopped already.
            let _ = self.src.send_event(gst::event::Gap::builder(last).build());
        }
    }

    /// A frame of the present connection.
    pub(crate) fn frame(&self, sample: gst::Sample) -> Result<gst::FlowSuccess, gst::FlowError> {
        let caps = sample.caps_owned().ok_or(gst::FlowError::NotNegotiated)?;
        let mut buffer = sample.buffer_owned().ok_or(gst::FlowError::Error)?;
        if self.live {
            let time = sample.segment().and_then(|segment| segment.downcast_ref::<ClockTime>()?.to_running_time(buffer.pts()?));
            let Some(time) = self.admit(time, &caps) else { return Ok(gst::FlowSuccess::Ok) };
            drop(sample);
            let buffer = buffer.make_mut();
            buffer.set_pts(time);
            buffer.set_dts(None);
        }
        let fresh = {
            let mut state = self.lock();
            state.frames += 1;
            let fresh = state.caps.as_ref() != Some(&caps);
            state.caps = Some(caps.clone());
            fresh
        };
        if fresh {
            self.src.set_caps(Some(&caps));
        }
        self.src.push_buffer(buffer)
    }

    /// No frame comes any more; those that are in come out.
    pub(crate) fn end(&self) {
        // Refused only where the pipeline has stopped already.
        let _ = self.src.end_of_stream();
    }

    /// When the present connection's last frame came; `None` before its first.
    pub(crate) fn arrival(&self) -> Option<Instant> {
        self.lock().arrival
    }

    /// Between the last frame that went in and the next.
    pub(crate) fn now(&self) -> Moment {
        let state = self.lock();
        self.moment(&state)
    }

    fn moment(&self, state: &State) -> Moment {
        let time = self.clock().max(state.last.unwrap_or(ClockTime::ZERO));
        Moment { frame_id: state.frames, timestamp: time.nseconds(), size: state.size.unwrap_or_default() }
    }

    /// The time that a camera's frame gets; `None` where it is dropped.
    fn admit(&self, own: Option<ClockTime>, caps: &gst::Caps) -> Option<ClockTime> {
        let mut state = self.lock();
        state.arrival = Some(Instant::now());
        if self.src.current_level_buffers() >= WAITING {
            drop(state);
            self.journal.dropped();
            return None;
        }
        let size = VideoInfo::from_caps(caps).ok().map(|info| (info.width(), info.height()));
        let first = state.anchor.is_none();
        let (time, anchor) = place(own, self.clock(), state.anchor, state.last);
        state.anchor = Some(anchor);
        let before = std::mem::replace(&mut state.size, size);
        let away = if first { state.away.take() } else { None };
        let moment = Moment { timestamp: time.nseconds(), ..self.moment(&state) };
        state.last = Some(time);
        drop(state);
        if first || before != size {
            self.journal.connected(moment, before, away.map(|since| since.elapsed()));
        }
        Some(time)
    }

    fn clock(&self) -> ClockTime {
        ClockTime::try_from(self.started.elapsed()).unwrap_or(ClockTime::MAX)
    }

    /// What it guards is whole after every statement.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Anchor = (ClockTime, ClockTime);

/// Where a camera's frame lies on the time that runs since the start: its first frame when it comes, the others as far behind it as the
/// camera says, as long as that makes sense; never before the last frame.
fn place(own: Option<ClockTime>, now: ClockTime, anchor: Option<Anchor>, last: Option<ClockTime>) -> (ClockTime, Anchor) {
    let own = own.unwrap_or(now);
    let by_anchor = anchor.and_then(|(its, ours)| (ours + own).checked_sub(its)).filter(|time| *time.max(&now) - *time.min(&now) <= DRIFT);
    let time = by_anchor.unwrap_or(now);
    let time = last.map_or(time, |last| time.max(last + APART));
    (time, anchor.filter(|_| by_anchor.is_some()).unwrap_or((own, time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(frames: &[(u64, u64)]) -> Vec<u64> {
        let (mut anchor, mut last) = (None, None);
        let ms = ClockTime::from_mseconds;
        let mut time = |&(own, now): &(u64, u64)| {
            let (time, new) = place(Some(ms(own)), ms(now), anchor, last);
            (anchor, last) = (Some(new), Some(time));
            time.mseconds()
        };
        frames.iter().map(&mut time).collect()
    }

    #[test]
    fn a_cameras_times_are_kept_from_its_first_frame_on() {
        assert_eq!(times(&[(5000, 100), (5040, 103), (5080, 190)]), [100, 140, 180]);
    }

    #[test]
    fn times_that_jump_begin_anew_and_never_go_back() {
        assert_eq!(times(&[(0, 100), (90_000, 140), (90_040, 180), (0, 220), (40, 221)]), [100, 140, 180, 220, 260]);
        assert_eq!(times(&[(0, 100), (0, 101), (0, 102)]), [100, 101, 102]);
    }
}
