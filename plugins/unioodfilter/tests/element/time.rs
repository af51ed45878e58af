//! Live time: latency, lateness, overload, scheduling.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gst::prelude::*;
use gst_video::{VideoFormat, VideoRegionOfInterestMeta};
use gstuniood::OodMeta;
use uniood::verdict::{Reason, Verdict};

use crate::support::{HANG, ModelSet, Pipeline, Rig, completes_within, filter, info, launch_settings, picture};

/// Waits until as many are kept.
fn wait_for<T>(kept: &Mutex<Vec<T>>, count: usize) {
    let started = Instant::now();
    while kept.lock().unwrap().len() < count {
        assert!(started.elapsed() < HANG, "{} of {count} came", kept.lock().unwrap().len());
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Gives every frame that leaves the element `name` so many regions of interest.
fn crowd(pipeline: &Pipeline, name: &str, boxes: u32) {
    let pad = pipeline.by_name(name).static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        if let Some(buffer) = probe.buffer_mut() {
            for index in 0..boxes {
                VideoRegionOfInterestMeta::add(buffer.make_mut(), "car", (index % 60, index % 30, 20, 30));
            }
        }
        gst::PadProbeReturn::Ok
    });
}

/// For each buffer that reaches the sink `name`: when it came and when it was made, in running time, and what was said of it.
type Arrivals = Arc<Mutex<Vec<(gst::ClockTime, gst::ClockTime, OodMeta)>>>;

fn arrivals(pipeline: &Pipeline, name: &str) -> Arrivals {
    let arrivals = Arrivals::default();
    let kept = Arc::clone(&arrivals);
    let weak = pipeline.0.downgrade();
    let pad = pipeline.by_name(name).static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        if let (Some(buffer), Some(now)) = (probe.buffer(), weak.upgrade().and_then(|pipeline| pipeline.current_running_time())) {
            kept.lock().unwrap().push((now, buffer.pts().unwrap(), OodMeta::from_buffer(buffer).unwrap()));
        }
        gst::PadProbeReturn::Ok
    });
    arrivals
}

#[test]
fn a_live_pipeline_waits_as_long_as_frames_are_held_back_and_no_longer_than_they_can_be() {
    completes_within(2 * HANG, || {
        let set = ModelSet::golden();
        // Frames wait for others for 200 ms: a pipeline that is not told so shows them late.
        let line = format!(
            "videotestsrc is-live=true ! video/x-raw,width=96,height=64,framerate=25/1 ! unioodfilter name=f {} scheduling-policy=throughput \
             batch-timeout=200 ! fakesink name=out sync=true f.meta ! fakesink sync=true",
            launch_settings(&set)
        );
        let pipeline = Pipeline::parse(&line);
        let came = arrivals(&pipeline, "out");
        pipeline.reach(gst::State::Playing);
        // The first frames warm up, and teach the element what else they take.
        wait_for(&came, 40);
        came.lock().unwrap().clear();
        wait_for(&came, 75);
        let mut query = gst::query::Latency::new();
        assert!(pipeline.0.query(&mut query));
        let (live, min, max) = query.result();
        assert!(live && min >= gst::ClockTime::from_mseconds(240), "{min}");
        // 32 frames of 40 ms.
        assert!(max.is_none_or(|max| max >= gst::ClockTime::from_mseconds(1280)), "{max:?}");
        let came = came.lock().unwrap();
        let waited: Vec<_> = came.iter().map(|(now, made, _)| now.saturating_sub(*made)).collect();
        let late = waited.iter().filter(|waited| **waited > min).count();
        assert!(late * 10 <= waited.len(), "{late} of {} came later than {min}: {waited:?}", waited.len());
        assert!(waited.iter().any(|waited| *waited > gst::ClockTime::from_mseconds(100)), "nothing was held back: {waited:?}");
    });
}

#[test]
fn with_latency_as_the_policy_a_batch_does_not_wait_until_it_is_full() {
    completes_within(HANG, || {
        let filter = filter(&ModelSet::golden());
        filter.set_property("batch-timeout", -1_i32);
        filter.set_property_from_str("scheduling-policy", "latency");
        let rig = Rig::new(filter);
        let info = info(VideoFormat::I420, 64, 48);
        rig.start(&info);
        for number in 0..5 {
            rig.push(picture(&info, number));
            assert_eq!(OodMeta::from_buffer(&rig.buffer()).unwrap().unscored, None);
        }
    });
}

#[test]
fn frames_that_a_sink_calls_late_go_through_unscored_and_it_is_told() {
    completes_within(HANG, || {
        for honours in [true, false] {
            let filter = filter(&ModelSet::golden());
            filter.set_property("qos", honours);
            let rig = Rig::new(filter);
            let info = info(VideoFormat::I420, 64, 48);
            rig.start(&info);
            rig.push(picture(&info, 0));
            rig.buffer();
            // The first frame, at 0, came 150 ms late: those at 40, 80 and 120 ms cannot be in time.
            let late = gst::event::Qos::builder(gst::QOSType::Underflow, 1.5, 150_000_000).timestamp(gst::ClockTime::ZERO).build();
            rig.sink.push_event(late);
            for number in 1..6 {
                rig.push(picture(&info, number));
            }
            let metas: Vec<_> = rig.buffers().iter().map(|buffer| OodMeta::from_buffer(buffer).unwrap()).collect();
            let unscored: Vec<_> = metas.iter().map(|meta| meta.unscored == Some(Reason::Late)).collect();
            assert_eq!(unscored, if honours { [true, true, true, false, false] } else { [false; 5] });
            let told: Vec<_> = rig.bus.iter_filtered(&[gst::MessageType::Qos]).collect();
            let stats: gst::Structure = rig.filter.property("stats");
            let late = stats.get::<gst::Structure>("unscored").unwrap().get::<u64>("late").unwrap();
            assert_eq!((told.len(), late), if honours { (3, 3) } else { (0, 0) });
            if let Some(last) = told.last()
                && let gst::MessageView::Qos(last) = last.view()
            {
                assert_eq!(last.running_time(), Some(gst::ClockTime::from_mseconds(120)));
                assert_eq!(last.jitter(), 30_000_000);
            }
        }
    });
}

