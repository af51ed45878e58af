//! What a crop looks like, in a few numbers: enough to tell that it has changed, cheap enough for every object of every frame.

use crate::{frame::Frame, geometry::Rect};

/// Cells of the grid each way.
const GRID: usize = 4;

/// Rows that are read of each cell.
const ROWS: usize = 4;

/// Luma, blue and red less luma, of the mean pixel of each cell of a grid over a crop, in levels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Signature([[f32; 3]; GRID * GRID]);

impl Signature {
    /// The signature of the pixels in `rect`, which lies in the frame.
    pub(super) fn of(frame: &Frame<'_>, rect: Rect) -> Self {
        let mut row = vec![0; rect.w() as usize * 3];
        let mut sums = [[0_u32; 4]; GRID * GRID];
        for stripe in 0..(GRID * ROWS) {
            let below = (2 * stripe + 1) * rect.h() as usize / (2 * GRID * ROWS);
            frame.rgb_into(rect.x(), rect.y() + u32::try_from(below).unwrap_or(0), &mut row);
            let pixels = row.as_chunks::<3>().0;
            for (at, pixel) in pixels.iter().enumerate() {
                let sum = &mut sums[stripe / ROWS * GRID + at * GRID / pixels.len()];
                *sum = [sum[0] + u32::from(pixel[0]), sum[1] + u32::from(pixel[1]), sum[2] + u32::from(pixel[2]), sum[3] + 1];
            }
        }
        Self(sums.map(mean))
    }

    /// How far two crops differ, in levels: the mean over the cells of what their colours differ by, and of what luma differs by
    /// beyond what all cells have in common. A cloud before the sun changes no object.
    pub(super) fn distance(&self, other: &Self) -> f32 {
        let off = || self.0.iter().zip(&other.0).map(|(a, b)| [a[0] - b[0], a[1] - b[1], a[2] - b[2]]);
        let mean = |of: &dyn Fn([f32; 3]) -> f32| off().map(of).sum::<f32>() / CELLS;
        let brighter = mean(&|off| off[0]);
        mean(&|off| (off[0] - brighter).abs() + off[1].abs() + off[2].abs())
    }
}

/// `GRID²`, to divide by.
const CELLS: f32 = 16.0;

/// From sums of red, green and blue over so many pixels; a crop that is narrower than the grid has cells without any.
#[expect(clippy::cast_precision_loss, reason = "a level's fraction is not needed")]
fn mean([r, g, b, pixels]: [u32; 4]) -> [f32; 3] {
    let [r, g, b] = [r, g, b].map(|sum| sum as f32 / pixels.max(1) as f32);
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    [luma, b - luma, r - luma]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{frame::Picture, geometry::BBox};

    /// A picture of one colour with a patch of another in its left half.
    fn picture(ground: [u8; 3], patch: [u8; 3]) -> Picture {
        let rgb = (0..40 * 40).flat_map(|at| if at % 40 < 20 { patch } else { ground }).collect();
        Picture { width: 40, height: 40, rgb }
    }

    fn signature(picture: &Picture) -> Signature {
        use crate::frame::FrameSource as _;
        Signature::of(&picture.frame(), Rect::whole(40, 40).unwrap())
    }

    #[test]
    fn more_light_is_no_change_and_another_colour_is() {
        let (red, dark) = (signature(&picture([90, 90, 90], [160, 40, 40])), signature(&picture([60, 60, 60], [130, 10, 10])));
        assert!(red.distance(&dark) < 0.01, "{}", red.distance(&dark));
        let blue = signature(&picture([90, 90, 90], [40, 40, 160]));
        assert!(red.distance(&blue) > 40.0, "{}", red.distance(&blue));
        let flat = signature(&picture([90, 90, 90], [90, 90, 90]));
        let bright = signature(&picture([90, 90, 90], [150, 150, 150]));
        assert!((flat.distance(&bright) - 30.0).abs() < 0.1, "half a crop that is 60 brighter: {}", flat.distance(&bright));
    }

    proptest! {
        #[test]
        fn any_crop_has_a_signature_that_is_its_own(x in 0_u32..40, y in 0_u32..40, w in 1_u32..41, h in 1_u32..41, noise in prop::collection::vec(any::<u8>(), 4800)) {
            use crate::frame::FrameSource as _;
            let picture = Picture { width: 40, height: 40, rgb: noise };
            #[expect(clippy::cast_precision_loss, reason = "below 100")]
            let rect = Rect::cover(&BBox { x: x as f32, y: y as f32, w: w as f32, h: h as f32 }, 40, 40).unwrap();
            let signature = Signature::of(&picture.frame(), rect);
            prop_assert!(signature.distance(&signature) < 1e-6);
            prop_assert!(signature.0.as_flattened().iter().all(|value| value.is_finite()));
        }
    }
}
