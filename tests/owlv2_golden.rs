//! OWLv2's graph and pixels against the golden case, and folders that are none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/detector_set.rs"]
mod detector_set;
#[path = "common/golden.rs"]
mod golden;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use detector_set::detector_set;
use golden::{Expected, furthest};
use ndarray::{Array2, Array3, Array4, Axis, Ix2, Ix3};
use serde_json::{Value, json};
use tempfile::TempDir;
use uniood::{
    calibrate::Document,
    detect::Selection,
    engine::{Detector, DetectorChoice, Device, EngineConfig, Session},
    frame::FrameSource as _,
    geometry::BBox,
    graph::Owlv2Graph,
    models::{ModelSet, Owlv2Config, Weights},
    picture,
    score::unit_rows,
    tune::write_calibrated,
};

fn case() -> PathBuf {
    common::golden_dir().join("owlv2_s96")
}

fn session(names: bool) -> Session {
    let dir = case().join("owlv2");
    let (mut config, weights) = (Owlv2Config::open(&dir).unwrap(), Weights::open_folder(&dir).unwrap());
    // The golden folder's texts are narrower than what its class head compares; the test brings texts of its own.
    if names {
        config.clip.projection_dim = config.clip.text.hidden_size;
    }
    let graph = Owlv2Graph { config: &config, weights: &weights, names }.build().unwrap();
    Session::from_bytes("detect", Path::new("owlv2"), &graph.to_bytes().unwrap(), &Device::Cpu, Some(1)).unwrap()
}

#[test]
fn boxes_and_objectness_are_those_of_the_golden_case() {
    let expected = Expected::open(&case().join("expected.safetensors"));
    let pixel_values: Array4<f32> = expected.floats("pixel_values").into_dimensionality().unwrap();
    let mut outputs = session(false).run(&[("pixel_values", pixel_values.view().into())]).unwrap();
    let boxes: Array3<f32> = outputs.take("pred_boxes").unwrap();
    let objectness: Array2<f32> = outputs.take("objectness_logits").unwrap();
    let boxes = expected.check("pred_boxes_cxcywh", &boxes, 1e-3);
    let objectness = expected.check("objectness_logits", &objectness, 1e-3);
    eprintln!("boxes are {boxes:.1e} off, objectness is {objectness:.1e} off");
}

#[test]
fn logits_of_names_follow_from_the_golden_cases_embeddings() {
    let expected = Expected::open(&case().join("expected.safetensors"));
    let weights = Weights::open_folder(&case().join("owlv2")).unwrap();
    let features: Array3<f32> = expected.floats("patch_features").into_dimensionality().unwrap();
    let features = features.index_axis(Axis(0), 0);
    let embeddings: Array3<f32> = expected.floats("class_embeddings").into_dimensionality().unwrap();
    let queries = unit_rows(&Array2::from_shape_fn((3, 32), |(query, at)| if (at * 7 + query * 5) % 11 < 5 { 1.0 } else { -0.5 }));
    let row = |name: &str| -> Array2<f32> {
        let weight: Array2<f32> = weights.array(&format!("class_head.{name}.weight"), (1, 48)).unwrap();
        features.dot(&weight.t()) + weights.array::<ndarray::Ix1>(&format!("class_head.{name}.bias"), 1).unwrap()[0]
    };
    let scale = row("logit_scale").mapv(|x| if x > 0.0 { x + 1.0 } else { x.exp() });
    let wanted = (unit_rows(&embeddings.index_axis(Axis(0), 0)).dot(&queries.t()) + row("logit_shift")) * scale;

    let pixel_values: Array4<f32> = expected.floats("pixel_values").into_dimensionality().unwrap();
    let mut outputs = session(true).run(&[("pixel_values", pixel_values.view().into()), ("queries", queries.view().into())]).unwrap();
    let found: Array3<f32> = outputs.take::<Ix3>("logits").unwrap();
    assert_eq!(found.dim(), (1, 36, 3));
    let difference = furthest(&found.index_axis(Axis(0), 0), &wanted);
    assert!(difference < 1e-3, "{difference}");
    assert!(outputs.take::<Ix2>("objectness_logits").is_err(), "names are looked for, and objects are not");
}

/// A set whose detector is this folder.
fn set(folder: &Path, detector: &Value) -> (TempDir, uniood::Result<EngineConfig>) {
    let dir = tempfile::tempdir().unwrap();
    let config = detector_set(dir.path(), folder, detector, &["car"]);
    (dir, config)
}

