//! Frames of a video file, decoded as they are asked for: the pixels that the element sees.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use gst::prelude::*;
use gst_app::AppSink;
use gst_video::{VideoCapsBuilder, VideoColorMatrix, VideoColorRange, VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};
use uniood::{
    Error,
    data::{FrameAt, FrameReader},
    frame::{Colorimetry, Frame, Matrix, Picture, PixelFormat, Plane},
    geometry::Rect,
};

use crate::{connection, inputs::Input, signals::interrupted};

/// A video without a frame for this long is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the pipeline is asked whether it failed.
const GLANCE: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// Two times that are closer are one frame's: lines and containers round differently.
const SAME: u64 = 1_000_000;

/// A video file. It goes forwards; a frame before the last one starts it anew.
pub(crate) struct VideoFile {
    path: PathBuf,
    state: Mutex<State>,
}

enum State {
    Idle,
    Playing(Playing),
    /// It is not tried again for every frame.
    Failed(String),
}

/// A pipeline under way.
struct Playing {
    pipeline: gst::Pipeline,
    sink: AppSink,
    /// Frames that were taken.
    taken: u64,
    /// The last of them.
    last: Option<Taken>,
}

/// A decoded frame.
struct Taken {
    number: u64,
    time: Option<u64>,
    sample: gst::Sample,
}

/// Where a frame stands to one that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    There,
    Behind,
}

impl VideoFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), state: Mutex::new(State::Idle) }
    }

    fn sentence(&self, problem: impl Into<String>) -> Error {
        Error::content(&self.path, problem)
    }
}

impl FrameReader for VideoFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self, at: FrameAt) -> uniood::Result<Picture> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Idle) {
            State::Failed(problem) => *state = State::Failed(problem),
            State::Playing(playing) if !playing.is_behind(at) => *state = State::Playing(playing),
            _ => *state = Playing::start(&self.path).map_or_else(|error| State::Failed(format!("{error:#}")), State::Playing),
        }
        let found = match &mut *state {
            State::Playing(playing) => playing.find(at),
            State::Failed(problem) => return Err(self.sentence(problem.clone())),
            State::Idle => Ok(None),
        };
        match found {
            Ok(Some(picture)) => Ok(picture),
            Ok(None) => Err(self.sentence(match at.time {
                #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
                Some(time) => format!("it has no frame at {:.3} s; give the video that the JSON lines were made of", time as f64 / 1e9),
                None => format!("it has no frame {}; give the video that the JSON lines were made of", at.number),
            })),
            Err(error) if matches!(error.downcast_ref(), Some(Error::Interrupted)) => Err(Error::Interrupted),
            Err(error) => {
                let problem = format!("{error:#}");
                *state = State::Failed(problem.clone());
                Err(self.sentence(problem))
            }
        }
    }
}

impl fmt::Debug for VideoFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VideoFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The first frames of a video file: so many, or as many as so many bytes hold.
///
/// # Errors
/// Where it cannot be decoded, and behind Ctrl-C.
pub(crate) fn first(path: &Path, frames: usize, bytes: usize) -> anyhow::Result<Vec<Picture>> {
    let decode = || -> anyhow::Result<Vec<Picture>> {
        let mut playing = Playing::start(path)?;
        let (mut pictures, mut held) = (Vec::new(), 0);
        while pictures.len() < frames && held < bytes && playing.next()? {
            if let Some(taken) = &playing.last {
                let picture = picture(&taken.sample)?;
                held += picture.rgb.len();
                pictures.push(picture);
            }
        }
        Ok(pictures)
    };
    decode().with_context(|| path.display().to_string())
}

impl Taken {
    fn place(&self, at: FrameAt) -> Place {
        let (own, wanted, slack) = match (self.time, at.time) {
            (Some(own), Some(wanted)) => (own, wanted, SAME),
            _ => (self.number, at.number, 0),
        };
        if own.abs_diff(wanted) <= slack {
            Place::There
        } else if own < wanted {
            Place::Before
        } else {
            Place::Behind
        }
    }
}

impl Playing {
    fn start(path: &Path) -> anyhow::Result<Self> {
        gst::init().context("GStreamer does not start")?;
        // The element's own way from planes to RGB is taken as far as it goes, so that pixels are the same.
        let caps = VideoCapsBuilder::new().format_list([VideoFormat::I420, VideoFormat::Nv12, VideoFormat::Rgb, VideoFormat::Bgr]).build();
        let sink = AppSink::builder().caps(&caps).sync(false).max_buffers(2).build();
        let (pipeline, convert) = (gst::Pipeline::new(), gst::ElementFactory::make("videoconvert").build()?);
        pipeline.add_many([&convert, sink.upcast_ref()])?;
        convert.link(&sink)?;
        // Made first, so that the pipeline is taken down whatever happens.
        let playing = Self { pipeline, sink, taken: 0, last: None };
        connection::source(&Input::File(path.to_owned()), &playing.pipeline, &convert)?;
        playing.pipeline.set_state(gst::State::Playing).map_err(|_| playing.failure().unwrap_or_else(|| anyhow!("it cannot be played")))?;
        Ok(playing)
    }

