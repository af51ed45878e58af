//! ID or OOD: the score against the threshold. `ClassScores ─▶ Verdict`.
//!
//! Equation (7): `s = max_c Ω_c`; nearest class = arg-max; **OOD when `s < δ`**.

use std::sync::Arc;

use crate::{detect::Detection, geometry::Rect};

/// What is said of one object (or of the frame).
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It was scored.
    Scored(Scored),
    /// It was not, and why.
    Unscored(Reason),
}

/// A scored object's verdict. **omega: higher is more ID.**
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// `true` when `omega < threshold`.
    pub ood: bool,
    /// `s = max_c Ω_c`.
    pub omega: f32,
    /// δ.
    pub threshold: f32,
    /// Share of the calibration's ID objects that score lower, 0..=1; `None` without calibration.
    pub percentile: Option<f32>,
    /// The class of the highest Ω.
    pub nearest: Arc<str>,
    /// Ω of every class, in the vocabulary's order; kept where it was asked for.
    pub omegas: Option<Vec<(Arc<str>, f32)>>,
    /// Plain CLIP's cosine of every class, in the vocabulary's order; kept where it was asked for.
    pub cosines: Option<Vec<(Arc<str>, f32)>>,
}

/// Why an object has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// More objects than `max-objects`; the most confident were scored.
    MaxObjects,
    /// The queue was full and `overload=bypass`.
    Overload,
    /// The model run failed.
    Error,
}

impl Reason {
    /// The word used in JSON, metadata and statistics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxObjects => "max-objects",
            Self::Overload => "overload",
            Self::Error => "error",
        }
    }
}

/// One object of a frame with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The pixels that were scored.
    pub rect: Rect,
    /// The box it came from.
    pub detection: Detection,
    /// What is said of it.
    pub verdict: Verdict,
}
