//! Image graphs in 8-bit integers beside the same in 32-bit floats, and the guard before a set that they cost too much.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/golden.rs"]
mod golden;
#[path = "common/program.rs"]
mod program;
#[path = "common/streets.rs"]
mod streets;

use std::{
    fs,
    path::{Path, PathBuf},
};

use golden::{CLIP_CASES, GoldenCase, Inputs, session};
use half::f16;
use ndarray::Array2;
use program::run;
use prost::Message;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use street_world::film::Settings;
use streets::streets;
use uniood::{
    engine::{Device, Session},
    graph::{
        Model, Numbers, OPSET,
        onnx::{
            Dimension, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
            TensorTypeProto, TypeProto, ValueInfoProto, element,
        },
    },
};

/// How far omega may be off on the mean in towers of 32 to 48 channels, which average less of their rounding away than real ones.
const MEAN: f32 = 1e-2;

fn model(case: &GoldenCase, numbers: Numbers) -> Model {
    case.image_graph(true, false).in_numbers(numbers)
}

/// Omega of every object and class.
fn omega(inputs: &Inputs, session: &mut Session) -> Array2<f32> {
    inputs.run(session, |_| 1.0, inputs.text.nrows()).take("omega").unwrap()
}

#[test]
fn omega_is_that_of_fp32_up_to_rounding() {
    for name in CLIP_CASES {
        let case = GoldenCase::open(name);
        let inputs = Inputs::of(&case);
        let [wanted, found] = [Numbers::Fp32, Numbers::Int8].map(|numbers| omega(&inputs, &mut session(&model(&case, numbers))));
        let off = (&wanted - &found).mapv(f32::abs);
        let (mean, most) = (off.mean().unwrap(), off.iter().copied().fold(0.0, f32::max));
        eprintln!("{name}: {mean:.1e} on the mean, {most:.1e} at most");
        assert!(mean <= MEAN && most > 0.0, "{name}: {found} for {wanted}");
    }
}

/// Without VNNI, two products of 255 and 127 overflow an x86's 16 bits, unless ONNX Runtime was told to mind; with it, they do not.
#[test]
fn the_largest_products_are_added_without_overflow() {
    const INPUTS: usize = 128;
    let weight: Vec<i8> = (0..INPUTS).flat_map(|_| [127, -127]).collect();
    let mut session = Session::from_bytes("product", Path::new("product"), &product_of_bytes(INPUTS, &weight), &Device::Cpu, None).unwrap();
    let x = Array2::<u8>::from_elem((9, INPUTS), 255);
    let y: Array2<f32> = session.run(&[("x", x.view().into())]).unwrap().take("y").unwrap();
    let sum = 255.0 * 127.0 * 128.0;
    assert!(y.outer_iter().all(|row| row.as_slice() == Some(&[sum, -sum])), "{y}");
}

/// A model that is one product of `u8[rows, inputs]` with `weight` `[inputs, 2]`, as int8 graphs have it.
fn product_of_bytes(inputs: usize, weight: &[i8]) -> Vec<u8> {
    let signed = |side: usize| i64::try_from(side).unwrap();
    let port = |name: &str, elem_type, width| {
        let dim = [Dimension::Name("rows".to_owned()), Dimension::Size(width)].map(|value| DimensionProto { value: Some(value) });
        let tensor_type = TensorTypeProto { elem_type, shape: Some(TensorShapeProto { dim: dim.to_vec() }) };
        ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
    };
    let constant = |name: &str, data_type, dims: &[usize], raw: Vec<u8>| TensorProto {
        dims: dims.iter().copied().map(signed).collect(),
        data_type,
        name: name.to_owned(),
        raw_data: Some(raw),
        ..TensorProto::default()
    };
    let one = 1.0_f32.to_le_bytes().to_vec();
    let graph = GraphProto {
        name: "product".to_owned(),
        node: vec![NodeProto {
            input: ["x", "w", "one", "one", "zero"].map(str::to_owned).to_vec(),
            output: vec!["y".to_owned()],
            name: "y".to_owned(),
            op_type: "MatMulIntegerToFloat".to_owned(),
            domain: "com.microsoft".to_owned(),
            ..NodeProto::default()
        }],
        initializer: vec![
            constant("w", element::I8, &[inputs, 2], weight.iter().map(|weight| weight.cast_unsigned()).collect()),
            constant("one", element::F32, &[], one),
            constant("zero", element::U8, &[], vec![0]),
        ],
        input: vec![port("x", element::U8, signed(inputs))],
        output: vec![port("y", element::F32, 2)],
    };
    let domain = |domain: &str, version| OperatorSetIdProto { domain: domain.to_owned(), version };
    let opset_import = vec![domain("", OPSET), domain("com.microsoft", 1)];
    ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..ModelProto::default() }.encode_to_vec()
}

