//! The feature graph, run by ONNX Runtime, against the plain reference on the golden cases; and that features are kept.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/golden.rs"]
mod golden;
#[path = "common/model_set.rs"]
mod model_set;

use std::{fs, path::Path, time::Duration};

use golden::{CLIP_CASES, GoldenCase, furthest};
use model_set::golden_set;
use ndarray::Array3;
use uniood::{
    attention::{inter_image, intra_image},
    encode::{Features, reference::Reference},
    engine::{DetectorChoice, EngineConfig, FeatureEncoder, Pair, Threads},
    models::ModelSet,
};

/// The contract.
const TOLERANCE: f32 = 1e-4;

fn config(models: ModelSet, cache: &Path) -> EngineConfig {
    EngineConfig {
        batch_size: 1,
        cache_dir: Some(cache.to_owned()),
        threads: Some(Threads::each(1)),
        ..EngineConfig::on_processor(models, DetectorChoice::Upstream)
    }
}

fn pixels(case: &GoldenCase, object: usize) -> [Array3<u8>; 2] {
    ["target", "background"].map(|side| case.pixels(&format!("object{object}.{side}_u8")))
}

fn pair(case: &GoldenCase, object: usize) -> Pair {
    let [target, background] = pixels(case, object).map(|pixels| pixels.into_raw_vec_and_offset().0);
    Pair { target, background, own: Vec::new() }
}

#[test]
fn features_are_those_of_the_plain_reference() {
    for name in CLIP_CASES {
        common::completes_within(Duration::from_mins(1), move || {
            let case = GoldenCase::open(name);
            let (_dir, set) = golden_set(name);
            let reference = Reference::open(&set.clip_dir(), None).unwrap();
            let cache = tempfile::tempdir().unwrap();
            let pairs: Vec<Pair> = (0..case.objects).map(|object| pair(&case, object)).collect();
            let found = FeatureEncoder::open(&config(set, cache.path())).unwrap().encode(&pairs, |_| Ok(())).unwrap();
            assert_eq!(found.len(), case.objects);
            for (object, features) in found.iter().enumerate() {
                let [target, background] = pixels(&case, object);
                let wanted = reference.encode(&target, &background).unwrap();
                let (target, background) = (&wanted.target, &wanted.background);
                let worst = [
                    furthest(&features.tokens_target, &target.z),
                    furthest(&features.tokens_background, &background.z),
                    furthest(&features.beta_target, &intra_image::beta(&target.query_cls, &target.key)),
                    furthest(&features.beta_background, &inter_image::beta(&target.query_cls, &background.key)),
                ];
                assert!(worst.iter().all(|worst| *worst < TOLERANCE), "{name} {object}: {worst:?}");
                case.check(&format!("object{object}.beta_target"), &features.beta_target, TOLERANCE);
                case.check(&format!("object{object}.beta_background"), &features.beta_background, TOLERANCE);
                assert!(features.values_target.is_none());
            }
        });
    }
}

#[test]
fn values_and_pictures_alone_are_those_of_the_plain_reference_and_are_kept() {
    for name in CLIP_CASES {
        common::completes_within(Duration::from_mins(1), move || {
            let case = GoldenCase::open(name);
            let (_dir, set) = golden_set(name);
            let reference = Reference::open(&set.clip_dir(), None).unwrap();
            let cache = tempfile::tempdir().unwrap();
            let config = config(set, cache.path());
            let pairs: Vec<Pair> = (0..case.objects).map(|object| pair(&case, object)).collect();
            let pictures: Vec<Vec<u8>> = pairs.iter().map(|pair| pair.target.clone()).collect();
            let encode = || {
                let mut encoder = FeatureEncoder::open_with_values(&config).unwrap();
                (encoder.encode(&pairs, |_| Ok(())).unwrap(), encoder.encode_pictures(&pictures).unwrap())
            };
            let (found, states) = encode();
            for (object, (features, state)) in found.iter().zip(&states).enumerate() {
                let [target, background] = pixels(&case, object);
                let wanted = reference.encode(&target, &background).unwrap().target;
                let worst = [
                    furthest(features.values_target.as_ref().unwrap(), &wanted.values),
                    furthest(&features.tokens_target, &wanted.z),
                    furthest(state, &wanted.z.row(0)),
                ];
                assert!(worst.iter().all(|worst| *worst < TOLERANCE), "{name} {object}: {worst:?}");
                // Another path than that of attention.
                assert!(furthest(&wanted.values.row(0), &wanted.z.row(1)) > TOLERANCE);
            }
            assert_eq!(encode(), (found, states));
        });
    }
}

#[test]
fn features_are_computed_once_and_again_where_the_kept_ones_are_broken() {
    let case = GoldenCase::open(CLIP_CASES[3]);
    let (_dir, set) = golden_set(CLIP_CASES[3]);
    let cache = tempfile::tempdir().unwrap();
    let config = config(set, cache.path());
    let pairs: Vec<Pair> = (0..case.objects).map(|object| pair(&case, object)).collect();
    let encode = || -> Vec<Features> { FeatureEncoder::open(&config).unwrap().encode(&pairs, |_| Ok(())).unwrap() };
    let first = encode();
    let folder = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.join("pairs").is_dir()).unwrap();
    let files = || -> Vec<_> { fs::read_dir(folder.join("pairs")).unwrap().map(|entry| entry.unwrap().path()).collect() };
    assert_eq!(files().len(), case.objects);
    // Where the graph is gone, only what is kept can answer.
    let graph = fs::read(folder.join("graph.onnx")).unwrap();
    let mut encoder = FeatureEncoder::open(&config).unwrap();
    fs::remove_file(folder.join("graph.onnx")).unwrap();
    assert_eq!(encoder.encode(&pairs, |_| Ok(())).unwrap(), first);
    fs::write(folder.join("graph.onnx"), graph).unwrap();
    // Cut off by a full disk or a crash: made again.
    let victim = files().pop().unwrap();
    fs::write(&victim, &fs::read(&victim).unwrap()[..100]).unwrap();
    assert_eq!(encode(), first);
    assert!(fs::metadata(&victim).unwrap().len() > 100);
}

#[test]
fn whoever_watches_can_stop_it_and_what_was_done_is_kept() {
    let case = GoldenCase::open(CLIP_CASES[3]);
    let (_dir, set) = golden_set(CLIP_CASES[3]);
    let cache = tempfile::tempdir().unwrap();
    // More than a batch.
    let pairs: Vec<Pair> = (0..20)
        .map(|shade| {
            let mut pair = pair(&case, 0);
            pair.target[0] = shade;
            pair
        })
        .collect();
    let mut encoder = FeatureEncoder::open(&config(set, cache.path())).unwrap();
    let stopped = encoder.encode(&pairs, |_| Err(uniood::Error::Interrupted));
    assert!(matches!(stopped, Err(uniood::Error::Interrupted)));
    let folder = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path().join("pairs")).find(|path| path.is_dir()).unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 16);
}
