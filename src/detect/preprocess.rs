//! A frame as a detector's input: planes of f32.
//!
//! - [`Resize::Letterbox`] fits by bilinear interpolation without antialiasing, OpenCV's `INTER_LINEAR` (what YOLOX's and
//!   Ultralytics' own code use), but without rounding to whole levels.
//! - [`Resize::Stretch`] fits as Pillow's `BILINEAR` does, antialiased: what detectors trained on stretched pictures saw.
//!
//! [`Layout::Owlv2`] has a way of its own.

use super::{DetectorSpec, owlv2};
use crate::{
    Error, Result,
    frame::Frame,
    geometry::BBox,
    models::{Layout, Resize},
    resample::{self, Filter},
    simd::wide,
};

/// What surrounds a letterboxed picture, 0..=255.
const PADDING: f32 = 114.0;

/// From a detector's input back to the frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mapping {
    /// Frame pixels per input pixel, horizontally.
    pub x: f32,
    /// Frame pixels per input pixel, vertically.
    pub y: f32,
    /// The frame's width in pixels.
    pub width: u32,
    /// The frame's height in pixels.
    pub height: u32,
}

impl Mapping {
    /// A box of the input in frame pixels, not clipped.
    #[must_use]
    pub fn to_frame(&self, bbox: BBox) -> BBox {
        BBox { x: bbox.x * self.x, y: bbox.y * self.y, w: bbox.w * self.x, h: bbox.h * self.y }
    }
}

/// From levels 0..=255 of RGB to the planes of an input.
pub(super) struct Colours {
    /// The colour of each plane.
    order: [usize; 3],
    /// A level's factor, a plane each.
    pub(super) scale: [f32; 3],
    /// What is added then.
    pub(super) shift: [f32; 3],
}

impl Colours {
    fn of(spec: &DetectorSpec) -> Self {
        let (mean, std) = (spec.mean, spec.std);
        match spec.layout {
            Layout::Yolox => Self { order: [2, 1, 0], scale: [1.0; 3], shift: [0.0; 3] },
            _ => Self {
                order: [0, 1, 2],
                scale: std.map(|std| 1.0 / (255.0 * std)),
                shift: [0, 1, 2].map(|plane| -mean[plane] / std[plane]),
            },
        }
    }
}

/// Writes one frame's input into `out`, `[3, H, W]`: BGR 0–255 for [`Layout::Yolox`], else RGB 0–1 less [`DetectorSpec::mean`]
/// over [`DetectorSpec::std`].
///
/// # Errors
/// [`Error::Frame`] where `out` is not 3·H·W long.
pub fn preprocess(frame: &Frame<'_>, spec: &DetectorSpec, out: &mut [f32]) -> Result<Mapping> {
    if out.len() != spec.input_len() {
        return Err(Error::Frame(format!("{} numbers to write a detector's input to; wanted {}", out.len(), spec.input_len())));
    }
    let colours = Colours::of(spec);
    if spec.layout == Layout::Owlv2 {
        return Ok(owlv2::preprocess(frame, spec, &colours, out));
    }
    let fit = Fit::new(frame, spec);
    match spec.resize {
        Resize::Stretch => stretch(frame, spec, &colours, out),
        Resize::Letterbox => letterbox(frame, spec, &fit, &colours, out),
    }
    Ok(fit.mapping)
}

fn stretch(frame: &Frame<'_>, spec: &DetectorSpec, colours: &Colours, out: &mut [f32]) {
    let from = (frame.width() as usize, frame.height() as usize);
    let resize = resample::Resize::new(Filter::Bilinear, from, (spec.width, spec.height));
    let write = |y: usize, row: &[u8]| {
        for (channel, plane) in out.chunks_exact_mut(spec.width * spec.height).enumerate() {
            let (source, scale, shift) = (colours.order[channel], colours.scale[channel], colours.shift[channel]);
            for (out, pixel) in plane[y * spec.width..][..spec.width].iter_mut().zip(row.as_chunks::<3>().0) {
                *out = f32::from(pixel[source]) * scale + shift;
            }
        }
    };
    resize.run(|y, row| frame.rgb_into(0, y, row), |_| (), write);
}

