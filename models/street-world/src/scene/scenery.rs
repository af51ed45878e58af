//! What stands beside the road and is no object: houses, trees, lamps, fences, and the billboards and shop windows that show things.

use crate::{
    class::{Class, Habitat, Kind},
    colour::{Rgb, rgb},
    random::Random,
    things::{Facing, Pose},
};

use super::{Scene, Sort, actor::Actor, conditions::Place, slots};

/// Something beside the road.
#[derive(Debug, Clone)]
pub struct Scenic {
    /// What it is.
    pub prop: Prop,
    /// Metres right of the road's middle: of the trunk, the pole, or the wall that faces the road.
    pub x: f32,
    /// Metres ahead of the camera: its near end.
    pub z: f32,
    /// −1 left of the road, 1 right of it.
    pub side: f32,
    /// What its details follow from.
    pub seed: u64,
}

/// The kinds of scenery. Lengths in metres.
#[expect(missing_docs, reason = "lengths and colours; their names say of what")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prop {
    /// A block of flats with shops: `length` along the road.
    Block { length: f32, height: f32, wall: Rgb },
    /// A house with a pitched roof.
    House { length: f32, height: f32, wall: Rgb, roof: Rgb },
    /// A tree.
    Tree { height: f32, leaves: Rgb, fir: bool },
    /// A bush or a piece of hedge.
    Bush { height: f32, width: f32, leaves: Rgb },
    /// A street lamp.
    Lamp { height: f32 },
    /// A piece of guard rail or of fence, `length` along the road.
    Rail { length: f32, wood: bool },
    /// A billboard on posts.
    Billboard { width: f32, base: f32, paper: Rgb },
    /// A glass case on the pavement with something in it.
    Showcase { width: f32, height: f32 },
}

impl Scenic {
    /// Metres ahead at which it is painted: its far end, since things stand before walls, not within.
    #[must_use]
    pub fn depth(&self) -> f32 {
        match self.prop {
            Prop::Block { length, .. } | Prop::House { length, .. } => self.z + length,
            Prop::Rail { length, .. } => self.z + length / 2.0,
            _ => self.z,
        }
    }
}

const FAR: f32 = 130.0;
const WALLS: [Rgb; 7] = [
    rgb(158, 112, 90),
    rgb(182, 168, 146),
    rgb(134, 136, 144),
    rgb(192, 156, 120),
    rgb(146, 98, 82),
    rgb(204, 194, 176),
    rgb(120, 128, 138),
];
const PLASTER: [Rgb; 5] = [rgb(222, 210, 186), rgb(200, 184, 160), rgb(186, 150, 124), rgb(226, 222, 212), rgb(170, 182, 188)];
const ROOFS: [Rgb; 4] = [rgb(140, 70, 54), rgb(96, 82, 78), rgb(118, 60, 48), rgb(84, 88, 96)];

/// All scenery from the camera to the end of sight.
pub(super) fn scenery(scene: &Scene, time: f64) -> Vec<Scenic> {
    let mut all = Vec::new();
    let far = FAR.min(scene.conditions.sight() * 1.6);
    let free = open_stretches(scene, time);
    for side in [-1.0, 1.0] {
        lots(scene, time, side, far, &free, &mut all);
        if scene.conditions.built_up() || scene.conditions.place == Place::Highway {
            lamps(scene, time, side, far, &mut all);
        }
        if !scene.conditions.built_up() {
            rails(scene, time, side, far, &free, &mut all);
        }
    }
    if scene.contents.look_alikes {
        all.extend(shows(scene, time).into_iter().map(|(scenic, _)| scenic));
    }
    all
}

/// Whether a stretch along the road is free of side roads and railway lines.
fn open_stretches(scene: &Scene, time: f64) -> impl Fn(f32, f32) -> bool {
    let taken: Vec<(f32, f32)> = super::crossings::ahead(scene, time)
        .into_iter()
        .filter(|crossing| matches!(crossing.sort, Sort::Junction | Sort::Rails))
        .map(|crossing| (crossing.z - crossing.sort.depth() * 0.8, crossing.z + crossing.sort.depth() * 0.8))
        .collect();
    move |near, far| taken.iter().all(|&(from, to)| far < from || near > to)
}

