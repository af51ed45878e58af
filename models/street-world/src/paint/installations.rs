//! What people have put up beside the road: lamps, poles, rails and fences, billboards, glass cases.

use crate::{
    brush::Point,
    class::Habitat,
    colour::{Light, Rgb, rgb},
    plate::Plate,
    scene::{
        Scene,
        actor::Actor,
        eye::{NEAR, Projection},
        scenery::Scenic,
    },
};

use super::{lay_scenery, scenery_laying};

const POLE: Rgb = rgb(96, 98, 104);

/// A street lamp whose arm reaches over the road.
pub(super) fn lamp(plate: &mut Plate, projection: &Projection, scene: &Scene, scenic: &Scenic, height: f32) {
    if scenic.z <= NEAR {
        return;
    }
    let (z, scale) = (scenic.z, projection.scale(scenic.z));
    let arm = scenic.x - scenic.side * 1.7;
    let (foot, top, head) =
        (projection.point(scenic.x, 0.0, z), projection.point(scenic.x, height, z), projection.point(arm, height + 0.25, z));
    let glow = if scene.conditions.lamps_are_lit() { scale * 1.1 } else { 0.0 };
    let margin = scale * 0.4 + glow;
    let laying =
        scenery_laying(foot.0.min(head.0) - margin, head.1 - margin, foot.0.max(head.0) + margin, foot.1 + 1.0, scene.conditions.light(z));
    lay_scenery(plate, &laying, |brush| {
        brush.limb(&[(foot.0, foot.1, scale * 0.2), (foot.0, foot.1 - scale, scale * 0.14), (top.0, top.1, scale * 0.09)], POLE);
        brush.curve(&[top, (f32::midpoint(top.0, head.0), head.1 + scale * 0.06), head], scale * 0.08, POLE);
        if glow > 0.0 {
            for (radius, alpha) in [(1.0, 0.06), (0.6, 0.1), (0.32, 0.2)] {
                brush.disc(head.0, head.1 + scale * 0.1, scale * radius, rgb(255, 224, 150).glow().fade(alpha));
            }
            brush.ellipse(head.0, head.1 + scale * 0.08, scale * 0.26, scale * 0.1, rgb(255, 238, 190).glow());
        } else {
            brush.ellipse(head.0, head.1 + scale * 0.06, scale * 0.28, scale * 0.09, rgb(206, 206, 200));
        }
    });
}

/// The pole that a traffic light or sign hangs on.
pub(super) fn pole_of(plate: &mut Plate, projection: &Projection, scene: &Scene, actor: &Actor) {
    if actor.habitat != Habitat::Pole || actor.z <= NEAR {
        return;
    }
    let (z, scale) = (actor.z, projection.scale(actor.z));
    let half = scene.road.half;
    let top = actor.y + actor.height() * 0.6;
    let mut line: Vec<Point> = vec![projection.point(actor.x, top, z)];
    if actor.x.abs() < half {
        // Over the road: a mast at the kerb with an arm.
        let mast = actor.x.signum() * (half + 0.4);
        let arm = actor.y + actor.height() + 0.15;
        line.extend([projection.point(actor.x, arm, z), projection.point(mast, arm, z), projection.point(mast, 0.0, z)]);
    } else {
        line.push(projection.point(actor.x, 0.0, z));
    }
    let bound = |pick: fn(f32, f32) -> f32, start: f32, of: fn(&Point) -> f32| line.iter().map(of).fold(start, pick);
    let margin = scale * 0.2 + 1.0;
    let (left, right) = (bound(f32::min, f32::INFINITY, |p| p.0), bound(f32::max, f32::NEG_INFINITY, |p| p.0));
    let (high, low) = (bound(f32::min, f32::INFINITY, |p| p.1), bound(f32::max, f32::NEG_INFINITY, |p| p.1));
    let laying = scenery_laying(left - margin, high - margin, right + margin, low + 1.0, scene.conditions.light(z));
    lay_scenery(plate, &laying, |brush| brush.line(&line, scale * 0.11, POLE));
}

