//! Four-footed animals: deer, dog, cow, horse, elephant.

use crate::{
    brush::{Brush, Point},
    colour::{BLACK, Rgb, rgb},
    random::Random,
    things::{Facing, Look},
};

/// Four legs between belly and ground: the far pair first and darker. `at` are the legs' x, back then front; the swing opens each pair.
pub(super) fn legs(b: &mut Brush<'_>, at: [f32; 2], hip: f32, width: f32, swing: f32, hide: Rgb, hoof: Rgb) {
    for (offset, sign, shade) in [(0.07, -1.0, 0.68), (0.0, 1.0, 1.0)] {
        for (i, x) in at.into_iter().enumerate() {
            let back = i == 0;
            let step = swing * sign * if back { 1.0 } else { -1.0 };
            let (x, knee) = (x + offset, f32::midpoint(hip, 1.0));
            let bend = if back { -0.025 } else { 0.012 };
            b.limb(&[(x, hip, width * 1.7), (x + bend + step * 0.5, knee, width), (x + step, 0.97, width * 0.8)], hide.shade(shade));
            b.limb(&[(x + step, 0.955, width * 0.85), (x + step + width * 0.25, 0.98, width * 0.8)], hoof.shade(shade));
        }
    }
}

fn eye(b: &mut Brush<'_>, x: f32, y: f32, r: f32) {
    b.disc(x, y, r, BLACK.shade(0.6));
    b.disc(x + r * 0.3, y - r * 0.3, r * 0.35, rgb(250, 250, 250));
}

/// A deer, with antlers or without.
pub fn deer(random: &mut Random, _: Facing) -> Look {
    let base = random.pick(&[rgb(158, 102, 58), rgb(134, 88, 54), rgb(178, 124, 74)]);
    let hide = random.near(base, 10.0);
    let (stag, spotted, stance) = (random.chance(0.75), random.chance(0.5), random.range(0.02, 0.08));
    Look::new("brown", 1.02, random.range(1.35, 1.65), move |b, pose| {
        legs(b, [0.2, 0.58], 0.6, 0.042, stance + pose.stride * 0.06, hide, rgb(52, 40, 34));
        b.blob(
            &[(0.08, 0.47), (0.13, 0.41), (0.4, 0.42), (0.62, 0.4), (0.72, 0.5), (0.68, 0.64), (0.4, 0.65), (0.16, 0.65), (0.08, 0.57)],
            hide,
        );
        b.atop(|b| b.blob(&[(0.2, 0.62), (0.45, 0.59), (0.68, 0.6), (0.6, 0.7), (0.3, 0.7)], rgb(226, 206, 178)));
        b.blob(&[(0.04, 0.48), (0.1, 0.44), (0.12, 0.56), (0.06, 0.6)], rgb(240, 232, 218));
        b.limb(&[(0.64, 0.5, 0.2), (0.74, 0.34, 0.12), (0.79, 0.26, 0.11)], hide);
        b.blob(&[(0.68, 0.24), (0.58, 0.2), (0.6, 0.27), (0.7, 0.29)], hide.shade(0.8));
        b.blob(&[(0.72, 0.22), (0.82, 0.19), (0.94, 0.27), (1.0, 0.31), (0.98, 0.35), (0.88, 0.35), (0.76, 0.33)], hide);
        b.disc(0.985, 0.32, 0.018, BLACK);
        eye(b, 0.83, 0.255, 0.017);
        if stag {
            let horn = rgb(212, 188, 146);
            for (dx, tone) in [(0.07, 0.72), (0.0, 1.0)] {
                let x = 0.74 + dx;
                b.curve(&[(x, 0.22), (x - 0.1, 0.14), (x - 0.08, 0.02)], 0.026, horn.shade(tone));
                b.lines(
                    &[[(x - 0.07, 0.16), (x - 0.17, 0.08)], [(x - 0.095, 0.11), (x - 0.01, 0.03)], [(x - 0.04, 0.19), (x + 0.05, 0.1)]],
                    0.02,
                    horn.shade(tone),
                );
            }
        }
        if spotted {
            for i in 0..6 {
                b.disc(0.2 + i as f32 * 0.075, 0.47 + 0.04 * (i % 2) as f32, 0.013, rgb(236, 220, 194));
            }
        }
    })
    .stretched(random.range(0.94, 1.08))
}