fn lots(scene: &Scene, time: f64, side: f32, far: f32, free: &impl Fn(f32, f32) -> bool, all: &mut Vec<Scenic>) {
    let place = scene.conditions.place;
    let length = match place {
        Place::City => 13.0,
        Place::Suburb => 17.0,
        Place::Highway => 11.0,
        Place::Country => 10.0,
    };
    let edge = scene.road.edge();
    for (slot, z) in slots(length, -scene.driven(time), -length, far) {
        let mut random = Random::of(&[scene.seed, 70, u64::from(side > 0.0), slot.cast_unsigned()]);
        let seed = random.bits();
        let mut put = |prop: Prop, x: f32, z: f32| all.push(Scenic { prop, x: x * side, z, side, seed });
        let tree = |random: &mut Random, beyond: f32, put: &mut dyn FnMut(Prop, f32, f32)| {
            let fir = random.chance(if place == Place::Country || place == Place::Highway { 0.4 } else { 0.15 });
            let green =
                if fir { rgb(40, 84, 56) } else { random.pick(&[rgb(66, 118, 52), rgb(92, 128, 50), rgb(50, 104, 60), rgb(150, 120, 44)]) };
            let leaves = random.near(green, 12.0);
            let height = random.range(4.0, 8.5);
            put(Prop::Tree { height, leaves, fir }, edge + beyond, z + length * random.range(0.1, 0.9));
        };
        match place {
            Place::City => {
                let wall = random.pick(&WALLS);
                let wall = random.near(wall, 10.0);
                let height = random.range(9.0, 22.0);
                let built = !random.chance(0.1) && free(z, z + length);
                if built {
                    put(Prop::Block { length: length - random.range(0.0, 0.6), height, wall }, edge + random.range(0.2, 0.9), z);
                }
                if random.chance(if built { 0.22 } else { 0.9 }) {
                    let beyond = if built { -0.7 } else { random.range(1.0, 5.0) };
                    tree(&mut random, beyond, &mut put);
                }
            }
            Place::Suburb => {
                if !random.chance(0.2) && free(z, z + length) {
                    let (wall, roof) = (random.pick(&PLASTER), random.pick(&ROOFS));
                    let (wall, roof) = (random.near(wall, 10.0), random.near(roof, 10.0));
                    let (length, height) = (random.range(8.5, 12.0), random.range(3.0, 5.6));
                    put(Prop::House { length, height, wall, roof }, edge + random.range(4.0, 7.0), z + 1.5);
                    if random.chance(0.6) {
                        for piece in 0..5 {
                            let leaves = random.near(rgb(62, 108, 54), 8.0);
                            put(Prop::Bush { height: 0.9, width: 2.8, leaves }, edge + 1.5, z + 2.0 + piece as f32 * 2.2);
                        }
                    }
                }
                if random.chance(0.75) {
                    let beyond = random.range(1.5, 4.0);
                    tree(&mut random, beyond, &mut put);
                }
            }
            Place::Highway | Place::Country => {
                for _ in 0..2 {
                    if random.chance(0.5) {
                        let beyond = random.range(7.0, 30.0);
                        tree(&mut random, beyond, &mut put);
                    }
                }
                if random.chance(0.4) {
                    let leaves = random.near(rgb(86, 120, 56), 14.0);
                    let width = random.range(1.5, 3.5);
                    put(
                        Prop::Bush { height: random.range(0.7, 1.6), width, leaves },
                        edge + random.range(3.0, 16.0),
                        z + random.range(0.0, length),
                    );
                }
                if place == Place::Country && random.chance(0.06) {
                    let (wall, roof) = (random.pick(&PLASTER), random.pick(&ROOFS));
                    put(Prop::House { length: 11.0, height: 4.5, wall, roof }, edge + random.range(14.0, 26.0), z);
                }
            }
        }
    }
}

fn lamps(scene: &Scene, time: f64, side: f32, far: f32, all: &mut Vec<Scenic>) {
    let spacing = 30.0;
    for (slot, z) in slots(spacing, -scene.driven(time), 0.0, far) {
        // The sides take turns.
        let z = z + if side > 0.0 { spacing / 2.0 } else { 0.0 };
        let height = if scene.conditions.place == Place::Highway { 9.0 } else { 6.2 };
        all.push(Scenic { prop: Prop::Lamp { height }, x: side * (scene.road.half + 0.35), z, side, seed: slot.cast_unsigned() });
    }
}

