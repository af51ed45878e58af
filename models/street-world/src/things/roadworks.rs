//! What stands around roadworks: cones and barrels.

use crate::{
    brush::Point,
    colour::{BLACK, WHITE, rgb},
    random::Random,
    things::{Facing, Look},
};

/// A traffic cone.
pub fn traffic_cone(random: &mut Random, _: Facing) -> Look {
    let paint = random.near(rgb(238, 98, 24), 12.0);
    let bands: &[(f32, f32)] = if random.chance(0.5) { &[(0.32, 0.56)] } else { &[(0.22, 0.38), (0.52, 0.7)] };
    Look::new("orange", 0.7, random.range(0.55, 0.85), move |b, _| {
        b.blob(&[(0.02, 0.93), (0.35, 0.9), (0.68, 0.93), (0.69, 0.98), (0.35, 1.0), (0.01, 0.98)], paint.shade(0.72));
        let edge = |y: f32| 0.05 + 0.21 * (y - 0.02) / 0.9;
        b.poly(&[(0.3, 0.03), (0.33, 0.0), (0.37, 0.0), (0.4, 0.03), (0.61, 0.92), (0.35, 0.96), (0.09, 0.92)], paint);
        for &(top, bottom) in bands {
            let (t, u) = (edge(top), edge(bottom));
            let band: [Point; 6] =
                [(0.35 - t, top), (0.35, top + 0.02), (0.35 + t, top), (0.35 + u, bottom), (0.35, bottom + 0.025), (0.35 - u, bottom)];
            b.poly(&band, WHITE);
        }
        b.atop(|b| {
            b.poly(&[(0.38, 0.0), (0.42, 0.0), (0.64, 0.93), (0.44, 0.96)], BLACK.alpha(0.16));
            b.poly(&[(0.33, 0.02), (0.35, 0.02), (0.25, 0.93), (0.18, 0.93)], WHITE.alpha(0.2));
        });
    })
    .stretched(random.range(0.88, 1.12))
}

/// A barrel: striped ones warn, the others were lost.
pub fn barrel(random: &mut Random, _: Facing) -> Look {
    let kinds = [
        ("orange", rgb(238, 106, 26)),
        ("blue", rgb(42, 88, 166)),
        ("brown", rgb(126, 74, 42)),
        ("green", rgb(54, 110, 74)),
        ("grey", rgb(106, 108, 112)),
    ];
    let (colour, paint) = random.pick(&kinds);
    let paint = random.near(paint, 10.0);
    let (striped, wooden) = (colour == "orange", colour == "brown");
    Look::new(colour, 0.68, random.range(0.9, 1.1), move |b, _| {
        let belly = if wooden { 0.05 } else { 0.0 };
        b.blob(
            &[(0.04, 0.1), (0.34, 0.06), (0.64, 0.1), (0.64 + belly, 0.5), (0.64, 0.92), (0.34, 1.0), (0.04, 0.92), (0.04 - belly, 0.5)],
            paint,
        );
        b.atop(|b| {
            let bands: &[(f32, f32)] = if striped { &[(0.24, 0.14), (0.54, 0.14)] } else { &[(0.3, 0.035), (0.64, 0.035)] };
            for &(y, high) in bands {
                let ink = if striped { WHITE } else { paint.shade(0.55) };
                b.blob(&[(-0.1, y), (0.34, y + 0.05), (0.78, y), (0.78, y + high), (0.34, y + high + 0.05), (-0.1, y + high)], ink);
            }
            if wooden {
                let staves: Vec<[Point; 2]> = (1..6).map(|i| i as f32 * 0.115).map(|x| [(x, 0.1), (x, 0.97)]).collect();
                b.lines(&staves, 0.01, paint.shade(0.6));
            }
            b.rect(0.5, 0.0, 0.22, 1.0, BLACK.alpha(0.24));
            b.rect(0.1, 0.0, 0.1, 1.0, WHITE.alpha(0.18));
        });
        b.ellipse(0.34, 0.1, 0.3, 0.085, paint.shade(1.22));
        b.ellipse(0.34, 0.105, 0.25, 0.062, paint.shade(0.68));
        b.disc(0.46, 0.1, 0.028, BLACK);
    })
    .stretched(random.range(0.92, 1.1))
}
