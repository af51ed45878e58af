//! Any region of a frame as packed RGB, row by row.
//!
//! Chroma of 4:2:0 is taken from the sample that covers the pixel (nearest), as GStreamer's `videoconvert`
//! does on its fast path from I420 to packed RGB; it has no phase that depends on where a region starts.

#![expect(clippy::inline_always, reason = "`wide` compiles for AVX2 only what is inlined into it")]

use super::{Colorimetry, Frame, Matrix, Picture, PixelFormat};
use crate::{Error, Result, geometry::Rect, simd::wide};

/// Fraction bits of [`YuvToRgb`].
const BITS: u32 = 16;

/// Pixels that are converted at a time.
const BLOCK: usize = 32;

/// The affine map from Y′CbCr to R′G′B′ in fixed point; ITU-R BT.601, BT.709, BT.2020.
#[derive(Debug, Clone, Copy)]
struct YuvToRgb {
    y_offset: i32,
    y_gain: i32,
    v_to_r: i32,
    u_to_g: i32,
    v_to_g: i32,
    u_to_b: i32,
}

impl Matrix {
    /// Luma coefficients Kr, Kb.
    pub(crate) const fn kr_kb(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}

impl YuvToRgb {
    fn new(colorimetry: Colorimetry) -> Self {
        let (kr, kb) = colorimetry.matrix.kr_kb();
        let kg = 1.0 - kr - kb;
        let (y_offset, luma, chroma) = if colorimetry.full_range { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
        #[expect(clippy::cast_possible_truncation, reason = "every factor is below 2.2, so far inside i32")]
        let fixed = |value: f64| (value * f64::from(1 << BITS)).round() as i32;
        Self {
            y_offset,
            y_gain: fixed(luma),
            v_to_r: fixed(2.0 * (1.0 - kr) * chroma),
            u_to_g: fixed(-2.0 * kb * (1.0 - kb) / kg * chroma),
            v_to_g: fixed(-2.0 * kr * (1.0 - kr) / kg * chroma),
            u_to_b: fixed(2.0 * (1.0 - kb) * chroma),
        }
    }

    #[inline(always)]
    fn pixel(self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let (luma, chroma) = (self.luma(y), self.chroma(u, v));
        chroma.map(|chroma| level(luma + chroma))
    }

    #[inline(always)]
    fn luma(self, y: u8) -> i32 {
        (i32::from(y) - self.y_offset) * self.y_gain + (1 << (BITS - 1))
    }

    /// What the chroma adds to red, green and blue.
    #[inline(always)]
    fn chroma(self, u: u8, v: u8) -> [i32; 3] {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        [v * self.v_to_r, u * self.u_to_g + v * self.v_to_g, u * self.u_to_b]
    }

    /// A block of pixels, colour by colour, which is what compiles to vectors.
    #[inline(always)]
    fn block(self, y: &[u8; BLOCK], u: [u8; BLOCK / 2], v: [u8; BLOCK / 2], out: &mut [[u8; 3]; BLOCK]) {
        let mut chroma = [[0; BLOCK]; 3];
        for sample in 0..BLOCK / 2 {
            for (colour, added) in chroma.iter_mut().zip(self.chroma(u[sample], v[sample])) {
                (colour[2 * sample], colour[2 * sample + 1]) = (added, added);
            }
        }
        let mut colours = [[0; BLOCK]; 3];
        for at in 0..BLOCK {
            for (colour, chroma) in colours.iter_mut().zip(&chroma) {
                colour[at] = level(self.luma(y[at]) + chroma[at]);
            }
        }
        for at in 0..BLOCK {
            out[at] = [colours[0][at], colours[1][at], colours[2][at]];
        }
    }
}

#[inline(always)]
fn level(value: i32) -> u8 {
    #[expect(clippy::cast_sign_loss, reason = "clamped to 0..=255")]
    let level = (value >> BITS).clamp(0, 255) as u8;
    level
}

impl Frame<'_> {
    /// Row `y` from column `x` on as RGB into `out`, `out.len() / 3` pixels; they must lie inside the frame.
    pub(crate) fn rgb_into(&self, x: u32, y: u32, out: &mut [u8]) {
        if !out.is_empty() {
            wide(
                #[inline(always)]
                || self.convert(x as usize, y as usize, out),
            );
        }
    }

    /// The pixels of `rect` as a picture of its own.
    ///
    /// # Errors
    /// [`Error::Frame`] where `rect` passes this frame's edge.
    pub fn crop(&self, rect: Rect) -> Result<Picture> {
        self.check(rect)?;
        let row = rect.w() as usize * 3;
        let mut rgb = vec![0; row * rect.h() as usize];
        for (y, out) in (rect.y()..).zip(rgb.chunks_exact_mut(row)) {
            self.rgb_into(rect.x(), y, out);
        }
        Ok(Picture { width: rect.w(), height: rect.h(), rgb })
    }

