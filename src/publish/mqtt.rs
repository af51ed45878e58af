//! MQTT 3.1.1, quality of service 1: an event is delivered when the broker acknowledges it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rumqttc::{
    Client, Connection, ConnectionError, Event as Packet, MqttOptions, Outgoing, Packet as Incoming, QoS, RecvTimeoutError,
    TlsConfiguration, Transport,
};
use rustls::ClientConfig;

use super::{Broker, Event, LONGEST, Lost, Say, Target, WINDOW, outbox::Outbox};

/// How long new events may wait for the network to have had its turn.
const TURN: Duration = Duration::from_millis(20);

/// A broker that says nothing for this long is away.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Seconds for a connection, and for a packet to go out.
const TIMEOUT: u64 = 5;

pub(super) struct Mqtt {
    options: MqttOptions,
    topic: String,
}

impl Mqtt {
    /// Over TLS where there is a configuration for it.
    pub(super) fn new(target: &Target, tls: Option<Arc<ClientConfig>>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let id = format!("uniood-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut options = MqttOptions::new(id, &target.host, target.port);
        // Acknowledgements out of order must not find a number taken.
        options.set_inflight(u16::try_from(2 * WINDOW).unwrap_or(u16::MAX));
        options.set_max_packet_size(LONGEST, 2 * LONGEST).set_keep_alive(KEEP_ALIVE);
        if let Some(tls) = tls {
            options.set_transport(Transport::Tls(TlsConfiguration::Rustls(tls)));
        }
        if let Some(credentials) = target.address().credentials() {
            options.set_credentials(credentials.user, credentials.password);
        }
        Self { options, topic: target.topic.clone() }
    }
}

impl Broker for Mqtt {
    fn send(&mut self, outbox: &Outbox, say: &Say) -> Result<(), Lost> {
        // A new client each time: what was not acknowledged is ours to send again, not its.
        let (client, mut connection) = Client::new(self.options.clone(), WINDOW);
        connection.eventloop.network_options.set_connection_timeout(TIMEOUT);
        match connection.recv() {
            Ok(Ok(Packet::Incoming(Incoming::ConnAck(_)))) => say("connected"),
            Ok(Err(error)) => return Err(Lost { was_there: false, why: format!("no connection: {}", sentence(&error)) }),
            other => return Err(Lost { was_there: false, why: format!("no connection: the broker answers {other:?}") }),
        }
        let mut sent = Sent::default();
        let lost = loop {
            if let Err(why) = sent.fill(&client, &self.topic, outbox) {
                break why;
            }
            if outbox.is_done() {
                leave(&client, &mut connection);
                return Ok(());
            }
            match connection.recv_timeout(TURN) {
                Ok(Ok(Packet::Outgoing(Outgoing::Publish(number)))) => sent.number(number),
                Ok(Ok(Packet::Incoming(Incoming::PubAck(acknowledged)))) => {
                    if sent.acknowledge(acknowledged.pkid) {
                        outbox.delivered();
                    }
                }
                Ok(Ok(_)) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Err(error)) => break sentence(&error),
                Err(RecvTimeoutError::Disconnected) => break "the connection ended".to_owned(),
            }
        };
        outbox.give_back(sent.0.into_iter().map(|(_, event)| event));
        Err(Lost { was_there: true, why: format!("connection lost: {lost}") })
    }
}

/// Events without an acknowledgement, in order, with the packet's number once it has one.
#[derive(Default)]
struct Sent(VecDeque<(Option<u16>, Event)>);

impl Sent {
    fn fill(&mut self, client: &Client, topic: &str, outbox: &Outbox) -> Result<(), String> {
        while self.0.len() < WINDOW
            && let Some(event) = outbox.take()
        {
            let payload = event.payload.clone();
            self.0.push_back((None, event));
            client.try_publish(topic, QoS::AtLeastOnce, false, payload).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Packets go out in the order they were given.
    fn number(&mut self, number: u16) {
        if let Some((unnumbered, _)) = self.0.iter_mut().find(|(unnumbered, _)| unnumbered.is_none()) {
            *unnumbered = Some(number);
        }
    }

    fn acknowledge(&mut self, number: u16) -> bool {
        let at = self.0.iter().position(|(sent, _)| *sent == Some(number));
        at.and_then(|at| self.0.remove(at)).is_some()
    }
}

/// Says goodbye, where that can still be done.
fn leave(client: &Client, connection: &mut Connection) {
    if client.try_disconnect().is_ok() {
        while let Ok(Ok(event)) = connection.recv_timeout(TURN) {
            if event == Packet::Outgoing(Outgoing::Disconnect) {
                break;
            }
        }
    }
}

fn sentence(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(code) => format!("the broker refuses it ({code:?})"),
        // rumqttc says only that it was TLS; what is behind it says which certificate.
        ConnectionError::Tls(error) => match std::error::Error::source(error) {
            Some(cause) => untrusted(&cause.to_string()),
            None => untrusted(&error.to_string()),
        },
        other => untrusted(&other.to_string()),
    }
}

/// Adds what can be done about a certificate that is refused.
fn untrusted(error: &str) -> String {
    if error.contains("invalid peer certificate") {
        format!("{error}: the broker is not the one that was named, or its authority is not trusted, which --publish-ca names")
    } else {
        error.to_owned()
    }
}
