//! A threshold whose false-alarm rate is known: split-conformal calibration on objects that are known to be ID.
//!
//! ```text
//! DataSet or JSON lines ─▶ Known* ─▶ Document ─▶ calibration.json ─▶ threshold and percentile of every verdict
//!                          lines     fit         document            verdict
//! ```
//!
//! With the scores of n ID objects, sorted, δ is the k-th from below, k = ⌊(n+1)·(1−keep)⌋. Then a new ID object that is
//! exchangeable with those is kept (`s ≥ δ`) with a probability of at least `keep` (Vovk et al. 2005; Lei et al. 2018).
//! It says nothing of footage that is not like the calibration's: [`Drift`] tells whether it still is.

mod alarms;
mod document;
mod drift;
mod fit;
mod lines;
mod quantile;

pub use alarms::{Alarms, alarms};
pub use document::{Document, FILE, Group, SCHEMA};
pub use drift::Drift;
pub use fit::{Plan, fit};
pub use lines::{Footage, Seen, read_lines};
pub use quantile::{conformal, least_objects, table};

/// An object that is known to be ID.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// `s = max_c Ω_c`.
    pub omega: f32,
    /// The class of the highest Ω: all that is known of an object's class when its verdict is due.
    pub nearest: String,
    /// The stream it was seen in, where it comes from one.
    pub stream: Option<String>,
}
