//! One object of a scene at one moment.

use tiny_skia::Transform;

use crate::{
    class::{Class, Habitat, Kind},
    things::{Look, Pose},
};

use super::eye::{NEAR, Projection};

/// An object.
pub struct Actor {
    /// The same for the same thing in every frame.
    pub key: u64,
    /// What it is.
    pub class: Class,
    /// What is known of it; [`Kind::LookAlike`] where it is only on show.
    pub kind: Kind,
    /// How it looks.
    pub look: Look,
    /// Where it is met.
    pub habitat: Habitat,
    /// Whether that is where its class belongs.
    pub at_home: bool,
    /// Metres right of the road's middle.
    pub x: f32,
    /// Metres of its foot above the ground.
    pub y: f32,
    /// Metres ahead of the camera.
    pub z: f32,
    /// Whether it looks to the left.
    pub flip: bool,
    /// Degrees by which it leans.
    pub tilt: f32,
    /// Where its legs are.
    pub pose: Pose,
    /// Size against its true one: 1, or less for what is only a picture.
    pub scale: f32,
}

/// Objects appear when they are this large, in frame heights, and are wholly there a little later.
const APPEARS: [f32; 2] = [0.048, 0.06];

impl Actor {
    /// Metres from side to side.
    #[must_use]
    pub fn width(&self) -> f32 {
        self.look.width * self.height()
    }

    /// Metres from foot to top.
    #[must_use]
    pub fn height(&self) -> f32 {
        self.look.height * self.scale
    }

    /// From the drawing's box (`look.width` × 1) to pixels.
    #[must_use]
    pub fn place(&self, projection: &Projection) -> Transform {
        let tall = self.height() * projection.scale(self.z);
        let (middle, foot) = projection.point(self.x, self.y, self.z);
        let turn = if self.flip { Transform::from_row(-1.0, 0.0, 0.0, 1.0, self.look.width, 0.0) } else { Transform::identity() };
        turn.post_concat(Transform::from_rotate_at(self.tilt, self.look.width / 2.0, 0.85))
            .post_scale(tall, tall)
            .post_translate(middle - self.look.width * tall / 2.0, foot - tall)
    }

    /// 0 not there, 1 wholly there.
    #[must_use]
    pub fn presence(&self, projection: &Projection) -> f32 {
        if self.z < NEAR {
            return 0.0;
        }
        // A canoe is low, yet not small.
        let tall = self.height() * self.look.width.max(1.0).sqrt() * projection.scale(self.z) / projection.height;
        ((tall - APPEARS[0]) / (APPEARS[1] - APPEARS[0])).clamp(0.0, 1.0)
    }

    /// Left, top, right and bottom of its drawing's box in pixels.
    #[must_use]
    pub fn extent(&self, projection: &Projection) -> [f32; 4] {
        let (middle, foot) = projection.point(self.x, self.y, self.z);
        let tall = self.height() * projection.scale(self.z);
        let wide = self.look.width * tall;
        [middle - wide / 2.0, foot - tall, middle + wide / 2.0, foot]
    }

    /// Whether most of it is in the frame and large enough to count as an object of the scene.
    pub(super) fn is_seen(&self, projection: &Projection) -> bool {
        let [left, top, right, bottom] = self.extent(projection);
        let shown = |low: f32, high: f32, side: f32| (high.min(side) - low.max(0.0)).max(0.0) / (high - low).max(1.0);
        self.presence(projection) >= 1.0 && shown(left, right, projection.width) * shown(top, bottom, projection.height) > 0.5
    }
}
