//! What has two wheels: bicycles, motorcycles, and those who ride them.

use std::f32::consts::PI;

use crate::{
    brush::{Brush, Point},
    colour::{BLACK, HEADLIGHT, Rgb, STEEL, TAILLIGHT, rgb},
    random::Random,
    things::{
        Facing, Look,
        people::{SKIN, head},
    },
};

/// A bicycle that nobody rides.
pub fn bicycle(random: &mut Random, _: Facing) -> Look {
    let (colour, paint) = random.paint(&["red", "blue", "black", "green", "white", "yellow", "teal", "orange"]);
    let (basket, racing) = (random.chance(0.25), random.chance(0.5));
    Look::new(colour, 1.6, random.range(0.98, 1.1), move |b, _| {
        frame(b, 1.0, paint, racing);
        if basket {
            b.polys(&[[(1.3, 0.1), (1.58, 0.1), (1.52, 0.34), (1.36, 0.34)]], rgb(150, 112, 66));
        }
    })
    .stretched(random.range(0.92, 1.06))
}

/// A bicycle `size` high with its back wheel at the left; box `1.6·size` wide, standing on y = 1.
fn frame(b: &mut Brush<'_>, size: f32, paint: Rgb, racing: bool) -> Riding {
    let at = |x: f32, y: f32| (x * size, 1.0 - (1.0 - y) * size);
    let (rear, front, pedals) = (at(0.33, 0.67), at(1.27, 0.67), at(0.74, 0.7));
    let (saddle, bar) = (at(0.6, 0.16), at(1.12, 0.1));
    for hub in [rear, front] {
        spoked_wheel(b, hub, 0.33 * size, 0.05 * size);
    }
    let w = 0.05 * size;
    let top = at(0.63, 0.3);
    let fork = at(1.15, 0.27);
    b.lines(&[vec![rear, pedals, top, rear], vec![top, fork, pedals], vec![fork, front], vec![pedals, saddle]], w, paint);
    b.line(&[fork, bar], w, STEEL);
    b.limb(&[(saddle.0 - 0.1 * size, saddle.1, 0.07 * size), (saddle.0 + 0.1 * size, saddle.1, 0.045 * size)], BLACK);
    let grip = if racing { at(1.28, 0.2) } else { at(1.02, 0.04) };
    b.curve(&[bar, if racing { at(1.28, 0.08) } else { at(1.06, 0.02) }, grip], 0.05 * size, BLACK);
    b.disc(pedals.0, pedals.1, 0.075 * size, rgb(66, 66, 70));
    b.line(&[pedals, (pedals.0 + 0.07 * size, pedals.1 + 0.13 * size)], 0.04 * size, STEEL);
    Riding { hip: (saddle.0, saddle.1 - 0.06 * size), hand: bar, foot: (pedals.0 + 0.05 * size, pedals.1 + 0.12 * size) }
}

/// Where a rider's body meets the machine.
struct Riding {
    hip: Point,
    hand: Point,
    foot: Point,
}

/// A wheel with thin spokes that the background shows through.
pub(super) fn spoked_wheel(b: &mut Brush<'_>, hub: Point, radius: f32, tyre: f32) {
    let spokes: Vec<[Point; 2]> = (0..5)
        .map(|i| {
            let angle = i as f32 * PI / 5.0 + 0.2;
            let (dx, dy) = (angle.cos() * radius * 0.92, angle.sin() * radius * 0.92);
            [(hub.0 - dx, hub.1 - dy), (hub.0 + dx, hub.1 + dy)]
        })
        .collect();
    b.lines(&spokes, tyre * 0.22, rgb(150, 152, 156));
    b.ring(hub.0, hub.1, radius, tyre, BLACK);
    b.disc(hub.0, hub.1, radius * 0.12, rgb(80, 80, 84));
}

/// A wheel of a motor vehicle.
pub(super) fn wheel(b: &mut Brush<'_>, x: f32, y: f32, radius: f32) {
    b.disc(x, y, radius, BLACK);
    b.disc(x, y, radius * 0.6, rgb(158, 160, 166));
    b.disc(x, y, radius * 0.42, rgb(112, 114, 120));
    b.disc(x, y, radius * 0.16, rgb(58, 58, 62));
}

/// A motorcycle that nobody rides.
pub fn motorcycle(random: &mut Random, _: Facing) -> Look {
    let (colour, paint) = random.paint(&["red", "black", "blue", "green", "orange", "silver", "yellow"]);
    let windscreen = random.chance(0.5);
    Look::new(colour, 1.75, random.range(1.05, 1.2), move |b, _| {
        machine(b, 1.0, paint, windscreen);
    })
    .stretched(random.range(0.92, 1.06))
}

