//! The background of one object, from the frame's [`Base`]: only what the filled box can reach is resized again.

use std::ops::Range;

use super::Base;
use crate::{
    frame::Frame,
    geometry::Rect,
    resample::{Order, Resize},
};

/// Writes the `[S, S, 3]` background of `rect`, which lies inside `frame`; `base` is that frame's.
pub(super) fn write(frame: &Frame<'_>, base: &Base, rect: Rect, fill: [u8; 3], out: &mut [u8]) {
    out.copy_from_slice(&base.whole);
    let filled = Filled { frame, fill, rect, x: rect.x() as usize..rect.right() as usize, y: rect.y() as usize..rect.bottom() as usize };
    let Resize { columns, rows, order, .. } = &base.resize;
    let columns = span(0..columns.len(), |column| overlap(&columns.reads(column), &filled.x));
    let rows = span(0..rows.len(), |row| overlap(&rows.reads(row), &filled.y));
    match order {
        Order::HorizontalFirst => horizontal_first(base, &filled, columns, rows, out),
        Order::VerticalFirst => vertical_first(base, &filled, columns, rows, out),
    }
}

/// A frame with a box filled.
struct Filled<'a> {
    frame: &'a Frame<'a>,
    fill: [u8; 3],
    rect: Rect,
    /// The box's columns.
    x: Range<usize>,
    /// The box's rows.
    y: Range<usize>,
}

/// The box's rows go through the horizontal pass again, but for columns that read nothing but fill.
fn horizontal_first(base: &Base, filled: &Filled<'_>, columns: Range<usize>, rows: Range<usize>, out: &mut [u8]) {
    let Resize { columns: horizontal, rows: vertical, .. } = &base.resize;
    let inner = inner(&columns, |column| horizontal.reads(column), &filled.x);
    let outer = [columns.start..inner.start, inner.end..columns.end];
    let input = input(&columns, |column| horizontal.reads(column), &filled.x);

    let mut row = filled.fill.repeat(input.len());
    let mut half = filled.fill.repeat(filled.y.len() * columns.len());
    let len = columns.len() * 3;
    for (y, half) in (filled.rect.y()..).zip(half.chunks_exact_mut(len)) {
        filled.frame.rgb_into(pixel(input.start), y, &mut row[..(filled.x.start - input.start) * 3]);
        filled.frame.rgb_into(filled.rect.right(), y, &mut row[(filled.x.end - input.start) * 3..]);
        for outer in &outer {
            let half = &mut half[(outer.start - columns.start) * 3..(outer.end - columns.start) * 3];
            horizontal.resize(outer.clone(), &row, input.start, half);
        }
    }

    let at = |y: usize| (y * horizontal.len() + columns.start) * 3..(y * horizontal.len() + columns.end) * 3;
    let narrowed = |y: usize| if filled.y.contains(&y) { &half[(y - filled.y.start) * len..][..len] } else { &base.half[at(y)] };
    let mut sums = Vec::new();
    for row in rows {
        vertical.resize(row, narrowed, &mut sums, &mut out[at(row)]);
    }
}

/// The box's columns go through the vertical pass again, but for rows that read nothing but fill.
fn vertical_first(base: &Base, filled: &Filled<'_>, columns: Range<usize>, rows: Range<usize>, out: &mut [u8]) {
    let Resize { columns: horizontal, rows: vertical, width, .. } = &base.resize;
    let inner = inner(&rows, |row| vertical.reads(row), &filled.y);
    let reads = input(&rows, |row| vertical.reads(row), &filled.y);
    let input = input(&columns, |column| horizontal.reads(column), &filled.x);

    // What rows above and below the box hold in its columns.
    let len = filled.x.len() * 3;
    let fill = filled.fill.repeat(filled.x.len());
    let outside = [reads.start..filled.y.start, filled.y.end..reads.end].map(|rows| {
        let mut pixels = vec![0; rows.len() * len];
        for (y, pixels) in (pixel(rows.start)..).zip(pixels.chunks_exact_mut(len)) {
            filled.frame.rgb_into(filled.rect.x(), y, pixels);
        }
        pixels
    });
    let pixels = |y: usize| match y {
        y if filled.y.contains(&y) => fill.as_slice(),
        y if y < filled.y.start => &outside[0][(y - reads.start) * len..][..len],
        y => &outside[1][(y - filled.y.end) * len..][..len],
    };

    let mut sums = Vec::new();
    let mut half = vec![0; input.len() * 3];
    let boxed = (filled.x.start - input.start) * 3..(filled.x.end - input.start) * 3;
    for row in rows {
        half.copy_from_slice(&base.half[(row * width + input.start) * 3..(row * width + input.end) * 3]);
        if inner.contains(&row) {
            half[boxed.clone()].copy_from_slice(&fill);
        } else {
            vertical.resize(row, pixels, &mut sums, &mut half[boxed.clone()]);
        }
        let at = (row * horizontal.len() + columns.start) * 3..(row * horizontal.len() + columns.end) * 3;
        horizontal.resize(columns.clone(), &half, input.start, &mut out[at]);
    }
}

/// Those of `outputs` that read nothing but the box. They are the fill: n weights sum to 1 within n·2⁻²³. They lie side by
/// side, since the ends of what is read grow with the output.
fn inner(outputs: &Range<usize>, reads: impl Fn(usize) -> Range<usize>, within: &Range<usize>) -> Range<usize> {
    let inner = span(outputs.clone(), |output| reads(output).start >= within.start && reads(output).end <= within.end);
    if inner.is_empty() { outputs.end..outputs.end } else { inner }
}

/// What `outputs` read, and the box.
fn input(outputs: &Range<usize>, reads: impl Fn(usize) -> Range<usize>, within: &Range<usize>) -> Range<usize> {
    outputs.clone().map(reads).fold(within.clone(), |all, reads| all.start.min(reads.start)..all.end.max(reads.end))
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && a.end > b.start
}

/// From the first to the last of `all` that `holds`; empty where none does.
fn span(mut all: Range<usize>, holds: impl Fn(usize) -> bool) -> Range<usize> {
    let Some(first) = all.find(|&position| holds(position)) else { return 0..0 };
    let last = all.rfind(|&position| holds(position)).unwrap_or(first);
    first..last + 1
}

#[expect(clippy::cast_possible_truncation, reason = "a column or row of a frame, whose sides are u32")]
const fn pixel(position: usize) -> u32 {
    position as u32
}
