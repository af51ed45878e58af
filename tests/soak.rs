//! `uniood run` for long, while cameras die and return and the broker is started again: nothing grows, and every frame and event is accounted for.
//!
//! Three minutes in `make test`; `make soak` takes half an hour, or as many `MINUTES` as it is told, and prints the table.
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

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use camera::{Camera, Model};
use mosquitto::{Mosquitto, free_port};
use run::{Run, get, recorded};

/// Seconds, where the environment does not say.
const SECONDS: u64 = 180;

/// From one fault to the next.
const ROUND: Duration = Duration::from_secs(6);

const FPS: u32 = 5;

/// What a connection may take with it when it ends: what lies in the client's jitter buffer (2 s) and on the wire.
const CUT_OFF: u64 = 3 * FPS as u64;

/// What the memory may differ by between two thirds of the time, in KiB.
const GROWTH: u64 = 8 << 10;

/// What the process holds in a quiet moment.
struct Sample {
    at: Duration,
    fault: &'static str,
    rss: u64,
    threads: u64,
    files: u64,
}

impl Sample {
    fn take(run: &Run, began: Instant, fault: &'static str) -> Self {
        let proc = format!("/proc/{}", run.child.id());
        let status = fs::read_to_string(format!("{proc}/status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
        };
        let files = fs::read_dir(format!("{proc}/fd")).unwrap().count() as u64;
        Self { at: began.elapsed(), fault, rss: number("VmRSS"), threads: number("Threads"), files }
    }
}

/// What is not as it should be.
#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    /// The first third warms up; in the middle of the last third there may be no more than in the middle of the second, but for `slack`.
    fn unless_flat(&mut self, name: &str, samples: &[Sample], slack: u64, value: impl Fn(&Sample) -> u64) {
        let third = samples.len() / 3;
        let median = |samples: &[Sample]| {
            let mut values: Vec<u64> = samples.iter().map(&value).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        let (before, after) = (median(&samples[third..2 * third]), median(&samples[2 * third..]));
        self.unless(after <= before.saturating_add(slack), || {
            format!("{name}: {before} in the second third, {after} in the last (medians)")
        });
    }
}

/// Two cameras and a broker, and what has befallen them.
struct World {
    cameras: Vec<Option<Camera>>,
    broker: Option<Mosquitto>,
    ports: Vec<u16>,
    broker_port: u16,
    /// Frames of cameras that are no more.
    sent: u64,
    connections: u64,
}

impl World {
    fn model() -> Model {
        Model { fps: FPS, ..Model::default() }
    }

    fn camera_dies_and_returns(&mut self, run: &mut Run, index: usize) {
        let (lost, back) = (count(run, ": lost: "), count(run, ": back after "));
        let camera = self.cameras[index].take().unwrap();
        let sent = camera.sent();
        drop(camera);
        self.sent += sent;
        run.wait_for("the loss", |run| count(run, ": lost: ") > lost);
        self.cameras[index] = Some(Camera::on(self.ports[index], &Self::model()));
        self.connections += 1;
        run.wait_for("the return", |run| count(run, ": back after ") > back);
    }

    fn broker_is_started_again(&mut self, run: &mut Run) {
        let connected = count(run, "/uniood: connected");
        self.broker = None;
        run.wait_for("the broker's loss", |run| run.stderr().contains("/uniood: connection lost"));
        self.broker = Mosquitto::start(self.broker_port, None);
        run.wait_for("the broker", |run| count(run, "/uniood: connected") > connected);
    }

