//! Flushes, seeks, shutdowns, latency, states: nothing hangs, nothing is lost.

use std::time::Duration;

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

use crate::support::{
    HANG, Lines, ModelSet, Out, Pipeline, Rig, completes_within, filter, first_error, info, launch_settings, picture, takes_at_most,
};

const PROMPTLY: Duration = Duration::from_secs(2);

/// Frames go in until the pipeline holds no more: the sink waits in PAUSED for its first frame.
fn blocked(settings: &str) -> Pipeline {
    filled(settings).0
}

/// The same, and how many frames went in.
fn filled(settings: &str) -> (Pipeline, u64) {
    let line = format!(
        "videotestsrc ! video/x-raw,width=96,height=64,framerate=25/1 ! identity name=in ! unioodfilter name=f {settings} ! fakesink name=out sync=true"
    );
    let pipeline = Pipeline::parse(&line);
    pipeline.reach(gst::State::Paused);
    // Full when nothing more goes in for a while.
    let entered = || pipeline.by_name("in").property::<gst::Structure>("stats").get::<u64>("num-buffers").unwrap();
    let mut before = u64::MAX;
    while before != entered() {
        before = entered();
        std::thread::park_timeout(Duration::from_millis(200));
    }
    assert!((2..=70).contains(&before), "{before} frames are in flight");
    (pipeline, before)
}

/// A rig whose stream has begun, and whose batches wait until they are full.
fn patient() -> (Rig, VideoInfo) {
    let filter = filter(&ModelSet::golden());
    filter.set_property("batch-timeout", -1_i32);
    let (rig, info) = (Rig::new(filter), info(VideoFormat::I420, 64, 48));
    rig.start(&info);
    (rig, info)
}

#[test]
fn shutdown_under_a_blocked_pipeline_is_prompt() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        for settings in ["", "batch-timeout=-1", "batch-size=1", "overload=bypass"] {
            let pipeline = blocked(&format!("{} {settings}", launch_settings(&set)));
            takes_at_most(PROMPTLY, || pipeline.0.set_state(gst::State::Null).unwrap());
        }
    });
}

#[test]
fn every_session_that_encodes_has_a_batch_of_frames_in_flight() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let [one, three] = [1, 3].map(|sessions| filled(&format!("{} batch-size=5 encoder-sessions={sessions}", launch_settings(&set))).1);
        assert_eq!(three - one, 2 * 5, "{one} and {three}");
    });
}

#[test]
fn a_seek_under_a_blocked_pipeline_is_prompt_and_starts_anew() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let pipeline = blocked(&launch_settings(&set));
        let kept = pipeline.keep("out");
        for second in [3, 1, 7] {
            takes_at_most(PROMPTLY, || {
                let to = gst::ClockTime::from_seconds(second);
                pipeline.0.seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, to).unwrap();
                pipeline.0.state(gst::ClockTime::try_from(HANG).unwrap()).0.unwrap();
            });
            let first = kept.lock().unwrap().drain(..).next_back().unwrap();
            assert_eq!(first.pts().unwrap().seconds(), second);
        }
    });
}

#[test]
fn a_seek_moves_the_lines_too_and_is_forwarded_once() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let line = format!(
            "videotestsrc ! video/x-raw,width=96,height=64,framerate=25/1 ! identity name=in ! unioodfilter name=f {} ! fakesink name=out sync=true \
             f.meta ! fakesink name=lines sync=true",
            launch_settings(&set)
        );
        let pipeline = Pipeline::parse(&line);
        let seeks = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let count = std::sync::Arc::clone(&seeks);
        pipeline.by_name("in").static_pad("src").unwrap().add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, probe| {
            if probe.event().is_some_and(|event| event.type_() == gst::EventType::Seek) {
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.reach(gst::State::Paused);
        let (frames, lines) = (pipeline.keep("out"), pipeline.keep("lines"));
        pipeline.0.seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, gst::ClockTime::from_seconds(5)).unwrap();
        pipeline.reach(gst::State::Paused);
        assert_eq!(seeks.load(std::sync::atomic::Ordering::Relaxed), 1);
        let first = |kept: &std::sync::Mutex<Vec<gst::Buffer>>| kept.lock().unwrap().last().unwrap().pts().unwrap().seconds();
        assert_eq!((first(&frames), first(&lines)), (5, 5));
    });
}

