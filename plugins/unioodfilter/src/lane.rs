//! The ticket lane: what came in goes out in the same order, however unevenly the work behind it finishes.
//!
//! One thread pushes items, another takes them. An item that still waits for a worker carries its ticket,
//! the receiving end of its own one-shot reply; whoever takes the item waits for that reply, so the head of
//! the lane holds back what finished earlier behind it. Items without work (events, barriers) need no ticket.
//!
//! The lane is bounded by items and by bytes. [`Lane::close`] ends every wait, in the lane and on a ticket.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use uniood::engine::{Abort, Aborted};

/// How much a lane holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Items, at least 1.
    pub(crate) items: usize,
    /// Bytes that the items' weights may sum to; two items fit however heavy they are.
    pub(crate) bytes: usize,
}

/// A bounded queue whose every wait ends when it is closed. A closed lane stays closed: make a new one.
pub(crate) struct Lane<T> {
    limit: Limit,
    state: Mutex<State<T>>,
    /// There is room.
    room: Condvar,
    /// There is an item.
    item: Condvar,
    abort: Abort,
}

struct State<T> {
    queue: VecDeque<(T, usize)>,
    bytes: usize,
    /// Dropped by `close`, which disconnects `abort`.
    open: Option<Sender<Infallible>>,
}

impl<T> Lane<T> {
    /// An empty, open lane.
    pub(crate) fn new(limit: Limit) -> Self {
        let (open, abort) = bounded(0);
        let state = State { queue: VecDeque::new(), bytes: 0, open: Some(open) };
        Self { limit, state: Mutex::new(state), room: Condvar::new(), item: Condvar::new(), abort }
    }

    /// Queues an item of `weight` bytes; where there is no room, runs `before_waiting` once and waits.
    ///
    /// # Errors
    /// [`Aborted`] when the lane is or gets closed; the item is dropped.
    pub(crate) fn push(&self, item: T, weight: usize, before_waiting: impl FnOnce()) -> Result<(), Aborted> {
        let mut state = self.lock();
        if self.is_full(&state, weight) {
            drop(state);
            before_waiting();
            state = self.lock();
        }
        let mut state = self.room.wait_while(state, |state| self.is_full(state, weight)).unwrap_or_else(PoisonError::into_inner);
        if state.open.is_none() {
            return Err(Aborted);
        }
        state.bytes += weight;
        state.queue.push_back((item, weight));
        self.item.notify_one();
        Ok(())
    }

    /// Takes the head; waits while the lane is empty.
    ///
    /// # Errors
    /// [`Aborted`] when the lane is or gets closed.
    pub(crate) fn next(&self) -> Result<T, Aborted> {
        let state = self.lock();
        let mut state =
            self.item.wait_while(state, |state| state.open.is_some() && state.queue.is_empty()).unwrap_or_else(PoisonError::into_inner);
        if state.open.is_none() {
            return Err(Aborted);
        }
        let (item, weight) = state.queue.pop_front().ok_or(Aborted)?;
        state.bytes -= weight;
        self.room.notify_one();
        Ok(item)
    }

    /// Items that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// Waits for a one-shot reply; `None` where its sender was dropped without one.
    ///
    /// # Errors
    /// [`Aborted`] when the lane is or gets closed.
    pub(crate) fn wait<R>(&self, reply: &Receiver<R>) -> Result<Option<R>, Aborted> {
        if self.is_closed() {
            return Err(Aborted);
        }
        select! {
            recv(reply) -> reply => Ok(reply.ok()),
            recv(self.abort) -> _ => Err(Aborted),
        }
    }

    /// Ends every wait and drops what is queued.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.open = None;
        state.bytes = 0;
        let queue = std::mem::take(&mut state.queue);
        self.room.notify_all();
        self.item.notify_all();
        drop(state);
        drop(queue);
    }

    /// Whether [`Lane::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().open.is_none()
    }

    /// Disconnected once the lane is closed: for waits elsewhere to select on.
    pub(crate) const fn abort(&self) -> &Abort {
        &self.abort
    }

    fn is_full(&self, state: &State<T>, weight: usize) -> bool {
        let queued = state.queue.len();
        state.open.is_some() && (queued >= self.limit.items || queued >= 2 && state.bytes.saturating_add(weight) > self.limit.bytes)
    }

    /// A panic while the lock was held leaves a queue that is still whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, thread, time::Duration};

    const WIDE: Limit = Limit { items: 16, bytes: usize::MAX };

    /// Runs `body` on its own thread and fails when it does not end in time.
    fn ends_in_time(body: impl FnOnce() + Send + 'static) {
        let (done, ended) = bounded::<()>(1);
        let thread = thread::Builder::new()
            .spawn(move || {
                body();
                drop(done);
            })
            .unwrap();
        let outcome = ended.recv_timeout(Duration::from_secs(20));
        assert_eq!(outcome, Err(crossbeam_channel::RecvTimeoutError::Disconnected), "it hangs");
        thread.join().unwrap();
    }

    #[test]
    fn order_is_kept_over_100_runs_of_uneven_work() {
        ends_in_time(|| {
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
        ends_in_time(|| {
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
        ends_in_time(|| {
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
        assert!(lane.is_full(&lane.lock(), 100));
        lane.next().unwrap();
        assert!(!lane.is_full(&lane.lock(), 100));
    }

    #[test]
    fn closing_drops_what_is_queued() {
        let lane = Lane::new(WIDE);
        let item = Arc::new(());
        lane.push(Arc::clone(&item), 1, || ()).unwrap();
        lane.close();
        assert_eq!(Arc::strong_count(&item), 1);
    }
}
