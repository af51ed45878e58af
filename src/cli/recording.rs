//! One input through the element: annotated MP4, JSON lines, crops of what was OOD.

use std::{
    fs::{self, File},
    io::{LineWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};
use gst_video::VideoInfo;
use indicatif::ProgressBar;
use uniood::report::FrameReport;

use crate::{console, crops::Crops, inputs::Input, summary::Summary};

/// H.264 encoders, the best first, each with settings for a recording that keeps up.
const ENCODERS: [(&str, &str); 3] = [
    ("x264enc", "x264enc speed-preset=superfast pass=qual quantizer=23 key-int-max=60"),
    ("openh264enc", "openh264enc complexity=low bitrate=4000000 gop-size=60"),
    ("avenc_mpeg4", "avenc_mpeg4 bitrate=6000000"),
];

/// How long the last frames may take to be written after an error, before what is there is left as it is.
const LAST_FRAMES: Duration = Duration::from_secs(20);

/// Without a frame for this long, a non-terminal gets a line all the same.
const NEWS: Duration = Duration::from_secs(10);

/// How a recording ended.
pub(crate) enum End {
    /// All of the input was read.
    Done,
    /// Ctrl-C.
    Interrupted,
}

/// Where one input's files go.
pub(crate) struct Outputs {
    pub(crate) video: PathBuf,
    pub(crate) lines: PathBuf,
    pub(crate) crops: PathBuf,
    pub(crate) most_crops: u64,
}

/// What the streaming thread gathers.
struct Gathered {
    lines: Mutex<LineWriter<File>>,
    summary: Mutex<Summary>,
    crops: Crops,
    /// The first thing that could not be written.
    failure: Mutex<Option<anyhow::Error>>,
}

/// The first H.264 encoder there is, and whether it is not the best one.
pub(crate) fn encoder() -> Result<(&'static str, &'static str)> {
    let found = ENCODERS.into_iter().find(|(name, _)| gst::ElementFactory::find(name).is_some());
    found.context("GStreamer has no video encoder for MP4; install gstreamer1.0-plugins-ugly (x264enc)")
}

/// Records one input. The summary says what was done even where an error ends it.
pub(crate) fn record(
    input: &Input,
    outputs: &Outputs,
    filter: &gst::Element,
    interrupts: &AtomicUsize,
    bar: &ProgressBar,
) -> (Summary, Result<End>) {
    let started = Instant::now();
    let gathered = match Gathered::create(outputs) {
        Ok(gathered) => Arc::new(gathered),
        Err(error) => return (Summary::default(), Err(error)),
    };
    let end = play(input, outputs, filter, &gathered, interrupts, bar);
    let mut summary = std::mem::take(&mut *lock(&gathered.summary));
    summary.elapsed = started.elapsed();
    (summary.crops, summary.crops_left_out) = gathered.crops.counts();
    let end = match lock(&gathered.failure).take() {
        Some(failure) => Err(failure),
        None => end,
    };
    if end.is_err() && summary.frames == 0 {
        // Empty files would only look like results; that they cannot be removed changes nothing.
        let _ = fs::remove_file(&outputs.lines);
        let _ = fs::remove_file(&outputs.video);
    }
    (summary, end)
}

impl Gathered {
    fn create(outputs: &Outputs) -> Result<Self> {
        let lines = File::create(&outputs.lines).with_context(|| format!("cannot create {}", outputs.lines.display()))?;
        Ok(Self {
            lines: Mutex::new(LineWriter::new(lines)),
            summary: Mutex::default(),
            crops: Crops::new(outputs.crops.clone(), outputs.most_crops),
            failure: Mutex::default(),
        })
    }

    fn line(&self, line: &[u8], path: &Path) -> Result<()> {
        lock(&self.lines).write_all(line).with_context(|| format!("cannot write {}", path.display()))?;
        let report: FrameReport<'_> = serde_json::from_slice(line).context("the element gave a line that is not uniood.frame/1")?;
        lock(&self.summary).count(&report);
        self.crops.verdicts(&report)
    }
}

fn play(
    input: &Input,
    outputs: &Outputs,
    filter: &gst::Element,
    gathered: &Arc<Gathered>,
    interrupts: &AtomicUsize,
    bar: &ProgressBar,
) -> Result<End> {
    let pipeline = gst::Pipeline::new();
    let recorder = Recorder::new(&outputs.video)?;
    let lines = AppSink::builder().sync(false).build();
    pipeline.add_many([filter, recorder.bin.upcast_ref(), lines.upcast_ref()])?;
    filter.link(&recorder.bin)?;
    filter.link_pads(Some("meta"), &lines, Some("sink"))?;
    watch_frames(filter, gathered)?;
    lines.set_callbacks(line_callbacks(gathered, &outputs.lines));
    input.source(&pipeline, filter)?;

    let ended = watch(&pipeline, filter, &recorder, gathered, interrupts, bar);
    // Nothing is left to be told where even stopping fails.
    let _ = pipeline.set_state(gst::State::Null);
    ended
}

/// The part of the pipeline that writes the MP4.
struct Recorder {
    bin: gst::Bin,
    closed: Arc<AtomicBool>,
}

impl Recorder {
    fn new(path: &Path) -> Result<Self> {
        let (_, encoder) = encoder()?;
        // Fragments while it grows, so that even a killed process leaves a playable file; a plain MP4 when it is closed.
        let description = format!(
            "queue max-size-buffers=8 ! videocrop name=even ! videoconvert ! {encoder} ! \
             mp4mux fragment-duration=500 fragment-mode=first-moov-then-finalise ! filesink name=file"
        );
        let bin = gst::parse::bin_from_description(&description, true).context("the recording part of the pipeline")?;
        let file = bin.by_name("file").context("the recorder's filesink")?;
        file.set_property("location", path.to_str().context("the output folder's name is not UTF-8; choose another")?);
        keep_even(&bin.by_name("even").context("the recorder's videocrop")?)?;
        let closed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closed);
        file.static_pad("sink").context("a filesink's pad")?.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, probe| {
            if probe.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
                seen.store(true, Ordering::Relaxed);
            }
            gst::PadProbeReturn::Ok
        });
        Ok(Self { bin, closed })
    }

    /// Ends the recording from outside the stream.
    fn end(&self) {
        self.bin.call_async(|bin| {
            if let Some(pad) = bin.static_pad("sink") {
                pad.send_event(gst::event::Eos::new());
            }
        });
    }

    /// Whether the last of it went to the file.
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

