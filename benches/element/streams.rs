//! Objects a second through several elements that share an engine, over those through one, and how long frames take in each stage.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crossbeam_channel::bounded;
use gst::prelude::*;

use super::{BATCH, Set};
use crate::common::Figure;

/// Elements beside one another.
const STREAMS: usize = 8;

/// Objects until all of them are under way, and objects that are timed, whoever they are of.
const FIRST: usize = 2 * STREAMS;
const TIMED: usize = 4 * BATCH;

/// What is printed of the property `stats`.
const STAGES: [(&str, &str); 6] =
    [("queue", "p50"), ("queue", "p99"), ("encode", "p50"), ("encode", "p99"), ("total", "p50"), ("total", "p99")];

/// Longer than any run on a slow machine.
const HANG: Duration = Duration::from_mins(5);

pub(crate) fn figures(set: &Set<'_>, repeats: usize) -> Vec<Figure> {
    let (mut ratios, mut rates, mut stages) = (Vec::new(), Vec::new(), vec![Vec::new(); STAGES.len()]);
    for _ in 0..repeats {
        let [one, many] = [1, STREAMS].map(|streams| {
            #[expect(clippy::cast_precision_loss, reason = "few objects")]
            let objects = TIMED as f64;
            let (time, of_stages) = time(set, streams);
            (objects / time.as_secs_f64(), of_stages)
        });
        ratios.push(many.0 / one.0);
        rates.push(many.0);
        stages.iter_mut().zip(many.1).for_each(|(stage, milliseconds)| stage.push(milliseconds));
    }
    let mut figures = vec![
        Figure::new(
            format!("{STREAMS} elements with one engine ÷ one element, objects/s: raw I420 640×360, the frame as object"),
            Some(('≥', 0.95)),
            &ratios,
            3,
        ),
        Figure::new(format!("{STREAMS} elements with one engine, objects/s together"), None, &rates, 2),
    ];
    let named = STAGES.iter().zip(&stages);
    figures.extend(named.map(|((stage, share), milliseconds)| {
        Figure::new(format!("{STREAMS} elements with one engine, {share} of a frame in {stage}, ms"), None, milliseconds, 1)
    }));
    figures
}

/// The median over pipelines of each of [`STAGES`].
fn of_stages(pipelines: &[gst::Pipeline]) -> Vec<f64> {
    let of = |pipeline: &gst::Pipeline, stage: &str, share: &str| -> f64 {
        let stats: gst::Structure = pipeline.by_name("filter").unwrap().property("stats");
        stats.get::<gst::Structure>("percentiles").unwrap().get::<gst::Structure>(stage).unwrap().get(share).unwrap()
    };
    let median = |(stage, share): &(&str, &str)| {
        let mut all: Vec<f64> = pipelines.iter().map(|pipeline| of(pipeline, stage, share)).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    STAGES.iter().map(median).collect()
}

/// The time that the timed objects take, and [`STAGES`]; frames coming as fast as they are taken.
fn time(set: &Set<'_>, streams: usize) -> (Duration, Vec<f64>) {
    let (tell, timed) = bounded(1);
    let state = Arc::new(Mutex::new((0_usize, None)));
    let pipelines: Vec<gst::Pipeline> = (0..streams)
        .map(|_| {
            let line = "videotestsrc pattern=smpte ! capsfilter caps=video/x-raw,format=I420,width=640,height=360,framerate=25/1";
            let source = gst::parse::bin_from_description(line, true).unwrap();
            let filter = set.filter("frame");
            filter.set_property("name", "filter");
            filter.set_property("model-instance-id", "bench");
            let sink = gst::ElementFactory::make("fakesink").property("sync", false).build().unwrap();
            let pipeline = gst::Pipeline::new();
            pipeline.add_many([source.upcast_ref(), &filter, &sink]).unwrap();
            gst::Element::link_many([source.upcast_ref(), &filter, &sink]).unwrap();
            let (state, tell) = (Arc::clone(&state), tell.clone());
            sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let mut state = state.lock().unwrap();
                state.0 += 1;
                if state.0 == FIRST {
                    state.1 = Some(Instant::now());
                } else if state.0 == FIRST + TIMED {
                    let _ = tell.try_send(state.1.unwrap().elapsed());
                }
                gst::PadProbeReturn::Ok
            });
            pipeline
        })
        .collect();
    for pipeline in &pipelines {
        pipeline.set_state(gst::State::Playing).unwrap();
    }
    let time = timed.recv_timeout(HANG);
    let stages = of_stages(&pipelines);
    let errors: Vec<_> = pipelines.iter().filter_map(|pipeline| pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])).collect();
    for pipeline in &pipelines {
        pipeline.set_state(gst::State::Null).unwrap();
    }
    (time.unwrap_or_else(|_| panic!("{streams} streams: {errors:?}")), stages)
}
