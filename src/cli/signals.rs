//! Ctrl-C, SIGTERM and a terminal that goes away: counted. Whoever works looks at the count and ends in good order.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};
use uniood::Error;

/// Asked so often to end, the process ends at once, whatever it hangs on: a disk that does not answer, an engine that is being built.
const AT_ONCE: usize = 3;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Watches from now on; called once. The count goes up with each.
pub(crate) fn watch() -> Result<&'static AtomicUsize> {
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        signals.push(SIGHUP);
    }
    let watched = Signals::new(signals).and_then(|mut signals| {
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                if COUNT.fetch_add(1, Ordering::Relaxed) + 1 == AT_ONCE {
                    // It does not fail for these, and there would be nobody to tell.
                    let _ = emulate_default_handler(signal);
                }
            }
        })
    });
    watched.context("cannot watch for Ctrl-C")?;
    Ok(&COUNT)
}

/// # Errors
/// [`Error::Interrupted`] where one came.
pub(crate) fn interrupted() -> uniood::Result<()> {
    if COUNT.load(Ordering::Relaxed) > 0 { Err(Error::Interrupted) } else { Ok(()) }
}

/// Whether who started the process wants it to live through a signal, as `nohup` does. Where the system does not say, nobody does.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
