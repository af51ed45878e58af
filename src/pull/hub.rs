//! The hub as the environment names it: the variables are `huggingface_hub`'s.

use std::{cell::OnceCell, collections::BTreeSet, env, ffi::OsString, fmt, fs, path::PathBuf, time::Duration};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{
    Watch,
    blob::{self, Wanted},
    cache::Cached,
    client::{Answer, Client, Timeouts},
    fault::{Asked, Fault, refusal, shown},
    hash::{Etag, is_hash},
    patience::Patience,
    repository::{RepositoryId, Revision},
};
use crate::{Error, Result};

/// Where the hub is where nothing else is said.
const ENDPOINT: &str = "https://huggingface.co";

/// Seconds that an answer, or more of it, is waited for.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Attempts for each request.
const ATTEMPTS: u32 = 5;

/// The largest answer that lists a repository's files.
const MOST_LISTED: usize = 16 << 20;

/// What stays as it is in a part of an address.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A hub, and the cache of what comes from it.
pub struct Hub {
    endpoint: String,
    token: Option<String>,
    cache: PathBuf,
    offline: bool,
    timeouts: Timeouts,
    attempts: u32,
    client: OnceCell<Client>,
}

/// A repository at a commit.
pub(super) struct Snapshot {
    pub(super) repository: RepositoryId,
    pub(super) revision: Revision,
    pub(super) commit: String,
    /// The files of it; without a connection, `None`.
    listed: Option<BTreeSet<String>>,
    cached: Cached,
}

/// A file that is in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fetched {
    /// Its path in the repository.
    pub(super) name: String,
    /// Where it is.
    pub(super) path: PathBuf,
}

