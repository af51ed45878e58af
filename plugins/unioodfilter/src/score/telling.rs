//! Lines of tracks beside those of frames. The source pad's task tells of the tracks that it last saw a frame of; where a frame goes on from
//! others, or none comes any more, those that started end.

use std::{sync::Arc, time::Duration};

use gst::prelude::*;
use uniood::{
    engine::Answer,
    report::{FrameHeader, TrackReport},
    track::{TrackEvent, TrackEvents, Tracks},
};

use super::{
    imp::{Score, lock},
    lines::Lines,
    live::Snapshot,
};

/// What lines say of the stream, as long as it stays the same.
#[derive(Clone)]
pub(super) struct Head {
    stream_id: Arc<str>,
    run_id: Option<Arc<str>>,
    model: Arc<str>,
    source: Option<Arc<str>>,
    resolution: (u32, u32),
}

/// Tracks that are told of.
pub(super) struct Telling {
    tracks: Tracks,
    events: TrackEvents,
    head: Head,
}

impl Head {
    pub(super) fn new(snapshot: &Snapshot, resolution: (u32, u32), source: Option<Arc<str>>) -> Self {
        let (stream_id, run_id, model) = (Arc::clone(&snapshot.stream_id), snapshot.run_id.clone(), Arc::clone(&snapshot.model));
        Self { stream_id, run_id, model, source, resolution }
    }

    /// The header of a frame's line.
    pub(super) fn at(&self, frame_id: u64, timestamp: Option<gst::ClockTime>) -> FrameHeader<'_> {
        FrameHeader {
            stream_id: &self.stream_id,
            frame_id,
            timestamp: timestamp.map(gst::ClockTime::nseconds),
            resolution: self.resolution,
            source: self.source.as_deref(),
            model: &self.model,
            run: self.run_id.as_deref(),
        }
    }
}

impl Score {
    /// The next frame is of these `tracks`: all others end.
    pub(super) fn begin_tracks(&self, lines: &Lines, tracks: Option<&Tracks>, interval: Option<Duration>, head: &Head) {
        let goes_on = match (&*lock(&self.telling), tracks) {
            (Some(telling), Some(tracks)) => telling.tracks.are(tracks),
            (None, None) => true,
            _ => false,
        };
        if !goes_on {
            self.end_tracks(lines);
            let begun = tracks.map(|tracks| Telling { tracks: tracks.clone(), events: TrackEvents::new(interval), head: head.clone() });
            *lock(&self.telling) = begun;
        }
    }

    /// What a frame's answer brought.
    pub(super) fn tell_tracks(&self, lines: &Lines, frame_id: u64, timestamp: Option<gst::ClockTime>, answer: &Answer) {
        let news = lock(&self.telling).as_mut().map(|telling| {
            let events = telling.events.frame(frame_id, timestamp.map(gst::ClockTime::nseconds), answer);
            (telling.head.clone(), events)
        });
        if let Some((head, events)) = news {
            self.say(lines, &head, &events);
        }
    }

    /// Those that started end; behind a flush not before the stream has a segment again, since a line cannot go out without.
    pub(super) fn end_tracks(&self, lines: &Lines) {
        if self.srcpad.sticky_event::<gst::event::Segment>(0).is_none() {
            return;
        }
        let telling = lock(&self.telling).take();
        if let Some(Telling { mut events, head, .. }) = telling {
            self.say(lines, &head, &events.end());
        }
    }

    fn say(&self, lines: &Lines, head: &Head, events: &[TrackEvent]) {
        for event in events {
            // The frame that tells of it is of no interest: an event has its own.
            lines.track(&self.srcpad, &TrackReport::new(&head.at(0, None), event));
        }
    }
}
