//! `uniood run` on real files: what it writes, how it ends, and that nothing done is lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/model_set.rs"]
mod model_set;
#[path = "common/program.rs"]
mod program;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::shared;
use model_set::golden_set;
use program::{Ran, launch, plugin_is_built, run, uniood};
use serde_json::Value;
use tempfile::TempDir;

const SIZE: (usize, usize) = (160, 120);

/// A model set and a folder for clips and results. `None`, said aloud, where the plugin was not built.
struct World {
    dir: TempDir,
    models: PathBuf,
    _set: TempDir,
}

impl World {
    fn new() -> Option<Self> {
        if !plugin_is_built() {
            return None;
        }
        let (set, _) = golden_set("no_cnn_g4_wide");
        Some(Self { dir: tempfile::tempdir().unwrap(), models: set.path().to_owned(), _set: set })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A clip of so many frames at 25 a second.
    fn clip(&self, name: &str, frames: u32, muxer: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let raw = format!("video/x-raw,format=I420,width={},height={},framerate=25/1", SIZE.0, SIZE.1);
        let description = format!(
            "videotestsrc num-buffers={frames} pattern=ball ! {raw} ! x264enc speed-preset=ultrafast ! {muxer} ! filesink location={}",
            path.display()
        );
        launch(&description);
        path
    }

    /// Waits until lines come.
    fn under_way(&self, name: &str, child: &mut Child) {
        let lines = self.path("out").join(format!("{name}.jsonl"));
        let deadline = Instant::now() + Duration::from_mins(1);
        while fs::read_to_string(&lines).map_or(0, |text| text.lines().count()) < 5 {
            assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it did not get under way");
            std::thread::yield_now();
        }
    }

    fn arguments(&self, inputs: &[&Path], more: &[&str]) -> Vec<String> {
        let mut arguments: Vec<String> = ["run", "--detector", "frame", "--models"].map(str::to_owned).to_vec();
        arguments.push(self.models.to_str().unwrap().to_owned());
        arguments.extend(["--out".to_owned(), self.path("out").to_str().unwrap().to_owned()]);
        arguments.extend(inputs.iter().map(|input| input.to_str().unwrap().to_owned()));
        arguments.extend(more.iter().map(|more| (*more).to_owned()));
        arguments
    }

    fn run(&self, inputs: &[&Path], more: &[&str]) -> Ran {
        run(&self.arguments(inputs, more))
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path("out").join(format!("{name}.jsonl"))).unwrap();
        text.lines().map(|line| serde_json::from_str(line).expect("every line is whole")).collect()
    }

    /// Frames of a recording that decode.
    fn recorded_frames(&self, name: &str) -> usize {
        let video = self.path("out").join(format!("{name}.annotated.mp4"));
        let raw = self.path("frames.raw");
        launch(&format!(
            "filesrc location={} ! decodebin ! videoconvert ! video/x-raw,format=GRAY8 ! filesink location={}",
            video.display(),
            raw.display()
        ));
        usize::try_from(fs::metadata(raw).unwrap().len()).unwrap() / (SIZE.0 * SIZE.1)
    }
}

#[test]
fn a_clip_becomes_a_recording_lines_crops_and_a_summary() {
    let Some(world) = World::new() else { return };
    let clip = world.clip("ball.mp4", 30, "mp4mux");
    let ran = world.run(&[&clip], &["--ood-threshold", "2"]);
    ran.check(0, "");
    let lines = world.lines("ball");
    let timestamps: Vec<u64> = lines.iter().map(|line| line["timestamp"].as_u64().unwrap()).collect();
    assert_eq!(timestamps, (0..30).map(|frame| frame * 40_000_000).collect::<Vec<_>>());
    assert_eq!(lines.iter().map(|line| line["frame_id"].as_u64().unwrap()).collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());
    assert!(lines.iter().all(|line| line["objects"][0]["ood"]["label"] == "ood" && line["source"].as_str().unwrap().ends_with("ball.mp4")));
    assert_eq!(world.recorded_frames("ball"), 30);
    let crops: Vec<_> = fs::read_dir(world.path("out/ball.crops")).unwrap().collect();
    assert_eq!(crops.len(), 30);
    let crop = uniood::picture::read(&world.path("out/ball.crops/00000007-00.jpg")).unwrap();
    assert_eq!((crop.width as usize, crop.height as usize), SIZE);
    assert!(["frames    30", "30 OOD", "30 encoded"].iter().all(|part| ran.stdout.contains(part)), "{}", ran.stdout);
}

