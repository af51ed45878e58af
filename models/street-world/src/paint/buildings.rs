//! Blocks of flats and houses, in perspective.

use crate::{
    brush::{Brush, Point},
    colour::{Rgb, rgb},
    plate::Plate,
    random::Random,
    scene::{
        Scene,
        eye::{NEAR, Projection},
        scenery::Scenic,
    },
};

use super::{lay_scenery, scenery_laying};

const PANE: Rgb = rgb(82, 98, 116);
const LIT: Rgb = rgb(252, 214, 132);

/// Walls in perspective: `u` runs along the road from the near end, `y` upwards.
struct Wall<'a> {
    projection: &'a Projection,
    x: f32,
    z: f32,
}

impl Wall<'_> {
    fn point(&self, u: f32, y: f32) -> Point {
        self.projection.point(self.x, y, (self.z + u).max(NEAR))
    }

    fn pane(&self, u: [f32; 2], y: [f32; 2]) -> [Point; 4] {
        [self.point(u[0], y[0]), self.point(u[1], y[0]), self.point(u[1], y[1]), self.point(u[0], y[1])]
    }
}

/// A block of flats: shops below, windows above.
pub(super) fn block(plate: &mut Plate, projection: &Projection, scene: &Scene, scenic: &Scenic, length: f32, height: f32, wall: Rgb) {
    if scenic.z + length <= NEAR {
        return;
    }
    let mut random = Random::of(&[scenic.seed, 1]);
    let facade = Wall { projection, x: scenic.x, z: scenic.z };
    let deep = scenic.x + scenic.side * 12.0;
    let bounds = bounds(projection, [scenic.x, deep], height + 1.5, scenic.z.max(NEAR));
    let conditions = &scene.conditions;
    let lit = conditions.lamps_are_lit();
    let laying = scenery_laying(bounds[0], bounds[1], bounds[2], bounds[3], conditions.light(scenic.z.max(NEAR) + length / 2.0));
    lay_scenery(plate, &laying, |brush| {
        if scenic.z > NEAR {
            // The gable end that faces the camera.
            brush.poly(&end_wall(projection, scenic.x, deep, height, scenic.z), wall.shade(0.78));
        }
        brush.poly(&facade.pane([0.0, length], [0.0, height]), wall);
        brush.poly(&facade.pane([0.0, length], [height - 0.5, height + 0.25]), wall.shade(0.7));
        let storeys = ((height - 4.0) / 3.1).max(1.0) as i32;
        let mut gable: Vec<[Point; 4]> = Vec::new();
        for (column, storey) in (0..3).flat_map(|column| (0..storeys).map(move |storey| (column, storey))) {
            let (x, y) = (scenic.x + scenic.side * (1.6 + 3.4 * column as f32), 4.3 + storey as f32 * 3.1);
            let corner = |dx: f32, dy: f32| projection.point(x + scenic.side * dx, y + dy, scenic.z);
            gable.push([corner(0.0, 0.0), corner(1.3, 0.0), corner(1.3, 1.7), corner(0.0, 1.7)]);
        }
        if scenic.z > NEAR && scenic.seed.is_multiple_of(3) {
            brush.polys(&gable, PANE.mix(wall, 0.2));
        }
        let columns = (length / 2.4) as i32;
        let (mut dark, mut bright, mut sills) = (Vec::new(), Vec::new(), Vec::new());
        for storey in 0..storeys {
            for column in 0..columns {
                let (u, y) = (0.7 + column as f32 * (length - 0.6) / columns as f32, 4.3 + storey as f32 * 3.1);
                let pane = facade.pane([u, u + 1.2], [y, y + 1.7]);
                if lit && random.chance(0.4) {
                    bright.push(pane);
                } else {
                    dark.push(pane);
                }
                sills.push(facade.pane([u - 0.1, u + 1.3], [y - 0.16, y]));
            }
        }
        brush.polys(&dark, PANE);
        brush.polys(&bright, LIT.glow());
        brush.polys(&sills, wall.shade(1.16));
        shops(brush, &facade, length, lit, &mut random);
    });
}

fn shops(brush: &mut Brush<'_>, facade: &Wall<'_>, length: f32, lit: bool, random: &mut Random) {
    let shops = 2;
    let wide = length / shops as f32;
    for shop in 0..shops {
        let u = shop as f32 * wide + 0.4;
        let (_, awning) = random.paint(&["red", "green", "blue", "beige", "teal", "brown"]);
        let glass = if lit { rgb(246, 214, 150).mix(PANE, 0.25).glow() } else { rgb(96, 116, 130).into() };
        brush.poly(&facade.pane([u, u + wide - 2.0], [0.5, 2.7]), glass);
        brush.poly(&facade.pane([u + wide - 1.7, u + wide - 0.7], [0.0, 2.6]), rgb(84, 64, 50));
        brush.poly(&facade.pane([u - 0.1, u + wide - 0.6], [2.8, 3.5]), awning);
        brush.poly(&facade.pane([u - 0.1, u + wide - 0.6], [2.66, 2.8]), awning.shade(0.65));
    }
}

