//! Belts along the road: lanes, pavements, kerbs, poles, fields and the sky.

use std::f64::consts::TAU;

use crate::{
    class::{Class, Habitat},
    random::Random,
    things::{Facing, Pose},
};

use super::{Scene, Viewpoint, actor::Actor, conditions::Place, pick, slots};

/// A belt without end. It lies still or moves along the road; its slots hold an object or nothing.
struct Belt {
    habitat: Habitat,
    /// Where its objects stand across the road.
    x: [f32; 2],
    /// Metres a second, away from the camera's start.
    speed: f32,
    /// Metres from slot to slot.
    spacing: f32,
    /// How many of the slots are taken in a scene of usual density.
    taken: f32,
    /// Objects are not nearer than this.
    nearest: f32,
}

/// Nothing on a belt is looked for beyond this many metres.
const FAR: f32 = 75.0;

/// All objects on belts.
pub(super) fn actors(scene: &Scene, time: f64) -> Vec<Actor> {
    let mut actors = Vec::new();
    for (number, belt) in belts(scene).iter().enumerate() {
        let moved = (f64::from(belt.speed) - f64::from(scene.eye.speed)) * time;
        for (slot, distance) in slots(belt.spacing, moved, belt.nearest, FAR.min(scene.conditions.sight())) {
            let key = [scene.seed, 10 + number as u64, slot.cast_unsigned()];
            actors.extend(actor(scene, belt, &mut Random::of(&key), distance, time).filter(|actor| actor.z >= belt.nearest));
        }
    }
    actors
}

fn belts(scene: &Scene) -> Vec<Belt> {
    let (road, eye) = (&scene.road, &scene.eye);
    let place = scene.conditions.place;
    let mut random = Random::of(&[scene.seed, 4]);
    let mut belts = Vec::new();
    let pace = match place {
        Place::City => 8.0,
        Place::Suburb => 9.0,
        Place::Highway => 22.0,
        Place::Country => 14.0,
    };
    for lane in 0..road.lanes {
        let x = road.lane_x(lane);
        let own = (x - eye.x).abs() < 0.1 && scene.viewpoint == Viewpoint::Drive;
        // Whoever drives in the camera's own lane keeps the distance.
        let speed = if own { eye.speed } else { pace * random.range(0.85, 1.2) };
        let lane = Belt { habitat: Habitat::Lane, x: [x, x], speed, spacing: 22.0, taken: 0.55, nearest: 0.0 };
        belts.push(Belt { nearest: if own { 10.0 } else { 0.0 }, ..lane });
        belts.push(Belt { x: [-x, -x], speed: -pace * random.range(0.85, 1.15), spacing: 24.0, ..lane });
    }
    let walkway = if road.pavement > 0.0 { road.pavement } else { 2.0 };
    for side in [-1.0, 1.0] {
        let from_kerb = |near: f32, far: f32| [side * (road.half + near), side * (road.half + far)];
        let walk = Belt { habitat: Habitat::Walk, x: [0.0; 2], speed: 0.0, spacing: 9.0, taken: 0.3, nearest: 0.0 };
        belts.push(Belt { x: from_kerb(walkway * 0.3, walkway * 0.5), speed: random.range(1.0, 1.5), ..walk });
        belts.push(Belt { x: from_kerb(walkway * 0.55, walkway * 0.8), speed: -random.range(1.0, 1.5), ..walk });
        belts.push(Belt { habitat: Habitat::Kerb, x: from_kerb(0.6, 1.3), spacing: 5.5, taken: 0.4, ..walk });
        belts.push(Belt { habitat: Habitat::Pole, x: from_kerb(0.35, 0.8), spacing: 13.0, taken: 0.75, ..walk });
        if place != Place::City {
            let (near, far) = (road.pavement + 2.0, road.pavement + 13.0);
            belts.push(Belt { habitat: Habitat::Field, x: from_kerb(near, far), spacing: 8.0, taken: 0.4, ..walk });
        }
        if matches!(place, Place::Suburb | Place::Country) && random.chance(0.35) {
            let x = from_kerb(road.pavement + 15.0, road.pavement + 15.0);
            belts.push(Belt { habitat: Habitat::Rail, x, speed: -side * 12.0, spacing: 110.0, taken: 0.8, ..walk });
        }
    }
    let reach = road.half - 0.8;
    belts.push(Belt { habitat: Habitat::Road, x: [-reach, reach], speed: 0.0, spacing: 8.0, taken: 0.55, nearest: 0.0 });
    belts.push(Belt { habitat: Habitat::Sky, x: [-16.0, 16.0], speed: 0.0, spacing: 4.0, taken: 0.4, nearest: 6.0 });
    belts
}

