//! Which patches of a frame are an object's own: `background=shared` masks them out of the keys.

use crate::geometry::Rect;

/// An object's background as a part of its whole frame, which is encoded once for all its objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// The frame without these of its patches, row by row, `[N]`: true where the box touches the patch. CLS is always seen.
    Frame(Vec<bool>),
    /// Nothing: the box touches every patch. What is left of the frame is the image of the fill, as it is without sharing.
    Blank,
}

/// The view on a frame of `width`×`height` pixels, seen as `grid`×`grid` patches, of the object in `rect`.
///
/// Touched is any patch of which a pixel's worth may show the object: what is left has never seen it, but through the
/// frame's own attention **(ours)**.
#[must_use]
pub fn view(rect: Rect, width: u32, height: u32, grid: usize) -> View {
    let touched = |start: u32, end: u32, side: u32| {
        let (start, end, side) = (start as usize, end as usize, side as usize);
        start * grid / side..(end * grid).div_ceil(side)
    };
    let columns = touched(rect.x(), rect.right(), width);
    let rows = touched(rect.y(), rect.bottom(), height);
    if columns.len() == grid && rows.len() == grid {
        return View::Blank;
    }
    View::Frame((0..grid * grid).map(|patch| rows.contains(&(patch / grid)) && columns.contains(&(patch % grid))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::BBox;
    use proptest::prelude::*;

    fn rect(x: f32, y: f32, w: f32, h: f32, frame: (u32, u32)) -> Option<Rect> {
        Rect::cover(&BBox { x, y, w, h }, frame.0, frame.1)
    }

    #[test]
    fn touched_patches_are_hidden_and_the_others_are_not() {
        // Patches of 10×5 pixels.
        let of = |x, y, w, h| view(rect(x, y, w, h, (40, 20)).unwrap(), 40, 20, 4);
        let hidden = |patches: &[usize]| View::Frame((0..16).map(|patch| patches.contains(&patch)).collect());
        assert_eq!(of(10.0, 5.0, 10.0, 5.0), hidden(&[5]), "a box on the edges of a patch");
        assert_eq!(of(9.0, 5.0, 11.0, 6.0), hidden(&[4, 5, 8, 9]), "a pixel over is a patch more");
        assert_eq!(of(39.0, 19.0, 1.0, 1.0), hidden(&[15]));
        assert_eq!(of(0.0, 0.0, 40.0, 20.0), View::Blank);
        assert_eq!(of(3.0, 2.0, 36.0, 17.0), View::Blank, "a border thinner than a patch is no background");
        assert_eq!(of(0.0, 0.0, 40.0, 15.0), hidden(&(0..12).collect::<Vec<_>>()));
    }

    proptest! {
        #[test]
        fn every_pixel_of_the_box_lies_in_a_hidden_patch_and_every_hidden_patch_has_one(
            frame in (1_u32..200, 1_u32..200),
            bbox in (-20f32..200.0, -20f32..200.0, 0f32..200.0, 0f32..200.0),
            grid in 1_usize..17,
        ) {
            let Some(rect) = rect(bbox.0, bbox.1, bbox.2, bbox.3, frame) else { return Ok(()) };
            let View::Frame(hidden) = view(rect, frame.0, frame.1, grid) else { return Ok(()) };
            // A pixel is the square from its number to the next; so is a patch, on the scale of the grid.
            let overlap = |patch: usize, start: u32, end: u32, side: u32| {
                let (low, high) = (patch * side as usize, (patch + 1) * side as usize);
                low < end as usize * grid && high > start as usize * grid
            };
            for (patch, hidden) in hidden.iter().enumerate() {
                let touches = overlap(patch % grid, rect.x(), rect.right(), frame.0) && overlap(patch / grid, rect.y(), rect.bottom(), frame.1);
                prop_assert_eq!(*hidden, touches);
            }
        }
    }
}
