//! Kafka, through librdkafka: an event is delivered when the topic's replicas have it. librdkafka itself keeps and repeats what is on its
//! way, and connects again after pauses that double.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};

use super::{Broker, FIRST_PAUSE, Lost, Say, Target, WINDOW, outbox::Outbox};
use crate::backoff;

/// How long new events may wait for the network to have had its turn.
const TURN: Duration = Duration::from_millis(20);

pub(super) struct Kafka {
    servers: String,
    topic: String,
}

impl Kafka {
    pub(super) fn new(target: &Target) -> Self {
        let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
        Self { servers: format!("{host}:{}", target.port), topic: target.topic.clone() }
    }

    fn producer(&self) -> Result<BaseProducer<Told>, KafkaError> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.servers)
            .set("client.id", "uniood")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            // An event is given up by the outbox alone.
            .set("message.timeout.ms", "0")
            .set("reconnect.backoff.ms", FIRST_PAUSE.as_millis().to_string())
            .set("reconnect.backoff.max.ms", backoff::MOST.as_millis().to_string())
            .create_with_context(Told::default())
    }
}

impl Broker for Kafka {
    fn send(&mut self, outbox: &Outbox, say: &Say) -> Result<(), Lost> {
        let producer = self.producer().map_err(|error| Lost { was_there: false, why: error.to_string() })?;
        let mut on_the_way = 0_usize;
        let mut is_there = None;
        while !outbox.is_done() {
            while on_the_way < WINDOW
                && let Some(event) = outbox.take()
            {
                let record = BaseRecord::to(&self.topic).key(&event.key).payload(&event.payload);
                match producer.send(record) {
                    Ok(()) => on_the_way += 1,
                    Err((error, _)) => {
                        say(&format!("an event is dropped: {error}"));
                        outbox.refused();
                    }
                }
            }
            producer.poll(TURN);
            let told = producer.context().take();
            on_the_way -= told.delivered + told.refused.len();
            (0..told.delivered).for_each(|_| outbox.delivered());
            for why in told.refused {
                say(&format!("an event is dropped: {why}"));
                outbox.refused();
            }
            if told.delivered > 0 && is_there != Some(true) {
                is_there = Some(true);
                say("connected");
            }
            if let Some(why) = told.trouble.filter(|_| is_there != Some(false)) {
                is_there = Some(false);
                say(&format!("connection lost: {why}; it is tried again after pauses up to {:?}", backoff::MOST));
            }
        }
        Ok(())
    }
}

/// What librdkafka has told since it was last asked; it tells only while it is polled.
#[derive(Default)]
struct Told(Mutex<News>);

#[derive(Default)]
struct News {
    delivered: usize,
    refused: Vec<String>,
    trouble: Option<String>,
}

impl Told {
    fn take(&self) -> News {
        self.with(std::mem::take)
    }

    fn with<T>(&self, what: impl FnOnce(&mut News) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Told {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("librdkafka {facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("librdkafka {error}: {reason}");
        self.with(|news| news.trouble = Some(reason.to_owned()));
    }
}

impl ProducerContext for Told {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.with(|news| match result {
            Ok(_) => news.delivered += 1,
            Err((error, _)) => news.refused.push(error.to_string()),
        });
    }
}
