//! Birds, on the wing and on the ground.

use crate::{
    colour::{BLACK, rgb},
    random::Random,
    things::{Facing, Look},
};

/// A bird: from the side it flies, else it stands.
pub fn bird(random: &mut Random, facing: Facing) -> Look {
    let plumages = [
        ("black", rgb(38, 38, 44)),
        ("white", rgb(238, 238, 236)),
        ("grey", rgb(124, 128, 136)),
        ("blue", rgb(52, 94, 176)),
        ("brown", rgb(116, 84, 56)),
        ("red", rgb(182, 48, 42)),
    ];
    let (colour, plumage) = random.pick(&plumages);
    let plumage = random.near(plumage, 10.0);
    let wing = if colour == "black" { plumage.shade(1.5) } else { plumage.shade(0.72) };
    if facing == Facing::Side {
        Look::new(colour, 1.7, random.range(0.5, 0.75), move |b, pose| {
            // The wings' tips beat between high and low.
            let tip = 0.3 - pose.stride * 0.28;
            b.blob(&[(0.86, 0.5), (0.8, 0.3), (0.98, tip + 0.04), (1.2, tip), (1.14, 0.34), (1.06, 0.52)], wing.shade(0.8));
            b.blob(&[(0.52, 0.55), (0.2, 0.5), (0.02, 0.56), (0.02, 0.7), (0.24, 0.66)], wing);
            b.blob(&[(0.3, 0.56), (0.6, 0.44), (1.0, 0.44), (1.28, 0.4), (1.46, 0.46), (1.44, 0.6), (1.1, 0.72), (0.66, 0.72)], plumage);
            b.poly(&[(1.42, 0.44), (1.68, 0.55), (1.42, 0.58)], rgb(240, 176, 44));
            b.disc(1.36, 0.48, 0.035, if colour == "black" { rgb(250, 250, 250) } else { BLACK });
            b.blob(
                &[
                    (0.62, 0.54),
                    (0.5, 0.3),
                    (0.34, tip - 0.02),
                    (0.16, tip - 0.06),
                    (0.5, tip - 0.1),
                    (0.82, 0.24),
                    (1.0, 0.52),
                    (0.8, 0.6),
                ],
                wing,
            );
        })
    } else {
        Look::new(colour, 1.12, random.range(0.42, 0.6), move |b, pose| {
            let step = pose.stride * 0.06;
            for (x, s) in [(0.5, step), (0.6, -step)] {
                b.line(&[(x, 0.7), (x + s, 0.97)], 0.035, rgb(216, 146, 44));
                b.line(&[(x + s - 0.04, 0.975), (x + s + 0.08, 0.975)], 0.03, rgb(216, 146, 44));
            }
            b.blob(&[(0.3, 0.5), (0.02, 0.74), (0.06, 0.84), (0.4, 0.7)], wing);
            b.blob(
                &[
                    (0.2, 0.58),
                    (0.34, 0.36),
                    (0.6, 0.28),
                    (0.66, 0.1),
                    (0.8, 0.03),
                    (0.93, 0.1),
                    (0.92, 0.28),
                    (0.84, 0.52),
                    (0.66, 0.74),
                    (0.4, 0.76),
                ],
                plumage,
            );
            b.blob(&[(0.16, 0.64), (0.32, 0.42), (0.56, 0.42), (0.62, 0.56), (0.44, 0.68)], wing);
            b.poly(&[(0.9, 0.1), (1.1, 0.2), (0.9, 0.24)], rgb(240, 176, 44));
            b.disc(0.82, 0.13, 0.03, if colour == "black" { rgb(250, 250, 250) } else { BLACK });
        })
        .stretched(random.range(0.92, 1.1))
    }
}
