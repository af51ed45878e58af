//! `uniood tune` as a user runs it: a set that works, and a sentence for everything that can be wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/model_set.rs"]
mod model_set;
#[path = "common/program.rs"]
mod program;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use image::{Rgb, RgbImage};
use model_set::golden_set;
use program::{Ran, run, uniood};
use serde_json::{Value, json};
use tempfile::TempDir;
use uniood::models::ModelSet;

/// A golden CLIP as a set, and a folder of its own for everything else.
struct Bench {
    set: TempDir,
    dir: TempDir,
}

/// Colours that stand for classes; noise tells the pictures of one class apart.
const CLASSES: [(&str, [u8; 3]); 3] = [("pedestrian", [200, 30, 30]), ("bus", [30, 200, 30]), ("raccoon", [30, 30, 200])];

impl Bench {
    fn new() -> Self {
        Self { set: golden_set("no_cnn_g4_wide").0, dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `count` pictures of each class, a folder a class.
    fn folders(&self, count: u32) -> PathBuf {
        let root = self.path("pictures");
        for (class, colour) in CLASSES {
            for index in 0..count {
                picture(&root.join(class).join(format!("{index}.png")), colour, index);
            }
        }
        root
    }

    /// A COCO file with one box of each class in each of `count` pictures.
    fn coco(&self, count: u32, change: impl FnOnce(&mut Value)) -> PathBuf {
        let root = self.path("scenes");
        let (mut images, mut annotations) = (vec![], vec![]);
        for index in 0..count {
            let name = format!("{index}.png");
            scene(&root.join("images").join(&name), index);
            images.push(json!({"id": index, "file_name": name}));
            for class in 0..3_u32 {
                annotations
                    .push(json!({"id": index * 3 + class, "image_id": index, "category_id": class, "bbox": [class * 30, 5, 28, 30]}));
            }
        }
        let categories: Vec<Value> = (0..3).map(|class| json!({"id": class, "name": CLASSES[class].0})).collect();
        let mut coco = json!({"images": images, "annotations": annotations, "categories": categories});
        change(&mut coco);
        fs::write(root.join("instances.json"), coco.to_string()).unwrap();
        root
    }

    fn arguments(&self, data: &Path, out: &str, more: &[&str]) -> Vec<String> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let mut arguments = vec!["tune".to_owned(), text(data), "--models".to_owned(), text(self.set.path()), "--out".to_owned()];
        arguments.extend([text(&self.path(out)), "--model-cache-dir".to_owned(), text(&self.path("cache"))]);
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        arguments
    }

    fn tune(&self, data: &Path, out: &str, more: &[&str]) -> Ran {
        run(&self.arguments(data, out, more))
    }

    /// It failed with this code and sentence, and left nothing behind.
    #[track_caller]
    fn refused(&self, data: &Path, more: &[&str], code: i32, sentence: &str) {
        self.tune(data, "out", more).check(code, sentence);
        self.nothing_left();
    }

    #[track_caller]
    fn nothing_left(&self) {
        let names = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = names.filter(|name| !["pictures", "scenes", "cache"].contains(&name.as_str())).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn noise(index: u32, x: u32, y: u32) -> u8 {
    (index.wrapping_mul(2_654_435_761) ^ x.wrapping_mul(40_503) ^ y.wrapping_mul(30_011)).wrapping_mul(2_246_822_519).to_be_bytes()[0] / 6
}

fn picture(path: &Path, [r, g, b]: [u8; 3], index: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_fn(48, 40, |x, y| Rgb([r, g, b].map(|level| level.saturating_add(noise(index, x, y))))).save(path).unwrap();
}

fn scene(path: &Path, index: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let colour = |x: u32| CLASSES[usize::try_from(x / 30).unwrap().min(2)].1;
    RgbImage::from_fn(90, 40, |x, y| Rgb(colour(x).map(|level| level.saturating_add(noise(index, x, y))))).save(path).unwrap();
}

#[test]
fn a_folder_per_class_becomes_a_set_that_scores() {
    let bench = Bench::new();
    let data = bench.folders(5);
    let ran = bench.tune(&data, "out", &["--shots", "4", "--name", "three"]);
    ran.check(0, "12 objects through CLIP");
    assert!(ran.stdout.contains("3 classes, 12 objects, threshold"), "{}", ran.stdout);
    let last = ran.stdout.lines().last().unwrap();
    assert!(last.contains("over plain CLIP on the held-out shots"), "{last}");
    let out = bench.path("out");
    let set = ModelSet::open(&out).unwrap();
    assert_eq!(
        (set.manifest.name.as_str(), &set.manifest.classes[..]),
        ("three", &["pedestrian", "bus", "raccoon"].map(str::to_owned)[..])
    );
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("4 of each class, 12 objects") && card.contains(last), "{card}");
    run(&["models", "check", out.to_str().unwrap()]).check(0, "");
    let picture = data.join("pedestrian/0.png");
    run(&["score", "--models", out.to_str().unwrap(), "--boxes", "frame", picture.to_str().unwrap()]).check(0, "");
    // What is there already is never written over.
    bench.tune(&data, "out", &["--shots", "4"]).check(1, "there is something already");
}

#[test]
fn programs_get_one_json_object_and_nothing_else() {
    let bench = Bench::new();
    let data = bench.folders(5);
    let ran = bench.tune(&data, "out", &["--shots", "4", "--seed", "3", "--json"]);
    ran.check(0, "");
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&said["schema"], &said["seed"], &said["objects"]), (&json!("uniood.tune/1"), &json!(3), &json!(12)));
    let candidates = said["candidates"].as_array().unwrap();
    assert_eq!(candidates.iter().map(|one| &one["steps"]).step_by(4).take(3).collect::<Vec<_>>(), [&json!(null), &json!(0), &json!(10)]);
    let best = candidates.iter().map(|one| one["auroc"].as_f64().unwrap()).fold(0.0, f64::max);
    let taken = |one: &Value| one["steps"] == said["taken"]["steps"] && one["strength"] == said["taken"]["strength"];
    assert!(candidates.iter().any(|one| taken(one) && one["auroc"] == json!(best)), "{said}");
    let threshold = said["threshold"].as_f64().unwrap();
    assert!((threshold - f64::from(ModelSet::open(&bench.path("out")).unwrap().manifest.threshold)).abs() < 1e-6);
}

