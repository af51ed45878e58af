//! `uniood calibrate` as a user runs it: thresholds that keep what they say, alarms, drift, and a sentence for what is wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/model_set.rs"]
mod model_set;
#[path = "common/program.rs"]
mod program;
#[path = "common/streets.rs"]
mod streets;

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use model_set::golden_set;
use program::{Ran, run};
use serde_json::{Value, json};
use street_world::{
    film::Settings,
    optics::Camera,
    scene::{
        Contents,
        conditions::{Daylight, Wanted, Weather},
    },
};
use streets::{streets, without_ignored};
use tempfile::TempDir;
use uniood::calibrate::conformal;

/// Frames that hold known things alone, as a COCO set of the objects that count.
fn rendered(folder: &Path, first: u64, frames: u64, camera: Camera) -> PathBuf {
    seen(folder, first..first + frames, &Settings { contents: Contents::ID, camera, ..Settings::default() })
}

/// The same under settings of one's own; a scene for each seed.
fn seen(folder: &Path, seeds: Range<u64>, settings: &Settings) -> PathBuf {
    streets(folder, seeds, settings, |coco| {
        without_ignored(coco);
        let categories = coco["categories"].as_array().unwrap().iter();
        let known: Vec<Value> =
            categories.filter(|category| category["supercategory"] == "id").map(|category| category["id"].clone()).collect();
        coco["annotations"].as_array_mut().unwrap().retain(|annotation| known.contains(&annotation["category_id"]));
    })
}

/// Folders of a test, and the cache that all its commands use.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let cache = self.path("cache");
        run(&[arguments, &["--model-cache-dir", cache.to_str().unwrap()]].concat())
    }

    /// JSON lines of `uniood score` on a set's true boxes.
    fn lines(&self, coco: &Path, models: &[&str]) -> PathBuf {
        let folder = coco.parent().unwrap();
        let mut pictures: Vec<PathBuf> = fs::read_dir(folder.join("images")).unwrap().map(|entry| entry.unwrap().path()).collect();
        pictures.sort();
        let pictures: Vec<&str> = pictures.iter().map(|path| path.to_str().unwrap()).collect();
        let ran = self.run(&[&["score", "--json", "--boxes", coco.to_str().unwrap()], models, &pictures].concat());
        ran.check(0, "");
        let path = folder.with_extension("jsonl");
        fs::write(&path, ran.stdout).unwrap();
        path
    }
}

fn omegas(lines: &Path) -> Vec<f32> {
    scenes(lines).concat()
}

/// The scores of each frame.
fn scenes(lines: &Path) -> Vec<Vec<f32>> {
    let text = fs::read_to_string(lines).unwrap();
    let frames = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    #[expect(clippy::cast_possible_truncation, reason = "it was written from a float of that size")]
    let omega = |object: &Value| object["ood"]["omega"].as_f64().unwrap() as f32;
    frames.map(|frame| frame["objects"].as_array().unwrap().iter().map(omega).collect()).collect()
}

fn document(set: &Path) -> Value {
    serde_json::from_slice(&fs::read(set.join("calibration.json")).unwrap()).unwrap()
}

/// A calibrated copy of the shipped set, and what it was calibrated on.
fn calibrated(bench: &Bench) -> (PathBuf, PathBuf) {
    let data = rendered(&bench.path("plain"), 6000, 60, Camera::Plain);
    let set = bench.path("set");
    let arguments = ["calibrate", data.to_str().unwrap(), "--boxes", "truth", "--per", "class", "--out", set.to_str().unwrap()];
    bench.run(&arguments).check(0, "");
    (set, data)
}

