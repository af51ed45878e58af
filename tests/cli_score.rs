//! `uniood score`: what it prints, its exit codes, and a sentence for every bad input.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/model_set.rs"]
mod model_set;
#[path = "common/program.rs"]
mod program;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use common::{golden_dir, shared};
use image::{Rgb, RgbImage};
use model_set::golden_set;
use program::{Ran, run, uniood};
use serde_json::{Value, json};
use tempfile::TempDir;
use uniood::eval::metrics;

/// A golden model set, two pictures, and room for more.
struct World {
    dir: TempDir,
    models: PathBuf,
    _set: TempDir,
}

impl World {
    fn new() -> Self {
        let (set, _) = golden_set("quick_gelu_g7");
        let dir = tempfile::tempdir().unwrap();
        for (name, shade) in [("a.png", 40), ("b.png", 90)] {
            RgbImage::from_fn(100, 50, |x, y| Rgb([shade, x.to_le_bytes()[0] * 2, y.to_le_bytes()[0] * 5]))
                .save(dir.path().join(name))
                .unwrap();
        }
        Self { models: set.path().to_owned(), dir, _set: set }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.dir.path().join(name), content).unwrap();
        self.path(name)
    }

    fn score(&self, arguments: &[&str]) -> Ran {
        let models = self.models.to_str().unwrap();
        run(&[&["score", "--models", models], arguments].concat())
    }
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_is_left_out_for_speed_is_left_out_alone_and_only_when_asked_for() {
    let world = World::new();
    let boxes = world.write("boxes.json", "[[60,5,20.5,30],[3.2,4.9,40,40],[50,20,8,8]]");
    let scores = |flags: &[&str]| -> Vec<Value> {
        let picture = world.path("a.png");
        let ran = world.score(&[&["--json", "--scores", "all", "--boxes", &boxes, &picture], flags].concat());
        let lines = lines(ran.check(0, ""));
        lines[0]["objects"].as_array().unwrap().iter().map(|object| object["ood"]["scores"].clone()).collect()
    };
    let exact = scores(&[]);
    assert_eq!(scores(&["--background", "exact", "--shortlist", "0"]), exact);
    assert_eq!(scores(&["--shortlist", "100"]), exact);
    assert_ne!(scores(&["--background", "shared"]), exact);
    for (short, all) in scores(&["--shortlist", "2"]).iter().zip(&exact) {
        let short = short.as_object().unwrap();
        assert_eq!(short.len(), 2);
        for (class, omega) in short {
            assert!((omega.as_f64().unwrap() - all[class].as_f64().unwrap()).abs() < 1e-5, "{class}");
        }
    }
    world.score(&["--background", "blurred", &world.path("a.png")]).check(2, "blurred");
    world.score(&["--shortlist", "-1", &world.path("a.png")]).check(2, "-1");
}

#[test]
fn json_keeps_the_order_of_pictures_and_boxes() {
    let world = World::new();
    let boxes = world.write("boxes.json", "[[60,5,20.5,30],[3.2,4.9,40,40],[50,20,8,8]]");
    let ran = world.score(&["--json", "--boxes", &boxes, &world.path("b.png"), &world.path("a.png")]);
    let lines = lines(ran.check(0, ""));
    assert_eq!(
        lines.iter().map(|line| line["source"].as_str().unwrap().rsplit('/').next().unwrap()).collect::<Vec<_>>(),
        ["b.png", "a.png"]
    );
    let place = |object: &Value| ["x", "y", "w", "h"].map(|key| object[key].as_u64().unwrap());
    let places: Vec<_> = lines[0]["objects"].as_array().unwrap().iter().map(place).collect();
    assert_eq!(places, [[60, 5, 21, 30], [3, 4, 41, 41], [50, 20, 8, 8]]);
    let ood = &lines[1]["objects"][2]["ood"];
    assert_eq!(ood["label"], if ood["omega"].as_f64().unwrap() < ood["threshold"].as_f64().unwrap() { "ood" } else { "id" });
    assert_eq!((&lines[1]["schema"], &ood["scores"], &lines[1]["frame_id"]), (&json!("uniood.frame/1"), &Value::Null, &json!(1)));
}

