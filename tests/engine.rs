//! The engine: every frame gets its own answer, whatever else shares its batch.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/engine.rs"]
mod engine;
#[path = "common/model_set.rs"]
mod model_set;

use std::{num::NonZero, sync::Arc, time::Duration};

use common::completes_within;
use engine::config;
use model_set::golden_set;
use ndarray::ArrayView3;
use uniood::{
    detect::Detection,
    encode::reference::Reference,
    engine::{Answer, Boxes, Engine, EngineConfig, FrameSettings, Job, Scope, Stream, Threads, Ticket, no_abort},
    frame::{FrameSource, Picture},
    geometry::{BBox, Rect},
    models::ModelSet,
    pair::{Background, Base, PairSpec, View, view, write_target},
    verdict::{Reason, Verdict},
};

const HANG: Duration = Duration::from_mins(1);

fn settings(engine: &Engine, change: impl FnOnce(&mut FrameSettings)) -> Arc<FrameSettings> {
    let mut settings = FrameSettings { keep_scores: true, ..engine::settings(engine) };
    change(&mut settings);
    Arc::new(settings)
}

fn boxes(count: u8) -> Boxes {
    let given = |index: u8| Detection {
        bbox: BBox { x: 3.0 + 7.0 * f32::from(index), y: 5.0 + 2.0 * f32::from(index), w: 40.0, h: 30.0 },
        confidence: 0.9 - 0.1 * f32::from(index),
        label: None,
    };
    Boxes::Given((0..count).map(given).collect())
}

fn picture(shade: u8) -> Picture {
    let (width, height) = (97, 61);
    let rgb = (0..width * height * 3).map(|i: u32| (i.wrapping_mul(u32::from(shade) + 11) >> 3).to_le_bytes()[0]).collect();
    Picture { width, height, rgb }
}

fn submit(stream: &Stream, shade: u8, boxes: Boxes, settings: &Arc<FrameSettings>) -> Ticket {
    let job = Job { frame: Arc::new(picture(shade)), boxes, settings: Arc::clone(settings), tracks: None };
    stream.submit(job, &no_abort()).unwrap()
}

/// Ω of every object, then of the frame.
fn omegas(answer: &Answer) -> Vec<Vec<f32>> {
    let scores = |verdict: &Verdict| match verdict {
        Verdict::Scored(scored) => scored.omegas.as_ref().unwrap().iter().map(|(_, omega)| *omega).collect(),
        Verdict::Unscored(reason) => panic!("unscored: {reason:?}, {:?}", answer.error),
    };
    answer.objects.iter().map(|object| scores(&object.verdict)).chain(answer.image.iter().map(scores)).collect()
}