#[test]
fn a_set_is_calibrated_and_its_verdicts_follow() {
    common::completes_within(Duration::from_mins(5), || {
        let bench = Bench::new();
        let (set, data) = calibrated(&bench);
        let models = ["--models", set.to_str().unwrap()];
        let whole = document(&set);
        let threshold = whole["threshold"].as_f64().unwrap();
        assert_eq!(
            (&whole["schema"], &whole["keep"], &whole["model"]),
            (&json!("uniood.calibration/1"), &json!(0.95), &json!("street-tiny"))
        );

        // The lines of a run over the same boxes say the same, and the threshold is the conformal rank of their scores.
        let lines = bench.lines(&data, &[]);
        let scores = omegas(&lines);
        assert_eq!(whole["objects"].as_u64().unwrap(), scores.len() as u64);
        assert!((f64::from(conformal(&scores, 0.95).unwrap()) - threshold).abs() < 2e-5);
        let other = bench.path("other");
        let ran = bench.run(&["calibrate", lines.to_str().unwrap(), "--out", other.to_str().unwrap()]);
        ran.check(0, "");
        assert!(ran.stdout.contains("known objects") && ran.stdout.contains("calibration.json"), "{}", ran.stdout);
        assert!((document(&other)["threshold"].as_f64().unwrap() - threshold).abs() < 2e-5);
        // Pictures are independent of one another; of a data set nothing is said.
        assert_eq!(document(&other)["independent"].as_u64(), Some(scores.len() as u64));
        assert!(whole.get("independent").is_none());
        let again = bench.path("again-other");
        let ran = bench.run(&["calibrate", lines.to_str().unwrap(), "--json", "--out", again.to_str().unwrap()]);
        assert_eq!(serde_json::from_str::<Value>(&ran.check(0, "").stdout).unwrap()["independent"], document(&other)["independent"]);
        bench
            .run(&["calibrate", data.to_str().unwrap(), "--boxes", "truth", "--per", "stream", "--out", bench.path("no").to_str().unwrap()])
            .check(2, "--per stream has nothing to tell apart");

        // Every verdict has its percentile; δ is its nearest class's, else the common one, else the user's.
        let picture = data.parent().unwrap().join("images/6000.png");
        let picture = picture.to_str().unwrap();
        let said = |more: &[&str]| {
            let ran = bench.run(&[&["score", picture, "--json", "--boxes", data.to_str().unwrap()], &models[..], more].concat());
            ran.check(0, "");
            let frame: Value = serde_json::from_str(&ran.stdout).unwrap();
            frame["objects"].as_array().unwrap().iter().map(|object| object["ood"].clone()).collect::<Vec<_>>()
        };
        for verdict in said(&[]) {
            let own = whole["per_class"]
                .get(verdict["nearest"].as_str().unwrap())
                .map_or(threshold, |class| class["threshold"].as_f64().unwrap());
            assert!((verdict["threshold"].as_f64().unwrap() - own).abs() < 1e-6, "{verdict}");
            assert!((0.0..=1.0).contains(&verdict["percentile"].as_f64().unwrap()), "{verdict}");
        }
        assert!(said(&["--ood-threshold", "0.5"]).iter().all(|verdict| verdict["threshold"] == 0.5 && verdict["percentile"].is_number()));
        assert!(said(&["--classes", "car,bus"]).iter().all(|verdict| verdict.get("percentile").is_none()));

        // The same world holds; another camera's does not.
        let again = rendered(&bench.path("again"), 7000, 30, Camera::Plain);
        let same =
            bench.run(&[&["calibrate", again.to_str().unwrap(), "--boxes", "truth", "--check", "--min-p", "0.001"], &models[..]].concat());
        same.check(0, "");
        let dark = rendered(&bench.path("dark"), 7000, 30, Camera::Lowlight);
        let other = bench.run(
            &[&["calibrate", dark.to_str().unwrap(), "--boxes", "truth", "--check", "--min-p", "0.001", "--json"], &models[..]].concat(),
        );
        other.check(3, "");
        let drift: Value = serde_json::from_str(&other.stdout).unwrap();
        assert!(drift["kept"].as_f64().unwrap() < 0.85 && drift["holds"] == false, "{drift}");
    });
}

