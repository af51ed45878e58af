//! A rendered street world with ground truth for every object.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "pixels and metres: every coordinate is bounded by the largest frame (8192 pixels a side) and the length of a drive"
)]

pub mod brush;
pub mod class;
pub mod colour;
pub mod error;
pub mod film;
pub mod lettering;
pub mod optics;
pub mod paint;
pub mod picture;
pub mod plate;
pub mod random;
pub mod scene;
pub mod sheet;
pub mod things;
pub mod truth;
