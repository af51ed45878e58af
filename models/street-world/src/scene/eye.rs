//! The camera's place and how it maps metres to pixels.

use crate::{brush::Point, random::Random};

use super::{Viewpoint, conditions::Place, road::Road};

/// A camera that looks along the road. Lengths in metres, and in heights of the frame, so that every size shows the same scene.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Eye {
    /// Metres right of the road's middle.
    pub x: f32,
    /// Metres above the road.
    pub height: f32,
    /// Metres a second along the road.
    pub speed: f32,
    /// Focal length in frame heights.
    focal: f32,
    /// The horizon, from the top, in frame heights.
    horizon: f32,
    /// The vanishing point right of the frame's middle, in frame heights.
    aside: f32,
}

impl Eye {
    pub(super) fn draw(random: &mut Random, viewpoint: Viewpoint, place: Place, road: &Road) -> Self {
        match viewpoint {
            Viewpoint::Drive => Self {
                x: road.lane_x(random.below(road.lanes)),
                height: random.range(1.35, 1.9),
                speed: match place {
                    Place::City => random.range(6.0, 10.0),
                    Place::Suburb => random.range(7.0, 11.0),
                    Place::Highway => random.range(16.0, 22.0),
                    Place::Country => random.range(11.0, 16.0),
                },
                focal: random.range(1.2, 1.5),
                horizon: random.range(0.4, 0.5),
                aside: random.range(-0.2, 0.2),
            },
            Viewpoint::Surveillance => {
                let x = random.sign() * random.range(0.0, road.half + 2.0);
                let focal = random.range(1.15, 1.5);
                // It looks at the middle of the road, 20 m away.
                Self { x, height: random.range(4.2, 6.2), speed: 0.0, focal, horizon: random.range(0.12, 0.22), aside: x * focal / 20.0 }
            }
        }
    }

    /// The mapping for a frame of this size.
    #[must_use]
    pub fn project(&self, width: u32, height: u32) -> Projection {
        let tall = height as f32;
        Projection {
            focal: self.focal * tall,
            centre: width as f32 / 2.0 + self.aside * tall,
            horizon: self.horizon * tall,
            eye: *self,
            width: width as f32,
            height: tall,
        }
    }
}

/// Metres to pixels. x is measured from the road's middle, y upwards from the ground, z ahead of the camera.
#[derive(Debug, Clone, Copy)]
pub struct Projection {
    eye: Eye,
    focal: f32,
    centre: f32,
    /// The horizon's row.
    pub horizon: f32,
    /// Pixels across.
    pub width: f32,
    /// Pixels down.
    pub height: f32,
}

impl Projection {
    /// Pixels per metre at this distance.
    #[must_use]
    pub fn scale(&self, z: f32) -> f32 {
        self.focal / z.max(NEAR)
    }

    /// The column of something.
    #[must_use]
    pub fn column(&self, x: f32, z: f32) -> f32 {
        self.centre + (x - self.eye.x) * self.scale(z)
    }

    /// The row of something.
    #[must_use]
    pub fn row(&self, y: f32, z: f32) -> f32 {
        self.horizon + (self.eye.height - y) * self.scale(z)
    }

    /// A point in space.
    #[must_use]
    pub fn point(&self, x: f32, y: f32, z: f32) -> Point {
        (self.column(x, z), self.row(y, z))
    }

    /// A rectangle on the ground.
    #[must_use]
    pub fn ground(&self, x: [f32; 2], z: [f32; 2]) -> [Point; 4] {
        [self.point(x[0], 0.0, z[0]), self.point(x[0], 0.0, z[1]), self.point(x[1], 0.0, z[1]), self.point(x[1], 0.0, z[0])]
    }

    /// Where the ground enters the frame at the bottom.
    #[must_use]
    pub fn nearest_ground(&self) -> f32 {
        (self.eye.height * self.focal / (self.height - self.horizon).max(1.0)).max(NEAR)
    }

    /// The vanishing point's column.
    #[must_use]
    pub fn centre(&self) -> f32 {
        self.centre
    }
}

/// Nothing nearer than this many metres is drawn.
pub const NEAR: f32 = 1.2;
