//! The program itself, run as a user runs it, and GStreamer's beside it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::common::skip;

/// Whether the element was built beside the program; says so where it was not.
pub(crate) fn plugin_is_built() -> bool {
    let built = Path::new(env!("CARGO_BIN_EXE_uniood")).with_file_name("libgstuniood.so").exists();
    if !built {
        skip("the plugin is not built; run `cargo build --workspace` first, or `make test`");
    }
    built
}

/// Runs a pipeline of GStreamer's own to its end.
#[track_caller]
pub(crate) fn launch(description: &str) {
    let output = Command::new("gst-launch-1.0").arg("-q").args(description.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{description}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `uniood` with nothing of the test's own environment that would change what it does.
pub(crate) fn uniood<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uniood"));
    command.args(arguments).env_remove("UNIOOD_MODELS").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// What it printed and how it ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs it to its end.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Ran {
    uniood(arguments).output().expect("the program starts").into()
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    /// It ended with this code and said this, without a panic.
    #[track_caller]
    pub(crate) fn check(&self, code: i32, stderr: &str) -> &Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        assert!(self.stderr.contains(stderr), "wanted `{stderr}` in: {}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}