#[test]
fn alarms_a_day_are_counted_from_the_lines_of_a_run() {
    common::completes_within(Duration::from_mins(3), || {
        let bench = Bench::new();
        let (set, _) = calibrated(&bench);
        let lowest = document(&set)["quantiles"][0].as_f64().unwrap();
        // An hour at two frames a second, and something far from everything known in ten frames of it.
        let line = |frame: u64| {
            let omega = if (1000..1010).contains(&frame) { lowest - 0.2 } else { 0.99 };
            json!({"schema": "uniood.frame/1", "stream_id": "gate", "frame_id": frame, "timestamp": frame * 500_000_000,
                "resolution": {"width": 100, "height": 100}, "image": null, "error": null,
                "objects": [{"region_id": 0, "x": 0, "y": 0, "w": 20, "h": 20, "roi_type": "object",
                    "detection": {"bounding_box": {"x_min": 0.0, "y_min": 0.0, "x_max": 0.2, "y_max": 0.2}, "confidence": 0.9},
                    "ood": {"label": "id", "omega": omega, "nearest": "car", "model": {"name": "street-tiny"}}}],
                "timings_ms": {"detect": 0.0, "encode": 0.0, "total": 0.0}})
            .to_string()
        };
        let lines = bench.path("gate.jsonl");
        let text: String = (0..=7200).map(|frame| line(frame) + "\n").collect();
        fs::write(&lines, text).unwrap();
        let arguments = ["calibrate", lines.to_str().unwrap(), "--alarms", "--json", "--models", set.to_str().unwrap()];
        let ran = bench.run(&arguments);
        ran.check(0, "");
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert!((found["seconds"].as_f64().unwrap() - 3600.0).abs() < 1e-6);
        for row in found["alarms"].as_array().unwrap() {
            assert_eq!(row["alarms"], 1, "{row}");
            assert!((row["a_day"].as_f64().unwrap() - 24.0).abs() < 1e-6, "{row}");
        }
        let before = fs::read(set.join("calibration.json")).unwrap();
        let shown = bench.run(&["calibrate", lines.to_str().unwrap(), "--alarms", "--models", set.to_str().unwrap()]);
        shown.check(0, "");
        assert!(shown.stdout.contains("7201 frames, 60 minutes of footage"), "{}", shown.stdout);
        assert_eq!(before, fs::read(set.join("calibration.json")).unwrap(), "counting changes nothing");

        // A calibration that cannot be trusted is named, whatever command meets it.
        let file = set.join("calibration.json");
        let sound: Value = serde_json::from_slice(&before).unwrap();
        let refuse = |change: &dyn Fn(&mut Value), sentence: &str| {
            let mut broken = sound.clone();
            change(&mut broken);
            fs::write(&file, broken.to_string()).unwrap();
            run(&["models", "check", set.to_str().unwrap()]).check(1, sentence);
        };
        refuse(&|it| it["colour"] = json!(1), "unknown field `colour`");
        refuse(&|it| it["quantiles"] = json!([0.5, 0.1]), "two ascending numbers");
        refuse(&|it| it["keep"] = json!(1.5), "a share above 0 and below 1");
        refuse(&|it| it["schema"] = json!("uniood.calibration/9"), "needs a newer uniood");
        refuse(&|it| it["fingerprint"] = json!("0"), "calibrate again");
        refuse(&|it| it["threshold"] = json!(null), "not a calibration");
        fs::write(&file, "{").unwrap();
        run(&["models", "check", set.to_str().unwrap()]).check(1, "write it again");
        fs::write(&file, &before).unwrap();

        // A full disk leaves what was there.
        let program = env!("CARGO_BIN_EXE_uniood");
        let limited = Command::new("bash")
            .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"", program, "calibrate", lines.to_str().unwrap()])
            .args(["--models", set.to_str().unwrap()])
            .output()
            .unwrap();
        Ran::from(limited).check(1, "cannot write");
        assert_eq!(before, fs::read(&file).unwrap());
        assert_eq!(
            fs::read_dir(&set)
                .unwrap()
                .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("calibration"))
                .count(),
            1
        );
    });
}

