//! The annotated recording of one input, in one MP4 or several: a new file begins where a segment is full or the picture's format changes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use gst::{ClockTime, prelude::*};
use gst_app::AppSrc;
use gst_video::VideoInfo;

use crate::bus;

/// H.264 encoders, the best first, each with settings for a recording that keeps up. None makes B-frames: with them the muxer's edit list is as
/// long as decoding takes, and where frames come irregularly the last ones lie behind its end, which players then do not show.
const ENCODERS: [(&str, &str); 3] = [
    ("x264enc", "x264enc speed-preset=superfast pass=qual quantizer=23 key-int-max=60 bframes=0"),
    ("openh264enc", "openh264enc complexity=low bitrate=4000000 gop-size=60"),
    ("avenc_mpeg4", "avenc_mpeg4 bitrate=6000000"),
];

/// How long the last frames of a file may take to be written.
const LAST_FRAMES: Duration = Duration::from_secs(20);

/// Frames that wait to be encoded.
const WAITING: u64 = 8;

/// How often it is looked whether there is room for one more; meanwhile the encoder has enough of them.
const LOOK: ClockTime = ClockTime::from_mseconds(5);

/// The end of every file's name.
const ENDING: &str = "annotated.mp4";

/// The first H.264 encoder there is, and its launch line.
pub(crate) fn encoder() -> Result<(&'static str, &'static str)> {
    let found = ENCODERS.into_iter().find(|(name, _)| gst::ElementFactory::find(name).is_some());
    found.context("GStreamer has no video encoder for MP4; install gstreamer1.0-plugins-ugly (x264enc)")
}

/// Names of the files of one recording.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    name: String,
    segment: Option<Duration>,
    next: u32,
}

impl Files {
    /// `NAME.annotated.mp4`, then `NAME.0001.annotated.mp4`; with segments of that length `NAME.0000.annotated.mp4` and on, behind those
    /// that an earlier run has left.
    pub(crate) fn new(dir: &Path, name: &str, segment: Option<Duration>) -> Self {
        let next = if segment.is_some() { free_number(dir, name) } else { 0 };
        Self { dir: dir.to_owned(), name: name.to_owned(), segment, next }
    }

    fn take(&mut self) -> PathBuf {
        let number = self.next;
        self.next += 1;
        let plain = number == 0 && self.segment.is_none();
        self.dir.join(if plain { format!("{}.{ENDING}", self.name) } else { format!("{}.{number:04}.{ENDING}", self.name) })
    }
}

