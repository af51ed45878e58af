//! `uniood run` on cameras that fail, from a real RTSP server: what is said, what goes on, and that nothing done is lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/camera.rs"]
mod camera;
mod common;
#[path = "common/model_set.rs"]
mod model_set;
#[path = "common/mosquitto.rs"]
mod mosquitto;
#[path = "common/program.rs"]
mod program;

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

use camera::{Camera, Model, Wire};
use common::{python, skip};
use gst::prelude::*;
use model_set::golden_set;
use mosquitto::{Mosquitto, free_port};
use program::{Ran, uniood};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing that is waited for takes this long, unless it hangs.
const DEADLINE: Duration = Duration::from_secs(90);

/// `uniood run` under way.
struct Run {
    child: Child,
    out: TempDir,
    _set: TempDir,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Run {
    /// `None`, said aloud, where the plugin was not built.
    fn start(address: &str, more: &[&str]) -> Option<Self> {
        let plugin = Path::new(env!("CARGO_BIN_EXE_uniood")).with_file_name("libgstuniood.so");
        if !plugin.exists() {
            skip("the plugin is not built; run `cargo build --workspace` first, or `make test`");
            return None;
        }
        let (set, _) = golden_set("no_cnn_g4_wide");
        let out = tempfile::tempdir().unwrap();
        let arguments = ["run", address, "--detector", "frame", "--crops", "0", "--reconnect-delay", "200ms", "--models"];
        let mut command = uniood(&arguments);
        command.arg(set.path()).arg("--out").arg(out.path()).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let reader = {
            let (stderr, lines) = (Arc::clone(&stderr), BufReader::new(child.stderr.take().unwrap()).lines());
            std::thread::Builder::new().spawn(move || lines.for_each(|line| *stderr.lock().unwrap() += &(line.unwrap() + "\n"))).unwrap()
        };
        Some(Self { child, out, _set: set, stderr, reader: Some(reader) })
    }

    fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    fn path(&self, suffix: &str) -> PathBuf {
        let entries = fs::read_dir(self.out.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = entries.filter(|path| path.to_str().unwrap().ends_with(suffix)).collect();
        assert_eq!(found.len(), 1, "{suffix}: {found:?}");
        found.remove(0)
    }

    fn videos(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.out.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "mp4")).collect();
        found.sort();
        found
    }

