//! What belongs on a camp site or in a garden: tent, umbrella, canoe, snowman.

use crate::{
    brush::Point,
    colour::{BLACK, WHITE, rgb},
    random::Random,
    things::{Facing, Look},
};

/// A tent.
pub fn tent(random: &mut Random, _: Facing) -> Look {
    let (colour, cloth) = random.paint(&["green", "orange", "blue", "yellow", "red", "teal"]);
    Look::new(colour, 1.8, random.range(1.2, 1.6), move |b, _| {
        b.lines(&[[(0.45, 0.02), (0.0, 0.98)], [(1.5, 0.12), (1.8, 0.98)]], 0.012, rgb(210, 206, 190));
        b.poly(&[(0.5, 0.02), (1.46, 0.12), (1.74, 0.98), (0.9, 1.0)], cloth.shade(0.78));
        b.poly(&[(0.5, 0.02), (0.92, 1.0), (0.08, 1.0)], cloth);
        b.poly(&[(0.5, 0.2), (0.7, 1.0), (0.34, 1.0)], cloth.shade(0.28));
        b.poly(&[(0.5, 0.2), (0.6, 0.55), (0.76, 1.0), (0.62, 1.0)], cloth.shade(1.2));
        b.line(&[(0.5, 0.02), (1.46, 0.12)], 0.025, cloth.shade(0.6));
    })
    .stretched(random.range(0.86, 1.1))
}

/// A parasol, open, on its pole.
pub fn umbrella(random: &mut Random, _: Facing) -> Look {
    let (colour, cloth) = random.paint(&["red", "blue", "green", "yellow", "purple", "teal"]);
    let (_, other) = random.paint(&["white", "yellow", "beige"]);
    Look::new(colour, 1.1, random.range(1.9, 2.4), move |b, _| {
        b.line(&[(0.55, 0.05), (0.55, 0.96)], 0.03, rgb(186, 180, 168));
        b.blob(&[(0.36, 1.0), (0.42, 0.95), (0.68, 0.95), (0.74, 1.0)], rgb(96, 96, 100));
        let rib = |t: f32| -> Point { (0.55 + (t - 0.5) * 1.08, 0.4 - 0.05 * (1.0 - (2.0 * t - 1.0).powi(2))) };
        for i in 0..6 {
            let (t, u) = (i as f32 / 6.0, (i + 1) as f32 / 6.0);
            let (p, q) = (rib(t), rib(u));
            let middle = f32::midpoint(t, u);
            let bulge = |x: f32| 0.55 + (x - 0.55) * 0.72;
            b.poly(
                &[(0.55, 0.03), (bulge(p.0), 0.16), p, (0.55 + (middle - 0.5) * 1.08, p.1.min(q.1) - 0.02), q, (bulge(q.0), 0.16)],
                if i % 2 == 0 { cloth } else { other },
            );
        }
        b.line(&[(0.55, 0.04), (0.55, 0.0)], 0.025, rgb(186, 180, 168));
    })
    .stretched(random.range(0.92, 1.1))
}

/// A canoe on the ground, with its paddle.
pub fn canoe(random: &mut Random, _: Facing) -> Look {
    let (colour, hull) = random.paint(&["red", "green", "yellow", "blue", "orange"]);
    Look::new(colour, 4.2, random.range(0.6, 0.75), move |b, _| {
        b.blob(
            &[
                (0.04, 0.14),
                (0.5, 0.34),
                (2.1, 0.42),
                (3.7, 0.34),
                (4.16, 0.14),
                (4.0, 0.66),
                (3.4, 0.94),
                (2.1, 1.0),
                (0.8, 0.94),
                (0.2, 0.66),
            ],
            hull,
        );
        b.atop(|b| {
            b.blob(
                &[(0.0, 0.1), (0.5, 0.34), (2.1, 0.42), (3.7, 0.34), (4.2, 0.1), (3.7, 0.48), (2.1, 0.58), (0.5, 0.48)],
                rgb(150, 110, 66),
            );
        });
        b.lines(&[[(1.2, 0.42), (1.2, 0.54)], [(2.1, 0.44), (2.1, 0.57)], [(3.0, 0.42), (3.0, 0.54)]], 0.1, rgb(112, 78, 46));
        b.line(&[(1.0, 0.0), (3.2, 0.5)], 0.06, rgb(206, 172, 116));
        b.blob(&[(0.62, -0.06), (1.02, -0.03), (1.06, 0.06), (0.64, 0.06)], rgb(206, 172, 116));
    })
    .stretched(random.range(0.86, 1.05))
}