#[test]
fn inputs_of_one_name_and_folders_keep_all_results_apart() {
    let Some(world) = World::new() else { return };
    world.clip("in/a/clip.mp4", 3, "mp4mux");
    world.clip("in/b/clip.mkv", 4, "matroskamux");
    let ran = world.run(&[&world.path("in")], &[]);
    ran.check(0, "");
    assert_eq!((world.lines("clip").len(), world.lines("clip-2").len()), (3, 4));
    assert!(ran.stdout.contains("all inputs\n  frames    7"), "{}", ran.stdout);
}

#[test]
fn lines_on_stdout_are_those_of_the_file() {
    let Some(world) = World::new() else { return };
    let clip = world.clip("ball.mp4", 5, "mp4mux");
    let ran = world.run(&[&clip], &["--lines", "-"]);
    ran.check(0, "frames    5");
    assert_eq!(ran.stdout, fs::read_to_string(world.path("out/ball.jsonl")).unwrap());
}

#[test]
fn a_missed_gate_is_exit_3_and_crops_can_be_limited() {
    let Some(world) = World::new() else { return };
    let clip = world.clip("ball.mp4", 5, "mp4mux");
    let ran = world.run(&[&clip], &["--ood-threshold", "2", "--fail-on-ood", "--crops", "2"]);
    assert!(ran.check(3, "").stdout.contains("crops     2, 3 left out"), "{}", ran.stdout);
    assert_eq!(fs::read_dir(world.path("out/ball.crops")).unwrap().count(), 2);
}

#[test]
fn a_tracker_gives_ids_and_observations_and_intervals_without_one_are_wrong_usage() {
    let Some(world) = World::new() else { return };
    let clip = world.clip("ball.mp4", 12, "mp4mux");
    let wanted = ["--tracker", "sort", "--reclassify-interval", "0", "--inference-interval", "2", "--ood-threshold", "2"];
    world.run(&[&clip], &wanted).check(0, "");
    for (number, line) in world.lines("ball").iter().enumerate() {
        let object = &line["objects"][0];
        let observations = object["ood"]["observations"].as_u64().unwrap();
        assert_eq!(object["id"], 1);
        assert_eq!(object["ood"]["label"], if observations < 3 { "id" } else { "ood" });
        assert!(observations >= (number as u64 / 2 + 1).min(3), "frame {number}");
    }
    world.run(&[&clip], &["--reclassify-interval", "5"]).check(2, "reclassify-interval=5 needs a tracker");
    world.run(&[&clip], &["--inference-interval", "3"]).check(2, "inference-interval=3 needs a tracker");
    world.run(&[&clip], &["--tracker", "deepsort"]).check(2, "possible values: none, iou, sort");
}

#[test]
fn inputs_that_cannot_be_read_are_named_and_the_others_are_done() {
    let Some(world) = World::new() else { return };
    let good = world.clip("good.mp4", 4, "mp4mux");
    let text = world.path("text.mp4");
    fs::write(&text, "this is no video").unwrap();
    let sound = world.path("sound.mp4");
    launch(&format!("audiotestsrc num-buffers=20 ! avenc_aac ! mp4mux ! filesink location={}", sound.display()));
    let ran = world.run(&[&text, &sound, &good], &[]);
    ran.check(1, "text.mp4");
    assert!(ran.stderr.contains("sound.mp4 holds no video"), "{}", ran.stderr);
    assert_eq!(world.lines("good").len(), 4);
    assert!(!world.path("out/text.jsonl").exists(), "nothing is left of an input that gave nothing");
    world.run(&[&world.path("missing.mp4")], &[]).check(1, "missing.mp4");
    fs::create_dir(world.path("empty")).unwrap();
    world.run(&[&world.path("empty")], &[]).check(1, "no video file in this folder");
}

