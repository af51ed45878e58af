//! Cars: saloons, hatchbacks, off-roaders and taxis, from the side, the front and the back.

use crate::{
    brush::{Brush, Point},
    colour::{BLACK, GLASS, HEADLIGHT, Rgb, TAILLIGHT, WHITE, rgb},
    random::Random,
    things::{Facing, Look, bikes::wheel},
};

const COLOURS: [&str; 11] = ["red", "blue", "white", "black", "silver", "grey", "green", "yellow", "orange", "brown", "beige"];

/// A car.
pub fn car(random: &mut Random, facing: Facing) -> Look {
    let (colour, paint) = random.paint(&COLOURS);
    let roof = random.pick(&ROOFS);
    let tall = random.range(0.0, 1.0);
    let look = match facing {
        Facing::Side => Look::new(colour, 2.8, 1.42 + 0.22 * tall, move |b, _| side(b, paint, &roof)),
        Facing::Toward => Look::new(colour, 1.24, 1.42 + 0.22 * tall, move |b, _| end(b, paint, false)),
        Facing::Away => Look::new(colour, 1.24, 1.42 + 0.22 * tall, move |b, _| end(b, paint, true)),
    };
    look.stretched(random.range(0.92, 1.06))
}

/// The glasshouse from back to front: foot of the rear screen, roof, foot of the windscreen.
const ROOFS: [[Point; 6]; 3] = [
    [(0.5, 0.42), (0.86, 0.05), (1.2, 0.0), (1.6, 0.02), (1.78, 0.08), (2.2, 0.43)],
    [(0.1, 0.42), (0.3, 0.06), (0.8, 0.0), (1.5, 0.02), (1.7, 0.08), (2.12, 0.42)],
    [(0.07, 0.4), (0.16, 0.03), (0.7, 0.0), (1.6, 0.01), (1.84, 0.06), (2.1, 0.4)],
];

fn side(b: &mut Brush<'_>, paint: Rgb, roof: &[Point; 6]) {
    let tyre = 0.215;
    b.rect(0.2, 0.7, 2.4, 0.18, rgb(30, 30, 33));
    b.poly(roof, paint);
    b.blob(
        &[
            (0.03, 0.46),
            (0.25, 0.385),
            (1.3, 0.37),
            (2.15, 0.385),
            (2.6, 0.45),
            (2.76, 0.58),
            (2.77, 0.78),
            (2.6, 0.86),
            (0.2, 0.86),
            (0.02, 0.78),
        ],
        paint,
    );
    b.atop(|b| {
        b.rect(0.0, 0.74, 2.8, 0.14, paint.shade(0.6));
        b.rect(0.0, 0.52, 2.8, 0.025, paint.shade(1.25).alpha(0.7));
    });
    // Windows stand a little inside the roof's outline.
    let (cx, cy) = (1.2, 0.24);
    let inner: Vec<Point> = roof.iter().map(|&(x, y)| (cx + (x - cx) * 0.88, cy + (y - cy) * 0.8)).collect();
    b.poly(&inner, GLASS);
    b.atop(|b| b.poly(&[(0.9, 0.0), (1.1, 0.0), (0.8, 0.45), (0.6, 0.45)], WHITE.alpha(0.18)));
    b.polys(&[[(1.2, 0.02), (1.28, 0.02), (1.3, 0.42), (1.22, 0.42)]], paint);
    b.lines(&[vec![(1.26, 0.42), (1.27, 0.8)], vec![(2.0, 0.44), (1.93, 0.78)], vec![(0.55, 0.44), (0.72, 0.66)]], 0.014, paint.shade(0.5));
    b.polys(
        &[[(1.02, 0.48), (1.17, 0.48), (1.17, 0.505), (1.02, 0.505)], [(1.78, 0.48), (1.93, 0.48), (1.93, 0.505), (1.78, 0.505)]],
        paint.shade(0.45),
    );
    b.round_rect(1.96, 0.35, 0.12, 0.08, 0.03, paint.shade(0.7));
    for x in [0.56, 2.22] {
        b.disc(x, 1.0 - tyre, tyre * 1.16, rgb(22, 22, 25));
        wheel(b, x, 1.0 - tyre, tyre);
    }
    b.blob(&[(2.56, 0.5), (2.68, 0.52), (2.75, 0.6), (2.62, 0.59)], HEADLIGHT.glow());
    b.round_rect(0.02, 0.48, 0.1, 0.12, 0.02, TAILLIGHT.glow());
}

fn end(b: &mut Brush<'_>, paint: Rgb, rear: bool) {
    for x in [0.07, 0.93] {
        b.round_rect(x, 0.68, 0.24, 0.32, 0.06, BLACK);
    }
    b.rect(0.2, 0.78, 0.84, 0.12, rgb(26, 26, 28));
    b.blob(&[(0.08, 0.42), (0.2, 0.1), (0.36, 0.01), (0.62, -0.01), (0.88, 0.01), (1.04, 0.1), (1.16, 0.42), (0.62, 0.46)], paint);
    b.poly(&[(0.17, 0.4), (0.29, 0.1), (0.62, 0.07), (0.95, 0.1), (1.07, 0.4)], GLASS);
    b.atop(|b| b.poly(&[(0.4, 0.05), (0.52, 0.05), (0.4, 0.42), (0.26, 0.42)], WHITE.alpha(0.2)));
    b.blob(
        &[(0.06, 0.44), (0.3, 0.375), (0.94, 0.375), (1.18, 0.44), (1.23, 0.6), (1.2, 0.84), (0.62, 0.87), (0.04, 0.84), (0.01, 0.6)],
        paint,
    );
    b.atop(|b| b.rect(0.0, 0.74, 1.24, 0.2, paint.shade(0.62)));
    b.round_rect(0.0, 0.33, 0.1, 0.08, 0.03, paint.shade(0.75));
    b.round_rect(1.14, 0.33, 0.1, 0.08, 0.03, paint.shade(0.75));
    let lamp = if rear { TAILLIGHT } else { HEADLIGHT };
    if rear {
        b.round_rect(0.05, 0.47, 0.2, 0.15, 0.03, lamp.glow());
        b.round_rect(0.99, 0.47, 0.2, 0.15, 0.03, lamp.glow());
        b.line(&[(0.25, 0.47), (0.99, 0.47)], 0.015, paint.shade(0.6));
        b.round_rect(0.42, 0.55, 0.4, 0.11, 0.01, rgb(228, 228, 214));
    } else {
        b.blob(&[(0.05, 0.5), (0.28, 0.53), (0.3, 0.62), (0.1, 0.61)], lamp.glow());
        b.blob(&[(1.19, 0.5), (0.96, 0.53), (0.94, 0.62), (1.14, 0.61)], lamp.glow());
        b.round_rect(0.36, 0.54, 0.52, 0.12, 0.04, rgb(38, 38, 41));
        b.round_rect(0.42, 0.71, 0.4, 0.1, 0.01, rgb(228, 228, 214));
    }
}
