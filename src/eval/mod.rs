//! How good the scores are: detections matched to true objects, and metrics of ID against OOD scores.

pub mod matching;
mod metrics;

pub use metrics::{Metrics, metrics};
