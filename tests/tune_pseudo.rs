//! `uniood tune --pseudo`: from pictures without labels to a set, and the same sentences where a class is empty.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/model_set.rs"]
mod model_set;
#[path = "common/program.rs"]
mod program;

use std::{fs, time::Duration};

use program::run;
use serde_json::Value;
use street_world::film::{self, Settings};

#[test]
fn pictures_alone_become_a_set_of_the_classes_that_clip_is_sure_of() {
    common::completes_within(Duration::from_mins(5), || {
        let dir = tempfile::tempdir().unwrap();
        let text = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let pictures = dir.path().join("frames");
        fs::create_dir(&pictures).unwrap();
        for index in 0..24 {
            let frame = film::still(&Settings { seed: 4500 + index, ..Settings::default() }).unwrap();
            fs::write(pictures.join(format!("{index:03}.png")), frame.picture.png()).unwrap();
        }
        fs::write(pictures.join("999.png"), b"no picture").unwrap();
        let (frames, cache) = (text("frames"), text("cache"));
        let tune = |out: &str, more: &[&str]| {
            run(&[&["tune", &frames, "--out", &text(out), "--model-cache-dir", &cache, "--shots", "4"], more].concat())
        };
        // Off by default: a folder of pictures has no labels.
        tune("out", &["--classes", "car,pedestrian"]).check(1, "no data set that is known");
        tune("out", &["--classes", "car,pedestrian", "--detection-threshold", "0.5"]).check(2, "--pseudo");
        // Nothing is ahead by all there is.
        tune("out", &["--pseudo=1", "--classes", "car,pedestrian"]).check(1, "there is no object of class `car`");
        let ran = tune("out", &["--pseudo", "--classes", "car,pedestrian,traffic sign", "--json"]);
        ran.check(0, "labels: plain CLIP's own on the detector's boxes, where its surest class is ahead by 0.5 or more: car ");
        ran.check(0, "999.png");
        let said: Value = serde_json::from_str(&ran.stdout).unwrap();
        let of = |class: &str| said["pseudo"]["objects"][class].as_u64().unwrap();
        assert!(of("car") >= 4 && of("pedestrian") >= 4 && of("traffic sign") >= 4, "{said}");
        assert!((said["pseudo"]["margin"].as_f64().unwrap() - 0.5).abs() < 1e-9 && said["objects"] == 12);
        let card = fs::read_to_string(dir.path().join("out/README.md")).unwrap();
        assert!(card.contains("| labels | plain CLIP's own on the detector's boxes"), "{card}");
        run(&["models", "check", &text("out")]).check(0, "");
        // A higher margin takes fewer.
        let sure = tune("sure", &["--pseudo=0.99", "--classes", "car,pedestrian", "--json"]);
        if let Ok(sure) = serde_json::from_str::<Value>(&sure.stdout) {
            assert!(sure["pseudo"]["objects"]["car"].as_u64().unwrap() <= of("car"));
        }
        // A set without a detector says so.
        let (set, _) = model_set::golden_set("no_cnn_g4_wide");
        run(&["tune", &frames, "--out", &text("none"), "--pseudo", "--models", set.path().to_str().unwrap()])
            .check(1, "which --pseudo needs");
    });
}
