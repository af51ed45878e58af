//! Elements with one `model-instance-id`: one engine, and none harms another.

use gst::prelude::*;
use gst_video::VideoFormat;
use gstuniood::OodMeta;
use uniood::verdict::Verdict;

use crate::support::{HANG, ModelSet, Pipeline, Rig, completes_within, filter, info, init, launch_settings, picture, refusal};

/// The element as [`filter`] makes it, sharing its engine under `id`.
fn shared(set: &ModelSet, name: &str, id: &str) -> gst::Element {
    let shared = filter(set);
    shared.set_property("model-instance-id", id);
    shared.set_property("stream-id", name);
    shared
}

#[test]
fn frames_of_two_elements_share_a_batch() {
    init();
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let info = info(VideoFormat::I420, 64, 48);
        let rigs = ["one", "two"].map(|name| {
            let shared = shared(&set, name, "batch");
            // It closes when it is full, which one element's frame does not make it.
            shared.set_property("batch-size", 2_u32);
            shared.set_property("batch-timeout", -1_i32);
            let rig = Rig::new(shared);
            rig.start(&info);
            rig
        });
        for (number, rig) in (0..).zip(&rigs) {
            rig.push(picture(&info, number));
        }
        for rig in &rigs {
            let meta = OodMeta::from_buffer(&rig.buffer()).unwrap();
            assert!(matches!(meta.objects[0].verdict, Verdict::Scored(_)));
        }
    });
}

#[test]
fn settings_that_conflict_under_one_id_name_both_values_and_both_streams() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let first = Rig::new(shared(&set, "front", "gate"));
        let second = shared(&set, "back", "gate");
        second.set_property("batch-size", 8_u32);
        let sentence = refusal(&second).expect("one engine has one batch-size");
        assert!(sentence.contains("batch-size is 8 in `back` and 16 in `front`"), "{sentence}");

        // What is a stream's own may differ.
        second.set_property("batch-size", 16_u32);
        second.set_property("classes", "bus,raccoon");
        second.set_property("ood-threshold", 0.9);
        let second = Rig::new(second);
        let info = info(VideoFormat::I420, 64, 48);
        for rig in [&first, &second] {
            rig.start(&info);
            rig.push(picture(&info, 0));
            assert_eq!(rig.buffers().len(), 1);
        }
    });
}

#[test]
fn the_engine_of_an_id_goes_with_its_last_element_and_may_then_be_another() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        for batch_size in [4_u32, 8] {
            let filter = shared(&set, "only", "again");
            filter.set_property("batch-size", batch_size);
            let rig = Rig::new(filter);
            let info = info(VideoFormat::I420, 64, 48);
            rig.start(&info);
            rig.push(picture(&info, 0));
            assert_eq!(rig.buffers().len(), 1);
        }
    });
}

#[test]
fn elements_come_and_go_50_times_while_others_play() {
    completes_within(3 * HANG, || {
        init();
        let set = ModelSet::golden();
        let settings = format!("{} model-instance-id=street batch-size=8", launch_settings(&set));
        let source = "videotestsrc is-live=true ! video/x-raw,width=96,height=64,framerate=100/1";
        let line = ["a", "b"].map(|name| format!("{source} ! identity name=in-{name} ! unioodfilter {settings} ! fakesink name={name} "));
        let pipeline = Pipeline::parse(&line.concat());
        let entered = ["in-a", "in-b"].map(|name| pipeline.keep(name));
        let left = ["a", "b"].map(|name| pipeline.keep(name));
        pipeline.reach(gst::State::Playing);
        let mut random = 11_u32;
        let mut below = |bound: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % bound
        };
        for turn in 0..50 {
            // A random moment: so many of the others' frames later.
            let until = left[0].lock().unwrap().len() + below(6) as usize;
            while left[0].lock().unwrap().len() < until {
                std::thread::yield_now();
            }
            let guest = format!("{source} ! unioodfilter {settings} ! fakesink name=guest");
            let guest = gst::parse::bin_from_description(&guest, false).unwrap();
            pipeline.0.add(&guest).unwrap();
            guest.sync_state_with_parent().unwrap();
            if below(2) == 0 {
                let pad = guest.by_name("guest").unwrap().static_pad("sink").unwrap();
                let (came, first) = std::sync::mpsc::sync_channel(1);
                pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                    let _ = came.try_send(());
                    gst::PadProbeReturn::Ok
                });
                first.recv_timeout(HANG).unwrap_or_else(|_| panic!("guest {turn} gets no frame"));
            }
            // Else the pipeline, which a new sink made wait, may set it to playing again.
            guest.set_locked_state(true);
            guest.set_state(gst::State::Null).unwrap();
            pipeline.0.remove(&guest).unwrap();
        }
        let error = pipeline.0.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
        assert!(error.is_none(), "{error:?}");
        for source in pipeline.0.iterate_sources() {
            source.unwrap().send_event(gst::event::Eos::new());
        }
        let eos = pipeline.0.bus().unwrap().timed_pop_filtered(gst::ClockTime::try_from(HANG).unwrap(), &[gst::MessageType::Eos]);
        assert!(eos.is_some(), "the others play on to their end");
        for (entered, left) in entered.iter().zip(&left) {
            let times = |kept: &std::sync::Mutex<Vec<gst::Buffer>>| {
                kept.lock().unwrap().iter().map(|buffer| buffer.pts().unwrap()).collect::<Vec<_>>()
            };
            assert_eq!(times(entered), times(left), "every frame, in order");
            for buffer in &*left.lock().unwrap() {
                let meta = OodMeta::from_buffer(buffer).unwrap();
                assert_eq!((meta.unscored, meta.objects.len()), (None, 1));
            }
        }
    });
}
