//! A hub on the loopback: the API, files by their commit, large ones from a second host, and everything that can go wrong on the way.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A file of so many bytes lies at the other host.
const LARGE: usize = 100_000;

/// A repository with one commit.
#[derive(Clone)]
pub(crate) struct Repository {
    pub(crate) id: String,
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Repository {
    /// The files of a folder.
    pub(crate) fn of(id: &str, commit: &str, folder: &Path) -> Self {
        let files = fs::read_dir(folder).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
        });
        Self { id: id.to_owned(), commit: commit.to_owned(), files: files.collect() }
    }
}

/// What happens to a request, once.
#[derive(Clone)]
pub(crate) enum Mishap {
    /// The body ends behind so many bytes, and the connection with it.
    Cut(usize),
    /// The body stops behind so many bytes, and the connection stays.
    Stall(usize),
    /// There is no answer, and the connection stays.
    Silence,
    /// A byte of the body is another one.
    Damage,
    /// The range that was asked for is not looked at.
    Whole,
    /// Another answer: status line, headers.
    Answer(&'static str, Vec<(&'static str, String)>),
}

/// A request that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) at_cdn: bool,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
}

#[derive(Default)]
struct State {
    repositories: Vec<Repository>,
    /// Each for requests whose method and path contain these.
    mishaps: VecDeque<(&'static str, &'static str, Mishap)>,
    seen: Vec<Seen>,
}

struct Shared {
    hub: SocketAddr,
    cdn: SocketAddr,
    state: Mutex<State>,
    arrived: Condvar,
    over: AtomicBool,
}

/// The servers, until they are dropped.
pub(crate) struct Hub {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Hub {
    pub(crate) fn serve(repositories: Vec<Repository>) -> Self {
        let listeners = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
        let shared = Arc::new(Shared {
            hub: listeners[0].local_addr().unwrap(),
            cdn: listeners[1].local_addr().unwrap(),
            state: Mutex::new(State { repositories, ..State::default() }),
            arrived: Condvar::new(),
            over: AtomicBool::new(false),
        });
        let accept = |(listener, at_cdn): (TcpListener, bool)| {
            let shared = Arc::clone(&shared);
            thread("hub-accept", move || {
                let mut connections = Vec::new();
                for stream in listener.incoming() {
                    if shared.over.load(Ordering::Relaxed) {
                        break;
                    }
                    let (shared, stream) = (Arc::clone(&shared), stream.unwrap());
                    connections.push(thread("hub-connection", move || {
                        // Who goes away in the middle is the client under test.
                        let _ = answer(&shared, &stream, at_cdn);
                        let _ = stream.shutdown(Shutdown::Both);
                    }));
                }
                for connection in connections {
                    connection.join().unwrap();
                }
            })
        };
        let threads = listeners.into_iter().zip([false, true]).map(accept).collect();
        Self { shared, threads }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.hub
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.shared.hub)
    }

    /// The next request whose method and path contain these meets a mishap; several for the same come one after the other.
    pub(crate) fn next(&self, method: &'static str, path: &'static str, mishap: Mishap) {
        self.shared.state.lock().unwrap().mishaps.push_back((method, path, mishap));
    }

    /// Requests so far, which are forgotten.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.state.lock().unwrap().seen)
    }

    /// Waits for a request whose method and path contain these.
    pub(crate) fn wait_for(&self, method: &str, path: &str) {
        let deadline = Instant::now() + Duration::from_mins(1);
        let mut state = self.shared.state.lock().unwrap();
        while !state.seen.iter().any(|seen| seen.method == method && seen.path.contains(path)) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {method} of {path} within a minute: {:?}", state.seen);
            state = self.shared.arrived.wait_timeout(state, left).unwrap().0;
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for address in [self.shared.hub, self.shared.cdn] {
            let _ = TcpStream::connect(address);
        }
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).unwrap()
}

