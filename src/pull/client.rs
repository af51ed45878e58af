//! Requests to the hub. Each runs on a thread of its own that hands its answer over piece by piece, so that whoever waits for it can stop
//! at once; the thread ends with the next piece, or with its time-out.

use std::{io::Read as _, sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rustls::crypto::ring;
use ureq::{
    Agent,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header, response::Parts},
    tls::{Certificate, RootCerts, TlsConfig},
};

use super::{News, TICK, Watch, fault::Fault};
use crate::{Error, Result, authorities::authorities};

/// Redirects that are followed for one request.
const MOST_REDIRECTS: usize = 10;

/// A piece of a body.
const PIECE: usize = 128 << 10;

/// Pieces that wait to be written.
const PIECES: usize = 8;

/// Of a file that is kept elsewhere, what the hub itself says.
const OF_THE_HUB: [&str; 3] = ["x-linked-etag", "x-linked-size", "x-repo-commit"];

/// How long an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timeouts {
    /// For a name, a connection, the head of an answer: each.
    pub(super) answer: Duration,
    /// For the next bytes of a body.
    pub(super) silence: Duration,
}

/// What requests are made with.
pub(super) struct Client {
    agent: Agent,
    endpoint: Uri,
    token: Option<HeaderValue>,
}

/// An answer; its body is still to come.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Whether it is the hub's own, and not one of where the hub redirects.
    pub(super) at_home: bool,
    pub(super) host: String,
    body: Receiver<Piece>,
}

enum Piece {
    Head(Box<Parts>),
    Body(Vec<u8>),
    Failed(ureq::Error),
}

impl Client {
    pub(super) fn new(endpoint: &str, token: Option<&str>, timeouts: Timeouts) -> Result<Self> {
        let wrong = || Error::Setting(format!("HF_ENDPOINT is `{endpoint}`; wanted an address such as https://huggingface.co"));
        let uri: Uri = endpoint.parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            // Sentences name the endpoint, and a log is no place for a password.
            return Err(Error::Setting(
                "HF_ENDPOINT holds a user or a password; wanted the address alone, and a token in HF_TOKEN".to_owned(),
            ));
        }
        let token = token.map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Error::Setting("the token of the hub (HF_TOKEN, or its file) holds what no token does".to_owned()))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("uniood/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls(secure)?)
            .timeout_resolve(Some(timeouts.answer))
            .timeout_connect(Some(timeouts.answer))
            .timeout_send_request(Some(timeouts.answer))
            .timeout_recv_response(Some(timeouts.answer))
            .timeout_per_read(Some(timeouts.silence))
            .timeout_per_write(Some(timeouts.silence))
            .build();
        Ok(Self { agent: config.new_agent(), endpoint: uri, token: token.transpose()? })
    }

    /// What stands at an address, from byte `from` on, wherever redirects lead.
    pub(super) fn get(&self, address: &str, from: u64, watch: &mut Watch<'_>) -> Result<Answer, Fault> {
        self.follow(&Method::GET, address, from, true, watch)
    }

    /// What the hub says of an address; a redirect to another host is the answer.
    pub(super) fn head(&self, address: &str, watch: &mut Watch<'_>) -> Result<Answer, Fault> {
        self.follow(&Method::HEAD, address, 0, false, watch)
    }

    fn follow(&self, method: &Method, address: &str, from: u64, everywhere: bool, watch: &mut Watch<'_>) -> Result<Answer, Fault> {
        let mut uri: Uri = address.parse().map_err(|_| Fault::lasting(format!("{address} is no address")))?;
        let mut said = HeaderMap::new();
        let mut at_home = true;
        for _ in 0..=MOST_REDIRECTS {
            // A host that is not the hub's never sees the token, nor does the hub at an address that such a host has chosen.
            at_home &= same_origin(&uri, &self.endpoint);
            let token = self.token.as_ref().filter(|_| at_home);
            let mut answer = self.send(method, &uri, from, token, watch)?;
            answer.at_home = at_home;
            for name in OF_THE_HUB {
                if let (true, Some(value), false) = (at_home, answer.headers.get(name), said.contains_key(name)) {
                    said.insert(name, value.clone());
                }
            }
            let next = match answer.headers.get(header::LOCATION) {
                Some(location) if answer.status.is_redirection() => Some(target(&uri, location).ok_or_else(|| {
                    let host = uri.host().unwrap_or_default();
                    Fault::lasting(format!(
                        "{host} redirects to what is no http or https address, or leaves https; nothing is fetched from there"
                    ))
                })?),
                _ => None,
            };
            match next {
                Some(next) if everywhere || same_origin(&next, &self.endpoint) => uri = next,
                _ => {
                    answer.headers.extend(said);
                    return Ok(answer);
                }
            }
        }
        Err(Fault::lasting(format!("{address} redirects more than {MOST_REDIRECTS} times")))
    }

    /// One request as it stands.
    fn send(&self, method: &Method, uri: &Uri, from: u64, token: Option<&HeaderValue>, watch: &mut Watch<'_>) -> Result<Answer, Fault> {
        let mut request = Request::builder().method(method).uri(uri).header(header::ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let host = uri.authority().map_or_else(String::new, ToString::to_string);
        let request = request.body(()).map_err(|error| Fault::lasting(format!("{host} cannot be asked: {error}")))?;
        let (to, body) = bounded(PIECES);
        let agent = self.agent.clone();
        std::thread::Builder::new()
            .name("hub".to_owned())
            .spawn(move || exchange(&agent, request, &to))
            .map_err(|error| Fault::lasting(format!("no thread for a request: {error}")))?;
        match wait(&body, watch)? {
            Some(Piece::Head(head)) => Ok(Answer { status: head.status, headers: head.headers, at_home: true, host, body }),
            Some(Piece::Failed(error)) => Err(Fault::transport(&host, &error)),
            Some(Piece::Body(_)) | None => Err(Fault::Lasting(Error::Worker)),
        }
    }
}

