//! The golden cases against the plain reference.

mod common;

use std::time::Duration;

#[test]
fn every_golden_case_is_whole() {
    let cases = common::completes_within(Duration::from_secs(10), || {
        std::fs::read_dir(common::golden_dir())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.join("case.json").is_file())
            .inspect(|case| {
                uniood::models::Weights::open(&case.join("expected.safetensors")).unwrap();
            })
            .count()
    });
    assert_eq!(cases, 5);
}
