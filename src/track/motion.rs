//! Where a track should be: a Kalman filter of constant speed as in SORT, or where it was last.
//!
//! SORT's state is a box's centre, size and aspect ratio with the speeds of the first three. Every matrix of its filter is
//! diagonal but for a speed's part in its own value, so the filter falls apart into one for each value, and no matrix is left.
//! Two things differ **(ours)**: size is the logarithm of the height, so that no box turns inside out, and noise is in shares of the
//! height as in DeepSORT (Wojke et al. 2017), since a large box may move further than a small one.

use super::Method;
use crate::geometry::BBox;

/// Standard deviation of a box's edges, in shares of its height: of what is measured, and of what one frame may bring.
const POSITION: f64 = 1.0 / 20.0;
/// Of a speed a frame, in shares of the height, and what one frame may change it by.
const SPEED: f64 = 1.0 / 160.0;
/// Of the aspect ratio's logarithm.
const ASPECT: f64 = 1.0 / 10.0;
/// A box neither grows nor shrinks faster than by this share a frame while nobody sees it.
const MOST_GROWTH: f64 = 0.1;

/// How a track moves.
#[derive(Debug, Clone)]
pub(super) enum Motion {
    /// It stays where it was seen last.
    Rest(BBox),
    /// It goes on as it went.
    Steady(Box<Steady>),
}

impl Motion {
    /// A track that was first seen here; the box has an area.
    pub(super) fn new(method: Method, bbox: &BBox) -> Self {
        match method {
            Method::Iou => Self::Rest(*bbox),
            Method::Sort => Self::Steady(Box::new(Steady::new(bbox))),
        }
    }

    /// Lets a frame pass.
    pub(super) fn advance(&mut self) {
        if let Self::Steady(steady) = self {
            steady.advance();
        }
    }

    /// It was found here.
    pub(super) fn found(&mut self, bbox: &BBox) {
        match self {
            Self::Rest(last) => *last = *bbox,
            Self::Steady(steady) => steady.found(bbox),
        }
    }

    /// Where it should be now.
    pub(super) fn bbox(&self) -> BBox {
        match self {
            Self::Rest(last) => *last,
            Self::Steady(steady) => steady.bbox(),
        }
    }
}

/// Centre, logarithm of the height, logarithm of width over height.
#[derive(Debug, Clone)]
pub(super) struct Steady {
    x: Axis,
    y: Axis,
    height: Axis,
    aspect: Axis,
}

impl Steady {
    fn new(bbox: &BBox) -> Self {
        let [x, y, height, aspect] = measured(bbox);
        let scale = libm::exp(height);
        let moving = |value: f64, unit: f64| Axis::new(value, (2.0 * POSITION * unit).powi(2), (10.0 * SPEED * unit).powi(2));
        Self { x: moving(x, scale), y: moving(y, scale), height: moving(height, 1.0), aspect: Axis::new(aspect, ASPECT.powi(2), 0.0) }
    }

    fn advance(&mut self) {
        let scale = self.scale();
        let noise = |unit: f64| ((POSITION * unit).powi(2), (SPEED * unit).powi(2));
        self.height.speed = self.height.speed.clamp(-MOST_GROWTH, MOST_GROWTH);
        self.x.advance(noise(scale));
        self.y.advance(noise(scale));
        self.height.advance(noise(1.0));
        self.aspect.advance(((ASPECT / 10.0).powi(2), 0.0));
    }

    fn found(&mut self, bbox: &BBox) {
        let scale = self.scale();
        let [x, y, height, aspect] = measured(bbox);
        self.x.found(x, (POSITION * scale).powi(2));
        self.y.found(y, (POSITION * scale).powi(2));
        self.height.found(height, POSITION.powi(2));
        self.aspect.found(aspect, ASPECT.powi(2));
    }

    fn scale(&self) -> f64 {
        libm::exp(self.height.value)
    }

    #[expect(clippy::cast_possible_truncation, reason = "pixels")]
    fn bbox(&self) -> BBox {
        let height = self.scale();
        let width = height * libm::exp(self.aspect.value);
        BBox::from_center(self.x.value as f32, self.y.value as f32, width as f32, height as f32)
    }
}

fn measured(bbox: &BBox) -> [f64; 4] {
    let [x, y, w, h] = [bbox.x, bbox.y, bbox.w, bbox.h].map(f64::from);
    [x + w / 2.0, y + h / 2.0, libm::log(h), libm::log(w / h)]
}

