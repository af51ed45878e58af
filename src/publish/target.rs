//! Where events go: `mqtt://[user:password@]host[:port]/topic`, `mqtts://…` over TLS, or `kafka://host[:port]/topic`.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{Broker, mqtt::Mqtt, tls};
use crate::{Error, Result, address::Address};

/// A broker and a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    address: Address,
    kind: Kind,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) topic: String,
    /// Of a TLS connection: the authorities that are trusted in place of the system's.
    pub(super) ca: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mqtt,
    /// MQTT over TLS.
    Mqtts,
    #[cfg(feature = "kafka")]
    Kafka,
}

impl Target {
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Trusts the authorities in this PEM file and no others, where the connection is over TLS.
    #[must_use]
    pub fn trusting(self, ca: &Path) -> Self {
        Self { ca: Some(ca.to_owned()), ..self }
    }

    pub(super) fn broker(&self) -> Result<Box<dyn Broker>> {
        Ok(match self.kind {
            Kind::Mqtt => Box::new(Mqtt::new(self, None)),
            Kind::Mqtts => Box::new(Mqtt::new(self, Some(tls::client(self.ca.as_deref())?))),
            #[cfg(feature = "kafka")]
            Kind::Kafka => Box::new(super::kafka::Kafka::new(self)),
        })
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wanted = "wanted mqtt://[user:password@]host[:port]/topic, mqtts://… over TLS, or kafka://host[:port]/topic";
        let address = Address::parse(text).ok_or_else(|| Error::Setting(format!("publish: this is no address; {wanted}")))?;
        let wrong = |problem: &str| Error::Setting(format!("{address}: {problem}; {wanted}"));
        let (kind, port) = match address.scheme() {
            "mqtt" => (Kind::Mqtt, 1883),
            "mqtts" => (Kind::Mqtts, 8883),
            "kafka" if address.credentials().is_some() => return Err(wrong("this version has no user and password for Kafka")),
            #[cfg(feature = "kafka")]
            "kafka" => (Kind::Kafka, 9092),
            #[cfg(not(feature = "kafka"))]
            "kafka" => return Err(wrong("this build has no Kafka, build it with `--features kafka`")),
            "kafkas" | "kafka+ssl" => {
                return Err(wrong(
                    "this version has no TLS to Kafka; give the brokers a plaintext listener for this machine, or put a proxy in between that rewrites their addresses",
                ));
            }
            _ => return Err(wrong("there is no such broker")),
        };
        let (server, topic) = address.rest().split_once('/').filter(|(_, topic)| !topic.is_empty()).ok_or_else(|| wrong("no topic"))?;
        let (host, port) =
            match server.rsplit_once(':').filter(|(host, _)| !host.ends_with(':') && (!host.contains(':') || host.ends_with(']'))) {
                Some((host, port)) => (host, port.parse().map_err(|_| wrong("the port is no number"))?),
                None => (server, port),
            };
        if host.is_empty() {
            return Err(wrong("no host"));
        }
        if matches!(kind, Kind::Mqtt | Kind::Mqtts) && topic.contains(['+', '#']) {
            return Err(wrong("an event's topic has no wildcards"));
        }
        let (host, topic) = (host.trim_matches(['[', ']']).to_owned(), topic.to_owned());
        Ok(Self { address, kind, host, port, topic, ca: None })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_ports_and_topics_are_read() {
        for (text, host, port, topic) in [
            ("mqtt://broker/uniood", "broker", 1883, "uniood"),
            ("mqtt://user:pa:ss@broker:1884/a/b", "broker", 1884, "a/b"),
            ("mqtt://[::1]:1884/a", "::1", 1884, "a"),
            ("mqtt://[::1]/a", "::1", 1883, "a"),
            ("mqtts://user:word@broker/a", "broker", 8883, "a"),
            #[cfg(feature = "kafka")]
            ("kafka://10.0.0.1/events", "10.0.0.1", 9092, "events"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!((target.host.as_str(), target.port, target.topic.as_str()), (host, port, topic), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_a_sentence_without_the_password() {
        for (text, problem) in [
            ("broker/topic", "no address"),
            ("mqtt://u:secret@broker", "no topic"),
            ("mqtt://u:secret@broker:x/a", "no number"),
            ("mqtt:///a", "no host"),
            ("mqtt://b/a/#", "wildcards"),
            ("mqtts://u:secret@b/a/+", "wildcards"),
            ("kafka+ssl://u:secret@b/a", "no TLS to Kafka"),
            ("amqp://u:secret@b/a", "no such broker"),
            ("kafka://u:secret@b/a", "no user and password for Kafka"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(problem) && !error.contains("secret"), "{error}");
        }
    }
}
