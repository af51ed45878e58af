//! What came in goes out in the same order, whatever the work behind it.

use gst::prelude::*;
use gst_video::{VideoFormat, VideoRegionOfInterestMeta};
use gstuniood::OodMeta;
use uniood::verdict::{Reason, Verdict};

use crate::support::{HANG, ModelSet, Out, Rig, completes_within, filter, info, picture, said};

/// A frame with `boxes` regions of interest.
fn with_boxes(info: &gst_video::VideoInfo, number: u64, boxes: u32) -> gst::Buffer {
    let mut buffer = picture(info, number);
    for index in 0..boxes {
        VideoRegionOfInterestMeta::add(buffer.make_mut(), "car", (3 * index, 2 * index, 20 + index, 30));
    }
    buffer
}

fn uneven(run: u64, number: u64) -> u32 {
    // 0 to 9 objects; most frames have few.
    [0, 0, 1, 9, 2, 0, 5, 1, 7, 3][usize::try_from((number * 7 + run * 3) % 10).unwrap()]
}

#[test]
fn order_is_kept_over_100_runs_of_uneven_work() {
    completes_within(4 * HANG, || {
        let set = ModelSet::golden();
        let filter = filter(&set);
        filter.set_property("detector", "upstream");
        filter.set_property("batch-size", 7_u32);
        let rig = Rig::new(filter);
        let info = info(VideoFormat::Rgb, 96, 64);
        for run in 0..100 {
            rig.start(&info);
            for number in 0..12 {
                rig.push(with_boxes(&info, number, uneven(run, number)));
            }
            let buffers = rig.buffers();
            let order: Vec<_> = buffers.iter().map(|buffer| buffer.pts().unwrap().mseconds() / 40).collect();
            assert_eq!(order, (0..12).collect::<Vec<_>>(), "run {run}");
            for (number, buffer) in (0..).zip(&buffers) {
                let meta = OodMeta::from_buffer(buffer).unwrap();
                assert_eq!(meta.frame_id, run * 12 + number);
                assert_eq!(meta.objects.len(), uneven(run, number) as usize, "run {run}, frame {number}");
                assert!(meta.objects.iter().all(|object| matches!(object.verdict, Verdict::Scored(_))));
            }
            assert!(rig.src.push_event(gst::event::FlushStart::new()));
            assert!(rig.src.push_event(gst::event::FlushStop::new(true)));
            while rig.out.try_recv().is_ok() {}
        }
    });
}

#[test]
fn a_batch_that_waits_until_it_is_full_does_not_stop_a_stream_without_objects() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let filter = filter(&set);
        filter.set_property("detector", "upstream");
        filter.set_property("batch-size", 16_u32);
        filter.set_property("batch-timeout", -1_i32);
        let rig = Rig::new(filter);
        let info = info(VideoFormat::Rgb, 96, 64);
        rig.start(&info);
        // One object, which never fills the batch, then more frames than may be in flight.
        for number in 0..100 {
            rig.push(with_boxes(&info, number, u32::from(number == 0)));
        }
        assert_eq!(rig.buffers().len(), 100);
    });
}

#[test]
fn bypass_lets_frames_through_marked_in_order_and_loses_none() {
    completes_within(2 * HANG, || {
        let set = ModelSet::golden();
        let filter = filter(&set);
        filter.set_property("detector", "upstream");
        filter.set_property("batch-size", 4_u32);
        filter.set_property_from_str("overload", "bypass");
        let rig = Rig::new(filter);
        let info = info(VideoFormat::Rgb, 96, 64);
        rig.start(&info);
        // Far more objects than can be scored while the frames come in.
        for number in 0..120 {
            rig.push(with_boxes(&info, number, 30));
        }
        let buffers = rig.buffers();
        let order: Vec<_> = buffers.iter().map(|buffer| buffer.pts().unwrap().mseconds() / 40).collect();
        assert_eq!(order, (0..120).collect::<Vec<_>>());
        let metas: Vec<_> = buffers.iter().map(|buffer| OodMeta::from_buffer(buffer).unwrap()).collect();
        let passed = metas.iter().filter(|meta| meta.unscored == Some(Reason::Overload)).count();
        assert!((1..120).contains(&passed), "{passed} of 120 went through unscored");
        for meta in &metas {
            assert_eq!(meta.objects.len(), 30, "upstream's boxes are known without the engine");
            assert_eq!(meta.unscored.is_some(), meta.error.is_some());
            assert!(meta.objects.iter().all(|object| (object.verdict == Verdict::Unscored(Reason::Overload)) == meta.unscored.is_some()));
        }
        let unscored = rig.filter.property::<gst::Structure>("stats").get::<gst::Structure>("unscored").unwrap();
        assert_eq!(unscored.get::<u64>("overload"), Ok(30 * passed as u64));
    });
}

