//! What comes in: frames get their ticket, everything else its place in the lane.

use std::{sync::Arc, time::Instant};

use crossbeam_channel::bounded;
use gst::{prelude::*, subclass::prelude::*};
use gst_video::{VideoCropMeta, VideoInfo, VideoMeta};
use uniood::{
    engine::{Aborted, Boxes, Job},
    metrics,
    track::{Follow, Tracks},
    verdict::Reason,
};

use super::{
    imp::{CAT, Flow, Score, lock},
    live::{Running, Snapshot},
    output::{InFlight, Item, Work},
    qos::When,
};
use crate::{
    choices::Overload,
    lane::{Lane, Limit},
    origin, regions,
    source::VideoSource,
};

/// Buffers that upstream's pool should have beyond its own need. Where batches close by themselves a small pool
/// only waits now and then; where they wait until full it must hold all that may be in flight.
const POOL_BUFFERS: u32 = 4;

/// What is known of the stream that comes in.
#[derive(Default)]
pub(super) struct Stream {
    info: Option<Arc<VideoInfo>>,
    frames: u64,
    source: Option<Arc<str>>,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// What is followed; begun anew where the stream breaks.
    tracks: Tracks,
    /// Downstream was asked for its allocation and takes no `VideoMeta`: planes must lie where caps say.
    default_layout: bool,
}

impl Stream {
    /// What comes now does not go on from what came before: its objects are others.
    fn break_off(&mut self) {
        self.tracks = self.tracks.anew();
    }
}

type Flows = Result<gst::FlowSuccess, gst::FlowError>;

