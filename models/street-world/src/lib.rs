//! A rendered street world with ground truth for every object: for tests, benches, demos and a small model's training, without a download.
//!
//! ```text
//! seed ─► scene ──► paint ──────► optics ───► frame: picture, ids, truth
//!         belts     things alone  cameras            COCO, MOT
//!         of slots  over a plate
//! ```
//!
//! - [`things`]: drawings of everything that can be met, with [`class`] the table of them: ten known classes, fourteen that are named but unknown, the rest never named.
//! - [`scene`]: a road without end as a function of seed and time. Nothing is simulated, so any moment can be asked for.
//! - [`paint`]: each thing is drawn alone and laid over the [`plate`], which keeps whose each pixel is. Boxes and visibility come from that, not from geometry.
//! - [`optics`]: five cameras, from plain to one that hardly sees.
//! - [`film`]: where to begin. An endless iterator of frames, or a single picture.
//! - [`truth`]: what is in a frame; as COCO and as MOT.
//!
//! It is a world of its own and looks like no photograph: what a model learns here says nothing about real pictures.

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
