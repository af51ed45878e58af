//! `uniood run` under way on cameras, and what it leaves.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use gst::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    model_set::golden_set,
    program::{Ran, plugin_is_built, uniood},
};

/// Nothing that is waited for takes this long, unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// `uniood run` under way.
pub(crate) struct Run {
    pub(crate) child: Child,
    pub(crate) out: TempDir,
    _set: TempDir,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Run {
    /// `None`, said aloud, where the plugin was not built.
    pub(crate) fn start(address: &str, more: &[&str]) -> Option<Self> {
        Self::start_in(tempfile::tempdir().unwrap(), &[address], more)
    }

    /// On several cameras, into a folder.
    pub(crate) fn start_in(out: TempDir, addresses: &[&str], more: &[&str]) -> Option<Self> {
        if !plugin_is_built() {
            return None;
        }
        let (set, _) = golden_set("no_cnn_g4_wide");
        let arguments = ["--detector", "frame", "--crops", "0", "--reconnect-delay", "200ms", "--models"];
        let mut command = uniood(&[&["run"], addresses, &arguments].concat());
        // As docs/cameras.md advises: what grows is looked for, not how glibc's arenas fragment.
        command.env("MALLOC_ARENA_MAX", "2");
        command.arg(set.path()).arg("--out").arg(out.path()).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let reader = {
            let (stderr, lines) = (Arc::clone(&stderr), BufReader::new(child.stderr.take().unwrap()).lines());
            std::thread::Builder::new().spawn(move || lines.for_each(|line| *stderr.lock().unwrap() += &(line.unwrap() + "\n"))).unwrap()
        };
        Some(Self { child, out, _set: set, stderr, reader: Some(reader) })
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Where its metrics are.
    pub(crate) fn metrics(&self) -> String {
        let stderr = self.stderr();
        stderr.lines().find_map(|line| line.strip_prefix("metrics at ").map(str::to_owned)).expect("it says where")
    }

    pub(crate) fn path(&self, suffix: &str) -> PathBuf {
        let entries = fs::read_dir(self.out.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = entries.filter(|path| path.to_str().unwrap().ends_with(suffix)).collect();
        assert_eq!(found.len(), 1, "{suffix}: {found:?}");
        found.remove(0)
    }

    pub(crate) fn videos(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.out.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "mp4")).collect();
        found.sort();
        found
    }

    /// Lines so far, the last one only where it is whole.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let entries = fs::read_dir(self.out.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut lines = Vec::new();
        for path in entries.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl")) {
            let text = fs::read_to_string(path).unwrap();
            let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
            lines.extend(whole.lines().map(|line| serde_json::from_str::<Value>(line).expect("every line is whole")));
        }
        lines
    }

    pub(crate) fn frames(&self) -> usize {
        self.lines().iter().filter(|line| line["event"].is_null()).count()
    }

    /// What is said of tracks: `start`, `update` or `end`, and the id.
    pub(crate) fn tracks(&self) -> Vec<(String, u64)> {
        let lines = self.lines();
        let of_tracks = lines.iter().filter(|line| line["schema"] == "uniood.track/1");
        of_tracks.map(|line| (line["event"].as_str().unwrap().to_owned(), line["id"].as_u64().unwrap())).collect()
    }

    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, reached: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !reached(self) {
            assert_eq!(self.child.try_wait().unwrap(), None, "{what}: it ended: {}", self.stderr());
            assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}: {}", self.stderr());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub(crate) fn wait_for_more_frames(&mut self, more: usize) {
        let before = self.frames();
        self.wait_for("more frames", |run| run.frames() >= before + more);
    }

    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, text: &str) {
        self.wait_for(text, |run| run.stderr().contains(text));
    }

    /// Ctrl-C, and how it ended.
    #[track_caller]
    pub(crate) fn interrupt(mut self) -> (Self, Ran) {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
        let ran = self.end();
        ran.check(130, "interrupted");
        (self, ran)
    }

    #[track_caller]
    pub(crate) fn end(&mut self) -> Ran {
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.stderr());
            std::thread::park_timeout(Duration::from_millis(20));
        };
        self.reader.take().unwrap().join().unwrap();
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        Ran { code: status.code(), stdout, stderr: self.stderr() }
    }

    /// Numbers and times never go back, each frame has its own, and so every event has its place.
    #[track_caller]
    pub(crate) fn check_order(&self) {
        let lines = self.lines();
        let times: Vec<u64> = lines.iter().map(|line| line["timestamp"].as_u64().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
        let frames: Vec<u64> = lines.iter().filter(|line| line["event"].is_null()).map(|line| line["frame_id"].as_u64().unwrap()).collect();
        assert_eq!(frames, (0..frames.len() as u64).collect::<Vec<_>>());
        let ids: Vec<u64> = lines.iter().map(|line| line["frame_id"].as_u64().unwrap()).collect();
        assert!(ids.is_sorted(), "{ids:?}");
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.lines().iter().filter_map(|line| line["event"].as_str().map(str::to_owned)).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Gone already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an HTTP server answers.
pub(crate) fn get(url: &str) -> String {
    let (host, path) = url.trim().strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    body.to_owned()
}

/// Frames of a recording that decode, and their size.
#[track_caller]
pub(crate) fn recorded(video: &Path) -> (usize, u32, u32) {
    gst::init().unwrap();
    let description = format!("filesrc location={} ! decodebin ! appsink name=out sync=false", video.display());
    let pipeline = gst::parse::launch(&description).unwrap();
    let out = pipeline.downcast_ref::<gst::Bin>().unwrap().by_name("out").unwrap();
    let out = out.downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut found = (0, 0, 0);
    while let Some(sample) = out.try_pull_sample(gst::ClockTime::from_seconds(20)) {
        let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        found = (found.0 + 1, info.width(), info.height());
    }
    assert!(out.is_eos(), "{} ends", video.display());
    pipeline.set_state(gst::State::Null).unwrap();
    found
}
