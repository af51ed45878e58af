//! Many streams through one engine: fair, and none harms another.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/engine.rs"]
mod engine;
#[path = "common/model_set.rs"]
mod model_set;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use common::completes_within;
use engine::config;
use model_set::golden_set;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use uniood::{
    Error,
    detect::{Detection, Selection},
    engine::{Boxes, Engine, EngineConfig, FrameSettings, Job, Scheduling, Stream, Ticket, no_abort},
    frame::{Frame, FrameSource, Picture},
    geometry::BBox,
    verdict::Verdict,
};

const HANG: Duration = Duration::from_mins(2);

fn settings(engine: &Engine) -> Arc<FrameSettings> {
    let selection = Selection { max_objects: 1000, ..Selection::default() };
    Arc::new(FrameSettings { selection, ..engine::settings(engine) })
}

/// What happens to frames, in the engine's own order: nothing here depends on when a test's thread is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Submitted,
    Detected,
    /// The engine lets go of the pixels just before it answers.
    Answered,
}

type Log = Arc<Mutex<Vec<(char, usize, Event)>>>;

/// A frame that tells what happens to it.
struct Told {
    picture: Picture,
    stream: char,
    number: usize,
    log: Log,
    seen: AtomicBool,
}

impl FrameSource for Told {
    fn frame(&self) -> Frame<'_> {
        if !self.seen.swap(true, Ordering::Relaxed) {
            self.log.lock().unwrap().push((self.stream, self.number, Event::Detected));
        }
        self.picture.frame()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.log.lock().unwrap().push((self.stream, self.number, Event::Answered));
    }
}

fn picture() -> Picture {
    Picture { width: 40, height: 30, rgb: (0..3600_u32).map(|at| (at.wrapping_mul(77) >> 3).to_le_bytes()[0]).collect() }
}

fn boxes(count: usize) -> Boxes {
    let given = Detection { bbox: BBox { x: 3.0, y: 5.0, w: 20.0, h: 18.0 }, confidence: 0.9, label: None };
    Boxes::Given(vec![given; count])
}

fn told(stream: char, number: usize, objects: usize, settings: &Arc<FrameSettings>, log: &Log) -> Job {
    let frame = Told { picture: picture(), stream, number, log: Arc::clone(log), seen: AtomicBool::new(false) };
    Job { frame: Arc::new(frame), boxes: boxes(objects), settings: Arc::clone(settings), tracks: None }
}

fn plain(objects: usize, settings: &Arc<FrameSettings>) -> Job {
    Job { frame: Arc::new(picture()), boxes: boxes(objects), settings: Arc::clone(settings), tracks: None }
}

fn all_answered(tickets: Vec<Ticket>) {
    for ticket in tickets {
        ticket.wait().unwrap();
    }
}

/// Where something happened in the log.
#[track_caller]
fn place(log: &[(char, usize, Event)], what: (char, usize, Event)) -> usize {
    log.iter().position(|entry| *entry == what).unwrap_or_else(|| panic!("{what:?} did not happen"))
}

#[test]
fn a_crowded_stream_does_not_starve_a_quiet_one() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    completes_within(HANG, move || {
        let engine = Engine::open(&config(set, 4, Some(Duration::from_millis(5)))).unwrap();
        let settings = settings(&engine);
        let log = Log::default();
        let stop = Arc::new(AtomicBool::new(false));
        // Every frame of the crowd is 15 batches of its own, and there are always more of them.
        let crowd = {
            let (stream, settings, log, stop) = (engine.stream(), Arc::clone(&settings), Arc::clone(&log), Arc::clone(&stop));
            thread::Builder::new()
                .spawn(move || {
                    let mut waiting = VecDeque::new();
                    for number in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        waiting.push_back(stream.submit(told('c', number, 60, &settings, &log), &no_abort()).unwrap());
                        if waiting.len() > 8 {
                            waiting.pop_front().unwrap().wait().unwrap();
                        }
                    }
                })
                .unwrap()
        };
        let quiet = engine.stream();
        while !log.lock().unwrap().iter().any(|(stream, ..)| *stream == 'c') {
            thread::yield_now();
        }
        for number in 0..60 {
            let ticket = quiet.submit(told('q', number, 1, &settings, &log), &no_abort()).unwrap();
            log.lock().unwrap().push(('q', number, Event::Submitted));
            assert_eq!(ticket.wait().unwrap().objects.len(), 1);
        }
        stop.store(true, Ordering::Relaxed);
        crowd.join().unwrap();

        let log = log.lock().unwrap();
        let crowds = |from: usize, to: usize| {
            log[from..to.max(from)].iter().filter(|(of, _, event)| *of == 'c' && *event == Event::Answered).count()
        };
        let waited: Vec<usize> = (0..60)
            .map(|number| crowds(place(&log, ('q', number, Event::Submitted)), place(&log, ('q', number, Event::Answered))))
            .collect();
        // A batch that runs, one that is ready, one open: 12 objects of the crowd, less than one of its frames.
        assert!(waited.iter().all(|crowds| *crowds <= 1), "{waited:?}");
        assert!(crowds(0, place(&log, ('q', 59, Event::Answered))) >= 2, "there was no crowd");
    });
}

