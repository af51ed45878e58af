//! Engines of tests, and what their frames are answered with.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::time::Duration;

use uniood::{
    detect::Selection,
    engine::{Approximation, DetectorChoice, Engine, EngineConfig, FrameSettings, Scope, Threads},
    models::ModelSet,
};

/// One thread, and the whole frame as the object where no boxes are given.
pub(crate) fn config(models: ModelSet, batch_size: usize, batch_timeout: Option<Duration>) -> EngineConfig {
    EngineConfig { batch_size, batch_timeout, threads: Some(Threads::each(1)), ..EngineConfig::on_processor(models, DetectorChoice::Frame) }
}

/// The set's classes and threshold, and nothing that has to be asked for.
pub(crate) fn settings(engine: &Engine) -> FrameSettings {
    let manifest = &engine.models().manifest;
    FrameSettings {
        vocabulary: engine.vocabulary(&manifest.classes).unwrap(),
        threshold: manifest.threshold,
        calibration: None,
        selection: Selection::default(),
        scope: Scope::Object,
        keep_scores: false,
        approximation: Approximation::default(),
    }
}
