//! `uniood bench` says what it measured; `--tune` writes what commands and element take.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/model_set.rs"]
mod model_set;
#[path = "common/program.rs"]
mod program;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use model_set::golden_set;
use program::{Ran, plugin_is_built, run, uniood};
use uniood::tuned::Document;

/// The set's folder and what keeps it; `None`, said aloud, where the plugin was not built.
fn set() -> Option<(tempfile::TempDir, String)> {
    if !plugin_is_built() {
        return None;
    }
    let (dir, _) = golden_set("no_cnn_g4_wide");
    let models = dir.path().to_str().unwrap().to_owned();
    Some((dir, models))
}

#[test]
fn every_frame_that_is_sent_is_answered() {
    let Some((_set, models)) = set() else { return };
    let ran = run(&["bench", "--streams", "2", "--fps", "2", "--seconds", "2", "--detector", "frame", "--models", &models]);
    ran.check(0, "");
    let wanted = "2 cameras at 2 a second, 1.00 objects a frame, 1.00 encoded: 16 of 16 frames answered, age p50 ";
    assert!(ran.stdout.starts_with(wanted), "{}", ran.stdout);
    run(&["bench", "--streams", "0", "--models", &models]).check(2, "wanted a number from 1");
    run(&["bench", "--models", &models]).check(2, "--streams");
    run(&["bench", "--streams", "2", "--tune"]).check(2, "cannot be used with");
}

#[test]
fn settings_are_looked_for_written_and_taken() {
    let Some((_set, models)) = set() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (file, picture) = (dir.path().join("fast.json"), common::golden_dir().join("quick_gelu_g7/frame.png"));
    let path = file.to_str().unwrap();
    let tune = ["bench", "--tune", "--repeats", "2", "--round", "0.1", "--detector", "frame", "--models", &models];
    // What is given is no question any more.
    let ran = run(&[&tune[..], &["--encoder-sessions", "1", "--encoder-threads", "1", "--batch-timeout", "0", "--out", path]].concat());
    ran.check(0, "rounds of ");
    let rows: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("batch-size ")).collect();
    let sizes: Vec<&str> = rows.iter().filter_map(|row| row.split_whitespace().nth(1)).collect();
    assert_eq!(sizes, ["16", "4", "8", "32"], "{}", ran.stdout);
    assert!(rows[0].ends_with("1.000 (0.000)") && !ran.stdout.contains("encoder-threads 0"), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("uniood run --settings {path}")), "{}", ran.stdout);

    let document = Document::read(&file).unwrap();
    let (kept, found) = (document.settings, document.found.unwrap());
    assert_eq!((kept.encoder_sessions, kept.encoder_threads, kept.batch_timeout), (Some(1), Some(1), Some(0)));
    assert_eq!((found.tried.len(), found.repeats), (4, 2));
    let best = found.tried.iter().find(|trial| trial.value == i64::from(kept.batch_size.unwrap())).unwrap();
    if found.gain > 1.0 {
        assert!(found.gain - 1.0 > found.spread && best.gain - 1.0 > best.spread, "{found:?}");
    } else {
        assert_eq!((kept.batch_size, found.gain.to_bits()), (Some(16), 1.0_f64.to_bits()));
    }

    let score = |settings: &str| {
        run(&["score", "--boxes", "frame", "--json", "--models", &models, "--settings", settings, picture.to_str().unwrap()])
    };
    assert!(score(path).check(0, "").stdout.contains("\"omega\""));
    score("/no/such/settings.json").check(1, "/no/such/settings.json");
    fs::write(&file, "{\"schema\":\"uniood.settings/1\",\"settings\":{\"batch-size\":5000}}").unwrap();
    score(path).check(1, "`batch-size` is 5000; wanted 1 to 1024");
    run(&[&tune[..], &["--out", "/no/such/folder/fast.json"]].concat()).check(1, "wanted a file in a folder that is there");
    run(&[&tune[..], &["--clip", "/no/such/clip.mp4", "--out", path]].concat()).check(1, "/no/such/clip.mp4");
}

#[test]
fn an_interrupted_search_writes_nothing() {
    let Some((_set, models)) = set() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("settings.json");
    fs::write(&path, "what was there").unwrap();
    let arguments = ["bench", "--tune", "--repeats", "100", "--round", "1", "--detector", "frame", "--models", &models, "--out"];
    let mut command = uniood(&arguments);
    let mut child = command.arg(&path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The head of the table: it measures.
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut head = String::new();
    stdout.read_line(&mut head).unwrap();
    assert!(head.starts_with("setting "), "{head}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.check(130, "interrupted; nothing was written");
    assert_eq!(fs::read_to_string(&path).unwrap(), "what was there");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