    fn sent(&self) -> u64 {
        self.sent + self.cameras.iter().flatten().map(Camera::sent).sum::<u64>()
    }
}

fn count(run: &Run, text: &str) -> usize {
    run.stderr().matches(text).count()
}

/// The number in front of `word` in the summary of all inputs.
fn said(summary: &str, word: &str) -> u64 {
    let at = summary.find(word).map(|at| &summary[..at]);
    at.and_then(|before| before.split_whitespace().next_back()?.parse().ok()).unwrap_or(0)
}

#[test]
fn cameras_and_brokers_come_and_go_and_nothing_grows_or_is_lost() {
    let seconds = std::env::var("UNIOOD_SOAK_SECONDS").map_or(SECONDS, |seconds| seconds.parse().expect("a number of seconds"));
    let broker_port = free_port();
    let Some(broker) = Mosquitto::start(broker_port, None) else { return };
    let cameras: Vec<Option<Camera>> = (0..2).map(|_| Some(Camera::start(&World::model()))).collect();
    let addresses: Vec<String> = cameras.iter().flatten().map(Camera::address).collect();
    let ports = cameras.iter().flatten().map(|camera| camera.port).collect();
    let connections = cameras.len() as u64;
    let mut world = World { cameras, broker: Some(broker), ports, broker_port, sent: 0, connections };
    let target = format!("mqtt://127.0.0.1:{broker_port}/uniood");
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let settings = ["--tracker", "sort", "--events", "both", "--segment", "5s", "--metrics", "127.0.0.1:0", "--publish", &target];
    let Some(mut run) = Run::start_in(tempfile::tempdir().unwrap(), &addresses, &settings) else { return };
    run.wait_for("both cameras", |run| count(run, ": connected, ") == 2);

    let (began, mut samples) = (Instant::now(), Vec::new());
    while began.elapsed() < Duration::from_secs(seconds) {
        let round = Instant::now();
        let fault = match samples.len() % 3 {
            0 => {
                world.camera_dies_and_returns(&mut run, 0);
                "camera 1 died and returned"
            }
            1 => {
                world.broker_is_started_again(&mut run);
                "the broker was started again"
            }
            _ => {
                world.camera_dies_and_returns(&mut run, 1);
                "camera 2 died and returned"
            }
        };
        // Both are up, and the broker has what waited for it.
        run.wait_for("a quiet moment", |run| {
            let scrape = get(&run.metrics());
            let of = |name: &str| -> Vec<f64> {
                scrape.lines().filter_map(|line| line.strip_prefix(name)?.split(' ').next_back()?.parse().ok()).collect()
            };
            of("uniood_stream_up{") == [1.0, 1.0] && of("uniood_publish_queue_depth{").iter().all(|waiting| *waiting < 10.0)
        });
        run.wait_for("the round's end", |_| round.elapsed() >= ROUND);
        samples.push(Sample::take(&run, began, fault));
    }
    let (run, ran) = run.interrupt();

    let all = &ran.stdout[ran.stdout.find("all inputs").expect("a summary of all")..];
    let mut frames: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut tracks: BTreeMap<(String, u64), (u64, u64)> = BTreeMap::new();
    let lines = run.lines();
    for line in &lines {
        let stream = || line["stream_id"].as_str().unwrap().to_owned();
        match (line["schema"].as_str().unwrap(), line["event"].as_str()) {
            ("uniood.track/1", event) => {
                let told = tracks.entry((stream(), line["id"].as_u64().unwrap())).or_default();
                told.0 += u64::from(event == Some("start"));
                told.1 += u64::from(event == Some("end"));
            }
            (_, None) => frames.entry(stream()).or_default().push(line["frame_id"].as_u64().unwrap()),
            _ => {}
        }
    }
    let told: u64 = frames.values().map(|frames| frames.len() as u64).sum();
    let recorded: u64 = run.videos().iter().map(|video| recorded(video).0 as u64).sum();
    let (summed, dropped) = (said(all, " in "), said(all, " more were dropped"));
    let (delivered, given_up) = (said(all, " delivered"), said(all, " dropped\n"));
    let sent = world.sent();
    let cut_off = sent.saturating_sub(told + dropped);

    let mut violations = Violations::default();
    violations.unless_flat("memory, KiB", &samples, GROWTH, |sample| sample.rss);
    violations.unless_flat("threads", &samples, 0, |sample| sample.threads);
    violations.unless_flat("open files", &samples, 0, |sample| sample.files);
    for (stream, frames) in &frames {
        violations
            .unless(frames.iter().copied().eq(0..frames.len() as u64), || format!("{stream}: a frame's number is missing, or there twice"));
    }
    violations.unless(summed == told, || format!("the summary has {summed} frames, the lines {told}"));
    violations.unless(recorded == told, || format!("the recordings have {recorded} frames, the lines {told}"));
    violations.unless(told + dropped <= sent, || format!("{told} frames and {dropped} dropped, though cameras sent {sent}"));
    violations.unless(cut_off <= CUT_OFF * world.connections, || format!("{cut_off} frames are not accounted for"));
    violations.unless(delivered + given_up == lines.len() as u64, || {
        format!("{delivered} events delivered, {given_up} dropped, of {}", lines.len())
    });
    violations
        .unless(!tracks.is_empty() && tracks.values().all(|told| *told == (1, 1)), || format!("a track without start or end: {tracks:?}"));

    eprintln!("{:>8} {:>9} {:>8} {:>6}", "seconds", "RSS, MiB", "threads", "files");
    for Sample { at, fault, rss, threads, files } in &samples {
        #[expect(clippy::cast_precision_loss, reason = "shown with a digit")]
        let rss = *rss as f64 / 1024.0;
        eprintln!("{:>8} {rss:>9.1} {threads:>8} {files:>6}  {fault}", at.as_secs());
    }
    eprintln!(
        "frames   {sent} sent, {told} with a line, {recorded} recorded, {dropped} dropped, {cut_off} cut off with {} connections",
        world.connections
    );
    eprintln!("events   {} lines, {delivered} delivered, {given_up} dropped", lines.len());
    eprintln!("tracks   {}, each with its start and its end", tracks.len());
    assert!(violations.0.is_empty(), "{}\n{}", violations.0.join("\n"), ran.stdout);
}
