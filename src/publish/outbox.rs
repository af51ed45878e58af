//! The bounded buffer between those who must not wait and a broker that may be away.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Event;

/// Bytes that wait, however few events they are.
const MOST_BYTES: usize = 64 << 20;

/// How often it is looked whether the end is still waited for.
const LOOK: Duration = Duration::from_millis(100);

/// What has become of events: every one is in one of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// The broker has confirmed them.
    pub delivered: u64,
    /// The buffer was full, or they were too long, or the end came first.
    pub dropped: u64,
    /// They wait, or are on their way.
    pub waiting: u64,
}

pub(super) struct Outbox {
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    bytes: usize,
    /// Taken by the broker's thread and not confirmed.
    on_the_way: u64,
    delivered: u64,
    dropped: u64,
    /// Drops were said since the broker last kept up.
    said: bool,
    phase: Phase,
    /// The broker's thread has ended.
    finished: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// No event comes any more.
    Closed,
    /// Nobody waits for the rest any more.
    Abandoned,
}

impl Outbox {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), state: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes an event; whether this is the first since long for which another had to go.
    pub(super) fn put(&self, event: Event) -> bool {
        let mut state = self.lock();
        state.bytes += event.payload.len();
        state.waiting.push_back(event);
        let dropped = state.make_room(self.most);
        self.changed.notify_all();
        dropped && !std::mem::replace(&mut state.said, true)
    }

    /// Counts an event that cannot be sent.
    pub(super) fn refuse(&self) {
        self.lock().dropped += 1;
    }

    /// The oldest event, to be sent.
    pub(super) fn take(&self) -> Option<Event> {
        let mut state = self.lock();
        let event = state.waiting.pop_front()?;
        state.bytes -= event.payload.len();
        state.on_the_way += 1;
        if state.waiting.is_empty() {
            state.said = false;
        }
        Some(event)
    }

    /// The broker has confirmed one.
    pub(super) fn delivered(&self) {
        let mut state = self.lock();
        if state.phase != Phase::Abandoned {
            state.on_the_way -= 1;
            state.delivered += 1;
        }
    }

    /// The broker has refused one for good.
    #[cfg(feature = "kafka")]
    pub(super) fn refused(&self) {
        let mut state = self.lock();
        if state.phase != Phase::Abandoned {
            state.on_the_way -= 1;
            state.dropped += 1;
        }
    }

    /// These were not confirmed; they are the oldest again.
    pub(super) fn give_back(&self, events: impl DoubleEndedIterator<Item = Event>) {
        let mut state = self.lock();
        for event in events.rev() {
            state.on_the_way = state.on_the_way.saturating_sub(1);
            if state.phase != Phase::Abandoned {
                state.bytes += event.payload.len();
                state.waiting.push_front(event);
            }
        }
        state.make_room(self.most);
    }

    /// Whether nothing is left to be sent, or nobody waits for it.
    pub(super) fn is_done(&self) -> bool {
        let state = self.lock();
        match state.phase {
            Phase::Open => false,
            Phase::Closed => state.waiting.is_empty() && state.on_the_way == 0,
            Phase::Abandoned => true,
        }
    }

    /// Whether no event comes any more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().phase != Phase::Open
    }

    /// Waits before the next attempt, less long once no event comes any more; whether there is to be none.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let state = self.lock();
        let before = state.phase;
        let same = |state: &mut State| state.phase == before;
        let (state, _) = self.changed.wait_timeout_while(state, pause, same).unwrap_or_else(PoisonError::into_inner);
        state.phase == Phase::Abandoned
    }

    /// The broker's thread has ended.
    pub(super) fn finished(&self) {
        self.lock().finished = true;
        self.changed.notify_all();
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts()
    }

    /// Closes, waits for the broker's thread until `deadline` or until `give_up` says so, and counts the rest as dropped.
    pub(super) fn finish(&self, deadline: Instant, give_up: impl Fn() -> bool) -> Counts {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        self.changed.notify_all();
        while !state.finished && !give_up() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (state, _) = self.changed.wait_timeout(state, left.min(LOOK)).unwrap_or_else(PoisonError::into_inner);
        }
        state.dropped += state.waiting.len() as u64 + state.on_the_way;
        (state.waiting, state.bytes, state.on_the_way) = (VecDeque::new(), 0, 0);
        state.phase = Phase::Abandoned;
        self.changed.notify_all();
        state.counts()
    }

    /// What it guards is whole after every statement.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops the oldest events beyond the bounds.
    fn make_room(&mut self, most: usize) -> bool {
        let before = self.dropped;
        while self.waiting.len() > most || self.bytes > MOST_BYTES {
            let Some(event) = self.waiting.pop_front() else { break };
            self.bytes -= event.payload.len();
            self.dropped += 1;
        }
        self.dropped > before
    }

    fn counts(&self) -> Counts {
        Counts { delivered: self.delivered, dropped: self.dropped, waiting: self.waiting.len() as u64 + self.on_the_way }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u8) -> Event {
        Event { key: String::new(), payload: vec![number] }
    }

    fn taken(outbox: &Outbox) -> Vec<u8> {
        std::iter::from_fn(|| outbox.take()).map(|event| event.payload[0]).collect()
    }

    #[test]
    fn a_full_buffer_drops_the_oldest_and_says_so_once() {
        let outbox = Outbox::new(3);
        assert_eq!((0..6).map(|number| outbox.put(event(number))).collect::<Vec<_>>(), [false, false, false, true, false, false]);
        assert_eq!(outbox.counts(), Counts { delivered: 0, dropped: 3, waiting: 3 });
        assert_eq!(taken(&outbox), [3, 4, 5]);
        assert!(!outbox.put(event(6)));
    }

    #[test]
    fn what_was_not_confirmed_goes_first_again_and_nothing_is_counted_twice() {
        let outbox = Outbox::new(10);
        assert!(!(0..4).any(|number| outbox.put(event(number))));
        let (first, second) = (outbox.take().unwrap(), outbox.take().unwrap());
        outbox.delivered();
        outbox.give_back([second].into_iter());
        drop(first);
        assert_eq!(taken(&outbox), [1, 2, 3]);
        outbox.delivered();
        let counts = outbox.finish(Instant::now(), || false);
        assert_eq!(counts, Counts { delivered: 2, dropped: 2, waiting: 0 });
        outbox.delivered();
        outbox.give_back([event(9)].into_iter());
        assert_eq!(outbox.counts(), counts, "what comes after the end changes nothing");
        assert!(outbox.is_done());
    }
}