#[test]
fn a_truncated_file_keeps_what_was_scored_before_its_end() {
    let Some(world) = World::new() else { return };
    let whole = fs::read(world.clip("whole.mp4", 60, "mp4mux faststart=true")).unwrap();
    let cut = world.path("cut.mp4");
    fs::write(&cut, &whole[..whole.len() * 2 / 3]).unwrap();
    let ran = world.run(&[&cut], &[]);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    let lines = world.lines("cut").len();
    assert!((10..60).contains(&lines), "{lines}: {}", ran.stderr);
    assert_eq!(world.recorded_frames("cut"), lines);
}

#[test]
fn an_output_folder_that_cannot_be_is_said_before_anything_runs() {
    let Some(world) = World::new() else { return };
    let clip = world.clip("ball.mp4", 3, "mp4mux");
    fs::write(world.path("out"), "a file").unwrap();
    world.run(&[&clip], &[]).check(1, "cannot create");
}

#[test]
fn an_interrupt_closes_the_files_with_every_frame_that_was_under_way() {
    let Some(world) = World::new() else { return };
    let clip = world.clip("long.mp4", 3000, "mp4mux");
    let mut child = uniood(&world.arguments(&[&clip], &["--crops", "0"])).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    world.under_way("long", &mut child);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.check(130, "interrupted");
    let lines = world.lines("long").len();
    assert!((5..3000).contains(&lines), "{lines}");
    assert_eq!(world.recorded_frames("long"), lines);
}

#[test]
fn files_may_be_read_several_at_a_time_and_stay_apart() {
    let Some(world) = World::new() else { return };
    let clips = [("one.mp4", 12), ("two.mp4", 20), ("three.mp4", 7)].map(|(name, frames)| world.clip(name, frames, "mp4mux"));
    let ran = world.run(&[&clips[0], &clips[1], &clips[2]], &["--jobs", "3", "--crops", "0"]);
    ran.check(0, "");
    for (name, frames) in [("one", 12), ("two", 20), ("three", 7)] {
        let lines = world.lines(name);
        assert_eq!(
            lines.iter().map(|line| line["frame_id"].as_u64().unwrap()).collect::<Vec<_>>(),
            (0..frames).collect::<Vec<_>>(),
            "{name}"
        );
        assert!(lines.iter().all(|line| line["stream_id"] == name && line["objects"][0]["ood"]["omega"].is_number()), "{name}");
        assert_eq!(world.recorded_frames(name) as u64, frames, "{name}");
    }
    assert!(ran.stdout.contains("all inputs\n  frames    39") && ran.stdout.contains("  p99       "), "{}", ran.stdout);
}

#[test]
fn live_inputs_run_at_the_same_time_until_they_are_interrupted() {
    let Some(world) = World::new() else { return };
    // Ports that were free just now.
    let ports = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).map(|socket| socket.local_addr().unwrap().port());
    let mut senders = ports.map(|port| {
        let description = format!(
            "videotestsrc is-live=true ! video/x-raw,format=I420,width={},height={},framerate=25/1 ! x264enc speed-preset=ultrafast \
             tune=zerolatency key-int-max=10 ! mpegtsmux alignment=7 ! udpsink host=127.0.0.1 port={port}",
            SIZE.0, SIZE.1
        );
        Command::new("gst-launch-1.0").arg("-q").args(description.split_whitespace()).stdout(Stdio::null()).spawn().unwrap()
    });
    let addresses = ports.map(|port| PathBuf::from(format!("udp://127.0.0.1:{port}")));
    let arguments = world.arguments(&[&addresses[0], &addresses[1]], &["--crops", "0"]);
    let mut child = uniood(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let names = ports.map(|port| format!("127.0.0.1-{port}"));
    let lines = |name: &str| fs::read_to_string(world.path("out").join(format!("{name}.jsonl"))).map_or(0, |text| text.lines().count());
    let deadline = Instant::now() + Duration::from_mins(2);
    while names.iter().any(|name| lines(name) < 20) {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "they did not get under way");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ran: Ran = child.wait_with_output().unwrap().into();
    for sender in &mut senders {
        sender.kill().unwrap();
        sender.wait().unwrap();
    }
    ran.check(130, "interrupted");
    for name in &names {
        // What befell the camera is a line, too.
        let frames = world.lines(name).iter().filter(|line| line.get("event").is_none()).count();
        assert_eq!(world.recorded_frames(name), frames, "{name}");
    }
}

