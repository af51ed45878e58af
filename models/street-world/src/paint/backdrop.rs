//! What does not change while a scene lasts: sky, skyline, ground and the road's long lines. Painted once, copied for each frame.

use crate::{
    brush::{Brush, Point},
    colour::{Light, Rgb, rgb},
    plate::Plate,
    random::Random,
    scene::{
        Scene,
        conditions::{Daylight, Place, Weather},
        eye::Projection,
    },
};

/// The backdrop of a scene; `None` for a side of zero or too many pixels.
#[must_use]
pub fn backdrop(scene: &Scene, width: u32, height: u32) -> Option<Plate> {
    let mut plate = Plate::new(width, height)?;
    let projection = scene.eye.project(width, height);
    let mut random = Random::of(&[scene.seed, 5]);
    sky(&mut plate.brush(Light::STUDIO), &projection, scene, &mut random);
    skyline(&mut plate.brush(scene.conditions.light(120.0)), &projection, scene, &mut random);
    ground(&mut plate, &projection, scene, &mut random);
    Some(plate)
}

fn sky(brush: &mut Brush<'_>, projection: &Projection, scene: &Scene, random: &mut Random) {
    let [top, low] = scene.conditions.sky;
    let (width, tall) = (projection.width, projection.height);
    let bands = 48;
    for band in 0..bands {
        let share = band as f32 / bands as f32;
        let y = projection.horizon * share;
        brush.rect(0.0, y.floor(), width, projection.horizon / bands as f32 + 2.0, top.mix(low, share.powf(0.8)));
    }
    let night = scene.conditions.daylight == Daylight::Night;
    let clear = scene.conditions.weather == Weather::Clear;
    if clear && night {
        for _ in 0..70 {
            let (x, y) = (random.range(0.0, width), random.range(0.0, projection.horizon * 0.9));
            brush.disc(x, y, tall * random.range(0.0012, 0.0026), rgb(240, 240, 255).alpha(random.range(0.3, 0.9)));
        }
    }
    if clear {
        let (x, y) = (random.range(0.1, 0.9) * width, random.range(0.12, 0.6) * projection.horizon);
        let sun = if night { rgb(232, 234, 240) } else { rgb(255, 246, 206) };
        for (radius, alpha) in [(0.14, 0.07), (0.085, 0.12), (0.055, 0.2), (0.034, 1.0)] {
            brush.disc(x, y, tall * radius * if night { 0.7 } else { 1.0 }, sun.alpha(alpha));
        }
    }
    if matches!(scene.conditions.weather, Weather::Clear | Weather::Cloudy) {
        let white = if night { top.mix(rgb(150, 154, 170), 0.35) } else { low.mix(rgb(255, 255, 255), 0.75) };
        for _ in 0..if clear { random.below(7) } else { 12 } {
            let (x, y, size) =
                (random.range(-0.1, 1.1) * width, random.range(0.05, 0.8) * projection.horizon, random.range(0.05, 0.16) * tall);
            cloud(brush, random, (x, y), size, white);
        }
    }
}

fn cloud(brush: &mut Brush<'_>, random: &mut Random, at: Point, size: f32, white: Rgb) {
    for puff in 0..7 {
        let along = (puff as f32 - 3.0) / 3.0;
        let radius = size * (1.0 - along * along * 0.6) * random.range(0.3, 0.5);
        brush.ellipse(at.0 + along * size * 1.3, at.1 - radius * 0.35, radius * 1.3, radius * 0.8, white.alpha(0.34));
    }
    brush.ellipse(at.0, at.1 + size * 0.02, size * 1.6, size * 0.14, white.alpha(0.3));
}

