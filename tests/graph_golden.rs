//! The graphs against the golden cases, run by ONNX Runtime: what an independent implementation computed from the same pixels.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/golden.rs"]
mod golden;

use std::time::Duration;

use golden::{CLIP_CASES, GoldenCase, Inputs, furthest, session};
use ndarray::{Array1, Array2, Axis, Slice};
use uniood::{encode::TextEncoding, engine::Session, models::Tokenizer, vocabulary::Vocabulary};

/// The contract.
const TOLERANCE: f32 = 1e-4;

fn check_case(name: &'static str) {
    common::completes_within(Duration::from_mins(1), move || {
        let case = GoldenCase::open(name);
        let mut session = session(&case.image_graph(true, true));
        let inputs = Inputs::of(&case);
        let mut worst = 0f32;
        for (flag, has_context) in [("context", 1.0), ("alone", 0.0)] {
            let mut outputs = inputs.run(&mut session, |_| has_context, case.classes.len());
            let mut check = |output: &str, expected: &str| {
                let rows: Array2<f32> = outputs.take(output).unwrap();
                for (object, row) in rows.outer_iter().enumerate() {
                    worst = worst.max(case.check(&format!("object{object}.{expected}"), &row, TOLERANCE));
                }
            };
            check("omega", &format!("{flag}.omega"));
            check("clip_cosine", "clip_cosine");
            check("beta_target", "beta_target");
            check("beta_background", "beta_background");
        }
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
fn half_precision_weights_and_exact_gelu() {
    check_case(CLIP_CASES[2]);
}

#[test]
fn head_without_convolutions() {
    check_case(CLIP_CASES[3]);
}

#[test]
fn every_text_tensor_of_every_case() {
    for name in CLIP_CASES {
        let case = GoldenCase::open(name);
        let mut session = session(&case.text_graph());
        let tokenizer = Tokenizer::open(&case.clip_dir(), &case.config().text).unwrap();
        let templates: Vec<TextEncoding> = uniood::vocabulary::prompts(&case.classes, &case.templates)
            .iter()
            .map(|prompts| {
                let tokens = tokenizer.encode(prompts).unwrap();
                run_text(&mut session, &tokens.input_ids, &tokens.eot)
            })
            .collect();
        let vocabulary = Vocabulary::from_templates(&case.classes, &templates).unwrap();
        case.check("text_embedding", &vocabulary.text, TOLERANCE);
        case.check("inter_text", &vocabulary.inter_text, TOLERANCE);
        case.check("context_text", &vocabulary.context_text, TOLERANCE);
    }
}

fn run_text(session: &mut Session, ids: &Array2<i64>, eot: &Array1<i64>) -> TextEncoding {
    let mut outputs = session.run(&[("input_ids", ids.view().into()), ("eot", eot.view().into())]).unwrap();
    TextEncoding {
        text_embedding: outputs.take("text_embedding").unwrap(),
        query_eot: outputs.take("query_eot").unwrap(),
        key_eot: outputs.take("key_eot").unwrap(),
    }
}

#[test]
fn what_follows_the_end_token_does_not_matter_and_may_be_cut() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let mut session = session(&case.text_graph());
    let ids: Array2<i64> = case.integers("template0.ids").into_dimensionality().unwrap();
    let eot: Array1<i64> = case.integers("template0.eot").into_dimensionality().unwrap();
    let whole = run_text(&mut session, &ids, &eot);
    let longest = usize::try_from(*eot.iter().max().unwrap()).unwrap() + 1;
    let cut = run_text(&mut session, &ids.slice_axis(Axis(1), Slice::from(..longest)).to_owned(), &eot);
    let mut other = ids;
    other.slice_axis_mut(Axis(1), Slice::from(longest..)).fill(3);
    let padded = run_text(&mut session, &other, &eot);
    for (name, of) in [("cut", cut), ("padded", padded)] {
        assert!(furthest(&whole.text_embedding, &of.text_embedding) < TOLERANCE, "{name}");
        assert!(furthest(&whole.query_eot, &of.query_eot) < TOLERANCE && furthest(&whole.key_eot, &of.key_eot) < TOLERANCE, "{name}");
    }
}

#[test]
fn batch_and_class_list_may_have_any_length() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let mut session = session(&case.image_graph(true, false));
    let all = Inputs::of(&case);
    for objects in [1, 2] {
        let inputs = all.some(0..objects);
        for classes in [1, 3, 5] {
            let omega: Array2<f32> = inputs.run(&mut session, |_| 1.0, classes).take("omega").unwrap();
            assert_eq!(omega.dim(), (objects, classes));
            for object in 0..objects {
                let expected = case.floats(&format!("object{object}.context.omega"));
                for (found, expected) in omega.row(object).iter().zip(&expected) {
                    assert!((found - expected).abs() < TOLERANCE, "{objects} objects, {classes} classes");
                }
            }
        }
    }
}

#[test]
fn context_is_a_flag_of_each_object_and_not_of_the_batch() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let mut session = session(&case.image_graph(true, false));
    let inputs = Inputs::of(&case);
    let has_context = |object: usize| [0.0, 1.0, 0.0][object];
    let omega: Array2<f32> = inputs.run(&mut session, has_context, case.classes.len()).take("omega").unwrap();
    for (object, flag) in ["alone", "context", "alone"].iter().enumerate() {
        case.check(&format!("object{object}.{flag}.omega"), &omega.row(object), TOLERANCE);
    }
}

#[test]
fn without_a_combiner_omega_is_the_cosine_of_plain_clip() {
    for name in CLIP_CASES {
        let case = GoldenCase::open(name);
        let inputs = Inputs::of(&case);
        for betas in [false, true] {
            let mut session = session(&case.image_graph(false, betas));
            let mut outputs = inputs.run(&mut session, |_| 1.0, case.classes.len());
            let (omega, cosine): (Array2<f32>, Array2<f32>) = (outputs.take("omega").unwrap(), outputs.take("clip_cosine").unwrap());
            assert_eq!(omega, cosine);
            for object in 0..case.objects {
                case.check(&format!("object{object}.clip_cosine"), &cosine.row(object), TOLERANCE);
            }
            if betas {
                for side in ["beta_target", "beta_background"] {
                    let beta: Array2<f32> = outputs.take(side).unwrap();
                    for object in 0..case.objects {
                        case.check(&format!("object{object}.{side}"), &beta.row(object), TOLERANCE);
                    }
                }
            }
        }
    }
}

#[test]
fn a_graph_says_what_it_is() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let session = session(&case.image_graph(true, true));
    assert_eq!(session.metadata("schema").as_deref(), Some(uniood::graph::SCHEMA));
    assert_eq!(session.metadata("name").as_deref(), Some("golden"));
    let names: Vec<_> = session.inputs().iter().map(|port| port.name.as_str()).collect();
    assert_eq!(names, ["target", "background", "has_context", "text", "context_text"]);
    assert_eq!(session.inputs()[0].shape, [None, Some(56), Some(56), Some(3)]);
    assert_eq!(session.outputs()[0].shape, [None, None]);
}

#[test]
fn weights_are_written_once() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let bytes = |with_combiner: bool| case.image_graph(with_combiner, with_combiner).to_bytes().unwrap().len();
    let (whole, tower) = (bytes(true), bytes(false));
    let file = usize::try_from(case.combiner().metadata().unwrap().len()).unwrap();
    // Two heads more than the tower: what the combiner's file holds, the tables of neighbours and the nodes.
    assert!(whole - tower < file + 200_000, "{whole} against {tower}");
}
