//! Speed of the built image graph, as ratios: against sgemm on this machine, and (where a Python with torch is
//! there) against the same module in PyTorch and exported from it.
//!
//! `cargo bench --bench graph [-- --repeats N] [-- --write DIR]`; `--write` only writes the folders and graphs.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints its figures and fails by panicking")]

mod random_clip;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use ndarray::{Array, Array1, Array2, Array4};
use prost::Message;
use random_clip::{BASE, Sizes};
use uniood::{
    combiner::Combiner,
    engine::{Device, Runtime, Session},
    graph::{
        ImageGraph,
        onnx::{
            Dimension, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
            TensorTypeProto, TypeProto, ValueInfoProto, element,
        },
    },
    models::{ClipConfig, Weights},
};

const OBJECTS: usize = 4;
const CLASSES: usize = 10;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value_of = |flag: &str| arguments.iter().position(|argument| argument == flag).and_then(|at| arguments.get(at + 1));
    let repeats = value_of("--repeats").map_or(7, |repeats| repeats.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let kept = value_of("--write").map(PathBuf::from);
    println!("ONNX Runtime {}", Runtime::get().unwrap().library().display());
    for sizes in BASE {
        let dir = kept.as_deref().unwrap_or(temporary.path()).join(sizes.name.replace('/', ""));
        fs::create_dir_all(&dir).unwrap();
        let graph = write(&sizes, &dir);
        if kept.is_some() {
            continue;
        }
        println!("\n{}, {OBJECTS} objects, {CLASSES} classes, fp32, {repeats} interleaved repeats", sizes.name);
        against_sgemm(&sizes, &graph, repeats);
        against_peers(&dir, &graph, repeats);
    }
}

/// Random weights and their graph.
fn write(sizes: &Sizes, dir: &Path) -> PathBuf {
    sizes.write(dir);
    let clip = ClipConfig::open(dir).unwrap();
    let weights = Weights::open_folder(dir).unwrap();
    let combiner = Combiner::open(&dir.join("combiner.safetensors"), &clip).unwrap();
    let graph = dir.join("image.onnx");
    ImageGraph { name: sizes.name, clip: &clip, weights: &weights, combiner: Some(&combiner), betas: false }
        .build()
        .unwrap()
        .write(&graph)
        .unwrap();
    graph
}

/// The rate of a whole run's image tower beside that of one matrix product of the tower's shape, both in the same runtime.
fn against_sgemm(sizes: &Sizes, graph: &Path, repeats: usize) {
    let mut encoder = Session::from_file("encode", graph, &Device::Cpu, None).unwrap();
    let side = sizes.image;
    let level = |seed: usize| {
        Array4::from_shape_fn((OBJECTS, side, side, 3), |(o, y, x, c)| {
            u8::try_from((o * 31 + y * 7 + x * 13 + c * 57 + seed) % 256).unwrap()
        })
    };
    let (target, background) = (level(0), level(99));
    let has_context = Array1::<f32>::ones(OBJECTS);
    let text = Array2::from_shape_fn((CLASSES, sizes.embedding), |(c, e)| f32::from(u8::try_from((c * 37 + e * 11) % 101).unwrap()) - 50.0);
    let mut encode = || {
        let outputs = encoder.run(&[
            ("target", target.view().into()),
            ("background", background.view().into()),
            ("has_context", has_context.view().into()),
            ("text", text.view().into()),
            ("context_text", text.view().into()),
        ]);
        let omega: Array2<f32> = outputs.unwrap().take("omega").unwrap();
        assert!(omega.iter().all(|omega| omega.is_finite()));
    };
    let (rows, width) = (2 * OBJECTS * sizes.tokens(), sizes.width);
    let mut gemm = Session::from_bytes("sgemm", Path::new("sgemm"), &sgemm(width, 4 * width), &Device::Cpu, None).unwrap();
    let x = Array2::<f32>::from_elem((rows, width), 0.5);
    let mut multiply = || {
        gemm.run(&[("x", x.view().into())]).unwrap();
    };
    let times = interleaved(repeats, &mut [&mut encode, &mut multiply]);
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let flops = [2.0 * OBJECTS as f64 * sizes.flops(), 2.0 * (rows * width * 4 * width) as f64];
    let rate: Vec<Vec<f64>> =
        times.iter().zip(flops).map(|(times, flops)| times.iter().map(|t| flops / t.as_secs_f64() / 1e9).collect()).collect();
    println!("  encode  {} ms a batch", spread(&times[0].iter().map(|t| t.as_secs_f64() * 1e3).collect::<Vec<_>>(), 1));
    println!(
        "  encode  {} GFLOP/s, {} sgemm (ONNX Runtime's MatMul, {rows}×{width}×{}) GFLOP/s",
        spread(&rate[0], 0),
        spread(&rate[1], 0),
        4 * width
    );
    let ratios: Vec<f64> = rate[0].iter().zip(&rate[1]).map(|(encode, gemm)| encode / gemm).collect();
    println!("  encode ÷ sgemm                        {}", spread(&ratios, 2));
}

