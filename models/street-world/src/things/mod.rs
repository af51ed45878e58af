//! The things of the world. Each is a drawing in a box `width` wide and 1 high, x to the right, y down, standing on y = 1 and looking to the right,
//! with colours, proportions and a pose of its own.

pub mod animals;
pub mod bikes;
pub mod birds;
pub mod bus;
pub mod car;
pub mod carts;
pub mod furniture;
pub mod people;
pub mod roadworks;
pub mod rock;
pub mod signals;
pub mod signs;
pub mod train;
pub mod truck;
pub mod unseen;

use crate::{brush::Brush, random::Random};

/// Which side of a thing the camera sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facing {
    /// From the side.
    Side,
    /// Its front: it comes towards the camera.
    Toward,
    /// Its back: it goes the camera's way.
    Away,
}

/// What moves in a drawing from frame to frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pose {
    /// Where the legs (or wings) are in their swing, −1..=1.
    pub stride: f32,
}

type Drawing = dyn Fn(&mut Brush<'_>, Pose) + Send + Sync;

/// How one thing looks, for all of its life.
pub struct Look {
    /// Its colour by a name of the palette.
    pub colour: &'static str,
    /// Width of the drawing's box, whose height is 1.
    pub width: f32,
    /// Its height in metres.
    pub height: f32,
    /// Stretch in x: proportions vary without touching the drawing.
    stretch: f32,
    draw: Box<Drawing>,
}

impl Look {
    /// A look from its drawing.
    pub fn new(colour: &'static str, width: f32, height: f32, draw: impl Fn(&mut Brush<'_>, Pose) + Send + Sync + 'static) -> Self {
        Self { colour, width, height, stretch: 1.0, draw: Box::new(draw) }
    }

    /// The same drawing, wider or narrower.
    #[must_use]
    pub fn stretched(self, by: f32) -> Self {
        Self { width: self.width * by, stretch: self.stretch * by, ..self }
    }

    /// Draws it into the box `width` × 1.
    pub fn draw(&self, brush: &mut Brush<'_>, pose: Pose) {
        brush.within(tiny_skia::Transform::from_scale(self.stretch, 1.0), |brush| (self.draw)(brush, pose));
    }
}

/// Makes a look of a class.
pub type Maker = fn(&mut Random, Facing) -> Look;
