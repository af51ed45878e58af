//! Where the engine's stages meet, compiled with shuttle's locks: thousands of orders of streams and stages, a deadlock
//! fails, and so does a wait that a timeout alone would end.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the engine uses all of it")]

#[path = "../src/engine/hub.rs"]
mod hub;
#[path = "../src/engine/turns.rs"]
mod turns;

mod sync {
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, PoisonError};
}

use std::time::Instant;

use hub::{Due, Hub, Next};
use shuttle::{
    check_pct, check_random,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};
use turns::StreamKey;

/// A frame of so many objects, or a flush.
enum Frame {
    Work { number: u32, objects: u32 },
    Flush,
}

enum Object {
    /// Frame and number of the object.
    One(u32, u32),
    Flush,
}

/// Stream, frame and object, row by row.
type Batch = Vec<(StreamKey, u32, u32)>;
type Rig = Hub<Frame, Object, Batch>;

/// Rows of a full batch.
const SIZE: usize = 3;

fn hub() -> Arc<Rig> {
    Arc::new(Hub::new(SIZE))
}

/// The stages as the engine runs them; what was encoded. Objects of even and odd frames share no batch.
fn stages(hub: &Arc<Rig>, hurries: bool, encoders: usize) -> (Vec<JoinHandle<()>>, Arc<Mutex<Vec<Batch>>>) {
    let encoded = Arc::new(Mutex::new(Vec::new()));
    let (of_detect, of_batch) = (Arc::clone(hub), Arc::clone(hub));
    let detect = move || {
        while let Some(taken) = of_detect.take_frames(2) {
            for (key, frame) in taken {
                match frame {
                    Frame::Work { number, objects } => of_detect.put_objects(key, (0..objects).map(|object| Object::One(number, object))),
                    Frame::Flush => of_detect.put_objects(key, [Object::Flush]),
                }
            }
        }
        of_detect.detect_ended();
    };
    let batch = move || {
        let mut open = Batch::new();
        let mut due = Due::Never;
        let fits = |open: &Batch, object: &Object| match (object, open.first()) {
            (Object::One(frame, _), Some((_, first, _))) => frame % 2 == first % 2,
            _ => true,
        };
        while let Some(next) = of_batch.next_object(|object| fits(&open, object), due) {
            let is_closed = match next {
                Next::Object(key, Object::One(frame, object)) => {
                    open.push((key, frame, object));
                    if due == Due::Never {
                        due = if hurries { Due::At(Instant::now()) } else { Due::WhenOthersWait };
                    }
                    open.len() == SIZE
                }
                Next::Object(key, Object::Flush) => {
                    if open.iter().any(|(of, ..)| *of == key) {
                        due = Due::At(Instant::now());
                    }
                    false
                }
                Next::Close => true,
            };
            if is_closed {
                due = Due::Never;
                if !of_batch.put_batch(std::mem::take(&mut open)) {
                    return;
                }
            }
        }
        if !open.is_empty() {
            of_batch.put_batch(open);
        }
        of_batch.batch_ended();
    };
    let encode = || {
        let (of_encode, done) = (Arc::clone(hub), Arc::clone(&encoded));
        move || {
            while let Some(batch) = of_encode.take_batch() {
                done.lock().unwrap().push(batch);
            }
        }
    };
    let mut stages = vec![thread::spawn(detect), thread::spawn(batch)];
    stages.extend((0..encoders).map(|_| thread::spawn(encode())));
    (stages, encoded)
}

fn submit(hub: &Arc<Rig>, key: u64, frames: u32, objects: u32) -> JoinHandle<()> {
    let hub = Arc::clone(hub);
    thread::spawn(move || {
        for number in 0..frames {
            hub.put_frame(StreamKey(key), Frame::Work { number, objects });
        }
        hub.put_mark(StreamKey(key), Frame::Flush, |last| matches!(last, Frame::Flush));
    })
}

