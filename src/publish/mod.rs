//! Events to a broker, beside files: nobody ever waits for the broker, and every event is accounted for.
//!
//! A [`Publisher`] takes events into a bounded buffer and sends them from a thread of its own. Where the broker is away it is connected to
//! again after pauses that double up to 30 s; where the buffer is full the oldest event is dropped, counted and said. An event counts as
//! delivered when the broker has confirmed it, and may arrive twice where a connection ended before that.

#[cfg(feature = "kafka")]
mod kafka;
mod mqtt;
mod outbox;
mod target;
mod tls;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

pub use outbox::Counts;
use outbox::Outbox;
pub use target::Target;

use crate::{
    Error, Result,
    backoff::{self, Backoff},
};

/// Pause before the first attempt to reconnect.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Pause between attempts while [`Publisher::finish`] is waited for.
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// Events that may wait for a confirmation at once.
const WINDOW: usize = 100;

/// The longest event; brokers take about a megabyte.
const LONGEST: usize = 900_000;

/// One event on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    /// What keeps order among events of one kind: the stream.
    key: String,
    payload: Vec<u8>,
}

/// A connection that ended.
#[derive(Debug)]
struct Lost {
    /// Whether it had been one.
    was_there: bool,
    why: String,
}

/// Who says news of the broker: one line each, without user and password.
type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// One connection to a broker after the other.
trait Broker: Send {
    /// Connects and sends what is in the outbox, until that is done with (`Ok`) or the connection is lost. What was not confirmed is in
    /// the outbox again then.
    fn send(&mut self, outbox: &Outbox, say: &Say) -> Result<(), Lost>;
}

/// Sends events to one place.
pub struct Publisher {
    target: Target,
    outbox: Arc<Outbox>,
    say: Say,
}

impl Publisher {
    /// Starts sending; at most `most` events wait. `say` gets news of the broker.
    ///
    /// # Errors
    /// [`Error::Setting`] where the system gives no thread, and whatever the authorities of a TLS connection can be wrong in.
    pub fn start(target: Target, most: usize, say: impl Fn(&str) + Send + Sync + 'static) -> Result<Self> {
        let mut broker = target.broker()?;
        let say: Say = Arc::new(say);
        let outbox = Arc::new(Outbox::new(most));
        let work = {
            let (outbox, say) = (Arc::clone(&outbox), Arc::clone(&say));
            move || {
                work(&mut *broker, &outbox, &say);
                outbox.finished();
            }
        };
        std::thread::Builder::new()
            .name("publish".to_owned())
            .spawn(work)
            .map_err(|cause| Error::Setting(format!("{target}: no thread can be had: {cause}")))?;
        Ok(Self { target, outbox, say })
    }

    /// Where to, without user and password.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Takes an event; never waits. `key` keeps the order among events of one stream.
    pub fn publish(&self, key: &str, payload: &[u8]) {
        if payload.len() > LONGEST {
            (self.say)(&format!("an event of {} bytes is dropped; brokers take {LONGEST}", payload.len()));
            self.outbox.refuse();
        } else if self.outbox.put(Event { key: key.to_owned(), payload: payload.to_owned() }) {
            (self.say)("the buffer is full; the oldest events are dropped until the broker keeps up");
        }
    }

    /// What has become of the events so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.outbox.counts()
    }

    /// Sends what is left, for as long as `patience` lasts and `give_up` does not say so; what is not confirmed then counts as dropped.
    #[must_use]
    pub fn finish(&self, patience: Duration, give_up: impl Fn() -> bool) -> Counts {
        self.outbox.finish(Instant::now() + patience, give_up)
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("target", &self.target).field("counts", &self.counts()).finish_non_exhaustive()
    }
}

fn work(broker: &mut dyn Broker, outbox: &Outbox, say: &Say) {
    let mut backoff = Backoff::new(FIRST_PAUSE, backoff::MOST);
    while let Err(Lost { was_there, why }) = broker.send(outbox, say) {
        if was_there {
            backoff.reset();
        }
        let pause = if outbox.is_closed() { LAST_PAUSE } else { backoff.delay() };
        say(&format!("{why}; next attempt in {pause:?}"));
        if outbox.pause(pause) {
            break;
        }
    }
}
