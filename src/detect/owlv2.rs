//! OWLv2: a frame as its processor makes it, and what its graph gives.
//!
//! The picture is padded at the bottom and right to a square with 0 (black), blurred by a Gaussian of `(factor − 1) / 2` pixels
//! where it shrinks, and interpolated: scikit-image's `resize`, which OWLv2 was trained with and transformers'
//! `Owlv2ImageProcessorPil` has in scipy's words (both mirror at the edges, and the Gaussian is cut at four deviations).
//! transformers' torchvision processor cuts it at three, which moves a pixel value by up to 0.001.
//!
//! All of it is linear and works on rows and columns alike, so an output pixel has one window of weights along each axis.

use std::sync::Arc;

use super::{DetectorSpec, Mapping, preprocess::Colours};
use crate::{
    frame::Frame,
    models::{Layout, Owlv2Config, Resize, Scores},
    simd::wide,
};

/// How far the Gaussian goes, in deviations.
const TRUNCATE: f64 = 4.0;

impl DetectorSpec {
    /// An OWLv2's graph that looks for `labels`, or, where there are none, for objects.
    #[must_use]
    pub fn owlv2(config: &Owlv2Config, labels: &[String]) -> Self {
        use crate::graph::port::{LOGITS, OBJECTNESS_LOGITS, PIXEL_VALUES, PRED_BOXES};
        let objects = ["object".to_owned()];
        let (names, logits) = if labels.is_empty() { (&objects[..], OBJECTNESS_LOGITS) } else { (labels, LOGITS) };
        let side = config.clip.vision.image_size;
        Self {
            layout: Layout::Owlv2,
            resize: Resize::Stretch,
            scores: Scores::Sigmoid,
            labels: names.iter().map(|label| Arc::from(label.trim())).collect(),
            width: side,
            height: side,
            mean: config.clip.image_mean,
            std: config.clip.image_std,
            input: PIXEL_VALUES.to_owned(),
            companion: None,
            outputs: [PRED_BOXES, logits].map(str::to_owned).to_vec(),
        }
    }
}

/// Writes one frame's input into `out`, `[3, S, S]`.
pub(super) fn preprocess(frame: &Frame<'_>, spec: &DetectorSpec, colours: &Colours, out: &mut [f32]) -> Mapping {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let (square, side) = (width.max(height), spec.width);
    let windows = windows(square, side);
    // Which output rows a frame row is part of, and by what weight.
    let mut parts: Vec<Vec<(usize, f32)>> = vec![Vec::new(); height];
    for (row, Window { start, weights }) in windows.iter().enumerate() {
        for (part, weight) in parts.iter_mut().skip(*start).zip(weights) {
            part.push((row, *weight));
        }
    }

    out.fill(0.0);
    let (mut pixels, mut narrow) = (vec![0; width * 3], vec![0.0; side * 3]);
    for (y, part) in (0_u32..).zip(&parts) {
        frame.rgb_into(0, y, &mut pixels);
        narrowed(&windows, pixels.as_chunks().0, &mut narrow);
        for (plane, narrow) in out.chunks_exact_mut(side * side).zip(narrow.chunks_exact(side)) {
            for &(row, weight) in part {
                let row = &mut plane[row * side..][..side];
                wide(
                    #[inline(always)]
                    || row.iter_mut().zip(narrow).for_each(|(out, value)| *out += value * weight),
                );
            }
        }
    }
    for (channel, plane) in out.chunks_exact_mut(side * side).enumerate() {
        let (scale, shift) = (colours.scale[channel], colours.shift[channel]);
        wide(
            #[inline(always)]
            || plane.iter_mut().for_each(|value| *value = *value * scale + shift),
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "sides of pictures, far below 2^24")]
    let back = square as f32 / side as f32;
    Mapping { x: back, y: back, width: frame.width(), height: frame.height() }
}

/// One RGB row as three planes side by side. What lies beyond the row is padding, 0.
fn narrowed(windows: &[Window], pixels: &[[u8; 3]], out: &mut [f32]) {
    let (red, rest) = out.split_at_mut(windows.len());
    let (green, blue) = rest.split_at_mut(windows.len());
    for (((Window { start, weights }, red), green), blue) in windows.iter().zip(red).zip(green).zip(blue) {
        let mut sum = [0.0; 3];
        for (pixel, weight) in pixels.iter().skip(*start).zip(weights) {
            for (sum, level) in sum.iter_mut().zip(pixel) {
                *sum += f32::from(*level) * weight;
            }
        }
        [*red, *green, *blue] = sum;
    }
}

/// What an output position is made of: input positions from `start` on.
struct Window {
    start: usize,
    weights: Vec<f32>,
}

