//! The street world's table: what `scripts/street_table.py` makes of evaluations.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;

use serde_json::{Value, json};

const ABLATIONS: [&str; 8] = [
    "context=comma",
    "context=average",
    "context=mlp",
    "no-inter-image",
    "no-background-alignment",
    "no-intra-image",
    "no-target-alignment",
    "no-cnn",
];

/// An evaluation in which every method has this AUROC, `uniood` a little more.
fn evaluation(methods: &[&str], auroc: f64) -> String {
    let more = |method: &str| if method == "uniood" { 0.01 } else { 0.0 };
    let row = |method: &&str| json!({"method": method, "auroc": auroc + more(method), "fpr95": 1.0 - auroc, "n_id": 30, "n_ood": 12, "missed": 3});
    json!({"metrics": methods.iter().map(row).collect::<Vec<Value>>()}).to_string()
}

#[test]
fn draws_become_means_with_their_standard_errors_and_orders_are_compared() {
    let Some(mut python) = common::python(&["json"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
    for boxes in ["truth", "detector"] {
        write(&format!("plain.{boxes}.shipped.json"), evaluation(&["uniood"], 0.6));
        for (seed, auroc) in [(0, 0.8), (1, 0.9)] {
            write(
                &format!("plain.{boxes}.10.{seed}.json"),
                evaluation(&["max-cosine", "gl-mcm", "knn", "runa-like", "shift", "uniood"], auroc),
            );
        }
    }
    for seed in [0, 1] {
        let methods: Vec<&str> = std::iter::once("max-cosine").chain(ABLATIONS).collect();
        write(&format!("plain.ablations.10.{seed}.json"), evaluation(&methods, 0.7));
    }
    let script = common::workspace_dir().join("scripts/street_table.py");
    let ran = python.arg(script).arg(dir.path()).args(["--cameras", "plain", "--shots", "10", "--seeds", "0", "1"]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    for line in [
        // The standard error of 80 and 90 is 5.
        "| max-cosine | 85.0 ± 5.0 / 15.0 ± 5.0 |",
        "| uniood, tuned | 86.0 ± 5.0 / 15.0 ± 5.0 |",
        // Of one run there is none.
        "| uniood, as it ships | 61.0 / 40.0 |",
        "| full | 86.0 ± 5.0 / 15.0 ± 5.0 |",
        "| context=mlp | 70.0 / 30.0 |",
        "plain 30 ID, 12 OOD, 3 missed",
        "By mean AUROC over the cameras: full 86.00, context=comma 70.00",
        "another order: full, context=mlp, no-cnn",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
