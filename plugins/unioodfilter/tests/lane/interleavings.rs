//! Thousands of orders of a pusher, a taker and a close; a deadlock fails.

use shuttle::{check_pct, check_random, sync::Arc, thread};
use uniood::engine::Aborted;

use self::lane::{Lane, Limit};

/// The lane with locks that shuttle schedules. It knows nothing of channels, so nobody waits for a ticket here.
#[path = "../../src/lane.rs"]
mod lane;

mod sync {
    pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard, PoisonError};
}

fn order_is_kept() {
    let lane = Arc::new(Lane::new(Limit { items: 2, bytes: 10 }));
    let pusher = {
        let lane = Arc::clone(&lane);
        thread::spawn(move || {
            for number in 0..6 {
                lane.push(number, 4, || ()).unwrap();
            }
        })
    };
    for number in 0..6 {
        assert_eq!(lane.next(), Ok(number));
    }
    pusher.join().unwrap();
}

fn close_ends_every_wait() {
    let lane = Arc::new(Lane::new(Limit { items: 1, bytes: 10 }));
    let pusher = {
        let lane = Arc::clone(&lane);
        thread::spawn(move || (0..4).find(|number| lane.push(*number, 1, || ()).is_err()))
    };
    let taker = {
        let lane = Arc::clone(&lane);
        thread::spawn(move || {
            let mut wanted = 0;
            while let Ok(number) = lane.next() {
                assert_eq!(number, wanted);
                wanted += 1;
            }
        })
    };
    lane.close();
    pusher.join().unwrap();
    taker.join().unwrap();
    assert_eq!((lane.next(), lane.push(9, 1, || ()), lane.len()), (Err(Aborted), Err(Aborted), 0));
}

#[test]
fn order_is_kept_and_nothing_hangs() {
    check_random(order_is_kept, 1000);
    check_pct(order_is_kept, 1000, 3);
}

#[test]
fn close_ends_every_wait_whenever_it_comes() {
    check_random(close_ends_every_wait, 1000);
    check_pct(close_ends_every_wait, 1000, 3);
}
