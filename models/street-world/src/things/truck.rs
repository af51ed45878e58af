//! Trucks: box bodies and flatbeds with their load, from all sides.

use crate::{
    brush::{Brush, Point},
    colour::{BLACK, GLASS, HEADLIGHT, PALETTE, Rgb, TAILLIGHT, rgb},
    random::Random,
    things::{Facing, Look, bikes::wheel},
};

/// A truck.
pub fn truck(random: &mut Random, facing: Facing) -> Look {
    let (colour, paint) = random.paint(&["white", "red", "blue", "green", "yellow", "grey", "orange"]);
    let (_, other) = random.paint(&["white", "silver", "blue", "beige"]);
    let body = if random.chance(0.3) { paint } else { other };
    let height = random.range(2.9, 3.6);
    match facing {
        Facing::Side if random.chance(0.25) => {
            let load: [(f32, Rgb); 5] = std::array::from_fn(|_| (random.range(0.1, 0.26), random.pick(&PALETTE).1));
            Look::new(colour, 2.4, height * 0.85, move |b, _| {
                for (i, &(high, of)) in load.iter().enumerate() {
                    b.round_rect(0.08 + i as f32 * 0.32, 0.55 - high, 0.28, high + 0.05, 0.02, of.mix(rgb(150, 110, 70), 0.5));
                }
                b.rect(0.02, 0.55, 1.66, 0.16, body.shade(0.75));
                b.lines(&[[(0.02, 0.35), (0.02, 0.7)], [(1.67, 0.25), (1.67, 0.7)]], 0.03, rgb(70, 70, 74));
                cab_and_wheels(b, paint);
            })
        }
        Facing::Side => {
            let (sign, stripes) = (random.range(0.5, 1.1), random.chance(0.5));
            Look::new(colour, 2.4, height, move |b, _| {
                b.round_rect(0.0, 0.0, 1.68, 0.76, 0.02, body);
                let seams: Vec<[Point; 2]> = (1..8).map(|i| [(i as f32 * 0.21, 0.03), (i as f32 * 0.21, 0.74)]).collect();
                b.lines(&seams, 0.008, body.shade(0.8));
                b.round_rect(0.15, 0.22, sign, 0.22, 0.02, paint.shade(0.9));
                if stripes {
                    b.rect(0.0, 0.62, 1.68, 0.05, paint);
                }
                cab_and_wheels(b, paint);
            })
            .stretched(random.range(0.88, 1.15))
        }
        Facing::Away => Look::new(colour, 0.78, height, move |b, _| rear(b, body)).stretched(random.range(0.92, 1.08)),
        Facing::Toward => Look::new(colour, 0.78, height, move |b, _| front(b, paint, body)).stretched(random.range(0.92, 1.08)),
    }
}

fn cab_and_wheels(b: &mut Brush<'_>, paint: Rgb) {
    b.rect(0.02, 0.77, 2.32, 0.08, rgb(52, 52, 57));
    b.poly(&[(1.75, 0.84), (1.75, 0.22), (1.8, 0.17), (2.16, 0.18), (2.32, 0.48), (2.38, 0.54), (2.39, 0.84)], paint);
    b.poly(&[(1.87, 0.48), (1.87, 0.25), (2.13, 0.26), (2.25, 0.49)], GLASS);
    b.lines(&[vec![(1.84, 0.24), (1.84, 0.8), (2.1, 0.8), (2.1, 0.52)]], 0.012, paint.shade(0.6));
    b.round_rect(2.32, 0.66, 0.08, 0.08, 0.02, HEADLIGHT.glow());
    b.rect(2.2, 0.8, 0.2, 0.06, rgb(66, 66, 70));
    b.round_rect(0.0, 0.72, 0.04, 0.07, 0.01, TAILLIGHT.glow());
    for x in [0.3, 0.6, 2.06] {
        b.disc(x, 0.865, 0.155, rgb(26, 26, 28));
        wheel(b, x, 0.865, 0.135);
    }
}

fn tyres(b: &mut Brush<'_>) {
    b.round_rect(0.06, 0.8, 0.15, 0.2, 0.03, BLACK);
    b.round_rect(0.57, 0.8, 0.15, 0.2, 0.03, BLACK);
}

fn rear(b: &mut Brush<'_>, body: Rgb) {
    tyres(b);
    b.rect(0.0, 0.0, 0.78, 0.84, body);
    b.frame(0.03, 0.03, 0.72, 0.77, 0.01, 0.02, body.shade(0.72));
    b.line(&[(0.39, 0.03), (0.39, 0.8)], 0.018, body.shade(0.55));
    b.lines(&[[(0.3, 0.1), (0.3, 0.76)], [(0.48, 0.1), (0.48, 0.76)]], 0.014, body.shade(0.6));
    b.rect(0.26, 0.46, 0.09, 0.03, body.shade(0.45));
    b.rect(0.43, 0.46, 0.09, 0.03, body.shade(0.45));
    b.rect(0.0, 0.83, 0.78, 0.06, rgb(58, 58, 62));
    b.rect(0.03, 0.835, 0.14, 0.045, TAILLIGHT.glow());
    b.rect(0.61, 0.835, 0.14, 0.045, TAILLIGHT.glow());
    b.rect(0.29, 0.84, 0.2, 0.04, rgb(226, 226, 212));
}

fn front(b: &mut Brush<'_>, paint: Rgb, body: Rgb) {
    tyres(b);
    b.round_rect(0.0, 0.0, 0.78, 0.6, 0.02, body);
    b.round_rect(0.03, 0.17, 0.72, 0.72, 0.06, paint);
    b.round_rect(0.08, 0.25, 0.62, 0.27, 0.04, GLASS);
    b.atop(|b| b.poly(&[(0.2, 0.25), (0.3, 0.25), (0.2, 0.52), (0.1, 0.52)], rgb(255, 255, 255).alpha(0.2)));
    b.round_rect(0.16, 0.58, 0.46, 0.14, 0.02, rgb(44, 44, 48));
    b.lines(&[[(0.18, 0.625), (0.6, 0.625)], [(0.18, 0.675), (0.6, 0.675)]], 0.012, rgb(120, 122, 126));
    b.round_rect(0.05, 0.74, 0.15, 0.08, 0.02, HEADLIGHT.glow());
    b.round_rect(0.58, 0.74, 0.15, 0.08, 0.02, HEADLIGHT.glow());
    b.rect(0.05, 0.84, 0.68, 0.05, rgb(70, 70, 74));
    for x in [-0.01, 0.74] {
        b.round_rect(x, 0.28, 0.05, 0.15, 0.02, BLACK);
    }
}