#[test]
fn every_recipe_and_head_trains_and_its_set_is_sound() {
    let bench = Bench::new();
    let data = bench.coco(6, |_| ());
    for (index, more) in
        [&["--no-cnn"][..], &["--recipe", "paper"], &["--recipe", "paper", "--form", "paper", "--no-cnn"]].iter().enumerate()
    {
        let out = format!("out{index}");
        bench.tune(&data, &out, &[more, &["--shots", "4", "--classes", "pedestrian,bus,raccoon"][..]].concat()).check(0, "");
        run(&["models", "check", bench.path(&out).to_str().unwrap()]).check(0, "");
    }
}

#[test]
fn settings_that_cannot_be_are_refused_before_anything_is_read() {
    let bench = Bench::new();
    let data = bench.folders(3);
    bench.refused(&data, &["--shots", "1"], 1, "at least 2 shots");
    bench.refused(&data, &["--shots", "0"], 2, "--shots");
    bench.refused(&data, &["--form", "paper"], 1, "use the recipe `paper`");
    bench.refused(&data, &["--shots", "2", "--classes", "bus"], 1, "at least 2 classes");
    bench.refused(&data, &["--shots", "2", "--classes", "bus,unicorn"], 1, "no category `unicorn`");
    bench.refused(&data, &["--shots", "2", "--images", "x"], 1, "images folder belongs to a COCO file");
    bench.refused(&bench.path("nowhere"), &[], 1, "cannot read");
}

