//! Per-object out-of-distribution (OOD) verdicts for video: UNI-OOD as a library.
//!
//! A frame goes one way through this crate, one type per arrow:
//!
//! ```text
//! Frame ─▶ Detection* ─▶ ObjectPair* ─▶ DualEncoding* ─▶ ClassScores* ─▶ Verdict*
//! frame    detect        pair           encode           score           verdict
//! ```
//!
//! [`engine`] runs that way on worker threads; [`graph`] writes the ONNX files it runs;
//! [`attention`] and [`combiner`] are the method itself as plain functions, the reference
//! that the graph is checked against. [`models`] reads model sets, [`report`] writes JSON. [`data`] reads labelled pictures,
//! from which [`tune`] trains combiners, [`calibrate`] sets thresholds and [`eval`] tells what both are worth.
//!
//! Source: "Unified Object- and Image-level Out-of-Distribution Detection via Cross-Context
//! Attentive Vision-Language Modeling" (UNI-OOD), CVPR 2026.

pub mod activation;
pub mod address;
pub mod attention;
#[cfg(any(feature = "publish", feature = "hub"))]
mod authorities;
pub mod backoff;
mod cache;
pub mod calibrate;
pub mod combiner;
pub mod data;
pub mod detect;
pub mod encode;
pub mod engine;
pub mod error;
pub mod eval;
mod file;
pub mod frame;
pub mod geometry;
pub mod graph;
pub mod metrics;
pub mod models;
pub mod overlay;
pub mod pair;
pub mod picture;
#[cfg(feature = "publish")]
pub mod publish;
#[cfg(feature = "hub")]
pub mod pull;
pub mod report;
mod resample;
pub mod score;
mod simd;
pub mod track;
pub mod tune;
pub mod tuned;
pub mod verdict;
pub mod vocabulary;
pub mod whole;

pub use error::{Error, Result};
