//! A video with JSON lines of ours as data: the omega that the element gave, labels corrected by hand, and what is broken.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/program.rs"]
mod program;
#[path = "common/streets.rs"]
mod streets;

use std::{fs, path::PathBuf, time::Duration};

use program::{Ran, plugin_is_built, run};
use serde_json::{Value, json};
use street_world::film::{self, Settings};
use tempfile::TempDir;

const FRAMES: u64 = 12;

/// A clip of rendered streets and what `uniood run` says of it. `None`, said aloud, where the plugin was not built.
struct World {
    dir: TempDir,
    lines: Vec<Value>,
}

impl World {
    fn new() -> Option<Self> {
        if !plugin_is_built() {
            return None;
        }
        let mut world = Self { dir: tempfile::tempdir().unwrap(), lines: Vec::new() };
        let frame = |index| film::still(&Settings { seed: 4400 + index, ..Settings::default() }).unwrap();
        streets::clip((0..FRAMES).map(frame), &world.path("street.mp4"));
        world.uniood(&["run", &world.text("street.mp4"), "--out", &world.text("out")]).check(0, "");
        let text = fs::read_to_string(world.path("out/street.jsonl")).unwrap();
        world.lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(world.lines.len() as u64, FRAMES);
        Some(world)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A command with the cache of all.
    fn uniood(&self, arguments: &[&str]) -> Ran {
        run(&[arguments, &["--model-cache-dir", &self.text("cache")]].concat())
    }

    /// The lines after a change, as a file of this name.
    fn changed(&self, name: &str, change: impl Fn(usize, &mut Value)) -> String {
        let line = |(index, line): (usize, &Value)| {
            let mut line = line.clone();
            change(index, &mut line);
            line.to_string() + "\n"
        };
        fs::write(self.path(name), self.lines.iter().enumerate().map(line).collect::<String>()).unwrap();
        self.text(name)
    }
}

/// Calls every object of a frame by the same name.
fn call(frame: &mut Value, name: &str) {
    for object in frame["objects"].as_array_mut().unwrap() {
        object["roi_type"] = json!(name);
    }
}

#[test]
fn omega_is_the_elements_on_the_same_video_and_boxes() {
    common::completes_within(Duration::from_mins(5), || {
        let Some(world) = World::new() else { return };
        // All of them known, so that every object counts in both.
        let lines = world.changed("street.jsonl", |_, frame| call(frame, "car"));
        let quantiles = |data: &str, out: &str, more: &[&str]| -> Vec<f64> {
            world.uniood(&[&["calibrate", data, "--out", &world.text(out), "--keep", "0.5"], more].concat()).check(0, "");
            let document: Value = serde_json::from_slice(&fs::read(world.path(out).join("calibration.json")).unwrap()).unwrap();
            document["quantiles"].as_array().unwrap().iter().map(|omega| omega.as_f64().unwrap()).collect()
        };
        let said = quantiles(&lines, "said", &[]);
        let found = quantiles(&world.text("street.mp4"), "found", &["--boxes", "truth"]);
        assert_eq!(said.len(), found.len());
        let furthest = said.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(furthest <= 1e-5 && said.len() > 20, "{furthest}, {}", said.len());
    });
}

#[test]
fn labels_corrected_by_hand_decide_and_what_is_broken_is_named() {
    common::completes_within(Duration::from_mins(5), || {
        let Some(world) = World::new() else { return };
        let objects = |frames: std::ops::Range<usize>| -> u64 {
            frames.map(|frame| world.lines[frame]["objects"].as_array().unwrap().len() as u64).sum()
        };
        // Half of the frames show cars, half show what is on no list, whatever the verdicts were.
        let half = world.lines.len() / 2;
        let halves = |index: usize, frame: &mut Value| call(frame, if index < half { "car" } else { "heap of straw" });
        let lines = world.changed("labels.jsonl", halves);
        let video = world.text("street.mp4");
        let eval = ["eval", "--boxes", "truth", "--methods", "uniood", "--json", "--images", &video, "--open-world"];
        let counts = |ran: &Ran| {
            let found: Value = serde_json::from_str(&ran.stdout).unwrap();
            (found["metrics"][0]["n_id"].as_u64().unwrap(), found["metrics"][0]["n_ood"].as_u64().unwrap())
        };
        let ran = world.uniood(&[&eval[..], &[&lines]].concat());
        assert_eq!(counts(ran.check(0, "")), (objects(0..half), objects(half..world.lines.len())));

        assert!(!ran.stderr.contains("nobody corrected"), "{}", ran.stderr);
        // As they were written, the verdicts would be measured against themselves, which is said.
        let verdicts =
            world.lines.iter().flat_map(|line| line["objects"].as_array().unwrap()).filter(|one| one["ood"]["label"] != "unscored").count();
        world
            .uniood(&[&eval[..], &[&world.text("out/street.jsonl")]].concat())
            .check(0, &format!("{verdicts} labels are verdicts that nobody corrected"));

        // Lines that are none, frames that are not there, and frames of another size are named, counted and left out.
        let broken = world.changed("broken.jsonl", |index, frame| {
            halves(index, frame);
            match index {
                0 => *frame = json!({"no": "frame"}),
                1 => frame["timestamp"] = json!(55_000_000),
                2 => frame["resolution"]["width"] = json!(100),
                _ => {}
            }
        });
        let ran = world.uniood(&[&eval[..], &[&broken]].concat());
        for sentence in ["line 1 is no frame of uniood's", "it has no frame at 0.055 s", "the JSON lines say 100×"] {
            ran.check(0, sentence);
        }
        assert_eq!(counts(&ran), (objects(3..half), objects(half..world.lines.len())));
        world.uniood(&[&eval[..], &[&broken, "--strict"]].concat()).check(1, "line 1 is no frame");

        // The same for a video that is none.
        let noise = world.text("noise.mp4");
        fs::write(&noise, vec![7; 5000]).unwrap();
        let ran = world.uniood(&["eval", "--boxes", "truth", "--open-world", &lines, "--images", &noise]);
        ran.check(1, "noise.mp4: ").check(1, "no ID object in labels that counts");
        fs::remove_file(world.path("out/street.jsonl")).unwrap();
        world.uniood(&["eval", "--open-world", &world.text("street.mp4")]).check(1, "there is no");

        // Shots are taken from it, too; what nobody named is a class with too few.
        let tune = ["tune", &lines, "--images", &video, "--shots", "3", "--out", &world.text("tuned")].map(str::to_owned);
        let tune: Vec<&str> = tune.iter().map(String::as_str).collect();
        world.uniood(&[&tune[..], &["--classes", "car,heap of straw"]].concat()).check(0, "");
        world.uniood(&[&tune[..6], &["--out", &world.text("more"), "--classes", "car,bus"]].concat()).check(1, "no category `bus`");
    });
}
