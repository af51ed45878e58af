//! Objects followed from frame to frame: ids, smoothed verdicts, what is scored again, and where tracks break.

use std::time::Duration;

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta};
use gstuniood::{OodMeta, OodObject};
use uniood::{
    report::{FrameReport, TrackReport},
    track::{LEAST_OBSERVATIONS, MOST_OBSERVATIONS},
};

use crate::{
    following::{following, frame, rig},
    support::{
        HANG, Lines, ModelSet, Pipeline, Rig, completes_within, info, launch_settings, picture, refusal, said, scored, shown, stamped,
    },
};

/// What is said of a frame with regions at these places.
fn say(rig: &Rig, info: &VideoInfo, number: u64, places: &[(u32, u32)]) -> Vec<OodObject> {
    rig.push(frame(info, number, places));
    OodMeta::from_buffer(&rig.buffer()).unwrap().objects
}

fn ids(objects: &[OodObject]) -> Vec<u64> {
    objects.iter().map(|object| object.track.expect("it is followed").id).collect()
}

/// Whether it is called OOD, and how many observations say so.
fn verdict(object: &OodObject) -> (bool, u32) {
    (scored(&object.verdict).ood, object.track.expect("it is followed").observations)
}

#[test]
fn a_track_keeps_its_id_and_is_called_ood_from_the_third_observation_on() {
    completes_within(HANG, || {
        let (rig, info) = rig(&[("ood-threshold", "2")]);
        for number in 0..20 {
            let x = u32::try_from(number).unwrap();
            let objects = say(&rig, &info, number, &[(10 + x, 10), (100 - x, 70)]);
            assert_eq!(ids(&objects), [1, 2]);
            let observations = (u32::try_from(number).unwrap() + 1).min(u32::try_from(MOST_OBSERVATIONS).unwrap());
            for object in &objects {
                assert_eq!(verdict(object), (observations >= LEAST_OBSERVATIONS, observations), "frame {number}");
            }
        }
    });
}

#[test]
fn metadata_messages_lines_and_regions_name_the_track() {
    completes_within(HANG, || {
        let filter = following(&[("post-messages", "true")]);
        let lines = Lines::of(&filter);
        let (rig, info) = (Rig::new(filter), info(VideoFormat::I420, 160, 120));
        rig.start(&info);
        for number in 0..2 {
            rig.push(frame(&info, number, &[(10, 10)]));
            let buffer = rig.buffer();
            let object = OodMeta::from_buffer(&buffer).unwrap().objects.remove(0);
            let track = object.track.unwrap();
            assert_eq!((track.id, u64::from(track.observations)), (1, number + 1));
            let message = rig.bus.pop_filtered(&[gst::MessageType::Element]).unwrap();
            assert_eq!(OodMeta::from_message(&message).unwrap().objects, [object]);
            let region = buffer.iter_meta::<VideoRegionOfInterestMeta>().next().unwrap();
            assert_eq!(region.param("object_id").unwrap().get::<i32>("id"), Ok(1));
            let report: FrameReport<'_> = serde_json::from_slice(&lines.line()).unwrap();
            assert_eq!((report.objects[0].id, report.objects[0].ood.observations), (Some(1), Some(track.observations)));
        }
        rig.filter.release_request_pad(&lines.pad);
    });
}