impl Score {
    pub(super) fn activate_sink(&self, mode: gst::PadMode, active: bool) -> Result<(), gst::LoggableError> {
        if active && mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "the sink pad is pushed to"));
        }
        if !active {
            // Else a chain call that waits for room would keep the pad's stream lock for ever.
            self.abort(gst::FlowError::Flushing);
        }
        Ok(())
    }

    pub(super) fn chain(&self, buffer: gst::Buffer) -> Flows {
        let arrival = Instant::now();
        let lane = self.lane()?;
        let (Some(running), Some(snapshot)) = (self.running(), self.snapshot()) else { return Err(gst::FlowError::Flushing) };
        let (info, frame_id, source, tracks, when, default_layout) = {
            let mut stream = lock(&self.stream);
            let info = stream.info.clone().ok_or(gst::FlowError::NotNegotiated)?;
            let frame_id = stream.frames;
            stream.frames += 1;
            if buffer.flags().contains(gst::BufferFlags::DISCONT) {
                stream.break_off();
            }
            (
                info,
                frame_id,
                stream.source.clone(),
                stream.tracks.clone(),
                When::of(&buffer, stream.segment.as_ref()),
                stream.default_layout,
            )
        };
        let given = if running.boxes_are_given() { regions::given(&buffer, info.width(), info.height()) } else { Vec::new() };
        let tracks = snapshot.tracking.map(|settings| {
            let ids = given.iter().map(|given| given.track).collect();
            Follow { tracks, settings, number: frame_id, ids }
        });
        let is_late = snapshot.qos && lock(&self.qos).is_late(when);
        let work = match VideoSource::new(buffer.clone(), &info, Arc::clone(&running.in_engine)) {
            Ok(_) if is_late => Work::late(),
            Ok(source) => {
                let boxes = if running.boxes_are_given() {
                    Boxes::Given(given.iter().map(|given| given.detection.clone()).collect())
                } else {
                    Boxes::Detect
                };
                let job = Job { frame: Arc::new(source), boxes, settings: Arc::clone(&snapshot.frame), tracks: tracks.clone() };
                submit(job, &lane, &running, &snapshot).map_err(|Aborted| self.refusal())?
            }
            Err(error) => Work::Unscored(Reason::Error, error.to_string()),
        };
        if let Some(metrics) = &snapshot.metrics {
            metrics.queue(metrics::SCORING, lane.len() + 1);
        }
        let weight = buffer.size();
        let frame = InFlight {
            buffer,
            work,
            given,
            info,
            frame_id,
            source,
            tracks: tracks.map(|follow| follow.tracks),
            snapshot,
            arrival,
            when,
            default_layout,
        };
        lane.push(Item::Frame(Box::new(frame)), weight, || running.before_waiting()).map_err(|Aborted| self.refusal())?;
        Ok(gst::FlowSuccess::Ok)
    }

    pub(super) fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> Flows {
        gst::log!(CAT, obj = pad, "{event:?}");
        match event.view() {
            gst::EventView::FlushStart(_) => {
                self.flush_start(&event);
                return Ok(gst::FlowSuccess::Ok);
            }
            gst::EventView::FlushStop(_) => {
                self.flush_stop(event.clone());
                return Ok(gst::FlowSuccess::Ok);
            }
            gst::EventView::StreamStart(_) => {
                let source = origin::ask(&self.sinkpad);
                let mut stream = lock(&self.stream);
                stream.source = source;
                stream.break_off();
            }
            gst::EventView::Gap(_) => lock(&self.stream).break_off(),
            gst::EventView::Caps(caps) => {
                let info = VideoInfo::from_caps(caps.caps()).map_err(|_| gst::FlowError::NotNegotiated)?;
                let mut stream = lock(&self.stream);
                let size = |info: &VideoInfo| (info.width(), info.height());
                if stream.info.as_deref().is_some_and(|before| size(before) != size(&info)) {
                    stream.break_off();
                }
                stream.info = Some(Arc::new(info));
                stream.default_layout = false;
            }
            gst::EventView::Segment(segment) => {
                let mut stream = lock(&self.stream);
                stream.segment = segment.segment().downcast_ref::<gst::ClockTime>().cloned();
                stream.break_off();
            }
            _ => (),
        }
        if !event.is_serialized() {
            let forwarded = gst::Pad::event_default(pad, Some(&*self.obj()), event);
            return if forwarded { Ok(gst::FlowSuccess::Ok) } else { Err(gst::FlowError::Error) };
        }
        self.queue_event(event)
    }

    pub(super) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Caps(caps) = query.view_mut() {
            let filter = caps.filter_owned();
            let result = proxied_caps(&self.srcpad, pad, filter.as_ref());
            caps.set_result(&result);
            return true;
        }
        if !query.is_serialized() {
            return gst::Pad::query_default(pad, Some(&*self.obj()), query);
        }
        // Everything in front has gone downstream once the barrier is reached; nothing comes behind it, since
        // upstream waits for the answer.
        if self.barrier().is_err() {
            return false;
        }
        let answered = self.srcpad.peer_query(query);
        match query.view_mut() {
            gst::QueryViewMut::Allocation(allocation) => self.propose(allocation),
            _ => answered,
        }
    }

    /// How long frames of this stream can be held back without holding upstream back: what the lane takes of them.
    /// `None` where the stream names no frame rate.
    pub(super) fn room(&self) -> Option<gst::ClockTime> {
        let info = lock(&self.stream).info.clone()?;
        let limit = self.running()?.limit;
        let frames = limit.items.min((limit.bytes / info.size().max(1)).max(2));
        let (numerator, denominator) = (u64::try_from(info.fps().numer()).ok()?, u64::try_from(info.fps().denom()).ok()?);
        gst::ClockTime::SECOND.mul_div_floor(denominator * frames as u64, numerator)
    }

    /// The lane, where it flows.
    pub(super) fn lane(&self) -> Result<Arc<Lane<Item>>, gst::FlowError> {
        let flow = lock(&self.flow);
        flow.result.map(|_| Arc::clone(&flow.lane))
    }

    /// Why the lane was closed.
    pub(super) fn refusal(&self) -> gst::FlowError {
        lock(&self.flow).result.err().unwrap_or(gst::FlowError::Flushing)
    }

    /// Ends every wait: in the lane, for the engine, for the JSON lines.
    pub(super) fn abort(&self, why: gst::FlowError) {
        self.refuse(why);
        if let Some(lines) = self.lines() {
            lines.abort();
        }
    }

    /// Takes no more, and ends every wait in the lane and for the engine. Lines of frames that are finished still go out.
    pub(super) fn refuse(&self, why: gst::FlowError) {
        let lane = {
            let mut flow = lock(&self.flow);
            flow.result = Err(why);
            Arc::clone(&flow.lane)
        };
        lane.close();
    }

    /// A new lane, empty and open.
    pub(super) fn reopen(&self) -> Arc<Lane<Item>> {
        let limit = self.running().map_or(Limit { items: 4, bytes: usize::MAX }, |running| running.limit);
        let lane = Arc::new(Lane::new(limit));
        *lock(&self.flow) = Flow { lane: Arc::clone(&lane), result: Ok(gst::FlowSuccess::Ok), ended: false };
        lane
    }

    fn flush_start(&self, event: &gst::Event) {
        self.abort(gst::FlowError::Flushing);
        self.srcpad.push_event(event.clone());
        if let Some(lines) = self.lines() {
            lines.flush_start(event.clone());
        }
        // Stopped and not paused: starting a paused task again would leak its closure.
        if let Err(error) = self.srcpad.stop_task() {
            gst::warning!(CAT, imp = self, "the task did not stop: {error}");
        }
    }

    fn flush_stop(&self, event: gst::Event) {
        self.srcpad.push_event(event.clone());
        lock(&self.qos).reset();
        lock(&self.stream).break_off();
        let lane = self.reopen();
        if let Some(lines) = self.lines() {
            lines.flush_stop(event);
        }
        if let Err(error) = self.start_task(lane) {
            gst::element_imp_error!(self, gst::CoreError::Thread, ("the output thread did not start again after a flush: {error}"));
        }
    }

    fn queue_event(&self, event: gst::Event) -> Flows {
        let is_eos = event.type_() == gst::EventType::Eos;
        let lane = {
            let mut flow = lock(&self.flow);
            flow.ended = is_eos && flow.result.is_ok() || flow.ended && event.type_() != gst::EventType::StreamStart;
            flow.result.map(|_| Arc::clone(&flow.lane))
        };
        let lane = lane.inspect_err(|why| {
            if is_eos {
                self.say_stopped(*why);
            }
        })?;
        let running = self.running();
        if let Some(running) = &running
            && !matches!(event.type_(), gst::EventType::Tag | gst::EventType::Segment)
        {
            // What comes behind may come late or never.
            running.stream.flush();
        }
        let before_waiting = || running.iter().for_each(|running| running.before_waiting());
        lane.push(Item::Event(event), 0, before_waiting).map_err(|Aborted| self.refusal())?;
        Ok(gst::FlowSuccess::Ok)
    }

    /// Says why the flow stopped, where EOS has come in and so no result of a push will: as a `queue` does.
    pub(super) fn say_stopped(&self, why: gst::FlowError) {
        if !matches!(why, gst::FlowError::Flushing | gst::FlowError::Eos) {
            gst::element_imp_error!(self, gst::StreamError::Failed, ("streaming stopped, reason {why}"));
        }
    }

    /// Waits until everything queued so far has gone downstream.
    fn barrier(&self) -> Result<(), gst::FlowError> {
        let lane = self.lane()?;
        if let Some(running) = self.running() {
            running.stream.flush();
        }
        let (reached, wait) = bounded(0);
        lane.push(Item::Barrier(reached), 0, || ()).map_err(|Aborted| self.refusal())?;
        lane.wait(&wait).map(|_| ()).map_err(|Aborted| self.refusal())
    }

    /// Downstream has answered, if it could. Any plane layout is welcome here; where downstream wants the default
    /// one, frames are laid out anew on their way out.
    fn propose(&self, allocation: &mut gst::query::Allocation) -> bool {
        let downstream_takes_any = allocation.find_allocation_meta::<VideoMeta>().is_some();
        lock(&self.stream).default_layout = !downstream_takes_any;
        if !downstream_takes_any {
            allocation.add_allocation_meta::<VideoMeta>(None);
        }
        // A crop that is only metadata would put the boxes in the wrong place.
        while let Some(index) = allocation.find_allocation_meta::<VideoCropMeta>() {
            allocation.remove_nth_allocation_meta(index);
        }
        let Some(running) = self.running() else { return true };
        let in_flight = u32::try_from(running.limit.items).unwrap_or(u32::MAX);
        let more = if running.batch_timeout.is_none() { in_flight } else { POOL_BUFFERS.min(in_flight) };
        let first = allocation.allocation_pools().next();
        match first {
            Some((pool, size, min, max)) if max == 0 || max >= min.saturating_add(more) => {
                allocation.set_nth_allocation_pool(0, pool.as_ref(), size, min.saturating_add(more), max);
            }
            Some(_) => {
                // Downstream's pool is too small for what is in flight here.
                while allocation.allocation_pools().next().is_some() {
                    allocation.remove_nth_allocation_pool(0);
                }
            }
            None => {
                let size =
                    allocation.caps().and_then(|caps| VideoInfo::from_caps(caps).ok()).and_then(|info| u32::try_from(info.size()).ok());
                allocation.add_allocation_pool(None::<&gst::BufferPool>, size.unwrap_or(0), more, 0);
            }
        }
        true
    }
}

