//! What the user sees beside results: errors, the log, progress. All of it on stderr.

use std::{
    fmt::Display,
    io::{IsTerminal, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;

/// Warnings go to stderr; `RUST_LOG` says more or less.
pub(crate) fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // Only a second call could fail, and there is none.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).without_time().with_target(false).try_init();
}

/// One line, the whole chain of causes.
#[expect(clippy::print_stderr, reason = "this is where errors reach the user")]
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// A line of news that is no error.
#[expect(clippy::print_stderr, reason = "this is where news reach the user")]
pub(crate) fn note(text: impl Display) {
    eprintln!("{text}");
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
