//! Resizing as Pillow does it (`Image.resize`, libImaging/Resample.c): a convolution whose kernel widens when
//! shrinking (antialiasing), 8 bits between the passes, 22-bit fixed-point weights.
//!
//! The numbers are Pillow 13's to the last bit. Both passes work on spans of an axis, so that a caller who
//! knows what changed need not resize the rest again; a span's pixels are those of the whole.

#![expect(clippy::inline_always, reason = "`wide` compiles for AVX2 only what is inlined into it")]

mod weights;

use std::ops::Range;

pub(crate) use weights::Filter;
use weights::{BITS, Weights, Window};

use crate::simd::wide;

/// Pixels that the horizontal pass takes at a time; windows are padded to a multiple of it where the row is long enough.
const STEP: usize = 8;

/// [`STEP`] RGB pixels.
const LANES: usize = 3 * STEP;

/// Which pass comes first. It shows: the passes clip to 0..=255 in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    HorizontalFirst,
    VerticalFirst,
}

impl Order {
    /// Pillow's choice since 13.0: vertical first where the height shrinks by more than twice what the width does.
    /// (Up to 12 it is always horizontal first.)
    pub(crate) const fn of(from: (usize, usize), to: (usize, usize)) -> Self {
        let (w, h) = (from.0.saturating_sub(to.0), from.1.saturating_sub(to.1));
        if h > 2 * w { Self::VerticalFirst } else { Self::HorizontalFirst }
    }
}

/// How pictures of one size become pictures of another.
#[derive(Debug, Clone)]
pub(crate) struct Resize {
    pub(crate) columns: Columns,
    pub(crate) rows: Rows,
    pub(crate) order: Order,
    /// Width of the input.
    pub(crate) width: usize,
}

impl Resize {
    /// From and to width and height, all at least 1.
    pub(crate) fn new(filter: Filter, from: (usize, usize), to: (usize, usize)) -> Self {
        let (columns, rows) = (Columns::new(filter, from.0, to.0), Rows::new(filter, from.1, to.1));
        Self { columns, rows, order: Order::of(from, to), width: from.0 }
    }

    /// Both passes over RGB rows that `read` makes, each once and in order; `write` takes the output rows in order, `half`
    /// each row that the first pass gave.
    pub(crate) fn run(&self, read: impl Fn(u32, &mut [u8]), mut half: impl FnMut(&[u8]), mut write: impl FnMut(usize, &[u8])) {
        let columns = 0..self.columns.len();
        #[expect(clippy::cast_possible_truncation, reason = "a row of a frame, whose height is a u32")]
        let read = |y: usize, row: &mut [u8]| read(y as u32, row);
        match self.order {
            Order::HorizontalFirst => {
                let mut row = vec![0; self.width * 3];
                let narrowed = |y: usize, out: &mut [u8]| {
                    read(y, &mut row);
                    self.columns.resize(columns.clone(), &row, 0, out);
                    half(out);
                };
                self.rows.stream(columns.len() * 3, narrowed, write);
            }
            Order::VerticalFirst => {
                let mut out = vec![0; columns.len() * 3];
                self.rows.stream(self.width * 3, read, |y, row| {
                    half(row);
                    self.columns.resize(columns.clone(), row, 0, &mut out);
                    write(y, &out);
                });
            }
        }
    }
}

/// The horizontal pass over packed RGB rows: `input` pixels a row become `output`.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// Each weight three times, once a channel.
    weights: Weights,
}

impl Columns {
    /// `output` columns from `input`, both at least 1.
    pub(crate) fn new(filter: Filter, input: usize, output: usize) -> Self {
        let plain = Weights::new(filter, input, output);
        let mut windows = Vec::with_capacity(output);
        let mut values = Vec::new();
        for position in 0..output {
            let Window { start, weights } = plain.window(position);
            let padded = weights.len().next_multiple_of(STEP);
            // Zero weights to the right, or to the left where the row ends; a row too short for them keeps its window.
            let (start, before, after) = match input.checked_sub(padded) {
                Some(last) if start > last => (last, start - last, padded - weights.len() - (start - last)),
                Some(_) => (start, 0, padded - weights.len()),
                None => (start, 0, 0),
            };
            let first = values.len();
            values.resize(first + 3 * before, 0);
            values.extend(weights.iter().flat_map(|&weight| [weight; 3]));
            values.resize(values.len() + 3 * after, 0);
            windows.push((start, first..values.len()));
        }
        Self { weights: Weights { windows, values } }
    }

    /// Number of output columns.
    pub(crate) fn len(&self) -> usize {
        self.weights.windows.len()
    }

