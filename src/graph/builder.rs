//! Adds nodes to a graph: each method writes one operation and gives the name of its result.

use std::{
    collections::HashMap,
    fmt::{Display, Write as _},
};

use ndarray::{ArrayRef, Dimension as Sides};

use super::onnx::{
    AttributeProto, Dimension, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto, element,
};

/// The name of a tensor in the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value(String);

/// A side of an input or output.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    /// Dynamic, by name.
    Any(&'static str),
    /// Fixed.
    Is(usize),
}

/// A graph under construction.
#[derive(Debug)]
pub(super) struct Builder {
    graph: GraphProto,
    scope: String,
    names: HashMap<String, usize>,
    integers: HashMap<Vec<i64>, Value>,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        let graph = GraphProto { name: name.to_owned(), ..GraphProto::default() };
        Self { graph, scope: String::new(), names: HashMap::new(), integers: HashMap::new() }
    }

    pub(super) fn finish(self) -> GraphProto {
        self.graph
    }

    /// Whatever `work` adds is named `scope/…`.
    pub(super) fn scoped<T>(&mut self, scope: impl Display, work: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.scope.len();
        write!(self.scope, "{scope}/").expect("a String takes whatever is written");
        let result = work(self);
        self.scope.truncate(outer);
        result
    }

    pub(super) fn input(&mut self, name: &str, element: i32, sides: &[Side]) -> Value {
        self.names.insert(name.to_owned(), 1);
        self.graph.input.push(port(name, element, sides));
        Value(name.to_owned())
    }

    /// Makes `value` the output `name`, f32.
    pub(super) fn output(&mut self, name: &str, value: &Value, sides: &[Side]) {
        self.node("Identity", name.to_owned(), &[value], Vec::new());
        self.graph.output.push(port(name, element::F32, sides));
    }

    /// A constant of floats.
    pub(super) fn floats<D: Sides>(&mut self, label: &str, values: &ArrayRef<f32, D>) -> Value {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(label, element::F32, values.shape(), raw)
    }

    /// A constant of one float that broadcasts with anything.
    pub(super) fn float(&mut self, label: &str, value: f32) -> Value {
        self.constant(label, element::F32, &[], value.to_le_bytes().to_vec())
    }

    /// A constant list of integers; equal lists are written once.
    pub(super) fn integers(&mut self, values: &[i64]) -> Value {
        if let Some(known) = self.integers.get(values) {
            return known.clone();
        }
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let scope = std::mem::take(&mut self.scope);
        let value = self.constant("integers", element::I64, &[values.len()], raw);
        self.scope = scope;
        self.integers.insert(values.to_vec(), value.clone());
        value
    }

    /// A constant table of indices.
    pub(super) fn indices(&mut self, label: &str, rows: usize, values: &[i64]) -> Value {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(label, element::I64, &[rows, values.len() / rows.max(1)], raw)
    }

    fn constant(&mut self, label: &str, data_type: i32, shape: &[usize], raw: Vec<u8>) -> Value {
        let name = self.unique(label);
        let dims = shape.iter().map(|side| signed(*side)).collect();
        self.graph.initializer.push(TensorProto { dims, data_type, name: name.clone(), raw_data: Some(raw), ..TensorProto::default() });
        Value(name)
    }

    pub(super) fn matmul(&mut self, label: &str, a: &Value, b: &Value) -> Value {
        self.op("MatMul", label, &[a, b], Vec::new())
    }

    /// `x·w + bias` of rows `[R, in]`.
    pub(super) fn gemm(&mut self, label: &str, x: &Value, weight: &Value, bias: &Value) -> Value {
        self.op("Gemm", label, &[x, weight, bias], Vec::new())
    }

    pub(super) fn add(&mut self, label: &str, a: &Value, b: &Value) -> Value {
        self.op("Add", label, &[a, b], Vec::new())
    }

    pub(super) fn sub(&mut self, label: &str, a: &Value, b: &Value) -> Value {
        self.op("Sub", label, &[a, b], Vec::new())
    }

    pub(super) fn mul(&mut self, label: &str, a: &Value, b: &Value) -> Value {
        self.op("Mul", label, &[a, b], Vec::new())
    }

    pub(super) fn div(&mut self, label: &str, a: &Value, b: &Value) -> Value {
        self.op("Div", label, &[a, b], Vec::new())
    }

    pub(super) fn max(&mut self, label: &str, a: &Value, b: &Value) -> Value {
        self.op("Max", label, &[a, b], Vec::new())
    }

    pub(super) fn sigmoid(&mut self, label: &str, x: &Value) -> Value {
        self.op("Sigmoid", label, &[x], Vec::new())
    }

    pub(super) fn erf(&mut self, label: &str, x: &Value) -> Value {
        self.op("Erf", label, &[x], Vec::new())
    }

    pub(super) fn relu(&mut self, label: &str, x: &Value) -> Value {
        self.op("Relu", label, &[x], Vec::new())
    }

    /// `x` above 0, `exp(x) − 1` below.
    pub(super) fn elu(&mut self, label: &str, x: &Value) -> Value {
        self.op("Elu", label, &[x], Vec::new())
    }

    /// Over the last side.
    pub(super) fn softmax(&mut self, label: &str, x: &Value) -> Value {
        self.op("Softmax", label, &[x], vec![int("axis", -1)])
    }

    /// Over the last side.
    pub(super) fn layer_norm(&mut self, label: &str, x: &Value, weight: &Value, bias: &Value, epsilon: f32) -> Value {
        self.op("LayerNormalization", label, &[x, weight, bias], vec![int("axis", -1), float("epsilon", epsilon)])
    }

    pub(super) fn cast_to_f32(&mut self, label: &str, x: &Value) -> Value {
        self.op("Cast", label, &[x], vec![int("to", i64::from(element::F32))])
    }

    /// In `shape`, 0 keeps a side and −1 is what is left.
    pub(super) fn reshape(&mut self, label: &str, x: &Value, shape: &[i64]) -> Value {
        let shape = self.integers(shape);
        self.reshape_to(label, x, &shape)
    }

    pub(super) fn reshape_to(&mut self, label: &str, x: &Value, shape: &Value) -> Value {
        self.op("Reshape", label, &[x, shape], Vec::new())
    }

    pub(super) fn transpose(&mut self, label: &str, x: &Value, order: &[i64]) -> Value {
        self.op("Transpose", label, &[x], vec![ints("perm", order)])
    }

    pub(super) fn squeeze(&mut self, label: &str, x: &Value, axes: &[i64]) -> Value {
        let axes = self.integers(axes);
        self.op("Squeeze", label, &[x, &axes], Vec::new())
    }

    pub(super) fn unsqueeze(&mut self, label: &str, x: &Value, axes: &[i64]) -> Value {
        let axes = self.integers(axes);
        self.op("Unsqueeze", label, &[x, &axes], Vec::new())
    }

    pub(super) fn concat(&mut self, label: &str, axis: i64, parts: &[&Value]) -> Value {
        self.op("Concat", label, parts, vec![int("axis", axis)])
    }

    /// The part `index..index + 1` of a side, which stays with length 1.
    pub(super) fn part(&mut self, label: &str, x: &Value, axis: i64, index: i64) -> Value {
        self.slice(label, x, axis, index, index + 1)
    }

    /// The part `start..end` of a side.
    pub(super) fn slice(&mut self, label: &str, x: &Value, axis: i64, start: i64, end: i64) -> Value {
        let end = self.integers(&[end]);
        self.slice_to(label, x, axis, start, &end)
    }

    /// The part from `start` to an end that the graph computes.
    pub(super) fn slice_to(&mut self, label: &str, x: &Value, axis: i64, start: i64, end: &Value) -> Value {
        let (start, axis) = (self.integers(&[start]), self.integers(&[axis]));
        self.op("Slice", label, &[x, &start, end, &axis], Vec::new())
    }

    /// Length of a side, as a list of one integer.
    pub(super) fn length(&mut self, label: &str, x: &Value, axis: i64) -> Value {
        let shape = self.op("Shape", label, &[x], Vec::new());
        self.part(label, &shape, 0, axis)
    }

    pub(super) fn gather(&mut self, label: &str, x: &Value, axis: i64, indices: &Value) -> Value {
        self.op("Gather", label, &[x, indices], vec![int("axis", axis)])
    }

    pub(super) fn gather_elements(&mut self, label: &str, x: &Value, axis: i64, indices: &Value) -> Value {
        self.op("GatherElements", label, &[x, indices], vec![int("axis", axis)])
    }

    /// Where the `count` (a list of one integer) largest values of the last side are, the largest first; of equal ones the first.
    pub(super) fn largest(&mut self, label: &str, x: &Value, count: &Value) -> Value {
        let values = self.unique(&format!("{label}.values"));
        let positions = self.unique(label);
        let input = vec![x.0.clone(), count.0.clone()];
        let output = vec![values, positions.clone()];
        let attribute = vec![int("axis", -1)];
        let node = NodeProto { input, output, name: positions.clone(), op_type: "TopK".to_owned(), attribute, ..NodeProto::default() };
        self.graph.node.push(node);
        Value(positions)
    }

    /// One float where nothing else is said, `updates` at `indices` of the last side; of the shape of `like`, two-sided.
    pub(super) fn scatter(&mut self, label: &str, like: &Value, rest: f32, indices: &Value, updates: &Value) -> Value {
        let rest = self.float(&format!("{label}.rest"), rest);
        let shape = self.op("Shape", &format!("{label}.shape"), &[like], Vec::new());
        let filled = self.op("Expand", &format!("{label}.filled"), &[&rest, &shape], Vec::new());
        self.op("ScatterElements", label, &[&filled, indices, updates], vec![int("axis", 1)])
    }

    pub(super) fn expand(&mut self, label: &str, x: &Value, shape: &[i64]) -> Value {
        let shape = self.integers(shape);
        self.op("Expand", label, &[x, &shape], Vec::new())
    }

    /// Zeros around: first all starts, then all ends.
    pub(super) fn pad(&mut self, label: &str, x: &Value, pads: &[i64]) -> Value {
        let pads = self.integers(pads);
        self.op("Pad", label, &[x, &pads], Vec::new())
    }

    pub(super) fn reduce_mean(&mut self, label: &str, x: &Value, axes: &[i64]) -> Value {
        self.op("ReduceMean", label, &[x], vec![ints("axes", axes), int("keepdims", 0)])
    }

    /// Over the last side.
    pub(super) fn reduce_sum(&mut self, label: &str, x: &Value) -> Value {
        let axes = self.integers(&[-1]);
        self.op("ReduceSum", label, &[x, &axes], vec![int("keepdims", 0)])
    }

    /// Euclidean length over the last side, which stays with length 1.
    pub(super) fn norm(&mut self, label: &str, x: &Value) -> Value {
        self.op("ReduceL2", label, &[x], vec![ints("axes", &[-1]), int("keepdims", 1)])
    }

    /// A 3×3 convolution with zero padding 1.
    pub(super) fn conv3x3(&mut self, label: &str, x: &Value, weight: &Value, bias: &Value, stride: i64) -> Value {
        let attributes = vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1]), ints("strides", &[stride, stride])];
        self.op("Conv", label, &[x, weight, bias], attributes)
    }

    fn op(&mut self, op: &str, label: &str, inputs: &[&Value], attributes: Vec<AttributeProto>) -> Value {
        let name = self.unique(label);
        self.node(op, name, inputs, attributes)
    }

    fn node(&mut self, op: &str, name: String, inputs: &[&Value], attribute: Vec<AttributeProto>) -> Value {
        let input = inputs.iter().map(|value| value.0.clone()).collect();
        let node =
            NodeProto { input, output: vec![name.clone()], name: name.clone(), op_type: op.to_owned(), attribute, ..NodeProto::default() };
        self.graph.node.push(node);
        Value(name)
    }

    fn unique(&mut self, label: &str) -> String {
        let name = format!("{}{label}", self.scope);
        let uses = self.names.entry(name.clone()).or_default();
        *uses += 1;
        if *uses == 1 { name } else { format!("{name}#{uses}") }
    }
}

/// A size as ONNX counts.
pub(super) fn signed(size: usize) -> i64 {
    i64::try_from(size).expect("sizes of tensors in memory fit 63 bits")
}

fn port(name: &str, elem_type: i32, sides: &[Side]) -> ValueInfoProto {
    let dim = sides
        .iter()
        .map(|side| match side {
            Side::Any(name) => Dimension::Name((*name).to_owned()),
            Side::Is(size) => Dimension::Size(signed(*size)),
        })
        .map(|value| DimensionProto { value: Some(value) })
        .collect();
    let tensor_type = TensorTypeProto { elem_type, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i: Some(value), r#type: 2, ..AttributeProto::default() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: Some(value), r#type: 1, ..AttributeProto::default() }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.to_owned(), ints: values.to_vec(), r#type: 7, ..AttributeProto::default() }
}