impl Answer {
    /// The next piece of the body; `None` behind the last.
    pub(super) fn next(&mut self, watch: &mut Watch<'_>) -> Result<Option<Vec<u8>>, Fault> {
        match wait(&self.body, watch)? {
            Some(Piece::Body(piece)) => Ok(Some(piece)),
            Some(Piece::Failed(error)) => Err(Fault::transport(&self.host, &error)),
            Some(Piece::Head(_)) | None => Ok(None),
        }
    }

    /// The whole body, which must not be longer than `most`.
    pub(super) fn whole(mut self, most: usize, watch: &mut Watch<'_>) -> Result<Vec<u8>, Fault> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next(watch)? {
            whole.extend(piece);
            if whole.len() > most {
                return Err(Fault::lasting(format!("{} answers with more than {most} bytes where a list of files was wanted", self.host)));
            }
        }
        Ok(whole)
    }

    /// A header's value as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// On the request's own thread. Whoever waits may be gone at any time, which ends it.
fn exchange(agent: &Agent, request: Request<()>, to: &Sender<Piece>) {
    let answer = match agent.run(request) {
        Ok(answer) => answer,
        Err(error) => {
            let _ = to.send(Piece::Failed(error));
            return;
        }
    };
    let (head, body) = answer.into_parts();
    if to.send(Piece::Head(Box::new(head))).is_err() {
        return;
    }
    let mut body = body.into_reader();
    loop {
        let mut piece = vec![0; PIECE];
        let read = match body.read(&mut piece) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) => {
                let _ = to.send(Piece::Failed(ureq::Error::from(error)));
                return;
            }
        };
        piece.truncate(read);
        if to.send(Piece::Body(piece)).is_err() {
            return;
        }
    }
}

/// `None` where nothing more comes.
fn wait(from: &Receiver<Piece>, watch: &mut Watch<'_>) -> Result<Option<Piece>> {
    loop {
        match from.recv_timeout(TICK) {
            Ok(piece) => return Ok(Some(piece)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => watch(News::Idle)?,
        }
    }
}

/// The system's certificate authorities; where there are none, only plain http can be had.
fn tls(needed: bool) -> Result<TlsConfig> {
    let trusted = authorities()
        .or_else(|problem| if needed { Err(Error::Hub(format!("{problem}, or set SSL_CERT_FILE"))) } else { Ok(Vec::new()) })?;
    let certificates: Vec<Certificate<'static>> = trusted.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}

/// Whether two addresses have scheme, host and port in common.
fn same_origin(a: &Uri, b: &Uri) -> bool {
    let origin = |uri: &Uri| {
        let scheme = uri.scheme_str()?.to_owned();
        let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Some((scheme, uri.host()?.to_ascii_lowercase(), port))
    };
    origin(a).is_some_and(|a| Some(a) == origin(b))
}

/// Where a redirect leads; `None` where that is not to be followed.
fn target(from: &Uri, location: &HeaderValue) -> Option<Uri> {
    let location = location.to_str().ok()?;
    let scheme = from.scheme_str()?;
    let uri: Uri = if location.starts_with("//") {
        format!("{scheme}:{location}").parse().ok()?
    } else if location.starts_with('/') {
        format!("{scheme}://{}{location}", from.authority()?).parse().ok()?
    } else {
        location.parse().ok()?
    };
    uri.host()?;
    (uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && scheme == "http")).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn redirects_stay_with_http_and_do_not_leave_https() {
        for (from, location, wanted) in [
            ("https://hub/a", "/b?x=1", Some("https://hub/b?x=1")),
            ("https://hub:8443/a", "//cdn/b", Some("https://cdn/b")),
            ("http://hub/a", "https://cdn/b", Some("https://cdn/b")),
            ("http://hub/a", "http://cdn:1/b", Some("http://cdn:1/b")),
            ("https://hub/a", "http://cdn/b", None),
            ("http://hub/a", "file:///etc/passwd", None),
            ("http://hub/a", "ftp://cdn/b", None),
            ("http://hub/a", "b", None),
            ("http://hub/a", "", None),
        ] {
            let found = target(&uri(from), &HeaderValue::from_str(location).unwrap());
            assert_eq!(found, wanted.map(uri), "{from} {location}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert!(same_origin(&uri("https://hub/a"), &uri("https://HUB:443/b")));
        for other in ["http://hub/", "https://hub:444/", "https://cdn.hub/"] {
            assert!(!same_origin(&uri("https://hub/"), &uri(other)), "{other}");
        }
    }

    #[test]
    fn an_endpoint_that_is_none_is_named() {
        let timeouts = Timeouts { answer: TICK, silence: TICK };
        for endpoint in ["", "hub", "ftp://hub", "https://"] {
            assert!(matches!(Client::new(endpoint, None, timeouts), Err(Error::Setting(_))), "{endpoint}");
        }
        let password = Client::new("https://user:secret@hub", None, timeouts).err().unwrap().to_string();
        assert!(password.contains("HF_TOKEN") && !password.contains("secret"), "{password}");
        let token = Client::new("http://hub", Some("secret\n"), timeouts).err().unwrap().to_string();
        assert!(token.contains("HF_TOKEN") && !token.contains("secret"), "{token}");
    }
}