#[test]
fn all_scores_hold_every_class_and_omega_is_their_highest() {
    let world = World::new();
    let ran = world.score(&["--json", "--scores", "all", "--boxes", "frame", "--classes", "bus, raccoon", &world.path("a.png")]);
    let lines = lines(ran.check(0, ""));
    let ood = &lines[0]["objects"][0]["ood"];
    let scores: HashMap<String, f64> = serde_json::from_value(ood["scores"].clone()).unwrap();
    assert_eq!(scores.len(), 2);
    let nearest = ood["nearest"].as_str().unwrap();
    assert!(scores.values().all(|score| *score <= scores[nearest]));
    assert!((scores[nearest] - ood["omega"].as_f64().unwrap()).abs() < 1e-6);
    assert_eq!(ood["cosines"].as_object().unwrap().len(), 2);
}

#[test]
fn the_table_names_each_object_and_its_verdict() {
    let world = World::new();
    let ran = world.score(&["--boxes", "frame", "--ood-threshold", "2", &world.path("a.png")]);
    assert!(ran.check(0, "").stdout.contains("OOD") && ran.stdout.contains("100×50 at 0,0"), "{}", ran.stdout);
}

#[test]
fn a_gate_that_is_missed_is_exit_3() {
    let world = World::new();
    let gate = |delta: &str| world.score(&["--boxes", "frame", "--fail-on-ood", "--ood-threshold", delta, &world.path("a.png")]);
    gate("2").check(3, "");
    gate("-2").check(0, "");
}

#[test]
fn wrong_usage_is_exit_2() {
    let world = World::new();
    let picture = world.path("a.png");
    world.score(&[]).check(2, "IMAGE");
    world.score(&["--detection-threshold", "1.5", &picture]).check(2, "0..=1");
    world.score(&["--device", "gpu", &picture]).check(2, "cuda[:n]");
    world.score(&["--boxes", "frame", "--max-objects", "3", &picture]).check(2, "cannot be used with");
    run(&["score", "--no-such-flag", "a.png"]).check(2, "--no-such-flag");
}

#[test]
fn without_a_model_set_the_shipped_one_is_used_and_said() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let arguments = ["score", "--boxes", "frame", &world.path("a.png")];
    let elsewhere = || {
        let mut command = uniood(&arguments);
        command.env_remove("XDG_CACHE_HOME").env("HOME", home.path()).current_dir(home.path());
        command.env("ORT_DYLIB_PATH", std::path::absolute(std::env::var_os("ORT_DYLIB_PATH").unwrap()).unwrap());
        command
    };
    Ran::from(elsewhere().output().unwrap()).check(0, "model set street-tiny, which ships with uniood");
    Ran::from(elsewhere().env("UNIOOD_MODELS", &world.models).output().unwrap()).check(0, "");
    Ran::from(elsewhere().env("UNIOOD_MODELS", "/no/such/set").output().unwrap()).check(1, "/no/such/set/uniood.json");
    Ran::from(elsewhere().env_remove("HOME").output().unwrap()).check(1, "no HOME");
}

#[test]
fn a_broken_picture_is_named_and_the_others_are_scored() {
    let world = World::new();
    let whole = fs::read(world.path("b.png")).unwrap();
    let broken = [
        world.write("truncated.png", &whole[..whole.len() / 2]),
        world.write("empty.jpg", ""),
        world.write("text.png", "not a picture"),
        world.path("missing.png"),
        world.dir.path().to_str().unwrap().to_owned(),
    ];
    let mut arguments = vec!["--json", "--boxes", "frame"];
    let good = world.path("a.png");
    for picture in &broken {
        arguments.extend([picture.as_str(), good.as_str()]);
    }
    let ran = world.score(&arguments);
    ran.check(1, "");
    assert_eq!(lines(&ran).len(), broken.len());
    for picture in &broken {
        assert!(ran.stderr.contains(picture.as_str()), "{picture}: {}", ran.stderr);
    }
    assert_eq!(ran.stderr.lines().count(), broken.len(), "one sentence each: {}", ran.stderr);
}

