//! The graphs against the golden cases, run by ONNX Runtime: what an independent implementation computed from the same pixels.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{path::Path, time::Duration};

use common::golden::{CLIP_CASES, GoldenCase};
use ndarray::{Array, Array1, Array2, Array4, Axis, Dimension, Slice, stack};
use uniood::{
    combiner::Combiner,
    encode::TextEncoding,
    engine::{Device, Session},
    graph::{ImageGraph, Model, TextGraph},
    models::{ClipConfig, Tokenizer, Weights},
    vocabulary::Vocabulary,
};

/// The contract.
const TOLERANCE: f32 = 1e-4;

struct Clip {
    config: ClipConfig,
    weights: Weights,
}

fn clip(case: &GoldenCase) -> Clip {
    Clip { config: ClipConfig::open(&case.clip_dir()).unwrap(), weights: Weights::open_folder(&case.clip_dir()).unwrap() }
}

fn session(model: &Model) -> Session {
    Session::from_bytes("encode", Path::new("built graph"), &model.to_bytes().unwrap(), &Device::Cpu, Some(1)).unwrap()
}

fn image_session(case: &GoldenCase, with_combiner: bool, betas: bool) -> Session {
    let Clip { config, weights } = clip(case);
    let combiner = Combiner::open(&case.combiner(), &config).unwrap();
    session(
        &ImageGraph { name: "golden", clip: &config, weights: &weights, combiner: with_combiner.then_some(&combiner), betas }
            .build()
            .unwrap(),
    )
}

/// What the case feeds in, and the texts it expects; all objects in one batch.
struct Inputs {
    target: Array4<u8>,
    background: Array4<u8>,
    text: Array2<f32>,
    context_text: Array2<f32>,
}

impl Inputs {
    fn of(case: &GoldenCase) -> Self {
        let images = |side: &str| {
            let images: Vec<_> =
                (0..case.objects).map(|object| case.pixels::<ndarray::Ix3>(&format!("object{object}.{side}_u8"))).collect();
            stack(Axis(0), &images.iter().map(|image| image.view()).collect::<Vec<_>>()).unwrap()
        };
        let texts = |name: &str| case.floats(name).into_dimensionality().unwrap();
        Self {
            target: images("target"),
            background: images("background"),
            text: texts("text_embedding"),
            context_text: texts("context_text"),
        }
    }

    /// `omega`, `clip_cosine` of the first `classes` classes, and the outputs beside them.
    fn run(&self, session: &mut Session, has_context: f32, classes: usize) -> uniood::engine::Outputs {
        let has_context = Array1::from_elem(self.target.dim().0, has_context);
        let first = Slice::from(..classes);
        session
            .run(&[
                ("target", self.target.view().into()),
                ("background", self.background.view().into()),
                ("has_context", has_context.view().into()),
                ("text", self.text.slice_axis(Axis(0), first).into()),
                ("context_text", self.context_text.slice_axis(Axis(0), first).into()),
            ])
            .unwrap()
    }
}

fn check_case(name: &'static str) {
    common::completes_within(Duration::from_mins(1), move || {
        let case = GoldenCase::open(name);
        let mut session = image_session(&case, true, true);
        let inputs = Inputs::of(&case);
        let mut worst = 0f32;
        for (flag, has_context) in [("context", 1.0), ("alone", 0.0)] {
            let mut outputs = inputs.run(&mut session, has_context, case.classes.len());
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
        let Clip { config, weights } = clip(&case);
        let mut session = session(&TextGraph { name, clip: &config, weights: &weights }.build().unwrap());
        let tokenizer = Tokenizer::open(&case.clip_dir(), &config.text).unwrap();
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

fn near<D: Dimension>(a: &Array<f32, D>, b: &Array<f32, D>) -> bool {
    a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < TOLERANCE)
}

#[test]
fn what_follows_the_end_token_does_not_matter_and_may_be_cut() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let Clip { config, weights } = clip(&case);
    let mut session = session(&TextGraph { name: "golden", clip: &config, weights: &weights }.build().unwrap());
    let ids: Array2<i64> = case.integers("template0.ids").into_dimensionality().unwrap();
    let eot: Array1<i64> = case.integers("template0.eot").into_dimensionality().unwrap();
    let whole = run_text(&mut session, &ids, &eot);
    let longest = usize::try_from(*eot.iter().max().unwrap()).unwrap() + 1;
    let cut = run_text(&mut session, &ids.slice_axis(Axis(1), Slice::from(..longest)).to_owned(), &eot);
    let mut other = ids;
    other.slice_axis_mut(Axis(1), Slice::from(longest..)).fill(3);
    let padded = run_text(&mut session, &other, &eot);
    for (name, of) in [("cut", cut), ("padded", padded)] {
        assert!(near(&whole.text_embedding, &of.text_embedding), "{name}");
        assert!(near(&whole.query_eot, &of.query_eot) && near(&whole.key_eot, &of.key_eot), "{name}");
    }
}

#[test]
fn batch_and_class_list_may_have_any_length() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let mut session = image_session(&case, true, false);
    let all = Inputs::of(&case);
    for objects in [1, 2] {
        let some = Slice::from(..objects);
        let inputs = Inputs {
            target: all.target.slice_axis(Axis(0), some).to_owned(),
            background: all.background.slice_axis(Axis(0), some).to_owned(),
            text: all.text.clone(),
            context_text: all.context_text.clone(),
        };
        for classes in [1, 3, 5] {
            let omega: Array2<f32> = inputs.run(&mut session, 1.0, classes).take("omega").unwrap();
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
    let mut session = image_session(&case, true, false);
    let inputs = Inputs::of(&case);
    let flags = Array1::from(vec![0.0, 1.0, 0.0]);
    let mut outputs = session
        .run(&[
            ("target", inputs.target.view().into()),
            ("background", inputs.background.view().into()),
            ("has_context", flags.view().into()),
            ("text", inputs.text.view().into()),
            ("context_text", inputs.context_text.view().into()),
        ])
        .unwrap();
    let omega: Array2<f32> = outputs.take("omega").unwrap();
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
            let mut session = image_session(&case, false, betas);
            let mut outputs = inputs.run(&mut session, 1.0, case.classes.len());
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
    let session = image_session(&case, true, true);
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
    let Clip { config, weights } = clip(&case);
    let combiner = Combiner::open(&case.combiner(), &config).unwrap();
    let with_combiner =
        ImageGraph { name: "golden", clip: &config, weights: &weights, combiner: Some(&combiner), betas: true }.build().unwrap();
    let plain = ImageGraph { name: "golden", clip: &config, weights: &weights, combiner: None, betas: false }.build().unwrap();
    let folder = |path: &Path| usize::try_from(path.metadata().unwrap().len()).unwrap();
    let (whole, tower) = (with_combiner.to_bytes().unwrap().len(), plain.to_bytes().unwrap().len());
    // Two heads more than the tower: what the combiner's file holds, the tables of neighbours and the nodes.
    assert!(whole - tower < folder(&case.combiner()) + 200_000, "{whole} against {tower}");
}