fn letterbox(frame: &Frame<'_>, spec: &DetectorSpec, fit: &Fit, colours: &Colours, out: &mut [f32]) {
    let columns = Taps::new(frame.width() as usize, fit.width);
    let rows = Taps::new(frame.height() as usize, fit.height);

    let mut pixels = vec![0; frame.width() as usize * 3];
    // The two frame rows in use, fitted horizontally: planes side by side, `[3, fit.width]`.
    let mut kept = [(None, vec![0.0; fit.width * 3]), (None, vec![0.0; fit.width * 3])];
    let plane = spec.width * spec.height;
    for (y, &(upper, lower, weight)) in rows.0.iter().enumerate() {
        for row in [upper, lower] {
            // A row and the next differ in the last bit, so the one that is still needed stays.
            let (held, fitted) = &mut kept[row & 1];
            if *held != Some(row) {
                frame.rgb_into(0, row_index(row), &mut pixels);
                columns.narrow(&pixels, fitted);
                *held = Some(row);
            }
        }
        let (upper, lower) = (&kept[upper & 1].1, &kept[lower & 1].1);
        for (channel, &source) in colours.order.iter().enumerate() {
            let (scale, shift) = (colours.scale[channel], colours.shift[channel]);
            let (upper, lower) = (&upper[source * fit.width..][..fit.width], &lower[source * fit.width..][..fit.width]);
            let row = &mut out[channel * plane + y * spec.width..][..spec.width];
            let (picture, padding) = row.split_at_mut(fit.width);
            wide(
                #[inline(always)]
                || {
                    for ((out, upper), lower) in picture.iter_mut().zip(upper).zip(lower) {
                        *out = (upper + (lower - upper) * weight) * scale + shift;
                    }
                },
            );
            padding.fill(PADDING * scale + shift);
        }
    }
    for (channel, plane) in out.chunks_exact_mut(plane).enumerate() {
        plane[fit.height * spec.width..].fill(PADDING * colours.scale[channel] + colours.shift[channel]);
    }
}

/// The size of the picture at the top left of the input, and the way back.
struct Fit {
    width: usize,
    height: usize,
    mapping: Mapping,
}

impl Fit {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sides of pictures, positive and far below 2^52; sizes are cut to whole pixels as YOLOX does"
    )]
    fn new(frame: &Frame<'_>, spec: &DetectorSpec) -> Self {
        let (width, height) = (frame.width(), frame.height());
        let (x, y) = (spec.width as f64 / f64::from(width), spec.height as f64 / f64::from(height));
        let back = |x: f64, y: f64| Mapping { x: (1.0 / x) as f32, y: (1.0 / y) as f32, width, height };
        match spec.resize {
            Resize::Stretch => Self { width: spec.width, height: spec.height, mapping: back(x, y) },
            Resize::Letterbox => {
                let scale = x.min(y);
                // A ratio that is whole but for its last bit must not lose a pixel.
                let side = |side: u32, limit: usize| ((f64::from(side) * scale + 1e-6) as usize).clamp(1, limit);
                Self { width: side(width, spec.width), height: side(height, spec.height), mapping: back(scale, scale) }
            }
        }
    }
}

/// Per output position: two neighbouring input positions and the weight of the second.
struct Taps(Vec<(usize, usize, f32)>);