#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Hub {
    /// By `HF_ENDPOINT`, `HF_TOKEN` or the token file, `HF_HUB_CACHE` or `HF_HOME`, `HF_HUB_OFFLINE`, `HF_HUB_ETAG_TIMEOUT` and
    /// `HF_HUB_DOWNLOAD_TIMEOUT`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value that cannot be meant.
    pub fn from_environment() -> Result<Self> {
        Self::from_variables(|name| env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().trim().to_owned());
        let folder = |name: &str| set(name).map(PathBuf::from);
        let home = folder("HF_HOME")
            .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| folder("HOME").map(|home| home.join(".cache/huggingface")));
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| home.as_ref().map(|home| home.join("hub")))
            .ok_or_else(|| Error::Setting("there is no HOME for the hub's cache; set HF_HOME".to_owned()))?;
        let token_file = folder("HF_TOKEN_PATH").or_else(|| home.map(|home| home.join("token")));
        let token = text("HF_TOKEN").or_else(|| Some(fs::read_to_string(token_file?).ok()?.trim().to_owned()));
        let seconds = |name: &str| match text(name) {
            None => Ok(TIMEOUT),
            Some(value) => value
                .parse()
                .ok()
                .filter(|seconds| (1..=3600).contains(seconds))
                .map(Duration::from_secs)
                .ok_or_else(|| Error::Setting(format!("{name} is `{value}`; wanted seconds in 1..=3600"))),
        };
        let offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().find_map(text);
        Ok(Self {
            endpoint: text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()).trim_end_matches('/').to_owned(),
            token: token.filter(|token| !token.is_empty()),
            cache,
            offline: offline.is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str())),
            timeouts: Timeouts { answer: seconds("HF_HUB_ETAG_TIMEOUT")?, silence: seconds("HF_HUB_DOWNLOAD_TIMEOUT")? },
            attempts: ATTEMPTS,
            client: OnceCell::new(),
        })
    }

    /// With so many attempts for each request in place of 5.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Made when it is first needed: without a connection nothing of it is.
    fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(&self.endpoint, self.token.as_deref(), self.timeouts)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Finds out which commit a revision is, and what is in it.
    pub(super) fn resolve(&self, repository: &RepositoryId, revision: &Revision, watch: &mut Watch<'_>) -> Result<Snapshot> {
        let cached = Cached::new(&self.cache, repository);
        let snapshot = |commit, listed| Snapshot {
            repository: repository.clone(),
            revision: revision.clone(),
            commit,
            listed,
            cached: cached.clone(),
        };
        if self.offline {
            let commit = cached.commit(revision).filter(|commit| cached.snapshot(commit).is_dir());
            return Ok(snapshot(commit.ok_or_else(|| self.not_there(&format!("{repository} at {revision}")))?, None));
        }
        let address = format!("{}/api/models/{repository}/revision/{}", self.endpoint, utf8_percent_encode(revision.as_str(), PART));
        let client = self.client()?;
        let body = self.patiently(watch, |watch| {
            let answer = client.get(&address, 0, watch)?;
            if answer.status.is_success() {
                answer.whole(MOST_LISTED, watch)
            } else {
                Err(self.refused(&answer, repository, revision, "its list of files"))
            }
        })?;
        let listing: Listing = serde_json::from_slice(&body)
            .ok()
            .filter(|listing: &Listing| is_hash(&listing.sha, &[40]))
            .ok_or_else(|| Error::Hub(format!("{} does not answer as a hub does; is HF_ENDPOINT right?", self.endpoint)))?;
        let commit = listing.sha.to_ascii_lowercase();
        if revision.is_commit() && !revision.as_str().eq_ignore_ascii_case(&commit) {
            return Err(Error::Hub(format!("{} has {} of {repository} where {revision} was asked for", self.endpoint, shown(&commit))));
        }
        cached.remember(revision, &commit)?;
        Ok(snapshot(commit, Some(listing.siblings.into_iter().map(|sibling| sibling.rfilename).collect())))
    }

    /// Fetches a file of a snapshot; `file` is a name of ours, or one that was checked.
    pub(super) fn fetch(&self, snapshot: &Snapshot, file: &str, watch: &mut Watch<'_>) -> Result<Fetched> {
        let Snapshot { repository, revision, commit, cached, .. } = snapshot;
        let fetched = |path| Fetched { name: file.to_owned(), path };
        let path = cached.snapshot(commit).join(file);
        if path.is_file() {
            return Ok(fetched(path));
        }
        if self.offline {
            return Err(self.not_there(&format!("{file} of {repository} at {revision}")));
        }
        let encoded: Vec<String> = file.split('/').map(|part| utf8_percent_encode(part, PART).to_string()).collect();
        let address = format!("{}/{repository}/resolve/{commit}/{}", self.endpoint, encoded.join("/"));
        let client = self.client()?;
        let (etag, size) = self.patiently(watch, |watch| {
            let answer = client.head(&address, watch)?;
            if answer.status.is_success() || answer.status.is_redirection() {
                Ok(self.described(&answer, snapshot, file)?)
            } else {
                Err(self.refused(&answer, repository, revision, file))
            }
        })?;
        let wanted = Wanted { path: file, address, etag, size };
        let refused = |answer: &Answer| self.refused(answer, repository, revision, file);
        blob::fetch(client, cached, &wanted, Patience::new(self.attempts), refused, watch)?;
        Ok(fetched(cached.link(commit, file, &wanted.etag)?))
    }

    /// What the hub says of a file: its hash and its size.
    fn described(&self, answer: &Answer, snapshot: &Snapshot, file: &str) -> Result<(Etag, u64)> {
        let at = &self.endpoint;
        if let Some(other) = answer.header("x-repo-commit").filter(|commit| !commit.eq_ignore_ascii_case(&snapshot.commit)) {
            return Err(Error::Hub(format!("{at} answers with {file} of commit {} where {} was asked for", shown(other), snapshot.commit)));
        }
        let tag = answer.header("x-linked-etag").or_else(|| answer.header("etag"));
        let etag = tag.and_then(Etag::parse).ok_or_else(|| {
            Error::Hub(format!(
                "{at} does not say the hash of {file}, so it could not be checked, and is not fetched; is HF_ENDPOINT a hub?"
            ))
        })?;
        let length = answer.header("x-linked-size").or_else(|| answer.header("content-length").filter(|_| answer.status.is_success()));
        let size = length.and_then(|size| size.parse().ok());
        Ok((etag, size.ok_or_else(|| Error::Hub(format!("{at} does not say how large {file} is; is HF_ENDPOINT a hub?")))?))
    }

    fn patiently<T>(&self, watch: &mut Watch<'_>, mut attempt: impl FnMut(&mut Watch<'_>) -> Result<T, Fault>) -> Result<T> {
        let mut patience = Patience::new(self.attempts);
        loop {
            match attempt(watch) {
                Ok(value) => return Ok(value),
                Err(fault) => patience.wait(fault, watch)?,
            }
        }
    }

    fn refused(&self, answer: &Answer, repository: &RepositoryId, revision: &Revision, file: &str) -> Fault {
        if !answer.at_home {
            // Its links are good for a while; the next attempt gets a new one.
            return Fault::passing(format!("{} answers {} to {file} of {repository}", answer.host, answer.status));
        }
        let asked = Asked { endpoint: &self.endpoint, repository, revision, file, with_token: self.token.is_some() };
        refusal(answer.status, &answer.headers, &asked)
    }

    fn not_there(&self, what: &str) -> Error {
        Error::Hub(format!("HF_HUB_OFFLINE is set, and {what} is not in {}; unset it once, with a connection", self.cache.display()))
    }
}