/// One request, one answer.
fn answer(shared: &Shared, mut stream: &TcpStream, at_cdn: bool) -> std::io::Result<()> {
    let Some(seen) = read(stream, at_cdn)? else { return Ok(()) };
    let mishap = {
        let mut state = shared.state.lock().unwrap();
        state.seen.push(seen.clone());
        shared.arrived.notify_all();
        let at = state.mishaps.iter().position(|(method, path, _)| seen.method == *method && seen.path.contains(path));
        at.and_then(|at| state.mishaps.remove(at)).map(|(_, _, mishap)| mishap)
    };
    let repositories = shared.state.lock().unwrap().repositories.clone();
    let (mut status, mut headers, mut body) = usual(shared, &seen, &repositories);
    let range = seen.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    if let (Some(from), "200 OK", false) = (range, status.as_str(), matches!(mishap, Some(Mishap::Whole))) {
        "206 Partial Content".clone_into(&mut status);
        headers.push(("Content-Range", format!("bytes {from}-{}/{}", body.len() - 1, body.len())));
        body.drain(..from);
    }
    let mut sent = body.len();
    match &mishap {
        Some(Mishap::Silence) => return hold(shared, stream),
        Some(Mishap::Cut(at) | Mishap::Stall(at)) => sent = *at,
        Some(Mishap::Damage) => body[0] ^= 1,
        Some(Mishap::Answer(line, of)) => {
            (status, headers, body, sent) = ((*line).to_owned(), of.clone(), Vec::new(), 0);
        }
        Some(Mishap::Whole) | None => {}
    }
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    if seen.method != "HEAD" {
        stream.write_all(&body[..sent])?;
    }
    if matches!(mishap, Some(Mishap::Stall(_))) { hold(shared, stream) } else { Ok(()) }
}

/// Keeps a connection until the client closes it, or the test is over.
fn hold(shared: &Shared, mut stream: &TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    while !shared.over.load(Ordering::Relaxed) {
        if let Ok(0) = stream.read(&mut [0]) {
            break;
        }
    }
    Ok(())
}

fn read(stream: &TcpStream, at_cdn: bool) -> std::io::Result<Option<Seen>> {
    let mut lines = BufReader::new(stream).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(Some(Seen { at_cdn, method, path, headers }))
}

type Reply = (String, Vec<(&'static str, String)>, Vec<u8>);

/// What a hub answers where nothing goes wrong.
fn usual(shared: &Shared, seen: &Seen, repositories: &[Repository]) -> Reply {
    let absent = |code: &str| ("404 Not Found".to_owned(), vec![("X-Error-Code", code.to_owned())], Vec::new());
    if seen.at_cdn {
        let name = seen.path.trim_start_matches("/large/").split('?').next().unwrap();
        let found = repositories.iter().flat_map(|repository| repository.files.values()).find(|content| sha256(content) == name);
        return found.map_or_else(|| absent(""), |content| ("200 OK".to_owned(), Vec::new(), content.clone()));
    }
    let listed = seen.path.strip_prefix("/api/models/").and_then(|rest| rest.split_once("/revision/"));
    if let Some((id, revision)) = listed {
        let Some(repository) = repositories.iter().find(|repository| repository.id == id) else { return absent("RepoNotFound") };
        if revision != "main" && revision != "refs%2Fpr%2F1" && revision != repository.commit {
            return absent("RevisionNotFound");
        }
        let siblings: Vec<_> = repository.files.keys().map(|name| json!({"rfilename": name})).collect();
        let listing = json!({"id": id, "sha": repository.commit, "siblings": siblings, "gated": false});
        return ("200 OK".to_owned(), Vec::new(), listing.to_string().into_bytes());
    }
    for repository in repositories {
        let file = [repository.commit.as_str(), "main"].into_iter().find_map(|revision| {
            let name = seen.path.strip_prefix(&format!("/{}/resolve/{revision}/", repository.id))?;
            repository.files.get(name)
        });
        let Some(content) = file else { continue };
        let commit = ("X-Repo-Commit", repository.commit.clone());
        if content.len() < LARGE {
            return ("200 OK".to_owned(), vec![commit, ("ETag", format!("\"{}\"", git(content)))], content.clone());
        }
        let name = sha256(content);
        let linked = vec![
            commit,
            ("X-Linked-Etag", format!("\"{name}\"")),
            ("X-Linked-Size", content.len().to_string()),
            ("Location", format!("http://{}/large/{name}?signature=1", shared.cdn)),
        ];
        return ("302 Found".to_owned(), linked, Vec::new());
    }
    absent("EntryNotFound")
}

pub(crate) fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

fn git(content: &[u8]) -> String {
    let mut hash = Sha1::new_with_prefix(format!("blob {}\0", content.len()));
    hash.update(content);
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