/// A house with a pitched roof, its gable towards the camera.
pub(super) fn house(plate: &mut Plate, projection: &Projection, scene: &Scene, scenic: &Scenic, size: [f32; 2], wall: Rgb, roof: Rgb) {
    let [length, height] = size;
    if scenic.z + length <= NEAR {
        return;
    }
    let mut random = Random::of(&[scenic.seed, 2]);
    let facade = Wall { projection, x: scenic.x, z: scenic.z };
    let deep = scenic.x + scenic.side * 7.0;
    let ridge = height + 2.6;
    let middle = scenic.x + scenic.side * 3.5;
    let bounds = bounds(projection, [scenic.x - scenic.side, deep + scenic.side], ridge + 1.2, scenic.z.max(NEAR));
    let conditions = &scene.conditions;
    let lit = conditions.lamps_are_lit();
    let roof = conditions.weathered(roof, 0.85);
    let laying = scenery_laying(bounds[0], bounds[1], bounds[2], bounds[3], conditions.light(scenic.z.max(NEAR) + 2.0));
    lay_scenery(plate, &laying, |brush| {
        let (near, far) = (scenic.z.max(NEAR), scenic.z + length);
        brush.poly(&facade.pane([near - scenic.z, length], [0.0, height]), wall);
        // The roof's slope towards the road, with the eaves a little out.
        let eaves = scenic.x - scenic.side * 0.5;
        brush.poly(
            &[
                projection.point(eaves, height - 0.3, near),
                projection.point(eaves, height - 0.3, far),
                projection.point(middle, ridge, far),
                projection.point(middle, ridge, near),
            ],
            roof,
        );
        let (chimney, at) = (scenic.x + scenic.side * 2.4, near + length * 0.6);
        brush.poly(
            &[
                projection.point(chimney - 0.35, height + 1.2, at),
                projection.point(chimney - 0.35, ridge + 0.7, at),
                projection.point(chimney + 0.35, ridge + 0.7, at),
                projection.point(chimney + 0.35, height + 1.2, at),
            ],
            rgb(128, 84, 70),
        );
        if scenic.z > NEAR {
            let gable = [
                projection.point(scenic.x, 0.0, near),
                projection.point(scenic.x, height, near),
                projection.point(middle, ridge - 0.1, near),
                projection.point(deep, height, near),
                projection.point(deep, 0.0, near),
            ];
            brush.poly(&gable, wall.shade(0.86));
            let rake = [
                projection.point(eaves, height - 0.35, near),
                projection.point(middle, ridge, near),
                projection.point(deep + scenic.side * 0.5, height - 0.35, near),
            ];
            brush.line(&rake, 0.22 * projection.scale(near), roof.shade(0.8));
            for (u, y) in [(1.1, 1.0), (4.5, 1.0), (2.8, height - 0.2)] {
                let left = scenic.x + scenic.side * u;
                let corner = |dx: f32, dy: f32| projection.point(left + scenic.side * dx, y + dy, near);
                let pane = [corner(0.0, 0.0), corner(1.3, 0.0), corner(1.3, 1.3), corner(0.0, 1.3)];
                let glass = if lit && random.chance(0.6) { LIT.glow() } else { PANE.into() };
                brush.poly(&pane, glass);
                brush.line(&[pane[0], pane[1], pane[2], pane[3], pane[0]], 0.1 * projection.scale(near), rgb(236, 234, 228));
            }
        }
        for (i, u) in [0.16, 0.44, 0.72].into_iter().enumerate() {
            let u = u * length;
            let glass = if lit && random.chance(0.6) { LIT.glow() } else { PANE.into() };
            if i == 1 {
                brush.poly(&facade.pane([u, u + 1.0], [0.0, 2.1]), rgb(110, 72, 50));
            } else {
                brush.poly(&facade.pane([u, u + 1.5], [0.9, 2.2]), glass);
            }
        }
    });
}

fn end_wall(projection: &Projection, x: f32, deep: f32, height: f32, z: f32) -> [Point; 4] {
    [projection.point(x, 0.0, z), projection.point(x, height, z), projection.point(deep, height, z), projection.point(deep, 0.0, z)]
}

/// The box in pixels of everything between two x, up to a height, at a distance or beyond.
fn bounds(projection: &Projection, x: [f32; 2], height: f32, near: f32) -> [f32; 4] {
    let columns = [projection.column(x[0], near), projection.column(x[1], near), projection.centre()];
    let left = columns.iter().copied().fold(f32::INFINITY, f32::min);
    let right = columns.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    [left, projection.row(height, near).min(projection.horizon), right, projection.row(0.0, near).max(projection.horizon)]
}
