//! Drops of rain on the lens: each shows the scene upside down, as small as a drop is.

use crate::{picture::Picture, random::Random};

struct Drop {
    /// Middle, in frame widths and heights at time 0, and how fast it slides, in heights a second.
    x: f32,
    y: f32,
    slide: f32,
    /// In frame heights.
    radius: f32,
}

/// The drops on a lens.
pub(super) struct Drops(Vec<Drop>);

impl Drops {
    pub(super) fn new(random: &mut Random) -> Self {
        let drops = 16 + random.below(14);
        Self(
            (0..drops)
                .map(|_| {
                    let radius = 0.018 + 0.055 * random.unit().powi(2);
                    // Small drops stick, large ones slide.
                    let slide = if radius > 0.04 { random.range(0.01, 0.05) } else { 0.0 };
                    Drop { x: random.unit(), y: random.unit(), slide, radius }
                })
                .collect(),
        )
    }

    pub(super) fn apply(&self, picture: &mut Picture, time: f64) {
        let (width, height) = (picture.width.cast_signed(), picture.height.cast_signed());
        let before = picture.rgb.clone();
        for drop in &self.0 {
            let radius = (drop.radius * height as f32).max(1.5);
            // A drop that has left at the bottom comes again at the top.
            let down = (f64::from(drop.y) + f64::from(drop.slide) * time).rem_euclid(1.2) as f32 - 0.1;
            let (cx, cy) = (drop.x * width as f32, down * height as f32);
            let tall = if drop.slide > 0.0 { 1.25 } else { 1.0 };
            for y in ((cy - radius * tall) as i32).max(0)..=((cy + radius * tall) as i32).min(height - 1) {
                for x in ((cx - radius) as i32).max(0)..=((cx + radius) as i32).min(width - 1) {
                    let (dx, dy) = ((x as f32 - cx) / radius, (y as f32 - cy) / (radius * tall));
                    let r = dx.hypot(dy);
                    if r >= 1.0 {
                        continue;
                    }
                    // Refraction: the further out, the further away on the other side.
                    let reach = radius * (2.0 + 3.0 * r);
                    let (sx, sy) = ((cx - dx * reach) as i32, (cy - dy * reach) as i32);
                    let source = (sy.clamp(0, height - 1) * width + sx.clamp(0, width - 1)) as usize * 3;
                    let target = (y * width + x) as usize * 3;
                    // Dark at the upper rim, bright at the lower; the edge is soft.
                    let tone = 1.0 + 0.35 * dy * r * r;
                    let share = ((1.0 - r) * 5.0).min(1.0);
                    for channel in 0..3 {
                        let own = f32::from(before[target + channel]);
                        let seen = (f32::from(before[source + channel]) * tone).min(255.0);
                        picture.rgb[target + channel] = (own + (seen - own) * share) as u8;
                    }
                }
            }
        }
    }
}