#[test]
fn an_object_scores_the_same_alone_and_among_others() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let inputs = Inputs::of(&case);
    let mut session = session(&model(&case, Numbers::Int8));
    let together = omega(&inputs, &mut session);
    for object in 0..case.objects {
        let alone = omega(&inputs.some(object..object + 1), &mut session);
        for (alone, together) in alone.row(0).iter().zip(together.row(object)) {
            assert!((alone - together).abs() < 1e-5, "{alone} alone, {together} together");
        }
    }
}

#[test]
fn pictures_of_one_colour_give_numbers() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let mut inputs = Inputs::of(&case);
    inputs.target.fill(0);
    inputs.background.fill(255);
    let omega = omega(&inputs, &mut session(&model(&case, Numbers::Int8)));
    assert!(omega.iter().all(|omega| omega.is_finite()), "{omega}");
}

#[test]
fn every_layer_and_nothing_else_is_taken_the_same_way_every_time() {
    for name in CLIP_CASES {
        let case = GoldenCase::open(name);
        let layers = case.config().vision.num_hidden_layers;
        let [fp32, int8] = [Numbers::Fp32, Numbers::Int8].map(|numbers| model(&case, numbers));
        let count = |model: &Model, operator: &str| {
            model.proto().graph.as_ref().unwrap().node.iter().filter(|node| node.op_type == operator).count()
        };
        let products = |model: &Model| count(model, "MatMul") + count(model, "Gemm");
        assert_eq!((count(&int8, "MatMulIntegerToFloat"), products(&fp32) - products(&int8)), (6 * layers, 6 * layers), "{name}");
        // Query, key and value read the same rows.
        assert_eq!(count(&int8, "QuantizeLinear"), 4 * layers, "{name}");
        assert_eq!(int8.to_bytes().unwrap(), model(&case, Numbers::Int8).to_bytes().unwrap(), "{name}");
    }
}

#[test]
fn build_writes_an_int8_graph_or_says_what_it_cannot() {
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/street-tiny/set");
    let (set, out) = (set.to_str().unwrap(), tempfile::tempdir().unwrap());
    let [fp32, int8, half] = ["fp32", "int8", "fp16"].map(|precision| {
        let path = out.path().join(precision);
        (run(&["models", "build", set, "--precision", precision, "--out", path.to_str().unwrap()]), path)
    });
    fp32.0.check(0, "");
    int8.0.check(0, "");
    let said = |path: &Path| Session::from_file("encode", path, &Device::Cpu, Some(1)).unwrap().metadata("precision");
    assert_eq!((said(&fp32.1).as_deref(), said(&int8.1).as_deref()), (Some("fp32"), Some("int8")));
    let size = |path: &Path| path.metadata().unwrap().len();
    assert!(size(&int8.1) * 10 < size(&fp32.1) * 6, "{} against {}", size(&int8.1), size(&fp32.1));

    half.0.check(1, "precision fp16 cannot be had on device cpu");
    assert!(!half.1.exists());
    let score =
        |more: &[&str]| run(&[&["score", "--models", set, "--boxes", "frame", "tests/golden/quick_gelu_g7/frame.png"], more].concat());
    score(&["--precision", "fp16"]).check(1, "precision fp16 cannot be had");
    score(&["--precision", "int8", "--device", "openvino"]).check(1, "int8 is for the processor");
    score(&["--precision", "int4"]).check(2, "auto, fp32, fp16, bf16 or int8");
    let clip = format!("{set}/clip");
    run(&["models", "build", &clip, "--precision", "int8", "--data", "nowhere"]).check(2, "bare CLIP folder");
}

