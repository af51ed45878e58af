//! OpenVINO through ONNX Runtime, where `UNIOOD_OPENVINO` names the library of the PyPI package onnxruntime-openvino.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/program.rs"]
mod program;

use std::path::{Path, PathBuf};

use program::{Ran, uniood};
use serde_json::Value;
use uniood::engine::{LIBRARY_VARIABLE, bf16_is_native};

/// Two runtimes with kernels of their own, both in 32-bit floats.
const TOLERANCE: f64 = 1e-3;

/// How far omega in bf16 may be from that in fp32.
const BF16: f64 = 5e-3;

/// The library, or a word that there is none.
fn library() -> Option<PathBuf> {
    let library = std::env::var_os("UNIOOD_OPENVINO").map(PathBuf::from).filter(|library| library.is_file());
    if library.is_none() {
        common::skip("UNIOOD_OPENVINO names no libonnxruntime.so of onnxruntime-openvino");
    }
    library
}

fn score(library: Option<&Path>, device: &str, more: &[&str]) -> Ran {
    let picture = common::golden_dir().join("quick_gelu_g7/frame.png");
    let mut command = uniood(&["score", "--boxes", "frame", "--scores", "all", "--json", "--device", device, picture.to_str().unwrap()]);
    command.args(more);
    if let Some(library) = library {
        command.env(LIBRARY_VARIABLE, library);
    }
    command.output().unwrap().into()
}

fn omegas(ran: &Ran) -> Vec<f64> {
    let frame: Value = serde_json::from_str(ran.check(0, "").stdout.trim()).unwrap();
    frame["objects"][0]["ood"]["scores"].as_object().unwrap().values().map(|omega| omega.as_f64().unwrap()).collect()
}

#[test]
fn omega_is_that_of_the_default_provider() {
    let Some(library) = library() else { return };
    let (wanted, found) = (omegas(&score(None, "cpu", &[])), omegas(&score(Some(&library), "openvino", &[])));
    let furthest = furthest(&wanted, &found);
    assert!(furthest <= TOLERANCE, "{found:?} for {wanted:?}");
}

fn furthest(wanted: &[f64], found: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let furthest = wanted.iter().zip(found).map(|(wanted, found)| (wanted - found).abs()).fold(0.0, f64::max);
    eprintln!("omega is {furthest:.1e} off at most");
    furthest
}

#[test]
fn bf16_is_another_arithmetic_and_close_to_fp32() {
    let Some(library) = library() else { return };
    if !bf16_is_native() {
        score(Some(&library), "openvino", &["--precision", "bf16"]).check(1, "AVX512-BF16");
        return common::skip("this processor has no bf16");
    }
    let wanted = omegas(&score(Some(&library), "openvino", &[]));
    for more in [&["--precision", "bf16"][..], &["--precision", "bf16", "--background", "shared"]] {
        let found = omegas(&score(Some(&library), "openvino", more));
        let furthest = furthest(&wanted, &found);
        assert!(furthest > 0.0 && furthest <= BF16, "{more:?}: {found:?} for {wanted:?}");
    }
}

#[test]
fn what_a_set_loses_in_bf16_is_said() {
    let Some(library) = library() else { return };
    let mut command = uniood(&["models", "check", concat!(env!("CARGO_MANIFEST_DIR"), "/models/street-tiny/set"), "--precision", "bf16"]);
    let ran: Ran = command.env(LIBRARY_VARIABLE, library).output().unwrap().into();
    if bf16_is_native() {
        ran.check(0, "");
        assert!(ran.stdout.contains("bf16: omega is"), "{}", ran.stdout);
    } else {
        ran.check(1, "AVX512-BF16");
    }
}

#[test]
fn bf16_without_openvino_says_what_to_do() {
    score(None, "cpu", &["--precision", "bf16"]).check(1, "use device openvino");
}

#[test]
fn a_device_that_openvino_does_not_have_is_an_error() {
    let Some(library) = library() else { return };
    score(Some(&library), "openvino:nothing", &[]).check(1, "device `openvino:NOTHING` cannot be used");
}

#[test]
fn a_library_without_openvino_says_where_there_is_one() {
    score(None, "openvino", &[]).check(1, "the PyPI package onnxruntime-openvino");
}
