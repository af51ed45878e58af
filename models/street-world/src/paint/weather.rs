//! Rain and snow in the air.

use crate::{
    brush::Point,
    colour::{Light, rgb},
    plate::Plate,
    random::Random,
    scene::{Scene, conditions::Weather},
};

/// Paints rain or snow over the finished frame; whose the pixels are stays as it is.
pub(super) fn precipitation(plate: &mut Plate, scene: &Scene, time: f64) {
    let (width, height) = (plate.width() as f32, plate.height() as f32);
    match scene.conditions.weather {
        Weather::Rain => {
            let mut random = Random::of(&[scene.seed, 6, (time * 60.0) as u64]);
            let drops: Vec<[Point; 2]> = (0..110)
                .map(|_| (random.range(0.0, width), random.range(-0.05, 1.0) * height, random.range(0.02, 0.06) * height))
                .map(|(x, y, long)| [(x, y), (x - long * 0.2, y + long)])
                .collect();
            plate.brush(Light::STUDIO).lines(&drops, height * 0.003, rgb(206, 214, 222).alpha(0.3));
        }
        Weather::Snow => {
            let mut random = Random::of(&[scene.seed, 7]);
            let mut brush = plate.brush(Light::STUDIO);
            for _ in 0..150 {
                let (x, y, size, sway) = (random.unit(), random.unit(), random.range(0.002, 0.0062), random.range(-0.06, 0.06));
                // Large flakes are near and fall faster.
                let fallen = f64::from(y) + time * f64::from(size) * 60.0;
                let drifted = f64::from(x) + f64::from(sway) * time;
                brush.disc(
                    drifted.rem_euclid(1.0) as f32 * width,
                    fallen.rem_euclid(1.0) as f32 * height,
                    size * height,
                    rgb(252, 252, 254).alpha(0.75),
                );
            }
        }
        Weather::Clear | Weather::Cloudy | Weather::Fog => {}
    }
}
