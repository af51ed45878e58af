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
#[path = "common/run.rs"]
mod run;

use std::{collections::BTreeSet, fs, io::Write, process::Stdio};

use camera::{Camera, Model, Wire};
use common::python;
use mosquitto::{Mosquitto, free_port};
use run::{Run, get, recorded};
use serde_json::Value;

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
fn a_lost_camera_is_down_in_the_metrics_and_its_tracks_end_before_it_is_back() {
    let camera = Camera::start(&Model::default());
    let (address, port) = (camera.address(), camera.port);
    let Some(mut run) = Run::start(&address, &["--tracker", "sort", "--events", "both", "--metrics", "127.0.0.1:0"]) else { return };
    run.wait_for("a track", |run| !run.tracks().is_empty());
    let value = |run: &Run, name: &str| {
        let scrape = get(&run.metrics());
        scrape.lines().find_map(|line| line.strip_prefix(name)?.split(' ').next_back()?.parse::<f64>().ok()).unwrap_or_default()
    };
    assert!(value(&run, "uniood_stream_up{") > 0.5);
    drop(camera);
    run.wait_for("the track's end", |run| run.tracks().ends_with(&[("end".to_owned(), 1)]));
    run.wait_for("it is down", |run| value(run, "uniood_stream_up{") < 0.5);
    let camera = Camera::on(port, &Model::default());
    run.wait_for("the next track", |run| run.tracks().ends_with(&[("start".to_owned(), 2)]));
    assert_eq!((value(&run, "uniood_stream_up{"), value(&run, "uniood_stream_reconnects_total{")), (1.0, 1.0));
    let (run, _) = run.interrupt();
    drop(camera);
    assert_eq!(run.tracks().into_iter().filter(|(event, _)| event != "update").map(|(_, id)| id).collect::<Vec<_>>(), [1, 1, 2, 2]);
}

#[test]
fn frames_of_a_run_that_is_started_again_are_told_apart_by_its_id() {
    let camera = Camera::start(&Model { frames: Some(12), ..Model::default() });
    let (address, port) = (camera.address(), camera.port);
    let settings = ["--exit-on-eos", "--segment", "1h"];
    let Some(mut first) = Run::start(&address, &settings) else { return };
    first.end().check(0, "connected");
    drop(camera);
    let (camera, out) = (Camera::on(port, &Model::default()), std::mem::replace(&mut first.out, tempfile::tempdir().unwrap()));
    let mut second = Run::start_in(out, &[&address], &settings).unwrap();
    second.wait_for_more_frames(5);
    let (second, _) = second.interrupt();
    drop(camera);
    assert_eq!(second.videos().len(), 2);
    // In one file, since the second adds to what is there.
    let text = fs::read_to_string(second.path(".jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let run = |line: &Value| line["run_id"].as_str().expect("every line has it, those of events too").to_owned();
    assert_eq!(lines.iter().map(run).collect::<BTreeSet<_>>().len(), 2);
    let frames = lines.iter().filter(|line| line["event"].is_null());
    let places: BTreeSet<(String, u64)> = frames.map(|line| (run(line), line["frame_id"].as_u64().unwrap())).collect();
    assert_eq!(places.len(), second.frames());
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
    let files: Vec<usize> = run.videos().iter().map(|video| recorded(video).0).collect();
    assert_eq!(files.iter().sum::<usize>(), run.frames(), "{files:?}: {}", ran.stderr);
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
    // A file is full when a frame is a second behind its first one.
    let (mut wanted, mut first) = (vec![0_usize], None);
    for line in run.lines().iter().filter(|line| line["event"].is_null()) {
        let time = line["timestamp"].as_u64().unwrap();
        if time - *first.get_or_insert(time) >= 1_000_000_000 {
            wanted.push(0);
            first = Some(time);
        }
        *wanted.last_mut().unwrap() += 1;
    }
    let counts: Vec<usize> = videos[..3].iter().map(|video| recorded(video).0).collect();
    assert_eq!(counts, wanted[..3]);
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
    let url = run.metrics();
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
    let broker_address = format!("mqtt://127.0.0.1:{port}/uniood");
    let Some(mut run) = Run::start(&camera.address(), &["--publish", &broker_address, "--metrics", "127.0.0.1:0"]) else { return };
    run.wait_for_more_frames(10);
    drop(broker);
    run.wait_for_text("/uniood: connection lost");
    run.wait_for_more_frames(10);
    let _broker = Mosquitto::start(port, None).unwrap();
    run.wait_for("the broker", |run| run.stderr().matches("/uniood: connected").count() == 2);
    let Some(samples) = parsed(&get(&run.metrics())) else { return };
    let told = |name: &str| samples.iter().filter(|sample| sample["name"] == name && sample["labels"]["broker"] == broker_address).count();
    assert_eq!((told("uniood_publish_events_total"), told("uniood_publish_queue_depth")), (2, 1), "{samples:?}");
    let (run, ran) = run.interrupt();
    let events = format!("mqtt://127.0.0.1:{port}/uniood\n  events    {} delivered, 0 dropped", run.lines().len());
    assert!(ran.stdout.contains(&events), "{events}: {}", ran.stdout);
}
