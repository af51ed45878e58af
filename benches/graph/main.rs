//! Speed of the built image graph, as ratios: against sgemm on this machine, in int8 against fp32, (where a Python with torch is there) against
//! the same module in PyTorch and exported from it, and itself in fp16, and (where `UNIOOD_OPENVINO` names its library) in OpenVINO. Prints Markdown.
//!
//! `cargo bench --bench graph [-- --repeats N] [-- --write DIR]`; `--write` only writes the folders and graphs.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints its figures and fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod openvino;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{
    Figure, Options, interleaved,
    random_clip::{BASE, Sizes},
};
use ndarray::{Array, Array1, Array2, Array4};
use prost::Message;
use serde_json::Value;
use uniood::{
    combiner::Combiner,
    engine::{Device, Session},
    graph::{
        ImageGraph, Numbers,
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
    let Some(options) = Options::read() else { return };
    if let Some(graph) = options.value_of(openvino::SERVE) {
        return openvino::serve(Path::new(graph), options.value_of(openvino::IN).unwrap_or("fp32"));
    }
    let repeats = options.repeats();
    let temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let kept = options.value_of("--write").map(PathBuf::from);
    for sizes in BASE {
        let dir = kept.as_deref().unwrap_or(temporary.path()).join(sizes.name.replace('/', ""));
        fs::create_dir_all(&dir).unwrap();
        sizes.write(&dir);
        let [graph, int8] = [Numbers::Fp32, Numbers::Int8].map(|numbers| write(&sizes, &dir, numbers));
        if kept.is_some() {
            continue;
        }
        println!("### The built graph, {}\n", sizes.name);
        println!(
            "{OBJECTS} objects (two images each), {CLASSES} classes, fp32 where nothing else is said, random weights; {repeats} interleaved repeats.\n"
        );
        println!("{}", Figure::HEAD);
        common::print(&against_sgemm(&sizes, &graph, repeats));
        common::print(&in_int8(&sizes, &graph, &int8, repeats));
        let openvino = openvino::figures(&graph, &sizes, repeats);
        if let Ok(figures) = &openvino {
            common::print(figures);
        }
        match against_peers(&dir, [&graph, &int8], repeats) {
            Ok(report) => {
                common::print(&beside_peers(&report));
                println!("\n{}", peers(&report));
                println!("\n{}", profiles(&report["profile"]));
            }
            Err(why) => println!("\nNot run beside PyTorch: {why}\n"),
        }
        if let Err(why) = openvino {
            println!("Not run beside OpenVINO: {why}\n");
        }
    }
}

/// The graph of a folder's random weights.
fn write(sizes: &Sizes, dir: &Path, numbers: Numbers) -> PathBuf {
    let clip = ClipConfig::open(dir).unwrap();
    let weights = Weights::open_folder(dir).unwrap();
    let combiner = Combiner::open(&dir.join("combiner.safetensors"), &clip).unwrap();
    let graph = dir.join(format!("image-{numbers}.onnx"));
    ImageGraph { name: sizes.name, clip: &clip, weights: &weights, combiner: Some(&combiner), betas: false }
        .build()
        .unwrap()
        .in_numbers(numbers)
        .write(&graph)
        .unwrap();
    graph
}

/// The rate of a whole run's image tower beside that of one matrix product of the tower's shape, both in the same runtime.
fn against_sgemm(sizes: &Sizes, graph: &Path, repeats: usize) -> Vec<Figure> {
    let mut encoder = Session::from_file("encode", graph, &Device::Cpu, None).unwrap();
    let batch = Batch::new(sizes);
    let mut encode = || assert!(batch.omega(&mut encoder).iter().all(|omega| omega.is_finite()));
    let (rows, width) = (2 * OBJECTS * sizes.tokens(), sizes.width);
    let mut gemm = Session::from_bytes("sgemm", Path::new("sgemm"), &sgemm(width, 4 * width), &Device::Cpu, None).unwrap();
    let x = Array2::<f32>::from_elem((rows, width), 0.5);
    let mut multiply = || {
        gemm.run(&[("x", x.view().into())]).unwrap();
    };
    let times = interleaved(repeats, &mut [&mut encode, &mut multiply]);
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let flops = [2.0 * OBJECTS as f64 * flops(sizes), 2.0 * (rows * width * 4 * width) as f64];
    let rate: Vec<Vec<f64>> =
        times.iter().zip(flops).map(|(times, flops)| times.iter().map(|t| flops / t.as_secs_f64() / 1e9).collect()).collect();
    let ratios: Vec<f64> = rate[0].iter().zip(&rate[1]).map(|(encode, gemm)| encode / gemm).collect();
    let milliseconds: Vec<f64> = times[0].iter().map(|time| time.as_secs_f64() * 1e3).collect();
    let product = format!("{rows}×{width}×{}", 4 * width);
    vec![
        Figure::new("graph ÷ sgemm, GFLOP/s over GFLOP/s", Some(('≥', 0.85)), &ratios, 2),
        Figure::new("graph, GFLOP/s", None, &rate[0], 0),
        Figure::new(format!("sgemm (ONNX Runtime's MatMul, {product}), GFLOP/s"), None, &rate[1], 0),
        Figure::new("graph, ms a batch", None, &milliseconds, 1),
    ]
}

/// The graph in 8-bit integers beside itself in 32-bit floats: speed, and how far omega is off. On one thread too: two that a virtual machine
/// puts on one core for a while cost int8 more than fp32.
fn in_int8(sizes: &Sizes, graph: &Path, int8: &Path, repeats: usize) -> Vec<Figure> {
    let batch = Batch::new(sizes);
    let timed = |threads| {
        let [mut fp32, mut int8] = [graph, int8].map(|graph| Session::from_file("encode", graph, &Device::Cpu, threads).unwrap());
        let off = batch.omega(&mut fp32) - batch.omega(&mut int8);
        let most = off.iter().map(|off| f64::from(off.abs())).fold(0.0, f64::max);
        let times = interleaved(repeats, &mut [&mut || drop(batch.omega(&mut fp32)), &mut || drop(batch.omega(&mut int8))]);
        let ratios: Vec<f64> = times[0].iter().zip(&times[1]).map(|(fp32, int8)| fp32.as_secs_f64() / int8.as_secs_f64()).collect();
        let milliseconds: Vec<f64> = times[1].iter().map(|time| time.as_secs_f64() * 1e3).collect();
        (ratios, milliseconds, most)
    };
    let ((ratios, milliseconds, most), (of_one, _, _)) = (timed(None), timed(Some(1)));
    vec![
        Figure::new("int8 ÷ fp32, speed over speed (the goal is for processors with VNNI)", Some(('≥', 2.5)), &ratios, 2),
        Figure::new("the same on one thread", Some(('≥', 2.5)), &of_one, 2),
        Figure::new("graph in int8, ms a batch", None, &milliseconds, 1),
        Figure::new("omega in int8, off fp32 at most", Some(('≤', 0.005)), &[most], 5),
    ]
}

/// What a run is given.
pub(crate) struct Batch {
    target: Array4<u8>,
    background: Array4<u8>,
    has_context: Array1<f32>,
    text: Array2<f32>,
}

impl Batch {
    pub(crate) fn new(sizes: &Sizes) -> Self {
        let side = sizes.image;
        let level = |seed: usize| {
            Array4::from_shape_fn((OBJECTS, side, side, 3), |(o, y, x, c)| {
                u8::try_from((o * 31 + y * 7 + x * 13 + c * 57 + seed) % 256).unwrap()
            })
        };
        let text =
            Array2::from_shape_fn((CLASSES, sizes.embedding), |(c, e)| f32::from(u8::try_from((c * 37 + e * 11) % 101).unwrap()) - 50.0);
        Self { target: level(0), background: level(99), has_context: Array1::ones(OBJECTS), text }
    }

    pub(crate) fn omega(&self, session: &mut Session) -> Array2<f32> {
        let outputs = session.run(&[
            ("target", self.target.view().into()),
            ("background", self.background.view().into()),
            ("has_context", self.has_context.view().into()),
            ("text", self.text.view().into()),
            ("context_text", self.text.view().into()),
        ]);
        outputs.unwrap().take("omega").unwrap()
    }
}

/// What the peers' script reports of the same folder, and of the graph in fp32 and in int8.
///
/// # Errors
/// A sentence where it cannot run.
fn against_peers(dir: &Path, [graph, int8]: [&Path; 2], repeats: usize) -> Result<Value, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/graph.py");
    let python = std::env::var_os("UNIOOD_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.arg(script).arg(dir).arg(graph).arg("--int8").arg(int8);
    command.args(["--json", "--repeats", &repeats.to_string()]).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("UNIOOD_PYTHON (default python3) does not start ({error})."))?;
    if !output.status.success() {
        return Err("the Python that UNIOOD_PYTHON names (default python3) lacks what benches/peers/requirements.txt lists, or \
            benches/peers/graph.py failed."
            .to_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap())
}

/// The graph beside the same module in PyTorch, that exported, and itself in fp16.
fn beside_peers(report: &Value) -> Vec<Figure> {
    let figure = |what: &str, goal, value: &Value, digits| {
        let number = |key: &str| value[key].as_f64().unwrap();
        let (median, least, most) = (number("median"), number("min"), number("max"));
        Figure { what: what.to_owned(), goal, median, least, most, digits }
    };
    let (ratio, ms) = (&report["ratio"], &report["ms"]);
    vec![
        figure("graph ÷ PyTorch's export in the same ONNX Runtime, speed over speed", Some(('≥', 1.0)), &ratio["exported"], 2),
        figure("graph ÷ PyTorch, speed over speed", Some(('≥', 1.2)), &ratio["torch"], 2),
        figure("graph in fp16 ÷ graph, speed over speed (a processor computes fp16 in fp32)", None, &ratio["fp16"], 2),
        figure("graph beside them, ms a batch", None, &ms["graph"], 1),
        figure("PyTorch's export, ms a batch", None, &ms["exported"], 1),
        figure("PyTorch, ms a batch", None, &ms["torch"], 1),
        figure("graph in fp16, ms a batch", None, &ms["fp16"], 1),
    ]
}

/// What they are.
fn peers(report: &Value) -> String {
    let version = |key: &str| report[key].as_str().unwrap_or_default();
    format!("Peers: torch {}, onnxruntime {}, {} threads.", version("torch"), version("onnxruntime"), report["threads"])
}

/// Where a batch's time goes: a table of operators, those that take a hundredth of it in either precision.
fn profiles(profile: &Value) -> String {
    let spent = |precision: &str| -> Vec<(String, f64)> { serde_json::from_value(profile[precision].clone()).unwrap() };
    let [fp32, int8] = ["fp32", "int8"].map(spent);
    let whole = |spent: &[(String, f64)]| spent.iter().map(|(_, ms)| ms).sum::<f64>();
    let (all_fp32, all_int8) = (whole(&fp32), whole(&int8));
    let of = |spent: &[(String, f64)], operator: &str| spent.iter().find(|(name, _)| name == operator).map_or(0.0, |(_, ms)| *ms);
    let mut rows: Vec<(&str, f64, f64)> = Vec::new();
    for (operator, _) in fp32.iter().chain(&int8) {
        let row = (operator.as_str(), of(&fp32, operator), of(&int8, operator));
        if !rows.contains(&row) && (row.1 >= all_fp32 / 100.0 || row.2 >= all_int8 / 100.0) {
            rows.push(row);
        }
    }
    let (named_fp32, named_int8) = rows.iter().fold((0.0, 0.0), |(fp32, int8), row| (fp32 + row.1, int8 + row.2));
    rows.push(("the others", all_fp32 - named_fp32, all_int8 - named_int8));
    rows.push(("all", all_fp32, all_int8));
    let mut table = String::from(
        "Where the time goes, by ONNX Runtime's own profile:\n\n| operator | fp32, ms a batch | int8, ms a batch |\n|---|---|---|\n",
    );
    for (operator, fp32, int8) in rows {
        writeln!(table, "| {operator} | {fp32:.1} | {int8:.1} |").unwrap();
    }
    table
}

/// Multiplications and additions of the image tower's matrix products for one image: patches, the four projections and
/// two MLP layers of each layer, attention itself, and P for every token.
#[expect(clippy::cast_precision_loss, reason = "an estimate for a rate")]
fn flops(sizes: &Sizes) -> f64 {
    let (t, d) = (sizes.tokens(), sizes.width);
    let patches = (t - 1) * sizes.patch * sizes.patch * 3 * d;
    let layer = 12 * t * d * d + 2 * t * t * d;
    2.0 * (patches + sizes.layers * layer + t * d * sizes.embedding) as f64
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
            ..NodeProto::default()
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
