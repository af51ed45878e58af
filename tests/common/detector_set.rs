//! A model set around a detector of the test's own.

use std::{fs, path::Path};

use serde_json::{Value, json};
use uniood::{
    engine::{DetectorChoice, EngineConfig, Threads},
    models::{MANIFEST, ModelSet, SCHEMA},
};

/// Writes a set with a golden CLIP and this detector, which lies in `file`, into `dir`; the engine's settings for it.
pub(crate) fn detector_set(dir: &Path, file: &Path, detector: &Value, classes: &[&str]) -> uniood::Result<EngineConfig> {
    let mut detector = detector.clone();
    detector["file"] = json!(file);
    let manifest = json!({
        "schema": SCHEMA, "name": "test", "licence": "", "clip": crate::common::golden_dir().join("no_cnn_g4_wide/clip"), "combiner": null,
        "classes": classes, "threshold": 0.0, "detector": detector,
    });
    fs::write(dir.join(MANIFEST), manifest.to_string()).unwrap();
    let (cache_dir, threads) = (Some(dir.join("cache")), Some(Threads::each(1)));
    Ok(EngineConfig { cache_dir, threads, ..EngineConfig::on_processor(ModelSet::open(dir)?, DetectorChoice::Set) })
}