fn machine(b: &mut Brush<'_>, size: f32, paint: Rgb, windscreen: bool) -> Riding {
    let at = |x: f32, y: f32| (x * size, 1.0 - (1.0 - y) * size);
    let points = |list: &[Point]| -> Vec<Point> { list.iter().map(|&(x, y)| at(x, y)).collect() };
    let (rear, front) = (at(0.3, 0.72), at(1.44, 0.72));
    for hub in [rear, front] {
        b.disc(hub.0, hub.1, 0.28 * size, BLACK);
        b.disc(hub.0, hub.1, 0.17 * size, STEEL);
        b.disc(hub.0, hub.1, 0.13 * size, rgb(64, 64, 68));
    }
    // Engine, exhaust, frame.
    b.blob(&points(&[(0.62, 0.5), (1.0, 0.5), (1.08, 0.68), (0.98, 0.86), (0.68, 0.86), (0.58, 0.7)]), rgb(62, 64, 70));
    b.disc(at(0.84, 0.7).0, at(0.84, 0.7).1, 0.11 * size, STEEL);
    b.line(&points(&[(0.95, 0.8), (0.6, 0.88), (0.12, 0.8)]), 0.075 * size, rgb(176, 178, 184));
    b.line(&points(&[(1.44, 0.72), (1.18, 0.2)]), 0.065 * size, rgb(128, 130, 136));
    // Bodywork: tail, seat, tank, mudguard.
    b.blob(&points(&[(0.02, 0.3), (0.3, 0.38), (0.66, 0.46), (0.6, 0.62), (0.36, 0.56)]), paint);
    b.blob(&points(&[(0.1, 0.29), (0.4, 0.33), (0.7, 0.4), (0.72, 0.47), (0.4, 0.44)]), BLACK);
    b.blob(&points(&[(0.66, 0.34), (0.86, 0.22), (1.08, 0.24), (1.18, 0.36), (1.04, 0.52), (0.74, 0.5)]), paint);
    b.atop(|b| b.blob(&points(&[(0.74, 0.31), (0.9, 0.25), (1.06, 0.28), (0.88, 0.33)]), rgb(255, 255, 255).alpha(0.3)));
    b.blob(&points(&[(1.1, 0.56), (1.3, 0.41), (1.56, 0.42), (1.74, 0.58), (1.58, 0.48), (1.32, 0.48)]), paint.shade(0.85));
    b.blob(&points(&[(1.14, 0.16), (1.28, 0.14), (1.38, 0.28), (1.26, 0.4), (1.14, 0.34)]), paint);
    b.disc(at(1.33, 0.27).0, at(1.33, 0.27).1, 0.065 * size, HEADLIGHT.glow());
    b.disc(at(0.04, 0.33).0, at(0.04, 0.33).1, 0.04 * size, TAILLIGHT.glow());
    if windscreen {
        b.poly(&points(&[(1.12, 0.18), (1.1, 0.0), (1.3, 0.17)]), rgb(170, 190, 200).alpha(0.75));
    }
    b.line(&points(&[(1.18, 0.15), (1.0, 0.08)]), 0.06 * size, BLACK);
    Riding { hip: at(0.56, 0.34), hand: at(1.03, 0.09), foot: at(0.8, 0.84) }
}

