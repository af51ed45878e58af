//! What is said of one input: a line for every frame and for everything that befalls its camera, in order, to wherever lines go.

use std::{
    collections::VecDeque,
    fs::File,
    io::{LineWriter, Write, stdout},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use uniood::{
    metrics::{SCORING, StreamMetrics},
    publish::Publisher,
    report::{FrameHeader, FrameReport, is_track},
};

use crate::{console, crops::Crops, summary::Summary};

/// Events that wait for the frames before them; should those never come, the oldest event goes first.
const WAITING: usize = 64;

/// Where the lines of an input go.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    pub(crate) path: PathBuf,
    /// Behind what is there, in place of it.
    pub(crate) append: bool,
    /// To stdout besides.
    pub(crate) stdout: bool,
    /// Those of frames too, not of tracks and events alone.
    pub(crate) frames: bool,
}

/// Everything that is told of an input's frames.
pub(crate) struct Destinations {
    pub(crate) lines: Lines,
    pub(crate) crops: Crops,
    pub(crate) metrics: Option<StreamMetrics>,
    pub(crate) publishers: Vec<Arc<Publisher>>,
}

/// A place in a stream, for what is not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The number of the next frame.
    pub(crate) frame_id: u64,
    /// Nanoseconds; not before the last frame.
    pub(crate) timestamp: u64,
    /// Of the last frame; 0×0 before the first.
    pub(crate) size: (u32, u32),
}

/// One input's journal.
pub(crate) struct Journal {
    stream_id: String,
    /// Said in every line.
    run_id: String,
    /// Where the stream comes from, without user and password.
    source: String,
    to: Destinations,
    bar: ProgressBar,
    state: Mutex<State>,
    /// The first thing that could not be written.
    failure: Mutex<Option<anyhow::Error>>,
}

struct State {
    file: LineWriter<File>,
    /// Lines of frames.
    frames: u64,
    /// Events, each with the number of frames before it.
    waiting: VecDeque<(u64, String)>,
    summary: Summary,
}

