//! `uniood models` and `uniood doctor`: what they print, what they write, how they fail.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/model_set.rs"]
mod model_set;
#[path = "common/program.rs"]
mod program;

use std::fs;

use common::{golden_dir, shared};
use model_set::golden_set;
use program::{run, uniood};
use uniood::engine::{Device, Session};

#[test]
fn check_goes_through_a_sound_set_and_compares_it_with_the_reference() {
    for case in ["quick_gelu_g7", "gelu_g4_half_eos2_templates", "no_cnn_g4_wide", "paper_form_g6"] {
        let (dir, _) = golden_set(case);
        let ran = run(&["models", "check", dir.path().to_str().unwrap()]);
        let lines: Vec<&str> = ran.check(0, "").stdout.lines().collect();
        assert!(lines.iter().all(|line| line.starts_with("ok  ")), "{}", ran.stdout);
        assert!(lines.last().unwrap().contains("agrees with the plain reference"), "{}", ran.stdout);
    }
}

#[test]
fn check_says_what_is_wrong_with_a_set() {
    let (dir, _) = golden_set("no_cnn_g4_wide");
    run(&["models", "check", "/nowhere"]).check(1, "uniood.json");
    let manifest = fs::read_to_string(dir.path().join("uniood.json")).unwrap();
    // The combiner of a CLIP of another width.
    let other = golden_dir().join("quick_gelu_g7/combiner.safetensors");
    let own = golden_dir().join("no_cnn_g4_wide/combiner.safetensors");
    fs::write(dir.path().join("uniood.json"), manifest.replace(own.to_str().unwrap(), other.to_str().unwrap())).unwrap();
    run(&["models", "check", dir.path().to_str().unwrap()]).check(1, "combiner.safetensors");
}

#[test]
fn build_writes_graphs_that_load_with_the_documented_ports() {
    let (set, _) = golden_set("quick_gelu_g7");
    let out = tempfile::tempdir().unwrap();
    let (image, text) = (out.path().join("image.onnx"), out.path().join("text.onnx"));
    let arguments =
        ["models", "build", set.path().to_str().unwrap(), "--betas", "--out", image.to_str().unwrap(), "--text", text.to_str().unwrap()];
    run(&arguments).check(0, "");
    let names = |path| {
        let session = Session::from_file("encode", path, &Device::Cpu, Some(1)).unwrap();
        let names = |ports: &[uniood::engine::Port]| ports.iter().map(|port| port.name.clone()).collect::<Vec<_>>().join(" ");
        (names(session.inputs()), names(session.outputs()))
    };
    let wanted = |inputs: &str, outputs: &str| (inputs.to_owned(), outputs.to_owned());
    assert_eq!(names(&image), wanted("target background has_context text context_text", "omega clip_cosine beta_target beta_background"));
    assert_eq!(names(&text), wanted("input_ids eot", "text_embedding query_eot key_eot"));
}

#[test]
fn build_takes_a_bare_clip_folder_and_says_where_it_cannot_write() {
    let clip = golden_dir().join("quick_gelu_g7/clip");
    let out = tempfile::tempdir().unwrap();
    let plain = out.path().join("plain.onnx");
    run(&["models", "build", clip.to_str().unwrap(), "--out", plain.to_str().unwrap()]).check(0, "");
    assert!(plain.exists());
    run(&["models", "build", clip.to_str().unwrap(), "--out", "/nowhere/x.onnx"]).check(1, "/nowhere/x.onnx");
    run(&["models", "build", out.path().to_str().unwrap()]).check(1, "config.json");
}

#[test]
fn list_shows_the_sets_of_a_folder() {
    let (set, _) = golden_set("quick_gelu_g7");
    let ran = run(&["models", "list", "--models", set.path().to_str().unwrap()]);
    assert!(ran.check(0, "").stdout.contains("pedestrian, traffic light"), "{}", ran.stdout);
    let empty = tempfile::tempdir().unwrap();
    run(&["models", "list", "--models", empty.path().to_str().unwrap()]).check(1, "no model set here");
    let shipped = run(&["models", "list"]);
    assert!(shipped.check(0, "").stdout.starts_with("street-tiny\n"), "{}", shipped.stdout);
}

#[test]
fn the_shipped_set_is_sound() {
    let set = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/street-tiny/set");
    run(&["models", "check", set.to_str().unwrap()]).check(0, "");
}

#[test]
fn doctor_finds_what_the_tests_themselves_need_and_misses_what_is_hidden() {
    let ran = run(&["doctor"]);
    assert!(ran.stdout.contains("ONNX Runtime") && ran.stdout.contains("GStreamer 1."), "{}", ran.stdout);
    let hidden = uniood(&["doctor"]).env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so").output().unwrap();
    assert_eq!(hidden.status.code(), Some(1));
    let text = String::from_utf8(hidden.stdout).unwrap();
    assert!(text.lines().any(|line| line.starts_with("MISSING") && line.contains("/nowhere/libonnxruntime.so")), "{text}");
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in
        [&["score"][..], &["run"], &["tune"], &["models"], &["models", "build"], &["models", "check"], &["models", "list"], &["doctor"]]
    {
        let ran = run(&[command, &["--help"]].concat());
        assert!(ran.check(0, "").stdout.contains("Example"), "{command:?}: {}", ran.stdout);
    }
}

#[test]
fn the_street_prototypes_set_is_sound_with_its_detector() {
    let Some(street) = shared("street-proto") else { return };
    let models = street.join("models");
    run(&["models", "check", models.to_str().unwrap()]).check(0, "");
    let scene = street.join("scenes/test/plain/images");
    let picture = fs::read_dir(scene).unwrap().next().unwrap().unwrap().path();
    let ran = run(&["score", "--models", models.to_str().unwrap(), picture.to_str().unwrap()]);
    assert!(ran.check(0, "").stdout.contains("detected as object"), "{}", ran.stdout);
}