/// Someone on a bicycle or a motorcycle.
pub fn rider(random: &mut Random, facing: Facing) -> Look {
    let (colour, jacket) = random.any_paint();
    let (_, paint) = random.paint(&["red", "blue", "black", "white", "green", "orange"]);
    let (_, trousers) = random.paint(&["black", "blue", "grey"]);
    let (_, helmet) = random.paint(&["red", "white", "black", "yellow", "blue"]);
    let (skin, motor, racing) = (random.pick(&SKIN), random.chance(0.4), random.chance(0.5));
    let size = if motor { 0.55 } else { 0.57 };
    if facing != Facing::Side {
        let away = facing == Facing::Away;
        return Look::new(colour, 0.46, random.range(1.65, 1.85), move |b, pose| {
            let clothes = Clothes { jacket, trousers, helmet, skin };
            from_the_end(b, pose.stride, motor, away, paint, &clothes);
        })
        .stretched(random.range(0.94, 1.1));
    }
    Look::new(colour, 0.94, random.range(1.65, 1.85), move |b, pose| {
        let joints = if motor { machine(b, size, paint, racing) } else { frame(b, size, paint, racing) };
        let (hip, hand) = (joints.hip, joints.hand);
        let turn = if motor { 0.0 } else { pose.stride * 0.035 };
        let foot = (joints.foot.0 + turn, joints.foot.1 - turn.abs() * 0.5);
        let lean = if racing && !motor { 0.2 } else { 0.1 };
        let shoulder = (hip.0 + lean, 0.235);
        let knee = (hip.0 + 0.17, f32::midpoint(hip.1, foot.1) - 0.05 - turn);
        b.limb(&[(hip.0 + 0.01, hip.1, 0.12), (knee.0, knee.1, 0.085), (foot.0, foot.1, 0.06)], trousers);
        b.limb(&[(foot.0 - 0.02, foot.1 + 0.02, 0.05), (foot.0 + 0.05, foot.1 + 0.025, 0.04)], BLACK);
        b.limb(&[(hip.0, hip.1 - 0.01, 0.16), (shoulder.0 - 0.03, shoulder.1 + 0.08, 0.17), (shoulder.0, shoulder.1, 0.13)], jacket);
        let elbow = (f32::midpoint(shoulder.0, hand.0) - 0.01, f32::midpoint(shoulder.1, hand.1) + 0.06);
        b.limb(&[(shoulder.0 + 0.01, shoulder.1 + 0.01, 0.07), (elbow.0, elbow.1, 0.06), (hand.0, hand.1, 0.05)], jacket.shade(0.78));
        b.disc(hand.0, hand.1, 0.026, skin);
        let (x, y) = (shoulder.0 + 0.05, 0.1);
        head(b, x, y + 0.01, 0.068, skin, rgb(60, 44, 34), false, false);
        if motor {
            b.disc(x, y - 0.01, 0.09, helmet);
            b.blob(&[(x + 0.01, y - 0.03), (x + 0.09, y - 0.02), (x + 0.085, y + 0.04), (x + 0.02, y + 0.03)], BLACK);
        } else {
            b.blob(&[(x - 0.095, y - 0.02), (x - 0.06, y - 0.085), (x + 0.02, y - 0.1), (x + 0.095, y - 0.03), (x, y - 0.035)], helmet);
        }
    })
    .stretched(random.range(0.94, 1.06))
}

struct Clothes {
    jacket: Rgb,
    trousers: Rgb,
    helmet: Rgb,
    skin: Rgb,
}

/// A rider who comes towards the camera or goes away from it.
fn from_the_end(b: &mut Brush<'_>, stride: f32, motor: bool, away: bool, paint: Rgb, clothes: &Clothes) {
    let x = 0.23;
    let tyre = if motor { 0.075 } else { 0.035 };
    b.round_rect(x - tyre / 2.0, 0.62, tyre, 0.38, tyre / 2.0, BLACK);
    b.line(&[(x, 0.66), (x, 0.5)], if motor { 0.13 } else { 0.04 }, paint);
    for (side, lift) in [(-1.0, stride), (1.0, -stride)] {
        let pedal = if motor { 0.84 } else { 0.86 + lift * 0.06 };
        b.limb(
            &[(x + side * 0.05, 0.52, 0.1), (x + side * 0.11, f32::midpoint(0.5, pedal), 0.09), (x + side * 0.07, pedal, 0.06)],
            clothes.trousers.shade(if side < 0.0 { 1.0 } else { 0.85 }),
        );
        b.round_rect(x + side * 0.07 - 0.03, pedal, 0.06, 0.05, 0.02, BLACK);
    }
    if motor {
        b.blob(&[(x - 0.1, 0.52), (x, 0.44), (x + 0.1, 0.52), (x + 0.07, 0.72), (x, 0.76), (x - 0.07, 0.72)], paint);
    }
    let lamp = if away { TAILLIGHT } else { HEADLIGHT };
    b.disc(x, 0.62, if motor { 0.05 } else { 0.026 }, lamp.glow());
    b.blob(&[(x - 0.07, 0.17), (x + 0.07, 0.17), (x + 0.12, 0.24), (x + 0.1, 0.52), (x - 0.1, 0.52), (x - 0.12, 0.24)], clothes.jacket);
    b.line(&[(0.04, 0.47), (0.42, 0.47)], 0.026, STEEL);
    for (side, tone) in [(-1.0, 0.9), (1.0, 0.75)] {
        b.limb(&[(x + side * 0.11, 0.23, 0.07), (x + side * 0.17, 0.37, 0.06), (x + side * 0.16, 0.46, 0.05)], clothes.jacket.shade(tone));
        b.disc(x + side * 0.16, 0.465, 0.028, BLACK);
    }
    head(b, x, 0.1, 0.066, clothes.skin, rgb(60, 44, 34), away, false);
    if motor {
        b.disc(x, 0.085, 0.088, clothes.helmet);
        if !away {
            b.round_rect(x - 0.065, 0.065, 0.13, 0.055, 0.025, BLACK);
        }
    } else {
        b.blob(&[(x - 0.08, 0.065), (x - 0.05, 0.01), (x, -0.005), (x + 0.05, 0.01), (x + 0.08, 0.065), (x, 0.05)], clothes.helmet);
    }
}
