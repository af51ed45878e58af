//! The road: lanes both ways, and what runs beside them.

use crate::random::Random;

use super::conditions::Place;

/// A straight road with the same number of lanes each way; one drives on the right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Road {
    /// Lanes each way.
    pub lanes: usize,
    /// Metres from the middle to the kerb.
    pub half: f32,
    /// Width of each pavement; 0 where there is none.
    pub pavement: f32,
    /// Width of the strip for parked cars inside `half`; 0 where there is none.
    pub parking: f32,
}

const LANE: f32 = 3.4;

impl Road {
    pub(super) fn draw(random: &mut Random, place: Place) -> Self {
        let (lanes, parking, pavement) = match place {
            Place::City => (1 + random.below(2), 2.1, random.range(3.2, 4.4)),
            Place::Suburb => (1, 2.1, random.range(2.2, 3.0)),
            Place::Highway => (2, 1.6, 0.0),
            Place::Country => (1, 0.5, 0.0),
        };
        Self { lanes, half: lanes as f32 * LANE + parking, pavement, parking }
    }

    /// The middle of a lane on the right, counted from the road's middle.
    #[must_use]
    pub fn lane_x(&self, lane: usize) -> f32 {
        LANE * (lane as f32 + 0.5)
    }

    /// Where lanes of one direction meet, and where they end at the parking strip.
    #[must_use]
    pub fn lane_edge(&self, lane: usize) -> f32 {
        LANE * lane as f32
    }

    /// Where houses and fields begin.
    #[must_use]
    pub fn edge(&self) -> f32 {
        self.half + self.pavement
    }
}