#[track_caller]
fn assert_close(a: &[Vec<f32>], b: &[Vec<f32>]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn a_batch_of_many_frames_scores_each_object_as_a_batch_of_its_own_does() {
    let (_dir, set) = golden_set("quick_gelu_g7");
    completes_within(HANG, move || {
        let run = |batch_size| {
            let engine = Engine::open(&config(set.clone(), batch_size, None)).unwrap();
            let stream = engine.stream();
            let settings = settings(&engine, |_| {});
            let tickets: Vec<Ticket> = (0..9).map(|shade| submit(&stream, shade, boxes(shade % 4), &settings)).collect();
            stream.flush();
            tickets.into_iter().flat_map(|ticket| omegas(&ticket.wait().unwrap())).collect::<Vec<_>>()
        };
        let alone = run(1);
        assert_eq!(alone.len(), (0..9).map(|shade| shade % 4).sum::<usize>());
        assert_close(&alone, &run(7));
    });
}

/// Frames with up to three objects, their omegas one behind the other.
fn scored(set: &ModelSet, batch_size: usize, changes: &[&dyn Fn(&mut FrameSettings)]) -> Vec<Vec<f32>> {
    scored_by(&config(set.clone(), batch_size, None), changes)
}

fn scored_by(config: &EngineConfig, changes: &[&dyn Fn(&mut FrameSettings)]) -> Vec<Vec<f32>> {
    let engine = Engine::open(config).unwrap();
    let stream = engine.stream();
    let settings: Vec<_> = changes.iter().map(|change| settings(&engine, |settings| change(settings))).collect();
    let frame = |shade: u8| submit(&stream, shade, boxes(shade % 4), &settings[usize::from(shade) % settings.len()]);
    let tickets: Vec<Ticket> = (0..9).map(frame).collect();
    stream.flush();
    tickets.into_iter().flat_map(|ticket| omegas(&ticket.wait().unwrap())).collect()
}

fn shared(settings: &mut FrameSettings) {
    settings.approximation.background = Background::Shared;
}

#[test]
fn a_shared_background_does_not_depend_on_what_shares_the_batch_and_is_another_than_the_exact() {
    let (_dir, set) = golden_set("quick_gelu_g7");
    completes_within(HANG, move || {
        let alone = scored(&set, 1, &[&shared]);
        assert_close(&alone, &scored(&set, 7, &[&shared]));
        let exact = scored(&set, 7, &[&|_| {}]);
        assert!(alone.iter().flatten().zip(exact.iter().flatten()).any(|(a, b)| (a - b).abs() > 1e-5));
        // Frames of both kinds, one behind the other.
        let mixed = scored(&set, 7, &[&shared, &|_| {}]);
        let mut place = 0;
        for shade in 0..9_usize {
            for _ in 0..shade % 4 {
                let wanted = if shade % 2 == 0 { &alone } else { &exact };
                assert_close(&mixed[place..=place], &wanted[place..=place]);
                place += 1;
            }
        }
    });
}

#[test]
fn several_sessions_score_as_one_does() {
    let (_dir, set) = golden_set("quick_gelu_g7");
    completes_within(HANG, move || {
        let of = |sessions, change: &dyn Fn(&mut FrameSettings)| {
            let threads = Threads { encoder_sessions: NonZero::new(sessions), ..Threads::each(3) };
            scored_by(&EngineConfig { threads: Some(threads), ..config(set.clone(), 2, None) }, &[change])
        };
        assert_close(&of(3, &|_| {}), &of(1, &|_| {}));
        assert_close(&of(3, &shared), &of(1, &shared));
    });
}

#[test]
fn a_shared_background_is_the_plain_methods() {
    let (_dir, set) = golden_set("quick_gelu_g7");
    completes_within(HANG, move || {
        let reference = Reference::open(&set.clip_dir(), set.combiner_path().as_deref()).unwrap();
        let vocabulary = reference.vocabulary(&set.manifest.classes, &set.manifest.templates).unwrap();
        let vision = &set.clip.vision;
        let spec = PairSpec::new(vision.image_size, set.clip.image_mean);
        let found = scored(&set, 4, &[&shared]);
        let mut found = found.iter();
        for shade in 0..9 {
            let picture = picture(shade);
            let frame = picture.frame();
            let base = Base::new(&frame, &spec).unwrap();
            let encode = |levels: &[u8]| {
                let image = ArrayView3::from_shape((spec.size, spec.size, 3), levels).unwrap();
                reference.vision.encode(&image).unwrap()
            };
            let Boxes::Given(given) = boxes(shade % 4) else { unreachable!() };
            for detection in &given {
                let rect = Rect::cover(&detection.bbox, picture.width, picture.height).unwrap();
                let mut target = vec![0; spec.bytes()];
                write_target(&frame, rect, &spec, &mut target).unwrap();
                let View::Frame(own) = view(rect, picture.width, picture.height, vision.grid()) else { panic!("the boxes are small") };
                assert!(own.contains(&true) && own.contains(&false));
                let trace = reference.trace_shared(&encode(&target), &encode(base.whole()), &own, &vocabulary, given.len() > 1);
                assert_close(&[found.next().unwrap().clone()], &[trace.scores.omega.to_vec()]);
            }
        }
        assert!(found.next().is_none());
    });
}

#[test]
fn a_frame_that_is_its_own_object_has_the_exact_background_also_where_backgrounds_are_shared() {
    let (_dir, set) = golden_set("quick_gelu_g7");
    completes_within(HANG, move || {
        let engine = Engine::open(&config(set, 4, Some(Duration::ZERO))).unwrap();
        let stream = engine.stream();
        let of = |change: &dyn Fn(&mut FrameSettings)| {
            let settings = settings(&engine, |settings| change(settings));
            omegas(&submit(&stream, 3, Boxes::Detect, &settings).wait().unwrap())
        };
        assert_close(&of(&shared), &of(&|_| {}));
    });
}

#[test]
fn a_shortlist_longer_than_the_list_changes_nothing_and_a_shorter_one_leaves_its_classes() {
    let (_dir, set) = golden_set("quick_gelu_g7");
    completes_within(HANG, move || {
        let exact = scored(&set, 7, &[&|_| {}]);
        let count = |count: usize| move |settings: &mut FrameSettings| settings.approximation.shortlist = NonZero::new(count);
        assert_eq!(scored(&set, 7, &[&count(5)]), exact);
        assert_eq!(scored(&set, 7, &[&count(100)]), exact);
        for background in [false, true] {
            let short = move |settings: &mut FrameSettings| {
                count(2)(settings);
                if background {
                    shared(settings);
                }
            };
            let (found, alone) = (scored(&set, 7, &[&short]), scored(&set, 1, &[&short]));
            assert!(found.iter().all(|scores| scores.len() == 2), "scores are of the listed classes alone");
            assert_close(&found, &alone);
            let all = if background { scored(&set, 7, &[&shared]) } else { exact.clone() };
            for (few, all) in found.iter().zip(&all) {
                assert!(few.iter().all(|omega| all.iter().any(|other| (omega - other).abs() < 1e-5)));
            }
        }
    });
}

#[test]
fn plain_clip_has_nothing_to_leave_out() {
    let (_dir, set) = golden_set("quick_gelu_g7");
    let mut set = set;
    set.manifest.combiner = None;
    completes_within(HANG, move || {
        let short = |settings: &mut FrameSettings| {
            shared(settings);
            settings.approximation.shortlist = NonZero::new(1);
        };
        assert_eq!(scored(&set, 7, &[&short]), scored(&set, 7, &[&|_| {}]));
    });
}

#[test]
fn another_class_list_closes_the_batch_and_no_frame_mixes_two() {
    let (_dir, set) = golden_set("quick_gelu_g7");
    completes_within(HANG, move || {
        let engine = Engine::open(&config(set, 16, None)).unwrap();
        let stream = engine.stream();
        let all = settings(&engine, |_| {});
        let two = settings(&engine, |settings| settings.vocabulary = engine.vocabulary(&["bus", "raccoon"]).unwrap());
        let tickets: Vec<Ticket> = (0..6).map(|shade| submit(&stream, shade, boxes(2), if shade % 2 == 0 { &all } else { &two })).collect();
        stream.flush();
        let counts: Vec<usize> = tickets.into_iter().map(|ticket| omegas(&ticket.wait().unwrap())[1].len()).collect();
        assert_eq!(counts, [5, 2, 5, 2, 5, 2]);
    });
}

#[test]
fn beyond_max_objects_the_most_confident_are_scored_and_order_is_kept() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    completes_within(HANG, move || {
        let engine = Engine::open(&config(set, 4, Some(Duration::ZERO))).unwrap();
        let stream = engine.stream();
        let settings = settings(&engine, |settings| settings.selection.max_objects = 2);
        let Boxes::Given(mut given) = boxes(4) else { unreachable!() };
        given.reverse();
        let answer = submit(&stream, 1, Boxes::Given(given.clone()), &settings).wait().unwrap();
        let scored: Vec<bool> = answer.objects.iter().map(|object| matches!(object.verdict, Verdict::Scored(_))).collect();
        assert_eq!(scored, [false, false, true, true]);
        assert_eq!(answer.objects[0].verdict, Verdict::Unscored(Reason::MaxObjects));
        assert_eq!(answer.objects.iter().map(|object| object.detection.clone()).collect::<Vec<_>>(), given);
    });
}

