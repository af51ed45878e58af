//! What became of events to brokers, as a scrape finds it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::lock;
use crate::publish::{Counts, Publisher};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Broker {
    broker: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    broker: String,
    outcome: &'static str,
}

/// The publishers of an endpoint; they count themselves.
pub(super) struct Publishers {
    all: Mutex<Vec<Arc<Publisher>>>,
    events: Family<Outcome, Counter>,
    waiting: Family<Broker, Gauge>,
}

impl Publishers {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let (events, waiting) = (Family::default(), Family::default());
        registry.register("publish_events", "Events to a broker by what became of them", Family::clone(&events));
        registry.register("publish_queue_depth", "Events that wait for a broker, or are on their way", Family::clone(&waiting));
        Self { all: Mutex::default(), events, waiting }
    }

    pub(super) fn add(&self, publisher: &Arc<Publisher>) {
        lock(&self.all).push(Arc::clone(publisher));
    }

    /// Takes over what they have counted. Two with one address, which their users differ in, are one broker.
    pub(super) fn look(&self) {
        let mut brokers: BTreeMap<String, Counts> = BTreeMap::new();
        for publisher in &*lock(&self.all) {
            let (sum, counts) = (brokers.entry(publisher.target().to_string()).or_default(), publisher.counts());
            sum.delivered += counts.delivered;
            sum.dropped += counts.dropped;
            sum.waiting += counts.waiting;
        }
        for (broker, Counts { delivered, dropped, waiting }) in brokers {
            for (outcome, count) in [("delivered", delivered), ("dropped", dropped)] {
                let label = Outcome { broker: broker.clone(), outcome };
                self.events.get_or_create(&label).inner().store(count, Ordering::Relaxed);
            }
            self.waiting.get_or_create(&Broker { broker }).set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
    }
}
