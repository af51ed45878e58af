//! Detectors by their public export contracts: small ONNX files with those ports through the engine, against boxes computed by hand.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/detector_set.rs"]
mod detector_set;
#[path = "common/engine.rs"]
mod engine;

use std::{fs, path::Path, sync::Arc};

use detector_set::detector_set;
use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use uniood::{
    detect::Selection,
    engine::{Boxes, DetectorChoice, Engine, EngineConfig, FrameSettings, Job, no_abort},
    frame::Picture,
    graph::{
        OPSET,
        onnx::{
            AttributeProto, Dimension, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
            TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, element,
        },
    },
};

/// An ONNX file under construction.
#[derive(Default)]
struct Graph(GraphProto);

impl Graph {
    fn port(name: &str, elem_type: i32, sides: &[i64]) -> ValueInfoProto {
        let side =
            |&side: &i64| DimensionProto { value: Some(if side < 0 { Dimension::Name("N".to_owned()) } else { Dimension::Size(side) }) };
        let tensor_type = TensorTypeProto { elem_type, shape: Some(TensorShapeProto { dim: sides.iter().map(side).collect() }) };
        ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
    }

    /// Sides of −1 are dynamic.
    fn input(mut self, name: &str, elem_type: i32, sides: &[i64]) -> Self {
        self.0.input.push(Self::port(name, elem_type, sides));
        self
    }

    fn output(mut self, name: &str, elem_type: i32, sides: &[i64]) -> Self {
        self.0.output.push(Self::port(name, elem_type, sides));
        self
    }

    fn raw(mut self, name: &str, data_type: i32, dims: &[i64], raw: Vec<u8>) -> Self {
        let tensor = TensorProto { dims: dims.to_vec(), data_type, name: name.to_owned(), raw_data: Some(raw), ..TensorProto::default() };
        self.0.initializer.push(tensor);
        self
    }

