//! From a scene to a frame's colours and ids.

mod backdrop;
mod buildings;
mod greenery;
mod ground;
mod installations;
mod weather;

use crate::{
    colour::rgb,
    plate::{Laying, Plate, SCENERY, Silhouette},
    scene::{
        Scene,
        actor::Actor,
        eye::{NEAR, Projection},
        scenery::{Prop, Scenic},
    },
};

pub use backdrop::backdrop;

/// What was painted of one object.
pub struct Painted {
    /// The object.
    pub actor: Actor,
    /// Its id on the plate.
    pub id: u16,
    /// What it covers before anything covers it.
    pub silhouette: Silhouette,
    /// Left, top, right and bottom of its drawing's box in pixels, within the frame or not.
    pub extent: [f32; 4],
}

/// Paints a moment of a scene onto its backdrop; objects come back from far to near.
pub fn frame(plate: &mut Plate, backdrop: &Plate, scene: &Scene, time: f64) -> Vec<Painted> {
    plate.reset_to(backdrop);
    let projection = scene.eye.project(plate.width(), plate.height());
    ground::markings(plate, &projection, scene, time);
    let mut standing: Vec<Standing> = scene.scenery(time).into_iter().map(Standing::Scenic).collect();
    standing.extend(scene.actors(time).into_iter().map(Standing::Actor));
    standing.sort_by(|a, b| b.depth().total_cmp(&a.depth()));
    let mut painted: Vec<Painted> = Vec::new();
    for item in standing {
        match item {
            Standing::Scenic(scenic) => paint_scenic(plate, &projection, scene, &scenic),
            Standing::Actor(actor) => {
                let presence = actor.presence(&projection);
                let id = u16::try_from(painted.len() + 1).unwrap_or(u16::MAX);
                if presence > 0.0 && id < u16::MAX {
                    let silhouette = paint_actor(plate, &projection, scene, &actor, id, presence);
                    if silhouette.pixels > 0 {
                        let extent = actor.extent(&projection);
                        painted.push(Painted { actor, id, silhouette, extent });
                    }
                }
            }
        }
    }
    weather::precipitation(plate, scene, time);
    painted
}

enum Standing {
    Scenic(Scenic),
    Actor(Actor),
}

impl Standing {
    fn depth(&self) -> f32 {
        match self {
            Self::Scenic(scenic) => scenic.depth(),
            Self::Actor(actor) => actor.z,
        }
    }
}

fn paint_scenic(plate: &mut Plate, projection: &Projection, scene: &Scene, scenic: &Scenic) {
    let light = scene.conditions.light(scenic.z.max(NEAR));
    match scenic.prop {
        Prop::Block { length, height, wall } => buildings::block(plate, projection, scene, scenic, length, height, wall),
        Prop::House { length, height, wall, roof } => buildings::house(plate, projection, scene, scenic, [length, height], wall, roof),
        Prop::Tree { height, leaves, fir } => {
            greenery::tree(plate, projection, light, scenic, height, scene.conditions.weathered(leaves, 0.6), fir);
        }
        Prop::Bush { height, width, leaves } => {
            greenery::bush(plate, projection, light, scenic, [width, height], scene.conditions.weathered(leaves, 0.6));
        }
        Prop::Lamp { height } => installations::lamp(plate, projection, scene, scenic, height),
        Prop::Rail { length, wood } => installations::rail(plate, projection, light, scenic, length, wood),
        Prop::Billboard { width, base, paper } => installations::billboard(plate, projection, light, scenic, [width, base], paper),
        Prop::Showcase { width, height } => installations::showcase(plate, projection, light, scenic, width, height),
    }
}

fn paint_actor(plate: &mut Plate, projection: &Projection, scene: &Scene, actor: &Actor, id: u16, presence: f32) -> Silhouette {
    let light = scene.conditions.light(actor.z);
    installations::pole_of(plate, projection, scene, actor);
    shadow(plate, projection, scene, actor, presence);
    let bounds = (-0.12 * actor.look.width - 0.05, -0.12, 1.12 * actor.look.width + 0.05, 1.06);
    let laying = Laying { presence, relief: 0.1, ..Laying::new(actor.place(projection), bounds, light) };
    plate.lay(id, &laying, |brush| actor.look.draw(brush, actor.pose))
}

/// A soft shadow where something stands on the ground.
fn shadow(plate: &mut Plate, projection: &Projection, scene: &Scene, actor: &Actor, presence: f32) {
    if actor.y > 0.05 {
        return;
    }
    let scale = projection.scale(actor.z);
    let (x, y) = projection.point(actor.x, 0.0, actor.z);
    let (half, flat) = (actor.width() / 2.0 * scale * 1.06, 0.13 * scale * actor.height().min(1.6));
    let light = scene.conditions.light(actor.z);
    let mut brush = plate.brush(light);
    for (grow, alpha) in [(1.12, 0.16), (0.98, 0.3)] {
        brush.ellipse(x, y - flat * 0.15, half * grow, flat * grow, rgb(14, 14, 18).alpha(alpha * presence));
    }
}

fn scenery_laying(left: f32, top: f32, right: f32, bottom: f32, light: crate::colour::Light) -> Laying {
    Laying::new(tiny_skia::Transform::identity(), (left, top, right, bottom), light)
}

fn lay_scenery(plate: &mut Plate, laying: &Laying, draw: impl FnOnce(&mut crate::brush::Brush<'_>)) {
    plate.lay(SCENERY, laying, draw);
}
