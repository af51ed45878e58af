//! What fell off a trailer: suitcase, ladder, stack of pallets.

use crate::{
    brush::Point,
    colour::{BLACK, STEEL, rgb},
    random::Random,
    things::{Facing, Look},
};

/// A suitcase on wheels.
pub fn suitcase(random: &mut Random, _: Facing) -> Look {
    let (colour, shell) = random.paint(&["red", "blue", "purple", "teal", "yellow", "pink", "silver"]);
    let stickers = random.chance(0.5);
    Look::new(colour, 0.58, random.range(0.85, 1.1), move |b, _| {
        b.line(&[(0.18, 0.3), (0.18, 0.03), (0.4, 0.03), (0.4, 0.3)], 0.035, STEEL);
        b.line(&[(0.18, 0.03), (0.4, 0.03)], 0.055, BLACK);
        for x in [0.1, 0.48] {
            b.disc(x, 0.955, 0.045, BLACK);
        }
        b.round_rect(0.0, 0.26, 0.58, 0.68, 0.07, shell);
        b.atop(|b| {
            let ribs: Vec<[Point; 2]> = (1..6).map(|i| i as f32 * 0.097).map(|x| [(x, 0.3), (x, 0.9)]).collect();
            b.lines(&ribs, 0.02, shell.shade(0.75));
            b.rect(0.46, 0.2, 0.14, 0.8, BLACK.alpha(0.16));
            if stickers {
                b.disc(0.2, 0.5, 0.07, rgb(246, 226, 90));
                b.round_rect(0.3, 0.66, 0.16, 0.1, 0.02, rgb(246, 246, 246));
            }
        });
        b.round_rect(0.2, 0.245, 0.18, 0.03, 0.01, BLACK);
    })
    .stretched(random.range(0.92, 1.14))
}

/// A stepladder, standing open.
pub fn ladder(random: &mut Random, _: Facing) -> Look {
    let (colour, rail) = random.pick(&[("silver", rgb(196, 200, 206)), ("yellow", rgb(240, 196, 44)), ("orange", rgb(232, 118, 34))]);
    let rail = random.near(rail, 8.0);
    Look::new(colour, 0.62, random.range(1.7, 2.5), move |b, _| {
        b.lines(&[[(0.36, 0.03), (0.6, 0.98)], [(0.28, 0.03), (0.5, 0.98)]], 0.022, rail.shade(0.62));
        b.lines(&[[(0.4, 0.5), (0.49, 0.5)], [(0.45, 0.74), (0.55, 0.74)]], 0.016, rail.shade(0.55));
        let rungs: Vec<[Point; 2]> =
            (1..8).map(|i| i as f32 / 8.0).map(|t| [(0.22 - 0.2 * t, 0.03 + 0.95 * t), (0.36 + 0.06 * t, 0.03 + 0.95 * t)]).collect();
        b.lines(&rungs, 0.026, rail.shade(0.85));
        b.lines(&[[(0.22, 0.03), (0.02, 0.98)], [(0.36, 0.03), (0.42, 0.98)]], 0.034, rail);
        b.round_rect(0.18, 0.0, 0.24, 0.05, 0.015, rail.shade(0.7));
        b.lines(&[[(0.03, 0.985), (0.05, 0.985)], [(0.42, 0.985), (0.44, 0.985)], [(0.5, 0.985), (0.52, 0.985)]], 0.03, BLACK);
    })
    .stretched(random.range(0.9, 1.2))
}

/// A stack of pallets.
pub fn pallets(random: &mut Random, _: Facing) -> Look {
    let wood = random.near(rgb(190, 148, 96), 12.0);
    let layers = 4 + random.below(3);
    let shifts: Vec<f32> = (0..layers).map(|_| random.range(-0.03, 0.03)).collect();
    Look::new("brown", 1.3, random.range(0.8, 1.2), move |b, _| {
        let high = 1.0 / layers as f32;
        for (i, &shift) in shifts.iter().enumerate() {
            let (x, y) = (0.06 + shift, 1.0 - (i + 1) as f32 * high);
            b.rect(x + 0.02, y + high * 0.1, 1.14, high * 0.8, rgb(52, 38, 26));
            for block in [0.0, 0.48, 0.98] {
                b.rect(x + block, y + high * 0.25, 0.2, high * 0.5, wood.shade(0.74));
            }
            b.rect(x, y + high * 0.03, 1.18, high * 0.24, wood);
            b.rect(x, y + high * 0.74, 1.18, high * 0.2, wood.shade(0.88));
        }
        let x = 0.06 + shifts[layers - 1];
        let planks: Vec<[Point; 2]> = (1..6).map(|i| [(x + i as f32 * 0.2, 0.005), (x + i as f32 * 0.2, high * 0.26)]).collect();
        b.lines(&planks, 0.012, wood.shade(0.6));
    })
    .stretched(random.range(0.86, 1.12))
}
