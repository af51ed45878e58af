//! The plain reference against the golden cases: every tensor that the independent implementation wrote down.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/golden.rs"]
mod golden;

use std::{collections::BTreeSet, path::Path, time::Duration};

use golden::{CLIP_CASES, GoldenCase};
use uniood::{
    encode::reference::Reference,
    models::{TextConfig, Tokenizer},
};

/// Of the largest value of a tensor, where that is above 1: what single precision allows. The contract is 1e-4 of 1.
const TOLERANCE: f32 = 1e-5;

fn check_case(name: &'static str) {
    common::completes_within(Duration::from_mins(1), move || {
        let case = GoldenCase::open(name);
        let reference = Reference::open(&case.clip_dir(), Some(&case.combiner())).unwrap();
        let mut unchecked: BTreeSet<String> = case.names().into_iter().collect();
        let mut worst = 0f32;
        macro_rules! check {
            ($name:expr, $found:expr) => {{
                let name = $name;
                let largest = case.floats(&name).iter().fold(1f32, |most, value| most.max(value.abs()));
                worst = worst.max(case.check(&name, &$found, TOLERANCE * largest));
                assert!(unchecked.remove(&name), "{name}");
            }};
        }

        for (index, prompts) in uniood::vocabulary::prompts(&case.classes, &case.templates).iter().enumerate() {
            let tokens = reference.tokenizer.encode(prompts).unwrap();
            let (ids, eot) = (format!("template{index}.ids"), format!("template{index}.eot"));
            assert_eq!(tokens.input_ids.into_dyn(), case.integers(&ids));
            assert_eq!(tokens.eot.into_dyn(), case.integers(&eot));
            assert!(unchecked.remove(&ids) && unchecked.remove(&eot));
        }
        let vocabulary = reference.vocabulary(&case.classes, &case.templates).unwrap();
        check!("text_embedding".to_owned(), vocabulary.text);
        check!("inter_text".to_owned(), vocabulary.inter_text);
        check!("context_text".to_owned(), vocabulary.context_text);

        for object in 0..case.objects {
            let pixels = ["target", "background"].map(|side| {
                let name = format!("object{object}.{side}_u8");
                unchecked.remove(&name);
                case.pixels(&name)
            });
            let encoding = reference.encode(&pixels[0], &pixels[1]).unwrap();
            for (flag, has_context) in [("context", true), ("alone", false)] {
                let trace = reference.trace(&encoding, &vocabulary, has_context);
                check!(format!("object{object}.{flag}.omega"), trace.scores.omega);
                check!(format!("object{object}.{flag}.mu_target"), trace.mu_target);
                check!(format!("object{object}.{flag}.mu_background"), trace.mu_background);
                check!(format!("object{object}.{flag}.z_target"), trace.z_target);
                check!(format!("object{object}.{flag}.z_background"), trace.z_background);
                if has_context {
                    check!(format!("object{object}.beta_target"), trace.beta_target);
                    check!(format!("object{object}.beta_background"), trace.beta_background);
                    check!(format!("object{object}.clip_cosine"), trace.scores.clip_cosine);
                }
            }
        }
        assert!(unchecked.is_empty(), "nothing compared {unchecked:?}");
        eprintln!("{name}: largest difference {worst:.1e}");
    });
}

#[test]
fn residual_head_with_convolutions() {
    check_case(CLIP_CASES[0]);
}

#[test]
fn paper_head() {
    check_case(CLIP_CASES[1]);
}

#[test]
fn half_precision_exact_gelu_old_end_token_and_two_templates() {
    check_case(CLIP_CASES[2]);
}

#[test]
fn residual_head_without_convolutions() {
    check_case(CLIP_CASES[3]);
}

#[test]
fn without_a_combiner_omega_is_plain_clips_cosine() {
    for name in CLIP_CASES {
        let case = GoldenCase::open(name);
        let reference = Reference::open(&case.clip_dir(), None).unwrap();
        let vocabulary = reference.vocabulary(&case.classes, &case.templates).unwrap();
        let encoding = reference.encode(&case.pixels("object0.target_u8"), &case.pixels("object0.background_u8")).unwrap();
        for has_context in [false, true] {
            let scores = reference.trace(&encoding, &vocabulary, has_context).scores;
            assert_eq!(scores.omega, scores.clip_cosine);
            case.check("object0.clip_cosine", &scores.omega, TOLERANCE);
        }
    }
}

#[test]
fn a_zero_mlp2_in_both_branches_is_plain_clip_exactly() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let mut reference = Reference::open(&case.clip_dir(), Some(&case.combiner())).unwrap();
    let combiner = reference.combiner.as_mut().unwrap();
    for branch in [&mut combiner.target, &mut combiner.background] {
        let mlp2 = branch.mlp2.as_mut().unwrap();
        mlp2.weight.fill(0.0);
        mlp2.bias.fill(0.0);
    }
    let vocabulary = reference.vocabulary(&case.classes, &case.templates).unwrap();
    let encoding = reference.encode(&case.pixels("object1.target_u8"), &case.pixels("object1.background_u8")).unwrap();
    let scores = reference.trace(&encoding, &vocabulary, true).scores;
    assert_eq!(scores.omega, scores.clip_cosine);
}

#[test]
fn classes_in_another_order_permute_the_scores() {
    let case = GoldenCase::open(CLIP_CASES[2]);
    let reference = Reference::open(&case.clip_dir(), Some(&case.combiner())).unwrap();
    let encoding = reference.encode(&case.pixels("object0.target_u8"), &case.pixels("object0.background_u8")).unwrap();
    let omega = |classes: &[String]| {
        let vocabulary = reference.vocabulary(classes, &case.templates).unwrap();
        reference.trace(&encoding, &vocabulary, true).scores.omega
    };
    let mut reversed = case.classes.clone();
    reversed.reverse();
    assert!(omega(&case.classes).iter().zip(omega(&reversed).iter().rev()).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn pixels_of_another_size_are_refused() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let reference = Reference::open(&case.clip_dir(), None).unwrap();
    let error = reference.encode(&ndarray::Array3::zeros((32, 32, 3)), &ndarray::Array3::zeros((56, 56, 3))).unwrap_err();
    assert!(error.to_string().contains("56×56×3"), "{error}");
}

#[test]
fn awkward_strings_have_transformers_ids() {
    #[derive(serde::Deserialize)]
    struct Expected {
        text: String,
        ids: Vec<i64>,
    }
    let text = std::fs::read_to_string(common::golden_dir().join("tokenizer_ids.json")).unwrap();
    let expected: Vec<Expected> = serde_json::from_str(&text).unwrap();
    assert!(expected.len() > 30);
    let check = |dir: &Path| {
        let config = TextConfig { max_position_embeddings: 400, ..uniood::models::ClipConfig::open(dir).unwrap().text };
        let tokenizer = Tokenizer::open(dir, &config).unwrap();
        for Expected { text, ids } in &expected {
            assert_eq!(&tokenizer.ids(text).unwrap(), ids, "{text:?} under {}", dir.display());
        }
    };
    for name in CLIP_CASES {
        check(&GoldenCase::open(name).clip_dir());
    }
    let without_json = tempfile::tempdir().unwrap();
    for file in ["config.json", "preprocessor_config.json", "vocab.json", "merges.txt"] {
        std::fs::copy(GoldenCase::open(CLIP_CASES[0]).clip_dir().join(file), without_json.path().join(file)).unwrap();
    }
    check(without_json.path());
}