    /// The input columns that output column `column` reads.
    pub(crate) fn reads(&self, column: usize) -> Range<usize> {
        let (start, weights) = &self.weights.windows[column];
        *start..*start + weights.len() / 3
    }

    /// Output columns `columns` of one row into `out`. `row` holds its input pixels from column `first` on, as
    /// many as those columns read.
    pub(crate) fn resize(&self, columns: Range<usize>, row: &[u8], first: usize, out: &mut [u8]) {
        wide(
            #[inline(always)]
            || {
                let mut columns = columns;
                // Two loops: in one, the compiler weaves the sums of three into the products and loses the vectors.
                let mut products = [[0_i32; LANES]; 32];
                for pixels in out.as_chunks_mut::<3>().0.chunks_mut(products.len()) {
                    for (products, column) in products.iter_mut().zip(columns.by_ref().take(pixels.len())) {
                        let window = self.weights.window(column);
                        let from = (window.start - first) * 3;
                        *products = multiply(&row[from..from + window.weights.len()], window.weights);
                    }
                    for (pixel, products) in pixels.iter_mut().zip(&products) {
                        let mut sums = [1 << (BITS - 1); 3];
                        for products in products.as_chunks::<3>().0 {
                            for channel in 0..3 {
                                sums[channel] += products[channel];
                            }
                        }
                        *pixel = sums.map(level);
                    }
                }
            },
        );
    }
}

/// Products of pixels and weights (each three times), summed over steps of [`STEP`] pixels; channels stay apart.
#[inline(always)]
fn multiply(pixels: &[u8], weights: &[i32]) -> [i32; LANES] {
    let mut products = [0; LANES];
    let (pixels, last_pixels) = pixels.as_chunks::<LANES>();
    let (weights, last_weights) = weights.as_chunks::<LANES>();
    for (pixels, weights) in pixels.iter().zip(weights) {
        for lane in 0..LANES {
            products[lane] += i32::from(pixels[lane]) * weights[lane];
        }
    }
    for ((product, &pixel), &weight) in products.iter_mut().zip(last_pixels).zip(last_weights) {
        *product += i32::from(pixel) * weight;
    }
    products
}

/// The vertical pass: `input` rows become `output`.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    weights: Weights,
}

impl Rows {
    /// `output` rows from `input`, both at least 1.
    pub(crate) fn new(filter: Filter, input: usize, output: usize) -> Self {
        Self { weights: Weights::new(filter, input, output) }
    }

    /// Number of output rows.
    pub(crate) fn len(&self) -> usize {
        self.weights.windows.len()
    }

    /// The input rows that output row `row` reads.
    pub(crate) fn reads(&self, row: usize) -> Range<usize> {
        let (start, weights) = &self.weights.windows[row];
        *start..*start + weights.len()
    }

    /// All output rows from input rows that `read` makes, each once and in order, into slices of `len` bytes; `write` takes
    /// the output rows in order.
    pub(crate) fn stream(&self, len: usize, mut read: impl FnMut(usize, &mut [u8]), mut write: impl FnMut(usize, &[u8])) {
        let kept = (0..self.len()).map(|row| self.reads(row).len()).max().unwrap_or(0);
        let mut ring = vec![0; kept * len];
        let (mut out, mut sums, mut next) = (vec![0; len], Vec::new(), 0);
        let slot = |y: usize| y % kept * len..(y % kept + 1) * len;
        for row in 0..self.len() {
            let end = self.reads(row).end;
            for y in next..end {
                read(y, &mut ring[slot(y)]);
            }
            next = next.max(end);
            self.resize(row, |y| &ring[slot(y)], &mut sums, &mut out);
            write(row, &out);
        }
    }

    /// Output row `row` into `out`; `input` gives the input rows, each as long as `out`. `sums` is scratch.
    pub(crate) fn resize<'a>(&self, row: usize, input: impl Fn(usize) -> &'a [u8], sums: &mut Vec<i32>, out: &mut [u8]) {
        sums.clear();
        sums.resize(out.len(), 1 << (BITS - 1));
        wide(
            #[inline(always)]
            || {
                let Window { start, weights } = self.weights.window(row);
                for (y, &weight) in (start..).zip(weights) {
                    for (sum, &sample) in sums.iter_mut().zip(input(y)) {
                        *sum += i32::from(sample) * weight;
                    }
                }
                for (out, &sum) in out.iter_mut().zip(sums.iter()) {
                    *out = level(sum);
                }
            },
        );
    }
}

#[inline(always)]
fn level(sum: i32) -> u8 {
    #[expect(clippy::cast_sign_loss, reason = "clamped to 0..=255")]
    let level = (sum >> BITS).clamp(0, 255) as u8;
    level
}
