//! A wide-angle lens: the picture's middle swells, its corners fall outside of the lens and are black.

use crate::{
    picture::Picture,
    plate::{Area, SCENERY},
};

/// The bend of a lens: where each pixel comes from.
///
/// With x and y from −1 to 1 and r² = x² + y², the picture at (x, y) shows the plate at (x, y)·(1 + k·r²) / (1 + k): the four sides' middles stay in place.
pub(super) struct Bend {
    width: u32,
    height: u32,
    strength: f32,
    /// For each pixel the plate's pixel at its upper left and the weights to the right and down in 256ths; `None` outside of the lens.
    from: Vec<Option<(u32, u16, u16)>>,
}

impl Bend {
    pub(super) fn new(width: u32, height: u32, strength: f32) -> Self {
        let mut from = Vec::with_capacity(width as usize * height as usize);
        let (half_width, half_height) = (width as f32 / 2.0, height as f32 / 2.0);
        for row in 0..height {
            for column in 0..width {
                let (x, y) = ((column as f32 + 0.5) / half_width - 1.0, (row as f32 + 0.5) / half_height - 1.0);
                let factor = (1.0 + strength * (x * x + y * y)) / (1.0 + strength);
                let (x, y) = ((x * factor + 1.0) * half_width - 0.5, (y * factor + 1.0) * half_height - 0.5);
                let inside = x > -0.5 && y > -0.5 && x < width as f32 - 0.5 && y < height as f32 - 0.5;
                from.push(inside.then(|| {
                    let (x, y) = (x.clamp(0.0, width as f32 - 1.001), y.clamp(0.0, height as f32 - 1.001));
                    (y as u32 * width + x as u32, (x.fract() * 256.0) as u16, (y.fract() * 256.0) as u16)
                }));
            }
        }
        Self { width, height, strength, from }
    }

    /// The bent picture and ids.
    pub(super) fn apply(&self, picture: &Picture, ids: &[u16]) -> (Picture, Vec<u16>) {
        let width = self.width as usize;
        let pixels = picture.rgb.as_chunks::<3>().0;
        let mut rgb = Vec::with_capacity(picture.rgb.len());
        let mut bent = Vec::with_capacity(ids.len());
        for from in &self.from {
            let Some((at, right, down)) = *from else {
                rgb.extend([0; 3]);
                bent.push(SCENERY);
                continue;
            };
            let (at, right, down) = (at as usize, u32::from(right), u32::from(down));
            let mix = |channel: usize| {
                let value = |i: usize| u32::from(pixels[i][channel]);
                let upper = value(at) * (256 - right) + value(at + 1) * right;
                let lower = value(at + width) * (256 - right) + value(at + width + 1) * right;
                ((upper * (256 - down) + lower * down) >> 16) as u8
            };
            rgb.extend([mix(0), mix(1), mix(2)]);
            bent.push(ids[at + usize::from(right >= 128) + if down >= 128 { width } else { 0 }]);
        }
        (Picture { width: self.width, height: self.height, rgb }, bent)
    }

    /// The box that a box of the plate has in the picture.
    pub(super) fn area(&self, area: Area) -> Area {
        let (half_width, half_height) = (self.width as f32 / 2.0, self.height as f32 / 2.0);
        let mut bent: Option<Area> = None;
        for i in 0..=8 {
            let share = i as f32 / 8.0;
            let (x, y) = (area.left as f32 + share * area.width() as f32, area.top as f32 + share * area.height() as f32);
            let (left, top, right, bottom) = (area.left as f32, area.top as f32, area.right as f32, area.bottom as f32);
            for (x, y) in [(x, top), (x, bottom), (left, y), (right, y)] {
                let (x, y) = self.image_of(x / half_width - 1.0, y / half_height - 1.0);
                let pixel = |value: f32, half: f32, side: u32| (((value + 1.0) * half) as u32).min(side - 1);
                bent = Some(Area::with(bent, pixel(x, half_width, self.width), pixel(y, half_height, self.height)));
            }
        }
        bent.unwrap_or(area)
    }

    /// Where a point of the plate is in the picture; both from −1 to 1.
    fn image_of(&self, x: f32, y: f32) -> (f32, f32) {
        let target = x.hypot(y) * (1.0 + self.strength);
        let mut r = x.hypot(y);
        for _ in 0..6 {
            r -= (r * (1.0 + self.strength * r * r) - target) / (1.0 + 3.0 * self.strength * r * r);
        }
        let factor = if target > 0.0 { r * (1.0 + self.strength) / target } else { 1.0 };
        (x * factor, y * factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middles_of_the_sides_stay_and_the_corners_are_black() {
        let bend = Bend::new(64, 36, 0.2);
        let white = Picture { width: 64, height: 36, rgb: vec![255; 64 * 36 * 3] };
        let (picture, ids) = bend.apply(&white, &vec![5; 64 * 36]);
        assert_eq!(picture.rgb[..3], [0, 0, 0]);
        assert_eq!(ids[0], SCENERY);
        assert_eq!(ids[18 * 64], 5);
        let (x, y) = bend.image_of(1.0, 0.0);
        assert!((x - 1.0).abs() < 1e-4 && y.abs() < 1e-6);
    }

    #[test]
    fn image_of_undoes_the_bend() {
        let bend = Bend::new(64, 36, 0.25);
        for (x, y) in [(0.3_f32, -0.7_f32), (-0.9, 0.2), (0.0, 0.0), (0.5, 0.5)] {
            let factor = (1.0 + 0.25 * (x * x + y * y)) / 1.25;
            let (back_x, back_y) = bend.image_of(x * factor, y * factor);
            assert!((back_x - x).abs() < 1e-4 && (back_y - y).abs() < 1e-4);
        }
    }
}
