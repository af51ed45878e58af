//! A golden case as a model set: its CLIP and combiner under a manifest of the test's own.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use uniood::models::{MANIFEST, ModelSet, SCHEMA};

/// The set, and the folder its manifest lies in while the test runs.
pub(crate) fn golden_set(case: &str) -> (TempDir, ModelSet) {
    let golden = crate::common::golden_dir().join(case);
    let text = fs::read_to_string(golden.join("case.json")).expect("a golden case has a case.json");
    let about: Value = serde_json::from_str(&text).expect("case.json is JSON");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let manifest = json!({
        "schema": SCHEMA, "name": case, "licence": "MIT OR Apache-2.0", "clip": golden.join("clip"), "combiner": golden.join("combiner.safetensors"),
        "classes": about["classes"], "templates": about["templates"], "threshold": 0.0,
    });
    fs::write(dir.path().join(MANIFEST), manifest.to_string()).expect("the temporary folder takes a file");
    let set = ModelSet::open(dir.path()).expect("a golden case is a sound model set");
    (dir, set)
}