fn all_is_encoded(hurries: bool, encoders: usize) {
    let hub = hub();
    let (stages, encoded) = stages(&hub, hurries, encoders);
    let of_stream = [(0, 3, 4), (1, 2, 1), (2, 3, 0)];
    let streams: Vec<_> = of_stream.iter().map(|(key, frames, objects)| submit(&hub, *key, *frames, *objects)).collect();
    for stream in streams {
        stream.join().unwrap();
    }
    hub.close();
    for stage in stages {
        stage.join().unwrap();
    }
    let batches = encoded.lock().unwrap();
    for batch in &*batches {
        assert!((1..=SIZE).contains(&batch.len()));
        assert!(batch.iter().all(|(_, frame, _)| frame % 2 == batch[0].1 % 2), "no batch mixes two kinds: {batch:?}");
    }
    for (key, frames, objects) in of_stream {
        let rows = batches.iter().flatten().filter(|(of, ..)| *of == StreamKey(key));
        let mut seen: Vec<_> = rows.map(|(_, frame, object)| (*frame, *object)).collect();
        if encoders > 1 {
            seen.sort_unstable();
        }
        let wanted: Vec<_> = (0..frames).flat_map(|frame| (0..objects).map(move |object| (frame, object))).collect();
        assert_eq!(seen, wanted, "stream {key}");
    }
}

#[test]
fn every_object_is_encoded_once_by_one_encoder_in_its_streams_order() {
    for (hurries, encoders) in [(false, 1), (true, 1), (false, 2), (true, 3)] {
        check_random(move || all_is_encoded(hurries, encoders), 400);
        check_pct(move || all_is_encoded(hurries, encoders), 400, 3);
    }
}

#[test]
fn a_flush_alone_closes_a_batch_that_waits_until_it_is_full() {
    let flushed = || {
        let hub = hub();
        let (stages, encoded) = stages(&hub, false, 2);
        submit(&hub, 0, 1, 1).join().unwrap();
        // Without the flush this never ends.
        while encoded.lock().unwrap().is_empty() {
            thread::yield_now();
        }
        hub.close();
        for stage in stages {
            stage.join().unwrap();
        }
    };
    check_random(flushed, 300);
}

#[test]
fn a_stage_that_breaks_ends_the_others_whatever_they_wait_for() {
    let broken = || {
        let hub = hub();
        let (stages, _) = stages(&hub, false, 2);
        let stream = submit(&hub, 0, 4, 3);
        let failing = {
            let hub = Arc::clone(&hub);
            thread::spawn(move || hub.fail())
        };
        for thread in stages.into_iter().chain([stream, failing]) {
            thread.join().unwrap();
        }
        assert!(hub.is_broken());
        // What comes later is dropped at once.
        let held = Arc::new(());
        let later: Hub<Arc<()>, (), ()> = Hub::new(1);
        later.put_frame(StreamKey(0), Arc::clone(&held));
        later.fail();
        later.put_frame(StreamKey(0), Arc::clone(&held));
        assert_eq!(Arc::strong_count(&held), 1);
    };
    check_random(broken, 400);
    check_pct(broken, 400, 3);
}

#[test]
fn a_stream_that_leaves_takes_its_own_work_alone() {
    let left = || {
        let hub = hub();
        let (stages, encoded) = stages(&hub, true, 2);
        let stays = submit(&hub, 0, 3, 2);
        submit(&hub, 1, 3, 2).join().unwrap();
        hub.prune(StreamKey(1), |_| false, |_| false);
        stays.join().unwrap();
        hub.close();
        for stage in stages {
            stage.join().unwrap();
        }
        let batches = encoded.lock().unwrap();
        let of = |key| batches.iter().flatten().filter(|(of, ..)| *of == StreamKey(key)).count();
        assert_eq!(of(0), 6);
        assert!(of(1) <= 6);
    };
    check_random(left, 400);
    check_pct(left, 400, 3);
}