/// One more than the highest number of a segment there is.
fn free_number(dir: &Path, name: &str) -> u32 {
    let number = |entry: fs::DirEntry| {
        let file = entry.file_name();
        let number = file.to_str()?.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(ENDING)?.strip_suffix('.')?;
        number.parse::<u32>().ok()
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(number).max().map_or(0, |highest| highest.saturating_add(1))
}

/// Takes frames as they are finished.
pub(crate) struct Recorder {
    state: Mutex<State>,
}

struct State {
    files: Files,
    open: Option<File>,
    /// The file before, while its last frames are written.
    closing: Option<File>,
}

/// One file, written by a pipeline of its own.
struct File {
    path: PathBuf,
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    src: AppSrc,
    caps: gst::Caps,
    first: Option<ClockTime>,
}

impl Recorder {
    pub(crate) fn new(files: Files) -> Self {
        Self { state: Mutex::new(State { files, open: None, closing: None }) }
    }

    /// Records a frame; waits where the encoder does not keep up.
    pub(crate) fn frame(&self, sample: gst::Sample) -> Result<()> {
        let caps = sample.caps_owned().context("a finished frame has no caps")?;
        let buffer = sample.buffer_owned().context("a finished frame has no buffer")?;
        drop(sample);
        // Frames come from one thread: nobody else waits for this lock while the encoder is waited for.
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(closing) = state.closing.take_if(|closing| closing.is_whole()) {
            closing.close(Duration::ZERO)?;
        }
        let segment = state.files.segment;
        let is_full = |file: &mut File| file.caps != caps || file.is_full(buffer.pts(), segment);
        if let Some(full) = state.open.take_if(is_full) {
            full.end();
            if let Some(before) = state.closing.replace(full) {
                before.close(LAST_FRAMES)?;
            }
        }
        let file = match &mut state.open {
            Some(file) => file,
            none => {
                let path = state.files.take();
                none.insert(File::create(path, caps)?)
            }
        };
        file.frame(buffer)
    }

    /// Writes what is still on its way and closes the last file.
    pub(crate) fn finish(&self) -> Result<()> {
        let (open, closing) = {
            let mut state = self.lock();
            (state.open.take(), state.closing.take())
        };
        open.iter().for_each(File::end);
        let closed = closing.map(|file| file.close(LAST_FRAMES));
        let last = open.map(|file| file.close(LAST_FRAMES));
        closed.into_iter().chain(last).collect()
    }

    /// What it guards is whole after every statement.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File {
    fn create(path: PathBuf, caps: gst::Caps) -> Result<Self> {
        let (_, encoder) = encoder()?;
        let info = VideoInfo::from_caps(&caps)?;
        // H.264 in 4:2:0 wants even sides: an odd last column or row is cut off.
        let (right, bottom) = (info.width() % 2, info.height() % 2);
        // Fragments while it grows, on the disk at once, so that even a killed process leaves a playable file; a plain MP4 when it is closed.
        let description = format!(
            "videocrop right={right} bottom={bottom} ! videoconvert ! {encoder} ! \
             mp4mux fragment-duration=500 fragment-mode=first-moov-then-finalise ! filesink name=file buffer-mode=unbuffered"
        );
        let bin = gst::parse::bin_from_description(&description, true).context("the recording part of the pipeline")?;
        let file = bin.by_name("file").context("the recorder's filesink")?;
        file.set_property("location", path.to_str().context("the output folder's name is not UTF-8; choose another")?);
        let src = AppSrc::builder().caps(&caps).format(gst::Format::Time).max_bytes(0).build();
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([src.upcast_ref::<gst::Element>(), bin.upcast_ref()])?;
        src.link(&bin)?;
        let bus = pipeline.bus().context("a pipeline has a bus")?;
        let file = Self { path, pipeline, bus, src, caps, first: None };
        if file.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(file.failure(ClockTime::ZERO).unwrap_or_else(|| anyhow!("cannot write {}", file.path.display())));
        }
        Ok(file)
    }

    fn is_full(&self, time: Option<ClockTime>, segment: Option<Duration>) -> bool {
        let limit = segment.and_then(|segment| ClockTime::try_from(segment).ok());
        let length = time.zip(self.first).map(|(time, first)| time.saturating_sub(first));
        length.zip(limit).is_some_and(|(length, limit)| length >= limit)
    }

    /// Every file's time begins at its first frame.
    fn frame(&mut self, mut buffer: gst::Buffer) -> Result<()> {
        if let Some(time) = buffer.pts() {
            let first = *self.first.get_or_insert(time);
            buffer.make_mut().set_pts(time.saturating_sub(first));
        }
        self.wait_for_room()?;
        match self.src.push_buffer(buffer) {
            Ok(_) => self.failure(ClockTime::ZERO).map_or(Ok(()), Err),
            Err(why) => Err(self.failure(ClockTime::ZERO).unwrap_or_else(|| anyhow!("cannot write {}: {why}", self.path.display()))),
        }
    }

    /// Waits while the encoder has enough to do. Not left to the appsrc, from which nothing is taken any more behind a failure: it would
    /// wait for ever.
    fn wait_for_room(&self) -> Result<()> {
        while self.src.current_level_buffers() >= WAITING {
            if let Some(failure) = self.failure(LOOK) {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Why no frame can be written any more, where that is said within `wait`.
    fn failure(&self, wait: ClockTime) -> Option<anyhow::Error> {
        let message = bus::next(&self.bus, wait, &[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => {
                Some(anyhow!("cannot write {}: {}", self.path.display(), error.error().message().trim_end_matches('.')))
            }
            _ => None,
        }
    }

    /// No frame comes any more.
    fn end(&self) {
        // Refused only where the pipeline has stopped already, which `close` says.
        let _ = self.src.end_of_stream();
    }

    /// Whether the last frame is written, or none can be any more.
    fn is_whole(&self) -> bool {
        loop {
            match self.bus.peek().map(|message| message.type_()) {
                None => return false,
                Some(gst::MessageType::Eos | gst::MessageType::Error) => return true,
                // The others are of no interest, and would hide what is.
                Some(_) => drop(self.bus.pop()),
            }
        }
    }

    /// Waits for the last frame to be written.
    fn close(self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let left = ClockTime::try_from(deadline.saturating_duration_since(Instant::now())).unwrap_or(ClockTime::ZERO);
            let message = bus::next(&self.bus, left, &[gst::MessageType::Eos, gst::MessageType::Error]);
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Eos(_)) => return Ok(()),
                Some(gst::MessageView::Error(error)) => {
                    bail!("cannot write {}: {}", self.path.display(), error.error().message().trim_end_matches('.'))
                }
                Some(_) => {}
                None => bail!("{} was not closed within {patience:?}; it is playable up to its last half second", self.path.display()),
            }
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // Nothing is left to be told where even stopping fails.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;

    /// A grey frame at a time in milliseconds.
    fn sample(shade: u8, time: u64) -> gst::Sample {
        let info = VideoInfo::builder(gst_video::VideoFormat::I420, 160, 120).fps(gst::Fraction::new(15, 1)).build().unwrap();
        let mut buffer = gst::Buffer::from_mut_slice(vec![shade; info.size()]);
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(ClockTime::from_mseconds(time));
        writable.set_duration(ClockTime::from_mseconds(67));
        gst::Sample::builder().caps(&info.to_caps().unwrap()).buffer(&buffer).build()
    }

    #[test]
    fn one_file_has_the_inputs_name_and_a_second_one_a_number() {
        let mut files = Files::new(Path::new("out"), "cam", None);
        assert_eq!(files.take(), Path::new("out/cam.annotated.mp4"));
        assert_eq!(files.take(), Path::new("out/cam.0001.annotated.mp4"));
    }

    #[test]
    fn frames_that_come_irregularly_are_all_played() {
        gst::init().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(Files::new(dir.path(), "cam", None));
        let times = [0, 67, 133, 200, 267, 1334, 1400, 1401, 1467, 1900, 1967, 2500];
        for (number, time) in (0..).zip(times) {
            recorder.frame(sample(number * 20, time)).unwrap();
        }
        recorder.finish().unwrap();
        let video = dir.path().join("cam.annotated.mp4");
        let played =
            gst::parse::launch(&format!("filesrc location={} ! decodebin ! appsink name=out sync=false", video.display())).unwrap();
        let out = played.downcast_ref::<gst::Bin>().unwrap().by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
        played.set_state(gst::State::Playing).unwrap();
        let mut frames = 0;
        while out.try_pull_sample(ClockTime::from_seconds(20)).is_some() {
            frames += 1;
        }
        played.set_state(gst::State::Null).unwrap();
        assert_eq!(frames, times.len());
    }

    #[test]
    fn a_frame_does_not_wait_for_an_encoder_behind_which_writing_has_failed() {
        gst::init().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::new(Files::new(dir.path(), "cam", None));
        recorder.frame(sample(0, 0)).unwrap();
        let (pipeline, src) = recorder.lock().open.as_ref().map(|file| (file.pipeline.clone(), file.src.clone())).unwrap();
        let (stop, stopped) = bounded(1);
        src.static_pad("src").unwrap().add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, move |_, _| {
            // Told once: that frame is held, and none comes behind it.
            let _ = stop.try_send(());
            gst::PadProbeReturn::Ok
        });
        let mut times = (1..).map(|number| 67 * number);
        let mut next = move || sample(0, times.next().unwrap());
        recorder.frame(next()).unwrap();
        stopped.recv_timeout(LAST_FRAMES).expect("a frame is held, so that nothing more is taken");
        while src.current_level_buffers() < WAITING {
            recorder.frame(next()).unwrap();
        }
        gst::element_error!(pipeline, gst::ResourceError::NoSpaceLeft, ("the disk is full"));
        let (tell, told) = bounded(1);
        std::thread::Builder::new().spawn(move || tell.send(recorder.frame(next())).unwrap()).unwrap();
        let failure = told.recv_timeout(LAST_FRAMES).expect("it does not wait").unwrap_err().to_string();
        assert!(failure.contains("cannot write") && failure.contains("the disk is full"), "{failure}");
    }

    #[test]
    fn segments_go_on_behind_those_of_an_earlier_run() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["cam.0000.annotated.mp4", "cam.0007.annotated.mp4", "cam.annotated.mp4", "cam-2.0009.annotated.mp4"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let segment = Some(Duration::from_mins(10));
        assert_eq!(Files::new(dir.path(), "cam", segment).take(), dir.path().join("cam.0008.annotated.mp4"));
        assert_eq!(Files::new(dir.path(), "new", segment).take(), dir.path().join("new.0000.annotated.mp4"));
    }
}
