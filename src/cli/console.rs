//! What the user sees: results on stdout; errors, the log, progress on stderr.

use std::{
    fmt::Display,
    io::{IsTerminal, Write as _, stderr, stdout},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;

/// Warnings go to stderr; `RUST_LOG` says more or less.
pub(crate) fn log_to_stderr() {
    // tiny-skia, which draws rendered streets, warns of every shape that is too thin to be seen.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,tiny_skia=error"));
    // Only a second call could fail, and there is none.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).without_time().with_target(false).try_init();
}

/// A result could not be written.
static UNSAID: AtomicBool = AtomicBool::new(false);

/// A line of results. Not `println`, which panics where nobody reads any more, as behind `| head`: that is told once, and the work goes on.
pub(crate) fn say(line: impl Display) {
    if !UNSAID.load(Ordering::Relaxed)
        && let Err(cause) = writeln!(stdout().lock(), "{line}")
    {
        UNSAID.store(true, Ordering::Relaxed);
        note(format_args!("error: cannot write to stdout: {cause}"));
    }
}

/// Whether every result was written.
pub(crate) fn all_was_said() -> bool {
    !UNSAID.load(Ordering::Relaxed)
}

/// One line, the whole chain of causes.
pub(crate) fn error(error: &anyhow::Error) {
    note(format_args!("error: {error:#}"));
}

/// A line of news that is no error.
pub(crate) fn note(text: impl Display) {
    // Not `eprintln`, which panics where nobody reads any more, as behind `2>&1 | tee` at Ctrl-C: files are to be closed all the same.
    let _ = writeln!(stderr().lock(), "{text}");
}

/// A bar on a terminal; nothing otherwise.
pub(crate) fn progress(total: u64, unit: &str) -> ProgressBar {
    if total < 2 || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
    let template = format!("{{bar:40}} {{pos}}/{{len}} {unit}, {{per_sec}}, {{eta}} left");
    bar.set_style(ProgressStyle::with_template(&template).expect("the template is fixed but for the unit"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A bar over the steps of a training, with its loss as the message, on a terminal; nothing otherwise.
pub(crate) fn progress_of_training(steps: u64) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} steps, {msg}, {eta} left").expect("the template is fixed"));
    bar
}

/// A bar over the bytes of a file, on a terminal; nothing otherwise.
#[cfg(feature = "hub")]
pub(crate) fn progress_of_bytes(name: &str, bytes: u64) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr_with_hz(10));
    let template = "{prefix:24} {bar:30} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is fixed"));
    bar.set_prefix(name.to_owned());
    bar
}

/// A bar over a video's time, in milliseconds, on a terminal; nothing otherwise.
pub(crate) fn progress_of_time(name: &str) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(ProgressStyle::with_template("{prefix} {bar:30} {percent:>3}%  {msg}, {eta} left").expect("the template is fixed"));
    bar.set_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
