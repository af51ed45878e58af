//! Traffic lights, upright and lying.

use crate::{
    brush::Brush,
    colour::{BLACK, Rgb, rgb},
    random::Random,
    things::{Facing, Look},
};

const LAMPS: [(&str, Rgb); 3] = [("red", rgb(255, 48, 40)), ("yellow", rgb(255, 192, 44)), ("green", rgb(54, 240, 128))];

/// A traffic light's head; its pole is scenery.
pub fn traffic_light(random: &mut Random, _: Facing) -> Look {
    let lit = random.below(3);
    let body = random.pick(&[rgb(36, 38, 40), rgb(36, 38, 40), rgb(44, 58, 50), rgb(196, 156, 36)]);
    let board = random.chance(0.4);
    let lying = random.chance(0.12);
    if lying {
        Look::new(LAMPS[lit].0, 2.4, 0.42, move |b, _| head(b, true, lit, body, board))
    } else {
        Look::new(LAMPS[lit].0, 0.46, random.range(1.0, 1.3), move |b, _| head(b, false, lit, body, board))
            .stretched(random.range(0.92, 1.06))
    }
}

fn head(b: &mut Brush<'_>, lying: bool, lit: usize, body: Rgb, board: bool) {
    // One drawing for both: along `u` from lamp to lamp, across `v`.
    let (length, across) = if lying { (2.4, 1.0) } else { (1.0, 0.46) };
    let at = |u: f32, v: f32| if lying { (u, v) } else { (v, u) };
    let block = |b: &mut Brush<'_>, inset: f32, colour: Rgb| {
        let ((x1, y1), (x2, y2)) = (at(inset, inset), at(length - inset, across - inset));
        b.round_rect(x1, y1, x2 - x1, y2 - y1, across * 0.2, colour);
    };
    block(b, 0.0, if board { rgb(232, 232, 228) } else { body });
    block(b, across * 0.07, body);
    for (i, &(_, lamp)) in LAMPS.iter().enumerate() {
        let (x, y) = at(length * (i as f32 + 0.5) / 3.0, across / 2.0);
        let r = across * 0.31;
        b.disc(x, y - r * 0.12, r * 1.15, BLACK.shade(0.6));
        if i == lit {
            b.disc(x, y, r, lamp.glow());
            b.disc(x - r * 0.25, y - r * 0.3, r * 0.35, rgb(255, 255, 255).glow().fade(0.55));
        } else {
            b.disc(x, y, r, lamp.shade(0.22));
        }
    }
}