    fn floats(self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.raw(name, element::F32, dims, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn integers(self, name: &str, values: &[i64]) -> Self {
        self.raw(name, element::I64, &[i64::try_from(values.len()).unwrap()], values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn node(mut self, op: &str, inputs: &[&str], output: &str, attribute: &[(&str, i64)]) -> Self {
        let int =
            |&(name, value): &(&str, i64)| AttributeProto { name: name.to_owned(), i: Some(value), r#type: 2, ..AttributeProto::default() };
        self.0.node.push(NodeProto {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: op.to_owned(),
            attribute: attribute.iter().map(int).collect(),
            ..NodeProto::default()
        });
        self
    }

    /// The mean of each colour plane of `image`, `[N, 3]`, so that what a detector is fed shows in what it gives.
    fn colours(self, image: &str) -> Self {
        self.node("GlobalAveragePool", &[image], "pooled", &[]).integers("rows", &[-1, 3]).node(
            "Reshape",
            &["pooled", "rows"],
            "colours",
            &[],
        )
    }

    /// `constant` once for every frame that `colours` has, whatever its own first side of 1.
    fn for_every_frame(self, constant: &str, to: &str, sides: &[i64]) -> Self {
        let shape = format!("{to}.shape");
        self.integers(&format!("{to}.sides"), sides)
            .node("Shape", &["colours"], &format!("{to}.colours"), &[])
            .integers(&format!("{to}.start"), &[0])
            .integers(&format!("{to}.end"), &[1])
            .node("Slice", &[&format!("{to}.colours"), &format!("{to}.start"), &format!("{to}.end")], &format!("{to}.frames"), &[])
            .node("Concat", &[&format!("{to}.frames"), &format!("{to}.sides")], &shape, &[("axis", 0)])
            .node("Expand", &[constant, &shape], to, &[])
    }

    fn write(self, path: &Path) {
        let model = ModelProto {
            ir_version: 8,
            graph: Some(GraphProto { name: "test".to_owned(), ..self.0 }),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            ..ModelProto::default()
        };
        fs::write(path, model.encode_to_vec()).unwrap();
    }
}

/// A model set with this detector, and the engine's settings for it.
fn set(graph: Graph, detector: &Value) -> (TempDir, EngineConfig) {
    let dir = tempfile::tempdir().unwrap();
    graph.write(&dir.path().join("detector.onnx"));
    let config = detector_set(dir.path(), Path::new("detector.onnx"), detector, &["car"]).unwrap();
    (dir, config)
}

/// A frame of one colour.
fn frame(width: u32, height: u32, colour: [u8; 3]) -> Arc<Picture> {
    Arc::new(Picture { width, height, rgb: colour.repeat((width * height) as usize) })
}

/// What was found: label, confidence, and left, top, width, height; the most confident first.
type Found = Vec<(String, f32, [f32; 4])>;

/// The objects of some frames that are submitted at once.
fn found(config: &EngineConfig, frames: &[Arc<Picture>]) -> Vec<Found> {
    let engine = Engine::open(config).unwrap();
    let selection = Selection { min_object_size: 0, ..Selection::default() };
    let settings = Arc::new(FrameSettings { selection, ..engine::settings(&engine) });
    let stream = engine.stream();
    let job = |frame: &Arc<Picture>| Job { frame: frame.clone(), boxes: Boxes::Detect, settings: Arc::clone(&settings), tracks: None };
    let tickets: Vec<_> = frames.iter().map(|frame| stream.submit(job(frame), &no_abort()).unwrap()).collect();
    stream.flush();
    let answers = tickets.into_iter().map(|ticket| ticket.wait().unwrap());
    answers
        .map(|answer| {
            assert_eq!(answer.error, None);
            let found = answer.objects.into_iter().map(|object| {
                let bbox = object.detection.bbox;
                (object.detection.label.unwrap().name.to_string(), object.detection.confidence, [bbox.x, bbox.y, bbox.w, bbox.h])
            });
            found.collect()
        })
        .collect()
}

#[track_caller]
fn check(found: &Found, wanted: &[(&str, f32, [f32; 4])]) {
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    for ((label, confidence, bbox), wanted) in found.iter().zip(wanted) {
        assert_eq!(label, wanted.0);
        assert!((confidence - wanted.1).abs() < 1e-4, "{confidence} for {}", wanted.1);
        assert!(bbox.iter().zip(wanted.2).all(|(found, wanted)| (found - wanted).abs() < 0.02), "{bbox:?} for {:?}", wanted.2);
    }
}

/// A grid of YOLOX where one cell says something.
fn yolox(width: i64, height: i64, row: usize, says: &[f32]) -> Graph {
    let cells: i64 = [8, 16, 32].iter().map(|stride| (width / stride) * (height / stride)).sum();
    let numbers = i64::try_from(says.len()).unwrap();
    let mut grid = vec![0.0; usize::try_from(cells * numbers).unwrap()];
    grid[row * says.len()..][..says.len()].copy_from_slice(says);
    Graph::default()
        .input("images", element::F32, &[1, 3, height, width])
        .floats("grid", &[1, cells, numbers], &grid)
        .node("Identity", &["grid"], "output", &[])
        .output("output", element::F32, &[1, cells, numbers])
}

#[test]
fn yolox_of_every_size() {
    let frame = frame(320, 160, [90; 3]);
    // YOLOX-s to -x: stride 16 begins at row 80·80, its cell (10, 5) has the centre (10.5, 5.5)·16 and the sides (4, 2)·16.
    let says = [0.5, 0.5, 4_f32.ln(), 2_f32.ln(), 0.9, 0.1, 0.8];
    let (_dir, config) = set(yolox(640, 640, 6400 + 5 * 40 + 10, &says), &json!({"labels": ["a", "b"]}));
    check(&found(&config, std::slice::from_ref(&frame))[0], &[("b", 0.72, [68.0, 36.0, 32.0, 16.0])]);
    // Not square: strides 8 and 16 have 80·52 and 40·26 cells; cell (3, 2) of stride 32 is twice as large as in the frame.
    let (_dir, config) = set(yolox(640, 416, 4160 + 1040 + 2 * 20 + 3, &says), &json!({"layout": "yolox"}));
    check(&found(&config, &[frame])[0], &[("1", 0.72, [24.0, 24.0, 64.0, 32.0])]);
}

#[test]
fn yolov8_with_its_transposed_boxes() {
    let mut columns = vec![0.0; 6 * 8400];
    for (number, value) in [320.0, 160.0, 64.0, 32.0, 0.25, 0.75].into_iter().enumerate() {
        columns[number * 8400 + 4000] = value;
    }
    let graph = || {
        Graph::default()
            .input("images", element::F32, &[1, 3, 640, 640])
            .floats("columns", &[1, 6, 8400], &columns)
            .node("Identity", &["columns"], "output0", &[])
            .output("output0", element::F32, &[1, 6, 8400])
    };
    let (_dir, config) = set(graph(), &json!({"labels": ["a", "b"]}));
    check(&found(&config, &[frame(320, 160, [0; 3])])[0], &[("b", 0.75, [144.0, 72.0, 32.0, 16.0])]);
    let (_dir, config) = set(graph(), &json!({"resize": "stretch"}));
    check(&found(&config, &[frame(320, 160, [0; 3])])[0], &[("1", 0.75, [144.0, 36.0, 32.0, 8.0])]);
}

/// Three queries, whose best logit is the mean of red, of green and of blue as the detector gets them.
fn detr(names: [&str; 2], numbers: i64, best: usize, inputs: impl FnOnce(Graph) -> Graph) -> Graph {
    let boxes = [[0.5, 0.5, 0.25, 0.5], [0.125, 0.25, 0.125, 0.25], [0.875, 0.75, 0.125, 0.25]].as_flattened().to_vec();
    let mut at = vec![0.0; usize::try_from(numbers).unwrap()];
    at[best] = 1.0;
    let rest: Vec<f32> = at.iter().map(|at| (at - 1.0) * 20.0).collect();
    inputs(Graph::default())
        .colours("pixel_values")
        .floats("at", &[1, 1, numbers], &at)
        .floats("rest", &[1, 1, numbers], &rest)
        .integers("columns", &[-1, 3, 1])
        .node("Reshape", &["colours", "columns"], "colour_columns", &[])
        .node("Mul", &["colour_columns", "at"], "best", &[])
        .node("Add", &["best", "rest"], names[1], &[])
        .floats("shares", &[1, 3, 4], &boxes)
        .for_every_frame("shares", names[0], &[3, 4])
        .output(names[1], element::F32, &[-1, 3, numbers])
        .output(names[0], element::F32, &[-1, 3, 4])
}

fn picture(graph: Graph) -> Graph {
    graph.input("pixel_values", element::F32, &[-1, 3, 64, 64])
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

const MIDDLE: [f32; 4] = [75.0, 25.0, 50.0, 50.0];
const LEFT: [f32; 4] = [12.5, 12.5, 25.0, 25.0];
const RIGHT: [f32; 4] = [162.5, 62.5, 25.0, 25.0];

#[test]
fn rt_detr_as_transformers_exports_it() {
    // 80 logits: sigmoids over 0–1, COCO's names.
    let (_dir, config) = set(detr(["pred_boxes", "logits"], 80, 2, picture), &json!({}));
    let frames = [frame(200, 100, [255, 102, 0]), frame(200, 100, [0, 0, 51])];
    let found = found(&config, &frames);
    check(&found[0], &[("car", sigmoid(1.0), MIDDLE), ("car", sigmoid(0.4), LEFT), ("car", 0.5, RIGHT)]);
    check(&found[1], &[("car", sigmoid(0.2), RIGHT), ("car", 0.5, MIDDLE), ("car", 0.5, LEFT)]);
}

#[test]
fn rf_detr_stretched_and_normalised_as_imagenet() {
    let (_dir, config) = set(detr(["dets", "labels"], 91, 17, picture), &json!({}));
    let logits = [(1.0 - 0.485) / 0.229, (0.6 - 0.456) / 0.224, (0.8 - 0.406) / 0.225].map(sigmoid);
    let wanted = [("cat", logits[0], MIDDLE), ("cat", logits[2], RIGHT), ("cat", logits[1], LEFT)];
    check(&found(&config, &[frame(200, 100, [255, 153, 204])])[0], &wanted);
}

#[test]
fn detr_with_a_mask_and_no_object_last() {
    let masked = |graph: Graph| {
        let graph = picture(graph).input("pixel_mask", element::I64, &[-1, 8, 8]);
        // A mask with a hole would change the boxes.
        graph.node("ReduceMin", &["pixel_mask"], "least", &[("keepdims", 0)]).node("Cast", &["least"], "whole", &[("to", 1)])
    };
    let mut graph = detr(["boxes", "logits"], 3, 1, masked);
    graph.0.output.pop();
    let graph = graph.node("Mul", &["boxes", "whole"], "pred_boxes", &[]).output("pred_boxes", element::F32, &[-1, 3, 4]);
    let (_dir, config) = set(graph, &json!({"labels": ["a", "b"], "normalize": "none"}));
    // The others are e⁻²⁰ each: next to nothing beside e^colour.
    let found = found(&config, &[frame(200, 100, [255, 0, 0])]);
    check(&found[0], &[("b", 1.0, MIDDLE), ("b", 1.0, LEFT), ("b", 1.0, RIGHT)]);
}

/// Scores are the mean of red, of green and of blue; boxes are in the sizes that were asked for.
fn rtdetr() -> Graph {
    let shares = [[0.25, 0.25, 0.5, 0.75], [0.0, 0.0, 0.125, 0.25], [0.875, 0.5, 1.0, 1.0]].as_flattened().to_vec();
    Graph::default()
        .input("images", element::F32, &[-1, 3, 32, 64])
        .input("orig_target_sizes", element::I64, &[-1, 2])
        .colours("images")
        .node("Identity", &["colours"], "scores", &[])
        .raw("kinds", element::I64, &[1, 3], [0_i64, 7, 2].iter().flat_map(|kind| kind.to_le_bytes()).collect())
        .for_every_frame("kinds", "labels", &[3])
        .node("Cast", &["orig_target_sizes"], "sizes", &[("to", 1)])
        .node("Concat", &["sizes", "sizes"], "corners", &[("axis", 1)])
        .integers("corner_rows", &[-1, 1, 4])
        .node("Reshape", &["corners", "corner_rows"], "corner_columns", &[])
        .floats("shares", &[1, 3, 4], &shares)
        .node("Mul", &["corner_columns", "shares"], "boxes", &[])
        .output("labels", element::I64, &[-1, 3])
        .output("boxes", element::F32, &[-1, 3, 4])
        .output("scores", element::F32, &[-1, 3])
}

#[test]
fn rt_detr_and_d_fine_as_they_are_deployed() {
    let (_dir, config) = set(rtdetr(), &json!({}));
    let frames = [frame(200, 100, [204, 255, 0]), frame(400, 200, [0, 153, 128])];
    let results = found(&config, &frames);
    check(&results[0], &[("truck", 1.0, [0.0, 0.0, 25.0, 25.0]), ("person", 0.8, [50.0, 25.0, 50.0, 50.0])]);
    check(&results[1], &[("truck", 0.6, [0.0, 0.0, 50.0, 50.0]), ("car", 128.0 / 255.0, [350.0, 100.0, 50.0, 100.0])]);

    // A file that no manifest speaks of.
    let (dir, mut config) = set(rtdetr(), &json!({}));
    config.detector = DetectorChoice::File(dir.path().join("detector.onnx"));
    check(&found(&config, &frames)[0], &[("truck", 1.0, [0.0, 0.0, 25.0, 25.0]), ("person", 0.8, [50.0, 25.0, 50.0, 50.0])]);
}

#[test]
fn a_label_without_a_name_is_an_error_of_the_frame() {
    let (_dir, config) = set(rtdetr(), &json!({"labels": ["a", "b"]}));
    let engine = Engine::open(&config).unwrap();
    let settings = Arc::new(engine::settings(&engine));
    let job = Job { frame: frame(200, 100, [0, 255, 0]), boxes: Boxes::Detect, settings, tracks: None };
    let error = engine.stream().submit(job, &no_abort()).unwrap().wait().unwrap().error.unwrap();
    assert!(error.contains("label 7") && error.contains("2 names") && error.contains("uniood.json"), "{error}");
}

#[test]
fn what_is_no_layout_is_listed_with_those_that_are() {
    let graph = Graph::default()
        .input("images", element::F32, &[1, 3, 640, 640])
        .floats("rows", &[1, 2, 85], &[0.0; 170])
        .node("Identity", &["rows"], "output", &[])
        .output("output", element::F32, &[1, 2, 85]);
    let (dir, mut config) = set(graph, &json!({"labels": []}));
    for detector in [DetectorChoice::Set, DetectorChoice::File(dir.path().join("detector.onnx"))] {
        config.detector = detector;
        let error = Engine::open(&config).map(drop).unwrap_err().to_string();
        for wanted in
            ["detector.onnx", "images f32[1, 3, 640, 640]", "output f32[1, 2, 85]", "`yolox`", "`yolov8`", "`detr`", "`rtdetr`", "`owlv2`"]
        {
            assert!(error.contains(wanted), "{error} lacks {wanted}");
        }
    }
}

#[test]
fn a_file_for_owlv2_and_a_folder_for_the_others_are_refused() {
    for (detector, is_folder, wanted) in
        [(json!({"layout": "owlv2"}), false, "the Hugging Face folder"), (json!({"layout": "yolox"}), true, "an ONNX file")]
    {
        let (dir, config) = set(rtdetr(), &detector);
        if is_folder {
            fs::remove_file(dir.path().join("detector.onnx")).unwrap();
            fs::create_dir(dir.path().join("detector.onnx")).unwrap();
        }
        let error = Engine::open(&config).map(drop).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}