#[test]
fn a_flush_forgets_what_was_late() {
    completes_within(HANG, || {
        let filter = filter(&ModelSet::golden());
        filter.set_property("qos", true);
        let rig = Rig::new(filter);
        let info = info(VideoFormat::I420, 64, 48);
        rig.start(&info);
        rig.sink.push_event(gst::event::Qos::builder(gst::QOSType::Underflow, 1.5, 900_000_000).timestamp(gst::ClockTime::ZERO).build());
        assert!(rig.src.push_event(gst::event::FlushStart::new()));
        assert!(rig.src.push_event(gst::event::FlushStop::new(true)));
        rig.start(&info);
        rig.push(picture(&info, 0));
        assert_eq!(OodMeta::from_buffer(&rig.buffer()).unwrap().unscored, None);
    });
}

/// Boxes in a frame that keep the encoder busy for about `time`, on this machine and now.
fn boxes_that_take(set: &ModelSet, time: Duration) -> u32 {
    let filter = filter(set);
    filter.set_property("detector", "upstream");
    filter.set_property("max-objects", 10_000_u32);
    let rig = Rig::new(filter);
    let info = info(VideoFormat::I420, 96, 64);
    rig.start(&info);
    let mut started = Instant::now();
    for number in 0..3 {
        if number == 1 {
            // The first warms up.
            rig.buffer();
            started = Instant::now();
        }
        let mut buffer = picture(&info, number);
        for index in 0..160 {
            VideoRegionOfInterestMeta::add(buffer.make_mut(), "car", (index % 60, index % 30, 20, 30));
        }
        rig.push(buffer);
    }
    rig.buffers();
    let one = started.elapsed() / 320;
    u32::try_from(time.as_nanos() / one.as_nanos().max(1)).unwrap().clamp(16, 9_000)
}

#[test]
fn bypass_keeps_the_newest_scored_frame_young_when_the_model_is_four_times_too_slow() {
    completes_within(3 * HANG, || {
        let set = ModelSet::golden();
        let boxes = boxes_that_take(&set, Duration::from_millis(160));
        let line = format!(
            "videotestsrc name=source is-live=true ! video/x-raw,width=96,height=64,framerate=25/1 ! unioodfilter name=f {} detector=upstream \
             max-objects=10000 overload=bypass annotate=false ! fakesink name=out sync=false",
            launch_settings(&set).replace("detector=frame", "")
        );
        let pipeline = Pipeline::parse(&line);
        crowd(&pipeline, "source", boxes);
        let came = arrivals(&pipeline, "out");
        pipeline.reach(gst::State::Playing);
        wait_for(&came, 250);
        let came = came.lock().unwrap();
        assert!(came.windows(2).all(|pair| pair[0].2.frame_id + 1 == pair[1].2.frame_id), "every frame comes out, in order");
        let scored: Vec<_> = came.iter().skip(25).filter(|(.., meta)| meta.unscored.is_none()).collect();
        let passed = came.iter().filter(|(.., meta)| meta.unscored == Some(Reason::Overload)).count();
        assert!(scored.len() >= 10 && passed > 100, "{} scored, {passed} passed", scored.len());
        assert!(scored.iter().all(|(.., meta)| meta.objects.iter().all(|object| matches!(object.verdict, Verdict::Scored(_)))));
        let mut ages: Vec<Duration> = scored.iter().map(|(now, made, _)| now.saturating_sub(*made).into()).collect();
        let service = Duration::from(scored.last().unwrap().0 - scored[0].0) / u32::try_from(scored.len() - 1).unwrap();
        ages.sort_unstable();
        let (p50, p99) = (ages[ages.len() / 2], ages[ages.len() * 99 / 100]);
        eprintln!("{boxes} objects a frame, one frame scored every {service:?}: age p50 {p50:?}, p99 {p99:?}");
        // One frame in each stage: an age of so many frames' work, however long it goes on.
        assert!(p99 < 8 * service + Duration::from_millis(200), "p99 {p99:?} at {service:?} a frame");
    });
}

#[test]
fn stats_tell_the_spread_of_each_stage() {
    completes_within(HANG, || {
        let rig = Rig::new(filter(&ModelSet::golden()));
        let info = info(VideoFormat::I420, 64, 48);
        rig.start(&info);
        for number in 0..40 {
            rig.push(picture(&info, number));
        }
        rig.buffers();
        let stats: gst::Structure = rig.filter.property("stats");
        let percentiles = stats.get::<gst::Structure>("percentiles").unwrap();
        for stage in ["queue", "detect", "encode", "total"] {
            let stage = percentiles.get::<gst::Structure>(stage).unwrap();
            let [p50, p95, p99] = ["p50", "p95", "p99"].map(|name| stage.get::<f64>(name).unwrap());
            assert!(p50 <= p95 && p95 <= p99, "{stage}");
        }
        let total = percentiles.get::<gst::Structure>("total").unwrap().get::<f64>("p50").unwrap();
        let encode = percentiles.get::<gst::Structure>("encode").unwrap().get::<f64>("p50").unwrap();
        assert!(encode > 0.0 && total > encode, "{stats}");
    });
}