/// A piece of guard rail, or of a wooden fence.
pub(super) fn rail(plate: &mut Plate, projection: &Projection, light: Light, scenic: &Scenic, length: f32, wood: bool) {
    let (near, far) = (scenic.z.max(NEAR), scenic.z + length);
    if far <= NEAR {
        return;
    }
    let (post, board) = if wood { (rgb(124, 96, 68), rgb(150, 118, 84)) } else { (rgb(120, 124, 128), rgb(176, 180, 184)) };
    let height = if wood { 1.15 } else { 0.75 };
    let (a, b) = (projection.point(scenic.x, height, near), projection.point(scenic.x, height, far));
    let laying = scenery_laying(a.0.min(b.0) - 4.0, a.1.min(b.1) - 4.0, a.0.max(b.0) + 4.0, projection.row(0.0, near) + 1.0, light);
    lay_scenery(plate, &laying, |brush| {
        for i in 0..3 {
            let z = scenic.z + length * i as f32 / 3.0;
            if z > NEAR {
                let (foot, top) = (projection.point(scenic.x, 0.0, z), projection.point(scenic.x, height, z));
                brush.line(&[foot, top], projection.scale(z) * 0.11, post);
            }
        }
        let boards: &[(f32, f32)] = if wood { &[(0.45, 0.58), (0.9, 1.03)] } else { &[(0.42, 0.75)] };
        for &(low, high) in boards {
            let strip = [
                projection.point(scenic.x, low, near),
                projection.point(scenic.x, low, far),
                projection.point(scenic.x, high, far),
                projection.point(scenic.x, high, near),
            ];
            brush.poly(&strip, board);
            if !wood {
                let middle = [
                    projection.point(scenic.x, 0.56, near),
                    projection.point(scenic.x, 0.56, far),
                    projection.point(scenic.x, 0.62, far),
                    projection.point(scenic.x, 0.62, near),
                ];
                brush.poly(&middle, board.shade(0.7));
            }
        }
    });
}

/// A billboard, `[width, base]` metres; what is on it is painted by its actor.
pub(super) fn billboard(plate: &mut Plate, projection: &Projection, light: Light, scenic: &Scenic, size: [f32; 2], paper: Rgb) {
    if scenic.z <= NEAR {
        return;
    }
    let ([width, base], scale) = (size, projection.scale(scenic.z));
    let tall = 2.9;
    let (left, top) = projection.point(scenic.x - width / 2.0, base + tall, scenic.z);
    let (right, ground) = projection.point(scenic.x + width / 2.0, 0.0, scenic.z);
    let laying = scenery_laying(left - scale * 0.2, top - scale * 0.2, right + scale * 0.2, ground + 1.0, light);
    lay_scenery(plate, &laying, |brush| {
        for x in [left + scale * 0.8, right - scale * 0.8] {
            brush.rect(x - scale * 0.1, top + scale, scale * 0.2, ground - top - scale, rgb(88, 86, 84));
        }
        brush.rect(left - scale * 0.12, top - scale * 0.12, right - left + scale * 0.24, scale * (tall + 0.24), rgb(70, 72, 76));
        brush.rect(left, top, right - left, scale * tall, paper);
        brush.rect(left, top + scale * (tall - 0.4), right - left, scale * 0.4, paper.shade(0.75));
        brush.rect(left + scale * 0.3, top + scale * 0.22, scale * 1.9, scale * 0.24, paper.shade(0.45));
        brush.rect(left + scale * 0.3, top + scale * 0.56, scale * 1.2, scale * 0.13, paper.shade(0.6));
    });
}

/// A glass case on the pavement; what stands in it is painted by its actor.
pub(super) fn showcase(plate: &mut Plate, projection: &Projection, light: Light, scenic: &Scenic, width: f32, height: f32) {
    if scenic.z <= NEAR {
        return;
    }
    let scale = projection.scale(scenic.z);
    let (left, top) = projection.point(scenic.x - width / 2.0, height, scenic.z);
    let (right, ground) = projection.point(scenic.x + width / 2.0, 0.0, scenic.z);
    let laying = scenery_laying(left - scale * 0.3, top - scale * 0.3, right + scale * 0.3, ground + 1.0, light);
    lay_scenery(plate, &laying, |brush| {
        let (wide, tall) = (right - left, ground - top);
        brush.rect(left, top, wide, tall, rgb(206, 216, 220));
        brush.poly(
            &[(left, top + tall * 0.6), (left + wide * 0.6, top), (left + wide * 0.85, top), (left, top + tall * 0.9)],
            rgb(255, 255, 255).alpha(0.4),
        );
        brush.rect(left, ground - scale * 0.42, wide, scale * 0.42, rgb(92, 78, 70));
        brush.rect(left - scale * 0.1, top - scale * 0.28, wide + scale * 0.2, scale * 0.32, rgb(150, 44, 48));
        brush.frame(left, top, wide, tall, 0.0, scale * 0.09, rgb(70, 60, 54));
    });
}