#[test]
fn classes_with_too_few_objects_are_named() {
    let bench = Bench::new();
    let data = bench.folders(3);
    bench.refused(&data, &["--shots", "5"], 1, "only 3 objects of class `pedestrian`");
    fs::remove_file(data.join("bus/0.png")).unwrap();
    fs::remove_file(data.join("bus/1.png")).unwrap();
    bench.refused(&data, &["--shots", "2"], 1, "only 1 object of class `bus`");
    let data = bench.coco(3, |coco| coco["annotations"].as_array_mut().unwrap().retain(|annotation| annotation["category_id"] != 2));
    bench.refused(&data, &["--shots", "2"], 1, "no object of class `raccoon`");
    let data = bench.coco(3, |coco| coco["categories"] = json!([{"id": 0, "name": "x"}, {"id": 1, "name": "y"}, {"id": 2, "name": "z"}]));
    bench.refused(&data, &["--shots", "2"], 1, "none of the set's classes");
}

#[test]
fn what_is_broken_is_named_and_another_object_takes_its_place() {
    let bench = Bench::new();
    let data = bench.folders(4);
    fs::write(data.join("pedestrian/0.png"), b"no picture").unwrap();
    fs::write(data.join("bus/1.png"), &fs::read(data.join("bus/1.png")).unwrap()[..60]).unwrap();
    let ran = bench.tune(&data, "out", &["--shots", "3"]);
    ran.check(0, "");
    // All that are left are needed, so each broken one was either met or not drawn; with every shot drawn both are met.
    bench.tune(&data, "all", &["--shots", "4"]).check(1, "only 3 usable objects of class `");
    bench.tune(&data, "strict", &["--shots", "4", "--strict"]).check(1, "damaged");
    let data = bench.coco(4, |coco| coco["annotations"][0]["bbox"] = json!([500, 5, 20, 20]));
    bench.tune(&data, "boxes", &["--shots", "4"]).check(1, "only 3 usable objects of class `pedestrian`");
    let ran = bench.tune(&data, "boxes", &["--shots", "4", "--strict"]);
    ran.check(1, "annotation 0 lies outside the 90×40 picture");
    assert!(!bench.path("boxes").exists() && !bench.path("all").exists());
}

#[test]
fn a_full_disk_is_a_sentence_and_leaves_nothing() {
    let bench = Bench::new();
    let data = bench.folders(4);
    // Features and graphs are kept, so that the set is all that is left to write.
    bench.tune(&data, "out", &["--shots", "4", "--recipe", "paper"]).check(0, "");
    if ModelSet::open(&bench.path("out")).unwrap().manifest.combiner.is_none() {
        // A combiner is larger than what may be written below; without one the card alone is written, which is smaller.
        return common::skip("nothing was gained, so no combiner is written");
    }
    fs::remove_dir_all(bench.path("out")).unwrap();
    let program = env!("CARGO_BIN_EXE_uniood");
    let limited = Command::new("bash")
        // The signal that a limit sends is ignored, so that writing fails as it does on a full disk.
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"", program])
        .args(bench.arguments(&data, "out", &["--shots", "4", "--recipe", "paper"]))
        .env_remove("UNIOOD_MODELS")
        .output()
        .unwrap();
    Ran::from(limited).check(1, "cannot write");
    bench.nothing_left();
}

#[test]
fn a_folder_that_cannot_be_made_is_a_sentence() {
    let bench = Bench::new();
    let data = bench.folders(3);
    fs::write(bench.path("file"), "").unwrap();
    bench.tune(&data, "file/out", &["--shots", "2"]).check(1, "cannot create");
    bench.tune(&data, "file", &["--shots", "2"]).check(1, "there is something already");
}

#[test]
fn an_interrupt_ends_it_with_its_own_code_and_nothing_half_written() {
    let bench = Bench::new();
    let data = bench.coco(40, |_| ());
    let mut child = uniood(&bench.arguments(&data, "out", &["--shots", "40", "--recipe", "paper"])).spawn().unwrap();
    // As soon as CLIP's first outputs are kept, it is at work.
    common::completes_within(std::time::Duration::from_mins(2), {
        let cache = bench.path("cache");
        move || {
            let busy = || {
                let folders = fs::read_dir(&cache).ok()?;
                folders.flatten().find_map(|folder| fs::read_dir(folder.path().join("pairs")).ok()?.next())
            };
            while busy().is_none() {
                std::thread::yield_now();
            }
        }
    });
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    bench.nothing_left();
}