#[test]
fn streams_come_and_go_50_times_and_no_frame_of_another_is_lost_late_or_out_of_order() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    completes_within(2 * HANG, move || {
        let engine = Engine::open(&config(set, 8, Some(Duration::from_millis(5)))).unwrap();
        let settings = settings(&engine);
        let log = Log::default();
        let done = Arc::new(AtomicBool::new(false));
        let steady: Vec<_> = ['a', 'b']
            .into_iter()
            .map(|name| {
                let (stream, settings, log, done) = (engine.stream(), Arc::clone(&settings), Arc::clone(&log), Arc::clone(&done));
                thread::Builder::new()
                    .spawn(move || {
                        let mut waiting = VecDeque::new();
                        let mut number = 0;
                        while !done.load(Ordering::Relaxed) || !waiting.is_empty() {
                            if !done.load(Ordering::Relaxed) {
                                waiting.push_back((
                                    number % 4,
                                    stream.submit(told(name, number, number % 4, &settings, &log), &no_abort()).unwrap(),
                                ));
                                number += 1;
                            }
                            if (waiting.len() > 5 || done.load(Ordering::Relaxed))
                                && let Some((objects, ticket)) = waiting.pop_front()
                            {
                                let answer = ticket.wait().unwrap();
                                assert_eq!((answer.error, answer.objects.len()), (None, objects));
                                assert!(answer.objects.iter().all(|object| matches!(object.verdict, Verdict::Scored(_))));
                            }
                        }
                        number
                    })
                    .unwrap()
            })
            .collect();
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut below = |bound: u32| random.next_u32() % bound;
        for _ in 0..50 {
            // A random moment: so many of the others' frames later.
            let seen = log.lock().unwrap().len() + below(12) as usize;
            while log.lock().unwrap().len() < seen {
                thread::yield_now();
            }
            let stream = engine.stream();
            if below(2) == 0 {
                stream.set_scheduling(Scheduling::Latency);
            }
            let mut tickets: Vec<_> =
                (0..below(5)).map(|_| stream.submit(plain(below(20) as usize, &settings), &no_abort()).unwrap()).collect();
            match below(4) {
                0 => all_answered(tickets),
                1 => stream.flush(),
                2 => {
                    tickets.truncate(1);
                    drop(stream);
                    all_answered(tickets);
                }
                _ => drop(stream),
            }
        }
        done.store(true, Ordering::Relaxed);
        let submitted: Vec<usize> = steady.into_iter().map(|steady| steady.join().unwrap()).collect();
        let log = log.lock().unwrap();
        for (name, submitted) in ['a', 'b'].into_iter().zip(submitted) {
            let of = |event| log.iter().filter(move |entry| entry.0 == name && entry.2 == event).map(|entry| entry.1);
            assert_eq!(of(Event::Detected).collect::<Vec<_>>(), (0..submitted).collect::<Vec<_>>(), "the detect stage keeps the order");
            assert_eq!(of(Event::Answered).count(), submitted);
        }
    });
}

#[test]
fn a_flush_closes_what_is_open_for_its_stream() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    completes_within(HANG, move || {
        let engine = Engine::open(&config(set, 16, None)).unwrap();
        let settings = settings(&engine);
        let (one, other) = (engine.stream(), engine.stream());
        for _ in 0..20 {
            let theirs = other.submit(plain(2, &settings), &no_abort()).unwrap();
            let ours = one.submit(plain(3, &settings), &no_abort()).unwrap();
            one.flush();
            assert_eq!(ours.wait().unwrap().objects.len(), 3);
            other.flush();
            assert_eq!(theirs.wait().unwrap().objects.len(), 2);
        }
    });
}

#[test]
fn a_dropped_stream_takes_what_nobody_waits_for_and_no_more() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    completes_within(HANG, move || {
        let engine = Engine::open(&config(set, 16, None)).unwrap();
        let settings = settings(&engine);
        let (leaving, staying) = (engine.stream(), engine.stream());
        let theirs = staying.submit(plain(2, &settings), &no_abort()).unwrap();
        let held = leaving.submit(plain(1, &settings), &no_abort()).unwrap();
        let log = Log::default();
        for number in 0..2 {
            drop(leaving.submit(told('l', number, 1, &settings, &log), &no_abort()).unwrap());
        }
        drop(leaving);
        assert_eq!(held.wait().unwrap().objects.len(), 1, "what somebody has a ticket of is answered");
        staying.flush();
        assert_eq!(theirs.wait().unwrap().objects.len(), 2);
        drop((staying, engine));
        let log = log.lock().unwrap();
        assert_eq!(log.iter().filter(|(.., event)| *event == Event::Answered).count(), 2, "its frames are let go");
    });
}

