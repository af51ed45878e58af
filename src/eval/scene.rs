//! The whole picture with everything but one object blurred, at the encoder's size: what `runa-like` sees beside the crop.
//!
//! Blurred after resizing **(ours)**: what a blur leaves does not depend on the order by much, and the frame's own size costs nothing.

use crate::{
    Result,
    attention::size as float,
    frame::Frame,
    geometry::Rect,
    pair::{Base, PairSpec, write_pair},
};

/// σ of the blur as a share of the picture's side.
const BLUR: f64 = 1.0 / 16.0;

/// Weights behind so many σ are left out.
const REACH: f64 = 3.0;

/// A frame at the encoder's size, as it is and blurred.
pub(super) struct Scenes {
    size: usize,
    frame: (u32, u32),
    sharp: Vec<u8>,
    blurred: Vec<u8>,
}

impl Scenes {
    pub(super) fn new(frame: &Frame<'_>, base: &Base, spec: &PairSpec) -> Result<Self> {
        let (width, height) = (frame.width(), frame.height());
        let mut sharp = vec![0; spec.bytes()];
        if let Some(whole) = Rect::whole(width, height) {
            write_pair(frame, base, whole, spec, &mut sharp, &mut vec![0; spec.bytes()])?;
        }
        let blurred = blurred(&sharp, spec.size);
        Ok(Self { size: spec.size, frame: (width, height), sharp, blurred })
    }

    /// Sharp where the object is, `[S, S, 3]`.
    pub(super) fn of(&self, rect: Rect) -> Vec<u8> {
        let mut scene = self.blurred.clone();
        let scaled = |from: u32, to: u32, whole: u32| {
            let share = |edge: u32| f64::from(edge) * f64::from(float(self.size)) / f64::from(whole);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an edge inside the picture")]
            let edges = share(from).floor() as usize..(share(to).ceil() as usize).min(self.size);
            edges
        };
        let columns = scaled(rect.x(), rect.right(), self.frame.0);
        for row in scaled(rect.y(), rect.bottom(), self.frame.1) {
            let at = (row * self.size + columns.start) * 3..(row * self.size + columns.end) * 3;
            scene[at.clone()].copy_from_slice(&self.sharp[at]);
        }
        scene
    }
}

/// A Gaussian over rows, then over columns; the edges go on outside.
fn blurred(levels: &[u8], size: usize) -> Vec<u8> {
    let sigma = f64::from(float(size)) * BLUR;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few σ")]
    let reach = (sigma * REACH).ceil() as usize;
    let weights: Vec<f32> = {
        #[expect(clippy::cast_possible_truncation, reason = "weights of one pass")]
        let weight = |at: usize| (-0.5 * (f64::from(float(at)) / sigma).powi(2)).exp() as f32;
        let half: Vec<f32> = (0..=reach).map(weight).collect();
        let sum = half[0] + 2.0 * half[1..].iter().sum::<f32>();
        half.into_iter().map(|weight| weight / sum).collect()
    };
    let pass = |from: &[f32], along: usize, across: usize| {
        let mut to = vec![0.0; from.len()];
        for line in 0..size {
            for at in 0..size {
                for channel in 0..3 {
                    let level = |at: usize| from[at * along + line * across + channel];
                    let sum = weights[1..].iter().zip(1..).fold(weights[0] * level(at), |sum, (weight, step): (&f32, usize)| {
                        sum + weight * (level(at.saturating_sub(step)) + level((at + step).min(size - 1)))
                    });
                    to[at * along + line * across + channel] = sum;
                }
            }
        }
        to
    };
    let levels: Vec<f32> = levels.iter().map(|level| f32::from(*level)).collect();
    let both = pass(&pass(&levels, 3, 3 * size), 3 * size, 3);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of levels")]
    let rounded = both.into_iter().map(|level| level.round().clamp(0.0, 255.0) as u8).collect();
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::BBox;

    #[test]
    fn the_object_is_as_it_was_and_the_rest_is_blurred() {
        // Stripes as wide as a pixel of the picture, which any blur makes even.
        let pixels: Vec<u8> = (0..64 * 32).flat_map(|at| [if at % 2 == 0 { 255 } else { 0 }; 3]).collect();
        let frame = Frame::rgb(64, 32, &pixels).unwrap();
        let spec = PairSpec { size: 64, fill: [0; 3] };
        let scenes = Scenes::new(&frame, &Base::new(&frame, &spec).unwrap(), &spec).unwrap();
        let rect = Rect::cover(&BBox { x: 10.0, y: 8.0, w: 20.0, h: 10.0 }, 64, 32).unwrap();
        let scene = scenes.of(rect);
        let level = |x: usize, y: usize| scene[(y * 64 + x) * 3];
        // y is scaled by two: the box's rows are 16 to 36.
        for (x, y) in [(10, 16), (29, 35), (20, 20)] {
            assert_eq!(level(x, y), if x % 2 == 0 { 255 } else { 0 }, "{x} {y}");
        }
        for (x, y) in [(9, 20), (30, 20), (20, 15), (20, 36), (50, 60)] {
            assert!((120..136).contains(&level(x, y)), "{x} {y}: {}", level(x, y));
        }
    }

    #[test]
    fn a_blur_keeps_an_even_picture() {
        assert!(blurred(&[77; 16 * 16 * 3], 16).iter().all(|level| *level == 77));
    }
}
