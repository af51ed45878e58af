//! What lies flat on the ground and comes by: dashes, stripes, side roads, rails, patches in the asphalt and tufts in the grass.

use crate::{
    brush::Point,
    colour::{Rgb, rgb},
    plate::Plate,
    random::Random,
    scene::{Crossing, Scene, Sort, conditions::Place, eye::Projection},
};

const PAINT: Rgb = rgb(226, 224, 216);

/// Paints the ground of a moment.
pub(super) fn markings(plate: &mut Plate, projection: &Projection, scene: &Scene, time: f64) {
    let near = projection.nearest_ground() * 0.8;
    texture(plate, projection, scene, time, near);
    let mut crossings: Vec<Crossing> = scene.crossings(time).into_iter().filter(|c| c.z + c.sort.depth() > near).collect();
    crossings.sort_by(|a, b| b.z.total_cmp(&a.z));
    for crossing in crossings.iter().filter(|c| c.sort == Sort::Junction) {
        side_road(plate, projection, scene, crossing, near);
    }
    dashes(plate, projection, scene, time, near);
    for crossing in &crossings {
        match crossing.sort {
            Sort::Zebra => zebra(plate, projection, scene, crossing, near),
            Sort::Rails => rails(plate, projection, scene, crossing, near),
            Sort::Junction | Sort::Pass => {}
        }
    }
}

/// Patches on the road, joints of the pavement, tufts on the grass: without them nobody would see that the camera moves.
fn texture(plate: &mut Plate, projection: &Projection, scene: &Scene, time: f64, near: f32) {
    let (conditions, road) = (&scene.conditions, &scene.road);
    let snow = conditions.weathered(rgb(0, 0, 0), 1.0).r > 100.0;
    let step = 2.0;
    let passed = (scene.driven(time) / f64::from(step)).floor();
    let mut tufts: Vec<[Point; 3]> = Vec::new();
    let mut joints: Vec<[Point; 4]> = Vec::new();
    let mut patches: Vec<[Point; 4]> = Vec::new();
    for i in (0..26).rev() {
        let slot = passed as i64 + i;
        let z = (slot as f64 * f64::from(step) - scene.driven(time)) as f32;
        if z < near {
            continue;
        }
        let mut random = Random::of(&[scene.seed, 80, slot.cast_unsigned()]);
        if random.chance(0.3) {
            let (x, wide, long) = (random.range(-road.half + 0.5, road.half - 1.5), random.range(0.4, 1.4), random.range(0.8, 3.5));
            patches.push(projection.ground([x, x + wide], [z, z + long]));
        }
        if road.pavement > 0.0 && z < 28.0 {
            for side in [-1.0, 1.0] {
                joints.push(projection.ground([side * (road.half + 0.2), side * road.edge()], [z, z + 0.05]));
            }
        }
        if conditions.place != Place::City {
            for _ in 0..5 {
                let x = random.sign() * (road.edge() + 1.5 + random.range(0.0, 1.0).powi(2) * 28.0);
                let (z, high) = (z + random.range(0.0, step), random.range(0.1, 0.28));
                let (left, right) = (projection.point(x - 0.2, 0.0, z), projection.point(x + 0.2, 0.0, z));
                tufts.push([left, projection.point(x + 0.05, high, z), right]);
            }
        }
    }
    let mut brush = plate.brush(conditions.light(10.0));
    brush.polys(&patches, rgb(30, 30, 34).alpha(0.14));
    brush.polys(&joints, rgb(60, 58, 56).alpha(0.3));
    brush.polys(&tufts, if snow { rgb(170, 178, 184) } else { rgb(70, 104, 46) }.alpha(0.55));
}

fn dashes(plate: &mut Plate, projection: &Projection, scene: &Scene, time: f64, near: f32) {
    let road = &scene.road;
    let highway = scene.conditions.place == Place::Highway;
    let (long, period) = if highway { (4.0, 10.0) } else { (2.6, 6.0) };
    let mut lines: Vec<f32> = (1..road.lanes).flat_map(|lane| [road.lane_edge(lane), -road.lane_edge(lane)]).collect();
    if !highway {
        lines.push(0.0);
    }
    let start = -(scene.driven(time) % period) as f32;
    for band in [[near, 12.0], [12.0, 30.0], [30.0, 90.0]] {
        let mut dashes: Vec<[Point; 4]> = Vec::new();
        for i in 0..(90.0 / period) as i32 + 2 {
            let z = start + i as f32 * period as f32;
            let (from, to) = (z.max(band[0]), (z + long).min(band[1]));
            if from < to {
                dashes.extend(lines.iter().map(|&x| projection.ground([x - 0.07, x + 0.07], [from, to])));
            }
        }
        plate.brush(scene.conditions.light(band[0])).polys(&dashes, PAINT);
    }
}

fn zebra(plate: &mut Plate, projection: &Projection, scene: &Scene, crossing: &Crossing, near: f32) {
    let half = crossing.sort.depth() / 2.0;
    let z = [(crossing.z - half).max(near), crossing.z + half];
    if z[0] >= z[1] {
        return;
    }
    let stripes = (scene.road.half * 2.0 - 0.4).max(0.0) as i32;
    let bars: Vec<[Point; 4]> =
        (0..stripes).map(|i| -scene.road.half + 0.4 + i as f32).map(|x| projection.ground([x, x + 0.5], z)).collect();
    plate.brush(scene.conditions.light(crossing.z)).polys(&bars, PAINT);
}

fn side_road(plate: &mut Plate, projection: &Projection, scene: &Scene, crossing: &Crossing, near: f32) {
    let half = crossing.sort.depth() / 2.0;
    let z = [(crossing.z - half).max(near), crossing.z + half];
    if z[0] >= z[1] {
        return;
    }
    let mut brush = plate.brush(scene.conditions.light(crossing.z));
    let asphalt = scene.conditions.weathered(rgb(90, 90, 95), 0.4);
    brush.poly(&projection.ground([-80.0, 80.0], z), asphalt);
    let middle = crossing.z;
    if middle > near {
        let dashes: Vec<[Point; 4]> = (0..20)
            .map(|i| i as f32 * 3.5 - 35.0)
            .filter(|x| x.abs() > scene.road.half + 1.0)
            .map(|x| projection.ground([x, x + 1.8], [middle - 0.07, middle + 0.07]))
            .collect();
        brush.polys(&dashes, PAINT);
    }
}

fn rails(plate: &mut Plate, projection: &Projection, scene: &Scene, crossing: &Crossing, near: f32) {
    let half = crossing.sort.depth() / 2.0;
    let z = [(crossing.z - half).max(near), crossing.z + half];
    if z[0] >= z[1] {
        return;
    }
    let mut brush = plate.brush(scene.conditions.light(crossing.z));
    for side in [-1.0, 1.0] {
        brush.poly(&projection.ground([side * scene.road.half, side * 90.0], z), scene.conditions.weathered(rgb(118, 108, 98), 0.5));
    }
    let sleepers: Vec<[Point; 4]> = (0..80)
        .map(|i| i as f32 - 40.0)
        .filter(|x| x.abs() > scene.road.half)
        .map(|x| projection.ground([x, x + 0.3], [crossing.z.max(near) - 1.0, crossing.z.max(near) + 1.0]))
        .collect();
    brush.polys(&sleepers, rgb(78, 68, 60));
    for rail in [crossing.z - 0.72, crossing.z + 0.72] {
        if rail > near {
            brush.poly(&projection.ground([-90.0, 90.0], [rail - 0.05, rail + 0.05]), rgb(74, 72, 74));
        }
    }
}