/// Hands a frame to the engine, or lets it pass where `overload=bypass` and the engine has enough to do.
fn submit<T>(job: Job, lane: &Lane<T>, running: &Running, snapshot: &Snapshot) -> Result<Work, Aborted> {
    let bypass = snapshot.overload == Overload::Bypass;
    let passed = || {
        Ok(Work::Unscored(
            Reason::Overload,
            "the frame went through unscored: the queue was full and overload=bypass; use fewer frames, a faster device, or overload=block"
                .to_owned(),
        ))
    };
    if bypass && running.is_full(lane.len()) {
        return passed();
    }
    match running.stream.try_submit(job) {
        Ok(ticket) => Ok(Work::Asked(ticket)),
        Err(_) if bypass => passed(),
        Err(job) => {
            running.before_waiting();
            running.stream.submit(job, lane.abort()).map(Work::Asked)
        }
    }
}

/// What both the peer of `other` and `pad`'s template allow.
pub(super) fn proxied_caps(other: &gst::Pad, pad: &gst::Pad, filter: Option<&gst::Caps>) -> gst::Caps {
    let template = pad.pad_template_caps();
    let own = filter.map_or_else(|| template.clone(), |filter| filter.intersect_with_mode(&template, gst::CapsIntersectMode::First));
    let peer = other.peer_query_caps(Some(&own));
    peer.intersect_with_mode(&own, gst::CapsIntersectMode::First)
}