#[test]
fn bad_boxes_are_named_and_nothing_panics() {
    let world = World::new();
    let picture = world.path("a.png");
    for (boxes, sentence) in [
        ("[[1,2,3,4],null]", "box 1 is null"),
        ("[[1,2,NaN,4]]", "not JSON"),
        ("[[1,2,-3,4]]", "box 0 is [1,2,-3,4]"),
        ("[[500,2,3,4]]", "outside the 100×50 picture"),
        ("{\"images\":[],\"annotations\":[]}", "has no picture `a.png`"),
        ("[[1,2,3,4]", "not JSON"),
    ] {
        let file = world.write("boxes.json", boxes);
        world.score(&["--boxes", &file, &picture]).check(1, sentence);
    }
    world.score(&["--boxes", &world.path("none.json"), &picture]).check(1, "none.json");
}

#[test]
fn bad_class_lists_are_refused_with_a_sentence() {
    let world = World::new();
    let picture = world.path("a.png");
    let over_long = "word ".repeat(40);
    let empty = world.write("classes.txt", "\n\n");
    for (classes, sentence) in [
        ("", "at least one in-distribution class"),
        ("car,,bus", "empty name"),
        ("car,bus,Car", "twice"),
        (over_long.as_str(), "24"),
        (empty.as_str(), "at least one in-distribution class"),
        ("nowhere/classes.txt", "nowhere/classes.txt"),
    ] {
        world.score(&["--boxes", "frame", "--classes", classes, &picture]).check(1, sentence);
    }
}

/// What a file is replaced with.
type Damage<'a> = &'a dyn Fn(&Path) -> Vec<u8>;

/// A copy of a golden case that a test may damage.
fn copied_set() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let golden = golden_dir().join("no_cnn_g4_wide");
    fs::create_dir(dir.path().join("clip")).unwrap();
    for file in fs::read_dir(golden.join("clip")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dir.path().join("clip").join(file.file_name())).unwrap();
    }
    fs::copy(golden.join("combiner.safetensors"), dir.path().join("combiner.safetensors")).unwrap();
    let manifest = json!({"schema": "uniood.models/1", "name": "copy", "licence": "MIT", "clip": "clip", "combiner": "combiner.safetensors",
        "classes": ["car", "bus"], "threshold": 0.1});
    fs::write(dir.path().join("uniood.json"), manifest.to_string()).unwrap();
    let path = dir.path().to_owned();
    (dir, path)
}

#[test]
fn a_damaged_model_set_is_an_error_that_names_the_file() {
    let world = World::new();
    let picture = world.path("a.png");
    let absurd = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    let half = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        bytes[..bytes.len() / 2].to_vec()
    };
    let damages: [(&str, Damage, &str); 9] = [
        ("clip/model.safetensors", &|_| absurd.clone(), "not a whole safetensors file"),
        ("clip/model.safetensors", &half, "not a whole safetensors file"),
        ("clip/model.safetensors", &|_| Vec::new(), "not a whole safetensors file"),
        ("combiner.safetensors", &half, "not a whole safetensors file"),
        ("clip/config.json", &|_| b"{\"model_type\":\"siglip\"}".to_vec(), "siglip"),
        ("clip/config.json", &half, "config.json"),
        ("clip/tokenizer.json", &half, "tokenizer.json"),
        ("uniood.json", &|_| b"[]".to_vec(), "not a model set manifest"),
        ("uniood.json", &|path| fs::read_to_string(path).unwrap().replace("\"car\"", "\"bus\"").into_bytes(), "twice"),
    ];
    for (file, damage, sentence) in damages {
        let (_dir, set) = copied_set();
        let path = set.join(file);
        fs::write(&path, damage(&path)).unwrap();
        let ran = run(&["score", "--boxes", "frame", "--models", set.to_str().unwrap(), &picture]);
        ran.check(1, sentence);
        assert!(ran.stderr.contains(file.rsplit('/').next().unwrap()), "{file}: {}", ran.stderr);
    }
    let (_dir, set) = copied_set();
    fs::remove_file(set.join("clip/model.safetensors")).unwrap();
    run(&["score", "--boxes", "frame", "--models", set.to_str().unwrap(), &picture]).check(1, "model.safetensors");
}

