//! One input's life: connect, run, lose, wait, reconnect, end. What is scored and recorded outlives each connection.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use gst::prelude::*;
use indicatif::ProgressBar;
use uniood::{
    backoff::{self, Backoff},
    metrics::StreamMetrics,
    publish::Publisher,
};

use crate::{
    connection::{Broken, Connection, News},
    crops::Crops,
    inputs::Named,
    journal::{Destinations, Journal, Lines},
    recording::{Files, Recorder},
    scoring::{Said, Scoring},
    summary::Summary,
};

/// How long a camera may take from the connection to its first frame.
const FIRST_FRAME: Duration = Duration::from_secs(30);

/// Without a frame for this long, a non-terminal gets a line all the same.
const NEWS: Duration = Duration::from_secs(10);

/// The same warning is said again after this long.
const AGAIN: Duration = Duration::from_mins(1);

/// How often everything that may end a wait is looked at.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// How an input ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All of it was read.
    Done,
    /// Ctrl-C.
    Interrupted,
}

/// Where one input's files go.
pub(crate) struct Outputs {
    pub(crate) video: Files,
    pub(crate) lines: Lines,
    pub(crate) crops: PathBuf,
    pub(crate) most_crops: u64,
    pub(crate) metrics: Option<StreamMetrics>,
    pub(crate) publishers: Vec<Arc<Publisher>>,
    /// Said in every line, so that frames of several runs can be told apart.
    pub(crate) run_id: String,
}

/// What is done about a camera that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Its end, or its loss, is the end.
    pub(crate) exit_on_eos: bool,
    /// A connection without a frame for this long is given up.
    pub(crate) stall_timeout: Duration,
    /// Before the first attempt to reconnect; doubles up to [`backoff::MOST`].
    pub(crate) reconnect_delay: Duration,
}

/// Records one input. The summary says what was done even where an error ends it.
pub(crate) fn record(
    named: &Named,
    outputs: Outputs,
    filter: &gst::Element,
    interrupts: &AtomicUsize,
    bar: &ProgressBar,
    patience: Patience,
) -> (Summary, Result<End>) {
    let started = Instant::now();
    let lines = outputs.lines.clone();
    let to = Destinations {
        lines: outputs.lines,
        crops: Crops::new(outputs.crops, outputs.most_crops),
        metrics: outputs.metrics,
        publishers: outputs.publishers,
    };
    let journal = named.input.uri().and_then(|uri| Journal::create(&named.name, &outputs.run_id, uri, to, bar.clone()));
    let journal = match journal {
        Ok(journal) => Arc::new(journal),
        Err(error) => return (Summary::default(), Err(error)),
    };
    if named.input.is_live() {
        journal.is_away();
    }
    let recorder = Arc::new(Recorder::new(outputs.video));
    let end = match Scoring::start(&named.input, filter, &recorder, &journal) {
        Ok(scoring) => {
            let life = Life { named, scoring: &scoring, journal: &journal, interrupts, bar, patience };
            life.live()
        }
        Err(error) => Err(error),
    };
    let recorded = recorder.finish();
    let mut summary = journal.finish();
    summary.elapsed = started.elapsed();
    summary.encoded = filter.property::<gst::Structure>("stats").get("encoded").unwrap_or(0);
    let end = match journal.failure() {
        Some(failure) => Err(failure),
        None => end.and_then(|end| recorded.map(|()| end)),
    };
    if end.is_err() && summary.frames == 0 && !lines.append {
        // A file without frames would only look like a result; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&lines.path);
    }
    (summary, end)
}

/// Why no more frames come over a connection.
enum Stop {
    Interrupted,
    End,
    Broken(Broken),
}

/// What an input's life is lived with.
struct Life<'a> {
    named: &'a Named,
    scoring: &'a Scoring,
    journal: &'a Journal,
    interrupts: &'a AtomicUsize,
    bar: &'a ProgressBar,
    patience: Patience,
}