impl Journal {
    pub(crate) fn create(stream_id: &str, run_id: &str, source: String, to: Destinations, bar: ProgressBar) -> Result<Self> {
        let mut options = File::options();
        options.create(true).write(true).append(to.lines.append).truncate(!to.lines.append);
        let file = options.open(&to.lines.path).with_context(|| format!("cannot create {}", to.lines.path.display()))?;
        let state = State { file: LineWriter::new(file), frames: 0, waiting: VecDeque::new(), summary: Summary::default() };
        let (stream_id, run_id) = (stream_id.to_owned(), run_id.to_owned());
        Ok(Self { stream_id, run_id, source, to, bar, state: Mutex::new(state), failure: Mutex::default() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.to.lines.path
    }

    pub(crate) fn crops(&self) -> &Crops {
        &self.to.crops
    }

    /// A frame was not taken because scoring does not keep up.
    pub(crate) fn dropped(&self) {
        self.lock().summary.dropped += 1;
        if let Some(metrics) = &self.to.metrics {
            metrics.dropped();
        }
    }

    /// A line of the element's.
    pub(crate) fn line(&self, line: &[u8]) -> Result<()> {
        if is_track(line) { self.put(&mut self.lock(), line) } else { self.frame(line) }
    }

    fn frame(&self, line: &[u8]) -> Result<()> {
        let report: FrameReport<'_> = serde_json::from_slice(line).context("the element gave a line that is not uniood.frame/1")?;
        {
            let mut state = self.lock();
            if self.to.lines.frames {
                self.put(&mut state, line)?;
            }
            state.frames += 1;
            state.summary.count(&report);
            self.put_events(&mut state)?;
        }
        self.to.crops.verdicts(&report)?;
        if let Some(metrics) = &self.to.metrics {
            metrics.frame(&report);
            metrics.queue(SCORING, self.to.crops.waiting());
        }
        Ok(())
    }

    /// The camera sends frames, again or of another size.
    pub(crate) fn connected(&self, moment: Moment, before: Option<(u32, u32)>, away: Option<Duration>) {
        let (width, height) = moment.size;
        let size = match before.filter(|before| *before != moment.size) {
            Some((width_before, height_before)) => format!("{width}×{height}, before {width_before}×{height_before}"),
            None => format!("{width}×{height}"),
        };
        if let Some(away) = away {
            let mut state = self.lock();
            state.summary.losses += 1;
            state.summary.away += away;
        }
        if let Some(metrics) = &self.to.metrics {
            metrics.up(true);
            if away.is_some() {
                metrics.reconnected();
            }
        }
        let news = match away {
            Some(away) => format!("back after {:.1} s, {size}", away.as_secs_f64()),
            None if before.is_some() => format!("goes on with {size}"),
            None => format!("connected, {size}"),
        };
        self.say(&news);
        self.event(moment, "connected", None);
    }

    /// Something befell the camera: `lost` or `failed`.
    pub(crate) fn trouble(&self, moment: Moment, event: &str, why: &str, then: &str) {
        self.say(&format!("{event}: {why}{then}"));
        self.is_away();
        self.event(moment, event, Some(why));
    }

    /// The camera is not connected.
    pub(crate) fn is_away(&self) {
        if let Some(metrics) = &self.to.metrics {
            metrics.up(false);
        }
    }

    /// One line on stderr.
    pub(crate) fn say(&self, news: &str) {
        self.bar.suspend(|| console::note(format_args!("{}: {news}", self.stream_id)));
    }

    fn event(&self, moment: Moment, event: &str, error: Option<&str>) {
        let header = FrameHeader {
            stream_id: &self.stream_id,
            frame_id: moment.frame_id,
            timestamp: Some(moment.timestamp),
            resolution: moment.size,
            source: Some(&self.source),
            model: "",
            run: Some(&self.run_id),
        };
        let line = FrameReport::of_event(&header, event, error).to_line() + "\n";
        let mut state = self.lock();
        state.waiting.push_back((moment.frame_id, line));
        if let Err(error) = self.put_events(&mut state) {
            drop(state);
            self.fail(error);
        }
    }

    /// Writes the events that no frame stands before any more.
    fn put_events(&self, state: &mut State) -> Result<()> {
        while state.waiting.front().is_some_and(|(before, _)| *before <= state.frames) || state.waiting.len() > WAITING {
            if let Some((_, line)) = state.waiting.pop_front() {
                self.put(state, line.as_bytes())?;
            }
        }
        Ok(())
    }

    fn put(&self, state: &mut State, line: &[u8]) -> Result<()> {
        state.file.write_all(line).with_context(|| format!("cannot write {}", self.path().display()))?;
        if self.to.lines.stdout {
            stdout().lock().write_all(line).context("cannot write to stdout")?;
        }
        for publisher in &self.to.publishers {
            publisher.publish(&self.stream_id, line.trim_ascii_end());
        }
        Ok(())
    }

    /// Keeps the first thing that could not be written.
    pub(crate) fn fail(&self, error: anyhow::Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// The first thing that could not be written, once.
    pub(crate) fn failure(&self) -> Option<anyhow::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Frames, objects and OOD objects so far.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let state = self.lock();
        (state.summary.frames, state.summary.objects, state.summary.ood)
    }

    /// Writes what still waits and gives the summary.
    pub(crate) fn finish(&self) -> Summary {
        let mut state = self.lock();
        state.frames = u64::MAX;
        let put = self.put_events(&mut state);
        let mut summary = std::mem::take(&mut state.summary);
        drop(state);
        if let Err(error) = put {
            self.fail(error);
        }
        (summary.crops, summary.crops_left_out) = self.to.crops.counts();
        summary
    }

    /// What it guards is whole after every statement.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