impl Taps {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sides of pictures, far below 2^52; positions are clamped to 0..=input-1"
    )]
    fn new(input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        let taps = (0..output).map(|position| {
            let at = ((position as f64 + 0.5) * scale - 0.5).clamp(0.0, (input - 1) as f64);
            let first = at as usize;
            (first, (first + 1).min(input - 1), (at - first as f64) as f32)
        });
        Self(taps.collect())
    }

    /// One RGB row as three planes side by side.
    fn narrow(&self, pixels: &[u8], out: &mut [f32]) {
        let pixels = pixels.as_chunks::<3>().0;
        let (red, rest) = out.split_at_mut(self.0.len());
        let (green, blue) = rest.split_at_mut(self.0.len());
        for (((&(first, second, weight), red), green), blue) in self.0.iter().zip(red).zip(green).zip(blue) {
            let (first, second) = (pixels[first].map(f32::from), pixels[second].map(f32::from));
            *red = first[0] + (second[0] - first[0]) * weight;
            *green = first[1] + (second[1] - first[1]) * weight;
            *blue = first[2] + (second[2] - first[2]) * weight;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a row of a frame, whose height is a u32")]
const fn row_index(row: usize) -> u32 {
    row as u32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::models::Scores;

    fn spec(layout: Layout, resize: Resize, width: usize, height: usize) -> DetectorSpec {
        DetectorSpec {
            layout,
            resize,
            scores: Scores::Sigmoid,
            labels: vec![Arc::from("object")],
            width,
            height,
            mean: [0.0; 3],
            std: [1.0; 3],
            input: "images".to_owned(),
            companion: None,
            outputs: Vec::new(),
        }
    }

    /// Every pixel different, every channel too.
    fn ramp(width: usize, height: usize) -> Vec<u8> {
        #[expect(clippy::cast_possible_truncation, reason = "a pattern, which wraps on purpose")]
        (0..width * height).flat_map(|at| [at * 7, at * 5 + 90, at * 3 + 180].map(|level| level as u8)).collect()
    }

    /// OpenCV's definition of `INTER_LINEAR`, in real numbers, one sample at a time.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small pictures")]
    fn literal(pixels: &[u8], (w, h): (usize, usize), (to_w, to_h): (usize, usize), x: usize, y: usize, channel: usize) -> f64 {
        let at = |x: f64, y: f64| {
            let (x, y) = (x.clamp(0.0, w as f64 - 1.0) as usize, y.clamp(0.0, h as f64 - 1.0) as usize);
            f64::from(pixels[(y * w + x) * 3 + channel])
        };
        let (sx, sy) = ((x as f64 + 0.5) * w as f64 / to_w as f64 - 0.5, (y as f64 + 0.5) * h as f64 / to_h as f64 - 0.5);
        let (fx, fy) = (sx - sx.floor(), sy - sy.floor());
        let (x, y) = (sx.floor(), sy.floor());
        (at(x, y) * (1.0 - fx) + at(x + 1.0, y) * fx) * (1.0 - fy) + (at(x, y + 1.0) * (1.0 - fx) + at(x + 1.0, y + 1.0) * fx) * fy
    }

    #[test]
    fn yolox_gets_bgr_levels_at_the_top_left_of_114() {
        for (w, h) in [(40, 20), (20, 40), (7, 5), (64, 32), (301, 200), (1, 1), (500, 3)] {
            let pixels = ramp(w, h);
            #[expect(clippy::cast_possible_truncation, reason = "small pictures")]
            let frame = Frame::rgb(w as u32, h as u32, &pixels).unwrap();
            let spec = spec(Layout::Yolox, Resize::Letterbox, 64, 32);
            let mut out = vec![f32::NAN; spec.input_len()];
            let mapping = preprocess(&frame, &spec, &mut out).unwrap();
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small pictures")]
            let fit = {
                let scale = (64.0 / w as f64).min(32.0 / h as f64);
                assert!((f64::from(mapping.x) - 1.0 / scale).abs() < 1e-4 && mapping.x.to_bits() == mapping.y.to_bits());
                (((w as f64 * scale) as usize).max(1), ((h as f64 * scale) as usize).max(1))
            };
            for (index, &found) in out.iter().enumerate() {
                let (x, y, channel) = (index % 64, index / 64 % 32, 2 - index / (64 * 32));
                let wanted = if x < fit.0 && y < fit.1 { literal(&pixels, (w, h), fit, x, y, channel) } else { 114.0 };
                assert!((f64::from(found) - wanted).abs() < 1e-3, "{w}×{h}: {found} for {wanted} at {x}, {y}, {channel}");
            }
        }
    }

    #[test]
    fn yolov8_gets_rgb_of_0_to_1_stretched_over_the_whole_input() {
        // Halved both ways, Pillow's triangle has the weights 1, 3, 3, 1 eighths.
        let pixels = ramp(40, 60);
        let frame = Frame::rgb(40, 60, &pixels).unwrap();
        let spec = spec(Layout::Yolov8, Resize::Stretch, 20, 30);
        let mut out = vec![f32::NAN; spec.input_len()];
        let mapping = preprocess(&frame, &spec, &mut out).unwrap();
        let eighths = |at: &dyn Fn(usize) -> f32| (at(0) + 3.0 * at(1) + 3.0 * at(2) + at(3)) / 8.0;
        for (index, &found) in out.iter().enumerate() {
            let (x, y, channel) = (index % 20, index / 20 % 30, index / 600);
            if (1..19).contains(&x) && (1..29).contains(&y) {
                let at = |x: usize, y: usize| f32::from(pixels[(y * 40 + x) * 3 + channel]);
                let wanted = eighths(&|row| eighths(&|column| at(2 * x - 1 + column, 2 * y - 1 + row)));
                assert!((found * 255.0 - wanted).abs() <= 1.0, "{found} for {wanted} at {x}, {y}");
            }
        }
        let whole = mapping.to_frame(BBox { x: 0.0, y: 0.0, w: 20.0, h: 30.0 });
        assert!((whole.w - 40.0).abs() < 1e-4 && (whole.h - 60.0).abs() < 1e-4);
    }

    #[test]
    fn a_mean_and_a_deviation_are_taken_from_0_to_1() {
        let frame = Frame::rgb(1, 1, &[255, 0, 51]).unwrap();
        let plain = spec(Layout::Detr, Resize::Stretch, 1, 1);
        let spec = DetectorSpec { mean: [0.5, 0.25, 0.2], std: [0.5, 0.25, 1.0], ..plain };
        let mut out = [f32::NAN; 3];
        preprocess(&frame, &spec, &mut out).unwrap();
        assert!(out.iter().zip([1.0, -1.0, 0.0]).all(|(found, wanted)| (found - wanted).abs() < 1e-6), "{out:?}");
    }

    #[test]
    fn an_output_of_another_length_is_refused() {
        let frame = Frame::rgb(1, 1, &[0; 3]).unwrap();
        let spec = spec(Layout::Yolov8, Resize::Stretch, 4, 4);
        assert!(preprocess(&frame, &spec, &mut [0.0; 47]).unwrap_err().to_string().contains("48"));
    }
}