#[test]
fn a_detector_that_is_none_is_an_error_that_names_the_file() {
    let world = World::new();
    let picture = world.path("a.png");
    let broken = world.write("broken.onnx", b"\x08\x07\x12\x00garbage");
    world.score(&["--detector", &broken, &picture]).check(1, "broken.onnx");
    world.score(&["--detector", &world.path("none.onnx"), &picture]).check(1, "none.onnx");
    world.score(&[&picture]).check(1, "has no detector");
}

#[test]
fn scores_of_the_prototype_street_world_are_the_written_ones() {
    let Some(street) = shared("street-proto") else { return };
    let results: Value = serde_json::from_str(&fs::read_to_string(street.join("results.json")).unwrap()).unwrap();
    let set = &results["sets"]["test/lowlight"];
    let wanted: HashMap<u64, &Value> =
        set["objects"].as_array().unwrap().iter().map(|object| (object["id"].as_u64().unwrap(), object)).collect();
    let scenes = street.join("scenes/test/lowlight");
    let coco: Value = serde_json::from_str(&fs::read_to_string(scenes.join("instances.json")).unwrap()).unwrap();
    let mut pictures: Vec<PathBuf> = fs::read_dir(scenes.join("images")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pictures.sort();
    let boxes = scenes.join("instances.json");
    let models = street.join("models");
    let mut arguments = ["score", "--json", "--scores", "all", "--models", models.to_str().unwrap(), "--boxes", boxes.to_str().unwrap()]
        .map(str::to_owned)
        .to_vec();
    arguments.extend(pictures.iter().map(|path| path.to_str().unwrap().to_owned()));
    let ran = run(&arguments);

    let file_names: HashMap<u64, &str> = coco["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| (image["id"].as_u64().unwrap(), image["file_name"].as_str().unwrap()))
        .collect();
    let (mut id, mut ood, mut furthest) = (Vec::new(), Vec::new(), 0_f64);
    for line in lines(ran.check(0, "")) {
        let source = line["source"].as_str().unwrap();
        let of_picture = |annotation: &&Value| source.ends_with(file_names[&annotation["image_id"].as_u64().unwrap()]);
        let annotations: Vec<&Value> = coco["annotations"].as_array().unwrap().iter().filter(of_picture).collect();
        let objects = line["objects"].as_array().unwrap();
        assert_eq!(annotations.len(), objects.len(), "{source}");
        for (annotation, object) in annotations.iter().zip(objects) {
            let wanted = wanted[&annotation["id"].as_u64().unwrap()];
            for (ours, theirs) in [("scores", "omega"), ("cosines", "cosine")] {
                let ours = object["ood"][ours].as_object().unwrap().values();
                for (ours, theirs) in ours.zip(wanted[theirs].as_array().unwrap()) {
                    furthest = furthest.max((ours.as_f64().unwrap() - theirs.as_f64().unwrap()).abs());
                }
            }
            let group = if annotation["category_id"].as_u64().unwrap() <= 10 { &mut id } else { &mut ood };
            group.push(object["ood"]["omega"].as_f64().unwrap());
        }
    }
    assert!(furthest < 5e-4, "up to {furthest}");
    let found = metrics(&id, &ood).unwrap();
    let auroc = set["metrics"]["uniood"]["auroc"].as_f64().unwrap();
    assert!((found.auroc - auroc).abs() < 1e-3, "AUROC {} in place of {auroc}", found.auroc);
    assert_eq!((found.n_id as u64, found.n_ood as u64), (set["n_id"].as_u64().unwrap(), set["n_ood"].as_u64().unwrap()));
}
