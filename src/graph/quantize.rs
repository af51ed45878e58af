//! A graph's linear layers in 8-bit integers.
//!
//! `y = x·W + b` on rows becomes `y_r = a_r·((q_r − z)·Q)·s + b`, computed in integers up to the scales:
//!
//! - Q is W as `i8`, with a scale s of its own for every column;
//! - q_r is a row of x as `u8`, with a scale a_r that is taken from the row itself while the graph runs.
//!
//! A row is a token, so what an object scores does not depend on what shares its batch. With one scale for the whole
//! tensor, as `DynamicQuantizeLinear` has it, it would; and a row with large numbers would cost all others their digits.
//!
//! Only the layers of the transformer are taken. Patches, projections, heads and the products of attention stay as they
//! are: together a tenth of the work, and the patch embedding alone would cost as much accuracy as all layers.
//!
//! `MatMulIntegerToFloat` is ONNX Runtime's own operator: a matrix product that scales its columns before they leave the
//! cache. Another runtime does not know it.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use super::{
    builder::{int, ints},
    onnx::{AttributeProto, GraphProto, NodeProto, TensorProto, element},
};

/// The domain of ONNX Runtime's own operators, and the version of them that is used.
pub(super) const RUNTIME_DOMAIN: (&str, i64) = ("com.microsoft", 1);

/// The largest `i8` of a weight; −128 would have no counterpart.
const MOST: f32 = 127.0;

/// The scale of a row of zeros, to have a number to divide by.
const TINY: f32 = 1e-30;

/// How a row becomes `u8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// Both signs alike: from −127 to 127 around 128.
    Even,
    /// What a GELU puts out, never below −0.28: from −16 to 239 around 16, so that digits are not kept for numbers that do not occur.
    Activation,
}

impl Coding {
    /// By the value's name, which the builder gives: both GELUs end in it.
    fn of(value: &str) -> Self {
        if value.ends_with("/active") { Self::Activation } else { Self::Even }
    }

    const fn zero(self) -> u8 {
        match self {
            Self::Even => 128,
            Self::Activation => 16,
        }
    }

    /// The largest number of a row is this many steps from 0.
    const fn steps(self) -> f32 {
        match self {
            Self::Even => 127.0,
            Self::Activation => 239.0,
        }
    }

    /// The least step. The least value of `y·σ(y)` is −0.2785, that of the exact GELU −0.17.
    const fn floor(self) -> f32 {
        match self {
            Self::Even => TINY,
            Self::Activation => 0.2785 / 16.0,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Activation => "activation",
        }
    }
}

/// Rewrites the layers of a graph of ours; whatever else it holds, and a layer whose weights are not what a layer's are, stays.
pub(super) fn quantize(mut graph: GraphProto) -> GraphProto {
    let mut pass = Pass::default();
    let constants: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|constant| (constant.name.as_str(), constant)).collect();
    for node in mem::take(&mut graph.node) {
        match Layer::of(&node, &constants) {
            Some(layer) => pass.layer(&node, &layer),
            None => pass.nodes.push(node),
        }
    }
    drop(constants);
    graph.initializer.append(&mut pass.constants);
    let read: HashSet<&str> = pass.nodes.iter().flat_map(|node| &node.input).map(String::as_str).collect();
    let unread = |constant: &TensorProto| !read.contains(constant.name.as_str()) && !constant_is_output(&graph.output, constant);
    let (_, kept) = mem::take(&mut graph.initializer).into_iter().partition(unread);
    graph.initializer = kept;
    graph.node = pass.nodes;
    graph
}

fn constant_is_output(outputs: &[super::onnx::ValueInfoProto], constant: &TensorProto) -> bool {
    outputs.iter().any(|output| output.name == constant.name)
}

/// A layer's weights, `[in, out]`.
struct Layer<'a> {
    weight: &'a TensorProto,
    columns: usize,
}

