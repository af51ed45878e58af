//! Events to real brokers that die and return: each one is delivered, or counted as dropped, and nobody waits.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use mosquitto::{Authority, Mosquitto, free_port};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use uniood::publish::{Publisher, Target};

const DEADLINE: Duration = Duration::from_mins(1);

/// Everything that arrives at a topic, over as many brokers as there are in turn.
struct Subscriber {
    heard: Arc<Mutex<Vec<u32>>>,
    ready: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Subscriber {
    fn start(port: u16, topic: &'static str) -> Self {
        let (heard, ready, over) = (Arc::default(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let listen = {
            let (heard, ready, over): (Arc<Mutex<Vec<u32>>>, _, _) = (Arc::clone(&heard), Arc::clone(&ready), Arc::clone(&over));
            move || {
                let (client, mut connection) = Client::new(MqttOptions::new(format!("subscriber-{port}"), "127.0.0.1", port), 10);
                while !over.load(Ordering::Relaxed) {
                    match connection.recv_timeout(Duration::from_millis(100)) {
                        Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => client.subscribe(topic, QoS::AtLeastOnce).unwrap(),
                        Ok(Ok(Event::Incoming(Packet::SubAck(_)))) => ready.store(true, Ordering::Relaxed),
                        Ok(Ok(Event::Incoming(Packet::Publish(event)))) => {
                            heard.lock().unwrap().push(String::from_utf8(event.payload.to_vec()).unwrap().parse().unwrap());
                        }
                        Ok(Err(_)) => {
                            ready.store(false, Ordering::Relaxed);
                            std::thread::park_timeout(Duration::from_millis(20));
                        }
                        _ => {}
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().spawn(listen).unwrap();
        Self { heard, ready, over, thread: Some(thread) }
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    fn heard(&self) -> BTreeSet<u32> {
        self.heard.lock().unwrap().iter().copied().collect()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

#[track_caller]
fn wait_for(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !reached() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn publisher(target: &str, most: usize) -> (Publisher, Arc<Mutex<Vec<String>>>) {
    started(target.parse().unwrap(), most)
}

fn started(target: Target, most: usize) -> (Publisher, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let say = Arc::clone(&said);
    (Publisher::start(target, most, move |news| say.lock().unwrap().push(news.to_owned())).unwrap(), said)
}

fn publish(publisher: &Publisher, numbers: std::ops::Range<u32>) {
    for number in numbers {
        publisher.publish("cam", number.to_string().as_bytes());
    }
}

fn has(said: &Mutex<Vec<String>>, text: &str) -> bool {
    said.lock().unwrap().iter().any(|said| said.contains(text))
}

#[test]
fn a_broker_killed_in_mid_stream_gets_everything_once_it_is_back() {
    let port = free_port();
    let Some(broker) = Mosquitto::start(port, None) else { return };
    let subscriber = Subscriber::start(port, "uniood/events");
    wait_for("the subscription", || subscriber.is_ready());
    let (publisher, said) = publisher(&format!("mqtt://127.0.0.1:{port}/uniood/events"), 10_000);
    publish(&publisher, 0..500);
    wait_for("the first events", || publisher.counts().delivered == 500 && subscriber.heard().len() == 500);
    drop(broker);
    wait_for("the subscriber's loss", || !subscriber.is_ready());
    publish(&publisher, 500..800);
    wait_for("the loss", || has(&said, "connection lost"));
    let _broker = Mosquitto::start(port, None).unwrap();
    wait_for("the subscription", || subscriber.is_ready());
    publish(&publisher, 800..1000);
    let counts = publisher.finish(DEADLINE, || false);
    assert_eq!((counts.delivered, counts.dropped, counts.waiting), (1000, 0, 0), "{:?}", said.lock().unwrap());
    // What the broker took before the subscriber was back is not kept for it: the accounting is between publisher and broker.
    wait_for("the events", || {
        subscriber.heard().is_superset(&(800..1000).collect()) && subscriber.heard().is_superset(&(0..500).collect())
    });
}

#[test]
fn a_broker_that_stays_away_costs_the_oldest_events_and_no_time() {
    let port = free_port();
    let (publisher, said) = publisher(&format!("mqtt://keeper:s3same@127.0.0.1:{port}/uniood"), 100);
    let began = Instant::now();
    publish(&publisher, 0..5000);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    wait_for("the news", || has(&said, "no connection") && has(&said, "the oldest events are dropped"));
    let Some(_broker) = Mosquitto::start(port, Some(("keeper", "s3same"))) else { return };
    let counts = publisher.finish(DEADLINE, || false);
    assert_eq!((counts.delivered, counts.dropped), (100, 4900), "{:?}", said.lock().unwrap());
    assert!(!said.lock().unwrap().iter().any(|said| said.contains("s3same")));
}

#[test]
fn wrong_credentials_are_said_and_what_cannot_be_sent_is_counted() {
    let port = free_port();
    let Some(_broker) = Mosquitto::start(port, Some(("keeper", "s3same"))) else { return };
    let (publisher, said) = publisher(&format!("mqtt://keeper:wr0ng@127.0.0.1:{port}/uniood"), 100);
    publish(&publisher, 0..5);
    wait_for("the refusal", || has(&said, "refuses"));
    let counts = publisher.finish(Duration::from_millis(300), || false);
    assert_eq!((counts.delivered, counts.dropped, counts.waiting), (0, 5, 0));
    assert!(!has(&said, "wr0ng"));
}

#[test]
fn over_tls_a_broker_is_trusted_whose_authority_is_named_and_no_other() {
    let (authority, stranger, port) = (Authority::new(), Authority::new(), free_port());
    let Some(_broker) = Mosquitto::start_secure(port, Some(("keeper", "s3same")), &authority) else { return };
    let target: Target = format!("mqtts://keeper:s3same@127.0.0.1:{port}/uniood").parse().unwrap();
    let (trusting, said) = started(target.clone().trusting(&authority.certificate()), 100);
    publish(&trusting, 0..50);
    let counts = trusting.finish(DEADLINE, || false);
    assert_eq!((counts.delivered, counts.dropped), (50, 0), "{:?}", said.lock().unwrap());
    let (wary, said) = started(target.trusting(&stranger.certificate()), 100);
    publish(&wary, 0..5);
    wait_for("the refusal", || has(&said, "its authority is not trusted"));
    let counts = wary.finish(Duration::from_millis(300), || false);
    assert_eq!((counts.delivered, counts.dropped), (0, 5));
    assert!(!has(&said, "s3same"));
}

#[cfg(feature = "kafka")]
#[test]
fn a_kafka_broker_that_goes_and_returns_gets_everything() {
    use rdkafka::{
        ClientConfig, Offset, TopicPartitionList,
        consumer::{BaseConsumer, Consumer},
        message::Message,
        mocking::MockCluster,
    };

    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("events", 1, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let (publisher, said) = publisher(&format!("kafka://{servers}/events"), 10_000);
    publish(&publisher, 0..300);
    wait_for("the first events", || publisher.counts().delivered == 300);
    cluster.broker_down(1).unwrap();
    publish(&publisher, 300..500);
    wait_for("the loss", || has(&said, "connection lost"));
    cluster.broker_up(1).unwrap();
    publish(&publisher, 500..600);
    let counts = publisher.finish(DEADLINE, || false);
    assert_eq!((counts.delivered, counts.dropped, counts.waiting), (600, 0, 0), "{:?}", said.lock().unwrap());

    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &servers).set("group.id", "test").create().unwrap();
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset("events", 0, Offset::Beginning).unwrap();
    consumer.assign(&partition).unwrap();
    let heard = Mutex::new(BTreeSet::new());
    wait_for("the events", || {
        if let Some(Ok(event)) = consumer.poll(Duration::from_millis(100)) {
            assert_eq!(event.key(), Some(b"cam".as_slice()));
            heard.lock().unwrap().insert(std::str::from_utf8(event.payload().unwrap()).unwrap().parse::<u32>().unwrap());
        }
        heard.lock().unwrap().len() == 600
    });
}
