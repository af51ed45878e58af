//! `uniood eval` where something is wrong: a sentence and a code of its own, and nothing lost or half-written.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/labelled.rs"]
mod labelled;
#[path = "common/model_set.rs"]
mod model_set;
#[path = "common/program.rs"]
mod program;

use std::{fs, process::Command, time::Duration};

use labelled::Bench;
use program::{Ran, run, uniood};
use serde_json::{Value, json};

#[test]
fn what_cannot_be_is_refused_with_a_sentence() {
    let bench = Bench::new();
    let (id, ood) = (bench.coco("id", 2, &[0, 1], |_| ()), bench.coco("ood", 2, &[0, 2], |_| ()));
    let [id, ood] = [&id, &ood].map(|path| path.to_str().unwrap());
    let refused = |arguments: &[&str], code: i32, sentence: &str| {
        bench.eval(arguments).check(code, sentence);
    };
    refused(&["--id", id, "--ood", ood, "--boxes", "truth"], 1, "2 of its objects are of class `pedestrian`, which is on the ID list");
    refused(&["--id", id], 2, "name an OOD set with --ood");
    refused(&[], 2, "there is no data to evaluate");
    refused(&["--open-world", id, "--id", id], 2, "cannot be used with");
    refused(&["--open-world", id, "--boxes", "truth"], 1, "nothing is OOD");
    refused(&["--open-world", ood, "--classes", "bus,lamp"], 1, "none of the classes (bus, lamp) is in it");
    refused(&["--open-world", ood, "--methods", "msp"], 2, "there is no method `msp`; there are detector, max-cosine");
    refused(&["--open-world", ood, "--boxes", "truth", "--methods", "agree"], 1, "`agree` needs an open-vocabulary detector");
    let nowhere = bench.text("nowhere");
    refused(&["--open-world", ood, "--boxes", "truth", "--open-vocabulary", &nowhere], 1, "the Hugging Face folder of an OWLv2");
    refused(&["--open-world", ood, "--boxes", "truth", "--methods", "mcm,mcm"], 1, "twice");
    refused(&["--open-world", ood, "--boxes", "truth", "--methods", "detector"], 1, "`detector` needs a detector's boxes");
    refused(&["--open-world", ood, "--boxes", "truth", "--methods", "mcm", "--min-auroc", "0.5"], 2, "add it to --methods");
    refused(&["--open-world", ood], 1, "has no detector");
    refused(&["--open-world", ood, "--boxes", "truth", "--report", &bench.text("nowhere/page.html")], 1, "there is no folder");
    refused(&["--open-world", &bench.text("nowhere")], 1, "cannot read");
    refused(&["--open-world", ood, "--box-jitter", "2"], 2, "0..=1");
    refused(&["--open-world", ood, "--boxes", "truth", "--images", id, "--images", id], 2, "given 2 times for 1 sets");
    let folders = bench.folders("folders", 2, &[0, 2]);
    refused(&["--open-world", folders.to_str().unwrap()], 1, "have no boxes");
}

#[test]
fn unreadable_pictures_are_counted_and_strict_stops() {
    let bench = Bench::new();
    let both = bench.coco("both", 4, &[0, 2], |coco| {
        coco["annotations"][2]["bbox"] = json!([500, 0, 9, 9]);
        let more = [("iscrowd", 20), ("ignore", 21), ("ignore", 22)]
            .map(|(flag, id)| json!({"id": id, "image_id": 1, "category_id": 2, "bbox": [0, 0, 9, 9], flag: 1}));
        coco["annotations"].as_array_mut().unwrap().extend(more);
    });
    fs::write(both.join("images/both0.png"), b"no picture").unwrap();
    fs::remove_file(both.join("images/both3.png")).unwrap();
    let arguments = ["--open-world", both.to_str().unwrap(), "--boxes", "truth", "--methods", "uniood"];
    let ran = bench.eval(&[&arguments[..], &["--json"]].concat());
    ran.check(0, "left out: ");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((found["sets"][0]["unreadable"].as_u64(), found["sets"][0]["pictures"].as_u64()), (Some(2), Some(2)));
    // The box outside, and two pictures.
    assert_eq!(found["left_out"], json!({"crowds": 1, "ignored": 2, "faults": 3}));
    assert_eq!((found["metrics"][0]["n_id"].as_u64(), found["metrics"][0]["n_ood"].as_u64()), (Some(1), Some(2)));
    bench.eval(&[&arguments[..], &["--strict"]].concat()).check(1, "both0.png");
    // Nothing is left at all.
    for index in [1, 2] {
        fs::remove_file(both.join(format!("images/both{index}.png"))).unwrap();
    }
    bench.eval(&arguments).check(1, "no ID object in both that counts");
}