impl<'a> Layer<'a> {
    /// The node as a layer, if it is one: a product of a transformer layer's rows with finite constants.
    fn of(node: &NodeProto, constants: &HashMap<&str, &'a TensorProto>) -> Option<Self> {
        let is_product = matches!((node.op_type.as_str(), node.input.len()), ("MatMul", 2) | ("Gemm", 2 | 3));
        let plain = node.domain.is_empty() && node.attribute.is_empty() && node.output.len() == 1;
        if !(is_product && plain && is_of_a_layer(&node.name)) {
            return None;
        }
        let weight = *constants.get(node.input[1].as_str())?;
        let &[rows, columns] = weight.dims.as_slice() else { return None };
        let (rows, columns) = (usize::try_from(rows).ok()?, usize::try_from(columns).ok()?);
        let bytes = rows.checked_mul(columns)?.checked_mul(size_of::<f32>())?;
        let fits = bytes > 0 && weight.data_type == element::F32 && weight.raw_data.as_ref()?.len() == bytes;
        (fits && floats(weight).all(f32::is_finite)).then_some(Self { weight, columns })
    }

    /// Q row by row, and s.
    fn quantized(&self) -> (Vec<u8>, Vec<f32>) {
        let mut scales = vec![0.0_f32; self.columns];
        for (index, weight) in floats(self.weight).enumerate() {
            let most = &mut scales[index % self.columns];
            *most = most.max(weight.abs());
        }
        for scale in &mut scales {
            *scale /= MOST;
            // A column of zeros, or of numbers so small that their scale is no number to divide by.
            if !scale.is_normal() {
                *scale = 1.0;
            }
        }
        let quantized = floats(self.weight).enumerate().map(|(index, weight)| {
            let steps = (weight / scales[index % self.columns]).round_ties_even().clamp(-MOST, MOST);
            #[expect(clippy::cast_possible_truncation, reason = "a whole number in -127..=127")]
            let steps = steps as i8;
            steps.cast_unsigned()
        });
        (quantized.collect(), scales)
    }
}

