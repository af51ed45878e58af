//! What every integration test needs: where the test data are, how to skip aloud, what Python says, and a watchdog.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
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

/// A part of the larger test data beside the repository (`UNIOOD_SHARED`, or `../shared`). Where it is not, says so and gives `None`.
pub(crate) fn shared(part: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("UNIOOD_SHARED").map_or_else(|| workspace_dir().join("../shared"), PathBuf::from);
    let found = Some(dir.join("data").join(part)).filter(|path| path.exists());
    if found.is_none() {
        skip(&format!("{part} is not there; point UNIOOD_SHARED at the test data"));
    }
    found
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

/// A script of `tests/oracle` under such a [`python`], still without arguments.
pub(crate) fn oracle(script: &str, modules: &[&str]) -> Option<Command> {
    let mut python = python(modules)?;
    python.arg(workspace_dir().join("tests/oracle").join(script));
    Some(python)
}

/// What a command that gets `input` says; its complaints are the test's.
#[track_caller]
pub(crate) fn answer(command: &mut Command, input: &str) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?} failed, see above");
    output.stdout
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
