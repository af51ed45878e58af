//! OWLv2 base at full size, 960 pixels and 3600 boxes, with random weights against transformers: the graph's numbers, and boxes
//! and names through the engine. Needs a Python with torch and transformers; skips aloud without.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/detector_set.rs"]
mod detector_set;
#[path = "common/golden.rs"]
mod golden;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use detector_set::detector_set;
use golden::Expected;
use ndarray::{Array3, Array4, ArrayD, Ix2};
use serde_json::json;
use uniood::{
    detect::{Detection, Selection},
    engine::{Detector, Device, Session},
    frame::{FrameSource as _, Picture},
    geometry::BBox,
    graph::{Owlv2Graph, write_owlv2_text},
    models::{Owlv2Config, Tokenizer, Weights},
    score::unit_rows,
};

const NAMES: [&str; 3] = ["car", "traffic light", "raccoon"];
const PROMPT: &str = "a photo of a {}";

/// How far numbers may be from transformers'.
const TOLERANCE: f32 = 1e-3;

#[test]
fn the_whole_of_base_gives_transformers_boxes_and_names() {
    let Some(mut oracle) = common::oracle("owlv2_reference.py", &["torch", "transformers", "safetensors"]) else { return };
    common::completes_within(Duration::from_mins(10), move || {
        let dir = tempfile::tempdir().unwrap();
        let prompts = NAMES.map(|name| PROMPT.replace("{}", name));
        let tokenizer = common::golden_dir().join("quick_gelu_g7/clip");
        common::answer(oracle.arg(dir.path()).arg(tokenizer), &json!(prompts).to_string());
        let expected = Expected::open(&dir.path().join("reference.safetensors"));
        check_graph(dir.path(), &prompts, &expected);
        check_engine(dir.path(), &expected);
    });
}

/// The graph's own numbers on transformers' pixel values.
fn check_graph(dir: &Path, prompts: &[String], expected: &Expected) {
    let (config, weights) = (Owlv2Config::open(dir).unwrap(), Weights::open_folder(dir).unwrap());
    let tokens = Tokenizer::open(dir, &config.clip.text).unwrap().encode(prompts).unwrap();
    assert_eq!(tokens.input_ids.clone().into_dyn(), expected.integers("input_ids"));
    let text = dir.join("text.onnx");
    write_owlv2_text(dir, &config, &text).unwrap();
    let mut session = Session::from_file("text", &text, &Device::Cpu, Some(1)).unwrap();
    let mut outputs = session.run(&[("input_ids", tokens.input_ids.view().into()), ("eot", tokens.eot.view().into())]).unwrap();
    let queries = unit_rows(&outputs.take::<Ix2>("text_embedding").unwrap());

    let pixel_values: Array4<f32> = expected.floats("pixel_values").into_dimensionality().unwrap();
    for names in [false, true] {
        let graph = dir.join("detector.onnx");
        Owlv2Graph { config: &config, weights: &weights, names }.build().unwrap().write(&graph).unwrap();
        let mut session = Session::from_file("detect", &graph, &Device::Cpu, Some(1)).unwrap();
        let mut inputs = vec![("pixel_values", pixel_values.view().into())];
        inputs.extend(names.then(|| ("queries", queries.view().into())));
        let started = Instant::now();
        let mut outputs = session.run(&inputs).unwrap();
        let took = started.elapsed();
        let boxes: Array3<f32> = outputs.take("pred_boxes").unwrap();
        let boxes = expected.check("pred_boxes", &boxes, TOLERANCE);
        let name = if names { "logits" } else { "objectness_logits" };
        let logits: ArrayD<f32> = outputs.take(name).unwrap();
        let logits = expected.check(name, &logits, TOLERANCE);
        eprintln!("boxes are {boxes:.1e} off, {name} {logits:.1e}; {took:.1?} with one thread");
    }
}

/// What the engine finds in the picture of the set's classes.
fn check_engine(dir: &Path, expected: &Expected) {
    let pixels: Array3<u8> = expected.pixels("picture");
    let picture = Picture { width: 960, height: 960, rgb: pixels.into_raw_vec_and_offset().0 };
    let boxes: Array3<f32> = expected.floats("pred_boxes").into_dimensionality().unwrap();
    let logits: Array3<f32> = expected.floats("logits").into_dimensionality().unwrap();
    let scores = logits.mapv(|logit| 1.0 / (1.0 + (-logit).exp()));
    let set = tempfile::tempdir().unwrap();
    let config = detector_set(set.path(), dir, &json!({"prompt": PROMPT}), &NAMES).unwrap();
    let mut detector = Detector::open(&config).unwrap().unwrap();
    let selection = Selection { detection_threshold: 0.0, iou_threshold: 1.0, min_object_size: 0, ..Selection::default() };
    let found = detector.detect(&[(picture.frame(), &selection)]).unwrap().remove(0);
    // Of thousands of boxes some have nearly the same confidence, so each is looked for among all.
    for Detection { bbox, confidence, label } in &found {
        let label = label.as_ref().unwrap();
        let class = usize::try_from(label.id).unwrap();
        assert_eq!(&*label.name, NAMES[class]);
        let is_it = |patch: usize| {
            let at = [0, 1, 2, 3].map(|number| boxes[[0, patch, number]] * 960.0);
            let wanted = BBox::from_center(at[0], at[1], at[2], at[3]).clipped(960, 960);
            let edges = [wanted.x - bbox.x, wanted.y - bbox.y, wanted.w - bbox.w, wanted.h - bbox.h];
            (scores[[0, patch, class]] - confidence).abs() < TOLERANCE && edges.iter().all(|edge| edge.abs() < 1.0)
        };
        assert!((0..3600).any(is_it), "{bbox:?}, {confidence}, {}", label.name);
    }
    eprintln!("{} boxes in the picture, each one of transformers'", found.len());
    assert!(found.len() > 3000, "{}", found.len());
}
