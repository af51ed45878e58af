//! Buses, of one deck or two.

use crate::{
    brush::{Brush, Point},
    colour::{BLACK, HEADLIGHT, Rgb, TAILLIGHT, rgb},
    random::Random,
    things::{Facing, Look, bikes::wheel},
};

const WINDOW: Rgb = rgb(66, 88, 104);
const LED: Rgb = rgb(255, 170, 30);

/// A bus.
pub fn bus(random: &mut Random, facing: Facing) -> Look {
    let (colour, paint) = random.paint(&["red", "blue", "white", "green", "yellow", "orange", "teal"]);
    let (_, stripe) = random.paint(&["white", "blue", "yellow", "red", "grey"]);
    let double = random.chance(0.15);
    let height = if double { random.range(4.0, 4.3) } else { random.range(2.9, 3.3) };
    let look = match facing {
        Facing::Side if double => Look::new(colour, 2.5, height, move |b, _| side(b, 2.5, paint, stripe, true)),
        Facing::Side => Look::new(colour, 3.3, height, move |b, _| side(b, 3.3, paint, stripe, false)),
        Facing::Toward => Look::new(colour, 0.84, height, move |b, _| end(b, paint, stripe, false, double)),
        Facing::Away => Look::new(colour, 0.84, height, move |b, _| end(b, paint, stripe, true, double)),
    };
    look.stretched(random.range(0.92, 1.08))
}

fn side(b: &mut Brush<'_>, length: f32, paint: Rgb, stripe: Rgb, double: bool) {
    b.rect(0.1, 0.84, length - 0.2, 0.07, rgb(34, 34, 37));
    b.round_rect(0.0, 0.0, length, 0.88, 0.07, paint);
    b.rect(0.0, 0.64, length, 0.08, stripe);
    let rows: &[(f32, f32)] = if double { &[(0.09, 0.2), (0.42, 0.2)] } else { &[(0.13, 0.32)] };
    let last = length * 0.84;
    let mut panes: Vec<[Point; 4]> = Vec::new();
    for &(y, high) in rows {
        for i in 0..6 {
            let (x, wide) = (0.07 + i as f32 * (last - 0.07) / 6.0, (last - 0.07) / 6.0 - 0.035);
            panes.push([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)]);
        }
    }
    b.polys(&panes, WINDOW);
    let glints: Vec<[Point; 4]> = panes.iter().map(|p| [p[0], (p[0].0 + 0.1, p[0].1), (p[3].0 + 0.04, p[3].1), p[3]]).collect();
    b.polys(&glints, rgb(255, 255, 255).alpha(0.12));
    let top = rows[rows.len() - 1].0;
    b.round_rect(length * 0.86, top + 0.03, length * 0.085, 0.8 - top, 0.02, rgb(84, 106, 120));
    b.line(&[(length * 0.9025, top + 0.03), (length * 0.9025, 0.83)], 0.016, paint.shade(0.8));
    b.poly(&[(length - 0.05, top), (length - 0.005, top + 0.06), (length - 0.005, 0.54), (length - 0.05, 0.54)], WINDOW);
    b.round_rect(length * 0.4, 0.015, length * 0.24, 0.06, 0.01, BLACK);
    b.rect(length * 0.42, 0.03, length * 0.2, 0.03, LED.glow());
    b.round_rect(length - 0.07, 0.74, 0.07, 0.07, 0.02, HEADLIGHT.glow());
    b.rect(0.0, 0.72, 0.03, 0.1, TAILLIGHT.glow());
    for x in [length * 0.2, length * 0.76] {
        b.disc(x, 0.86, 0.165, rgb(26, 26, 28));
        wheel(b, x, 0.86, 0.14);
    }
}

fn end(b: &mut Brush<'_>, paint: Rgb, stripe: Rgb, rear: bool, double: bool) {
    b.round_rect(0.07, 0.84, 0.15, 0.16, 0.03, BLACK);
    b.round_rect(0.62, 0.84, 0.15, 0.16, 0.03, BLACK);
    b.round_rect(0.0, 0.0, 0.84, 0.93, 0.07, paint);
    b.rect(0.0, 0.62, 0.84, 0.06, stripe);
    if double {
        b.round_rect(0.06, 0.06, 0.72, 0.2, 0.03, WINDOW);
    }
    let y = if double { 0.33 } else { 0.16 };
    b.round_rect(0.06, y, 0.72, if rear { 0.2 } else { 0.58 - y }, 0.04, WINDOW);
    b.atop(|b| b.poly(&[(0.18, y), (0.3, y), (0.18, 0.58), (0.06, 0.58)], rgb(255, 255, 255).alpha(0.14)));
    b.round_rect(0.2, y - 0.1, 0.44, 0.075, 0.02, BLACK);
    b.rect(0.25, y - 0.08, 0.34, 0.035, LED.glow());
    if rear {
        b.lines(&[[(0.22, 0.72), (0.62, 0.72)], [(0.22, 0.76), (0.62, 0.76)], [(0.22, 0.8), (0.62, 0.8)]], 0.016, paint.shade(0.5));
        for x in [0.04, 0.7] {
            b.round_rect(x, 0.66, 0.1, 0.16, 0.02, TAILLIGHT.glow());
        }
    } else {
        b.line(&[(0.42, y), (0.42, 0.58)], 0.014, paint.shade(0.6));
        for x in [0.14, 0.7] {
            b.disc(x, 0.77, 0.055, HEADLIGHT.glow());
        }
        b.round_rect(0.29, 0.78, 0.26, 0.07, 0.01, rgb(228, 228, 214));
        for x in [-0.03, 0.82] {
            b.round_rect(x, 0.2, 0.05, 0.14, 0.02, BLACK);
        }
    }
    b.rect(0.02, 0.87, 0.8, 0.045, rgb(60, 60, 64));
}
