//! What is said of a frame: on the buffer, on the bus, as a JSON line.

use gst::prelude::*;
use gst_video::{VideoFormat, VideoRegionOfInterestMeta};
use gstuniood::{OodMeta, Region};
use serde_json::Value;
use uniood::verdict::Verdict;

use crate::support::{HANG, Lines, ModelSet, Out, Pipeline, Rig, completes_within, filter, info, launch_settings, picture, scored};

const fn region(x: u32, y: u32, w: u32, h: u32) -> Region {
    Region { x, y, w, h }
}

#[test]
fn verdicts_survive_queue_videoconvert_and_videoscale_and_their_regions_are_scaled() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let line = format!(
            "videotestsrc num-buffers=4 ! video/x-raw,format=I420,width=320,height=240 ! unioodfilter name=f {} ! queue ! videoconvert ! videoscale ! \
             video/x-raw,format=BGRx,width=160,height=60 ! fakesink name=end",
            launch_settings(&set)
        );
        let pipeline = Pipeline::parse(&line);
        let kept = pipeline.keep("end");
        pipeline.play().unwrap();
        let buffers = kept.lock().unwrap();
        assert_eq!(buffers.len(), 4);
        for (number, buffer) in (0..).zip(buffers.iter()) {
            let meta = OodMeta::from_buffer(buffer).expect("the custom meta is still there");
            assert_eq!((&*meta.stream_id, meta.frame_id, &*meta.model), ("f", number, "golden"));
            assert_eq!(meta.objects.len(), 1);
            assert_eq!(meta.objects[0].region, Some(region(0, 0, 160, 60)));
            assert!(matches!(meta.objects[0].verdict, Verdict::Scored(_)));
            assert_eq!(buffer.iter_meta::<VideoRegionOfInterestMeta>().count(), 1);
        }
    });
}

#[test]
fn boxes_from_upstream_are_scored_and_not_doubled() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let filter = filter(&set);
        filter.set_property("detector", "upstream");
        filter.set_property("max-objects", 2_u32);
        let rig = Rig::new(filter);
        let info = info(VideoFormat::Rgb, 320, 240);
        rig.start(&info);
        let mut buffer = picture(&info, 0);
        for (name, rect, confidence) in [("bus", (10, 20, 50, 60), 0.5), ("dog", (100, 90, 30, 30), 0.9), ("cup", (200, 90, 40, 80), 0.8)] {
            let mut region = VideoRegionOfInterestMeta::add(buffer.make_mut(), name, rect);
            region.add_param(gst::Structure::builder("detection").field("confidence", confidence).field("label_id", 4_i32).build());
        }
        // Outside the frame: not scored, and left where it is.
        VideoRegionOfInterestMeta::add(buffer.make_mut(), "ghost", (400, 0, 20, 20));
        rig.push(buffer);
        let buffer = rig.buffer();
        let meta = OodMeta::from_buffer(&buffer).unwrap();
        let names: Vec<_> = meta.objects.iter().map(|object| object.label.as_ref().unwrap().name.to_string()).collect();
        assert_eq!(names, ["bus", "dog", "cup"]);
        assert_eq!(meta.objects[1].region, Some(region(100, 90, 30, 30)));
        let scored: Vec<_> = meta.objects.iter().map(|object| matches!(object.verdict, Verdict::Scored(_))).collect();
        assert_eq!(scored, [false, true, true], "the most confident are scored");
        let types: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().map(|region| region.roi_type().to_owned()).collect();
        assert_eq!(types, ["bus", "dog", "cup", "ghost"]);
    });
}

#[test]
fn a_message_a_frame_says_what_the_buffer_says() {
    completes_within(HANG, || {
        let filter = filter(&ModelSet::golden());
        filter.set_property("post-messages", true);
        filter.set_property("stream-id", "cam-7");
        filter.set_property("keep-scores", true);
        filter.set_property_from_str("scope", "both");
        let rig = Rig::new(filter);
        let info = info(VideoFormat::Nv12, 97, 61);
        rig.start(&info);
        for number in 0..3 {
            rig.push(picture(&info, number));
        }
        let buffers = rig.buffers();
        let messages: Vec<_> = rig.bus.iter_filtered(&[gst::MessageType::Element]).collect();
        assert_eq!(messages.len(), 3);
        for (message, buffer) in messages.iter().zip(&buffers) {
            assert_eq!(message.src(), Some(rig.filter.upcast_ref()));
            let said = OodMeta::from_message(message).unwrap();
            assert_eq!(said.timestamp, buffer.pts());
            assert_eq!(&*said.stream_id, "cam-7");
            assert!(said.image.is_some());
            let scored = scored(&said.objects[0].verdict);
            assert_eq!(scored.omegas.as_ref().unwrap().len(), 5);
            assert_eq!(scored.cosines.as_ref().unwrap().len(), 5);
            assert_eq!(said, OodMeta { timestamp: buffer.pts(), ..OodMeta::from_buffer(buffer).unwrap() });
        }
    });
}

