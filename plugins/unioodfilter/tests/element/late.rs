//! Late frames of a stream with tracks (`qos=true`): they go through unscored and in order, and tracks go on as if they had not been.

use std::{
    sync::{
        Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstuniood::{OodMeta, OodObject};
use uniood::{
    report::TrackReport,
    track::{LEAST_OBSERVATIONS, MOST_OBSERVATIONS, Track},
    verdict::{Reason, Scored, Verdict},
};

use crate::{
    following::{following, frame, rig},
    support::{HANG, Rig, completes_within, info},
};

/// From one frame to the next.
const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// Frames may be late, and all boxes are below the threshold.
const HURRIED: [(&str, &str); 2] = [("qos", "true"), ("ood-threshold", "2")];

/// The element with a tracker.
fn hurried(settings: &[(&str, &str)]) -> gst::Element {
    following(&[&HURRIED, settings].concat())
}

/// A rig whose stream has begun.
fn hurried_rig(settings: &[(&str, &str)]) -> (Rig, VideoInfo) {
    rig(&[&HURRIED, settings].concat())
}

/// A frame with so many things at rest.
fn at_rest(info: &VideoInfo, number: u64, things: usize) -> gst::Buffer {
    frame(info, number, &[(10, 10), (90, 60)][..things])
}

/// Downstream had frame `number` so late that the `more` behind it would come too late as well.
fn be_late(rig: &Rig, number: u64, more: u64) {
    let by = i64::try_from((FRAME * more).nseconds()).unwrap();
    rig.sink.push_event(gst::event::Qos::builder(gst::QOSType::Underflow, 1.5, by).timestamp(FRAME * number).build());
}

/// An object's track, whether it is called OOD, and how many observations say so; `None` in a late frame.
fn said(object: &OodObject) -> Option<(u64, bool, u32)> {
    match (&object.verdict, object.track) {
        (Verdict::Scored(Scored { ood, .. }), Some(Track { id, observations })) => Some((id, *ood, observations)),
        (Verdict::Unscored(Reason::Late), None) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn late_frames_go_through_in_order_and_tracks_go_on_behind_them() {
    completes_within(HANG, || {
        // Some, and more than a track outlives while it is looked for.
        for late in [3, 60] {
            let (rig, info) = hurried_rig(&[]);
            (0..3).for_each(|number| rig.push(at_rest(&info, number, 2)));
            be_late(&rig, 2, late);
            (3..6 + late).for_each(|number| rig.push(at_rest(&info, number, 2)));
            let metas: Vec<_> = rig.buffers().iter().map(|buffer| OodMeta::from_buffer(buffer).unwrap()).collect();
            assert!(metas.iter().map(|meta| meta.frame_id).eq(0..6 + late), "{late} late");
            for meta in &metas {
                let number = meta.frame_id;
                let is_late = (3..3 + late).contains(&number);
                assert_eq!(meta.unscored, is_late.then_some(Reason::Late), "frame {number}, {late} late");
                // Where upstream put them, also where nothing is said of them.
                assert!(meta.objects.iter().map(|object| object.region.unwrap().x).eq([10, 90]));
                let seen = if number < 3 + late { (number + 1).min(3) } else { number + 1 - late };
                let observations = u32::try_from(seen.min(MOST_OBSERVATIONS as u64)).unwrap();
                let wanted = [1_u64, 2].map(|id| (!is_late).then_some((id, observations >= LEAST_OBSERVATIONS, observations)));
                assert!(meta.objects.iter().map(said).eq(wanted), "frame {number}, {late} late: {:?}", meta.objects);
            }
            let stats: gst::Structure = rig.filter.property("stats");
            let unscored = stats.get::<gst::Structure>("unscored").unwrap();
            // Objects, where they are known.
            assert_eq!((stats.get::<u64>("frames"), unscored.get::<u64>("late")), (Ok(6 + late), Ok(2 * late)));
            assert_eq!(rig.bus.iter_filtered(&[gst::MessageType::Qos]).count() as u64, late);
        }
    });
}

#[test]
fn what_was_due_in_a_late_frame_is_made_up_for_in_the_next() {
    completes_within(HANG, || {
        for (settings, late, wanted) in [
            // In time, it would be scored in 0, 1, 2, 6 and 10.
            (vec![("reclassify-interval", "4")], 6, vec![0, 1, 2, 7, 11]),
            // In time, it would be looked for in 0, 3, 6 and 9, and scored in the first three of them.
            (vec![("detector", "frame"), ("inference-interval", "3"), ("reclassify-interval", "0")], 3, vec![0, 4, 7]),
        ] {
            let (rig, info) = hurried_rig(&settings);
            let mut encoded = Vec::new();
            for number in 0..12 {
                if number == late {
                    be_late(&rig, late - 1, 1);
                }
                rig.push(at_rest(&info, number, 1));
                let meta = OodMeta::from_buffer(&rig.buffer()).unwrap();
                if meta.timings.encode > Duration::ZERO {
                    encoded.push(number);
                }
                if number == late {
                    assert_eq!(meta.unscored, Some(Reason::Late));
                    assert!(meta.objects.iter().all(|object| said(object).is_none()));
                } else {
                    let observations = u32::try_from(encoded.len()).unwrap();
                    let ood = observations >= LEAST_OBSERVATIONS;
                    assert_eq!(meta.objects.iter().map(said).collect::<Vec<_>>(), [Some((1, ood, observations))], "frame {number}");
                }
            }
            assert_eq!(encoded, wanted, "{settings:?}");
            let stats: gst::Structure = rig.filter.property("stats");
            assert_eq!(stats.get::<gst::Structure>("unscored").unwrap().get::<u64>("late"), Ok(1));
        }
    });
}

#[test]
fn late_frames_neither_end_a_track_nor_count_as_its_own() {
    completes_within(HANG, || {
        let filter = hurried(&[("events", "tracks")]);
        let lines = filter.request_pad_simple("meta").unwrap();
        let (keep, kept) = sync_channel(100);
        let sink = gst::Pad::builder(gst::PadDirection::Sink)
            .chain_function(move |_, _, buffer| keep.send(buffer).map(|()| gst::FlowSuccess::Ok).map_err(|_| gst::FlowError::Error))
            .build();
        sink.set_active(true).unwrap();
        lines.link(&sink).unwrap();
        let (rig, info) = (Rig::new(filter), info(VideoFormat::I420, 160, 120));
        rig.start(&info);
        (0..3).for_each(|number| rig.push(at_rest(&info, number, 2)));
        be_late(&rig, 2, 40);
        (3..46).for_each(|number| rig.push(at_rest(&info, number, 2)));
        rig.buffers();
        let told = || {
            let line = kept.recv_timeout(HANG).unwrap();
            let line = line.map_readable().unwrap();
            let report: TrackReport<'_> = serde_json::from_slice(&line).unwrap();
            (report.event.into_owned(), report.id, report.frames, report.last.frame_id)
        };
        let told: Vec<_> = (0..4).map(|_| told()).collect();
        let event = |event: &str, id: u64, frames: u64, last: u64| (event.to_owned(), id, frames, last);
        assert_eq!(told, [event("start", 1, 3, 2), event("start", 2, 3, 2), event("end", 1, 6, 45), event("end", 2, 6, 45)]);
        rig.filter.release_request_pad(&lines);
    });
}

/// A rig whose sink hands over what comes, and keeps the first of it until the sender is dropped.
fn held(settings: &[(&str, &str)]) -> (Rig, VideoInfo, Receiver<gst::Buffer>, SyncSender<()>) {
    let (hand, came) = sync_channel(10);
    let (hold, held) = sync_channel(0);
    let held = Mutex::new(held);
    let rig = Rig::with_sink(hurried(settings), move |sink| {
        sink.chain_function(move |_, _, buffer| {
            hand.send(buffer).map_err(|_| gst::FlowError::Error)?;
            let _ = held.lock().unwrap().recv();
            Ok(gst::FlowSuccess::Ok)
        })
    });
    let info = info(VideoFormat::I420, 160, 120);
    rig.start(&info);
    (rig, info, came, hold)
}

#[test]
fn a_tracked_frame_that_becomes_late_in_the_engine_is_waited_for_and_another_is_not() {
    completes_within(HANG, || {
        for tracker in ["none", "sort"] {
            // Two objects are a batch; one alone waits for the end.
            let settings = [("tracker", tracker), ("batch-size", "2"), ("batch-timeout", "-1"), ("scheduling-policy", "throughput")];
            let (rig, info, came, hold) = held(&settings);
            rig.push(at_rest(&info, 0, 2));
            came.recv_timeout(HANG).unwrap();
            rig.push(at_rest(&info, 1, 1));
            be_late(&rig, 0, 9);
            drop(hold);
            let next = |wait| came.recv_timeout(wait).map(|buffer| OodMeta::from_buffer(&buffer).unwrap());
            if tracker == "none" {
                assert_eq!(next(HANG).unwrap().unscored, Some(Reason::Late));
            } else {
                assert!(next(Duration::from_millis(300)).is_err(), "it went without its score");
                assert!(rig.src.push_event(gst::event::Eos::new()));
                let meta = next(HANG).unwrap();
                assert_eq!((meta.unscored, said(&meta.objects[0])), (None, Some((1, false, 2))));
            }
        }
    });
}