    /// Whether it is past a frame.
    fn is_behind(&self, at: FrameAt) -> bool {
        self.last.as_ref().is_some_and(|last| last.place(at) == Place::Behind)
    }

    /// Decodes up to a frame; `None` where there is none.
    fn find(&mut self, at: FrameAt) -> anyhow::Result<Option<Picture>> {
        loop {
            match self.last.as_ref().map(|last| (last, last.place(at))) {
                Some((last, Place::There)) => return picture(&last.sample).map(Some),
                Some((_, Place::Behind)) => return Ok(None),
                Some((_, Place::Before)) | None => {
                    if !self.next()? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Decodes one more frame; whether there is one.
    fn next(&mut self) -> anyhow::Result<bool> {
        let started = Instant::now();
        let sample = loop {
            interrupted()?;
            if let Some(sample) = self.sink.try_pull_sample(GLANCE) {
                break sample;
            }
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            if self.sink.is_eos() {
                return Ok(false);
            }
            if started.elapsed() > PATIENCE {
                return Err(anyhow!("no frame came for {} s; check the file with `uniood run`", PATIENCE.as_secs()));
            }
        };
        let time = sample.buffer().and_then(gst::BufferRef::pts).map(gst::ClockTime::nseconds);
        self.last = Some(Taken { number: self.taken, time, sample });
        self.taken += 1;
        Ok(true)
    }

    /// What the pipeline says went wrong.
    fn failure(&self) -> Option<anyhow::Error> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(anyhow!("{}", error.error())),
            _ => None,
        }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        // A pipeline that does not go down cannot be helped, and nothing waits for it.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn picture(sample: &gst::Sample) -> anyhow::Result<Picture> {
    let (buffer, caps) = (sample.buffer().context("a frame has no pixels")?, sample.caps().context("a frame has no form")?);
    let info = VideoInfo::from_caps(caps).context("a frame's form is not known")?;
    let mapped = VideoFrameRef::from_buffer_ref_readable(buffer, &info).map_err(|_| anyhow!("a frame cannot be read"))?;
    let format = match info.format() {
        VideoFormat::I420 => PixelFormat::I420,
        VideoFormat::Nv12 => PixelFormat::Nv12,
        VideoFormat::Bgr => PixelFormat::Bgr,
        _ => PixelFormat::Rgb,
    };
    let mut planes = Vec::with_capacity(3);
    for (index, stride) in (0..mapped.n_planes()).zip(mapped.plane_stride()) {
        planes.push(Plane { data: mapped.plane_data(index)?, stride: usize::try_from(*stride).context("a frame lies upside down")? });
    }
    let frame = Frame::new(info.width(), info.height(), format, colorimetry(&info), planes)?;
    let whole = Rect::whole(frame.width(), frame.height()).context("a frame is empty")?;
    Ok(frame.crop(whole)?)
}

/// The library's colorimetry, as the element takes it.
fn colorimetry(info: &VideoInfo) -> Colorimetry {
    let colorimetry = info.colorimetry();
    let matrix = match colorimetry.matrix() {
        VideoColorMatrix::Bt709 | VideoColorMatrix::Smpte240m => Matrix::Bt709,
        VideoColorMatrix::Bt2020 => Matrix::Bt2020,
        _ => Matrix::Bt601,
    };
    Colorimetry { matrix, full_range: colorimetry.range() == VideoColorRange::Range0_255 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_by_its_time_and_without_one_by_its_number() {
        gst::init().unwrap();
        let taken = |number, time| Taken { number, time, sample: gst::Sample::builder().build() };
        let at = |number, time| FrameAt { number, time, size: (1, 1) };
        for (own, wanted, place) in [
            ((7, Some(40_000_000)), (0, Some(40_000_300)), Place::There),
            ((7, Some(40_000_000)), (7, Some(80_000_000)), Place::Before),
            ((7, Some(80_000_000)), (7, Some(40_000_000)), Place::Behind),
            ((7, None), (7, Some(1)), Place::There),
            ((7, Some(1)), (8, None), Place::Before),
            ((7, None), (6, None), Place::Behind),
        ] {
            assert_eq!(taken(own.0, own.1).place(at(wanted.0, wanted.1)), place, "{own:?} {wanted:?}");
        }
    }
}