#[test]
fn image_scope_takes_the_most_confident_box_alone_and_an_empty_frame_whole() {
    let (_dir, set) = golden_set("quick_gelu_g7");
    completes_within(HANG, move || {
        let engine = Engine::open(&config(set, 4, Some(Duration::ZERO))).unwrap();
        let stream = engine.stream();
        let object = settings(&engine, |_| {});
        let image = settings(&engine, |settings| settings.scope = Scope::Image);
        let both = settings(&engine, |settings| settings.scope = Scope::Both);
        let sole = omegas(&submit(&stream, 1, boxes(1), &object).wait().unwrap());
        let answer = submit(&stream, 1, boxes(3), &image).wait().unwrap();
        assert!(answer.objects.is_empty());
        assert_close(&omegas(&answer), &sole);
        let whole = omegas(&submit(&stream, 1, Boxes::Detect, &object).wait().unwrap());
        assert_close(&omegas(&submit(&stream, 1, boxes(0), &image).wait().unwrap()), &whole);
        let answer = submit(&stream, 1, boxes(2), &both).wait().unwrap();
        assert_eq!((answer.objects.len(), answer.image.is_some()), (2, true));
        assert_close(&omegas(&answer)[2..], &sole);
    });
}

#[test]
fn a_frame_without_objects_is_answered_at_once() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    completes_within(HANG, move || {
        let engine = Engine::open(&config(set, 16, None)).unwrap();
        let stream = engine.stream();
        let settings = settings(&engine, |_| {});
        let held = submit(&stream, 1, boxes(1), &settings);
        let empty = submit(&stream, 2, boxes(0), &settings).wait().unwrap();
        assert!(empty.objects.is_empty() && empty.error.is_none());
        stream.flush();
        assert_eq!(held.wait().unwrap().objects.len(), 1);
    });
}

