//! Queues that are taken from in turn, one a stream: nobody's work waits for all of another's.

use std::collections::{HashMap, VecDeque};

/// Which stream something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamKey(pub(crate) u64);

/// A queue for each stream that has something in it. What a stream puts in comes out in its order.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    /// Never an empty one.
    queues: HashMap<StreamKey, VecDeque<T>>,
    /// Every key of `queues`, the next to be taken from first.
    order: VecDeque<StreamKey>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { queues: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Turns<T> {
    /// Puts an item behind the stream's others. A stream that had none gets its turn behind those that have.
    pub(crate) fn push(&mut self, key: StreamKey, item: T) {
        self.queues
            .entry(key)
            .or_insert_with(|| {
                self.order.push_back(key);
                VecDeque::new()
            })
            .push_back(item);
    }

    /// Takes the head of the first queue in turn whose head is `wanted`; that stream's turn then comes last.
    /// A stream that is passed over keeps its place.
    pub(crate) fn take(&mut self, wanted: impl Fn(StreamKey, &T) -> bool) -> Option<(StreamKey, T)> {
        let heads = self.order.iter().map(|key| (*key, self.queues.get(key).and_then(VecDeque::front)));
        let place = heads.enumerate().find_map(|(place, (key, head))| head.is_some_and(|head| wanted(key, head)).then_some(place))?;
        let key = self.order.remove(place)?;
        let queue = self.queues.get_mut(&key)?;
        let item = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&key);
        } else {
            self.order.push_back(key);
        }
        Some((key, item))
    }

    /// How much waits of a stream.
    pub(crate) fn len(&self, key: StreamKey) -> usize {
        self.queues.get(&key).map_or(0, VecDeque::len)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Whether the stream's last item is one that `is_it`.
    pub(crate) fn last_is(&self, key: StreamKey, is_it: impl FnOnce(&T) -> bool) -> bool {
        self.queues.get(&key).and_then(VecDeque::back).is_some_and(is_it)
    }

    /// Takes out of a stream's queue what is not `wanted`; the rest keeps its order.
    pub(crate) fn prune(&mut self, key: StreamKey, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let Some(queue) = self.queues.remove(&key) else { return Vec::new() };
        let (kept, pruned): (VecDeque<T>, VecDeque<T>) = queue.into_iter().partition(wanted);
        if kept.is_empty() {
            self.order.retain(|other| *other != key);
        } else {
            self.queues.insert(key, kept);
        }
        pruned.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_crowded_stream_does_not_hold_back_a_quiet_one() {
        let mut turns = Turns::default();
        for number in 0..1000 {
            turns.push(StreamKey(0), number);
        }
        turns.push(StreamKey(1), 0);
        turns.push(StreamKey(2), 0);
        let first: Vec<u64> = (0..4).map(|_| turns.take(|_, _| true).unwrap().0.0).collect();
        assert_eq!(first, [0, 1, 2, 0]);
    }

    #[test]
    fn a_stream_that_is_passed_over_is_first_when_it_is_wanted() {
        let mut turns = Turns::default();
        for key in [0, 1, 1, 2, 2] {
            turns.push(StreamKey(key), key);
        }
        assert_eq!(turns.take(|_, item| *item != 0), Some((StreamKey(1), 1)));
        assert_eq!(turns.take(|_, item| *item != 0), Some((StreamKey(2), 2)));
        assert_eq!(turns.take(|_, _| true), Some((StreamKey(0), 0)));
        assert_eq!(turns.take(|_, item| *item == 0), None);
    }

    /// What may happen to the queues.
    #[derive(Debug, Clone)]
    enum Step {
        Push(u64),
        Take,
        TakeAllBut(u64),
        Prune(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..4_u64).prop_map(Step::Push),
            3 => Just(Step::Take),
            1 => (0..4_u64).prop_map(Step::TakeAllBut),
            1 => (0..4_u64).prop_map(Step::Prune),
        ]
    }

    proptest! {
        /// Against plain queues: order within a stream, no item lost or doubled; and drained, each stream waits for
        /// one item of each other at most.
        #[test]
        fn every_order_of_steps_is_fair_and_loses_nothing(steps in prop::collection::vec(step(), 0..200)) {
            let mut turns = Turns::default();
            let mut plain: Vec<VecDeque<u64>> = vec![VecDeque::new(); 4];
            let of = |key: StreamKey| usize::try_from(key.0).unwrap();
            let mut next = 0;
            for step in steps {
                match step {
                    Step::Push(key) => {
                        turns.push(StreamKey(key), next);
                        plain[of(StreamKey(key))].push_back(next);
                        next += 1;
                    }
                    Step::Prune(key) => {
                        let pruned = turns.prune(StreamKey(key), |item| item % 2 == 0);
                        let queue = &mut plain[of(StreamKey(key))];
                        prop_assert_eq!(pruned, queue.iter().copied().filter(|item| item % 2 == 1).collect::<Vec<_>>());
                        queue.retain(|item| item % 2 == 0);
                    }
                    Step::Take => match turns.take(|_, _| true) {
                        None => prop_assert!(plain.iter().all(VecDeque::is_empty)),
                        Some((key, item)) => prop_assert_eq!(plain[of(key)].pop_front(), Some(item)),
                    },
                    Step::TakeAllBut(but) => match turns.take(|key, _| key.0 != but) {
                        None => prop_assert!((0..).zip(&plain).all(|(key, queue)| key == but || queue.is_empty())),
                        Some((key, item)) => {
                            prop_assert_ne!(key.0, but);
                            prop_assert_eq!(plain[of(key)].pop_front(), Some(item));
                        }
                    },
                }
                prop_assert_eq!(turns.is_empty(), plain.iter().all(VecDeque::is_empty));
                for (key, queue) in (0..).zip(&plain) {
                    prop_assert_eq!(turns.len(StreamKey(key)), queue.len());
                }
            }
            let mut waited = [0_usize; 4];
            while let Some((key, item)) = turns.take(|_, _| true) {
                prop_assert_eq!(plain[of(key)].pop_front(), Some(item));
                waited[of(key)] = 0;
                for other in (0..4).filter(|other| *other != of(key) && !plain[*other].is_empty()) {
                    waited[other] += 1;
                    prop_assert!(waited[other] <= 3, "stream {} waited for {} items", other, waited[other]);
                }
            }
            prop_assert!(plain.iter().all(VecDeque::is_empty));
        }
    }
}
