//! With real threads: order, aborts, bounds.

use std::{sync::Arc, thread, time::Duration};

use crossbeam_channel::{Receiver, Sender, bounded};
use uniood::engine::Aborted;

use self::lane::{Lane, Limit};
use crate::common::completes_within;

/// The lane with the locks it has in the element.
#[path = "../../src/lane.rs"]
mod lane;

mod sync {
    pub(super) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
}

const WIDE: Limit = Limit { items: 16, bytes: usize::MAX };

/// Nothing here takes longer unless it hangs.
const HANG: Duration = Duration::from_secs(20);

#[test]
fn order_is_kept_over_100_runs_of_uneven_work() {
    completes_within(HANG, || {
        for run in 0..100_u64 {
            let lane = Arc::new(Lane::new(WIDE));
            let (work, jobs) = bounded::<(u64, Sender<u64>)>(64);
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    let jobs = jobs.clone();
                    thread::Builder::new()
                        .spawn(move || {
                            for (number, reply) in jobs {
                                // Busy for an uneven while, so that replies come in another order than the jobs.
                                let turns = (number.wrapping_mul(2_654_435_761).wrapping_add(run * 97) >> 3) % 2_000;
                                std::hint::black_box((0..turns).fold(number, |sum, turn| sum.wrapping_mul(31) ^ turn));
                                reply.send(number).unwrap();
                            }
                        })
                        .unwrap()
                })
                .collect();
            let feeder = {
                let lane = Arc::clone(&lane);
                thread::Builder::new()
                    .spawn(move || {
                        for number in 0..60 {
                            let (reply, ticket) = bounded(1);
                            work.send((number, reply)).unwrap();
                            lane.push(ticket, 1, || ()).unwrap();
                        }
                    })
                    .unwrap()
            };
            for number in 0..60 {
                let ticket = lane.next().unwrap();
                assert_eq!(lane.wait(&ticket), Ok(Some(number)), "run {run}");
            }
            feeder.join().unwrap();
            drop(jobs);
            for worker in workers {
                worker.join().unwrap();
            }
        }
    });
}

#[test]
fn close_ends_a_push_that_waits_for_room() {
    completes_within(HANG, || {
        let lane = Arc::new(Lane::new(Limit { items: 1, bytes: 100 }));
        lane.push(1, 1, || ()).unwrap();
        let (waits, waiting) = bounded(1);
        let pusher = {
            let lane = Arc::clone(&lane);
            thread::Builder::new().spawn(move || lane.push(2, 1, || waits.send(()).unwrap())).unwrap()
        };
        waiting.recv().unwrap();
        lane.close();
        assert_eq!(pusher.join().unwrap(), Err(Aborted));
    });
}

#[test]
fn close_ends_a_wait_for_an_item_and_for_a_ticket() {
    completes_within(HANG, || {
        let lane = Arc::new(Lane::<Receiver<()>>::new(WIDE));
        let (_never, ticket) = bounded::<()>(1);
        let takers = [
            {
                let lane = Arc::clone(&lane);
                thread::Builder::new().spawn(move || lane.next().map(|_| ())).unwrap()
            },
            {
                let lane = Arc::clone(&lane);
                thread::Builder::new().spawn(move || lane.wait(&ticket).map(|_| ())).unwrap()
            },
        ];
        lane.close();
        for taker in takers {
            assert_eq!(taker.join().unwrap(), Err(Aborted));
        }
        assert_eq!(lane.push(bounded(1).1, 1, || ()), Err(Aborted));
    });
}

#[test]
fn a_dropped_reply_is_told_from_an_abort() {
    let lane = Lane::<()>::new(WIDE);
    let (reply, ticket) = bounded::<u8>(1);
    drop(reply);
    assert_eq!(lane.wait(&ticket), Ok(None));
}

#[test]
fn two_heavy_items_fit_and_a_third_waits() {
    let lane = Lane::new(Limit { items: 16, bytes: 10 });
    lane.push('a', 100, || panic!("there is room")).unwrap();
    lane.push('b', 100, || panic!("there is room")).unwrap();
    lane.next().unwrap();
    lane.push('c', 100, || panic!("there is room again")).unwrap();
    let mut waits = false;
    let third = lane.push('d', 100, || {
        waits = true;
        lane.close();
    });
    assert_eq!((waits, third), (true, Err(Aborted)));
}

#[test]
fn closing_drops_what_is_queued() {
    let lane = Lane::new(WIDE);
    let item = Arc::new(());
    lane.push(Arc::clone(&item), 1, || ()).unwrap();
    lane.close();
    assert_eq!(Arc::strong_count(&item), 1);
}
