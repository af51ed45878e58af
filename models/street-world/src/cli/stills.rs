//! Many single pictures, painted by all cores and written as whole files.

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use street_world::{
    film::{self, Settings},
    picture::Picture,
    truth::Truth,
};

use crate::{files, interrupt};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// JPEG, quality 92
    Jpg,
    /// PNG
    Png,
}

impl Format {
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
        }
    }

    pub(crate) fn encode(self, picture: &Picture) -> Vec<u8> {
        match self {
            Self::Jpg => picture.jpeg(92),
            Self::Png => picture.png(),
        }
    }
}

/// One picture to be: its file's name and what is in it.
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) settings: Settings,
}

/// Paints and writes them all; the truths come back in the jobs' order.
pub(crate) fn write(folder: &Path, jobs: &[Job], format: Format, title: &str) -> Result<Vec<Truth>> {
    files::folder(folder)?;
    let bar = bar(jobs.len() as u64, title);
    let next = AtomicUsize::new(0);
    let truths: Mutex<Vec<Option<Truth>>> = Mutex::new(vec![None; jobs.len()]);
    let failure: Mutex<Option<anyhow::Error>> = Mutex::new(None);
    let work = || {
        while let Some((index, job)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| Some((index, jobs.get(index)?))) {
            match interrupt::check().and_then(|()| one(&folder.join(&job.name), job, format)) {
                Ok(truth) => lock(&truths)[index] = Some(truth),
                Err(error) => {
                    lock(&failure).get_or_insert(error);
                    // The others stop too.
                    next.store(jobs.len(), Ordering::Relaxed);
                }
            }
            bar.inc(1);
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from).min(jobs.len()).max(1);
    thread::scope(|scope| {
        for worker in 0..workers {
            let named = thread::Builder::new().name(format!("painter-{worker}"));
            // Where no thread can be had, this one paints alone.
            if named.spawn_scoped(scope, work).is_err() {
                work();
            }
        }
    });
    bar.finish_and_clear();
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let truths = truths.into_inner().unwrap_or_else(PoisonError::into_inner);
    truths.into_iter().collect::<Option<Vec<_>>>().context("a painting thread ended before its picture was done")
}

fn one(path: &Path, job: &Job, format: Format) -> Result<Truth> {
    let frame = film::still(&job.settings)?;
    files::write(path, &format.encode(&frame.picture))?;
    Ok(frame.truth)
}

/// A progress bar on a terminal, nothing elsewhere.
pub(crate) fn bar(length: u64, title: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:24} {wide_bar} {pos}/{len} {eta}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_message(title.to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
