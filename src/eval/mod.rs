//! How good the scores are: metrics of ID against OOD scores.

mod metrics;

pub use metrics::{Metrics, metrics};
