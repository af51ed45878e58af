//! Machines that have no business on a street: robot, washing machine, piano.

use crate::{
    brush::Point,
    colour::{BLACK, STEEL, WHITE, rgb},
    random::Random,
    things::{Facing, Look},
};

/// A robot on two legs.
pub fn robot(random: &mut Random, _: Facing) -> Look {
    let (colour, shell) = random.paint(&["silver", "white", "yellow", "teal", "orange"]);
    let eyes = random.pick(&[rgb(80, 220, 255), rgb(255, 70, 60), rgb(120, 255, 120)]);
    Look::new(colour, 0.62, random.range(1.3, 1.9), move |b, pose| {
        let step = pose.stride * 0.05;
        for (x, s) in [(0.22, step), (0.4, -step)] {
            b.line(&[(x, 0.66), (x + s, 0.93)], 0.06, STEEL.shade(0.8));
            b.disc(x + s * 0.5, 0.79, 0.045, rgb(70, 72, 78));
            b.round_rect(x + s - 0.08, 0.92, 0.17, 0.08, 0.02, shell.shade(0.7));
        }
        for (x, s, tone) in [(0.08, -step, 1.0), (0.54, step, 0.85)] {
            b.line(&[(x, 0.36), (x + s, 0.58)], 0.055, STEEL.shade(0.85 * tone));
            b.disc(x, 0.35, 0.055, rgb(70, 72, 78));
            b.lines(&[[(x + s, 0.58), (x + s - 0.04, 0.64)], [(x + s, 0.58), (x + s + 0.04, 0.64)]], 0.028, rgb(70, 72, 78));
        }
        b.round_rect(0.12, 0.29, 0.38, 0.38, 0.04, shell);
        b.round_rect(0.18, 0.37, 0.26, 0.16, 0.02, rgb(48, 52, 60));
        for (i, of) in [rgb(255, 80, 70), rgb(255, 210, 60), rgb(90, 230, 120)].into_iter().enumerate() {
            b.disc(0.23 + i as f32 * 0.08, 0.45, 0.026, of.glow());
        }
        b.line(&[(0.31, 0.29), (0.31, 0.24)], 0.09, rgb(70, 72, 78));
        b.round_rect(0.13, 0.07, 0.36, 0.19, 0.04, shell.shade(1.08));
        b.round_rect(0.17, 0.11, 0.28, 0.09, 0.04, rgb(34, 38, 46));
        b.disc(0.24, 0.155, 0.03, eyes.glow());
        b.disc(0.38, 0.155, 0.03, eyes.glow());
        b.line(&[(0.31, 0.07), (0.31, 0.02)], 0.018, STEEL);
        b.disc(0.31, 0.02, 0.024, rgb(255, 70, 60).glow());
    })
    .stretched(random.range(0.94, 1.12))
}

/// A washing machine.
pub fn washing_machine(random: &mut Random, _: Facing) -> Look {
    let (colour, body) = random.pick(&[("white", rgb(240, 240, 240)), ("white", rgb(232, 234, 238)), ("silver", rgb(178, 182, 188))]);
    let body = random.near(body, 6.0);
    Look::new(colour, 0.78, random.range(0.85, 1.0), move |b, _| {
        b.poly(&[(0.7, 0.04), (0.78, 0.0), (0.78, 0.94), (0.7, 0.99)], body.shade(0.66));
        b.poly(&[(0.0, 0.04), (0.08, 0.0), (0.78, 0.0), (0.7, 0.04)], body.shade(0.86));
        b.round_rect(0.0, 0.035, 0.7, 0.955, 0.02, body);
        b.rect(0.0, 0.17, 0.7, 0.012, body.shade(0.7));
        b.round_rect(0.04, 0.075, 0.2, 0.07, 0.01, body.shade(0.8));
        b.disc(0.4, 0.11, 0.035, STEEL);
        b.round_rect(0.5, 0.08, 0.15, 0.055, 0.01, rgb(40, 60, 66));
        b.disc(0.35, 0.57, 0.27, rgb(188, 192, 198));
        b.disc(0.35, 0.57, 0.215, rgb(58, 70, 82));
        b.blob(
            &[(0.16, 0.6), (0.26, 0.56), (0.36, 0.62), (0.46, 0.57), (0.54, 0.62), (0.48, 0.74), (0.35, 0.78), (0.22, 0.74)],
            rgb(120, 150, 190),
        );
        b.blob(&[(0.22, 0.44), (0.34, 0.39), (0.4, 0.42), (0.28, 0.5)], WHITE.alpha(0.5));
        b.rect(0.02, 0.93, 0.66, 0.04, body.shade(0.8));
    })
    .stretched(random.range(0.94, 1.08))
}

/// A grand piano.
pub fn piano(random: &mut Random, _: Facing) -> Look {
    let (colour, lacquer) = random.pick(&[("black", rgb(36, 36, 42)), ("brown", rgb(104, 58, 34)), ("white", rgb(236, 234, 228))]);
    Look::new(colour, 1.5, random.range(1.4, 1.7), move |b, _| {
        b.poly(&[(0.42, 0.44), (0.6, 0.02), (0.98, 0.04), (1.3, 0.2), (1.46, 0.42)], lacquer.shade(0.8));
        b.poly(&[(0.5, 0.42), (0.64, 0.08), (0.95, 0.1), (1.24, 0.24), (1.36, 0.42)], rgb(196, 150, 70));
        b.line(&[(1.16, 0.22), (1.02, 0.46)], 0.018, lacquer.shade(0.5));
        let legs: [[Point; 4]; 3] = [0.12, 0.72, 1.32].map(|x| [(x, 0.6), (x + 0.1, 0.6), (x + 0.07, 0.97), (x + 0.03, 0.97)]);
        b.polys(&legs, lacquer.shade(0.75));
        for x in [0.17, 0.77, 1.37] {
            b.disc(x, 0.975, 0.025, BLACK);
        }
        b.round_rect(0.3, 0.42, 1.18, 0.22, 0.05, lacquer);
        b.round_rect(0.02, 0.5, 0.44, 0.15, 0.02, lacquer.shade(0.9));
        b.rect(0.05, 0.47, 0.34, 0.045, WHITE);
        let keys: Vec<[Point; 2]> = (0..8).map(|i| 0.085 + i as f32 * 0.04).map(|x| [(x, 0.475), (x, 0.495)]).collect();
        b.lines(&keys, 0.016, BLACK);
        b.poly(&[(0.32, 0.44), (0.36, 0.28), (0.56, 0.3), (0.54, 0.44)], lacquer.shade(1.25));
        b.atop(|b| b.rect(0.3, 0.44, 1.2, 0.025, WHITE.alpha(0.25)));
        b.round_rect(0.62, 0.62, 0.1, 0.32, 0.02, lacquer.shade(0.6));
    })
    .stretched(random.range(0.92, 1.06))
}