fn rails(scene: &Scene, time: f64, side: f32, far: f32, free: &impl Fn(f32, f32) -> bool, all: &mut Vec<Scenic>) {
    let highway = scene.conditions.place == Place::Highway;
    let length = if highway { 8.0 } else { 6.0 };
    for (slot, z) in slots(length, -scene.driven(time), -length, far.min(80.0)) {
        let there = highway || Random::of(&[scene.seed, 71, u64::from(side > 0.0), (slot / 6).cast_unsigned()]).chance(0.5);
        if there && free(z, z + length) {
            let x = side * (scene.road.half + if highway { 2.4 } else { 2.6 });
            all.push(Scenic { prop: Prop::Rail { length, wood: !highway }, x, z, side, seed: slot.cast_unsigned() });
        }
    }
}

/// Billboards and showcases, and what is on show.
pub(super) fn on_show(scene: &Scene, time: f64) -> Vec<Actor> {
    shows(scene, time).into_iter().filter_map(|(_, actor)| actor).collect()
}

fn shows(scene: &Scene, time: f64) -> Vec<(Scenic, Option<Actor>)> {
    const SPACING: f32 = 38.0;
    slots(SPACING, -scene.driven(time), 2.0, 62.0_f32.min(scene.conditions.sight()))
        .filter_map(|(slot, z)| {
            let mut random = Random::of(&[scene.seed, 72, slot.cast_unsigned()]);
            if !random.chance(0.5) {
                return None;
            }
            let (z, side, seed) = (z + random.range(0.0, 20.0), random.sign(), random.bits());
            let showcase = scene.conditions.built_up() && random.chance(0.5);
            Some(if showcase { case(scene, z, side, seed, &mut random) } else { board(scene, z, side, seed, &mut random) })
        })
        .collect()
}

fn board(scene: &Scene, z: f32, side: f32, seed: u64, random: &mut Random) -> (Scenic, Option<Actor>) {
    let (width, base) = (random.range(4.4, 5.4), random.range(2.9, 3.6));
    let x = side * (scene.road.half + scene.road.pavement.max(2.5) + width / 2.0 - 1.8);
    let paper = random.pick(&[rgb(240, 236, 220), rgb(120, 186, 222), rgb(246, 206, 96), rgb(196, 224, 190), rgb(232, 166, 160)]);
    let name = random.pick(&["car", "car", "car", "bus", "motorcycle", "bicycle", "horse", "dog", "train", "couch", "elephant"]);
    let class = Class::named(name).expect("names of this list are in the table");
    let look = class.look(random, Facing::Side);
    // As large as the board allows.
    let scale = (width * 0.74 / look.width).min(1.9) / look.height;
    let y = base + 0.35;
    let actor = Actor {
        key: seed,
        class,
        kind: Kind::LookAlike,
        look,
        habitat: Habitat::Sky,
        at_home: false,
        x: x - 0.2,
        y,
        z: z - 0.02,
        flip: random.chance(0.5),
        tilt: 0.0,
        pose: Pose { stride: 0.4 },
        scale,
    };
    (Scenic { prop: Prop::Billboard { width, base, paper }, x, z, side, seed }, Some(actor))
}

fn case(scene: &Scene, z: f32, side: f32, seed: u64, random: &mut Random) -> (Scenic, Option<Actor>) {
    let name = random.pick(&["traffic light", "traffic light", "bicycle", "motorcycle", "pedestrian", "traffic sign"]);
    let class = Class::named(name).expect("names of this list are in the table");
    let look = class.look(random, Facing::Side);
    let inside = look.height * look.width;
    let (width, height) = (inside.max(0.9) + 0.5, look.height.max(1.5) + 0.8);
    let x = side * (scene.road.edge() - width / 2.0 - 0.1).max(scene.road.half + width / 2.0 + 0.3);
    let actor = Actor {
        key: seed,
        class,
        kind: Kind::LookAlike,
        look,
        habitat: Habitat::Kerb,
        at_home: false,
        x,
        y: 0.42,
        z: z - 0.02,
        flip: random.chance(0.5),
        tilt: 0.0,
        pose: Pose { stride: 0.1 },
        scale: 1.0,
    };
    (Scenic { prop: Prop::Showcase { width, height }, x, z, side, seed }, Some(actor))
}
