//! Furniture that belongs in a room: couch and mattress.

use crate::{
    brush::Point,
    colour::{Rgb, rgb},
    random::Random,
    things::{Facing, Look},
};

/// A couch.
pub fn couch(random: &mut Random, _: Facing) -> Look {
    let (colour, cloth) = random.paint(&["red", "brown", "grey", "green", "beige", "blue", "purple", "teal"]);
    let seats = 2 + random.below(2);
    let pillow = random.chance(0.5).then(|| random.any_paint().1);
    Look::new(colour, 2.1, random.range(0.85, 1.0), move |b, _| {
        let legs: Vec<[Point; 4]> = [0.14, 1.86].map(|x| [(x, 0.88), (x + 0.1, 0.88), (x + 0.08, 1.0), (x + 0.02, 1.0)]).into();
        b.polys(&legs, rgb(66, 44, 28));
        b.round_rect(0.12, 0.0, 1.86, 0.75, 0.14, cloth.shade(0.8));
        let wide = 1.56 / seats as f32;
        for i in 0..seats {
            b.round_rect(0.27 + i as f32 * wide, 0.07, wide - 0.025, 0.5, 0.1, cloth);
        }
        b.rect(0.16, 0.6, 1.78, 0.31, cloth.shade(0.66));
        for i in 0..seats {
            b.round_rect(0.27 + i as f32 * wide, 0.5, wide - 0.02, 0.2, 0.08, cloth.shade(1.14));
        }
        if let Some(pillow) = pillow {
            b.blob(&[(0.3, 0.24), (0.56, 0.2), (0.64, 0.48), (0.36, 0.53)], pillow);
        }
        for (x, tone) in [(0.0, 1.02), (1.82, 0.9)] {
            b.round_rect(x, 0.29, 0.28, 0.63, 0.13, cloth.shade(tone));
            b.ellipse(x + 0.14, 0.41, 0.09, 0.085, cloth.shade(tone * 0.8));
        }
    })
    .stretched(random.range(0.86, 1.14))
}

/// A mattress: lying, or leaning upright.
pub fn mattress(random: &mut Random, _: Facing) -> Look {
    let (colour, cloth) = random.pick(&[
        ("white", rgb(238, 236, 230)),
        ("beige", rgb(224, 208, 178)),
        ("blue", rgb(154, 180, 214)),
        ("pink", rgb(230, 184, 188)),
    ]);
    let cloth = random.near(cloth, 8.0);
    let striped = random.chance(0.45);
    if random.chance(0.5) {
        Look::new(colour, 3.0, random.range(0.5, 0.62), move |b, _| lying(b, cloth)).stretched(random.range(0.86, 1.12))
    } else {
        Look::new(colour, 1.05, random.range(1.3, 1.9), move |b, _| {
            b.round_rect(0.0, 0.0, 1.05, 1.0, 0.08, cloth.shade(0.72));
            b.round_rect(0.0, 0.0, 0.98, 0.985, 0.08, cloth);
            b.frame(0.035, 0.03, 0.91, 0.925, 0.06, 0.018, cloth.shade(0.7));
            if striped {
                let stripes: Vec<[Point; 2]> = (0..9).map(|i| 0.09 + i as f32 * 0.1).map(|x| [(x, 0.06), (x, 0.93)]).collect();
                b.lines(&stripes, 0.03, rgb(104, 126, 178));
            } else {
                let quilting: Vec<[Point; 2]> = (1..6).flat_map(|i| i_lines(i as f32 / 6.0)).collect();
                b.lines(&quilting, 0.012, cloth.shade(0.76));
                for i in 0..12 {
                    b.disc(0.2 + 0.29 * (i % 3) as f32, 0.17 + 0.22 * (i / 3) as f32, 0.022, cloth.shade(0.5));
                }
            }
        })
        .stretched(random.range(0.76, 1.2))
    }
}

fn i_lines(share: f32) -> [[Point; 2]; 2] {
    [[(0.05, share), (0.93, share)], [(0.98 * share, 0.05), (0.98 * share, 0.94)]]
}

fn lying(b: &mut crate::brush::Brush<'_>, cloth: Rgb) {
    b.blob(&[(0.5, 0.02), (1.7, 0.0), (2.94, 0.02), (2.98, 0.1), (2.55, 0.58), (1.3, 0.62), (0.04, 0.58), (0.06, 0.5)], cloth);
    let seam = cloth.shade(0.74);
    let mut quilting: Vec<[Point; 2]> = (1..8).map(|i| i as f32 / 8.0).map(|u| [(0.5 + u * 2.44, 0.03), (0.06 + u * 2.46, 0.57)]).collect();
    quilting.extend((1..4).map(|i| i as f32 / 4.0).map(|v| [(0.5 - 0.44 * v, 0.55 * v), (2.94 - 0.42 * v, 0.55 * v)]));
    b.lines(&quilting, 0.02, seam);
    b.round_rect(0.0, 0.55, 2.58, 0.45, 0.08, cloth.shade(0.86));
    b.poly(&[(2.52, 0.58), (2.98, 0.08), (3.0, 0.46), (2.56, 0.99)], cloth.shade(0.7));
    b.lines(&[[(0.05, 0.64), (2.5, 0.64)], [(0.05, 0.92), (2.5, 0.92)]], 0.035, cloth.shade(0.6));
}
