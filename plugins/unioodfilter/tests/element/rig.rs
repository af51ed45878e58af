//! Test pads around the element, and what comes out of it.

use std::sync::mpsc::{Receiver, sync_channel};

use gst::prelude::*;
use gst_video::VideoInfo;

use crate::support::{HANG, first_error};

/// What came out of a rig.
#[derive(Debug)]
pub(crate) enum Out {
    Buffer(gst::Buffer),
    Event(gst::Event),
}

/// A sink pad that keeps everything that comes, in order.
fn keeping(pad: gst::PadBuilder<gst::Pad>) -> (gst::PadBuilder<gst::Pad>, Receiver<Out>) {
    let (keep, out) = sync_channel(100_000);
    let keep_event = keep.clone();
    let pad = pad
        .chain_function(move |_, _, buffer| {
            keep.send(Out::Buffer(buffer)).map(|()| gst::FlowSuccess::Ok).map_err(|_| gst::FlowError::Error)
        })
        .event_function(move |_, _, event| keep_event.send(Out::Event(event)).is_ok());
    (pad, out)
}

/// The pad for lines of an element, and what comes out of it.
pub(crate) struct Lines {
    pub(crate) pad: gst::Pad,
    pub(crate) out: Receiver<Out>,
    /// Links do not hold what they link.
    _sink: gst::Pad,
}

impl Lines {
    pub(crate) fn of(filter: &gst::Element) -> Self {
        let pad = filter.request_pad_simple("meta").unwrap();
        let (sink, out) = keeping(gst::Pad::builder(gst::PadDirection::Sink));
        let sink = sink.build();
        sink.set_active(true).unwrap();
        pad.link(&sink).unwrap();
        Self { pad, out, _sink: sink }
    }

    /// The next line.
    pub(crate) fn line(&self) -> Vec<u8> {
        let line = next_buffer(&self.out);
        line.map_readable().unwrap().to_vec()
    }
}

fn next_buffer(out: &Receiver<Out>) -> gst::Buffer {
    loop {
        if let Out::Buffer(buffer) = out.recv_timeout(HANG).expect("a buffer comes out") {
            return buffer;
        }
    }
}

/// Test pads before and behind the element, which is in PLAYING; everything that comes out is kept in order.
pub(crate) struct Rig {
    pub(crate) filter: gst::Element,
    pub(crate) src: gst::Pad,
    pub(crate) sink: gst::Pad,
    pub(crate) bus: gst::Bus,
    pub(crate) out: Receiver<Out>,
}

impl Rig {
    pub(crate) fn new(filter: gst::Element) -> Self {
        Self::with_sink(filter, |sink| sink)
    }

    /// The sink pad may be given functions of its own.
    pub(crate) fn with_sink(filter: gst::Element, change: impl FnOnce(gst::PadBuilder<gst::Pad>) -> gst::PadBuilder<gst::Pad>) -> Self {
        let raw = gst::Caps::new_empty_simple("video/x-raw");
        let template = |name, direction| gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &raw).unwrap();
        let (sink, out) = keeping(gst::Pad::builder_from_template(&template("sink", gst::PadDirection::Sink)));
        let sink = change(sink).build();
        let src = gst::Pad::from_template(&template("src", gst::PadDirection::Src));
        let bus = gst::Bus::new();
        filter.set_bus(Some(&bus));
        sink.set_active(true).unwrap();
        src.link(&filter.static_pad("sink").unwrap()).unwrap();
        filter.static_pad("src").unwrap().link(&sink).unwrap();
        filter.set_state(gst::State::Playing).unwrap_or_else(|_| panic!("{}", first_error(&bus)));
        src.set_active(true).unwrap();
        Self { filter, src, sink, bus, out }
    }

    /// Stream-start, caps and segment.
    pub(crate) fn start(&self, info: &VideoInfo) {
        assert!(self.src.push_event(gst::event::StreamStart::new("test")));
        self.caps(info);
        assert!(self.src.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    }

    pub(crate) fn caps(&self, info: &VideoInfo) {
        assert!(self.src.push_event(gst::event::Caps::new(&info.to_caps().unwrap())));
    }

    pub(crate) fn push(&self, buffer: gst::Buffer) {
        assert_eq!(self.src.push(buffer), Ok(gst::FlowSuccess::Ok));
    }

    /// Sends EOS and gives everything up to it.
    pub(crate) fn finish(&self) -> Vec<Out> {
        assert!(self.src.push_event(gst::event::Eos::new()));
        let mut all = Vec::new();
        loop {
            let item = self.out.recv_timeout(HANG).expect("EOS comes out");
            let is_eos = matches!(&item, Out::Event(event) if event.type_() == gst::EventType::Eos);
            all.push(item);
            if is_eos {
                return all;
            }
        }
    }

    /// The buffers up to EOS.
    pub(crate) fn buffers(&self) -> Vec<gst::Buffer> {
        self.finish().into_iter().filter_map(|out| if let Out::Buffer(buffer) = out { Some(buffer) } else { None }).collect()
    }

    /// The next buffer.
    pub(crate) fn buffer(&self) -> gst::Buffer {
        next_buffer(&self.out)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // As an upstream element would: its pad is inactive before the element stops.
        let _ = self.src.set_active(false);
        let _ = self.filter.set_state(gst::State::Null);
        let _ = self.sink.set_active(false);
        // Its messages hold the element, which holds the bus.
        self.filter.set_bus(None);
    }
}
