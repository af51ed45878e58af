//! Boulders.

use std::f32::consts::TAU;

use crate::{
    brush::Point,
    colour::rgb,
    random::Random,
    things::{Facing, Look},
};

/// A boulder: facets lit from the upper left, never meeting in one point (which would look like an umbrella).
pub fn boulder(random: &mut Random, _: Facing) -> Look {
    let stone = random.pick(&[rgb(136, 132, 126), rgb(116, 112, 108), rgb(150, 136, 116)]);
    let stone = random.near(stone, 12.0);
    let n = 9;
    let rim: Vec<Point> = (0..n)
        .map(|i| {
            let (angle, r) = (TAU * (i as f32 + random.range(-0.25, 0.25)) / n as f32, random.range(0.86, 1.0));
            (0.66 + 0.66 * r * angle.cos(), (0.54 + 0.54 * r * angle.sin()).min(1.0))
        })
        .collect();
    // The top face: the rim's upper part drawn in and shifted towards the light.
    let (dx, dy) = (random.range(-0.1, 0.0), random.range(-0.14, -0.06));
    let top: Vec<Point> = rim.iter().map(|&(x, y)| (0.66 + (x - 0.66) * 0.62 + dx, 0.5 + (y - 0.5) * 0.5 + dy)).collect();
    let grain: Vec<f32> = (0..n).map(|_| random.range(-0.07, 0.07)).collect();
    let cracks: Vec<Vec<Point>> = (0..3)
        .map(|_| {
            let (x, y) = (random.range(0.3, 0.9), random.range(0.3, 0.6));
            vec![(x, y), (x + random.range(-0.06, 0.06), y + 0.1), (x + random.range(-0.12, 0.12), y + 0.22)]
        })
        .collect();
    let moss = random.chance(0.3);
    Look::new("grey", 1.32, random.range(0.8, 1.4), move |b, _| {
        b.poly(&rim, stone.shade(0.7));
        for i in 0..n {
            let j = (i + 1) % n;
            let (mx, my) = (f32::midpoint(rim[i].0, rim[j].0) - 0.66, f32::midpoint(rim[i].1, rim[j].1) - 0.54);
            let lit = 0.78 - 0.34 * mx - 0.42 * my + grain[i];
            b.poly(&[rim[i], rim[j], top[j], top[i]], stone.shade(lit.clamp(0.42, 1.15)));
        }
        b.poly(&top, stone.shade(1.16));
        b.atop(|b| {
            if moss {
                b.blob(&[(0.3, 0.2), (0.6, 0.1), (0.9, 0.2), (0.7, 0.34), (0.45, 0.3)], rgb(96, 118, 62).alpha(0.6));
            }
            b.lines(&cracks, 0.016, stone.shade(0.45));
            b.rect(0.0, 0.9, 1.4, 0.1, stone.shade(0.35).alpha(0.5));
        });
    })
    .stretched(random.range(0.86, 1.2))
}
