//! Trains: a railcar from the side, an engine's face from the front.

use crate::{
    brush::{Brush, Point},
    colour::{BLACK, HEADLIGHT, Rgb, TAILLIGHT, rgb},
    random::Random,
    things::{Facing, Look},
};

const WINDOW: Rgb = rgb(52, 68, 82);

/// A train.
pub fn train(random: &mut Random, facing: Facing) -> Look {
    let (colour, paint) = random.paint(&["red", "blue", "white", "green", "yellow", "silver", "orange"]);
    let (_, stripe) = random.paint(&["white", "red", "blue", "yellow", "black"]);
    let height = random.range(3.4, 3.9);
    match facing {
        Facing::Side => {
            let cars = 1 + random.below(2);
            Look::new(colour, 4.6, height, move |b, _| side(b, paint, stripe, cars)).stretched(random.range(0.88, 1.1))
        }
        Facing::Toward | Facing::Away => {
            let lamp = if facing == Facing::Away { TAILLIGHT } else { HEADLIGHT };
            Look::new(colour, 0.8, height, move |b, _| face(b, paint, stripe, lamp)).stretched(random.range(0.94, 1.06))
        }
    }
}

fn side(b: &mut Brush<'_>, paint: Rgb, stripe: Rgb, joints: usize) {
    let end = 4.6;
    b.rect(0.05, 0.86, end - 0.25, 0.08, rgb(46, 44, 46));
    for i in 0..8 {
        b.disc(0.3 + i as f32 * 0.56 + if i % 2 == 0 { 0.12 } else { -0.12 }, 0.94, 0.06, BLACK);
    }
    b.poly(&[(0.0, 0.88), (0.0, 0.1), (0.05, 0.06), (3.8, 0.06), (4.15, 0.12), (4.45, 0.42), (end, 0.7), (4.58, 0.88)], paint);
    b.atop(|b| {
        b.rect(0.0, 0.06, end, 0.05, paint.shade(0.6));
        b.rect(0.0, 0.58, end, 0.09, stripe);
        b.rect(0.0, 0.82, end, 0.06, paint.shade(0.55));
    });
    let panes: Vec<[Point; 4]> =
        (0..10).map(|i| 0.14 + i as f32 * 0.375).map(|x| [(x, 0.22), (x + 0.27, 0.22), (x + 0.27, 0.48), (x, 0.48)]).collect();
    b.polys(&panes, WINDOW);
    for i in 1..=joints {
        let x = 3.9 * i as f32 / (joints + 1) as f32;
        b.rect(x - 0.04, 0.06, 0.08, 0.84, rgb(40, 40, 44));
    }
    for x in [0.85, 2.72] {
        b.round_rect(x, 0.2, 0.2, 0.65, 0.02, paint.shade(0.78));
        b.round_rect(x + 0.03, 0.24, 0.14, 0.26, 0.02, WINDOW);
    }
    b.poly(&[(4.0, 0.44), (4.0, 0.2), (4.16, 0.2), (4.37, 0.44)], rgb(36, 48, 58));
    b.disc(4.5, 0.68, 0.04, HEADLIGHT.glow());
    b.line(&[(1.3, 0.06), (1.5, 0.0), (1.7, 0.06)], 0.02, rgb(52, 52, 56));
}

fn face(b: &mut Brush<'_>, paint: Rgb, stripe: Rgb, lamp: Rgb) {
    b.rect(0.1, 0.86, 0.6, 0.14, rgb(42, 40, 42));
    b.blob(
        &[(0.02, 0.9), (0.0, 0.5), (0.05, 0.14), (0.2, 0.02), (0.4, 0.0), (0.6, 0.02), (0.75, 0.14), (0.8, 0.5), (0.78, 0.9), (0.4, 0.92)],
        paint,
    );
    b.atop(|b| b.rect(0.0, 0.55, 0.8, 0.1, stripe));
    b.poly(&[(0.1, 0.46), (0.14, 0.17), (0.66, 0.17), (0.7, 0.46)], rgb(40, 52, 62));
    b.line(&[(0.4, 0.17), (0.4, 0.46)], 0.025, paint.shade(0.8));
    b.rect(0.25, 0.06, 0.3, 0.06, BLACK);
    b.rect(0.28, 0.075, 0.24, 0.03, rgb(255, 170, 30).glow());
    for (x, y) in [(0.16, 0.74), (0.64, 0.74)] {
        b.disc(x, y, 0.05, lamp.glow());
    }
    b.poly(&[(0.14, 0.83), (0.66, 0.83), (0.58, 0.97), (0.22, 0.97)], rgb(60, 60, 64));
    b.round_rect(0.34, 0.86, 0.12, 0.08, 0.02, rgb(28, 28, 30));
}