fn skyline(brush: &mut Brush<'_>, projection: &Projection, scene: &Scene, random: &mut Random) {
    let (horizon, width, tall) = (projection.horizon, projection.width, projection.height);
    let conditions = &scene.conditions;
    if matches!(conditions.place, Place::City | Place::Highway) {
        let mut x = -0.02 * width;
        let mut lit: Vec<[Point; 4]> = Vec::new();
        while x < width {
            let (wide, high) = (random.range(0.04, 0.11) * tall, random.range(0.06, 0.26) * tall.min(horizon * 2.2));
            let wall = random.pick(&[rgb(112, 118, 132), rgb(138, 132, 130), rgb(98, 104, 118)]);
            brush.rect(x, horizon - high, wide + 1.0, high + 2.0, wall);
            if conditions.daylight == Daylight::Night {
                for _ in 0..6 {
                    let (px, py) = (x + random.range(0.1, 0.85) * wide, horizon - random.range(0.1, 0.95) * high);
                    let s = tall * 0.005;
                    lit.push([(px, py), (px + s, py), (px + s, py + s * 1.4), (px, py + s * 1.4)]);
                }
            }
            x += wide * random.range(0.9, 1.3);
        }
        brush.polys(&lit, rgb(255, 216, 140).glow());
        return;
    }
    for (layer, share) in [(0, 1.0), (1, 0.62)] {
        let high = random.range(0.05, 0.13) * tall * share;
        let (a, b, phase) = (random.range(1.5, 3.0), random.range(4.0, 8.0), random.range(0.0, 6.0));
        let mut hills: Vec<Point> = vec![(-10.0, horizon + 3.0)];
        hills.extend(
            (0..=24)
                .map(|i| i as f32 / 24.0)
                .map(|u| (u * width, horizon - high * (0.55 + 0.3 * (u * a * 3.0 + phase).sin() + 0.15 * (u * b * 3.0).sin()))),
        );
        hills.push((width + 10.0, horizon + 3.0));
        let green = if layer == 0 { rgb(104, 134, 128) } else { rgb(84, 122, 78) };
        brush.poly(&hills, conditions.weathered(green, 0.75));
    }
}

/// Metres at which the ground begins.
const HORIZON: f32 = 600.0;

fn ground(plate: &mut Plate, projection: &Projection, scene: &Scene, random: &mut Random) {
    let (conditions, road) = (&scene.conditions, &scene.road);
    let base = match conditions.place {
        Place::City => rgb(138, 136, 132),
        Place::Suburb => rgb(104, 142, 78),
        Place::Highway => rgb(122, 138, 84),
        Place::Country => rgb(112, 146, 72),
    };
    let base = random.near(conditions.weathered(base, 0.9), 8.0);
    let asphalt = random.near(rgb(92, 92, 97), 9.0);
    let asphalt = conditions.weathered(asphalt, 0.4);
    let stone = conditions.weathered(random.near(rgb(170, 165, 158), 7.0), 0.75);
    let paint = rgb(228, 226, 218);
    let near = projection.nearest_ground() * 0.9;
    // From the horizon down in strips, each in its own haze.
    let mut far = HORIZON;
    while far > near {
        let z = (far * 0.88).max(near);
        let mut brush = plate.brush(conditions.light(z));
        let top = if far >= HORIZON { projection.horizon } else { projection.row(0.0, far) }.floor();
        let bottom = projection.row(0.0, z) + 1.0;
        let bottom = if z <= near { projection.height } else { bottom };
        brush.rect(0.0, top, projection.width, bottom - top, base);
        let mut strip = |from: f32, to: f32, ink: Rgb| brush.poly(&projection.ground([from, to], [z * 0.98, far * 1.03]), ink);
        for side in [-1.0, 1.0] {
            if road.pavement > 0.0 {
                strip(side * road.half, side * road.edge(), stone);
            } else {
                strip(side * road.half, side * (road.half + 1.3), base.mix(rgb(150, 138, 112), 0.6));
            }
        }
        strip(-road.half, road.half, asphalt);
        for side in [-1.0, 1.0] {
            if road.pavement > 0.0 {
                strip(side * road.half, side * (road.half + 0.18), stone.shade(1.12));
                strip(side * (road.half - 0.12), side * road.half, asphalt.shade(0.7));
            }
            let edge = side * road.lane_edge(road.lanes);
            strip(edge - 0.07, edge + 0.07, paint);
        }
        if conditions.place == Place::Highway {
            strip(-0.32, -0.18, paint);
            strip(0.18, 0.32, paint);
        }
        far = z;
        if z <= near {
            break;
        }
    }
}