/// H.264 in 4:2:0 wants even sides: an odd last column or row is cut off the recording.
fn keep_even(crop: &gst::Element) -> Result<()> {
    let pad = crop.static_pad("sink").context("videocrop's sink pad")?;
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |pad, probe| {
        if let Some(event) = probe.event()
            && let gst::EventView::Caps(caps) = event.view()
            && let Some(crop) = pad.parent_element()
            && let Ok(info) = VideoInfo::from_caps(caps.caps())
        {
            crop.set_property("right", i32::from(info.width() % 2 == 1));
            crop.set_property("bottom", i32::from(info.height() % 2 == 1));
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Every frame that goes in is remembered until its line comes out.
fn watch_frames(filter: &gst::Element, gathered: &Arc<Gathered>) -> Result<()> {
    let gathered = Arc::clone(gathered);
    let pad = filter.static_pad("sink").context("the element's sink pad")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, probe| {
        if let Some(buffer) = probe.buffer()
            && let Some(info) = pad.current_caps().and_then(|caps| VideoInfo::from_caps(&caps).ok())
        {
            gathered.crops.frame_in(buffer.to_owned(), info);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

fn line_callbacks(gathered: &Arc<Gathered>, path: &Path) -> AppSinkCallbacks {
    let (gathered, path) = (Arc::clone(gathered), path.to_owned());
    let take = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let buffer = sample.buffer().ok_or(gst::FlowError::Error)?;
        let line = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        gathered.line(&line, &path).map(|()| gst::FlowSuccess::Ok).map_err(|error| {
            lock(&gathered.failure).get_or_insert(error);
            gst::FlowError::Error
        })
    };
    AppSinkCallbacks::builder().new_sample(take).build()
}

/// Plays until the end, an error, or Ctrl-C; the recording is closed in each case.
fn watch(
    pipeline: &gst::Pipeline,
    filter: &gst::Element,
    recorder: &Recorder,
    gathered: &Gathered,
    interrupts: &AtomicUsize,
    bar: &ProgressBar,
) -> Result<End> {
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    if pipeline.set_state(gst::State::Playing).is_err() {
        bail!(first_error(&bus).unwrap_or_else(|| anyhow!("the pipeline does not start")));
    }
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Warning];
    let mut failed: Option<(anyhow::Error, Instant)> = None;
    let mut interrupted = false;
    let mut told = Instant::now();
    loop {
        let message = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(100), &kinds);
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Eos(_)) => break,
            // What was scored is kept: the recorder gets its end although the input has none. Errors that follow from the first say nothing new.
            Some(gst::MessageView::Error(error)) if failed.is_none() => {
                failed = Some((sentence(error), Instant::now()));
                recorder.end();
            }
            Some(gst::MessageView::Warning(warning)) => bar.suspend(|| console::note(format_args!("warning: {}", warning.error()))),
            _ => {}
        }
        if let Some((_, since)) = &failed
            && (recorder.is_closed() || lock(&gathered.summary).frames == 0 || since.elapsed() > LAST_FRAMES)
        {
            break;
        }
        match interrupts.load(Ordering::Relaxed) {
            0 => {}
            1 if interrupted => {}
            1 => {
                interrupted = true;
                let news = format!("{}interrupted: finishing the frames that are under way; once more to leave them", bar.prefix());
                bar.suspend(|| console::note(&news));
                filter.call_async(|filter| {
                    // The end goes in where the frames do, so that every frame that is in comes out.
                    if let Some(peer) = filter.static_pad("sink").and_then(|pad| pad.peer()) {
                        peer.push_event(gst::event::Eos::new());
                    }
                });
            }
            _ => break,
        }
        progress(pipeline, bar, &lock(&gathered.summary), &mut told);
    }
    match failed {
        Some((error, _)) => Err(error),
        None if interrupted => Ok(End::Interrupted),
        None => Ok(End::Done),
    }
}

fn progress(pipeline: &gst::Pipeline, bar: &ProgressBar, summary: &Summary, told: &mut Instant) {
    if let Some(length) = pipeline.query_duration::<gst::ClockTime>() {
        bar.set_length(length.mseconds());
    }
    if let Some(position) = pipeline.query_position::<gst::ClockTime>() {
        bar.set_position(position.mseconds());
    }
    bar.set_message(format!("{} frames, {} objects, {} OOD", summary.frames, summary.objects, summary.ood));
    if bar.is_hidden() && told.elapsed() >= NEWS {
        *told = Instant::now();
        console::note(format_args!("{}{} frames, {} objects, {} OOD", bar.prefix(), summary.frames, summary.objects, summary.ood));
    }
}

fn first_error(bus: &gst::Bus) -> Option<anyhow::Error> {
    let message = bus.pop_filtered(&[gst::MessageType::Error])?;
    match message.view() {
        gst::MessageView::Error(error) => Some(sentence(error)),
        _ => None,
    }
}

/// An element's error in one sentence.
fn sentence(error: &gst::message::Error) -> anyhow::Error {
    anyhow!("{}", error.error().message().trim_end_matches('.').to_owned())
}

/// What the locks guard is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