/// A dog.
pub fn dog(random: &mut Random, _: Facing) -> Look {
    let coats = [
        ("brown", rgb(134, 88, 50)),
        ("black", rgb(46, 43, 43)),
        ("white", rgb(230, 224, 212)),
        ("beige", rgb(212, 172, 116)),
        ("grey", rgb(134, 130, 126)),
    ];
    let (colour, coat) = random.pick(&coats);
    let coat = random.near(coat, 10.0);
    let (lop, patch) = (random.chance(0.5), random.chance(0.35));
    let (_, collar) = random.paint(&["red", "blue", "yellow"]);
    let stance = random.range(0.03, 0.09);
    Look::new(colour, 1.2, random.range(0.5, 0.8), move |b, pose| {
        b.curve(&[(0.17, 0.5), (0.06, 0.42), (0.02, 0.26), (0.1, 0.18)], 0.075, coat.shade(0.9));
        legs(b, [0.22, 0.66], 0.66, 0.075, stance + pose.stride * 0.09, coat, coat.shade(0.85));
        b.blob(
            &[
                (0.12, 0.52),
                (0.2, 0.43),
                (0.5, 0.44),
                (0.74, 0.4),
                (0.84, 0.52),
                (0.78, 0.72),
                (0.55, 0.7),
                (0.36, 0.64),
                (0.2, 0.7),
                (0.12, 0.62),
            ],
            coat,
        );
        if patch {
            b.atop(|b| b.blob(&[(0.3, 0.4), (0.5, 0.42), (0.52, 0.56), (0.36, 0.6), (0.26, 0.52)], rgb(250, 250, 248).mix(coat, 0.15)));
        }
        b.limb(&[(0.76, 0.53, 0.26), (0.86, 0.34, 0.2)], coat);
        b.line(&[(0.74, 0.38), (0.94, 0.47)], 0.045, collar);
        b.blob(
            &[(0.76, 0.22), (0.84, 0.1), (0.96, 0.12), (1.04, 0.2), (1.18, 0.24), (1.19, 0.34), (1.04, 0.38), (0.9, 0.4), (0.78, 0.34)],
            coat,
        );
        b.atop(|b| b.blob(&[(1.04, 0.26), (1.2, 0.28), (1.2, 0.4), (1.02, 0.4)], coat.shade(1.2)));
        b.ellipse(1.175, 0.25, 0.035, 0.03, BLACK);
        b.line(&[(1.06, 0.335), (1.17, 0.33)], 0.014, BLACK);
        eye(b, 0.985, 0.195, 0.026);
        if lop {
            b.blob(&[(0.78, 0.12), (0.88, 0.11), (0.9, 0.26), (0.82, 0.4), (0.74, 0.34)], coat.shade(0.66));
        } else {
            b.poly(&[(0.78, 0.2), (0.8, -0.02), (0.93, 0.13)], coat.shade(0.7));
        }
    })
    .stretched(random.range(0.9, 1.08))
}

