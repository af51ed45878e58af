//! People on foot.

use crate::{
    brush::Brush,
    colour::{BLACK, Rgb, rgb},
    random::Random,
    things::{Facing, Look},
};

/// Tones of skin.
pub(super) const SKIN: [Rgb; 5] = [rgb(241, 204, 174), rgb(224, 172, 130), rgb(178, 120, 80), rgb(120, 78, 50), rgb(84, 54, 38)];
const HAIR: [Rgb; 5] = [rgb(30, 24, 20), rgb(90, 60, 34), rgb(200, 166, 96), rgb(140, 140, 140), rgb(140, 62, 30)];

/// Someone who walks.
pub fn pedestrian(random: &mut Random, facing: Facing) -> Look {
    let (colour, coat) = random.any_paint();
    let (_, trousers) = random.paint(&["blue", "black", "grey", "brown", "beige"]);
    let (_, bag_colour) = random.paint(&["red", "black", "teal", "brown"]);
    let (skin, hair) = (random.pick(&SKIN), random.pick(&HAIR));
    let (dressed, long_coat, long_hair) = (random.chance(0.22), random.chance(0.25), random.chance(0.35));
    let bag = random.below(4);
    let stance = random.range(0.35, 1.0);
    let sleeve = coat.shade(0.82);
    Look::new(colour, 0.42, random.range(1.55, 1.88), move |b, pose| {
        let (x, swing) = (0.21, pose.stride * stance * 0.13);
        if bag == 1 {
            b.round_rect(x - 0.17, 0.19, 0.14, 0.23, 0.04, bag_colour);
        }
        b.limb(&[(x + 0.08, 0.2, 0.06), (x + 0.1 + swing * 0.5, 0.35, 0.055), (x + 0.11 + swing, 0.48, 0.045)], sleeve.shade(0.85));
        b.disc(x + 0.11 + swing, 0.5, 0.024, skin.shade(0.9));
        for (side, foot, shade) in [(0.035, -swing, 0.8), (-0.035, swing, 1.0)] {
            let leg = if dressed { skin } else { trousers }.shade(shade);
            let knee = x + side + foot * 0.55 + 0.02;
            b.limb(&[(x + side, 0.5, 0.1), (knee, 0.73, 0.08), (x + side + foot, 0.95, 0.055)], leg);
            b.limb(&[(x + side + foot - 0.005, 0.975, 0.05), (x + side + foot + 0.055, 0.98, 0.04)], BLACK.shade(shade));
        }
        let hem = if dressed {
            0.72
        } else if long_coat {
            0.64
        } else {
            0.53
        };
        let flare = if dressed || long_coat { 0.13 } else { 0.085 };
        b.blob(
            &[
                (x - 0.05, 0.155),
                (x + 0.05, 0.155),
                (x + 0.11, 0.2),
                (x + 0.09, 0.36),
                (x + flare, hem),
                (x - flare, hem),
                (x - 0.09, 0.36),
                (x - 0.11, 0.2),
            ],
            coat,
        );
        b.atop(|b| b.rect(x + 0.03, 0.15, 0.12, 0.4, BLACK.alpha(0.1)));
        b.limb(&[(x, 0.13, 0.05), (x, 0.17, 0.06)], skin.shade(0.85));
        head(b, x + 0.01, 0.075, 0.066, skin, hair, facing == Facing::Away, long_hair);
        b.limb(&[(x - 0.09, 0.2, 0.062), (x - 0.1 - swing * 0.5, 0.35, 0.055), (x - 0.1 - swing, 0.48, 0.045)], sleeve);
        b.disc(x - 0.1 - swing, 0.5, 0.024, skin);
        if bag == 2 {
            b.line(&[(x - 0.1 - swing, 0.5), (x - 0.1 - swing, 0.55)], 0.015, bag_colour);
            b.round_rect(x - 0.16 - swing, 0.54, 0.12, 0.13, 0.02, bag_colour);
        }
    })
    .stretched(random.range(0.92, 1.12))
}

/// A head with hair, looking to the right or away.
#[expect(clippy::too_many_arguments, reason = "a drawing: where, how big, and which colours")]
pub(super) fn head(b: &mut Brush<'_>, x: f32, y: f32, r: f32, skin: Rgb, hair: Rgb, away: bool, long_hair: bool) {
    if long_hair {
        b.round_rect(x - r * 1.1, y - r * 0.5, r * 2.0, r * 2.3, r * 0.7, hair.shade(0.85));
    }
    b.ellipse(x, y, r * 0.95, r * 1.1, if away { hair } else { skin });
    if !away {
        b.blob(
            &[
                (x - r, y + r * 0.1),
                (x - r * 0.95, y - r * 0.8),
                (x, y - r * 1.2),
                (x + r, y - r * 0.6),
                (x + r * 0.5, y - r * 0.35),
                (x - r * 0.45, y - r * 0.3),
            ],
            hair,
        );
        b.disc(x + r * 0.55, y + r * 0.05, r * 0.13, BLACK);
    }
}
