//! What goes out: the task on the source pad takes the lane's items in order and finishes frames.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use gst::{prelude::*, subclass::prelude::*};
use gst_video::VideoInfo;
use uniood::{
    engine::{Aborted, Answer, Ticket},
    geometry::Rect,
    metrics,
    report::FrameReport,
    track::Tracks,
    verdict::{Object, Reason, Verdict},
};

use super::{
    imp::{CAT, Score, lock},
    input::proxied_caps,
    live::Snapshot,
    qos::When,
    telling::Head,
};
use crate::{
    choices::Events,
    draw, errors,
    lane::Lane,
    layout,
    meta::OodMeta,
    regions::{self, Given},
};

/// One place in the lane.
pub(super) enum Item {
    Frame(Box<InFlight>),
    /// Dropped when it is reached.
    Barrier(Sender<()>),
    Event(gst::Event),
}

/// A frame on its way.
pub(super) struct InFlight {
    pub(super) buffer: gst::Buffer,
    pub(super) work: Work,
    pub(super) given: Vec<Given>,
    pub(super) info: Arc<VideoInfo>,
    pub(super) frame_id: u64,
    pub(super) source: Option<Arc<str>>,
    pub(super) tracks: Option<Tracks>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) arrival: Instant,
    pub(super) when: When,
    pub(super) default_layout: bool,
}

/// What a frame waits for.
pub(super) enum Work {
    Asked(Ticket),
    /// Nothing: it goes through, for this reason and with this sentence.
    Unscored(Reason, String),
}

impl Work {
    /// Nothing, since the frame would come too late.
    pub(super) fn late() -> Self {
        let sentence = "the frame went through unscored: downstream said that it comes too late and qos=true; use fewer frames, a faster device, or qos=false";
        Self::Unscored(Reason::Late, sentence.to_owned())
    }
}

