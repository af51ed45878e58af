//! A picture as it lies in memory: borrowed planes, any stride, the pixel formats of the element.

mod mutable;
mod rgb;

pub use mutable::{FrameMut, PlaneMut};

use crate::{Error, Result};

/// Pixel formats that go in and come out unchanged; the names are GStreamer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are GStreamer's")]
pub enum PixelFormat {
    I420,
    Nv12,
    Rgb,
    Bgr,
    Rgba,
    Bgra,
    Argb,
    Abgr,
    Rgbx,
    Bgrx,
    Xrgb,
    Xbgr,
}

/// How luma and chroma become RGB. RGB formats carry it too and ignore it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Colorimetry {
    /// The matrix.
    pub matrix: Matrix,
    /// `true` for 0..=255, `false` for 16..=235 (chroma 16..=240).
    pub full_range: bool,
}

/// Luma coefficients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the standards'")]
pub enum Matrix {
    Bt601,
    Bt709,
    Bt2020,
}

/// One plane of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a> {
    /// Bytes from the first row on; at least `stride·(rows−1) + row bytes`.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A borrowed frame. Planes: 1 for packed RGB formats, 2 for NV12 (Y, UV), 3 for I420 (Y, U, V).
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    width: u32,
    height: u32,
    format: PixelFormat,
    colorimetry: Colorimetry,
    planes: Vec<Plane<'a>>,
}

/// What owns a frame's memory while worker threads read it.
pub trait FrameSource: Send + Sync {
    /// The picture, borrowed.
    fn frame(&self) -> Frame<'_>;
}

impl Colorimetry {
    /// What pictures carry that are RGB already.
    pub const RGB: Self = Self { matrix: Matrix::Bt601, full_range: true };
}

impl PixelFormat {
    /// Bytes per pixel of a packed format; `None` for the planar ones.
    #[must_use]
    pub const fn packed_bytes(self) -> Option<usize> {
        match self {
            Self::I420 | Self::Nv12 => None,
            Self::Rgb | Self::Bgr => Some(3),
            _ => Some(4),
        }
    }

    /// Bytes of a row and number of rows, plane by plane, at `width`×`height`.
    #[must_use]
    pub fn plane_sizes(self, width: u32, height: u32) -> Vec<(usize, usize)> {
        let (w, h) = (width as usize, height as usize);
        match self {
            Self::I420 => vec![(w, h), (w.div_ceil(2), h.div_ceil(2)), (w.div_ceil(2), h.div_ceil(2))],
            Self::Nv12 => vec![(w, h), (w.div_ceil(2) * 2, h.div_ceil(2))],
            Self::Rgb | Self::Bgr => vec![(w * 3, h)],
            _ => vec![(w * 4, h)],
        }
    }
}

impl<'a> Frame<'a> {
    /// A frame over borrowed planes.
    ///
    /// # Errors
    /// [`Error::Frame`] where a side is 0, planes are missing, or a plane is too short for its stride.
    pub fn new(width: u32, height: u32, format: PixelFormat, colorimetry: Colorimetry, planes: Vec<Plane<'a>>) -> Result<Self> {
        check_planes(width, height, format, planes.iter().map(|plane| (plane.stride, plane.data.len())))?;
        Ok(Self { width, height, format, colorimetry, planes })
    }

    /// A tightly packed RGB picture.
    ///
    /// # Errors
    /// [`Error::Frame`] where `data` is shorter than `3·width·height`.
    pub fn rgb(width: u32, height: u32, data: &'a [u8]) -> Result<Self> {
        let plane = Plane { data, stride: width as usize * 3 };
        Self::new(width, height, PixelFormat::Rgb, Colorimetry::RGB, vec![plane])
    }

    /// Width in pixels, at least 1.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The pixel format.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// The colorimetry.
    #[must_use]
    pub const fn colorimetry(&self) -> Colorimetry {
        self.colorimetry
    }

    /// The planes, in the format's order.
    #[must_use]
    pub fn planes(&self) -> &[Plane<'a>] {
        &self.planes
    }
}

/// That `planes`, (stride, bytes) each, can hold such a frame.
fn check_planes(width: u32, height: u32, format: PixelFormat, planes: impl ExactSizeIterator<Item = (usize, usize)>) -> Result<()> {
    let wanted = format.plane_sizes(width, height);
    if width == 0 || height == 0 || planes.len() != wanted.len() {
        return Err(Error::Frame(format!(
            "{width}×{height} {format:?} with {} plane(s); wanted a size above 0 and {} plane(s)",
            planes.len(),
            wanted.len()
        )));
    }
    for (index, ((stride, bytes), (row, rows))) in planes.zip(wanted).enumerate() {
        let need = stride.checked_mul(rows - 1).and_then(|before| before.checked_add(row));
        if stride < row || need.is_none_or(|need| bytes < need) {
            return Err(Error::Frame(format!(
                "plane {index} of a {width}×{height} {format:?} frame has stride {stride} and {bytes} bytes; wanted rows of {row} bytes, {rows} of them"
            )));
        }
    }
    Ok(())
}

/// A tightly packed RGB picture that owns its pixels: what a picture file becomes.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `3·width·height` bytes, RGB, row by row.
    pub rgb: Vec<u8>,
}

impl FrameSource for Picture {
    fn frame(&self) -> Frame<'_> {
        Frame::rgb(self.width, self.height, &self.rgb).expect("a picture holds 3·width·height bytes")
    }
}
