//! What can go wrong with a request, as sentences: what passes and is tried again, what does not and is said at once.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use ureq::http::{HeaderMap, StatusCode};

use super::repository::{RepositoryId, Revision};
use crate::Error;

/// Why a request brought nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// It may go better the next time.
    Passing {
        why: String,
        /// How long the server asks to be left alone.
        pause: Option<Duration>,
    },
    /// It will not.
    Lasting(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

impl Fault {
    pub(super) fn passing(why: impl Into<String>) -> Self {
        Self::Passing { why: why.into(), pause: None }
    }

    pub(super) fn lasting(why: impl Into<String>) -> Self {
        Self::Lasting(Error::Hub(why.into()))
    }

    /// A request that got no answer, or none to its end.
    pub(super) fn transport(host: &str, error: &ureq::Error) -> Self {
        match error {
            ureq::Error::Timeout(_) => Self::passing(format!("{host} does not answer in time")),
            ureq::Error::HostNotFound => {
                Self::passing(format!("{host} is not found; is there a connection, and is HF_ENDPOINT spelled right?"))
            }
            ureq::Error::Io(cause) if cause.kind() == ErrorKind::UnexpectedEof => Self::passing(format!("{host} cut the connection")),
            ureq::Error::Io(cause) if is_untrusted(cause) => Self::lasting(format!(
                "{host} is not trusted: {cause}; where a proxy or a mirror has a certificate authority of its own, name that by SSL_CERT_FILE"
            )),
            ureq::Error::Io(cause) => Self::passing(format!("the connection to {host} failed: {cause}")),
            other => Self::passing(format!("the connection to {host} failed: {other}")),
        }
    }
}

/// Whether it is the certificate that a connection failed by.
fn is_untrusted(cause: &io::Error) -> bool {
    let inner = cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

/// What an answer that is no success means.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, asked: &Asked<'_>) -> Fault {
    let Asked { endpoint, repository, revision, file, with_token } = asked;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(shown).unwrap_or_default();
    let (code, message) = (header("x-error-code"), header("x-error-message"));
    match status.as_u16() {
        408 | 429 | 500..=599 => {
            let pause = header("retry-after").parse().ok().map(Duration::from_secs);
            Fault::Passing { why: format!("{endpoint} answers {status}"), pause }
        }
        401 | 403 if code == "GatedRepo" || (status == StatusCode::FORBIDDEN && code.is_empty()) => Fault::lasting(format!(
            "{repository} is gated ({status}): accept its licence at {endpoint}/{repository}, then {}",
            if *with_token { "use a token (HF_TOKEN) of the account that accepted it" } else { "set HF_TOKEN to a token of that account" }
        )),
        401 if *with_token && code != "RepoNotFound" => Fault::lasting(format!(
            "{endpoint} refuses the token ({status}); make one at {endpoint}/settings/tokens, or unset HF_TOKEN for what is public"
        )),
        404 if code == "EntryNotFound" => Fault::lasting(format!("{repository} has no file {file} at {revision}")),
        404 if code == "RevisionNotFound" => {
            Fault::lasting(format!("{repository} has no revision {revision}; see {endpoint}/{repository}/commits"))
        }
        401 | 404 => Fault::lasting(format!(
            "{endpoint} has no repository {repository}, or it is private ({status}): look at its spelling{}",
            if *with_token { ", and whose HF_TOKEN it is" } else { ", or set HF_TOKEN to a token that may read it" }
        )),
        _ => {
            let message = if message.is_empty() { String::new() } else { format!(": {message}") };
            Fault::lasting(format!("{endpoint} answers {status} to {file} of {repository}{message}"))
        }
    }
}

/// What was asked for.
pub(super) struct Asked<'a> {
    pub(super) endpoint: &'a str,
    pub(super) repository: &'a RepositoryId,
    pub(super) revision: &'a Revision,
    pub(super) file: &'a str,
    pub(super) with_token: bool,
}

/// A server's words as they may be shown: no control characters, not endless.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