/// A snowman, in any weather.
pub fn snowman(random: &mut Random, _: Facing) -> Look {
    let (colour, scarf) = random.paint(&["red", "blue", "green", "purple"]);
    Look::new(colour, 0.72, random.range(1.3, 1.8), move |b, _| {
        let snow = rgb(240, 244, 250);
        b.lines(
            &[vec![(0.2, 0.46), (0.02, 0.34)], vec![(0.52, 0.46), (0.7, 0.32)], vec![(0.62, 0.39), (0.7, 0.42)]],
            0.025,
            rgb(96, 66, 42),
        );
        for (y, r) in [(0.77, 0.25), (0.47, 0.185), (0.26, 0.13)] {
            b.ellipse(0.36, y, r * 1.06, r * 0.95, snow.shade(0.84));
            b.ellipse(0.345, y - r * 0.05, r * 0.97, r * 0.86, snow);
        }
        b.round_rect(0.22, 0.135, 0.28, 0.035, 0.01, BLACK);
        b.round_rect(0.27, 0.0, 0.18, 0.15, 0.01, BLACK);
        b.rect(0.27, 0.1, 0.18, 0.03, scarf);
        b.line(&[(0.25, 0.37), (0.47, 0.37), (0.49, 0.52)], 0.05, scarf);
        b.poly(&[(0.38, 0.25), (0.56, 0.28), (0.38, 0.29)], rgb(240, 130, 34));
        for (x, y) in [(0.32, 0.225), (0.41, 0.225), (0.37, 0.46), (0.37, 0.53), (0.37, 0.7)] {
            b.disc(x, y, 0.017, BLACK);
        }
        b.disc(0.3, 0.2, 0.006, WHITE);
    })
    .stretched(random.range(0.92, 1.1))
}

/// A cactus, in its pot.
pub fn cactus(random: &mut Random, _: Facing) -> Look {
    let flesh = random.near(rgb(62, 132, 72), 12.0);
    let bloom = random.chance(0.5);
    Look::new("green", 0.72, random.range(1.2, 1.9), move |b, _| {
        b.limb(&[(0.36, 0.8, 0.17), (0.36, 0.12, 0.17)], flesh);
        b.limb(&[(0.36, 0.58, 0.1), (0.13, 0.55, 0.1), (0.12, 0.34, 0.1)], flesh.shade(0.92));
        b.limb(&[(0.36, 0.46, 0.1), (0.59, 0.43, 0.1), (0.6, 0.2, 0.1)], flesh.shade(0.92));
        let ribs: Vec<[Point; 2]> = [(0.31, 0.09), (0.36, 0.06), (0.41, 0.09)].map(|(x, y)| [(x, y), (x, 0.76)]).into();
        b.lines(&ribs, 0.012, flesh.shade(0.62));
        if bloom {
            b.disc(0.36, 0.05, 0.045, rgb(240, 90, 130));
            b.disc(0.12, 0.29, 0.034, rgb(240, 90, 130));
        }
        b.poly(&[(0.18, 0.74), (0.54, 0.74), (0.49, 1.0), (0.23, 1.0)], rgb(186, 98, 62));
        b.rect(0.16, 0.72, 0.4, 0.07, rgb(206, 114, 74));
    })
    .stretched(random.range(0.9, 1.12))
}