#[test]
fn a_precision_that_costs_too_much_is_refused_with_its_numbers_unless_it_is_forced() {
    let dir = tempfile::tempdir().unwrap();
    let data = streets(&dir.path().join("streets"), 8200..8206, &Settings::default(), |_| ());
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/street-tiny/set");
    let broken = with_a_loud_channel(&own, &dir.path().join("set"));
    let (cache, out) = (dir.path().join("cache"), dir.path().join("int8.onnx"));
    let [data, cache, out_file] = [&data, &cache, &out].map(|path| path.to_str().unwrap());
    let with = |what: &str, set: &Path, more: &[&str]| {
        let own = ["models", what, set.to_str().unwrap(), "--precision", "int8", "--data", data, "--model-cache-dir", cache];
        run(&[&own, more].concat())
    };

    let sound = with("check", &own, &[]);
    let lines: Vec<&str> = sound.check(0, "").stdout.lines().collect();
    eprintln!("{}", sound.stdout);
    assert!(lines.iter().all(|line| line.starts_with("ok  ")), "{}", sound.stdout);
    assert!(
        lines[lines.len() - 2].contains("off fp32 on the mean") && lines[lines.len() - 1].contains("int8: AUROC is"),
        "{}",
        sound.stdout
    );

    with("check", &broken, &[]).check(1, "more than 5e-3 on the mean; use fp32, or --force");
    let refused = with("build", &broken, &["--out", out_file]);
    refused.check(1, "a loss of more than 0.5 points; use fp32, or --force");
    assert!(refused.stderr.contains("where fp32 has") && !out.exists(), "{}", refused.stderr);
    with("build", &broken, &["--out", out_file, "--force"]).check(0, "taken all the same (--force)");
    assert!(out.exists());
}

/// A copy of a set in which one channel behind each layer norm is ten thousand times as loud as the others, and read by nobody: 32-bit floats
/// do not notice, and 8 bits have nothing left for the others.
fn with_a_loud_channel(set: &Path, copy: &Path) -> PathBuf {
    fs::create_dir_all(copy.join("clip")).unwrap();
    for folder in ["", "clip"] {
        for entry in fs::read_dir(set.join(folder)).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            fs::copy(&entry, copy.join(folder).join(entry.file_name().unwrap())).unwrap();
        }
    }
    // It is bound to the weights.
    fs::remove_file(copy.join("calibration.json")).unwrap();
    let path = copy.join("clip/model.safetensors");
    let file = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let changed: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = tensors
        .tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let mut bytes = tensor.data().to_vec();
            let shape = tensor.shape().to_vec();
            if name.starts_with("vision_model.encoder.layers.") {
                assert_eq!(tensor.dtype(), Dtype::F16);
                if name.contains("layer_norm") && name.ends_with(".weight") {
                    bytes[..2].copy_from_slice(&f16::from_f32(1e4).to_le_bytes());
                } else if ["q_proj.weight", "k_proj.weight", "v_proj.weight", "fc1.weight"].iter().any(|layer| name.ends_with(layer)) {
                    bytes.chunks_exact_mut(2 * shape[1]).for_each(|row| row[..2].fill(0));
                }
            }
            (name, tensor.dtype(), shape, bytes)
        })
        .collect();
    let views = changed.iter().map(|(name, dtype, shape, bytes)| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(views, None, &path).unwrap();
    copy.to_owned()
}
