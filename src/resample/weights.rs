//! The weights of a resize along one axis, in Pillow's fixed point.

use std::ops::Range;

/// Fraction bits of the weights: 8 bits of result, two spare for a sum of weights that leaves 0..=1.
pub(super) const BITS: u32 = 32 - 8 - 2;

/// The kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Pillow's `BILINEAR`.
    Bilinear,
    /// Pillow's `BICUBIC`, a = −0.5.
    Bicubic,
}

impl Filter {
    const fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }
}

/// One output position's window: input positions `start..start + weights.len()`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) start: usize,
    pub(super) weights: &'a [i32],
}

/// How every output position of one axis is made from input positions.
#[derive(Debug, Clone)]
pub(super) struct Weights {
    /// Start in the input, and where its weights lie in `values`.
    pub(super) windows: Vec<(usize, Range<usize>)>,
    pub(super) values: Vec<i32>,
}

impl Weights {
    pub(super) fn new(filter: Filter, input: usize, output: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "sides of pictures are far below 2^52")]
        let (length, scale) = (input as f64, input as f64 / output as f64);
        let filter_scale = scale.max(1.0);
        let (support, reach) = (filter.support() * filter_scale, 1.0 / filter_scale);
        let mut windows = Vec::with_capacity(output);
        let mut values = Vec::new();
        let mut kernel = Vec::new();
        for position in 0..output {
            #[expect(clippy::cast_precision_loss, reason = "as above")]
            let center = (position as f64 + 0.5) * scale;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to 0..=length; the cast floors as Pillow's does"
            )]
            let edge = |position: f64| (position + 0.5).clamp(0.0, length) as usize;
            let (start, end) = (edge(center - support), edge(center + support));
            kernel.clear();
            #[expect(clippy::cast_precision_loss, reason = "as above")]
            kernel.extend((start..end).map(|x| filter.at((x as f64 - center + 0.5) * reach)));
            let sum: f64 = kernel.iter().sum();
            let first = values.len();
            #[expect(clippy::cast_possible_truncation, reason = "a weight is below 2 in size")]
            values.extend(kernel.iter().map(|weight| {
                let weight = if sum == 0.0 { *weight } else { weight / sum };
                (weight * f64::from(1_u32 << BITS)).round() as i32
            }));
            windows.push((start, first..values.len()));
        }
        Self { windows, values }
    }

    pub(super) fn window(&self, position: usize) -> Window<'_> {
        let (start, weights) = &self.windows[position];
        Window { start: *start, weights: &self.values[weights.clone()] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_every_position_sum_to_one_and_their_windows_grow() {
        for (filter, input, output) in [
            (Filter::Bicubic, 1, 7),
            (Filter::Bicubic, 1920, 224),
            (Filter::Bicubic, 50, 56),
            (Filter::Bicubic, 5000, 1),
            (Filter::Bilinear, 640, 320),
            (Filter::Bilinear, 3, 1000),
        ] {
            let weights = Weights::new(filter, input, output);
            let (mut last_start, mut last_end) = (0, 0);
            for position in 0..output {
                let Window { start, weights } = weights.window(position);
                let end = start + weights.len();
                assert!(start >= last_start && end >= last_end && end <= input && end > start, "{filter:?} {input} to {output}");
                (last_start, last_end) = (start, end);
                let off = weights.iter().sum::<i32>().abs_diff(1 << BITS) as usize;
                assert!(off <= weights.len().div_ceil(2), "{off} off at {position} of {input} to {output}");
            }
        }
    }

    #[test]
    fn the_same_size_is_left_alone() {
        let weights = Weights::new(Filter::Bicubic, 9, 9);
        for position in 0..9 {
            let Window { start, weights } = weights.window(position);
            assert!((start..).zip(weights).all(|(at, &weight)| weight == i32::from(at == position) << BITS));
        }
    }
}