impl Score {
    pub(super) fn activate_src(&self, mode: gst::PadMode, active: bool) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "the source pad pushes"));
        }
        if active {
            let lane = self.reopen();
            self.start_task(lane).map_err(|error| gst::loggable_error!(CAT, "{error}"))
        } else {
            self.abort(gst::FlowError::Flushing);
            self.srcpad.stop_task().map_err(|error| gst::loggable_error!(CAT, "{error}"))
        }
    }

    /// The task ends with its lane; it holds the element until then.
    pub(super) fn start_task(&self, lane: Arc<Lane<Item>>) -> Result<(), gst::glib::BoolError> {
        let element = self.obj().clone();
        self.srcpad.start_task(move || element.imp().turn(&lane))
    }

    fn turn(&self, lane: &Lane<Item>) {
        let done = match lane.next() {
            Err(Aborted) => Err(None),
            Ok(Item::Barrier(reached)) => {
                drop(reached);
                Ok(())
            }
            Ok(Item::Event(event)) => {
                self.push_event(event);
                Ok(())
            }
            Ok(Item::Frame(frame)) => self.finish(lane, *frame).map_err(Some),
        };
        if let Err(why) = done {
            if let Some(why) = why
                && !lane.is_closed()
            {
                gst::debug!(CAT, imp = self, "streaming stops: {why}");
                self.refuse(why);
                let ended = lock(&self.flow).ended;
                if ended {
                    self.say_stopped(why);
                }
            }
            // Only asks the task to pause; it is stopped by whoever closed the lane, or at the next flush.
            if self.srcpad.pause_task().is_err() {
                gst::debug!(CAT, imp = self, "the task is gone already");
            }
        }
    }

    fn push_event(&self, event: gst::Event) {
        let for_lines = matches!(event.type_(), gst::EventType::Eos | gst::EventType::Gap).then(|| event.clone());
        // Nothing is tracked across these.
        let breaks = matches!(event.type_(), gst::EventType::StreamStart | gst::EventType::Segment) || for_lines.is_some();
        if breaks && let Some(lines) = self.lines() {
            self.end_tracks(&lines);
        }
        if !self.srcpad.push_event(event) {
            gst::debug!(CAT, imp = self, "an event was not taken");
        }
        if let (Some(event), Some(lines)) = (for_lines, self.lines()) {
            lines.event(&self.srcpad, event);
        }
    }

    /// Waits for the answer, says it, and pushes the frame.
    fn finish(&self, lane: &Lane<Item>, frame: InFlight) -> Result<(), gst::FlowError> {
        let InFlight { mut buffer, mut work, given, info, frame_id, source, tracks, snapshot, arrival, when, default_layout } = frame;
        // A tracked frame's scores are its tracks' too, and its tracker has counted on them.
        if let Work::Asked(ticket) = &work
            && tracks.is_none()
            && ticket.receiver().is_empty()
            && snapshot.qos
            && lock(&self.qos).is_late(when)
        {
            // The engine leaves undone what nobody holds the ticket of.
            work = Work::late();
        }
        let (answer, unscored) = match work {
            Work::Asked(ticket) => {
                let Some(mut answer) = lane.wait(ticket.receiver()).map_err(|Aborted| self.refusal())? else {
                    self.post_error_message(errors::message(&uniood::Error::Worker));
                    return Err(gst::FlowError::Error);
                };
                self.watch_latency(arrival, answer.timings.total);
                if let Some(tracks) = &tracks {
                    tracks.resolve(&mut answer, &snapshot.frame);
                }
                let unscored = answer.error.is_some().then_some(Reason::Error);
                (answer, unscored)
            }
            Work::Unscored(reason, sentence) => (passed(&given, reason, sentence, &info, &snapshot), Some(reason)),
        };
        self.warn_of_failure(&answer, unscored);
        self.count_for_qos(unscored, when, &buffer);

        if default_layout && !layout::is_default(&buffer, &info) || !layout::rows_are_whole(&buffer) {
            // What cannot be laid out anew goes on as it is, like any broken buffer.
            buffer = layout::laid_out(&buffer, &info).unwrap_or(buffer);
        }
        let timestamp = buffer.pts();
        let writable = buffer.make_mut();
        let objects = regions::attach(writable, &answer.objects, &given);
        let started = Instant::now();
        if snapshot.annotate
            && let Err(error) = draw::annotate(&mut lock(&self.overlay), writable, &info, &answer)
        {
            gst::warning!(CAT, imp = self, "a frame is not annotated: {error}");
        }
        let drawn = started.elapsed();
        let mut meta = OodMeta {
            stream_id: Arc::clone(&snapshot.stream_id),
            frame_id,
            timestamp: None,
            model: Arc::clone(&snapshot.model),
            objects,
            image: answer.image.clone(),
            timings: answer.timings,
            unscored,
            error: answer.error.clone(),
        };
        if let Err(error) = meta.attach(writable) {
            gst::warning!(CAT, imp = self, "a frame carries no verdicts: {error}");
        }
        lock(&self.stats).count(&answer, unscored, drawn);
        if snapshot.post_messages {
            meta.timestamp = timestamp;
            let message = gst::message::Element::builder(meta.to_structure()).src(&*self.obj()).build();
            // Without a bus there is nobody to tell.
            let _ = self.obj().post_message(message);
        }
        let lines = self.lines();
        if lines.is_some() || snapshot.metrics.is_some() {
            let head = Head::new(&snapshot, (info.width(), info.height()), source);
            let report = FrameReport::new(&head.at(frame_id, timestamp), &answer);
            if let Some(metrics) = &snapshot.metrics {
                metrics.frame(&report);
                metrics.queue(metrics::SCORING, lane.len());
            }
            if let Some(lines) = lines {
                let tracks = tracks.filter(|_| snapshot.events != Events::Frames);
                self.begin_tracks(&lines, tracks.as_ref(), snapshot.event_interval, &head);
                match snapshot.events {
                    Events::Frames | Events::Both => lines.frame(&self.srcpad, &buffer, &report),
                    Events::Tracks => lines.silence(&self.srcpad, &buffer),
                }
                self.tell_tracks(&lines, frame_id, timestamp, &answer);
            }
        }
        match self.srcpad.push(buffer) {
            Err(gst::FlowError::NotLinked | gst::FlowError::Eos) if self.lines().is_some_and(|lines| lines.are_taken()) => Ok(()),
            pushed => pushed.map(|_| ()),
        }
    }

    /// An application learns of late frames as it does from other elements.
    fn count_for_qos(&self, unscored: Option<Reason>, when: When, buffer: &gst::BufferRef) {
        let message = match unscored {
            None => {
                lock(&self.qos).scored();
                return;
            }
            Some(Reason::Late) => lock(&self.qos).passed(when, buffer, self.live.load(Ordering::Relaxed), &*self.obj()),
            Some(_) => return,
        };
        // Without a bus there is nobody to tell.
        let _ = self.obj().post_message(message);
    }

    fn watch_latency(&self, arrival: Instant, total: Duration) {
        if lock(&self.latency).observe(arrival, total) {
            let declared = lock(&self.latency).declared();
            gst::debug!(CAT, imp = self, "latency is now {declared:?}");
            if self.live.load(Ordering::Relaxed) {
                // Without a bus there is nobody to ask again.
                let _ = self.obj().post_message(gst::message::Latency::builder().src(&*self.obj()).build());
            }
        }
    }

    /// A failing device fails for every frame; one warning is enough until a frame succeeds again.
    fn warn_of_failure(&self, answer: &Answer, unscored: Option<Reason>) {
        let failed = unscored == Some(Reason::Error);
        if !matches!(unscored, Some(Reason::Overload | Reason::Late)) && failed != self.failing.swap(failed, Ordering::Relaxed) && failed {
            let sentence = answer.error.as_deref().unwrap_or("the model run failed");
            gst::element_imp_warning!(self, gst::StreamError::Failed, ("frames go on unscored: {sentence}"));
        }
    }

    pub(super) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Seek(seek) => {
                // A pipeline sends a seek to each of its sinks, so it comes once for video and once for the lines.
                let seqnum = Some(seek.seqnum());
                let again = std::mem::replace(&mut *lock(&self.last_seek), seqnum) == seqnum;
                if again {
                    return true;
                }
            }
            gst::EventView::Qos(qos) => lock(&self.qos).told(qos),
            _ => (),
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    pub(super) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                let filter = caps.filter_owned();
                let result = proxied_caps(&self.sinkpad, pad, filter.as_ref());
                caps.set_result(&result);
                true
            }
            gst::QueryViewMut::Latency(_) => self.latency(query),
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    /// Upstream's latency and ours: at least what frames were seen to take, as far as the lane can hold them that long; at
    /// most what the lane holds.
    pub(super) fn latency(&self, query: &mut gst::QueryRef) -> bool {
        if !self.sinkpad.peer_query(query) {
            return false;
        }
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let (live, min, max) = latency.result();
            if self.live.swap(live, Ordering::Relaxed) != live {
                self.schedule();
            }
            if live {
                let seen = gst::ClockTime::try_from(lock(&self.latency).declared()).unwrap_or(gst::ClockTime::MAX);
                let room = self.room().unwrap_or(seen);
                latency.set(live, min.saturating_add(seen.min(room)), max.map(|max| max.saturating_add(room)));
            }
        }
        true
    }
}

/// The answer of a frame that nobody was asked about: its objects, where they are known, have no score.
fn passed(given: &[Given], reason: Reason, sentence: String, info: &VideoInfo, snapshot: &Snapshot) -> Answer {
    let object = |given: &Given| {
        let rect = Rect::cover(&given.detection.bbox, info.width(), info.height())?;
        Some(Object { rect, detection: given.detection.clone(), verdict: Verdict::Unscored(reason), track: None })
    };
    let whole = snapshot.frame.scope != uniood::engine::Scope::Object;
    Answer {
        objects: given.iter().filter_map(object).collect(),
        image: whole.then_some(Verdict::Unscored(reason)),
        error: Some(sentence),
        ..Answer::default()
    }
}