#[test]
fn what_cannot_be_is_a_sentence() {
    let bench = Bench::new();
    let lines = bench.path("few.jsonl");
    let data = lines.to_str().unwrap().to_owned();
    fs::write(&lines, "").unwrap();
    let out = bench.path("out");
    let out = out.to_str().unwrap();
    let (bare, _) = golden_set("quick_gelu_g7");
    bench.run(&["calibrate", &data]).check(2, "name a folder for a calibrated copy with --out");
    bench.run(&["calibrate", &data, "--out", out]).check(1, "0 known objects are too few");
    bench
        .run(&["calibrate", &data, "--check", "--models", bare.path().to_str().unwrap()])
        .check(1, "is not calibrated; run `uniood calibrate DATA");
    bench.run(&["calibrate", &data, "pictures", "--out", out]).check(2, "give either JSON lines or one data set");
    bench.run(&["calibrate", "nowhere", "--out", out]).check(1, "cannot read");
    bench.run(&["calibrate", &data, "--keep", "2", "--out", out]).check(2, "0..=1");
    bench.run(&["calibrate", &data, "--keep", "1", "--out", out]).check(1, "cannot be kept");
    fs::write(&lines, "{\"no\": 1}\n").unwrap();
    bench.run(&["calibrate", &data, "--out", out]).check(1, "line 1 is no frame of uniood's");
    assert!(!Path::new(out).exists());
}

#[test]
fn what_is_calibrated_on_some_scenes_keeps_its_share_of_others_and_says_so_of_a_shifted_world() {
    common::completes_within(Duration::from_mins(5), || {
        let bench = Bench::new();
        // A draw: half of these scenes, no two of which share an object, against the other half.
        let pool = scenes(&bench.lines(&rendered(&bench.path("pool"), 8000, 120, Camera::Plain), &[]));
        let draw = |seed: usize| {
            let mut order: Vec<usize> = (0..pool.len()).collect();
            order.sort_by_key(|scene| (scene * 7919 + seed * 104_729) * (scene + 31 * seed + 1) % 10_007);
            let (own, new) = order.split_at(pool.len() / 2);
            let scores = |of: &[usize]| of.iter().flat_map(|&scene| pool[scene].iter().copied()).collect::<Vec<f32>>();
            let threshold = conformal(&scores(own), 0.95).unwrap();
            let new = scores(new);
            let kept = new.iter().filter(|score| **score >= threshold).count();
            f64::from(u32::try_from(kept).unwrap()) / f64::from(u32::try_from(new.len()).unwrap())
        };
        let shares: Vec<f64> = (0..20).map(draw).collect();
        let mean = shares.iter().sum::<f64>() / 20.0;
        assert!((mean - 0.95).abs() <= 0.02, "{mean} of {shares:?}");

        // Calibrated on clear days, it is told that night in fog is another world.
        let world = |name: &str, seeds, daylight, weather| {
            let wanted = Wanted { daylight: Some(daylight), weather: Some(weather), ..Wanted::default() };
            let data = seen(&bench.path(name), seeds, &Settings { contents: Contents::ID, wanted, ..Settings::default() });
            data.to_str().unwrap().to_owned()
        };
        let (clear, fog) =
            (world("clear", 9000..9100, Daylight::Day, Weather::Clear), world("fog", 9100..9200, Daylight::Night, Weather::Fog));
        let set = bench.path("set");
        let set = set.to_str().unwrap();
        bench.run(&["calibrate", &clear, "--boxes", "truth", "--out", set]).check(0, "");
        let ran = bench.run(&["calibrate", &fog, "--boxes", "truth", "--models", set, "--check", "--min-p", "0.01", "--json"]);
        ran.check(3, "");
        let drift: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert!(drift["kept"].as_f64().unwrap() < 0.94 && drift["holds"] == false, "{drift}");
    });
}