#[test]
fn flush_start_ends_a_push_that_waits_for_room() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let filter = filter(&set);
        let (entered, inside) = std::sync::mpsc::sync_channel(1000);
        let (open, gate) = std::sync::mpsc::sync_channel::<()>(0);
        let gate = std::sync::Mutex::new(gate);
        // Downstream takes the first frame and keeps it until the test ends.
        let rig = Rig::with_sink(filter, move |sink| {
            sink.chain_function(move |_, _, _| {
                entered.send(()).unwrap();
                let _ = gate.lock().unwrap().recv();
                Err(gst::FlowError::Flushing)
            })
        });
        let info = info(VideoFormat::I420, 64, 48);
        rig.start(&info);
        let src = rig.src.clone();
        let pusher = std::thread::Builder::new()
            .spawn(move || (0..1000).map(|number| src.push(picture(&info, number))).find(Result::is_err))
            .unwrap();
        inside.recv_timeout(HANG).unwrap();
        // Downstream leaves its chain function when it is flushed, as every element must.
        drop(open);
        takes_at_most(PROMPTLY, || assert!(rig.src.push_event(gst::event::FlushStart::new())));
        assert_eq!(pusher.join().unwrap(), Some(Err(gst::FlowError::Flushing)));
        assert!(rig.src.push_event(gst::event::FlushStop::new(true)));
    });
}

#[test]
fn lines_of_finished_frames_go_out_though_video_has_failed() {
    const TAKEN: u64 = 3;
    completes_within(HANG, || {
        let filter = filter(&ModelSet::golden());
        let lines = Lines::of(&filter);
        let taken = std::sync::atomic::AtomicU64::new(0);
        let rig = Rig::with_sink(filter, move |sink| {
            sink.chain_function(move |_, _, _| {
                let is_last = taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1 == TAKEN;
                if is_last { Err(gst::FlowError::Error) } else { Ok(gst::FlowSuccess::Ok) }
            })
        });
        let held = lines.pad.add_probe(gst::PadProbeType::BLOCK_DOWNSTREAM, |_, _| gst::PadProbeReturn::Ok).unwrap();
        let info = info(VideoFormat::I420, 64, 48);
        rig.start(&info);
        let end = (0..1000).map(|number| rig.src.push(picture(&info, number))).find(Result::is_err);
        assert_eq!(end, Some(Err(gst::FlowError::Error)));
        lines.pad.remove_probe(held);
        for frame in 0..TAKEN {
            let line: serde_json::Value = serde_json::from_slice(&lines.line()).unwrap();
            assert_eq!(line["frame_id"], frame);
        }
    });
}

#[test]
fn what_downstream_returns_reaches_upstream() {
    completes_within(HANG, || {
        for why in [gst::FlowError::Eos, gst::FlowError::Error, gst::FlowError::NotNegotiated] {
            let rig = Rig::with_sink(filter(&ModelSet::golden()), move |sink| sink.chain_function(move |_, _, _| Err(why)));
            let info = info(VideoFormat::I420, 64, 48);
            rig.start(&info);
            let end = (0..1000).map(|number| rig.src.push(picture(&info, number))).find(Result::is_err);
            assert_eq!(end, Some(Err(why)));
        }
    });
}

#[test]
fn every_frame_is_out_before_eos() {
    completes_within(HANG, || {
        for settings in [(16_u32, 10_i32), (64, -1), (1, 0)] {
            let filter = filter(&ModelSet::golden());
            filter.set_property("batch-size", settings.0);
            filter.set_property("batch-timeout", settings.1);
            let rig = Rig::new(filter);
            let info = info(VideoFormat::I420, 64, 48);
            rig.start(&info);
            for number in 0..50 {
                rig.push(picture(&info, number));
            }
            let all = rig.finish();
            assert_eq!(all.iter().filter(|out| matches!(out, Out::Buffer(_))).count(), 50);
        }
    });
}

#[test]
fn a_serialised_query_is_answered_behind_the_frames_in_front_of_it() {
    completes_within(HANG, || {
        let (rig, info) = patient();
        for number in 0..9 {
            rig.push(picture(&info, number));
        }
        let mut query = gst::query::Allocation::new(Some(&info.to_caps().unwrap()), true);
        assert!(rig.src.peer_query(&mut query));
        let out: Vec<_> = rig.out.try_iter().collect();
        assert_eq!(out.iter().filter(|out| matches!(out, Out::Buffer(_))).count(), 9);
    });
}

#[test]
fn latency_of_live_input_is_raised_by_ours_and_of_a_file_is_not() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        for (live, least) in [(true, gst::ClockTime::from_mseconds(70)), (false, gst::ClockTime::ZERO)] {
            let line = format!(
                "videotestsrc is-live={live} ! video/x-raw,width=96,height=64,framerate=25/1 ! unioodfilter name=f {} batch-timeout=30 ! fakesink sync=true \
                 f.meta ! fakesink sync=true",
                launch_settings(&set)
            );
            let pipeline = Pipeline::parse(&line);
            pipeline.reach(gst::State::Playing);
            for pad in ["src", "meta"] {
                let mut query = gst::query::Latency::new();
                assert!(pipeline.by_name("f").static_pad(pad).unwrap().query(&mut query));
                let (said, min, _) = query.result();
                assert_eq!(said, live);
                assert!(min >= least && (live || min == gst::ClockTime::ZERO), "{min}");
            }
        }
    });
}