#[test]
fn an_engine_with_an_open_batch_and_dropped_tickets_ends() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    completes_within(HANG, move || {
        let engine = Engine::open(&config(set, 16, None)).unwrap();
        let stream = engine.stream();
        let settings = settings(&engine, |_| {});
        let waiting = submit(&stream, 1, boxes(2), &settings);
        drop(submit(&stream, 2, boxes(2), &settings));
        drop((stream, engine));
        assert_eq!(waiting.wait().unwrap().objects.len(), 2, "what was submitted before is still answered");
    });
}

#[test]
fn an_answer_comes_after_the_engine_let_the_pixels_go() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    completes_within(HANG, move || {
        let engine = Engine::open(&config(set, 3, Some(Duration::ZERO))).unwrap();
        let stream = engine.stream();
        let settings = settings(&engine, |_| {});
        for count in 0..4 {
            let frame = Arc::new(Picture { width: 20, height: 20, rgb: vec![7; 1200] });
            let job = Job { frame: frame.clone(), boxes: boxes(count), settings: settings.clone(), tracks: None };
            stream.submit(job, &no_abort()).unwrap().wait().unwrap();
            assert_eq!(Arc::strong_count(&frame), 1, "{count} boxes");
        }
    });
}

#[test]
fn an_engine_that_nobody_waits_for_leaves_its_batches() {
    let (_dir, set) = golden_set("quick_gelu_g7");
    completes_within(HANG, move || {
        let engine = Engine::open(&config(set, 1024, None)).unwrap();
        let stream = engine.stream();
        let settings = settings(&engine, |_| {});
        let whole = submit(&stream, 0, boxes(4), &settings);
        stream.flush();
        let one = std::time::Instant::now();
        whole.wait().unwrap();
        let one = one.elapsed();
        // Two hundred times that work is under way when the engine goes.
        for shade in 0..200 {
            drop(submit(&stream, shade, boxes(4), &settings));
        }
        stream.flush();
        let dropped = std::time::Instant::now();
        drop((stream, engine));
        assert!(dropped.elapsed() < one * 100 + Duration::from_secs(1), "{:?}", dropped.elapsed());
    });
}
