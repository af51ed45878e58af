//! The address that is scraped: one server for everybody in the process who names it.
//!
//! Who connects may be slow, or mean no good: each has a while for its request and its answer, no body is read, and so many are served at
//! a time; the end waits for none of them.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt,
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, Weak},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    runtime,
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};

use super::{Families, StreamMetrics, lock};
use crate::{Error, Result};

/// The text exposition format's own type.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// How long an address in use is tried again.
const GONE: Duration = Duration::from_secs(1);

/// What a client has for its request, and for that and taking the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Clients at a time; others wait.
const CLIENTS: usize = 16;

/// The longest head of a request, in bytes; the least that hyper takes.
const LONGEST: usize = 8 << 10;

/// Servers by the address they were asked for.
static OPEN: Mutex<BTreeMap<SocketAddr, Weak<Endpoint>>> = Mutex::new(BTreeMap::new());

/// A served address; the last owner closes it.
pub struct Endpoint {
    address: SocketAddr,
    families: Arc<Families>,
    /// Dropped, it ends the server.
    open: Option<oneshot::Sender<Infallible>>,
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
        let endpoint = Self::serve(parsed).map(Arc::new).map_err(|cause| {
            Error::Setting(format!("metrics cannot be served at {address}: {cause}; choose another address, or end who has it"))
        })?;
        open.insert(parsed, Arc::downgrade(&endpoint));
        Ok(endpoint)
    }

    fn serve(address: SocketAddr) -> io::Result<Self> {
        let listener = bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let families = Arc::new(Families::default());
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = {
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (open, closed) = oneshot::channel();
        let accepting = accept(listener, Arc::clone(&families));
        let serve = move || {
            // Either the sender is dropped, or this never ends.
            runtime.block_on(async move {
                tokio::select! { _ = closed => (), never = accepting => match never {} }
            });
        };
        let thread = thread::Builder::new().name("metrics".to_owned()).spawn(serve)?;
        Ok(Self { address, families, open: Some(open), thread: Some(thread) })
    }

    /// Where it is served: the port that the system chose where 0 was asked for.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
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
        drop(self.open.take());
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
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let deadline = Instant::now() + GONE;
    loop {
        match TcpListener::bind(address) {
            Err(cause) if cause.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => thread::sleep(GONE / 20),
            bound => return bound,
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, families: Arc<Families>) -> Infallible {
    let room = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let place = Arc::clone(&room).acquire_owned().await.expect("nobody closes it");
        match listener.accept().await {
            Ok((stream, _)) => {
                let families = Arc::clone(&families);
                tokio::spawn(async move {
                    // Who went away before the answer, or was too slow for it, does not miss it.
                    let _ = timeout(PATIENCE, converse(stream, &families)).await;
                    drop(place);
                });
            }
            // This process has too many files open, which may change.
            Err(_) => sleep(GONE / 20).await,
        }
    }
}

async fn converse(stream: TcpStream, families: &Families) -> hyper::Result<()> {
    let answers = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, families)) });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false).max_buf_size(LONGEST);
    connection.serve_connection(TokioIo::new(stream), answers).await
}

fn answer(request: &Request<Incoming>, families: &Families) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, families.text()),
        (&Method::GET | &Method::HEAD, _) => (StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
    };

    use super::*;

    /// Connects and sends this.
    fn ask(endpoint: &Endpoint, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(endpoint.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn answer(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.set_read_timeout(Some(20 * PATIENCE)).unwrap();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn one_address_is_one_server_and_is_free_again_after_the_last() {
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
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

    #[test]
    fn metrics_are_at_one_path_and_read_only() {
        let endpoint = Arc::new(Endpoint::serve("127.0.0.1:0".parse().unwrap()).unwrap());
        let _stream = endpoint.stream("a \"b\"\n");
        let all = answer(ask(&endpoint, "GET /metrics?x=1 HTTP/1.1\r\nHost: here\r\n\r\n"));
        assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.contains(TEXT.to_str().unwrap()), "{all}");
        assert!(all.contains("uniood_stream_fps{stream=\"a \\\"b\\\"\\n\"} 0"), "{all}");
        let head = answer(ask(&endpoint, "HEAD /metrics HTTP/1.1\r\n\r\n"));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(answer(ask(&endpoint, "GET / HTTP/1.1\r\n\r\n")).ends_with("metrics are at /metrics\n"));
        assert!(answer(ask(&endpoint, "DELETE /metrics HTTP/1.1\r\n\r\n")).starts_with("HTTP/1.1 405 "));
    }

    #[test]
    fn clients_that_are_slow_or_mean_no_good_cost_the_others_time_alone_and_the_end_none() {
        let endpoint = Endpoint::serve("127.0.0.1:0".parse().unwrap()).unwrap();
        // More than any memory holds, and never sent; a request that does not end; none at all.
        let greedy = ask(&endpoint, "GET /metrics HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n");
        let endless = ask(&endpoint, &"GET ".repeat(LONGEST / 4 + 1));
        let silent = ask(&endpoint, "");
        assert!(answer(ask(&endpoint, "GET /metrics HTTP/1.1\r\n\r\n")).starts_with("HTTP/1.1 200 OK\r\n"));
        drop((greedy, endless, silent));
        let silent = ask(&endpoint, "");
        let begun = Instant::now();
        drop(endpoint);
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        drop(silent);
    }
}