#[test]
fn a_track_that_started_ends_at_a_break_and_at_the_end() {
    completes_within(HANG, || {
        let filter = following(&[("events", "tracks"), ("run-id", "monday")]);
        let lines = Lines::of(&filter);
        let (rig, info) = (Rig::new(filter), info(VideoFormat::I420, 160, 120));
        rig.start(&info);
        let next = || {
            let report: TrackReport<'_> = serde_json::from_slice(&lines.line()).unwrap();
            assert_eq!(report.run_id.as_deref(), Some("monday"));
            (report.event.into_owned(), report.id, report.frames, report.last.frame_id)
        };
        (0..4).for_each(|number| drop(say(&rig, &info, number, &[(10, 10)])));
        assert_eq!(next(), ("start".to_owned(), 1, 3, 2));
        assert!(rig.src.push_event(gst::event::FlushStart::new()) && rig.src.push_event(gst::event::FlushStop::new(true)));
        assert!(rig.src.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
        (4..7).for_each(|number| drop(say(&rig, &info, number, &[(10, 10)])));
        assert_eq!(next(), ("end".to_owned(), 1, 4, 3), "of before the flush");
        assert_eq!(next(), ("start".to_owned(), 2, 3, 6));
        assert!(rig.src.push_event(gst::event::Gap::builder(gst::ClockTime::SECOND).build()));
        assert_eq!(next(), ("end".to_owned(), 2, 3, 6));
        (7..10).for_each(|number| drop(say(&rig, &info, number, &[(10, 10)])));
        assert_eq!(next(), ("start".to_owned(), 3, 3, 9));
        assert!(rig.src.push_event(gst::event::Eos::new()));
        assert_eq!(next(), ("end".to_owned(), 3, 3, 9));
        rig.filter.release_request_pad(&lines.pad);
    });
}

#[test]
fn a_sink_of_lines_does_not_wait_for_a_track_that_never_comes() {
    completes_within(HANG, || {
        // Two scores: no track starts before the end.
        let set = ModelSet::golden();
        let pipeline = Pipeline::parse(&format!(
            "videotestsrc num-buffers=2 ! video/x-raw,width=160,height=120 ! unioodfilter name=f tracker=sort events=tracks {} ! \
             fakesink f.meta ! fakesink",
            launch_settings(&set)
        ));
        pipeline.play().unwrap();
    });
}

#[test]
fn what_is_not_scored_again_has_its_tracks_verdict_and_costs_nothing() {
    completes_within(HANG, || {
        for (interval, wanted) in [("0", vec![0, 1, 2]), ("4", vec![0, 1, 2, 6, 10]), ("1", (0..12).collect())] {
            let (rig, info) = rig(&[("reclassify-interval", interval)]);
            let mut encoded = Vec::new();
            let mut omega = None;
            for number in 0..12 {
                rig.push(frame(&info, number, &[(10, 10)]));
                let meta = OodMeta::from_buffer(&rig.buffer()).unwrap();
                if meta.timings.encode > Duration::ZERO {
                    encoded.push(number);
                }
                let now = scored(&meta.objects[0].verdict).omega;
                assert!((*omega.get_or_insert(now) - now).abs() < 1e-5, "one picture, one score");
            }
            assert_eq!(encoded, wanted, "reclassify-interval={interval}");
        }
    });
}

#[test]
fn a_break_in_the_stream_begins_new_tracks() {
    completes_within(HANG, || {
        type Break = fn(&Rig, &VideoInfo);
        let breaks: [(&str, Break); 5] = [
            ("flush", |rig, _| {
                assert!(rig.src.push_event(gst::event::FlushStart::new()) && rig.src.push_event(gst::event::FlushStop::new(true)));
                assert!(rig.src.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
            }),
            ("segment", |rig, _| {
                assert!(rig.src.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
            }),
            ("gap", |rig, _| {
                assert!(rig.src.push_event(gst::event::Gap::builder(gst::ClockTime::ZERO).duration(gst::ClockTime::SECOND).build()));
            }),
            ("another size", |rig, _| rig.caps(&info(VideoFormat::I420, 176, 120))),
            ("discontinuity", |_, _| ()),
        ];
        for (name, break_off) in breaks {
            let (rig, info_before) = rig(&[("ood-threshold", "2")]);
            (0..4).for_each(|number| assert_eq!(ids(&say(&rig, &info_before, number, &[(10, 10)])), [1], "{name}"));
            break_off(&rig, &info_before);
            let now = if name == "another size" { info(VideoFormat::I420, 176, 120) } else { info_before };
            let mut buffer = frame(&now, 4, &[(10, 10)]);
            if name == "discontinuity" {
                buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
            }
            rig.push(buffer);
            let objects = OodMeta::from_buffer(&rig.buffer()).unwrap().objects;
            assert_eq!((ids(&objects), verdict(&objects[0])), (vec![2], (false, 1)), "{name}");
        }
    });
}

#[test]
fn a_frame_that_goes_through_unscored_breaks_no_track() {
    completes_within(HANG, || {
        let (rig, info) = rig(&[("ood-threshold", "2")]);
        (0..3).for_each(|number| drop(say(&rig, &info, number, &[(10, 10)])));
        // Too short for a frame: it passes with an error.
        rig.push(gst::Buffer::from_mut_slice(vec![0; 10]));
        assert!(OodMeta::from_buffer(&rig.buffer()).unwrap().error.is_some());
        let objects = say(&rig, &info, 4, &[(12, 10)]);
        assert_eq!((ids(&objects), verdict(&objects[0])), (vec![1], (true, 4)));
    });
}

#[test]
fn between_detections_the_tracker_carries_the_boxes() {
    completes_within(HANG, || {
        let filter = following(&[("inference-interval", "3")]);
        filter.set_property("detector", "frame");
        let (rig, info) = (Rig::new(filter), info(VideoFormat::I420, 160, 120));
        rig.start(&info);
        for number in 0..9 {
            let objects = say(&rig, &info, number, &[]);
            assert_eq!(ids(&objects), [1], "frame {number}");
            let region = objects[0].region.unwrap();
            assert_eq!((region.x, region.y, region.w, region.h), (0, 0, 160, 120), "frame {number}");
        }
    });
}

#[test]
fn ids_of_a_tracker_upstream_are_kept() {
    completes_within(HANG, || {
        let (rig, info) = rig(&[]);
        for number in 0..4 {
            let mut buffer = frame(&info, number, &[]);
            // Each in the other's place, frame by frame.
            for (id, place) in [(31, number % 2), (32, (number + 1) % 2)] {
                let x = if place == 0 { 5 } else { 100 };
                let mut region = VideoRegionOfInterestMeta::add(buffer.make_mut(), "thing", (x, 20, 50, 40));
                region.add_param(gst::Structure::builder("object_id").field("id", id).build());
            }
            rig.push(buffer);
            let objects = OodMeta::from_buffer(&rig.buffer()).unwrap().objects;
            assert_eq!(ids(&objects), [31, 32]);
            assert_eq!(u64::from(objects[0].track.unwrap().observations), number + 1);
        }
    });
}

#[test]
fn thresholds_count_at_once_classes_begin_anew_and_the_tracker_may_come_and_go() {
    completes_within(HANG, || {
        let (rig, info) = rig(&[("ood-threshold", "2"), ("reclassify-interval", "0")]);
        let number = std::cell::Cell::new(0);
        let next = || {
            number.set(number.get() + 1);
            say(&rig, &info, number.get(), &[(10, 10)])
        };
        (0..5).for_each(|_| drop(next()));
        assert_eq!(verdict(&next()[0]), (true, 3));
        rig.filter.set_property("ood-threshold", -2.0);
        assert_eq!(verdict(&next()[0]), (false, 3), "no new score was needed");
        rig.filter.set_property("ood-threshold", 2.0);
        rig.filter.set_property("classes", "bus, raccoon");
        let objects = next();
        assert_eq!((ids(&objects), verdict(&objects[0])), (vec![1], (false, 1)));
        assert!(["bus", "raccoon"].contains(&&*scored(&objects[0].verdict).nearest));

        rig.filter.set_property_from_str("tracker", "none");
        let warning = rig.bus.pop_filtered(&[gst::MessageType::Warning]).expect("a warning");
        assert!(said(&warning).contains("reclassify-interval=0 needs a tracker"), "{}", said(&warning));
        assert_eq!(shown(&rig.filter, "tracker").to_lowercase(), "sort");
        rig.filter.set_property("reclassify-interval", 1_u32);
        rig.filter.set_property_from_str("tracker", "none");
        let objects = next();
        assert!(objects[0].track.is_none() && scored(&objects[0].verdict).ood, "every frame on its own");
        rig.filter.set_property_from_str("tracker", "iou");
        assert_eq!(ids(&next()), [2]);
    });
}

#[test]
fn intervals_that_nothing_could_keep_are_refused_at_start() {
    completes_within(HANG, || {
        for (settings, word) in [
            (vec![("detector", "frame"), ("tracker", "none"), ("inference-interval", "3")], "inference-interval=3 needs a tracker"),
            (vec![("tracker", "none"), ("reclassify-interval", "5")], "reclassify-interval=5 needs a tracker"),
            (vec![("inference-interval", "2")], "at the element that detects"),
        ] {
            let sentence = refusal(&following(&settings)).unwrap_or_else(|| panic!("{settings:?} were taken"));
            assert!(sentence.contains(word), "{sentence}");
        }
    });
}

#[test]
fn tracks_are_the_same_whatever_batches_they_are_scored_in() {
    completes_within(HANG, || {
        let run = |batch_size: &str, batch_timeout: &str| {
            let (rig, info) = rig(&[
                ("batch-size", batch_size),
                ("batch-timeout", batch_timeout),
                ("reclassify-interval", "3"),
                ("ood-threshold", "0.3"),
            ]);
            for number in 0..30 {
                let x = u32::try_from(number).unwrap() * 3;
                let mut buffer = stamped(picture(&info, number), number);
                for (x, y) in [(x, 10), (100 - x.min(100), 60), (40, 30)] {
                    VideoRegionOfInterestMeta::add(buffer.make_mut(), "thing", (x, y, 50, 40));
                }
                rig.push(buffer);
            }
            let said = rig.buffers().iter().map(|buffer| OodMeta::from_buffer(buffer).unwrap().objects).collect::<Vec<_>>();
            said.iter()
                .map(|objects| objects.iter().map(|object| (object.track, scored(&object.verdict).ood)).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        let one = run("1", "0");
        assert_eq!(one.len(), 30);
        assert_eq!(one, run("16", "10"));
        assert_eq!(one, run("7", "-1"));
    });
}