    /// Lines so far, the last one only where it is whole.
    fn lines(&self) -> Vec<Value> {
        let entries = fs::read_dir(self.out.path()).unwrap().map(|entry| entry.unwrap().path());
        let Some(path) = entries.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "jsonl")) else {
            return Vec::new();
        };
        let text = fs::read_to_string(path).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("every line is whole")).collect()
    }

    fn frames(&self) -> usize {
        self.lines().iter().filter(|line| line["event"].is_null()).count()
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str, reached: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !reached(self) {
            assert_eq!(self.child.try_wait().unwrap(), None, "{what}: it ended: {}", self.stderr());
            assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}: {}", self.stderr());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn wait_for_more_frames(&mut self, more: usize) {
        let before = self.frames();
        self.wait_for("more frames", |run| run.frames() >= before + more);
    }

    #[track_caller]
    fn wait_for_text(&mut self, text: &str) {
        self.wait_for(text, |run| run.stderr().contains(text));
    }

    /// Ctrl-C, and how it ended.
    #[track_caller]
    fn interrupt(mut self) -> (Self, Ran) {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
        let ran = self.end();
        ran.check(130, "interrupted");
        (self, ran)
    }

    #[track_caller]
    fn end(&mut self) -> Ran {
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
    fn check_order(&self) {
        let lines = self.lines();
        let times: Vec<u64> = lines.iter().map(|line| line["timestamp"].as_u64().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
        let frames: Vec<u64> = lines.iter().filter(|line| line["event"].is_null()).map(|line| line["frame_id"].as_u64().unwrap()).collect();
        assert_eq!(frames, (0..frames.len() as u64).collect::<Vec<_>>());
        let ids: Vec<u64> = lines.iter().map(|line| line["frame_id"].as_u64().unwrap()).collect();
        assert!(ids.is_sorted(), "{ids:?}");
    }

    fn events(&self) -> Vec<String> {
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
fn get(url: &str) -> String {
    let (host, path) = url.trim().strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    body.to_owned()
}

/// Samples of a scrape, read by Prometheus' own parser; `None`, said aloud, where there is none.
fn parsed(scrape: &str) -> Option<Vec<Value>> {
    let mut python = python(&["prometheus_client"])?;
    python.arg(common::workspace_dir().join("tests/oracle/metrics_parser.py"));
    let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(scrape.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{scrape}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Frames of a recording that decode, and their size.
#[track_caller]
fn recorded(video: &Path) -> (usize, u32, u32) {
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

#[test]
fn a_camera_that_goes_and_returns_is_one_stream_and_one_recording() {
    let camera = Camera::start(&Model::default());
    let (address, port) = (camera.address(), camera.port);
    let Some(mut run) = Run::start(&address, &[]) else { return };
    run.wait_for_more_frames(8);
    drop(camera);
    run.wait_for_text("lost: ");
    run.wait_for_text("failed: ");
    let camera = Camera::on(port, &Model::default());
    run.wait_for_text("back after");
    run.wait_for_more_frames(8);
    let (run, ran) = run.interrupt();
    drop(camera);
    run.check_order();
    let events = run.events();
    assert_eq!(events.iter().filter(|event| *event != "failed").collect::<Vec<_>>(), ["connected", "lost", "connected"]);
    let in_json = run.lines().iter().filter(|line| line["event"] == "failed").count();
    assert_eq!(ran.stderr.matches("failed: ").count(), in_json, "{}", ran.stderr);
    assert!(run.lines().iter().filter(|line| line["event"] == "lost").all(|line| line["error"].is_string()));
    assert!(ran.stdout.contains("lost and back 1 times"), "{}", ran.stdout);
    assert_eq!(recorded(&run.path(".annotated.mp4")), (run.frames(), 160, 120));
}

#[test]
fn a_camera_over_udp_is_lost_and_found_too() {
    let camera = Camera::start(&Model::default());
    let (address, port) = (camera.address().replacen("rtspt:", "rtsp:", 1), camera.port);
    let Some(mut run) = Run::start(&address, &["--stall-timeout", "3s"]) else { return };
    run.wait_for_more_frames(5);
    drop(camera);
    run.wait_for_text("lost: ");
    let camera = Camera::on(port, &Model::default());
    run.wait_for_text("back after");
    run.wait_for_more_frames(5);
    let (run, _) = run.interrupt();
    drop(camera);
    run.check_order();
    assert_eq!(recorded(&run.path(".annotated.mp4")).0, run.frames());
}

#[test]
fn another_resolution_on_return_begins_another_file() {
    let camera = Camera::start(&Model::default());
    let port = camera.port;
    let Some(mut run) = Run::start(&camera.address(), &[]) else { return };
    run.wait_for_more_frames(5);
    drop(camera);
    run.wait_for_text("lost: ");
    let camera = Camera::on(port, &Model { size: (320, 240), ..Model::default() });
    run.wait_for_text("320×240, before 160×120");
    run.wait_for_more_frames(5);
    let (run, _) = run.interrupt();
    drop(camera);
    run.check_order();
    let small = run.lines().iter().filter(|line| line["event"].is_null() && line["resolution"]["width"] == 160).count();
    assert_eq!(recorded(&run.path("cam.annotated.mp4")), (small, 160, 120));
    assert_eq!(recorded(&run.path("cam.0001.annotated.mp4")), (run.frames() - small, 320, 240));
}

#[test]
fn wrong_credentials_are_final_at_first_and_appear_nowhere() {
    let camera = Camera::start(&Model { login: Some(("keeper", "s3same")), ..Model::default() });
    let Some(mut run) = Run::start(&camera.address_for("keeper", "wr0ngword"), &[]) else { return };
    let ran = run.end();
    ran.check(1, "refuses user and password");
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("wr0ngword"), "{}", ran.stderr);
    let mut run = Run::start(&camera.address_for("keeper", "s3same"), &[]).unwrap();
    run.wait_for_more_frames(3);
    let (run, ran) = run.interrupt();
    let lines = fs::read_to_string(run.path(".jsonl")).unwrap();
    assert!(!format!("{}{}{lines}", ran.stdout, ran.stderr).contains("s3same"), "{}", ran.stderr);
}

#[test]
fn credentials_that_are_refused_later_are_tried_again() {
    let model = Model { login: Some(("keeper", "s3same")), ..Model::default() };
    let camera = Camera::start(&model);
    let port = camera.port;
    let Some(mut run) = Run::start(&camera.address_for("keeper", "s3same"), &[]) else { return };
    run.wait_for_more_frames(3);
    drop(camera);
    run.wait_for_text("lost: ");
    let camera = Camera::on(port, &Model { login: Some(("keeper", "changed")), ..Model::default() });
    run.wait_for_text("refuses user and password");
    drop(camera);
    let camera = Camera::on(port, &model);
    run.wait_for_text("back after");
    run.wait_for_more_frames(3);
    let (run, _) = run.interrupt();
    drop(camera);
    run.check_order();
}

#[test]
fn a_camera_that_falls_silent_without_closing_is_connected_to_again() {
    let camera = Camera::start(&Model::default());
    let Some(mut run) = Run::start(&camera.address(), &["--stall-timeout", "2s"]) else { return };
    run.wait_for_more_frames(5);
    camera.wire(Wire::Silent);
    run.wait_for_text("no frame for 2s");
    camera.wire(Wire::Good);
    run.wait_for_text("back after");
    run.wait_for_more_frames(5);
    let (run, _) = run.interrupt();
    run.check_order();
    assert_eq!(recorded(&run.path(".annotated.mp4")).0, run.frames());
}

#[test]
fn corrupt_packets_end_neither_the_stream_nor_the_recording() {
    let camera = Camera::start(&Model::default());
    let Some(mut run) = Run::start(&camera.address(), &["--stall-timeout", "5s"]) else { return };
    run.wait_for_more_frames(5);
    camera.wire(Wire::Corrupt);
    run.wait_for_more_frames(10);
    camera.wire(Wire::Good);
    run.wait_for_more_frames(30);
    let (run, ran) = run.interrupt();
    run.check_order();
    let (frames, scored): (usize, usize) = (run.videos().iter().map(|video| recorded(video).0).sum(), run.frames());
    // Of frames that garbage made, one or another is not in the recording; it is not known yet who drops it.
    assert!(frames <= scored && frames + 5 >= scored, "{frames} of {scored}: {}", ran.stderr);
}

#[test]
fn exit_on_eos_takes_the_end_of_the_stream_for_the_end() {
    let camera = Camera::start(&Model { frames: Some(20), ..Model::default() });
    let Some(mut run) = Run::start(&camera.address(), &["--exit-on-eos"]) else { return };
    run.end().check(0, "connected, 160×120");
    assert_eq!(recorded(&run.path(".annotated.mp4")).0, run.frames());
}

#[test]
fn segments_are_files_of_their_own_and_a_killed_one_is_playable() {
    let camera = Camera::start(&Model::default());
    let Some(mut run) = Run::start(&camera.address(), &["--segment", "1s"]) else { return };
    run.wait_for("three segments and some", |run| run.videos().len() >= 4 && run.frames() >= 60);
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    let videos = run.videos();
    assert!(videos[0].to_str().unwrap().ends_with("cam.0000.annotated.mp4"), "{videos:?}");
    let counts: Vec<usize> = videos[..3].iter().map(|video| recorded(video).0).collect();
    assert!(counts.iter().all(|frames| (14..=17).contains(frames)), "{counts:?}");
}

#[test]
fn a_killed_run_leaves_a_playable_recording() {
    let camera = Camera::start(&Model::default());
    let Some(mut run) = Run::start(&camera.address(), &[]) else { return };
    run.wait_for_more_frames(60);
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    let (frames, scored) = (recorded(&run.path(".annotated.mp4")).0, run.frames());
    // What is lost: the open fragment of half a second, what the encoder holds, what waits for it.
    assert!(frames + 30 >= scored, "{frames} of {scored}");
}

#[test]
fn metrics_are_those_of_the_summary() {
    let camera = Camera::start(&Model::default());
    let Some(mut run) = Run::start(&camera.address(), &["--metrics", "127.0.0.1:0", "--stall-timeout", "60s"]) else { return };
    run.wait_for_more_frames(20);
    let url = run.stderr().lines().find_map(|line| line.strip_prefix("metrics at ").map(str::to_owned)).unwrap();
    camera.wire(Wire::Silent);
    let depth =
        |scrape: &str| scrape.lines().find_map(|line| line.strip_prefix("uniood_queue_depth")?.split(' ').next_back()?.parse::<i64>().ok());
    run.wait_for("the frames under way", |run| {
        let frames = run.frames();
        let scrape = get(&url);
        depth(&scrape) == Some(0) && scrape.contains(&format!("outcome=\"scored\"}} {frames}\n"))
    });
    let Some(samples) = parsed(&get(&url)) else { return };
    let (_, ran) = run.interrupt();
    let value = |name: &str, label: &str, value: &str| {
        let is = |sample: &&Value| sample["name"] == name && (label.is_empty() || sample["labels"][label] == value);
        samples.iter().find(is).unwrap_or_else(|| panic!("no {name} {value} in {samples:?}"))["value"].as_f64().unwrap()
    };
    let (frames, id, ood) = (
        value("uniood_frames_total", "outcome", "scored"),
        value("uniood_objects_total", "verdict", "id"),
        value("uniood_objects_total", "verdict", "ood"),
    );
    assert!(ran.stdout.contains(&format!("frames    {frames} in")), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!(": {id} ID, {ood} OOD, 0 unscored")), "{}", ran.stdout);
    for stage in ["detect", "encode", "total"] {
        assert!((value("uniood_stage_seconds_count", "stage", stage) - frames).abs() < 0.5);
    }
    assert!((value("uniood_score_count", "", "") - frames).abs() < 0.5);
    assert!(value("uniood_stream_fps", "", "") > 0.0);
}

#[test]
fn every_line_is_delivered_though_the_broker_dies_in_mid_stream() {
    let port = free_port();
    let Some(broker) = Mosquitto::start(port, None) else { return };
    let camera = Camera::start(&Model::default());
    let Some(mut run) = Run::start(&camera.address(), &["--publish", &format!("mqtt://127.0.0.1:{port}/uniood")]) else { return };
    run.wait_for_more_frames(10);
    drop(broker);
    run.wait_for_text("/uniood: connection lost");
    run.wait_for_more_frames(10);
    let _broker = Mosquitto::start(port, None).unwrap();
    run.wait_for("the broker", |run| run.stderr().matches("/uniood: connected").count() == 2);
    let (run, ran) = run.interrupt();
    let events = format!("mqtt://127.0.0.1:{port}/uniood\n  events    {} delivered, 0 dropped", run.lines().len());
    assert!(ran.stdout.contains(&events), "{events}: {}", ran.stdout);
}
