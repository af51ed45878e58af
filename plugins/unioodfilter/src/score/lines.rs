//! The `meta` pad: one JSON line a frame, with the frame's timestamps.
//!
//! It has a task and a lane of its own: a video sink that waits in PAUSED for its pipeline must not keep the
//! first line from the sink of the lines, for which the same pipeline waits.

use std::sync::{Arc, Mutex};

use gst::{prelude::*, subclass::prelude::*};
use uniood::{
    engine::Aborted,
    report::{FrameReport, TrackReport},
};

use super::imp::{CAT, Score, links, lock};
use crate::lane::{Lane, Limit};

/// Name of the request pad.
pub(crate) const LINES: &str = "meta";

/// Lines that wait for a slow sink before video is held back.
const LIMIT: Limit = Limit { items: 256, bytes: 8 << 20 };

/// What the pad sends.
pub(crate) fn caps() -> gst::Caps {
    gst::Caps::new_empty_simple("application/json")
}

/// The pad and what waits to be pushed on it.
pub(super) struct Lines {
    pad: gst::Pad,
    feed: Arc<Feed>,
}

/// Shared with the pad's activation, which may come before the pad has a parent.
struct Feed {
    lane: Mutex<Arc<Lane<Line>>>,
    announced: Mutex<Announced>,
}

enum Line {
    Event(gst::Event),
    Buffer(gst::Buffer),
}

/// The video events whose like the pad has sent.
#[derive(Default)]
struct Announced {
    stream: Option<gst::Event>,
    segment: Option<gst::Event>,
}

impl Lines {
    /// Queues the line of a frame; dropped where the pad is flushing.
    pub(super) fn frame(&self, video: &gst::Pad, buffer: &gst::BufferRef, report: &FrameReport) {
        self.line(video, report.to_line(), |out| {
            out.set_pts(buffer.pts());
            out.set_dts(buffer.dts());
            out.set_duration(buffer.duration());
        });
    }

    /// Queues a line of a track, at the time of its last view; dropped where the pad is flushing.
    pub(super) fn track(&self, video: &gst::Pad, report: &TrackReport) {
        self.line(video, report.to_line(), |out| out.set_pts(report.last.timestamp.map(gst::ClockTime::from_nseconds)));
    }

    /// A frame that there is no line of: a sink must not wait for one.
    pub(super) fn silence(&self, video: &gst::Pad, buffer: &gst::BufferRef) {
        if let Some(time) = buffer.pts() {
            self.event(video, gst::event::Gap::builder(time).duration(buffer.duration()).build());
        }
    }

    fn line(&self, video: &gst::Pad, line: String, stamp: impl FnOnce(&mut gst::BufferRef)) {
        let mut out = gst::Buffer::from_mut_slice((line + "\n").into_bytes());
        if let Some(out) = out.get_mut() {
            stamp(out);
        }
        self.announce(video);
        self.queue(Line::Buffer(out));
    }

    /// Queues EOS or a gap.
    pub(super) fn event(&self, video: &gst::Pad, event: gst::Event) {
        self.announce(video);
        self.queue(Line::Event(event));
    }

    /// Whether somebody takes the lines: then video may go unlinked, or end early.
    pub(super) fn are_taken(&self) -> bool {
        self.pad.is_linked() && !matches!(self.pad.last_flow_result(), Err(gst::FlowError::NotLinked | gst::FlowError::Eos))
    }

    /// Ends every wait.
    pub(super) fn abort(&self) {
        self.feed.lane().close();
    }

    pub(super) fn flush_start(&self, event: gst::Event) {
        self.abort();
        self.pad.push_event(event);
        if let Err(error) = self.pad.stop_task() {
            gst::warning!(CAT, obj = self.pad, "the task did not stop: {error}");
        }
    }

    pub(super) fn flush_stop(&self, event: gst::Event) {
        self.pad.push_event(event);
        if let Err(error) = self.feed.start(&self.pad) {
            gst::warning!(CAT, obj = self.pad, "no lines after this flush: {error}");
        }
    }

    /// Sends stream-start, caps and segment where video has had new ones since.
    fn announce(&self, video: &gst::Pad) {
        let stream = video.sticky_event::<gst::event::StreamStart>(0).map(gst::Event::from);
        let segment = video.sticky_event::<gst::event::Segment>(0).map(gst::Event::from);
        let mut events = Vec::with_capacity(3);
        {
            let mut announced = lock(&self.feed.announced);
            if let Some(event) = stream.filter(|event| !same(announced.stream.as_ref(), event)) {
                if let gst::EventView::StreamStart(start) = event.view() {
                    let id = format!("{}/{LINES}", start.stream_id());
                    let builder = gst::event::StreamStart::builder(&id).seqnum(start.seqnum()).flags(gst::StreamFlags::SPARSE);
                    events.push(builder.group_id(start.group_id().unwrap_or_else(gst::GroupId::next)).build());
                }
                events.push(gst::event::Caps::new(&caps()));
                *announced = Announced { stream: Some(event), segment: None };
            }
            if let Some(event) = segment.filter(|event| !same(announced.segment.as_ref(), event)) {
                events.push(event.clone());
                announced.segment = Some(event);
            }
        }
        for event in events {
            self.queue(Line::Event(event));
        }
    }