impl Snapshot {
    /// Whether it has a file: as the hub lists it, or without a connection, whether it is in the cache.
    pub(super) fn has(&self, file: &str) -> bool {
        match &self.listed {
            Some(listed) => listed.contains(file),
            None => self.dir().join(file).is_file(),
        }
    }

    /// Whether it was listed by the hub.
    pub(super) fn is_listed(&self) -> bool {
        self.listed.is_some()
    }

    /// Its folder in the cache.
    pub(super) fn dir(&self) -> PathBuf {
        self.cached.snapshot(&self.commit)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the token.
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Result<Hub> {
        Hub::from_variables(|name| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_environment_is_read_as_huggingface_hub_reads_it() {
        let plain = hub(&[("HOME", "/home/me")]).unwrap();
        assert_eq!((plain.endpoint(), plain.cache.as_path()), (ENDPOINT, Path::new("/home/me/.cache/huggingface/hub")));
        assert!(!plain.offline && plain.token.is_none());
        let cache = |variables: &[(&str, &str)]| hub(variables).unwrap().cache;
        assert_eq!(cache(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/hf")]), Path::new("/hf/hub"));
        assert_eq!(cache(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")]), Path::new("/c"));
        let set = hub(&[("HF_HOME", "/hf"), ("HF_ENDPOINT", "http://mirror/"), ("HF_HUB_OFFLINE", "on"), ("HF_TOKEN", " t ")]).unwrap();
        assert_eq!((set.endpoint(), set.offline, set.token.as_deref()), ("http://mirror", true, Some("t")));
        assert!(!format!("{set:?}").contains("\"t\""));
        assert!(!hub(&[("HF_HOME", "/hf"), ("HF_HUB_OFFLINE", "0")]).unwrap().offline);
        assert!(hub(&[]).unwrap_err().to_string().contains("HF_HOME"));
        for value in ["0", "-1", "soon", "1e9"] {
            let error = hub(&[("HF_HOME", "/hf"), ("HF_HUB_DOWNLOAD_TIMEOUT", value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("`{value}`; wanted seconds")), "{error}");
        }
    }

    #[test]
    fn the_token_is_that_of_the_variable_or_of_the_file() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("token"), "of-the-file\n").unwrap();
        let home = home.path().to_str().unwrap();
        assert_eq!(hub(&[("HF_HOME", home)]).unwrap().token.as_deref(), Some("of-the-file"));
        assert_eq!(hub(&[("HF_HOME", home), ("HF_TOKEN", "own")]).unwrap().token.as_deref(), Some("own"));
    }
}