/// One value and its speed a frame.
#[derive(Debug, Clone)]
struct Axis {
    value: f64,
    speed: f64,
    /// Variance of the value, covariance with the speed, variance of the speed.
    variance: [f64; 3],
}

impl Axis {
    const fn new(value: f64, of_value: f64, of_speed: f64) -> Self {
        Self { value, speed: 0.0, variance: [of_value, 0.0, of_speed] }
    }

    fn advance(&mut self, (of_value, of_speed): (f64, f64)) {
        let [value, both, speed] = self.variance;
        self.value += self.speed;
        self.variance = [value + 2.0 * both + speed + of_value, both + speed, speed + of_speed];
    }

    fn found(&mut self, measured: f64, noise: f64) {
        let [value, both, speed] = self.variance;
        let (gain, gain_of_speed) = (value / (value + noise), both / (value + noise));
        let off = measured - self.value;
        self.value += gain * off;
        self.speed += gain_of_speed * off;
        self.variance = [value * (1.0 - gain), both * (1.0 - gain), speed - gain_of_speed * both];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: &BBox, b: &BBox, by: f32) -> bool {
        [a.x - b.x, a.y - b.y, a.w - b.w, a.h - b.h].iter().all(|off| off.abs() <= by)
    }

    #[test]
    fn one_axis_is_the_filter_written_with_matrices() {
        // x = F x, P = F P Fᵀ + Q; K = P Hᵀ (H P Hᵀ + R)⁻¹, x += K y, P = (1 − K H) P, by hand for two frames.
        let mut axis = Axis::new(10.0, 4.0, 9.0);
        axis.advance((1.0, 0.5));
        let is = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-12, "{found} for {wanted}");
        let are = |found: [f64; 3], wanted: [f64; 3]| (0..3).for_each(|at| is(found[at], wanted[at]));
        is(axis.value, 10.0);
        are(axis.variance, [14.0, 9.0, 9.5]);
        axis.found(15.0, 2.0);
        // S = 16, K = (0.875, 0.5625), y = 5.
        is(axis.value, 14.375);
        is(axis.speed, 2.8125);
        are(axis.variance, [1.75, 1.125, 9.5 - 0.5625 * 9.0]);
        axis.advance((1.0, 0.5));
        is(axis.value, 17.1875);
    }

    #[test]
    fn a_steady_box_is_met_where_it_should_be_after_frames_that_nobody_saw() {
        let at = |frame: f32| BBox { x: 40.0 + 5.0 * frame, y: 200.0 - 2.0 * frame, w: 60.0, h: 40.0 };
        let mut motion = Motion::new(Method::Sort, &at(0.0));
        for frame in [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0] {
            motion.advance();
            motion.found(&at(frame));
        }
        (0..10).for_each(|_| motion.advance());
        assert!(close(&motion.bbox(), &at(20.0), 4.0), "{:?} for {:?}", motion.bbox(), at(20.0));
    }

    #[test]
    fn what_rests_is_where_it_was_last() {
        let (first, last) = (BBox { x: 1.0, y: 2.0, w: 3.0, h: 4.0 }, BBox { x: 2.0, y: 2.0, w: 3.0, h: 4.0 });
        let mut motion = Motion::new(Method::Iou, &first);
        motion.advance();
        motion.found(&last);
        motion.advance();
        assert_eq!(motion.bbox(), last);
    }

    proptest! {
        #[test]
        fn a_box_stays_a_box_whatever_it_is_shown(
            boxes in prop::collection::vec((-5e3f32..5e3, -5e3f32..5e3, 0.1f32..8e3, 0.1f32..8e3, 0_u8..60), 1..30),
        ) {
            let bbox = |(x, y, w, h, _): &(f32, f32, f32, f32, u8)| BBox { x: *x, y: *y, w: *w, h: *h };
            let mut motion = Motion::new(Method::Sort, &bbox(&boxes[0]));
            for shown in &boxes {
                (0..shown.4).for_each(|_| motion.advance());
                motion.found(&bbox(shown));
                let now = motion.bbox();
                prop_assert!([now.x, now.y, now.w, now.h].iter().all(|side| side.is_finite()) && now.w > 0.0 && now.h > 0.0, "{now:?}");
            }
        }
    }
}
