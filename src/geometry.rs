//! Boxes: as detectors give them (floats, may pass the frame's edge) and as pixels are cut (whole, inside).

/// A box in frame pixels; `x`, `y` is the top-left corner. Floats, and it may pass the frame's edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BBox {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

impl BBox {
    /// The box between two corners.
    #[must_use]
    pub const fn from_edges(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self { x: x1, y: y1, w: x2 - x1, h: y2 - y1 }
    }

    /// The box of `w`×`h` around a centre.
    #[must_use]
    pub fn from_center(cx: f32, cy: f32, w: f32, h: f32) -> Self {
        Self { x: cx - w / 2.0, y: cy - h / 2.0, w, h }
    }

    /// Area in square pixels; 0 where a side is not positive.
    #[must_use]
    pub fn area(&self) -> f32 {
        self.w.max(0.0) * self.h.max(0.0)
    }

    /// Intersection over union, 0..=1; 0 where both areas are 0.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f32 {
        let w = (self.x + self.w).min(other.x + other.w) - self.x.max(other.x);
        let h = (self.y + self.h).min(other.y + other.h) - self.y.max(other.y);
        let intersection = w.max(0.0) * h.max(0.0);
        let union = self.area() + other.area() - intersection;
        if union > 0.0 { intersection / union } else { 0.0 }
    }

    /// The part inside a frame of `width`×`height`, still in floats.
    #[must_use]
    pub fn clipped(&self, width: u32, height: u32) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "frames are far below 2^24 pixels a side")]
        let (width, height) = (width as f32, height as f32);
        Self::from_edges(
            self.x.clamp(0.0, width),
            self.y.clamp(0.0, height),
            (self.x + self.w).clamp(0.0, width),
            (self.y + self.h).clamp(0.0, height),
        )
    }
}

/// A rectangle of whole pixels, not empty and inside its frame; made by [`Rect::cover`] or [`Rect::whole`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rect {
    x: u32,
    y: u32,
    w: u32,
    h: u32,
}

impl Rect {
    /// The pixels a box covers in a frame of `width`×`height`: floor of left and top, ceil of right and
    /// bottom, clipped (method.md, "Pixels"). `None` where nothing is left, or a coordinate is not finite.
    #[must_use]
    pub fn cover(bbox: &BBox, width: u32, height: u32) -> Option<Self> {
        let edges = [bbox.x, bbox.y, bbox.x + bbox.w, bbox.y + bbox.h];
        if edges.iter().any(|edge| !edge.is_finite()) || bbox.w <= 0.0 || bbox.h <= 0.0 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=limit first")]
        let pixel = |edge: f32, limit: u32| f64::from(edge).clamp(0.0, f64::from(limit)) as u32;
        let (x1, y1) = (pixel(edges[0].floor(), width), pixel(edges[1].floor(), height));
        let (x2, y2) = (pixel(edges[2].ceil(), width), pixel(edges[3].ceil(), height));
        (x2 > x1 && y2 > y1).then(|| Self { x: x1, y: y1, w: x2 - x1, h: y2 - y1 })
    }

    /// The whole frame; `None` for an empty one.
    #[must_use]
    pub fn whole(width: u32, height: u32) -> Option<Self> {
        (width > 0 && height > 0).then_some(Self { x: 0, y: 0, w: width, h: height })
    }

    /// Left edge.
    #[must_use]
    pub const fn x(&self) -> u32 {
        self.x
    }

    /// Top edge.
    #[must_use]
    pub const fn y(&self) -> u32 {
        self.y
    }

    /// Width, at least 1.
    #[must_use]
    pub const fn w(&self) -> u32 {
        self.w
    }

    /// Height, at least 1.
    #[must_use]
    pub const fn h(&self) -> u32 {
        self.h
    }

    /// One past the right edge.
    #[must_use]
    pub const fn right(&self) -> u32 {
        self.x + self.w
    }

    /// One past the bottom edge.
    #[must_use]
    pub const fn bottom(&self) -> u32 {
        self.y + self.h
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cover_floors_left_top_and_ceils_right_bottom() {
        let rect = Rect::cover(&BBox { x: 12.3, y: 20.7, w: 101.2, h: 96.9 }, 320, 200).unwrap();
        assert_eq!((rect.x(), rect.y(), rect.right(), rect.bottom()), (12, 20, 114, 118));
    }

    #[test]
    fn empty_outside_and_nan_boxes_are_refused() {
        for bbox in [
            BBox { x: 10.0, y: 10.0, w: 0.0, h: 5.0 },
            BBox { x: 10.0, y: 10.0, w: -3.0, h: 5.0 },
            BBox { x: 320.0, y: 0.0, w: 5.0, h: 5.0 },
            BBox { x: -9.0, y: 0.0, w: 9.0, h: 5.0 },
            BBox { x: f32::NAN, y: 0.0, w: 9.0, h: 5.0 },
            BBox { x: 0.0, y: 0.0, w: f32::INFINITY, h: 5.0 },
        ] {
            assert_eq!(Rect::cover(&bbox, 320, 200), None, "{bbox:?}");
        }
    }

    proptest! {
        #[test]
        fn cover_stays_inside(x in -500f32..1000.0, y in -500f32..1000.0, w in -10f32..900.0, h in -10f32..900.0) {
            if let Some(rect) = Rect::cover(&BBox { x, y, w, h }, 320, 200) {
                prop_assert!(rect.w() >= 1 && rect.h() >= 1 && rect.right() <= 320 && rect.bottom() <= 200);
            }
        }

        #[test]
        fn iou_is_symmetric_and_bounded(a in proptest::array::uniform4(0f32..100.0), b in proptest::array::uniform4(0f32..100.0)) {
            let [a, b] = [a, b].map(|[x, y, w, h]| BBox { x, y, w, h });
            prop_assert!((a.iou(&b) - b.iou(&a)).abs() < 1e-5);
            prop_assert!((0.0..=1.0001).contains(&a.iou(&b)));
        }
    }
}