#[test]
fn for_latency_a_batch_waits_for_an_idle_encoder_alone() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    completes_within(HANG, move || {
        // For throughput this batch would wait for 15 objects more.
        let engine = Engine::open(&config(set, 16, None)).unwrap();
        let settings = settings(&engine);
        let (patient, hurried) = (engine.stream(), engine.stream());
        hurried.set_scheduling(Scheduling::Latency);
        let theirs = patient.submit(plain(1, &settings), &no_abort()).unwrap();
        assert_eq!(hurried.submit(plain(1, &settings), &no_abort()).unwrap().wait().unwrap().objects.len(), 1);
        patient.flush();
        assert_eq!(theirs.wait().unwrap().objects.len(), 1);
    });
}

#[test]
fn equal_class_lists_share_their_texts_and_with_them_batches() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    let engine = Engine::open(&config(set, 4, None)).unwrap();
    let first = engine.vocabulary(&["bus", "raccoon"]).unwrap();
    assert!(Arc::ptr_eq(&first, &engine.vocabulary(&["bus", "raccoon"]).unwrap()));
    assert!(!Arc::ptr_eq(&first, &engine.vocabulary(&["raccoon", "bus"]).unwrap()));
}

#[test]
fn class_lists_that_differ_between_streams_still_share_the_engine() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    completes_within(HANG, move || {
        // Batches wait until full, and no batch holds both.
        let engine = Engine::open(&config(set, 16, None)).unwrap();
        let all = settings(&engine);
        let two = Arc::new(FrameSettings { vocabulary: engine.vocabulary(&["bus", "raccoon"]).unwrap(), ..(*all).clone() });
        let streams = [engine.stream(), engine.stream()];
        for _ in 0..10 {
            let tickets: Vec<_> = streams
                .iter()
                .zip([&all, &two])
                .map(|(stream, settings)| stream.submit(plain(3, settings), &no_abort()).unwrap())
                .collect();
            streams.iter().for_each(Stream::flush);
            for ticket in tickets {
                let answer = ticket.wait().unwrap();
                assert_eq!((answer.error, answer.objects.len()), (None, 3));
            }
        }
    });
}

/// A frame whose pixels cannot be had.
struct Broken;

impl FrameSource for Broken {
    fn frame(&self) -> Frame<'_> {
        panic!("this panic is part of the test")
    }
}

#[test]
fn a_worker_that_panics_is_told_to_every_stream() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    completes_within(HANG, move || {
        let config = config(set, 16, None);
        let engine = Engine::shared("panics", "one", &config).unwrap();
        let settings = settings(&engine);
        let (one, other) = (engine.stream(), engine.stream());
        let theirs = other.submit(plain(1, &settings), &no_abort()).unwrap();
        let job = Job { frame: Arc::new(Broken), boxes: boxes(1), settings: Arc::clone(&settings), tracks: None };
        let ours = one.submit(job, &no_abort()).unwrap();
        assert!(matches!(ours.wait(), Err(Error::Worker)));
        assert!(matches!(theirs.wait(), Err(Error::Worker)));
        assert!(engine.is_broken());
        for _ in 0..5 {
            assert!(matches!(other.submit(plain(1, &settings), &no_abort()).unwrap().wait(), Err(Error::Worker)), "and of later frames");
        }
        let anew = Engine::shared("panics", "two", &config).unwrap();
        assert!(!Arc::ptr_eq(&engine, &anew), "who starts later gets an engine that works");
        assert!(!anew.is_broken());
    });
}

#[test]
fn an_id_stands_for_one_engine_as_long_as_somebody_has_it() {
    let (_dir, set) = golden_set("no_cnn_g4_wide");
    completes_within(HANG, move || {
        let config = config(set, 8, Some(Duration::from_millis(10)));
        let open = |by: &'static str| {
            let config = config.clone();
            thread::Builder::new().spawn(move || Engine::shared("gate", by, &config).unwrap()).unwrap()
        };
        let engines: Vec<_> = ["cam-1", "cam-2", "cam-3"].map(open).into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(engines.iter().all(|engine| Arc::ptr_eq(engine, &engines[0])));
        let another = Engine::shared("yard", "cam-4", &config).unwrap();
        assert!(!Arc::ptr_eq(&another, &engines[0]));

        let wider = EngineConfig { batch_size: 32, ..config.clone() };
        let refused = Engine::shared("yard", "cam-5", &wider).map(drop).unwrap_err().to_string();
        assert_eq!(
            refused,
            "model-instance-id `yard`: batch-size is 32 in `cam-5` and 8 in `cam-4`, which opened it; give both the same batch-size, or another id"
        );
        drop(another);
        Engine::shared("yard", "cam-5", &wider).expect("nobody has the other any more");
    });
}