#[test]
fn the_gate_has_its_own_code_and_the_report_is_whole() {
    let bench = Bench::new();
    let both = bench.coco("both", 5, &[0, 1, 2], |_| ());
    let page = bench.text("page.html");
    let arguments = ["--open-world", both.to_str().unwrap(), "--boxes", "truth", "--report", &page];
    bench.eval(&[&arguments[..], &["--min-auroc", "0"]].concat()).check(0, "");
    bench.eval(&[&arguments[..], &["--min-auroc", "1", "--classes", "bus,kite"]].concat()).check(3, "below the gate");
    let text = fs::read_to_string(&page).unwrap();
    for part in ["<svg", "ROC", "Worst mistakes of uniood", "data:image/jpeg;base64,", "max-cosine", "Settings and versions", "</html>"] {
        assert!(text.contains(part), "{part}");
    }
    // Self-contained: nothing is fetched, nothing is run.
    for part in ["<script", "http://", "https://", "url("] {
        let outside = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains(part), "{part}");
    }
    let left: Vec<_> = fs::read_dir(bench.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| ["both", "cache", "page.html"].iter().any(|known| name == known)), "{left:?}");
}

#[test]
fn a_full_disk_is_a_sentence_and_leaves_no_page() {
    let bench = Bench::new();
    let both = bench.coco("both", 5, &[0, 1, 2], |_| ());
    let page = bench.text("page.html");
    let arguments = bench.arguments(&["--open-world", both.to_str().unwrap(), "--boxes", "truth", "--report", &page]);
    let limited = |kilobytes: u32| {
        let program = env!("CARGO_BIN_EXE_uniood");
        // The signal that a limit sends is ignored, so that writing fails as it does on a full disk.
        let shell = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
        Ran::from(Command::new("bash").args(["-c", &shell, program]).args(&arguments).env_remove("UNIOOD_MODELS").output().unwrap())
    };
    // Nothing is kept yet: the graph is what does not fit.
    limited(4).check(1, "cannot write");
    run(&arguments).check(0, "");
    let before = fs::read(&page).unwrap();
    // All else is kept, so that the page is what is left to write.
    limited(4).check(1, "cannot write");
    assert_eq!(fs::read(&page).unwrap(), before);
    assert_eq!(fs::read_dir(bench.dir.path()).unwrap().count(), 3, "nothing half-written stays");
}

#[test]
fn an_interrupt_has_its_own_code_and_keeps_what_was_done() {
    let bench = Bench::new();
    let both = bench.coco("both", 400, &[0, 2], |_| ());
    let page = bench.text("page.html");
    let arguments = bench.arguments(&["--open-world", both.to_str().unwrap(), "--boxes", "truth", "--report", &page]);
    let mut child = uniood(&arguments).spawn().unwrap();
    let kept = {
        let cache = bench.path("cache");
        move || {
            let folders = fs::read_dir(&cache).ok()?;
            folders.flatten().find_map(|folder| fs::read_dir(folder.path().join("pairs")).ok()?.next().map(|_| ()))
        }
    };
    common::completes_within(Duration::from_mins(2), {
        let kept = kept.clone();
        move || {
            while kept().is_none() {
                std::thread::yield_now();
            }
        }
    });
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(kept().is_some() && !bench.path("page.html").exists());
}