impl Life<'_> {
    /// Until the input ends, fails for good, or Ctrl-C; what went in has come out then.
    fn live(&self) -> Result<End> {
        let end = self.connections().inspect_err(|_| self.scoring.stop())?;
        self.drain()?;
        end
    }

    /// One connection after the other. The outer error is that of scoring, the inner one that of the input.
    fn connections(&self) -> Result<Result<End>> {
        let entrance = self.scoring.entrance();
        let mut backoff = Backoff::new(self.patience.reconnect_delay, backoff::MOST);
        let mut delay = Duration::ZERO;
        let mut ever = false;
        loop {
            let began = Instant::now();
            entrance.reconnect();
            let broken = match self.connection()? {
                Stop::Interrupted => return Ok(Ok(End::Interrupted)),
                Stop::End if self.is_over() => return Ok(Ok(End::Done)),
                Stop::End => Broken { why: "the camera ended the stream".to_owned(), lasting: false },
                Stop::Broken(broken) => broken,
            };
            let was_there = entrance.arrival().is_some();
            ever |= was_there;
            if self.is_over() || broken.lasting && !ever {
                return Ok(Err(anyhow!(broken.why)));
            }
            if was_there && began.elapsed() > delay {
                backoff.reset();
            }
            delay = backoff.delay();
            if ever {
                entrance.lost();
            }
            if was_there {
                entrance.gap();
            }
            let event = if was_there { "lost" } else { "failed" };
            self.journal.trouble(entrance.now(), event, &broken.why, &format!("; next attempt in {delay:?}"));
            if !self.wait(delay)? {
                return Ok(Ok(End::Interrupted));
            }
        }
    }

    /// Whether the end of a connection is the end.
    fn is_over(&self) -> bool {
        self.patience.exit_on_eos || !self.named.input.is_live()
    }

    fn connection(&self) -> Result<Stop> {
        let input = &self.named.input;
        let connection = match Connection::open(input, &self.scoring.formats()?, self.scoring.entrance()) {
            Ok(connection) => connection,
            Err(broken) => return Ok(Stop::Broken(broken)),
        };
        let stop = self.watch(&connection);
        if stop.is_err() {
            // Else the connection would wait for room that nobody makes.
            self.scoring.stop();
        }
        connection.close(|| self.interrupts.load(Ordering::Relaxed) < 2);
        stop
    }

    fn watch(&self, connection: &Connection) -> Result<Stop> {
        let opened = Instant::now();
        let mut told = opened;
        let mut warned: Option<(String, Instant)> = None;
        loop {
            let news = connection.news(&self.named.input, TICK);
            self.look()?;
            match news {
                Some(News::End) => return Ok(Stop::End),
                Some(News::Broken(broken)) => return Ok(Stop::Broken(broken)),
                Some(News::Warning(text)) if warned.as_ref().is_none_or(|(before, at)| *before != text || at.elapsed() > AGAIN) => {
                    self.journal.say(&format!("warning: {text}"));
                    warned = Some((text, Instant::now()));
                }
                _ => {}
            }
            if self.interrupts.load(Ordering::Relaxed) > 0 {
                self.journal.say("interrupted: finishing the frames that are under way; once more to leave them");
                return Ok(Stop::Interrupted);
            }
            if let Some(broken) = self.stalled(opened) {
                return Ok(Stop::Broken(broken));
            }
            let (position, length) = connection.position();
            if let Some(length) = length {
                self.bar.set_length(length);
            }
            if let Some(position) = position {
                self.bar.set_position(position);
            }
            self.tell(&mut told);
        }
    }

    /// Whether a camera has been silent for too long.
    fn stalled(&self, opened: Instant) -> Option<Broken> {
        let arrival = self.scoring.entrance().arrival();
        let limit = if arrival.is_some() { self.patience.stall_timeout } else { self.patience.stall_timeout.max(FIRST_FRAME) };
        let silent = arrival.unwrap_or(opened).elapsed() > limit;
        (self.named.input.is_live() && silent)
            .then(|| Broken { why: format!("no frame for {limit:?}, though the connection is open"), lasting: false })
    }

    /// Waits before the next attempt; whether there is to be one.
    fn wait(&self, delay: Duration) -> Result<bool> {
        let until = Instant::now() + delay;
        while self.interrupts.load(Ordering::Relaxed) == 0 {
            let left = gst::ClockTime::try_from(until.saturating_duration_since(Instant::now())).unwrap_or(TICK);
            if left.is_zero() {
                return Ok(true);
            }
            if let Some(Said::Error(error)) = self.hear(left.min(TICK)) {
                return Err(error);
            }
        }
        Ok(false)
    }

    /// Lets out what is in; a second Ctrl-C leaves it.
    fn drain(&self) -> Result<()> {
        // An end without a beginning would wait for ever.
        if self.scoring.entrance().now().frame_id == 0 {
            return Ok(());
        }
        self.scoring.entrance().end();
        let mut told = Instant::now();
        while self.interrupts.load(Ordering::Relaxed) < 2 {
            // Behind the end nobody sends anything that could fail for it, and the end itself then never comes out.
            if let Some(failure) = self.journal.failure() {
                return Err(failure);
            }
            match self.hear(TICK) {
                Some(Said::End) => break,
                Some(Said::Error(error)) => return Err(error),
                _ => self.tell(&mut told),
            }
        }
        Ok(())
    }

    /// Whether scoring goes on.
    fn look(&self) -> Result<()> {
        if let Some(failure) = self.journal.failure() {
            return Err(failure);
        }
        match self.hear(gst::ClockTime::ZERO) {
            Some(Said::Error(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// The next thing that the scoring pipeline says; its warnings are passed on.
    fn hear(&self, wait: gst::ClockTime) -> Option<Said> {
        let said = self.scoring.said(wait);
        if let Some(Said::Warning(text)) = &said {
            self.journal.say(&format!("warning: {text}"));
        }
        said
    }

    fn tell(&self, told: &mut Instant) {
        let (frames, objects, ood) = self.journal.counts();
        self.bar.set_message(format!("{frames} frames, {objects} objects, {ood} OOD"));
        if self.bar.is_hidden() && told.elapsed() >= NEWS {
            *told = Instant::now();
            self.journal.say(&format!("{frames} frames, {objects} objects, {ood} OOD"));
        }
    }
}
