//! What every integration test needs: where the test data are, how to skip aloud, and a watchdog.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod golden;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::{RecvTimeoutError, sync_channel},
    time::Duration,
};

/// The workspace's root, whichever of its packages the test belongs to.
pub(crate) fn workspace_dir() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|dir| dir.join("tests/golden").is_dir()).expect("tests/golden lies in the workspace's root")
}

/// The golden cases that are part of the repository.
pub(crate) fn golden_dir() -> PathBuf {
    workspace_dir().join("tests/golden")
}

/// Larger test data beside the repository: `UNIOOD_SHARED`, or `../shared`. Where there are none, [`skip`].
pub(crate) fn shared_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("UNIOOD_SHARED").map_or_else(|| workspace_dir().join("../shared"), PathBuf::from);
    dir.join("data").is_dir().then_some(dir)
}

/// Says on stderr that the test did not run, and why.
pub(crate) fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// A Python that can import all of `modules`: `UNIOOD_PYTHON`, or `python3`. Where there is none, says so and gives `None`.
pub(crate) fn python(modules: &[&str]) -> Option<Command> {
    let program = std::env::var_os("UNIOOD_PYTHON").unwrap_or_else(|| "python3".into());
    let imports = format!("import {}", modules.join(", "));
    let found = Command::new(&program).args(["-c", &imports]).output().is_ok_and(|output| output.status.success());
    if found {
        return Some(Command::new(program));
    }
    skip(&format!("{} cannot `{imports}`; point UNIOOD_PYTHON at a Python that can", program.display()));
    None
}

/// Runs `work` on a thread of its own and fails the test when it takes longer than `limit`: a hang becomes a failure.
#[track_caller]
pub(crate) fn completes_within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = sync_channel(1);
    let worker = std::thread::Builder::new()
        .name("watched".to_owned())
        .spawn(move || done.send(work()))
        .expect("the system gives a thread to a test");
    match result.recv_timeout(limit) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("not done within {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("a worker that ended well has sent its value"),
        },
    }
}