    /// That `rect` lies inside this frame.
    pub(crate) fn check(&self, rect: Rect) -> Result<()> {
        if rect.right() <= self.width && rect.bottom() <= self.height {
            return Ok(());
        }
        Err(Error::Frame(format!("{rect:?} passes the edge of a {}×{} frame; clip it to this frame first", self.width, self.height)))
    }

    #[inline(always)]
    fn convert(&self, x: usize, y: usize, out: &mut [u8]) {
        match self.format {
            PixelFormat::I420 => {
                let yuv = YuvToRgb::new(self.colorimetry);
                let (u, v) = (&self.row(1, y / 2)[x / 2..], &self.row(2, y / 2)[x / 2..]);
                planar(yuv, x % 2 == 1, &self.row(0, y)[x..], u, v, out);
            }
            PixelFormat::Nv12 => {
                let yuv = YuvToRgb::new(self.colorimetry);
                semi_planar(yuv, x % 2 == 1, &self.row(0, y)[x..], &self.row(1, y / 2)[x / 2 * 2..], out);
            }
            PixelFormat::Rgb => out.copy_from_slice(&self.row(0, y)[x * 3..x * 3 + out.len()]),
            PixelFormat::Bgr => packed::<3>(&self.row(0, y)[x * 3..], [2, 1, 0], out),
            PixelFormat::Rgba | PixelFormat::Rgbx => packed::<4>(&self.row(0, y)[x * 4..], [0, 1, 2], out),
            PixelFormat::Bgra | PixelFormat::Bgrx => packed::<4>(&self.row(0, y)[x * 4..], [2, 1, 0], out),
            PixelFormat::Argb | PixelFormat::Xrgb => packed::<4>(&self.row(0, y)[x * 4..], [1, 2, 3], out),
            PixelFormat::Abgr | PixelFormat::Xbgr => packed::<4>(&self.row(0, y)[x * 4..], [3, 2, 1], out),
        }
    }