fn lines(buffers: &[gst::Buffer]) -> Vec<Value> {
    let parse = |buffer: &gst::Buffer| {
        let map = buffer.map_readable().unwrap();
        let text = std::str::from_utf8(&map).unwrap();
        assert!(text.ends_with('\n') && text.matches('\n').count() == 1, "one line a buffer: {text}");
        serde_json::from_str(text).unwrap()
    };
    buffers.iter().map(parse).collect()
}

#[test]
fn the_meta_pad_gives_a_line_a_frame_in_order_with_the_frames_timestamps() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let line = format!(
            "videotestsrc num-buffers=30 ! video/x-raw,width=96,height=64,framerate=30/1 ! unioodfilter name=f {} ! fakesink name=video sync=true \
             f.meta ! application/json ! fakesink name=lines sync=true",
            launch_settings(&set)
        );
        let pipeline = Pipeline::parse(&line);
        let (frames, kept) = (pipeline.keep("video"), pipeline.keep("lines"));
        pipeline.play().unwrap();
        let (frames, kept) = (frames.lock().unwrap(), kept.lock().unwrap());
        assert_eq!((frames.len(), kept.len()), (30, 30));
        for ((number, line), (frame, buffer)) in (0..).zip(lines(&kept)).zip(frames.iter().zip(kept.iter())) {
            assert_eq!((buffer.pts(), buffer.duration()), (frame.pts(), frame.duration()));
            assert_eq!(line["schema"], "uniood.frame/1");
            assert_eq!(line["frame_id"], number);
            assert_eq!(line["stream_id"], "f");
            assert_eq!(line["timestamp"], frame.pts().unwrap().nseconds());
            assert_eq!(line["resolution"]["width"], 96);
            assert_eq!(line["objects"][0]["ood"]["model"]["name"], "golden");
            let said = OodMeta::from_buffer(frame).unwrap();
            let scored = scored(&said.objects[0].verdict);
            let omega = line["objects"][0]["ood"]["omega"].as_f64().unwrap();
            assert!((omega - f64::from(scored.omega)).abs() < 1e-6);
            assert_eq!(line["objects"][0]["ood"]["label"], if scored.ood { "ood" } else { "id" });
        }
    });
}

#[test]
fn the_meta_pad_sends_its_own_stream_start_caps_segment_and_eos() {
    completes_within(HANG, || {
        let filter = filter(&ModelSet::golden());
        let lines = Lines::of(&filter);
        let rig = Rig::new(filter);
        let info = info(VideoFormat::I420, 64, 48);
        rig.start(&info);
        rig.push(picture(&info, 0));
        rig.push(picture(&info, 1));
        rig.finish();
        let next = || match lines.out.recv_timeout(HANG).unwrap() {
            Out::Buffer(_) => "line".to_owned(),
            Out::Event(event) => event.type_().name().to_string(),
        };
        let seen: Vec<String> = (0..6).map(|_| next()).collect();
        assert_eq!(seen, ["stream-start", "caps", "segment", "line", "line", "eos"]);
        rig.filter.release_request_pad(&lines.pad);
        assert!(rig.filter.static_pad("meta").is_none());
    });
}

#[test]
fn the_meta_pad_may_stay_unlinked_and_come_late() {
    completes_within(HANG, || {
        let rig = Rig::new(filter(&ModelSet::golden()));
        let info = info(VideoFormat::I420, 64, 48);
        rig.start(&info);
        rig.push(picture(&info, 0));
        rig.buffer();
        let pad = rig.filter.request_pad_simple("meta").unwrap();
        for number in 1..600 {
            rig.push(picture(&info, number));
        }
        assert_eq!(rig.buffers().len(), 599);
        rig.filter.release_request_pad(&pad);
    });
}

#[test]
fn the_lines_may_be_all_that_is_wanted_and_outlast_the_video() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        for video in ["", "! fakesink name=video num-buffers=3"] {
            let line = format!(
                "videotestsrc num-buffers=30 ! video/x-raw,width=96,height=64 ! unioodfilter name=f {} {video} f.meta ! fakesink name=lines",
                launch_settings(&set)
            );
            let pipeline = Pipeline::parse(&line);
            let kept = pipeline.keep("lines");
            pipeline.play().unwrap();
            assert_eq!(lines(&kept.lock().unwrap()).len(), 30, "{video}");
        }
    });
}