#[test]
fn a_failed_model_run_marks_the_frame_and_warns_once() {
    completes_within(HANG, || {
        // Weights so large that the scores are no numbers.
        let set = ModelSet::written(|manifest, dir| {
            let path = manifest["combiner"].as_str().unwrap().to_owned();
            let mut bytes = std::fs::read(path).unwrap();
            let header = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
            for weight in bytes[header..].chunks_exact_mut(4) {
                weight.copy_from_slice(&3e38_f32.to_le_bytes());
            }
            std::fs::write(dir.join("combiner.safetensors"), bytes).unwrap();
            manifest["combiner"] = "combiner.safetensors".into();
        });
        let rig = Rig::new(filter(&set));
        let info = info(VideoFormat::Rgb, 96, 64);
        rig.start(&info);
        for number in 0..10 {
            rig.push(picture(&info, number));
        }
        let buffers = rig.buffers();
        assert_eq!(buffers.len(), 10);
        for buffer in &buffers {
            let meta = OodMeta::from_buffer(buffer).unwrap();
            assert_eq!(meta.unscored, Some(Reason::Error));
            assert!(meta.error.is_some());
        }
        let warnings: Vec<_> = rig.bus.iter_filtered(&[gst::MessageType::Warning]).map(|message| said(&message)).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("unscored"), "{warnings:?}");
        assert_eq!(rig.filter.property::<gst::Structure>("stats").get::<u64>("errors"), Ok(10));
    });
}

#[test]
fn a_buffer_that_is_too_small_goes_on_marked() {
    completes_within(HANG, || {
        let rig = Rig::new(filter(&ModelSet::golden()));
        let info = info(VideoFormat::I420, 96, 64);
        rig.start(&info);
        rig.push(gst::Buffer::from_slice([0_u8; 100]));
        rig.push(gst::Buffer::new());
        rig.push(picture(&info, 2));
        let metas: Vec<_> = rig.buffers().iter().map(|buffer| OodMeta::from_buffer(buffer).unwrap()).collect();
        assert_eq!(metas.iter().map(|meta| meta.unscored.is_some()).collect::<Vec<_>>(), [true, true, false]);
        assert!(metas[0].error.as_ref().unwrap().contains("100 bytes"), "{:?}", metas[0].error);
    });
}

#[test]
fn events_keep_their_place_between_frames() {
    completes_within(HANG, || {
        let rig = Rig::new(filter(&ModelSet::golden()));
        let (small, large) = (info(VideoFormat::I420, 64, 48), info(VideoFormat::Nv12, 98, 62));
        rig.start(&small);
        rig.push(picture(&small, 0));
        assert!(
            rig.src.push_event(
                gst::event::Gap::builder(gst::ClockTime::from_mseconds(40)).duration(gst::ClockTime::from_mseconds(40)).build()
            )
        );
        rig.push(picture(&small, 2));
        rig.caps(&large);
        rig.push(picture(&large, 3));
        let custom = gst::event::CustomDownstream::new(gst::Structure::new_empty("mark"));
        assert!(rig.src.push_event(custom));
        rig.push(picture(&large, 4));
        let seen: Vec<String> = rig
            .finish()
            .iter()
            .map(|out| match out {
                Out::Buffer(buffer) => format!("frame {}", buffer.pts().unwrap().mseconds() / 40),
                Out::Event(event) => event.type_().name().to_string(),
            })
            .collect();
        let wanted =
            ["stream-start", "caps", "segment", "frame 0", "gap", "frame 2", "caps", "frame 3", "custom-downstream", "frame 4", "eos"];
        assert_eq!(seen, wanted);
        assert_eq!(rig.sink.current_caps(), Some(large.to_caps().unwrap()));
    });
}
