//! The ticket lane: what came in goes out in the same order, however unevenly the work behind it finishes.
//!
//! One thread pushes items, another takes them. An item that still waits for a worker carries its ticket,
//! the receiving end of its own one-shot reply; whoever takes the item waits for that reply, so the head of
//! the lane holds back what finished earlier behind it. Items without work (events, barriers) need no ticket.
//!
//! The lane is bounded by items and by bytes. [`Lane::close`] ends every wait, in the lane and on a ticket.

use std::{collections::VecDeque, convert::Infallible};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use uniood::engine::{Abort, Aborted};

use super::sync::{Condvar, Mutex, MutexGuard, PoisonError};

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

    /// Items that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().queue.len()
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