fn actor(scene: &Scene, belt: &Belt, random: &mut Random, distance: f32, time: f64) -> Option<Actor> {
    if !random.chance(belt.taken * scene.density) {
        return None;
    }
    let (class, at_home) = pick::class(scene, belt.habitat, random)?;
    let key = random.bits();
    let mut x = random.range(belt.x[0], belt.x[1]);
    let parked = belt.habitat == Habitat::Kerb && class == car();
    let facing = match belt.habitat {
        Habitat::Lane | Habitat::Walk | Habitat::Rail if belt.speed > 0.0 => Facing::Away,
        Habitat::Lane | Habitat::Walk | Habitat::Rail => Facing::Toward,
        Habitat::Kerb if parked => {
            if x > 0.0 {
                Facing::Away
            } else {
                Facing::Toward
            }
        }
        _ => Facing::Side,
    };
    let look = class.look(random, facing);
    let half_width = look.width * look.height / 2.0;
    let z = distance + belt.spacing * random.range(-0.3, 0.3);
    let mut y = 0.0;
    match belt.habitat {
        Habitat::Kerb if parked => x = x.signum() * (scene.road.half - 1.05),
        // Wide things stand off the road with all of themselves.
        Habitat::Kerb | Habitat::Walk => x += x.signum() * (half_width - 0.5).max(0.0),
        Habitat::Field => x += x.signum() * half_width,
        Habitat::Road => x = beside_the_eye(scene, x, half_width),
        Habitat::Pole => {
            let light = class.name() == "traffic light";
            // Some lights hang over the road.
            if light && random.chance(0.35) && scene.road.half > 5.0 {
                x = x.signum() * (scene.road.half - random.range(1.6, 3.0));
                y = random.range(4.4, 5.0);
            } else {
                y = if light { random.range(2.3, 3.0) } else { random.range(1.8, 2.3) };
            }
        }
        Habitat::Sky => {
            let across = f64::from(x) + f64::from(random.sign() * random.range(2.5, 5.0)) * time;
            x = (across + 16.0).rem_euclid(32.0) as f32 - 16.0;
            y = random.range(2.6, 7.0) + (time * 0.9 + f64::from(x)).sin() as f32 * 0.3;
        }
        _ => {}
    }
    let flip = random.chance(0.5);
    let walked = f64::from(belt.speed) * time;
    let swing = match belt.habitat {
        Habitat::Walk | Habitat::Lane => (walked * TAU / (0.85 * f64::from(look.height)) + f64::from(slot_phase(key))).sin() as f32,
        Habitat::Sky => (time * 9.0 + f64::from(slot_phase(key))).sin() as f32,
        _ => random.range(-0.8, 0.8),
    };
    let upright = matches!(belt.habitat, Habitat::Pole | Habitat::Rail | Habitat::Lane);
    let fallen = !upright && !at_home && random.chance(0.25);
    let tilt = if fallen {
        random.range(-30.0, 30.0)
    } else if upright {
        0.0
    } else {
        random.normal() * 1.2
    };
    Some(Actor {
        key,
        class,
        kind: class.kind(),
        look,
        habitat: belt.habitat,
        at_home,
        x,
        y,
        z,
        flip,
        tilt,
        pose: Pose { stride: swing },
        scale: 1.0,
    })
}

fn car() -> Class {
    Class::named("car").expect("there is a class of this name")
}

fn slot_phase(key: u64) -> f32 {
    (key % 1000) as f32 * 0.006_283
}

/// What lies on the road leaves the camera's own lane free.
fn beside_the_eye(scene: &Scene, x: f32, half_width: f32) -> f32 {
    let room = 1.5 + half_width;
    if scene.viewpoint == Viewpoint::Surveillance || (x - scene.eye.x).abs() >= room {
        x
    } else if x > scene.eye.x {
        scene.eye.x + room
    } else {
        scene.eye.x - room
    }
}
