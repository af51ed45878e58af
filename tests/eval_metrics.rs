//! Metrics are scikit-learn's, on random scores and on tied ones. Needs a Python with scikit-learn; skips aloud without.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use serde_json::{Value, json};
use uniood::eval::metrics;

/// Numbers that look random but are the same everywhere, in 0..1; `steps` of them are distinct.
fn scores(count: usize, steps: u32, shift: f64, state: &mut u32) -> Vec<f64> {
    let mut next = || {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from((*state >> 8) % steps) / f64::from(steps)
    };
    (0..count).map(|_| next() + shift).collect()
}

#[test]
fn metrics_are_scikit_learns_on_random_and_on_tied_scores() {
    let Some(mut oracle) = common::oracle("eval_metrics.py", &["sklearn.metrics", "numpy"]) else { return };
    let mut state = 11;
    let mut cases = Vec::new();
    for (known, unknown) in [(1, 1), (2, 3), (19, 20), (20, 20), (21, 7), (400, 300)] {
        for steps in [1, 2, 5, 40, 1 << 20] {
            for shift in [0.0, 0.3] {
                cases.push((scores(known, steps, shift, &mut state), scores(unknown, steps, 0.0, &mut state)));
            }
        }
    }
    let lines: String = cases.iter().map(|(id, ood)| json!({"id": id, "ood": ood}).to_string() + "\n").collect();
    let text = String::from_utf8(common::answer(&mut oracle, &lines)).unwrap();
    let wanted: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(wanted.len(), cases.len());
    for ((id, ood), wanted) in cases.iter().zip(wanted) {
        let found = serde_json::to_value(metrics(id, ood).unwrap()).unwrap();
        for (key, wanted) in wanted.as_object().unwrap() {
            let (found, wanted) = (found[key].as_f64().unwrap(), wanted.as_f64().unwrap());
            assert!((found - wanted).abs() < 1e-9, "{key}: {found} {wanted}; {} ID, {} OOD", id.len(), ood.len());
        }
    }
}
