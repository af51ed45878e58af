//! The address that is scraped: one server for everybody in the process who names it.

use std::{
    collections::BTreeMap,
    fmt,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, Weak},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tiny_http::{Header, Method, Request, Response, Server};

use super::{Families, StreamMetrics, lock};
use crate::{Error, Result};

/// The text exposition format's own type.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long an address in use is tried again.
const GONE: Duration = Duration::from_secs(1);

/// Servers by the address they were asked for.
static OPEN: Mutex<BTreeMap<SocketAddr, Weak<Endpoint>>> = Mutex::new(BTreeMap::new());

/// A served address; the last owner closes it.
pub struct Endpoint {
    server: Arc<Server>,
    families: Arc<Families>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Serves `address` (`host:port`), or joins who serves it already in this process.
    ///
    /// # Errors
    /// [`Error::Setting`] where it is no address, or cannot be had.
    pub fn open(address: &str) -> Result<Arc<Self>> {
        let parsed: SocketAddr = address
            .parse()
            .map_err(|_| Error::Setting(format!("metrics: `{address}` is no address; wanted an IP and a port, as 127.0.0.1:9464")))?;
        let mut open = lock(&OPEN);
        if let Some(endpoint) = open.get(&parsed).and_then(Weak::upgrade) {
            return Ok(endpoint);
        }
        let refused = |cause: &dyn fmt::Display| {
            Error::Setting(format!("metrics cannot be served at {address}: {cause}; choose another address, or end who has it"))
        };
        let server = Arc::new(bind(parsed).map_err(|cause| refused(&cause))?);
        let families = Arc::new(Families::default());
        let serve = {
            let (server, families) = (Arc::clone(&server), Arc::clone(&families));
            move || server.incoming_requests().for_each(|request| answer(request, &families))
        };
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(serve).map_err(|cause| refused(&cause))?;
        let endpoint = Arc::new(Self { server, families, thread: Some(thread) });
        open.insert(parsed, Arc::downgrade(&endpoint));
        Ok(endpoint)
    }

    /// Where it is served: the port that the system chose where 0 was asked for.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.server.server_addr())
    }

    /// What a stream counts.
    #[must_use]
    pub fn stream(self: &Arc<Self>, stream: &str) -> StreamMetrics {
        StreamMetrics::new(Arc::clone(self), stream)
    }

    /// Tells of what becomes of a publisher's events.
    #[cfg(feature = "publish")]
    pub fn publisher(&self, publisher: &Arc<crate::publish::Publisher>) {
        self.families.publishers.add(publisher);
    }

    pub(super) fn families(&self) -> &Families {
        &self.families
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            // A panic of the server's is in the log, and nothing can be done about it here.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.url()).finish()
    }
}

/// A server of ours that has just ended frees its address a moment later.
fn bind(address: SocketAddr) -> std::io::Result<Server> {
    let deadline = Instant::now() + GONE;
    let listener = loop {
        match TcpListener::bind(address) {
            Err(cause) if cause.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => std::thread::sleep(GONE / 20),
            bound => break bound?,
        }
    };
    Server::from_listener(listener, None).map_err(std::io::Error::other)
}

/// Who went away before the answer does not miss it.
fn answer(request: Request, families: &Families) {
    let path = request.url().split('?').next().unwrap_or_default();
    let _ = match (request.method(), path) {
        (Method::Get | Method::Head, "/metrics") => {
            let kind = Header::from_bytes("Content-Type", CONTENT_TYPE).expect("both are ASCII");
            request.respond(Response::from_string(families.text()).with_header(kind))
        }
        (Method::Get | Method::Head, _) => request.respond(Response::from_string("metrics are at /metrics\n").with_status_code(404)),
        _ => request.respond(Response::empty(405)),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_one_server_and_is_free_again_after_the_last() {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = probe.local_addr().unwrap().to_string();
        let taken = Endpoint::open(&address).unwrap_err().to_string();
        assert!(taken.contains("cannot be served at 127.0.0.1:"), "{taken}");
        drop(probe);
        let first = Endpoint::open(&address).unwrap();
        let second = Endpoint::open(&address).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        drop(Endpoint::open(&address).unwrap());
    }

    #[test]
    fn what_is_no_address_is_told_how_one_looks() {
        let error = Endpoint::open("localhost").unwrap_err().to_string();
        assert!(error.contains("as 127.0.0.1:9464"), "{error}");
    }
}
