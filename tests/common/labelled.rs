//! Small labelled pictures, a golden CLIP as a set, and `uniood eval` over them.
#![allow(dead_code, reason = "not every test binary needs every part")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    model_set::golden_set,
    program::{Ran, run},
};

/// The golden set's classes that are drawn, and two things that are none.
pub(crate) const THINGS: [(&str, [u8; 3]); 4] =
    [("pedestrian", [200, 30, 30]), ("bus", [30, 200, 30]), ("kite", [40, 40, 220]), ("lamp", [230, 230, 40])];

/// A golden CLIP as a set, and a folder of its own for everything else.
pub(crate) struct Bench {
    set: TempDir,
    pub(crate) dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { set: golden_set("no_cnn_g4_wide").0, dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Pictures with a box of each of `things`, and their COCO file.
    pub(crate) fn coco(&self, name: &str, count: u32, things: &[usize], change: impl FnOnce(&mut Value)) -> PathBuf {
        let root = self.path(name);
        let (mut images, mut annotations) = (vec![], vec![]);
        for index in 0..count {
            let file = format!("{name}{index}.png");
            scene(&root.join("images").join(&file), index, things);
            images.push(json!({"id": index, "file_name": file}));
            for (place, thing) in (0..).zip(things) {
                annotations
                    .push(json!({"id": annotations.len(), "image_id": index, "category_id": thing, "bbox": [place * 30, 5, 28, 30]}));
            }
        }
        let categories: Vec<Value> = things.iter().map(|&thing| json!({"id": thing, "name": THINGS[thing].0})).collect();
        let mut coco = json!({"images": images, "annotations": annotations, "categories": categories});
        change(&mut coco);
        fs::write(root.join("instances.json"), coco.to_string()).unwrap();
        root
    }

    /// A folder of pictures for each of `things`.
    pub(crate) fn folders(&self, name: &str, count: u32, things: &[usize]) -> PathBuf {
        let root = self.path(name);
        for &thing in things {
            for index in 0..count {
                scene(&root.join(THINGS[thing].0).join(format!("{index}.png")), index, &[thing]);
            }
        }
        root
    }

    pub(crate) fn arguments(&self, more: &[&str]) -> Vec<String> {
        let own = ["eval", "--models", self.set.path().to_str().unwrap(), "--model-cache-dir"].map(str::to_owned);
        own.into_iter().chain([self.text("cache")]).chain(more.iter().map(|argument| (*argument).to_owned())).collect()
    }

    pub(crate) fn eval(&self, more: &[&str]) -> Ran {
        run(&self.arguments(more))
    }

    #[track_caller]
    pub(crate) fn json(&self, more: &[&str]) -> Value {
        let ran = self.eval(&[more, &["--json"]].concat());
        ran.check(0, "");
        serde_json::from_str(&ran.stdout).unwrap()
    }
}

pub(crate) fn scene(path: &Path, index: u32, things: &[usize]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let noise =
        |x: u32, y: u32| (index.wrapping_mul(2_654_435_761) ^ x.wrapping_mul(40_503) ^ y.wrapping_mul(30_011)).wrapping_mul(2_246_822_519);
    let width = u32::try_from(things.len()).unwrap() * 30;
    let colour = |x: u32| THINGS[things[usize::try_from(x / 30).unwrap()]].1;
    let level = |level: u8, x, y| level.saturating_add(noise(x, y).to_be_bytes()[0] / 8);
    RgbImage::from_fn(width, 40, |x, y| Rgb(colour(x).map(|l| level(l, x, y)))).save(path).unwrap();
}
