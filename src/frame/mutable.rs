//! A frame that may be drawn into.

use super::{Colorimetry, Frame, PixelFormat, Plane};
use crate::{Result, frame::check_planes};

/// One writable plane of a frame.
#[derive(Debug)]
pub struct PlaneMut<'a> {
    /// Bytes from the first row on; at least `stride·(rows−1) + row bytes`.
    pub data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A borrowed, writable frame; planes as in [`Frame`].
#[derive(Debug)]
pub struct FrameMut<'a> {
    width: u32,
    height: u32,
    format: PixelFormat,
    colorimetry: Colorimetry,
    planes: Vec<PlaneMut<'a>>,
}

impl<'a> FrameMut<'a> {
    /// A frame over borrowed planes.
    ///
    /// # Errors
    /// As [`Frame::new`].
    pub fn new(width: u32, height: u32, format: PixelFormat, colorimetry: Colorimetry, planes: Vec<PlaneMut<'a>>) -> Result<Self> {
        check_planes(width, height, format, planes.iter().map(|plane| (plane.stride, plane.data.len())))?;
        Ok(Self { width, height, format, colorimetry, planes })
    }

    /// A tightly packed RGB picture.
    ///
    /// # Errors
    /// [`crate::Error::Frame`] where `data` is shorter than `3·width·height`.
    pub fn rgb(width: u32, height: u32, data: &'a mut [u8]) -> Result<Self> {
        let plane = PlaneMut { data, stride: width as usize * 3 };
        Self::new(width, height, PixelFormat::Rgb, Colorimetry::RGB, vec![plane])
    }

    /// The same frame, to be read.
    #[must_use]
    pub fn as_frame(&self) -> Frame<'_> {
        let planes = self.planes.iter().map(|plane| Plane { data: plane.data, stride: plane.stride }).collect();
        Frame { width: self.width, height: self.height, format: self.format, colorimetry: self.colorimetry, planes }
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

    /// Row `y` of plane `plane`, and whatever lies behind it.
    pub(crate) fn row_mut(&mut self, plane: usize, y: usize) -> &mut [u8] {
        let plane = &mut self.planes[plane];
        &mut plane.data[plane.stride * y..]
    }
}
