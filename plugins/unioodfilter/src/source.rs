//! A mapped GStreamer buffer as the library's frame: any stride, any plane offset, no copy.

use std::sync::Arc;

use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoFrame, VideoInfo, prelude::*, video_frame::Readable};
use uniood::{
    Error, Result,
    frame::{Colorimetry, Frame, FrameSource, Matrix, PixelFormat, Plane},
};

use crate::layout::mapped;

/// What goes in and comes out unchanged.
pub(crate) const FORMATS: [VideoFormat; 12] = [
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
];

/// A frame that worker threads read; the buffer is theirs until it is dropped.
pub(crate) struct VideoSource {
    frame: VideoFrame<Readable>,
    format: PixelFormat,
    /// Its other owners count the frames that the engine holds.
    _counted: Arc<()>,
}

impl VideoSource {
    /// Maps a buffer. `counted` is held as long as the mapping is.
    ///
    /// # Errors
    /// [`Error::Frame`] where the buffer does not hold what its caps say.
    pub(crate) fn new(buffer: gst::Buffer, info: &VideoInfo, counted: Arc<()>) -> Result<Self> {
        let format = pixel_format(info.format())
            .ok_or_else(|| Error::Frame(format!("format {} is not supported; put a videoconvert in front", info.format())))?;
        let size = buffer.size();
        let frame = mapped(buffer, info).ok_or_else(|| {
            Error::Frame(format!(
                "a buffer of {size} bytes does not hold a {}×{} {} picture; the element in front should send whole frames",
                info.width(),
                info.height(),
                info.format()
            ))
        })?;
        let source = Self { frame, format, _counted: counted };
        source.borrowed()?;
        Ok(source)
    }

    fn borrowed(&self) -> Result<Frame<'_>> {
        let mut planes = Vec::with_capacity(3);
        for (index, stride) in (0..self.frame.n_planes()).zip(self.frame.plane_stride()) {
            let data = self.frame.plane_data(index).map_err(|error| Error::Frame(error.to_string()))?;
            let stride =
                usize::try_from(*stride).map_err(|_| Error::Frame(format!("plane {index} has stride {stride}; wanted one above 0")))?;
            planes.push(Plane { data, stride });
        }
        Frame::new(self.frame.width(), self.frame.height(), self.format, colorimetry(self.frame.info()), planes)
    }
}

impl FrameSource for VideoSource {
    fn frame(&self) -> Frame<'_> {
        self.borrowed().expect("made once in `new`, and a mapping does not change")
    }
}

/// The library's name for a format.
pub(crate) const fn pixel_format(format: VideoFormat) -> Option<PixelFormat> {
    Some(match format {
        VideoFormat::I420 => PixelFormat::I420,
        VideoFormat::Nv12 => PixelFormat::Nv12,
        VideoFormat::Rgb => PixelFormat::Rgb,
        VideoFormat::Bgr => PixelFormat::Bgr,
        VideoFormat::Rgba => PixelFormat::Rgba,
        VideoFormat::Bgra => PixelFormat::Bgra,
        VideoFormat::Argb => PixelFormat::Argb,
        VideoFormat::Abgr => PixelFormat::Abgr,
        VideoFormat::Rgbx => PixelFormat::Rgbx,
        VideoFormat::Bgrx => PixelFormat::Bgrx,
        VideoFormat::Xrgb => PixelFormat::Xrgb,
        VideoFormat::Xbgr => PixelFormat::Xbgr,
        _ => return None,
    })
}

/// The library's colorimetry. FCC's coefficients are BT.601's within 0.001, SMPTE 240M's are BT.709's within 0.002.
pub(crate) fn colorimetry(info: &VideoInfo) -> Colorimetry {
    let colorimetry = info.colorimetry();
    let matrix = match colorimetry.matrix() {
        VideoColorMatrix::Bt709 | VideoColorMatrix::Smpte240m => Matrix::Bt709,
        VideoColorMatrix::Bt2020 => Matrix::Bt2020,
        _ => Matrix::Bt601,
    };
    Colorimetry { matrix, full_range: colorimetry.range() == VideoColorRange::Range0_255 }
}