/// A cow, most of them spotted.
pub fn cow(random: &mut Random, _: Facing) -> Look {
    let coats = [
        ("white", rgb(236, 234, 228), rgb(38, 36, 36)),
        ("brown", rgb(134, 80, 46), rgb(226, 212, 192)),
        ("black", rgb(46, 44, 44), rgb(234, 232, 228)),
        ("white", rgb(236, 232, 224), rgb(130, 78, 46)),
    ];
    let (colour, hide, spot) = random.pick(&coats);
    let spots: [(f32, f32, f32); 6] = std::array::from_fn(|_| (random.range(0.1, 1.1), random.range(0.22, 0.55), random.range(0.07, 0.16)));
    let stance = random.range(0.01, 0.05);
    Look::new(colour, 1.62, random.range(1.4, 1.65), move |b, pose| {
        b.curve(&[(0.09, 0.26), (0.03, 0.4), (0.05, 0.62)], 0.03, hide.shade(0.8));
        b.ellipse(0.05, 0.65, 0.03, 0.055, spot);
        legs(b, [0.2, 1.02], 0.68, 0.085, stance + pose.stride * 0.05, hide, rgb(48, 42, 40));
        b.ellipse(0.38, 0.7, 0.1, 0.075, rgb(232, 172, 162));
        b.blob(
            &[
                (0.06, 0.3),
                (0.14, 0.21),
                (0.5, 0.23),
                (0.9, 0.2),
                (1.14, 0.19),
                (1.26, 0.32),
                (1.22, 0.56),
                (1.08, 0.7),
                (0.6, 0.73),
                (0.26, 0.66),
                (0.09, 0.56),
            ],
            hide,
        );
        b.atop(|b| {
            for &(x, y, size) in &spots {
                b.blob(
                    &[
                        (x - size * 1.2, y),
                        (x - size * 0.3, y - size * 1.1),
                        (x + size, y - size * 0.5),
                        (x + size * 1.1, y + size * 0.5),
                        (x, y + size),
                    ],
                    spot,
                );
            }
        });
        b.limb(&[(1.12, 0.37, 0.36), (1.3, 0.27, 0.26)], hide);
        b.blob(&[(1.14, 0.19), (1.04, 0.16), (1.02, 0.23), (1.16, 0.27)], hide.shade(0.75));
        b.blob(&[(1.2, 0.14), (1.34, 0.12), (1.46, 0.24), (1.6, 0.36), (1.6, 0.46), (1.48, 0.5), (1.34, 0.42), (1.2, 0.3)], hide);
        b.atop(|b| b.blob(&[(1.24, 0.1), (1.4, 0.1), (1.46, 0.26), (1.34, 0.32)], spot));
        b.blob(&[(1.5, 0.35), (1.61, 0.36), (1.615, 0.47), (1.49, 0.51), (1.45, 0.43)], rgb(216, 164, 154));
        b.disc(1.575, 0.4, 0.014, BLACK);
        b.curve(&[(1.24, 0.13), (1.2, 0.04), (1.28, 0.0)], 0.035, rgb(228, 220, 198));
        b.curve(&[(1.32, 0.12), (1.34, 0.04), (1.42, 0.02)], 0.035, rgb(228, 220, 198));
        eye(b, 1.38, 0.225, 0.022);
    })
    .stretched(random.range(0.94, 1.06))
}

/// A horse.
pub fn horse(random: &mut Random, _: Facing) -> Look {
    let coats = [
        ("brown", rgb(118, 70, 38)),
        ("black", rgb(52, 48, 48)),
        ("white", rgb(228, 222, 212)),
        ("brown", rgb(160, 102, 56)),
        ("grey", rgb(146, 144, 142)),
    ];
    let (colour, coat) = random.pick(&coats);
    let coat = random.near(coat, 10.0);
    let mane = if colour == "white" || colour == "grey" { rgb(196, 188, 176) } else { coat.shade(0.4) };
    let (blaze, socks, stance) = (random.chance(0.5), random.chance(0.4), random.range(0.02, 0.09));
    Look::new(colour, 1.18, random.range(1.95, 2.25), move |b, pose| {
        b.blob(&[(0.1, 0.36), (0.05, 0.42), (0.02, 0.6), (0.05, 0.76), (0.11, 0.6), (0.14, 0.44)], mane);
        legs(b, [0.22, 0.68], 0.6, 0.052, stance + pose.stride * 0.1, coat, if socks { rgb(232, 228, 220) } else { rgb(44, 38, 36) });
        b.blob(
            &[
                (0.09, 0.42),
                (0.16, 0.34),
                (0.32, 0.35),
                (0.5, 0.37),
                (0.7, 0.32),
                (0.84, 0.42),
                (0.8, 0.58),
                (0.6, 0.61),
                (0.4, 0.6),
                (0.18, 0.62),
                (0.1, 0.54),
            ],
            coat,
        );
        b.blob(&[(0.64, 0.36), (0.8, 0.14), (0.9, 0.06), (0.98, 0.16), (0.92, 0.26), (0.86, 0.46), (0.74, 0.52)], coat);
        b.blob(&[(0.62, 0.38), (0.68, 0.22), (0.8, 0.07), (0.9, 0.03), (0.86, 0.12), (0.76, 0.26), (0.72, 0.4)], mane);
        b.blob(&[(0.86, 0.06), (0.95, 0.06), (1.06, 0.18), (1.16, 0.28), (1.15, 0.35), (1.07, 0.36), (0.98, 0.27), (0.88, 0.22)], coat);
        b.poly(&[(0.87, 0.08), (0.89, -0.02), (0.94, 0.07)], coat);
        if blaze {
            b.atop(|b| b.line(&[(0.99, 0.08), (1.1, 0.2)], 0.035, rgb(244, 242, 236)));
        }
        b.atop(|b| b.ellipse(1.14, 0.32, 0.05, 0.05, coat.shade(0.6)));
        eye(b, 0.97, 0.135, 0.016);
        b.blob(&[(0.88, 0.04), (0.94, 0.05), (1.0, 0.13), (0.94, 0.12)], mane);
    })
    .stretched(random.range(0.94, 1.08))
}