/// Gaussian and linear interpolation as one window for each of `output` positions.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "sides of pictures, far below 2^52; positions are brought into 0..input"
)]
fn windows(input: usize, output: usize) -> Vec<Window> {
    let factor = input as f64 / output as f64;
    let deviation = ((factor - 1.0) / 2.0).max(0.0);
    let radius = (TRUNCATE * deviation + 0.5) as i64;
    let mut kernel: Vec<f64> =
        (-radius..=radius).map(|at| if at == 0 { 1.0 } else { (-0.5 * (at as f64 / deviation).powi(2)).exp() }).collect();
    let sum: f64 = kernel.iter().sum();
    for weight in &mut kernel {
        *weight /= sum;
    }

    let mirrored = |position: i64| {
        let last = input as i64 - 1;
        if last == 0 {
            return 0;
        }
        let position = position.rem_euclid(2 * last);
        position.min(2 * last - position) as usize
    };
    let window = |position: usize| {
        let at = (position as f64 + 0.5) * factor - 0.5;
        let (first, share) = (at.floor() as i64, at - at.floor());
        let mut taps = Vec::with_capacity(2 * kernel.len());
        for (center, share) in [(first, 1.0 - share), (first + 1, share)] {
            let center = mirrored(center) as i64;
            taps.extend((-radius..).zip(&kernel).map(|(step, weight)| (mirrored(center + step), weight * share)));
        }
        let start = taps.iter().map(|(at, _)| *at).min().unwrap_or_default();
        let end = taps.iter().map(|(at, _)| at + 1).max().unwrap_or_default();
        let mut weights = vec![0.0; end - start];
        for (at, weight) in taps {
            weights[at - start] += weight;
        }
        Window { start, weights: weights.into_iter().map(|weight| weight as f32).collect() }
    };
    (0..output).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ClipConfig;

    /// The processor's steps one by one, on one line of `input` numbers: blurred, then interpolated.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        reason = "short lines"
    )]
    fn literal(line: &[f64], output: usize) -> Vec<f64> {
        let at = |line: &[f64], position: i64| {
            let last = line.len() as i64 - 1;
            let mut position = position;
            while position < 0 || position > last {
                position = if last == 0 {
                    0
                } else if position < 0 {
                    -position
                } else {
                    2 * last - position
                };
            }
            line[position as usize]
        };
        let factor = line.len() as f64 / output as f64;
        let deviation = ((factor - 1.0) / 2.0).max(0.0);
        let radius = (4.0 * deviation + 0.5).floor() as i64;
        let weight = |step: i64| if step == 0 { 1.0 } else { (-0.5 * (step * step) as f64 / (deviation * deviation)).exp() };
        let sum: f64 = (-radius..=radius).map(weight).sum();
        let blurred: Vec<f64> = (0..line.len() as i64)
            .map(|position| (-radius..=radius).map(|step| weight(step) / sum * at(line, position + step)).sum())
            .collect();
        let interpolated = |position: usize| {
            let place = (position as f64 + 0.5) * factor - 0.5;
            let share = place - place.floor();
            at(&blurred, place.floor() as i64) * (1.0 - share) + at(&blurred, place.floor() as i64 + 1) * share
        };
        (0..output).map(interpolated).collect()
    }

    fn spec(side: usize) -> DetectorSpec {
        let mut clip = ClipConfig::open(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/quick_gelu_g7/clip")).unwrap();
        clip.vision.image_size = side;
        DetectorSpec::owlv2(&Owlv2Config { clip }, &[])
    }

    #[test]
    fn a_frame_is_padded_to_a_square_blurred_and_interpolated() {
        for (width, height, side) in [(40, 30, 12), (30, 40, 12), (9, 5, 16), (1, 1, 8), (1, 7, 4), (33, 2, 33), (200, 150, 16)] {
            #[expect(clippy::cast_possible_truncation, reason = "a pattern, which wraps on purpose")]
            let pixels: Vec<u8> = (0..width * height).flat_map(|at| [at * 7, at * 5 + 90, at * 3 + 180].map(|level| level as u8)).collect();
            #[expect(clippy::cast_possible_truncation, reason = "small pictures")]
            let frame = Frame::rgb(width as u32, height as u32, &pixels).unwrap();
            let spec = spec(side);
            let mut out = vec![f32::NAN; spec.input_len()];
            let mapping = super::super::preprocess(&frame, &spec, &mut out).unwrap();
            let square = width.max(height);
            #[expect(clippy::cast_precision_loss, reason = "small pictures")]
            let scale = square as f32 / side as f32;
            assert!((mapping.x - scale).abs() < 1e-6 && (mapping.y - scale).abs() < 1e-6);
            for channel in 0..3 {
                let level = |x: usize, y: usize| {
                    if x < width && y < height { f64::from(pixels[(y * width + x) * 3 + channel]) / 255.0 } else { 0.0 }
                };
                let rows: Vec<Vec<f64>> =
                    (0..square).map(|y| literal(&(0..square).map(|x| level(x, y)).collect::<Vec<_>>(), side)).collect();
                for x in 0..side {
                    let column = literal(&rows.iter().map(|row| row[x]).collect::<Vec<_>>(), side);
                    for (y, wanted) in column.into_iter().enumerate() {
                        let wanted = (wanted - f64::from(spec.mean[channel])) / f64::from(spec.std[channel]);
                        let found = f64::from(out[(channel * side + y) * side + x]);
                        assert!((found - wanted).abs() < 1e-4, "{width}×{height}: {found} for {wanted} at {x}, {y}, {channel}");
                    }
                }
            }
        }
    }
}
