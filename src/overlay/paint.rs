//! One colour into one area of a frame of any format, weighted by coverage.

use std::ops::Range;

use crate::frame::{Colorimetry, FrameMut, PixelFormat};

/// An area in pixels; it may pass the frame's edge, what is outside is not painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

impl Area {
    pub(super) const fn width(&self) -> i32 {
        self.right - self.left
    }

    pub(super) const fn height(&self) -> i32 {
        self.bottom - self.top
    }

    /// `by` pixels smaller on each side; larger where `by` is negative.
    pub(super) const fn inset(&self, by: i32) -> Self {
        Self { left: self.left + by, top: self.top + by, right: self.right - by, bottom: self.bottom - by }
    }

    /// The part inside `other`.
    pub(super) fn within(&self, other: &Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// Pixels that both have.
    pub(super) fn shared(&self, other: &Self) -> i32 {
        let both = self.within(other);
        both.width().max(0) * both.height().max(0)
    }
}

/// Paints `area` in `rgb`. `coverage` says per pixel how much, 0..=255; it is asked for pixels of the area alone.
pub(super) fn paint(frame: &mut FrameMut<'_>, area: &Area, rgb: [u8; 3], coverage: impl Fn(i32, i32) -> u8) {
    let (columns, rows) = (clip(area.left, area.right, frame.width()), clip(area.top, area.bottom, frame.height()));
    if columns.is_empty() || rows.is_empty() {
        return;
    }
    let [r, g, b] = rgb;
    match frame.format() {
        PixelFormat::I420 | PixelFormat::Nv12 => planar(frame, &columns, &rows, rgb, coverage),
        PixelFormat::Rgb => packed(frame, &columns, &rows, [r, g, b], coverage),
        PixelFormat::Bgr => packed(frame, &columns, &rows, [b, g, r], coverage),
        PixelFormat::Rgba | PixelFormat::Rgbx => packed(frame, &columns, &rows, [r, g, b, 255], coverage),
        PixelFormat::Bgra | PixelFormat::Bgrx => packed(frame, &columns, &rows, [b, g, r, 255], coverage),
        PixelFormat::Argb | PixelFormat::Xrgb => packed(frame, &columns, &rows, [255, r, g, b], coverage),
        PixelFormat::Abgr | PixelFormat::Xbgr => packed(frame, &columns, &rows, [255, b, g, r], coverage),
    }
}

fn packed<const N: usize>(
    frame: &mut FrameMut<'_>,
    columns: &Range<i32>,
    rows: &Range<i32>,
    ink: [u8; N],
    coverage: impl Fn(i32, i32) -> u8,
) {
    for y in rows.clone() {
        let pixels = frame.row_mut(0, index(y)).as_chunks_mut::<N>().0;
        for (x, pixel) in columns.clone().zip(&mut pixels[index(columns.start)..]) {
            let part = coverage(x, y);
            for (old, new) in pixel.iter_mut().zip(ink) {
                *old = blend(*old, new, part.into());
            }
        }
    }
}

/// A chroma sample is painted by the mean coverage of the pixels it stands for.
fn planar(frame: &mut FrameMut<'_>, columns: &Range<i32>, rows: &Range<i32>, rgb: [u8; 3], coverage: impl Fn(i32, i32) -> u8) {
    let [luma, u, v] = to_yuv(rgb, frame.colorimetry());
    for y in rows.clone() {
        let pixels = &mut frame.row_mut(0, index(y))[index(columns.start)..];
        for (x, pixel) in columns.clone().zip(pixels) {
            *pixel = blend(*pixel, luma, coverage(x, y).into());
        }
    }
    let interleaved = frame.format() == PixelFormat::Nv12;
    let (last_column, last_row) = (side(frame.width()) - 1, side(frame.height()) - 1);
    for row in rows.start / 2..=(rows.end - 1) / 2 {
        for column in columns.start / 2..=(columns.end - 1) / 2 {
            let (mut sum, mut pixels) = (0_u32, 0);
            for (x, y) in [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(x, y)| (2 * column + x, 2 * row + y)) {
                pixels += u32::from(x <= last_column && y <= last_row);
                if columns.contains(&x) && rows.contains(&y) {
                    sum += u32::from(coverage(x, y));
                }
            }
            let part = sum / pixels;
            let (row, column) = (index(row), index(column));
            let places = if interleaved { [(1, 2 * column), (1, 2 * column + 1)] } else { [(1, column), (2, column)] };
            for ((plane, at), new) in places.into_iter().zip([u, v]) {
                let old = &mut frame.row_mut(plane, row)[at];
                *old = blend(*old, new, part);
            }
        }
    }
}

fn blend(old: u8, new: u8, part: u32) -> u8 {
    let mixed = (u32::from(old) * (255 - part) + u32::from(new) * part + 127) / 255;
    #[expect(clippy::cast_possible_truncation, reason = "a mean of two levels")]
    let level = mixed as u8;
    level
}

/// R′G′B′ to Y′CbCr, the inverse of what [`crate::frame`] reads.
fn to_yuv(rgb: [u8; 3], colorimetry: Colorimetry) -> [u8; 3] {
    let (kr, kb) = colorimetry.matrix.kr_kb();
    let [r, g, b] = rgb.map(|level| f64::from(level) / 255.0);
    let luma = kr * r + (1.0 - kr - kb) * g + kb * b;
    let (cb, cr) = ((b - luma) / (2.0 * (1.0 - kb)), (r - luma) / (2.0 * (1.0 - kr)));
    let levels = if colorimetry.full_range {
        [255.0 * luma, 128.0 + 255.0 * cb, 128.0 + 255.0 * cr]
    } else {
        [16.0 + 219.0 * luma, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr]
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
    levels.map(|level| level.round().clamp(0.0, 255.0) as u8)
}

fn clip(start: i32, end: i32, limit: u32) -> Range<i32> {
    start.max(0)..end.min(side(limit))
}

/// A side of a frame as a signed number; frames of 2³¹ pixels a side do not fit into memory.
pub(super) fn side(pixels: u32) -> i32 {
    i32::try_from(pixels).unwrap_or(i32::MAX)
}

#[expect(clippy::cast_sign_loss, reason = "positions inside the frame, so not negative")]
const fn index(position: i32) -> usize {
    position as usize
}
