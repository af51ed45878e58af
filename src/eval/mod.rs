//! How good the scores are: protocols, methods on the same boxes and features, metrics.
//!
//! ```text
//! DataSet ─▶ Part ─▶ Found* ─▶ Features* ─▶ a score for each method ─▶ Row* ─▶ table, JSON, report
//! data       sets    boxes     engine       methods, omega             rows
//! ```
//!
//! One [`pass`](evaluate) over the pictures serves all methods. What CLIP said of an object is kept by content hash
//! ([`crate::engine::FeatureEncoder`]), so that a second evaluation, or one that was interrupted, does not run it again.

mod ablations;
mod bank;
mod bootstrap;
mod boxes;
mod confidence;
mod curve;
mod disturb;
mod document;
mod evaluation;
pub mod matching;
pub mod methods;
mod metrics;
mod omega;
mod pass;
mod report;
mod rows;
mod scene;
mod scorers;
mod sets;
mod words;

pub(crate) use bootstrap::quantile;

pub use ablations::Ablation;
pub use bootstrap::{Intervals, Observed, intervals};
pub use disturb::Disturbance;
pub use document::{Document, Origin, SCHEMA};
pub use evaluation::{Evaluation, Request, Run, evaluate};
pub use metrics::{Metrics, TOLD, metrics};
pub use pass::{Counted, Level, Progress, Stage, Tally, Watch};
pub use report::report;
pub use rows::{MEAN, Row};
pub use sets::{Part, Role, VosSet, apart, known, open_world, vos};
