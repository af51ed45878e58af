//! Animals from elsewhere: kangaroo, giraffe, ostrich, crocodile.

use crate::{
    colour::{BLACK, WHITE, rgb},
    random::Random,
    things::{Facing, Look, animals::legs},
};

/// A kangaroo.
pub fn kangaroo(random: &mut Random, _: Facing) -> Look {
    let base = random.pick(&[rgb(166, 116, 76), rgb(142, 122, 104)]);
    let fur = random.near(base, 10.0);
    Look::new("brown", 0.95, random.range(1.4, 1.75), move |b, pose| {
        b.limb(&[(0.36, 0.74, 0.2), (0.2, 0.88, 0.1), (0.02, 0.97, 0.05)], fur.shade(0.85));
        b.limb(&[(0.56, 0.4, 0.06), (0.7, 0.5 + pose.stride * 0.02, 0.045), (0.78, 0.46, 0.035)], fur.shade(0.72));
        b.blob(
            &[(0.26, 0.74), (0.3, 0.54), (0.44, 0.36), (0.56, 0.26), (0.64, 0.3), (0.64, 0.46), (0.6, 0.7), (0.48, 0.86), (0.32, 0.86)],
            fur,
        );
        b.atop(|b| b.blob(&[(0.56, 0.4), (0.68, 0.4), (0.62, 0.72), (0.5, 0.84), (0.5, 0.6)], fur.mix(WHITE, 0.5)));
        b.limb(&[(0.4, 0.72, 0.24), (0.58, 0.8, 0.13), (0.46, 0.94, 0.08)], fur.shade(0.92));
        b.limb(&[(0.42, 0.965, 0.065), (0.74, 0.97, 0.05)], fur.shade(0.7));
        b.limb(&[(0.54, 0.42, 0.07), (0.66, 0.54 - pose.stride * 0.02, 0.05), (0.74, 0.52, 0.04)], fur.shade(0.88));
        b.limb(&[(0.58, 0.34, 0.14), (0.66, 0.2, 0.1)], fur);
        b.blob(&[(0.62, 0.02), (0.67, 0.0), (0.69, 0.12), (0.63, 0.14)], fur.shade(0.75));
        b.blob(&[(0.7, 0.01), (0.75, 0.02), (0.73, 0.13), (0.68, 0.13)], fur.shade(0.9));
        b.blob(&[(0.61, 0.14), (0.7, 0.09), (0.8, 0.15), (0.9, 0.2), (0.88, 0.25), (0.76, 0.26), (0.64, 0.24)], fur);
        b.disc(0.89, 0.21, 0.016, BLACK);
        b.disc(0.74, 0.155, 0.016, BLACK);
    })
    .stretched(random.range(0.94, 1.06))
}

/// A giraffe.
pub fn giraffe(random: &mut Random, _: Facing) -> Look {
    let hide = random.near(rgb(222, 182, 110), 8.0);
    let patches: Vec<(f32, f32, f32)> = (0..46)
        .map(|i| {
            (
                0.08 + 0.62 * ((i * 37 % 46) as f32 / 46.0) + random.range(-0.02, 0.02),
                0.03 + 0.72 * (i as f32 / 46.0),
                random.range(0.026, 0.04),
            )
        })
        .collect();
    Look::new("yellow", 0.72, random.range(3.6, 4.4), move |b, pose| {
        b.curve(&[(0.1, 0.5), (0.05, 0.6), (0.06, 0.72)], 0.015, hide.shade(0.6));
        legs(b, [0.16, 0.4], 0.64, 0.034, 0.02 + pose.stride * 0.04, hide, rgb(92, 66, 46));
        b.blob(&[(0.09, 0.54), (0.18, 0.48), (0.34, 0.42), (0.46, 0.4), (0.5, 0.5), (0.46, 0.66), (0.3, 0.66), (0.14, 0.66)], hide);
        b.limb(&[(0.43, 0.47, 0.15), (0.52, 0.24, 0.085), (0.57, 0.08, 0.065)], hide);
        b.atop(|b| {
            for &(x, y, r) in &patches {
                b.blob(
                    &[(x - r, y - r * 0.3), (x, y - r * 0.8), (x + r, y - r * 0.1), (x + r * 0.5, y + r * 0.8), (x - r * 0.6, y + r * 0.7)],
                    rgb(142, 84, 42),
                );
            }
        });
        b.line(&[(0.4, 0.4), (0.53, 0.08)], 0.018, rgb(128, 78, 42));
        b.blob(&[(0.54, 0.05), (0.61, 0.035), (0.68, 0.075), (0.715, 0.105), (0.7, 0.128), (0.62, 0.125), (0.55, 0.105)], hide);
        b.lines(&[[(0.57, 0.05), (0.555, 0.008)], [(0.6, 0.045), (0.6, 0.005)]], 0.014, rgb(112, 74, 44));
        b.poly(&[(0.55, 0.06), (0.48, 0.055), (0.54, 0.085)], hide.shade(0.8));
        b.disc(0.62, 0.07, 0.011, BLACK);
    })
    .stretched(random.range(0.92, 1.1))
}