    fn queue(&self, line: Line) {
        let weight = match &line {
            Line::Buffer(buffer) => buffer.size(),
            Line::Event(_) => 0,
        };
        if let Err(Aborted) = self.feed.lane().push(line, weight, || ()) {
            gst::log!(CAT, obj = self.pad, "a line is dropped: the pad is flushing");
        }
    }
}

impl Feed {
    fn closed() -> Self {
        let lane = Lane::new(LIMIT);
        lane.close();
        Self { lane: Mutex::new(Arc::new(lane)), announced: Mutex::default() }
    }

    fn lane(&self) -> Arc<Lane<Line>> {
        Arc::clone(&lock(&self.lane))
    }

    /// A new lane and a task that empties it.
    fn start(&self, pad: &gst::Pad) -> Result<(), gst::glib::BoolError> {
        let lane = Arc::new(Lane::new(LIMIT));
        *lock(&self.lane) = Arc::clone(&lane);
        *lock(&self.announced) = Announced::default();
        let weak = pad.downgrade();
        pad.start_task(move || {
            if let Some(pad) = weak.upgrade() {
                turn(&pad, &lane);
            }
        })
    }

    fn activate(&self, pad: &gst::Pad, mode: gst::PadMode, active: bool) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "the pad pushes"));
        }
        let done = if active {
            self.start(pad)
        } else {
            self.lane().close();
            pad.stop_task()
        };
        done.map_err(|error| gst::loggable_error!(CAT, "{error}"))
    }
}

impl Score {
    pub(super) fn lines(&self) -> Option<Arc<Lines>> {
        lock(&self.lines).clone()
    }

    /// The pad `meta`; there is one.
    pub(super) fn add_lines(&self, template: &gst::PadTemplate) -> Option<gst::Pad> {
        if self.lines().is_some() {
            gst::warning!(CAT, imp = self, "the pad {LINES} was requested twice; put a tee behind it");
            return None;
        }
        let feed = Arc::new(Feed::closed());
        let pad = gst::Pad::builder_from_template(template)
            .name(LINES)
            .activatemode_function({
                let feed = Arc::clone(&feed);
                move |pad, _, mode, active| feed.activate(pad, mode, active)
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(
                    parent,
                    || false,
                    |score| match event.type_() {
                        // These are about lines, and upstream sends video.
                        gst::EventType::Qos | gst::EventType::Reconfigure => true,
                        _ => score.src_event(pad, event),
                    },
                )
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(
                    parent,
                    || false,
                    |score| match query.type_() {
                        gst::QueryType::Latency => score.latency(query),
                        gst::QueryType::Caps => {
                            if let gst::QueryViewMut::Caps(query) = query.view_mut() {
                                let all = caps();
                                let result = query.filter().map_or_else(|| all.clone(), |filter| filter.intersect(&all));
                                query.set_result(&result);
                            }
                            true
                        }
                        _ => gst::Pad::query_default(pad, Some(&*score.obj()), query),
                    },
                )
            })
            .iterate_internal_links_function(|_, parent| links(parent, |score| score.sinkpad.clone()))
            .build();
        let obj = self.obj();
        let runs = obj.current_state().max(obj.pending_state()) >= gst::State::Paused;
        let activated = if runs { pad.set_active(true) } else { Ok(()) };
        if activated.is_err() || obj.add_pad(&pad).is_err() {
            gst::warning!(CAT, imp = self, "the pad {LINES} was not added");
            return None;
        }
        *lock(&self.lines) = Some(Arc::new(Lines { pad: pad.clone(), feed }));
        Some(pad)
    }

    pub(super) fn remove_lines(&self, pad: &gst::Pad) {
        let deactivated = pad.set_active(false);
        let lines = lock(&self.lines).take();
        let removed = self.obj().remove_pad(pad);
        if deactivated.is_err() || removed.is_err() || lines.is_none() {
            gst::warning!(CAT, imp = self, "the pad {LINES} was not removed");
        }
    }
}

/// Not linked is fine: lines are dropped then.
fn turn(pad: &gst::Pad, lane: &Lane<Line>) {
    match lane.next() {
        Ok(Line::Event(event)) => {
            if !pad.push_event(event) {
                gst::log!(CAT, obj = pad, "an event was not taken");
            }
        }
        Ok(Line::Buffer(buffer)) => {
            if let Err(why) = pad.push(buffer) {
                gst::log!(CAT, obj = pad, "a line was not taken: {why}");
            }
        }
        Err(Aborted) => {
            if pad.pause_task().is_err() {
                gst::debug!(CAT, obj = pad, "the task is gone already");
            }
        }
    }
}

/// The very same event, which is kept alive and so keeps its address.
fn same(known: Option<&gst::Event>, event: &gst::Event) -> bool {
    known.is_some_and(|known| known.as_ptr() == event.as_ptr())
}
