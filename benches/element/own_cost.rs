//! What the element costs a frame that has no object, beside `identity`.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

use super::{Set, threads};
use crate::common::{Figure, Goal};

/// Frames of a repeat.
const FRAMES: u32 = 1000;

/// µs a frame that the element may cost.
const GOAL: Goal = Some(('≤', 100.0));

const HANG: Duration = Duration::from_mins(1);

pub(crate) fn figures(set: &Set<'_>, repeats: usize) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (width, height) in [(640, 360), (1920, 1080)] {
        let filter = Rig::new(set.filter("upstream"), width, height);
        let identity = Rig::new(gst::ElementFactory::make("identity").build().unwrap(), width, height);
        let mut costs = [Vec::new(), Vec::new(), Vec::new()];
        for repeat in 0..=repeats {
            let (ours, none) = (filter.measure(), identity.measure());
            if repeat > 0 {
                for (costs, (ours, none)) in costs.iter_mut().zip(ours.into_iter().zip(none)) {
                    costs.push((ours - none) * 1e6 / f64::from(FRAMES));
                }
            }
        }
        let [streamed, alone, processor] = costs;
        let size = format!("{width}×{height} I420");
        figures.push(Figure::new(format!("frame without objects, element − identity, µs: {size}, frame behind frame"), GOAL, &streamed, 1));
        figures.push(Figure::new(format!("the same: {size}, one frame at a time, in to out"), GOAL, &alone, 1));
        figures.push(Figure::new(format!("the same: {size}, processor time of all threads"), None, &processor, 1));
    }
    figures
}

/// An element between two pads, playing.
struct Rig {
    element: gst::Element,
    src: gst::Pad,
    sink: gst::Pad,
    pool: gst_video::VideoBufferPool,
    arrived: Receiver<()>,
}

impl Rig {
    fn new(element: gst::Element, width: u32, height: u32) -> Self {
        let info = VideoInfo::builder(VideoFormat::I420, width, height).fps(gst::Fraction::new(25, 1)).build().unwrap();
        let caps = info.to_caps().unwrap();
        // A frame of a pool belongs to nobody else, as those of a decoder do.
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&caps), u32::try_from(info.size()).unwrap(), 4, 0);
        pool.set_config(config).unwrap();
        pool.set_active(true).unwrap();

        let (arrive, arrived) = bounded(FRAMES as usize);
        let raw = gst::Caps::new_empty_simple("video/x-raw");
        let template = |name, direction| gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &raw).unwrap();
        let sink = gst::Pad::builder_from_template(&template("sink", gst::PadDirection::Sink))
            .chain_function(move |_, _, buffer| {
                drop(buffer);
                arrive.send(()).map(|()| gst::FlowSuccess::Ok).map_err(|_| gst::FlowError::Error)
            })
            .event_function(|_, _, _| true)
            .build();
        let src = gst::Pad::from_template(&template("src", gst::PadDirection::Src));
        sink.set_active(true).unwrap();
        src.link(&element.static_pad("sink").unwrap()).unwrap();
        element.static_pad("src").unwrap().link(&sink).unwrap();
        element.set_state(gst::State::Playing).unwrap();
        src.set_active(true).unwrap();
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        for event in [gst::event::StreamStart::new("bench"), gst::event::Caps::new(&caps), gst::event::Segment::new(&segment)] {
            assert!(src.push_event(event));
        }
        Self { element, src, sink, pool, arrived }
    }

    /// Seconds for all frames: streamed, one at a time, and the streamed ones' processor time.
    fn measure(&self) -> [f64; 3] {
        let (started, used) = (Instant::now(), threads::processor_time());
        for number in 0..FRAMES {
            self.push(number);
        }
        for _ in 0..FRAMES {
            self.arrived.recv_timeout(HANG).unwrap();
        }
        let (streamed, processor) = (started.elapsed(), threads::processor_time().saturating_sub(used));
        let started = Instant::now();
        for number in 0..FRAMES {
            self.push(number);
            self.arrived.recv_timeout(HANG).unwrap();
        }
        [streamed, started.elapsed(), processor].map(|time| time.as_secs_f64())
    }

    fn push(&self, number: u32) {
        let mut buffer = self.pool.acquire_buffer(None).unwrap();
        buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(40) * u64::from(number));
        assert_eq!(self.src.push(buffer), Ok(gst::FlowSuccess::Ok));
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.src.set_active(false).unwrap();
        self.element.set_state(gst::State::Null).unwrap();
        self.sink.set_active(false).unwrap();
        self.pool.set_active(false).unwrap();
    }
}
