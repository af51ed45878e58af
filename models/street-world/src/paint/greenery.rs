//! Trees and bushes.

use tiny_skia::Transform;

use crate::{
    brush::Point,
    colour::{Light, Rgb, rgb},
    plate::{Laying, Plate},
    random::Random,
    scene::{
        eye::{NEAR, Projection},
        scenery::Scenic,
    },
};

use super::lay_scenery;

/// A tree, drawn in a box 1 high.
pub(super) fn tree(plate: &mut Plate, projection: &Projection, light: Light, scenic: &Scenic, height: f32, leaves: Rgb, fir: bool) {
    if scenic.z <= NEAR {
        return;
    }
    let mut random = Random::of(&[scenic.seed, 3]);
    let laying = Laying { relief: 0.14, ..Laying::new(place(projection, scenic, height), (-0.5, -0.05, 0.5, 1.02), light) };
    lay_scenery(plate, &laying, |brush| {
        let bark = rgb(92, 70, 52);
        if fir {
            brush.limb(&[(0.0, 1.0, 0.05), (0.0, 0.7, 0.04)], bark);
            for (y, half, tone) in [(0.88, 0.27, 0.8), (0.68, 0.22, 0.9), (0.48, 0.17, 1.0), (0.3, 0.12, 1.1)] {
                brush.poly(
                    &[(-half, y), (-half * 0.4, y - 0.12), (0.0, y - 0.32), (half * 0.4, y - 0.12), (half, y), (0.0, y + 0.03)],
                    leaves.shade(tone),
                );
            }
            return;
        }
        brush.limb(&[(0.0, 1.0, 0.075), (0.01, 0.72, 0.05), (0.0, 0.4, 0.03)], bark);
        brush.limb(&[(0.0, 0.7, 0.035), (0.12, 0.52, 0.02)], bark);
        brush.limb(&[(0.0, 0.66, 0.035), (-0.12, 0.5, 0.02)], bark);
        for (y, spread, tone) in [(0.5, 0.24, 0.78), (0.38, 0.24, 0.92), (0.27, 0.17, 1.08)] {
            for along in [-1.0, 0.0, 1.0] {
                let (x, r) = (along * spread * random.range(0.6, 1.0), random.range(0.13, 0.19));
                brush.ellipse(x, y + random.range(-0.05, 0.05), r, r * 0.86, leaves.shade(tone * random.range(0.94, 1.06)));
            }
        }
        let glints: Vec<[Point; 3]> = (0..7)
            .map(|_| (random.range(-0.26, 0.2), random.range(0.16, 0.5)))
            .map(|(x, y)| [(x, y), (x + 0.05, y - 0.015), (x + 0.03, y + 0.03)])
            .collect();
        brush.polys(&glints, leaves.shade(1.12));
    });
}

/// A bush, `[width, height]` metres.
pub(super) fn bush(plate: &mut Plate, projection: &Projection, light: Light, scenic: &Scenic, size: [f32; 2], leaves: Rgb) {
    if scenic.z <= NEAR {
        return;
    }
    let (wide, mut random) = (size[0] / size[1], Random::of(&[scenic.seed, 4]));
    let laying = Laying { relief: 0.2, ..Laying::new(place(projection, scenic, size[1]), (-0.6 * wide, -0.3, 0.6 * wide, 1.02), light) };
    lay_scenery(plate, &laying, |brush| {
        let n = 5;
        let mut rim: Vec<Point> = vec![(-0.5 * wide, 1.0)];
        rim.extend(
            (0..=n)
                .map(|i| i as f32 / n as f32)
                .map(|u| ((u - 0.5) * wide, 0.12 + 0.5 * (2.0 * u - 1.0).powi(2) + random.range(-0.1, 0.1))),
        );
        rim.push((0.5 * wide, 1.0));
        brush.blob(&rim, leaves);
        brush.atop(|brush| {
            for _ in 0..6 {
                let (x, y) = (random.range(-0.45, 0.45) * wide, random.range(0.2, 0.9));
                brush.ellipse(x, y, 0.12 * wide, 0.1, leaves.shade(random.range(0.78, 1.2)));
            }
        });
    });
}

fn place(projection: &Projection, scenic: &Scenic, height: f32) -> Transform {
    let tall = height * projection.scale(scenic.z);
    let (x, foot) = projection.point(scenic.x, 0.0, scenic.z);
    Transform::from_scale(tall, tall).post_translate(x, foot - tall)
}
