//! Crossings: zebra crossings, side roads, railway lines, game passes; and who crosses there.

use std::f64::consts::TAU;

use crate::{
    class::Habitat,
    random::Random,
    things::{Facing, Pose},
};

use super::{Scene, Viewpoint, actor::Actor, conditions::Place, pick, slots};

/// What crosses the road.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Painted stripes; people and dogs walk over.
    Zebra,
    /// A side road.
    Junction,
    /// A railway line.
    Rails,
    /// Nothing to be seen on the ground.
    Pass,
}

impl Sort {
    fn habitat(self) -> Habitat {
        match self {
            Self::Zebra | Self::Pass => Habitat::Crossing,
            Self::Junction => Habitat::Junction,
            Self::Rails => Habitat::Rail,
        }
    }

    /// Metres a second of who crosses.
    fn pace(self) -> f32 {
        match self {
            Self::Zebra => 1.4,
            Self::Pass => 1.8,
            Self::Junction => 7.0,
            Self::Rails => 12.0,
        }
    }

    /// Metres along the road that it takes.
    #[must_use]
    pub fn depth(self) -> f32 {
        match self {
            Self::Zebra | Self::Pass => 3.2,
            Self::Junction => 7.0,
            Self::Rails => 3.0,
        }
    }
}

/// One crossing.
#[derive(Debug, Clone, Copy)]
pub struct Crossing {
    /// What it is.
    pub sort: Sort,
    /// Metres ahead of the camera, its middle.
    pub z: f32,
    slot: i64,
}

const SPACING: f32 = 46.0;

/// Crossings from a little behind the camera to the end of sight.
pub(super) fn ahead(scene: &Scene, time: f64) -> Vec<Crossing> {
    if scene.viewpoint == Viewpoint::Surveillance {
        let mut random = Random::of(&[scene.seed, 60]);
        let near = random.range(15.0, 24.0);
        return [(0, near), (1, near + SPACING)].map(|(slot, z)| Crossing { sort: sort(scene, &mut random), z, slot }).into();
    }
    slots(SPACING, -scene.driven(time), -8.0, 110.0)
        .map(|(slot, distance)| {
            let mut random = Random::of(&[scene.seed, 60, slot.cast_unsigned()]);
            Crossing { z: distance + random.range(-7.0, 7.0), sort: sort(scene, &mut random), slot }
        })
        .collect()
}

fn sort(scene: &Scene, random: &mut Random) -> Sort {
    let [zebra, junction, rails, pass] = match scene.conditions.place {
        Place::City => [0.45, 0.4, 0.15, 0.0],
        Place::Suburb => [0.35, 0.35, 0.2, 0.1],
        Place::Highway => [0.0, 0.0, 0.2, 0.8],
        Place::Country => [0.05, 0.25, 0.3, 0.4],
    };
    let sorts = [(Sort::Zebra, zebra), (Sort::Junction, junction), (Sort::Rails, rails), (Sort::Pass, pass)];
    sorts[random.weighted(sorts.iter().map(|s| s.1)).unwrap_or(0)].0
}

/// Everyone who crosses.
pub(super) fn actors(scene: &Scene, time: f64) -> Vec<Actor> {
    let mut actors = Vec::new();
    for crossing in ahead(scene, time) {
        match scene.viewpoint {
            Viewpoint::Surveillance => streams(scene, crossing, time, &mut actors),
            Viewpoint::Drive => {
                for person in 0..3 {
                    let mut random = Random::of(&[scene.seed, 61, crossing.slot.cast_unsigned(), person]);
                    if random.chance(if crossing.sort == Sort::Rails { 0.9 } else { 0.42 * scene.density })
                        && (crossing.sort != Sort::Rails || person == 0)
                    {
                        actors.extend(ahead_of_the_eye(scene, crossing, &mut random));
                    }
                }
            }
        }
    }
    actors
}

/// Before a standing camera: two streams without end, one each way.
fn streams(scene: &Scene, crossing: Crossing, time: f64, actors: &mut Vec<Actor>) {
    let sort = crossing.sort;
    let (spacing, reach) = match sort {
        Sort::Zebra | Sort::Pass => (6.0, scene.road.edge() + 9.0),
        Sort::Junction => (20.0, 46.0),
        Sort::Rails => (90.0, 60.0),
    };
    for way in [-1.0_f32, 1.0] {
        let moved = f64::from(way * sort.pace()) * time;
        for (slot, x) in slots(spacing, moved, -reach, reach) {
            let mut random = Random::of(&[scene.seed, 62, crossing.slot.cast_unsigned(), slot.cast_unsigned(), u64::from(way > 0.0)]);
            if random.chance(0.4 * scene.density.max(0.7)) && (sort != Sort::Rails || way > 0.0) {
                let x = x + random.range(-0.25, 0.25) * spacing;
                actors.extend(crosser(scene, crossing, way, x, moved, &mut random));
            }
        }
    }
}

/// Before a driving camera: who crosses leaves its lane in time.
fn ahead_of_the_eye(scene: &Scene, crossing: Crossing, random: &mut Random) -> Option<Actor> {
    let (sort, eye) = (crossing.sort, &scene.eye);
    let way = random.sign();
    let cleared_at = match sort {
        Sort::Zebra | Sort::Pass => random.range(7.0, 24.0),
        Sort::Junction => random.range(16.0, 34.0),
        Sort::Rails => random.range(22.0, 40.0),
    };
    // Seconds since the lane was free, from the metres driven since.
    let since = f64::from((cleared_at - crossing.z) / eye.speed.max(1.0));
    let moved = f64::from(way * sort.pace()) * since;
    let mut actor = crosser(scene, crossing, way, eye.x + moved as f32, moved, random)?;
    actor.x += way * (1.6 + actor.width() / 2.0);
    let kerb = scene.road.half + 1.2;
    if matches!(sort, Sort::Zebra | Sort::Pass) && actor.x.abs() > kerb {
        // On the other side, and before it starts, it stands.
        actor.x = kerb * actor.x.signum();
        actor.pose = Pose { stride: 0.3 };
    }
    (actor.x.abs() < 60.0).then_some(actor)
}

fn crosser(scene: &Scene, crossing: Crossing, way: f32, x: f32, moved: f64, random: &mut Random) -> Option<Actor> {
    let habitat = crossing.sort.habitat();
    let (class, at_home) = pick::class(scene, habitat, random)?;
    let key = random.bits();
    let look = class.look(random, Facing::Side);
    let depth = crossing.sort.depth() * if habitat == Habitat::Rail { 0.0 } else { 0.25 };
    let z = crossing.z + if habitat == Habitat::Junction { -way * depth } else { random.range(-depth, depth) };
    let stride = (moved * TAU / (0.85 * f64::from(look.height))).sin() as f32;
    let pose = Pose { stride };
    Some(Actor { key, class, kind: class.kind(), look, habitat, at_home, x, y: 0.0, z, flip: way < 0.0, tilt: 0.0, pose, scale: 1.0 })
}
