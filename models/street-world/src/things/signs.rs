//! Traffic signs.

use std::f32::consts::{FRAC_PI_2, PI};

use crate::{
    brush::{Brush, Point, regular},
    colour::{BLACK, Rgb, WHITE, rgb},
    random::Random,
    things::{Facing, Look},
};

const RED: Rgb = rgb(198, 28, 32);
const BLUE: Rgb = rgb(26, 74, 172);

/// Draws a board; the number picks its symbol.
type Board = fn(&mut Brush<'_>, usize);

/// A traffic sign's board; its pole is scenery.
pub fn traffic_sign(random: &mut Random, _: Facing) -> Look {
    let kinds: [(&str, Board); 9] = [
        ("red", stop),
        ("red", limit),
        ("red", warning),
        ("red", give_way),
        ("red", no_entry),
        ("blue", order),
        ("yellow", diamond),
        ("green", way),
        ("blue", parking),
    ];
    let (colour, draw) = random.pick(&kinds);
    let symbol = random.below(5);
    Look::new(colour, 1.0, random.range(0.8, 1.1), move |b, _| draw(b, symbol))
}

fn stop(b: &mut Brush<'_>, _: usize) {
    b.poly(&regular(8, 0.5, 0.5, 0.53, PI / 8.0), WHITE);
    b.poly(&regular(8, 0.5, 0.5, 0.48, PI / 8.0), RED);
    // S T O P in strokes.
    let letters: [&[Point]; 5] = [
        &[(0.27, 0.4), (0.17, 0.4), (0.17, 0.5), (0.27, 0.5), (0.27, 0.6), (0.17, 0.6)],
        &[(0.33, 0.4), (0.45, 0.4)],
        &[(0.39, 0.4), (0.39, 0.6)],
        &[(0.52, 0.4), (0.63, 0.4), (0.63, 0.6), (0.52, 0.6), (0.52, 0.4)],
        &[(0.71, 0.6), (0.71, 0.4), (0.82, 0.4), (0.82, 0.51), (0.71, 0.51)],
    ];
    b.lines(&letters, 0.045, WHITE);
}

fn limit(b: &mut Brush<'_>, symbol: usize) {
    b.disc(0.5, 0.5, 0.5, RED);
    b.disc(0.5, 0.5, 0.38, WHITE);
    let tens: &[Point] = match symbol {
        0 | 1 => &[(0.28, 0.36), (0.43, 0.36), (0.34, 0.48), (0.43, 0.54), (0.4, 0.63), (0.28, 0.64)],
        2 | 3 => &[(0.43, 0.36), (0.29, 0.36), (0.29, 0.48), (0.42, 0.5), (0.42, 0.62), (0.28, 0.64)],
        _ => &[(0.28, 0.36), (0.44, 0.36), (0.34, 0.65)],
    };
    b.line(tens, 0.055, BLACK);
    b.frame(0.55, 0.36, 0.15, 0.28, 0.06, 0.055, BLACK);
}

fn warning(b: &mut Brush<'_>, symbol: usize) {
    b.poly(&[(0.5, 0.03), (1.0, 0.95), (0.0, 0.95)], RED);
    b.poly(&[(0.5, 0.22), (0.84, 0.85), (0.16, 0.85)], WHITE);
    match symbol {
        0 | 1 => {
            b.limb(&[(0.5, 0.43, 0.09), (0.5, 0.63, 0.06)], BLACK);
            b.disc(0.5, 0.76, 0.05, BLACK);
        }
        2 | 3 => b.curve(&[(0.55, 0.82), (0.42, 0.7), (0.58, 0.56), (0.46, 0.42)], 0.08, BLACK),
        _ => b.poly(&[(0.3, 0.78), (0.46, 0.5), (0.56, 0.64), (0.62, 0.58), (0.72, 0.78)], BLACK),
    }
}

fn give_way(b: &mut Brush<'_>, _: usize) {
    b.poly(&[(0.0, 0.07), (1.0, 0.07), (0.5, 0.97)], RED);
    b.poly(&[(0.18, 0.18), (0.82, 0.18), (0.5, 0.76)], WHITE);
}

fn no_entry(b: &mut Brush<'_>, _: usize) {
    b.disc(0.5, 0.5, 0.5, WHITE);
    b.disc(0.5, 0.5, 0.47, RED);
    b.round_rect(0.16, 0.4, 0.68, 0.2, 0.02, WHITE);
}

fn order(b: &mut Brush<'_>, symbol: usize) {
    b.disc(0.5, 0.5, 0.5, WHITE);
    b.disc(0.5, 0.5, 0.46, BLUE);
    arrow(b, symbol, WHITE);
}

fn diamond(b: &mut Brush<'_>, symbol: usize) {
    b.poly(&regular(4, 0.5, 0.5, 0.5, FRAC_PI_2), BLACK);
    b.poly(&regular(4, 0.5, 0.5, 0.46, FRAC_PI_2), rgb(242, 192, 32));
    arrow(b, symbol, BLACK);
}

fn arrow(b: &mut Brush<'_>, symbol: usize, ink: Rgb) {
    match symbol {
        0 | 1 => {
            b.line(&[(0.5, 0.74), (0.5, 0.4)], 0.09, ink);
            b.poly(&[(0.34, 0.46), (0.5, 0.22), (0.66, 0.46)], ink);
        }
        2 | 3 => {
            b.line(&[(0.4, 0.72), (0.4, 0.46), (0.56, 0.46)], 0.09, ink);
            b.poly(&[(0.54, 0.3), (0.78, 0.46), (0.54, 0.62)], ink);
        }
        _ => {
            b.disc(0.5, 0.3, 0.07, ink);
            b.lines(
                &[vec![(0.5, 0.42), (0.5, 0.56), (0.4, 0.74)], vec![(0.5, 0.56), (0.6, 0.74)], vec![(0.36, 0.48), (0.64, 0.48)]],
                0.06,
                ink,
            );
        }
    }
}

fn way(b: &mut Brush<'_>, symbol: usize) {
    b.round_rect(0.0, 0.08, 1.0, 0.84, 0.07, WHITE);
    b.round_rect(0.04, 0.12, 0.92, 0.76, 0.05, rgb(22, 112, 68));
    for (i, long) in [0.62, 0.44, 0.54].into_iter().enumerate() {
        b.rect(0.14, 0.24 + i as f32 * 0.21, if (symbol + i).is_multiple_of(2) { long } else { long - 0.12 }, 0.09, WHITE);
    }
    b.poly(&[(0.8, 0.32), (0.9, 0.48), (0.7, 0.48)], WHITE);
    b.rect(0.77, 0.46, 0.06, 0.26, WHITE);
}

fn parking(b: &mut Brush<'_>, _: usize) {
    b.round_rect(0.02, 0.0, 0.96, 1.0, 0.07, WHITE);
    b.round_rect(0.06, 0.04, 0.88, 0.92, 0.05, BLUE);
    b.line(&[(0.37, 0.8), (0.37, 0.2), (0.55, 0.2), (0.66, 0.28), (0.66, 0.42), (0.55, 0.5), (0.37, 0.5)], 0.11, WHITE);
}
