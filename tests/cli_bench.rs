//! `uniood bench` says what it measured.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/model_set.rs"]
mod model_set;
#[path = "common/program.rs"]
mod program;

use std::path::Path;

use common::skip;
use model_set::golden_set;
use program::run;

#[test]
fn every_frame_that_is_sent_is_answered() {
    if !Path::new(env!("CARGO_BIN_EXE_uniood")).with_file_name("libgstuniood.so").exists() {
        skip("the plugin is not built; run `cargo build --workspace` first, or `make test`");
        return;
    }
    let (set, _) = golden_set("no_cnn_g4_wide");
    let models = set.path().to_str().unwrap();
    let ran = run(&["bench", "--streams", "2", "--fps", "2", "--seconds", "2", "--detector", "frame", "--models", models]);
    ran.check(0, "");
    let wanted = "2 cameras at 2 a second, 1.00 objects a frame, 1.00 encoded: 16 of 16 frames answered, age p50 ";
    assert!(ran.stdout.starts_with(wanted), "{}", ran.stdout);
    run(&["bench", "--streams", "0", "--models", models]).check(2, "wanted a number from 1");
}