/// An elephant.
pub fn elephant(random: &mut Random, _: Facing) -> Look {
    let hide = random.near(rgb(128, 124, 128), 12.0);
    let (tusks, up) = (random.chance(0.8), random.range(0.0, 1.0));
    Look::new("grey", 1.36, random.range(2.4, 3.1), move |b, pose| {
        let swing = pose.stride * 0.04;
        b.curve(&[(0.08, 0.28), (0.03, 0.42), (0.04, 0.58)], 0.025, hide.shade(0.7));
        for (x, tone) in [(0.27 - swing, 0.7), (0.78 + swing, 0.7), (0.12 + swing, 0.96), (0.62 - swing, 0.96)] {
            b.blob(
                &[(x, 0.48), (x + 0.2, 0.48), (x + 0.18, 0.8), (x + 0.19, 0.99), (x + 0.09, 1.0), (x, 0.99), (x + 0.01, 0.8)],
                hide.shade(tone),
            );
            b.lines(&[[(x + 0.03, 0.985), (x + 0.15, 0.985)]], 0.02, rgb(206, 198, 190).shade(tone));
        }
        b.blob(
            &[(0.05, 0.36), (0.14, 0.16), (0.4, 0.06), (0.66, 0.1), (0.84, 0.18), (0.88, 0.44), (0.76, 0.64), (0.44, 0.7), (0.14, 0.64)],
            hide,
        );
        let trunk: &[(f32, f32, f32)] = if up > 0.7 {
            &[(1.1, 0.3, 0.2), (1.22, 0.46, 0.13), (1.3, 0.34, 0.09), (1.31, 0.14, 0.06)]
        } else {
            &[(1.1, 0.3, 0.2), (1.2, 0.5, 0.14), (1.22, 0.72, 0.1), (1.29, 0.85, 0.07)]
        };
        b.limb(trunk, hide);
        b.blob(&[(0.84, 0.16), (0.98, 0.04), (1.12, 0.08), (1.18, 0.24), (1.12, 0.42), (0.94, 0.46), (0.82, 0.36)], hide);
        b.blob(&[(0.76, 0.12), (0.9, 0.08), (0.98, 0.22), (0.95, 0.44), (0.86, 0.54), (0.74, 0.4), (0.7, 0.24)], hide.shade(0.76));
        b.blob(&[(0.78, 0.16), (0.89, 0.13), (0.94, 0.24), (0.91, 0.4), (0.85, 0.46), (0.77, 0.36)], hide.shade(0.9));
        eye(b, 1.07, 0.2, 0.019);
        if tusks {
            let tusk: &[Point] = &[(1.1, 0.41), (1.2, 0.52), (1.32, 0.5)];
            b.curve(tusk, 0.042, rgb(244, 238, 222));
        }
    })
    .stretched(random.range(0.94, 1.06))
}