#[test]
fn from_the_picture_boxes_are_within_a_pixel_and_the_graph_is_built_once() {
    let expected = Expected::open(&case().join("expected.safetensors"));
    let (boxes, objectness) = (expected.floats("boxes_xywh_pixels"), expected.floats("objectness"));
    let picture = picture::read(&case().join("frame.png")).unwrap();
    let wanted = |patch: usize| {
        let [x, y, w, h] = [0, 1, 2, 3].map(|number| boxes[[patch, number]]);
        BBox { x, y, w, h }.clipped(picture.width, picture.height)
    };
    let (dir, config) = set(&case().join("owlv2"), &json!({}));
    let mut config = config.unwrap();
    for choice in [DetectorChoice::Set, DetectorChoice::File(case().join("owlv2"))] {
        config.detector = choice;
        let mut detector = Detector::open(&config).unwrap().unwrap();
        let selection = Selection { detection_threshold: 0.0, iou_threshold: 1.0, min_object_size: 0, ..Selection::default() };
        let found = detector.detect(&[(picture.frame(), &selection)]).unwrap().remove(0);
        // Boxes of the padding alone are none.
        let mut order: Vec<usize> = (0..36).filter(|patch| wanted(*patch).area() > 0.0).collect();
        order.sort_by(|a, b| objectness[[0, *b]].total_cmp(&objectness[[0, *a]]));
        assert_eq!(found.len(), order.len());
        assert!(order.len() > 10);
        let mut furthest = [0.0_f32; 2];
        for (found, patch) in found.iter().zip(order) {
            let (a, b) = (found.bbox, wanted(patch));
            for (a, b) in [(a.x, b.x), (a.y, b.y), (a.x + a.w, b.x + b.w), (a.y + a.h, b.y + b.h)] {
                furthest[0] = furthest[0].max((a - b).abs());
            }
            furthest[1] = furthest[1].max((found.confidence - objectness[[0, patch]]).abs());
            assert_eq!(&*found.label.as_ref().unwrap().name, "object");
        }
        eprintln!("edges are {:.1e} pixels off, confidences {:.1e}", furthest[0], furthest[1]);
        assert!(furthest[0] < 1.0 && furthest[1] < 1e-3, "{furthest:?}");
    }
    assert_eq!(fs::read_dir(dir.path().join("cache")).unwrap().count(), 1);
}

/// A copy of the golden folder.
fn copy() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(case().join("owlv2")).unwrap() {
        let path = entry.unwrap().path();
        fs::write(dir.path().join(path.file_name().unwrap()), fs::read(path).unwrap()).unwrap();
    }
    dir
}

/// Gives a tensor another name.
fn rename_tensor(dir: &Path, from: &str, to: &str) {
    let path = dir.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
    let mut header: Value = serde_json::from_slice(header).unwrap();
    let tensor = header.as_object_mut().unwrap().remove(from).unwrap();
    header[to] = tensor;
    let header = header.to_string();
    fs::write(&path, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()).unwrap();
}

/// Says that the pictures have another side.
fn resize_config(dir: &Path, side: usize) {
    let path = dir.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["vision_config"]["image_size"] = json!(side);
    fs::write(&path, config.to_string()).unwrap();
}

#[test]
fn folders_that_are_no_owlv2_end_in_a_sentence() {
    type Change = fn(&Path);
    let changes: [(Change, Value, &[&str]); 7] = [
        (|dir| fs::remove_file(dir.join("config.json")).unwrap(), json!({}), &["config.json", "cannot read"]),
        (|dir| fs::write(dir.join("config.json"), r#"{"model_type": "clip"}"#).unwrap(), json!({}), &["`model_type` is `clip`", "`owlv2`"]),
        (|dir| fs::remove_file(dir.join("model.safetensors")).unwrap(), json!({}), &["model.safetensors", "cannot read"]),
        (|dir| fs::write(dir.join("model.safetensors"), [255; 64]).unwrap(), json!({}), &["header", "fetch it again"]),
        (|dir| rename_tensor(dir, "box_head.dense2.bias", "box_head.dense3.bias"), json!({}), &["`box_head.dense2.bias` is missing"]),
        (|dir| resize_config(dir, 128), json!({}), &["owlv2.vision_model.embeddings.position_embedding.weight", "[37, 48]", "[65, 48]"]),
        (|_| (), json!({"layout": "owlv2", "prompt": "a photo of a {}"}), &["vocab.json", "cannot read"]),
    ];
    for (change, detector, sentences) in changes {
        let folder = copy();
        change(folder.path());
        let (_dir, config) = set(folder.path(), &detector);
        let error = config.and_then(|config| Detector::open(&config)).map(drop).unwrap_err().to_string();
        assert!(sentences.iter().all(|sentence| error.contains(sentence)), "{error} lacks one of {sentences:?}");
    }
}

#[test]
fn keys_that_owlv2_has_no_use_for_are_refused() {
    for (detector, sentence) in [
        (json!({"resize": "letterbox"}), "layout `owlv2` has no choice there"),
        (json!({"scores": "softmax"}), "layout `owlv2` has no choice there"),
        (json!({"labels": ["car"]}), "`prompt` beside them"),
    ] {
        let (_dir, config) = set(&case().join("owlv2"), &detector);
        let error = Detector::open(&config.unwrap()).map(drop).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
}

#[test]
fn a_copy_of_a_set_takes_the_folder_along() {
    let (dir, config) = set(&case().join("owlv2"), &json!({}));
    let mut config = config.unwrap();
    let calibration = Document {
        schema: "uniood.calibration/1".to_owned(),
        model: "test".to_owned(),
        fingerprint: config.models.fingerprint().unwrap(),
        uniood: String::new(),
        data: String::new(),
        keep: 0.95,
        objects: 2,
        independent: None,
        threshold: 0.1,
        per_class: BTreeMap::new(),
        per_stream: BTreeMap::new(),
        quantiles: vec![0.1, 0.2],
    };
    let copy = dir.path().join("copy");
    write_calibrated(&copy, &config.models, &calibration).unwrap();
    assert!(copy.join("detector/model.safetensors").is_file());
    config.models = ModelSet::open(&copy).unwrap();
    assert!(Detector::open(&config).unwrap().is_some());
}