/// Whether the builder made it in the scope of a transformer's layer: `layer7/…`.
fn is_of_a_layer(name: &str) -> bool {
    let number = name.strip_prefix("layer").and_then(|rest| rest.split_once('/')).map(|(number, _)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn floats(tensor: &TensorProto) -> impl Iterator<Item = f32> {
    tensor.raw_data.as_deref().unwrap_or_default().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
}

/// What is written.
#[derive(Default)]
struct Pass {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Names of all constants written.
    known: HashSet<String>,
    /// Rows that are quantised already: query, key and value read the same.
    rows: HashMap<String, Rows>,
}

/// Quantised rows.
#[derive(Clone)]
struct Rows {
    /// q, `u8[R, in]`.
    values: String,
    /// a, `f32[R, 1]`.
    scales: String,
    coding: Coding,
}

impl Pass {
    /// The layer in integers, its result under the name that it had.
    fn layer(&mut self, node: &NodeProto, layer: &Layer) {
        let Rows { values, scales, coding } = self.rows(&node.input[0]);
        let name = &layer.weight.name;
        let (weight, weight_scales) = (format!("{name}.i8"), format!("{name}.scale"));
        if !self.known.contains(&weight) {
            let (quantized, columns) = layer.quantized();
            self.constant(&weight, element::I8, layer.weight.dims.clone(), || quantized);
            self.constant(&weight_scales, element::F32, vec![layer.weight.dims[1]], || bytes(&columns));
        }
        let one = self.float("int8.one", 1.0);
        let zero = self.zero(coding);
        let output = &node.output[0];
        let product = format!("{output}.columns");
        self.push("MatMulIntegerToFloat", &product, &[&values, &weight, &one, &weight_scales, &zero], Vec::new());
        match node.input.get(2) {
            None => self.push("Mul", output, &[&product, &scales], Vec::new()),
            Some(bias) => {
                let scaled = format!("{output}.rows");
                self.push("Mul", &scaled, &[&product, &scales], Vec::new());
                self.push("Add", output, &[&scaled, bias], Vec::new());
            }
        }
    }

    /// Quantises rows, once for all layers that read them.
    fn rows(&mut self, x: &str) -> Rows {
        if let Some(known) = self.rows.get(x) {
            return known.clone();
        }
        let coding = Coding::of(x);
        let name = |part: &str| format!("{x}.{part}");
        let magnitude = match coding {
            Coding::Activation => x.to_owned(),
            Coding::Even => {
                self.push("Abs", &name("magnitude"), &[x], Vec::new());
                name("magnitude")
            }
        };
        let over_columns = vec![ints("axes", &[-1]), int("keepdims", 1)];
        self.push("ReduceMax", &name("most"), &[&magnitude], over_columns);
        let step = self.float(&format!("int8.{}.step", coding.name()), coding.steps().recip());
        self.push("Mul", &name("step"), &[&name("most"), &step], Vec::new());
        let floor = self.float(&format!("int8.{}.floor", coding.name()), coding.floor());
        self.push("Max", &name("scales"), &[&name("step"), &floor], Vec::new());

        let last = self.constant("int8.last", element::I64, vec![1], || (-1_i64).to_le_bytes().to_vec());
        self.push("Squeeze", &name("scale_list"), &[&name("scales"), &last], Vec::new());
        self.push("Shape", &name("count"), &[&name("scale_list")], Vec::new());
        let zero = self.zero(coding);
        self.push("Expand", &name("zeros"), &[&zero, &name("count")], Vec::new());
        self.push("QuantizeLinear", &name("u8"), &[x, &name("scale_list"), &name("zeros")], vec![int("axis", 0)]);
        let rows = Rows { values: name("u8"), scales: name("scales"), coding };
        self.rows.insert(x.to_owned(), rows.clone());
        rows
    }

    fn zero(&mut self, coding: Coding) -> String {
        self.constant(&format!("int8.{}.zero", coding.name()), element::U8, Vec::new(), || vec![coding.zero()])
    }

    fn float(&mut self, name: &str, value: f32) -> String {
        self.constant(name, element::F32, Vec::new(), || bytes(&[value]))
    }

    /// Writes a constant, unless it is there.
    fn constant(&mut self, name: &str, data_type: i32, dims: Vec<i64>, raw: impl FnOnce() -> Vec<u8>) -> String {
        if self.known.insert(name.to_owned()) {
            let constant = TensorProto { dims, data_type, name: name.to_owned(), raw_data: Some(raw()), ..TensorProto::default() };
            self.constants.push(constant);
        }
        name.to_owned()
    }

    fn push(&mut self, op: &str, output: &str, inputs: &[&str], attribute: Vec<AttributeProto>) {
        let domain = if op == "MatMulIntegerToFloat" { RUNTIME_DOMAIN.0 } else { "" };
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: op.to_owned(),
            attribute,
            domain: domain.to_owned(),
        });
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: element::F32,
            name: name.to_owned(),
            raw_data: Some(bytes(values)),
            ..TensorProto::default()
        }
    }

    fn node(op: &str, name: &str, inputs: &[&str]) -> NodeProto {
        let input = inputs.iter().map(|input| (*input).to_owned()).collect();
        NodeProto { input, output: vec![name.to_owned()], name: name.to_owned(), op_type: op.to_owned(), ..NodeProto::default() }
    }

    fn operators(graph: &GraphProto) -> Vec<&str> {
        graph.node.iter().map(|node| node.op_type.as_str()).collect()
    }

    #[test]
    fn a_weight_is_off_by_half_a_step_of_its_column_at_most() {
        let weight = tensor("w", &[3, 2], &[1.0, -1e-3, -0.5, 2e-3, 0.004, 0.0]);
        let (quantized, scales) = Layer { weight: &weight, columns: 2 }.quantized();
        assert_eq!(scales, [1.0 / 127.0, 2e-3 / 127.0]);
        for (index, (steps, wanted)) in quantized.iter().zip(floats(&weight)).enumerate() {
            let scale = scales[index % 2];
            assert!((f32::from(steps.cast_signed()) * scale - wanted).abs() <= scale * 0.5001, "{index}");
        }
        assert_eq!(quantized[0].cast_signed(), 127);
    }

    #[test]
    fn columns_of_zeros_and_of_numbers_next_to_none_stay_finite() {
        let weight = tensor("w", &[2, 3], &[0.0, 1e-40, f32::MAX, 0.0, -1e-44, -f32::MAX]);
        let (quantized, scales) = Layer { weight: &weight, columns: 3 }.quantized();
        assert_eq!(scales[..2], [1.0, 1.0]);
        let signed: Vec<i8> = quantized.iter().map(|byte| byte.cast_signed()).collect();
        assert_eq!(signed, [0, 0, 127, 0, 0, -127]);
    }

    #[test]
    fn layers_that_share_rows_or_weights_share_what_is_made_of_them() {
        let graph = GraphProto {
            node: vec![
                node("MatMul", "layer0/query", &["x", "w"]),
                node("Gemm", "layer0/key", &["x", "w", "b"]),
                node("Gather", "row", &["w2", "index"]),
                node("MatMul", "layer10/other", &["y", "w2"]),
            ],
            initializer: vec![tensor("w", &[1, 1], &[1.0]), tensor("w2", &[1, 1], &[1.0]), tensor("b", &[1], &[1.0])],
            ..GraphProto::default()
        };
        let quantized = quantize(graph);
        let of = |op: &str| operators(&quantized).iter().filter(|operator| **operator == op).count();
        assert_eq!((of("QuantizeLinear"), of("MatMulIntegerToFloat"), of("MatMul"), of("Gemm"), of("Add")), (2, 3, 0, 0, 1));
        let names: Vec<&str> = quantized.initializer.iter().map(|constant| constant.name.as_str()).collect();
        assert!(!names.contains(&"w") && names.contains(&"w2") && names.contains(&"b"), "read by others or not at all: {names:?}");
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), names.len(), "{names:?}");
    }

    #[test]
    fn whatever_is_no_layer_stays() {
        let weights = || {
            let mut external = tensor("external", &[1, 1], &[1.0]);
            external.raw_data = None;
            vec![
                tensor("w", &[1, 1], &[1.0]),
                tensor("deep", &[1, 1, 1], &[1.0]),
                tensor("short", &[2, 2], &[1.0]),
                tensor("negative", &[-1, -1], &[1.0]),
                tensor("huge", &[i64::MAX, i64::MAX], &[1.0]),
                tensor("none", &[0, 4], &[]),
                tensor("nan", &[1, 1], &[f32::NAN]),
                external,
            ]
        };
        let transposed = NodeProto { attribute: vec![int("transB", 1)], ..node("Gemm", "layer0/transposed", &["x", "w", "w"]) };
        let mut nodes: Vec<NodeProto> = ["deep", "short", "negative", "huge", "none", "nan", "external", "nowhere"]
            .iter()
            .map(|weight| node("MatMul", &format!("layer0/{weight}"), &["x", weight]))
            .collect();
        nodes.extend(["layer/a", "layer0", "layerx/a", "target/layer0/a", "embedding"].map(|name| node("MatMul", name, &["x", "w"])));
        nodes.extend([
            transposed,
            node("MatMul", "layer0/one", &["x"]),
            node("Conv", "layer0/conv", &["x", "w"]),
            node("Gemm", "layer0/none", &[]),
        ]);
        let graph = GraphProto { node: nodes.clone(), initializer: weights(), ..GraphProto::default() };
        assert_eq!(quantize(graph).node, nodes);
        assert_eq!(quantize(GraphProto::default()), GraphProto::default());
    }
}
