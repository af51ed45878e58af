//! What is pushed by hand: shopping cart, stroller, wheelchair.

use crate::{
    brush::Point,
    colour::{BLACK, PALETTE, Rgb, STEEL, rgb},
    random::Random,
    things::{Facing, Look, bikes::spoked_wheel},
};

/// A shopping cart.
pub fn shopping_cart(random: &mut Random, _: Facing) -> Look {
    let (colour, handle) = random.paint(&["red", "blue", "green", "yellow"]);
    let wire = random.near(rgb(182, 186, 192), 10.0);
    let goods: Vec<(f32, f32, f32, Rgb)> = if random.chance(0.4) {
        (0..7).map(|i| (0.34 + i as f32 * 0.08, random.range(0.2, 0.42), random.range(0.07, 0.12), random.pick(&PALETTE).1)).collect()
    } else {
        Vec::new()
    };
    Look::new(colour, 1.06, random.range(0.98, 1.12), move |b, _| {
        for &(x, y, r, of) in &goods {
            b.round_rect(x - r, y - r, 2.0 * r, 2.0 * r, r * 0.4, of);
        }
        // The basket's corners: top back, top front, bottom front, bottom back.
        let (tb, tf, bf, bb): (Point, Point, Point, Point) = ((0.18, 0.17), (1.04, 0.25), (0.93, 0.62), (0.27, 0.66));
        let between = |p: Point, q: Point, t: f32| (p.0 + (q.0 - p.0) * t, p.1 + (q.1 - p.1) * t);
        b.poly(&[tb, tf, bf, bb], wire.alpha(0.16));
        let mut mesh: Vec<[Point; 2]> = (0..=9).map(|i| i as f32 / 9.0).map(|t| [between(tb, tf, t), between(bb, bf, t)]).collect();
        mesh.extend((1..5).map(|i| i as f32 / 5.0).map(|t| [between(tb, bb, t), between(tf, bf, t)]));
        b.lines(&mesh, 0.02, wire);
        b.line(&[tb, tf, bf, bb, tb], 0.04, wire);
        b.line(&[(0.03, 0.05), (0.18, 0.17), (0.27, 0.66), (0.2, 0.86), (0.95, 0.84)], 0.042, wire.shade(0.85));
        b.line(&[(0.02, 0.05), (0.15, 0.06)], 0.065, handle);
        b.round_rect(0.44, 0.3, 0.36, 0.12, 0.02, handle);
        for x in [0.25, 0.9] {
            b.disc(x, 0.93, 0.068, BLACK);
            b.disc(x, 0.93, 0.028, STEEL);
        }
    })
    .stretched(random.range(0.92, 1.08))
}

/// A stroller.
pub fn stroller(random: &mut Random, _: Facing) -> Look {
    let (colour, cloth) = random.paint(&["red", "blue", "black", "purple", "teal", "pink", "grey", "green"]);
    let open = random.range(0.0, 1.0);
    Look::new(colour, 0.95, random.range(0.98, 1.12), move |b, _| {
        let pole = rgb(112, 114, 120);
        b.curve(&[(0.02, 0.18), (0.1, 0.17), (0.3, 0.44), (0.7, 0.86)], 0.042, pole);
        b.lines(&[vec![(0.26, 0.86), (0.66, 0.5)], vec![(0.26, 0.86), (0.7, 0.86)]], 0.036, pole);
        b.blob(&[(0.24, 0.4), (0.88, 0.4), (0.9, 0.52), (0.76, 0.66), (0.46, 0.69), (0.28, 0.6)], cloth.shade(0.78));
        let brim = 0.9 - open * 0.14;
        b.poly(&[(0.24, 0.43), (0.2, 0.3), (0.25, 0.13), (0.4, 0.03), (0.58, 0.01), (0.76, 0.06), (brim, 0.2), (0.58, 0.43)], cloth);
        b.lines(&[[(0.57, 0.42), (0.4, 0.04)], [(0.57, 0.42), (0.58, 0.02)], [(0.57, 0.42), (0.76, 0.08)]], 0.018, cloth.shade(0.62));
        b.disc(0.72, 0.37, 0.05, rgb(232, 190, 156));
        b.blob(&[(0.5, 0.44), (0.7, 0.4), (0.92, 0.46), (0.86, 0.56), (0.56, 0.55)], cloth.shade(1.25));
        b.round_rect(0.34, 0.73, 0.3, 0.08, 0.02, cloth.shade(0.5));
        for x in [0.26, 0.74] {
            spoked_wheel(b, (x, 0.86), 0.14, 0.04);
        }
    })
    .stretched(random.range(0.92, 1.08))
}

/// A wheelchair without anyone in it.
pub fn wheelchair(random: &mut Random, _: Facing) -> Look {
    let (colour, cloth) = random.paint(&["black", "blue", "red", "green", "purple"]);
    Look::new(colour, 0.95, random.range(0.92, 1.06), move |b, _| {
        let tube = rgb(166, 168, 176);
        b.round_rect(0.17, 0.08, 0.09, 0.46, 0.03, cloth.shade(0.85));
        b.line(&[(0.05, 0.07), (0.19, 0.08), (0.24, 0.54), (0.7, 0.54), (0.78, 0.86), (0.93, 0.9)], 0.042, tube);
        b.line(&[(0.03, 0.07), (0.12, 0.07)], 0.055, BLACK);
        b.round_rect(0.22, 0.46, 0.48, 0.09, 0.03, cloth);
        b.line(&[(0.22, 0.33), (0.6, 0.33), (0.63, 0.52)], 0.036, tube);
        b.line(&[(0.3, 0.32), (0.56, 0.32)], 0.055, BLACK);
        spoked_wheel(b, (0.36, 0.68), 0.32, 0.045);
        b.ring(0.36, 0.68, 0.255, 0.018, tube);
        b.line(&[(0.66, 0.56), (0.7, 0.86)], 0.034, tube);
        b.disc(0.7, 0.91, 0.088, BLACK);
        b.disc(0.7, 0.91, 0.04, STEEL);
        b.line(&[(0.82, 0.93), (0.94, 0.9)], 0.05, rgb(60, 60, 64));
    })
    .stretched(random.range(0.92, 1.08))
}
