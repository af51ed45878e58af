//! ONNX Runtime in this process: what is said when it is missing, and that no device is replaced by another.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and its child answers on stdout")]

mod common;
#[path = "common/golden.rs"]
mod golden;

use std::{path::Path, process::Command};

use golden::{CLIP_CASES, GoldenCase};
use uniood::{
    Error,
    engine::{Device, LIBRARY_VARIABLE, Runtime, Session},
};

/// What a process says that loads the runtime from `library`.
fn loaded_from(library: &str) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output =
        child.args(["--exact", "child_that_loads_the_runtime", "--nocapture", "--include-ignored"]).env(LIBRARY_VARIABLE, library).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
#[ignore = "run by the tests that name a library"]
fn child_that_loads_the_runtime() {
    match Runtime::get() {
        Ok(runtime) => println!("loaded {}", runtime.library().display()),
        Err(error) => println!("refused: {error}"),
    }
}

#[test]
fn a_library_that_is_named_but_missing_is_an_error_that_says_what_to_do() {
    let said = loaded_from("/no/such/libonnxruntime.so");
    assert!(said.contains("refused: ONNX Runtime: ") && said.contains("/no/such/libonnxruntime.so"), "{said}");
    assert!(said.contains("make setup") && said.contains("ORT_DYLIB_PATH"), "{said}");
}

#[test]
fn another_library_in_its_place_is_an_error_that_says_what_to_do() {
    let said = loaded_from("libm.so.6");
    assert!(said.contains("refused: ONNX Runtime: ") && said.contains("make setup"), "{said}");
}

#[test]
fn the_library_is_loaded_once() {
    let first = Runtime::get().unwrap();
    assert!(std::ptr::eq(first, Runtime::get().unwrap()));
    assert!(!first.build().is_empty());
}

fn text_graph() -> Vec<u8> {
    GoldenCase::open(CLIP_CASES[0]).text_graph().to_bytes().unwrap()
}

#[test]
fn a_device_is_had_or_refused_and_never_replaced() {
    let graph = text_graph();
    for device in ["cpu", "cuda:0", "tensorrt:0", "openvino:CPU"] {
        let device: Device = device.parse().unwrap();
        match Session::from_bytes("text", Path::new("text"), &graph, &device, Some(1)) {
            Ok(session) => assert_eq!(session.device(), &device),
            Err(error) => {
                assert!(matches!(error, Error::Device { .. }) && device != Device::Cpu, "{error}");
                assert!(error.to_string().contains(&device.to_string()), "{error}");
            }
        }
    }
}

#[test]
fn auto_says_what_it_took() {
    let session = Session::from_bytes("text", Path::new("text"), &text_graph(), &Device::Auto, None).unwrap();
    assert!(matches!(session.device(), Device::Cpu | Device::Cuda(_)), "{}", session.device());
    assert!(session.threads() >= 1);
}

#[test]
fn sessions_may_be_made_on_many_threads_at_once() {
    common::completes_within(std::time::Duration::from_mins(1), || {
        let graph = text_graph();
        std::thread::scope(|scope| {
            let made: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| Session::from_bytes("text", Path::new("text"), &graph, &Device::Cpu, Some(1)).map(drop)))
                .collect();
            for session in made {
                session.join().unwrap().unwrap();
            }
        });
    });
}
