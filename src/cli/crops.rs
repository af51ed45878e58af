//! Crops of what was OOD, cut from the frames as they came in, before anything is drawn on them.

use std::{
    collections::VecDeque,
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, anyhow};
use gst_video::{VideoConverter, VideoFormat, VideoFrame, VideoFrameExt, VideoInfo};
use image::codecs::jpeg::JpegEncoder;
use uniood::{
    frame::{Colorimetry, Frame, Matrix, PixelFormat, Plane},
    geometry::{BBox, Rect},
    report::{FrameReport, ObjectReport},
};

const JPEG_QUALITY: u8 = 92;

/// Frames that went into the element and have no verdicts yet, in order, and where their crops go.
///
/// As many frames wait here as the element holds in flight; they are the same buffers, not copies.
pub(crate) struct Crops {
    dir: PathBuf,
    most: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(gst::Buffer, VideoInfo)>,
    converter: Option<Converter>,
    written: u64,
    left_out: u64,
}

/// To packed RGB, for frames of one kind.
struct Converter {
    from: VideoInfo,
    to: VideoInfo,
    convert: VideoConverter,
}

impl Crops {
    /// At most `most` crops into `dir`, which is made when the first one comes.
    pub(crate) fn new(dir: PathBuf, most: u64) -> Self {
        Self { dir, most, state: Mutex::default() }
    }

    /// A frame goes into the element.
    pub(crate) fn frame_in(&self, buffer: gst::Buffer, info: VideoInfo) {
        self.lock().waiting.push_back((buffer, info));
    }

    /// Frames that wait for their verdicts.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// The verdicts of the oldest frame that waits.
    pub(crate) fn verdicts(&self, report: &FrameReport<'_>) -> Result<()> {
        let mut state = self.lock();
        let Some((buffer, info)) = state.waiting.pop_front() else { return Ok(()) };
        let ood: Vec<&ObjectReport<'_>> = report.objects.iter().filter(|object| object.ood.label == "ood").collect();
        let room = usize::try_from(self.most.saturating_sub(state.written)).unwrap_or(usize::MAX);
        state.left_out += ood.len().saturating_sub(room) as u64;
        if ood.is_empty() || room == 0 {
            return Ok(());
        }
        let mut converter = state.converter.take().filter(|converter| converter.from == info).map_or_else(|| Converter::new(info), Ok)?;
        drop(state);
        let written = self.write(&mut converter, buffer, report.frame_id, &ood[..ood.len().min(room)]);
        let mut state = self.lock();
        state.converter = Some(converter);
        state.written += written?;
        Ok(())
    }

    /// Crops written and crops left out.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        (state.written, state.left_out)
    }

    fn write(&self, converter: &mut Converter, buffer: gst::Buffer, frame_id: u64, objects: &[&ObjectReport<'_>]) -> Result<u64> {
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot create {}", self.dir.display()))?;
        let rgb = converter.rgb(buffer)?;
        let data = rgb.plane_data(0)?;
        let stride = usize::try_from(rgb.plane_stride()[0])?;
        let colorimetry = Colorimetry { matrix: Matrix::Bt601, full_range: true };
        let frame = Frame::new(rgb.width(), rgb.height(), PixelFormat::Rgb, colorimetry, vec![Plane { data, stride }])?;
        for object in objects {
            #[expect(clippy::cast_precision_loss, reason = "frames are far below 2^24 pixels a side")]
            let [x, y, w, h] = [object.x, object.y, object.w, object.h].map(|pixels| pixels as f32);
            let rect = Rect::cover(&BBox { x, y, w, h }, frame.width(), frame.height());
            let picture = frame.crop(rect.ok_or_else(|| anyhow!("frame {frame_id}: an object lies outside its frame"))?)?;
            let path = self.dir.join(format!("{frame_id:08}-{:02}.jpg", object.region_id));
            let mut jpeg = Vec::new();
            JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY).encode(
                &picture.rgb,
                picture.width,
                picture.height,
                image::ExtendedColorType::Rgb8,
            )?;
            fs::write(&path, jpeg).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(objects.len() as u64)
    }

    /// What it guards is whole after every statement.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Converter {
    fn new(from: VideoInfo) -> Result<Self> {
        let to = VideoInfo::builder(VideoFormat::Rgb, from.width(), from.height()).fps(from.fps()).build()?;
        let convert = VideoConverter::new(&from, &to, None)?;
        Ok(Self { from, to, convert })
    }

    fn rgb(&mut self, buffer: gst::Buffer) -> Result<VideoFrame<gst_video::video_frame::Writable>> {
        let from = VideoFrame::from_buffer_readable(buffer, &self.from).map_err(|_| anyhow!("a frame cannot be read"))?;
        let to = gst::Buffer::with_size(self.to.size())?;
        let mut to = VideoFrame::from_buffer_writable(to, &self.to).map_err(|_| anyhow!("a frame cannot be written"))?;
        self.convert.frame(&from, &mut to);
        Ok(to)
    }
}