/// An ostrich.
pub fn ostrich(random: &mut Random, _: Facing) -> Look {
    let (colour, feathers) = random.pick(&[("black", rgb(42, 40, 42)), ("grey", rgb(128, 118, 108))]);
    let skin = random.near(rgb(216, 170, 148), 8.0);
    Look::new(colour, 0.82, random.range(2.0, 2.5), move |b, pose| {
        let step = 0.05 + pose.stride * 0.08;
        for (dx, s, tone) in [(0.05, -step, 0.75), (0.0, step, 1.0)] {
            b.limb(&[(0.36 + dx, 0.6, 0.1), (0.4 + dx - s * 0.4, 0.78, 0.035), (0.36 + dx + s, 0.97, 0.03)], skin.shade(tone));
            b.limb(&[(0.35 + dx + s, 0.98, 0.03), (0.43 + dx + s, 0.985, 0.022)], skin.shade(tone * 0.8));
        }
        b.limb(&[(0.54, 0.5, 0.09), (0.66, 0.34, 0.05), (0.63, 0.16, 0.042), (0.65, 0.06, 0.04)], skin);
        b.blob(&[(0.14, 0.5), (0.26, 0.42), (0.46, 0.42), (0.6, 0.48), (0.58, 0.6), (0.4, 0.68), (0.2, 0.64)], feathers);
        b.blob(&[(0.02, 0.46), (0.14, 0.42), (0.26, 0.5), (0.16, 0.62), (0.04, 0.58)], rgb(238, 236, 230));
        b.blob(&[(0.22, 0.5), (0.4, 0.46), (0.5, 0.54), (0.38, 0.63), (0.26, 0.6)], feathers.shade(1.35));
        b.blob(&[(0.6, 0.03), (0.68, 0.01), (0.73, 0.05), (0.7, 0.09), (0.62, 0.09)], skin.shade(0.85));
        b.poly(&[(0.71, 0.035), (0.81, 0.06), (0.71, 0.085)], rgb(226, 160, 90));
        b.disc(0.68, 0.04, 0.014, BLACK);
    })
    .stretched(random.range(0.92, 1.08))
}

/// A crocodile.
pub fn crocodile(random: &mut Random, _: Facing) -> Look {
    let hide = random.near(rgb(86, 112, 62), 10.0);
    Look::new("green", 3.6, random.range(0.5, 0.7), move |b, pose| {
        let step = pose.stride * 0.12;
        for (x, tone) in [(1.3 + step, 0.65), (2.3 - step, 0.65), (1.15 - step, 0.9), (2.15 + step, 0.9)] {
            b.limb(&[(x, 0.62, 0.3), (x - 0.1, 0.84, 0.2), (x + 0.16, 0.93, 0.13)], hide.shade(tone));
        }
        b.limb(&[(0.04, 0.82, 0.08), (0.5, 0.66, 0.26), (1.1, 0.5, 0.5), (2.2, 0.5, 0.52), (2.6, 0.46, 0.4)], hide);
        b.atop(|b| b.rect(0.0, 0.64, 3.0, 0.3, rgb(202, 200, 150)));
        let ridge: Vec<[(f32, f32); 3]> = (0..13)
            .map(|i| 0.5 + i as f32 * 0.16)
            .map(|x| (x, (0.5 - (x - 0.3) * 0.33).max(0.3)))
            .map(|(x, y)| [(x, y), (x + 0.07, y - 0.2), (x + 0.15, y)])
            .collect();
        b.polys(&ridge, hide.shade(0.72));
        b.blob(&[(2.5, 0.3), (2.72, 0.14), (2.9, 0.22), (3.3, 0.3), (3.58, 0.32), (3.58, 0.44), (3.0, 0.5), (2.6, 0.56)], hide);
        b.blob(&[(2.55, 0.6), (3.0, 0.54), (3.52, 0.6), (3.5, 0.7), (2.9, 0.72)], hide.shade(0.82));
        let teeth: Vec<[(f32, f32); 3]> =
            (0..8).map(|i| 2.9 + i as f32 * 0.085).map(|x| [(x, 0.46), (x + 0.07, 0.46), (x + 0.035, 0.62)]).collect();
        b.polys(&teeth, WHITE);
        b.disc(2.76, 0.22, 0.06, rgb(236, 206, 60));
        b.disc(2.77, 0.22, 0.03, BLACK);
    })
}