/// Runs the peers' script on the same folder; says so where it cannot.
fn against_peers(dir: &Path, graph: &Path, repeats: usize) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/graph.py");
    let python = std::env::var_os("UNIOOD_PYTHON").unwrap_or_else(|| "python3".into());
    let status = Command::new(python).arg(script).arg(dir).arg(graph).args(["--repeats", &repeats.to_string()]).status();
    if !status.is_ok_and(|status| status.success()) {
        println!("  peers skipped: benches/peers/requirements.txt is not installed for UNIOOD_PYTHON (default python3)");
    }
}

/// Times each work once in turn, `repeats` times, after one round that does not count.
fn interleaved(repeats: usize, works: &mut [&mut dyn FnMut()]) -> Vec<Vec<Duration>> {
    let mut times = vec![Vec::new(); works.len()];
    for round in 0..=repeats {
        for (work, times) in works.iter_mut().zip(&mut times) {
            let start = Instant::now();
            work();
            if round > 0 {
                times.push(start.elapsed());
            }
        }
    }
    times
}

/// `median (min–max)`.
fn spread(values: &[f64], digits: usize) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (median, least, most) = (sorted[sorted.len() / 2], sorted[0], sorted[sorted.len() - 1]);
    format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
}

/// A model that is one matrix product with a constant, as a linear layer has.
fn sgemm(inputs: usize, outputs: usize) -> Vec<u8> {
    let port = |name: &str, width: usize| {
        let side = |value| DimensionProto { value: Some(value) };
        let dim = vec![side(Dimension::Name("rows".to_owned())), side(Dimension::Size(i64::try_from(width).unwrap()))];
        let tensor_type = TensorTypeProto { elem_type: element::F32, shape: Some(TensorShapeProto { dim }) };
        ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
    };
    let weight = Array::from_shape_fn(inputs * outputs, |index| f32::from(u8::try_from(index % 251).unwrap()) / 251.0 - 0.5);
    let graph = GraphProto {
        name: "sgemm".to_owned(),
        node: vec![NodeProto {
            input: vec!["x".into(), "w".into()],
            output: vec!["y".into()],
            name: "y".into(),
            op_type: "MatMul".into(),
            attribute: Vec::new(),
        }],
        initializer: vec![TensorProto {
            dims: vec![i64::try_from(inputs).unwrap(), i64::try_from(outputs).unwrap()],
            data_type: element::F32,
            name: "w".into(),
            raw_data: Some(weight.iter().flat_map(|value| value.to_le_bytes()).collect()),
            ..TensorProto::default()
        }],
        input: vec![port("x", inputs)],
        output: vec![port("y", outputs)],
    };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: uniood::graph::OPSET }];
    ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..ModelProto::default() }.encode_to_vec()
}
