//! A scene: a stretch of road without end, and all that stands and moves on it, as a function of a seed and a time.
//!
//! Nothing is stored and nothing is simulated. The world is cut into slots, along belts that lie still or move at a constant speed; what a slot holds follows
//! from the seed and the slot's number alone. So a scene can be asked for any moment, goes on for ever, and is the same at every size and frame rate.

pub mod actor;
mod belts;
pub mod conditions;
mod crossings;
pub mod eye;
mod pick;
pub mod road;
pub mod scenery;

use serde::Serialize;

use crate::random::Random;

use self::{
    actor::Actor,
    conditions::{Conditions, Wanted},
    eye::Eye,
    road::Road,
    scenery::Scenic,
};

/// Whether the camera drives or stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Viewpoint {
    /// A camera in a car.
    Drive,
    /// A camera on a mast.
    Surveillance,
}

/// What a scene holds. Shares are 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contents {
    /// The share of objects that are OOD.
    pub ood: f32,
    /// The share of OOD objects whose class is in no caption.
    pub unseen: f32,
    /// Whether there are billboards and shop windows with things on show.
    pub look_alikes: bool,
}

impl Contents {
    /// Known and unknown things, as a demo wants them.
    pub const MIXED: Self = Self { ood: 0.38, unseen: 0.3, look_alikes: true };
    /// Known things alone.
    pub const ID: Self = Self { ood: 0.0, unseen: 0.0, look_alikes: false };
    /// Named unknowns alone.
    pub const NAMED_OOD: Self = Self { ood: 1.0, unseen: 0.0, look_alikes: false };
    /// Unknowns that no caption names, alone.
    pub const UNSEEN_OOD: Self = Self { ood: 1.0, unseen: 1.0, look_alikes: false };
}

/// A scene of the world.
#[derive(Debug, Clone)]
pub struct Scene {
    /// What everything follows from.
    pub seed: u64,
    /// Whether the camera drives or stands.
    pub viewpoint: Viewpoint,
    /// Place, time and weather.
    pub conditions: Conditions,
    /// The road.
    pub road: Road,
    /// The camera.
    pub eye: Eye,
    contents: Contents,
    /// How many slots are taken, against the usual.
    density: f32,
}

/// How many objects a frame should show.
const CROWD: std::ops::RangeInclusive<usize> = 5..=11;

/// The width of a frame against its height that crowds are counted in.
const USUAL_ASPECT: (u32, u32) = (640, 360);

impl Scene {
    /// The scene of this seed.
    #[must_use]
    pub fn new(seed: u64, viewpoint: Viewpoint, contents: Contents, wanted: Wanted) -> Self {
        let conditions = Conditions::draw(&mut Random::of(&[seed, 1]), wanted);
        let mut random = Random::of(&[seed, 2]);
        let road = Road::draw(&mut random, conditions.place);
        let eye = Eye::draw(&mut random, viewpoint, conditions.place, &road);
        let scene = Self { seed, viewpoint, conditions, road, eye, contents, density: 1.0 };
        let wanted = random.range(6.5, 9.5);
        scene.crowded(wanted)
    }

    /// The same scene, as full as it must be for this many objects a frame.
    fn crowded(self, wanted: f32) -> Self {
        const MOMENTS: usize = 5;
        let full = |density: f32| {
            let scene = Self { density, ..self.clone() };
            let seen: usize = (0..MOMENTS).map(|i| scene.seen(3.0 + 7.0 * i as f64)).sum();
            (scene, (seen as f32 / MOMENTS as f32 - wanted).abs())
        };
        let tries = [0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0].map(full);
        tries.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(self, |(scene, _)| scene)
    }

    /// A moment that shows a good number of objects: what a single picture of this scene is taken at.
    #[must_use]
    pub fn moment(&self) -> f64 {
        let mut random = Random::of(&[self.seed, 3]);
        let moments: Vec<f64> = (0..8).map(|_| f64::from(random.range(0.0, 300.0))).collect();
        moments.iter().copied().find(|&time| CROWD.contains(&self.seen(time))).unwrap_or(moments[0])
    }

    /// How many objects are in the frame and large enough to count.
    fn seen(&self, time: f64) -> usize {
        let projection = self.eye.project(USUAL_ASPECT.0, USUAL_ASPECT.1);
        self.actors(time).iter().filter(|actor| actor.is_seen(&projection)).count()
    }

    /// All objects near enough to matter, in no order.
    #[must_use]
    pub fn actors(&self, time: f64) -> Vec<Actor> {
        let mut actors = belts::actors(self, time);
        actors.extend(crossings::actors(self, time));
        if self.contents.look_alikes {
            actors.extend(scenery::on_show(self, time));
        }
        actors
    }

    /// Houses, trees, lamps and the like, in no order.
    #[must_use]
    pub fn scenery(&self, time: f64) -> Vec<Scenic> {
        scenery::scenery(self, time)
    }

    /// Crossings ahead, for the painter: metres ahead of the camera.
    #[must_use]
    pub fn crossings(&self, time: f64) -> Vec<crossings::Crossing> {
        crossings::ahead(self, time)
    }

    /// How far the camera has driven.
    #[must_use]
    pub fn driven(&self, time: f64) -> f64 {
        f64::from(self.eye.speed) * time
    }
}

pub use crossings::{Crossing, Sort};

/// The numbers of the slots of a belt that lie between two distances ahead of the camera, each with its distance.
fn slots(spacing: f32, moved: f64, near: f32, far: f32) -> impl Iterator<Item = (i64, f32)> {
    let spacing = f64::from(spacing);
    let first = ((f64::from(near) - moved) / spacing).floor() as i64;
    let last = ((f64::from(far) - moved) / spacing).ceil() as i64;
    (first..=last).map(move |slot| (slot, (slot as f64 * spacing + moved) as f32))
}
