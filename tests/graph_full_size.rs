//! The graphs at full size, random weights: against transformers, against the plain reference, and as Python sees them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/golden.rs"]
mod golden;

use std::{path::Path, time::Duration};

use common::{answer, oracle};
use golden::{Expected, furthest};
use ndarray::{Array1, Array2, Array4, ArrayD, ArrayRef, Axis, Dimension};
use safetensors::{Dtype, tensor::TensorView};
use uniood::{
    combiner::Combiner,
    encode::reference::Reference,
    engine::{Device, Session},
    graph::{ImageGraph, TextGraph},
    models::{ClipConfig, Weights},
    score::unit_rows,
};

const ORACLE: &str = "graph_full_size.py";
const MODULES: [&str; 6] = ["torch", "transformers", "safetensors", "onnx", "onnxruntime", "numpy"];

/// The contract with transformers and with the plain reference.
const TOLERANCE: f32 = 1e-3;

/// The same file in two builds of the same runtime.
const SAME: f32 = 1e-5;

const CLASSES: [&str; 3] = ["car", "traffic light", "raccoon"];

#[test]
fn vit_b_32_in_one_file() {
    check(32, false);
}

#[test]
fn vit_b_16_in_bf16_shards() {
    check(16, true);
}

fn check(patch: usize, shard: bool) {
    let Some(mut make) = oracle(ORACLE, &MODULES) else { return };
    common::completes_within(Duration::from_mins(5), move || {
        let dir = tempfile::tempdir().unwrap();
        let tokenizer = common::golden_dir().join("quick_gelu_g7/clip");
        make.arg("make").arg(dir.path()).arg(patch.to_string()).arg(tokenizer).args(shard.then_some("--shard"));
        answer(&mut make, "");
        assert_eq!(dir.path().join("model.safetensors").exists(), !shard, "the oracle writes what the test is about");
        let config = ClipConfig::open(dir.path()).unwrap();
        let weights = Weights::open_folder(dir.path()).unwrap();
        let combiner = Combiner::open(&dir.path().join("combiner.safetensors"), &config).unwrap();
        let image = dir.path().join("image.onnx");
        let graph = ImageGraph { name: "full size", clip: &config, weights: &weights, combiner: Some(&combiner), betas: true };
        graph.build().unwrap().write(&image).unwrap();
        let text = dir.path().join("text.onnx");
        TextGraph { name: "full size", clip: &config, weights: &weights }.build().unwrap().write(&text).unwrap();
        drop(weights);

        let expected = Expected::open(&dir.path().join("expected.safetensors"));
        check_text(&text, &expected);
        check_image(dir.path(), &image, &expected);
    });
}

/// The text embeddings, their cosines with everything else being those of transformers' own texts.
fn check_text(graph: &Path, expected: &Expected) {
    let (ids, eot) = (expected.integers("input_ids"), expected.integers("eot"));
    let mut session = Session::from_file("text", graph, &Device::Cpu, None).unwrap();
    let mut outputs = session.run(&[("input_ids", ids.view().into()), ("eot", eot.view().into())]).unwrap();
    let found: Array2<f32> = outputs.take("text_embedding").unwrap();
    expected.check("text", &unit_rows(&found), TOLERANCE);

    let python = run_in_python(graph, &[("input_ids", Feed::I64(ids)), ("eot", Feed::I64(eot))]);
    python.check("text_embedding", &found, SAME * largest(&found));
    for name in ["query_eot", "key_eot"] {
        let found: Array4<f32> = outputs.take(name).unwrap();
        python.check(name, &found, SAME * largest(&found));
    }
}

fn check_image(dir: &Path, graph: &Path, expected: &Expected) {
    let (target, background): (Array4<u8>, Array4<u8>) = (expected.pixels("target"), expected.pixels("background"));
    let reference = Reference::open(dir, Some(&dir.join("combiner.safetensors"))).unwrap();
    let vocabulary = reference.vocabulary(&CLASSES, &["A photo of a {}"]).unwrap();
    let text = vocabulary.text.clone().into_dyn();
    let has_context = Array1::from(vec![1.0, 0.0]);
    let mut session = Session::from_file("encode", graph, &Device::Cpu, None).unwrap();
    let mut run = |text: &ArrayD<f32>| {
        session
            .run(&[
                ("target", target.view().into()),
                ("background", background.view().into()),
                ("has_context", has_context.view().into()),
                ("text", text.view().into()),
                ("context_text", vocabulary.context_text.view().into()),
            ])
            .unwrap()
    };

    let mut outputs = run(&expected.floats("text"));
    for name in ["clip_cosine", "beta_target"] {
        let found: Array2<f32> = outputs.take(name).unwrap();
        expected.check(name, &found, TOLERANCE);
    }

    let mut outputs = run(&text);
    let omega: Array2<f32> = outputs.take("omega").unwrap();
    let beta: Array2<f32> = outputs.take("beta_background").unwrap();
    for (object, context) in [(0, true), (1, false)] {
        let encoding = reference.encode(&target.index_axis(Axis(0), object), &background.index_axis(Axis(0), object)).unwrap();
        let trace = reference.trace(&encoding, &vocabulary, context);
        near("omega", &omega.row(object), &trace.scores.omega);
        near("beta_background", &beta.row(object), &trace.beta_background);
    }

    let feed = [
        ("target", Feed::U8(target.clone().into_dyn())),
        ("background", Feed::U8(background.clone().into_dyn())),
        ("has_context", Feed::F32(has_context.into_dyn())),
        ("text", Feed::F32(text)),
        ("context_text", Feed::F32(vocabulary.context_text.clone().into_dyn())),
    ];
    run_in_python(graph, &feed).check("omega", &omega, SAME);
}

/// An input on its way to Python.
enum Feed {
    F32(ArrayD<f32>),
    I64(ArrayD<i64>),
    U8(ArrayD<u8>),
}

impl Feed {
    fn parts(&self) -> (Dtype, Vec<usize>, Vec<u8>) {
        match self {
            Self::F32(array) => (Dtype::F32, array.shape().to_vec(), array.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Self::I64(array) => (Dtype::I64, array.shape().to_vec(), array.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Self::U8(array) => (Dtype::U8, array.shape().to_vec(), array.iter().copied().collect()),
        }
    }
}

/// `onnx.checker` and Python's onnxruntime on a graph.
fn run_in_python(graph: &Path, feed: &[(&str, Feed)]) -> Expected {
    let (inputs, outputs) = (graph.with_extension("feed.safetensors"), graph.with_extension("outputs.safetensors"));
    let parts: Vec<_> = feed.iter().map(|(name, feed)| (*name, feed.parts())).collect();
    let views = parts.iter().map(|(name, (dtype, shape, bytes))| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(views, None, &inputs).unwrap();
    let mut check = oracle(ORACLE, &["onnx", "onnxruntime"]).expect("it was there a moment ago");
    answer(check.arg("check").arg(graph).arg(&inputs).arg(&outputs), "");
    Expected::open(&outputs)
}

fn largest<D: Dimension>(array: &ArrayRef<f32, D>) -> f32 {
    array.iter().fold(1.0, |most, value| most.max(value.abs()))
}

#[track_caller]
fn near<D: Dimension>(name: &str, found: &ArrayRef<f32, D>, wanted: &ArrayRef<f32, D>) {
    let difference = furthest(found, wanted);
    assert!(difference <= TOLERANCE, "{name} is off by {difference}");
}
