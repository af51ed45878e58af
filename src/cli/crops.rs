//! Crops of what was OOD, cut from the frames as they came in, before anything is drawn on them.

use std::{
    collections::VecDeque,
    fs,
    path::PathBuf,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
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

/// Frames may wait for their verdicts up to this size: twice what the element holds in flight, so that what is above it waits for the disk.
const BYTES: usize = 512 << 20;

/// Frames that went into the element and have no verdicts yet, in order, and where their crops go.
///
/// They are the same buffers as in the element, not copies. What it holds in flight waits here, and the frames whose lines wait for a disk that does not
/// keep up; beyond [`BYTES`] no further frame goes in.
pub(crate) struct Crops {
    dir: PathBuf,
    most: u64,
    bytes: usize,
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(gst::Buffer, VideoInfo)>,
    /// Of all that wait.
    bytes: usize,
    /// No verdicts come any more, and nobody waits for them.
    ended: bool,
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
        Self { dir, most, bytes: BYTES, state: Mutex::default(), room: Condvar::new() }
    }

    /// A frame goes into the element, as soon as there is room for it.
    pub(crate) fn frame_in(&self, buffer: gst::Buffer, info: VideoInfo) {
        let size = buffer.size();
        let is_full = |state: &mut State| !state.ended && !state.waiting.is_empty() && state.bytes + size > self.bytes;
        let mut state = self.room.wait_while(self.lock(), is_full).unwrap_or_else(PoisonError::into_inner);
        if !state.ended {
            state.bytes += size;
            state.waiting.push_back((buffer, info));
        }
    }

    /// No verdicts come any more: whoever waits for room waits no longer.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.bytes = 0;
        state.waiting.clear();
        drop(state);
        self.room.notify_all();
    }

    /// Frames that wait for their verdicts.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// The verdicts of the oldest frame that waits.
    pub(crate) fn verdicts(&self, report: &FrameReport<'_>) -> Result<()> {
        let mut state = self.lock();
        let Some((buffer, info)) = state.waiting.pop_front() else { return Ok(()) };
        state.bytes -= buffer.size();
        self.room.notify_all();
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
    fn lock(&self) -> MutexGuard<'_, State> {
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

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, mpsc::sync_channel},
        thread,
        time::Duration,
    };

    use uniood::{engine::Answer, report::FrameHeader};

    use super::*;

    fn frame() -> (gst::Buffer, VideoInfo) {
        gst::init().unwrap();
        let info = VideoInfo::builder(VideoFormat::Rgb, 8, 8).build().unwrap();
        (gst::Buffer::with_size(info.size()).unwrap(), info)
    }

    fn verdicts(crops: &Crops) {
        let header = FrameHeader { stream_id: "", frame_id: 0, timestamp: None, resolution: (8, 8), source: None, model: "", run: None };
        crops.verdicts(&FrameReport::new(&header, &Answer::default())).unwrap();
    }

    /// Room for two frames, taken, and a third that waits: what is sent comes behind its entry.
    fn full() -> (Arc<Crops>, std::sync::mpsc::Receiver<()>) {
        let (buffer, info) = frame();
        let crops = Arc::new(Crops { bytes: 2 * buffer.size(), ..Crops::new(PathBuf::new(), 1) });
        for _ in 0..2 {
            crops.frame_in(buffer.clone(), info.clone());
        }
        let (entered, entry) = sync_channel(1);
        let waits = Arc::clone(&crops);
        let wait = move || {
            waits.frame_in(buffer, info);
            entered.send(()).unwrap();
        };
        thread::Builder::new().name("waits".to_owned()).spawn(wait).unwrap();
        (crops, entry)
    }

    #[test]
    fn a_frame_goes_in_when_a_verdict_has_made_room() {
        let (crops, entry) = full();
        assert_eq!((crops.waiting(), entry.try_recv().is_err()), (2, true));
        verdicts(&crops);
        entry.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(crops.waiting(), 2);
    }

    #[test]
    fn nobody_waits_behind_the_end() {
        let (crops, entry) = full();
        crops.end();
        entry.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(crops.waiting(), 0);
    }

    #[test]
    fn a_frame_larger_than_all_room_goes_in_alone() {
        let (buffer, info) = frame();
        let crops = Crops { bytes: 1, ..Crops::new(PathBuf::new(), 1) };
        crops.frame_in(buffer, info);
        assert_eq!(crops.waiting(), 1);
    }
}