#[test]
fn states_go_up_and_down_20_times_without_a_leak() {
    completes_within(2 * HANG, || {
        let set = ModelSet::golden();
        let line = format!(
            "videotestsrc ! video/x-raw,width=96,height=64 ! unioodfilter name=f {} ! fakesink f.meta ! fakesink async=false",
            launch_settings(&set)
        );
        let pipeline = Pipeline::parse(&line);
        for turn in 0..20 {
            pipeline.reach(if turn % 2 == 0 { gst::State::Playing } else { gst::State::Paused });
            pipeline.reach([gst::State::Ready, gst::State::Null, gst::State::Paused][turn % 3]);
        }
        pipeline.reach(gst::State::Null);
        let weak = pipeline.by_name("f").downgrade();
        let children: Vec<_> = weak
            .upgrade()
            .unwrap()
            .downcast::<gst::Bin>()
            .unwrap()
            .iterate_elements()
            .into_iter()
            .map(|child| child.unwrap().downgrade())
            .collect();
        drop(pipeline);
        assert!(weak.upgrade().is_none(), "the element is kept by something");
        assert!(children.iter().all(|child| child.upgrade().is_none()), "a child is kept by something");
    });
}

#[test]
fn flushes_do_not_leak_the_element() {
    completes_within(HANG, || {
        let rig = Rig::new(filter(&ModelSet::golden()));
        let info = info(VideoFormat::I420, 64, 48);
        for _ in 0..50 {
            rig.start(&info);
            for number in 0..5 {
                rig.push(picture(&info, number));
            }
            assert!(rig.src.push_event(gst::event::FlushStart::new()));
            assert!(rig.src.push_event(gst::event::FlushStop::new(true)));
        }
        let weak = rig.filter.downgrade();
        drop(rig);
        assert!(weak.upgrade().is_none());
    });
}

#[test]
fn qos_events_go_upstream() {
    completes_within(HANG, || {
        let rig = Rig::new(filter(&ModelSet::golden()));
        let (seen, came) = std::sync::mpsc::sync_channel(10);
        rig.src.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, probe| {
            let _ = seen.try_send(probe.event().unwrap().type_());
            gst::PadProbeReturn::Ok
        });
        let qos = gst::event::Qos::builder(gst::QOSType::Underflow, 0.5, 10).build();
        rig.sink.push_event(qos);
        rig.sink.push_event(gst::event::Reconfigure::new());
        let came: Vec<_> = came.try_iter().collect();
        assert!(came.contains(&gst::EventType::Qos) && came.contains(&gst::EventType::Reconfigure), "{came:?}");
    });
}

#[test]
fn why_the_flow_stops_behind_eos_is_said() {
    completes_within(HANG, || {
        let (open, gate) = std::sync::mpsc::sync_channel::<()>(0);
        let gate = std::sync::Mutex::new(gate);
        // Downstream does not fail before EOS has come in.
        let rig = Rig::with_sink(filter(&ModelSet::golden()), move |sink| {
            sink.chain_function(move |_, _, _| {
                let _ = gate.lock().unwrap().recv();
                Err(gst::FlowError::Error)
            })
        });
        let info = info(VideoFormat::I420, 64, 48);
        rig.start(&info);
        rig.push(picture(&info, 0));
        assert!(rig.src.push_event(gst::event::Eos::new()));
        drop(open);
        let error = first_error(&rig.bus);
        assert!(error.contains("streaming stopped"), "{error}");
    });
}

/// Pixels that tell whether anybody still has them.
struct Pixels(Vec<u8>, #[expect(dead_code, reason = "it counts")] std::sync::Arc<()>);

impl AsMut<[u8]> for Pixels {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[test]
fn a_stop_lets_go_of_frames_whose_batch_waits_until_it_is_full() {
    completes_within(HANG, || {
        let (rig, info) = patient();
        let held = std::sync::Arc::new(());
        let pixels = Pixels(vec![0; info.size()], std::sync::Arc::clone(&held));
        let buffer = gst::Buffer::from_mut_slice(pixels);
        rig.push(buffer);
        rig.src.set_active(false).unwrap();
        rig.filter.set_state(gst::State::Ready).unwrap();
        let deadline = std::time::Instant::now() + HANG / 2;
        while std::sync::Arc::strong_count(&held) > 1 {
            assert!(std::time::Instant::now() < deadline, "the engine keeps a frame that nobody waits for");
            std::thread::yield_now();
        }
    });
}