    #[inline(always)]
    fn row(&self, plane: usize, y: usize) -> &[u8] {
        let plane = &self.planes[plane];
        &plane.data[plane.stride * y..]
    }
}

#[inline(always)]
fn packed<const N: usize>(row: &[u8], [r, g, b]: [usize; 3], out: &mut [u8]) {
    for (rgb, pixel) in out.as_chunks_mut::<3>().0.iter_mut().zip(row.as_chunks::<N>().0) {
        *rgb = [pixel[r], pixel[g], pixel[b]];
    }
}

/// `odd`: the first pixel is the second of its chroma sample.
#[inline(always)]
fn planar(yuv: YuvToRgb, odd: bool, y: &[u8], u: &[u8], v: &[u8], out: &mut [u8]) {
    const HALF: usize = BLOCK / 2;
    let (first, out) = out.as_chunks_mut::<3>().0.split_at_mut(usize::from(odd));
    if let [rgb] = first {
        *rgb = yuv.pixel(y[0], u[0], v[0]);
    }
    let (y, u, v) = (&y[first.len()..], &u[first.len()..], &v[first.len()..]);
    let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
    for (((rgb, y), u), v) in blocks.iter_mut().zip(y.as_chunks().0).zip(u.as_chunks().0).zip(v.as_chunks().0) {
        yuv.block(y, *u, *v, rgb);
    }
    let done = blocks.len();
    for (at, (rgb, &y)) in rest.iter_mut().zip(&y[done * BLOCK..]).enumerate() {
        let chroma = done * HALF + at / 2;
        *rgb = yuv.pixel(y, u[chroma], v[chroma]);
    }
}

/// [`planar`] with the chroma samples interleaved.
#[inline(always)]
fn semi_planar(yuv: YuvToRgb, odd: bool, y: &[u8], uv: &[u8], out: &mut [u8]) {
    const HALF: usize = BLOCK / 2;
    let (first, out) = out.as_chunks_mut::<3>().0.split_at_mut(usize::from(odd));
    let uv = uv.as_chunks::<2>().0;
    if let [rgb] = first {
        *rgb = yuv.pixel(y[0], uv[0][0], uv[0][1]);
    }
    let (y, uv) = (&y[first.len()..], &uv[first.len()..]);
    let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
    for ((rgb, y), uv) in blocks.iter_mut().zip(y.as_chunks().0).zip(uv.as_chunks::<HALF>().0) {
        yuv.block(y, uv.map(|[u, _]| u), uv.map(|[_, v]| v), rgb);
    }
    let done = blocks.len();
    for (at, (rgb, &y)) in rest.iter_mut().zip(&y[done * BLOCK..]).enumerate() {
        let [u, v] = uv[done * HALF + at / 2];
        *rgb = yuv.pixel(y, u, v);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::Plane;

    const FORMATS: [PixelFormat; 12] = [
        PixelFormat::I420,
        PixelFormat::Nv12,
        PixelFormat::Rgb,
        PixelFormat::Bgr,
        PixelFormat::Rgba,
        PixelFormat::Bgra,
        PixelFormat::Argb,
        PixelFormat::Abgr,
        PixelFormat::Rgbx,
        PixelFormat::Bgrx,
        PixelFormat::Xrgb,
        PixelFormat::Xbgr,
    ];

    /// The pixel at (x, y), written from the standards: real numbers, one pixel at a time.
    fn literal(frame: &Frame<'_>, x: usize, y: usize) -> [u8; 3] {
        let byte = |plane: usize, x: usize, y: usize| frame.planes[plane].data[y * frame.planes[plane].stride + x];
        let at = |bytes: usize, order: [usize; 3]| order.map(|offset| byte(0, x * bytes + offset, y));
        let (luma, u, v) = match frame.format {
            PixelFormat::I420 => (byte(0, x, y), byte(1, x / 2, y / 2), byte(2, x / 2, y / 2)),
            PixelFormat::Nv12 => (byte(0, x, y), byte(1, x / 2 * 2, y / 2), byte(1, x / 2 * 2 + 1, y / 2)),
            PixelFormat::Rgb => return at(3, [0, 1, 2]),
            PixelFormat::Bgr => return at(3, [2, 1, 0]),
            PixelFormat::Rgba | PixelFormat::Rgbx => return at(4, [0, 1, 2]),
            PixelFormat::Bgra | PixelFormat::Bgrx => return at(4, [2, 1, 0]),
            PixelFormat::Argb | PixelFormat::Xrgb => return at(4, [1, 2, 3]),
            PixelFormat::Abgr | PixelFormat::Xbgr => return at(4, [3, 2, 1]),
        };
        let (kr, kb) = match frame.colorimetry.matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
            Matrix::Bt2020 => (0.2627, 0.0593),
        };
        let (luma, cb, cr) = (f64::from(luma), f64::from(u) - 128.0, f64::from(v) - 128.0);
        let (luma, cb, cr) = if frame.colorimetry.full_range {
            (luma / 255.0, cb / 255.0, cr / 255.0)
        } else {
            ((luma - 16.0) / 219.0, cb / 224.0, cr / 224.0)
        };
        let (r, b) = (luma + 2.0 * (1.0 - kr) * cr, luma + 2.0 * (1.0 - kb) * cb);
        let g = (luma - kr * r - kb * b) / (1.0 - kr - kb);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
        [r, g, b].map(|level| (level * 255.0).round().clamp(0.0, 255.0) as u8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn any_region_of_any_format_is_the_literal_formula(
            (w, h) in (1_u32..40, 1_u32..12),
            format in prop::sample::select(FORMATS.to_vec()),
            matrix in prop::sample::select(vec![Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020]),
            full_range: bool,
            gap in 0_usize..9,
            corner in (0_u32..1000, 0_u32..1000, 0_u32..1000, 0_u32..1000),
            noise in prop::collection::vec(any::<u8>(), 4096),
        ) {
            let planes = format.plane_sizes(w, h).into_iter().enumerate().map(|(index, (row, rows))| {
                // The last row has no gap behind it, as GStreamer's own buffers may have none.
                let len = (row + gap) * (rows - 1) + row;
                Plane { data: &noise[index * 100..index * 100 + len], stride: row + gap }
            });
            let frame = Frame::new(w, h, format, Colorimetry { matrix, full_range }, planes.collect()).unwrap();
            let (x, y) = (corner.0 % w, corner.1 % h);
            let (right, bottom) = (x + 1 + corner.2 % (w - x), y + 1 + corner.3 % (h - y));
            #[expect(clippy::cast_precision_loss, reason = "below 40")]
            let bbox = crate::geometry::BBox::from_edges(x as f32, y as f32, right as f32, bottom as f32);
            let rect = Rect::cover(&bbox, w, h).unwrap();
            let crop = frame.crop(rect).unwrap();
            for (index, found) in crop.rgb.as_chunks::<3>().0.iter().enumerate() {
                let (x, y) = (x as usize + index % crop.width as usize, y as usize + index / crop.width as usize);
                let wanted = literal(&frame, x, y);
                // Fixed point may round a tie the other way.
                for (found, wanted) in found.iter().zip(wanted) {
                    prop_assert!(found.abs_diff(wanted) <= u8::from(format.packed_bytes().is_none()), "{found} for {wanted} at {x}, {y}");
                }
            }
        }
    }

    #[test]
    fn black_white_and_the_primaries_are_exact() {
        let limited = |matrix| YuvToRgb::new(Colorimetry { matrix, full_range: false });
        for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
            assert_eq!(limited(matrix).pixel(16, 128, 128), [0, 0, 0]);
            assert_eq!(limited(matrix).pixel(235, 128, 128), [255, 255, 255]);
            assert_eq!(limited(matrix).pixel(255, 128, 128), [255, 255, 255]);
        }
        assert_eq!(limited(Matrix::Bt601).pixel(81, 90, 240), [254, 0, 0]);
        assert_eq!(limited(Matrix::Bt709).pixel(63, 102, 240), [255, 1, 0]);
    }

    #[test]
    fn a_rect_of_another_frame_is_refused() {
        let frame = Frame::rgb(4, 4, &[0; 48]).unwrap();
        assert!(frame.crop(Rect::whole(5, 4).unwrap()).unwrap_err().to_string().contains("4×4"));
    }
}