#[test]
fn the_real_clips_give_a_line_for_each_frame() {
    let Some(world) = World::new() else { return };
    let Some(clips) = shared("clips") else { return };
    for (clip, frames) in [("udacity_vehicle_test_video.mp4", 38), ("finite_car.mp4", 441)] {
        let ran = world.run(&[&clips.join(clip)], &["--crops", "0"]);
        ran.check(0, "");
        let lines = world.lines(clip.trim_end_matches(".mp4"));
        assert_eq!(lines.len(), frames, "{clip}");
        let timestamps: Vec<u64> = lines.iter().map(|line| line["timestamp"].as_u64().unwrap()).collect();
        assert!(timestamps.is_sorted_by(|a, b| a < b), "{clip}");
    }
}

#[test]
fn a_reader_that_went_away_is_said_and_the_other_inputs_are_done() {
    let Some(world) = World::new() else { return };
    let clips = ["one.mp4", "two.mp4"].map(|name| world.clip(name, 3, "mp4mux"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let arguments = world.arguments(&[&clips[0], &clips[1]], &["--crops", "0"]);
    let child = uniood(&arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.check(1, "cannot write to stdout");
    assert_eq!((world.lines("one").len(), world.lines("two").len()), (3, 3));
}

#[test]
fn an_interrupt_closes_the_files_also_where_nobody_reads_any_more() {
    let Some(world) = World::new() else { return };
    let clip = world.clip("long.mp4", 3000, "mp4mux");
    // As behind `2>&1 | tee log`, which Ctrl-C ends first.
    let (reader, writer) = std::io::pipe().unwrap();
    let arguments = world.arguments(&[&clip], &["--crops", "0"]);
    let mut child = uniood(&arguments).stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
    world.under_way("long", &mut child);
    drop(reader);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(world.recorded_frames("long"), world.lines("long").len());
}

#[test]
fn a_recording_that_cannot_be_begun_ends_the_run_however_short_the_clip_is() {
    let Some(world) = World::new() else { return };
    // All of it is under way before the first frame is recorded: what fails behind a video's end must not be waited for.
    let clip = world.clip("ball.mp4", 3, "mp4mux");
    fs::create_dir_all(world.path("out/ball.annotated.mp4")).unwrap();
    world.run(&[&clip], &["--crops", "0"]).check(1, "cannot write");
}

#[test]
fn a_terminal_that_goes_away_ends_only_what_was_not_told_to_outlive_it() {
    let Some(world) = World::new() else { return };
    let clip = world.clip("long.mp4", 600, "mp4mux");
    let arguments = world.arguments(&[&clip], &["--crops", "0"]);
    for (shell, code) in [("exec \"$0\" \"$@\"", 130), ("trap '' HUP; exec \"$0\" \"$@\"", 0)] {
        let program = uniood(&arguments);
        let mut command = Command::new("sh");
        command.args(["-c", shell]).arg(program.get_program()).args(program.get_args());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        world.under_way("long", &mut child);
        assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
        let ran: Ran = child.wait_with_output().unwrap().into();
        ran.check(code, "");
        assert_eq!(world.lines("long").len() == 600, code == 0);
        fs::remove_file(world.path("out/long.jsonl")).unwrap();
    }
}
