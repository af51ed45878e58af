//! A golden case as it lies on disk, its graphs, what it feeds in, and comparing with what it expects.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    ops::{Deref, Range},
    path::{Path, PathBuf},
};

use ndarray::{Array, Array1, Array2, Array4, ArrayD, ArrayRef, Axis, Dimension, Ix3, IxDyn, Slice, stack};
use safetensors::{Dtype, SafeTensors};
use uniood::{
    combiner::Combiner,
    engine::{Device, Outputs, Session},
    graph::{ImageGraph, Model, TextGraph},
    models::{ClipConfig, Weights},
};

use crate::common::golden_dir;

/// The cases with a CLIP.
pub(crate) const CLIP_CASES: [&str; 4] = ["quick_gelu_g7", "paper_form_g6", "gelu_g4_half_eos2_templates", "no_cnn_g4_wide"];

/// One case: its folder, class list, templates, and everything it expects.
pub(crate) struct GoldenCase {
    pub(crate) dir: PathBuf,
    pub(crate) classes: Vec<String>,
    pub(crate) templates: Vec<String>,
    pub(crate) objects: usize,
    expected: Expected,
}

/// Tensors that an oracle wrote down.
pub(crate) struct Expected {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl GoldenCase {
    pub(crate) fn open(name: &str) -> Self {
        let dir = golden_dir().join(name);
        let case: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("case.json")).unwrap()).unwrap();
        let strings = |key: &str| serde_json::from_value::<Vec<String>>(case[key].clone()).unwrap();
        Self {
            classes: strings("classes"),
            templates: strings("templates"),
            objects: case["boxes_xywh"].as_array().unwrap().len(),
            expected: Expected::open(&dir.join("expected.safetensors")),
            dir,
        }
    }

    pub(crate) fn clip_dir(&self) -> PathBuf {
        self.dir.join("clip")
    }

    pub(crate) fn combiner(&self) -> PathBuf {
        self.dir.join("combiner.safetensors")
    }

    pub(crate) fn config(&self) -> ClipConfig {
        ClipConfig::open(&self.clip_dir()).unwrap()
    }

    pub(crate) fn weights(&self) -> Weights {
        Weights::open_folder(&self.clip_dir()).unwrap()
    }

    pub(crate) fn image_graph(&self, with_combiner: bool, betas: bool) -> Model {
        let (config, weights) = (self.config(), self.weights());
        let combiner = Combiner::open(&self.combiner(), &config).unwrap();
        let combiner = with_combiner.then_some(&combiner);
        ImageGraph { name: "golden", clip: &config, weights: &weights, combiner, betas }.build().unwrap()
    }

    pub(crate) fn text_graph(&self) -> Model {
        TextGraph { name: "golden", clip: &self.config(), weights: &self.weights() }.build().unwrap()
    }

    /// The first `count` objects' images of a side, `target` or `background`, `[O, S, S, 3]`.
    pub(crate) fn images(&self, side: &str, count: usize) -> Array4<u8> {
        let images: Vec<_> = (0..count).map(|object| self.pixels::<Ix3>(&format!("object{object}.{side}_u8"))).collect();
        stack(Axis(0), &images.iter().map(|image| image.view()).collect::<Vec<_>>()).unwrap()
    }
}

impl Deref for GoldenCase {
    type Target = Expected;

    fn deref(&self) -> &Expected {
        &self.expected
    }
}

/// A graph as ONNX Runtime runs it, with one thread.
pub(crate) fn session(model: &Model) -> Session {
    Session::from_bytes("encode", Path::new("built graph"), &model.to_bytes().unwrap(), &Device::Cpu, Some(1)).unwrap()
}

/// What a case feeds in, and the texts it expects; all objects in one batch.
pub(crate) struct Inputs {
    pub(crate) target: Array4<u8>,
    pub(crate) background: Array4<u8>,
    pub(crate) text: Array2<f32>,
    pub(crate) context_text: Array2<f32>,
}

impl Inputs {
    pub(crate) fn of(case: &GoldenCase) -> Self {
        let texts = |name: &str| case.floats(name).into_dimensionality().unwrap();
        Self {
            target: case.images("target", case.objects),
            background: case.images("background", case.objects),
            text: texts("text_embedding"),
            context_text: texts("context_text"),
        }
    }

    /// Some of the objects.
    pub(crate) fn some(&self, objects: Range<usize>) -> Self {
        let objects = Slice::from(objects);
        let some = |images: &Array4<u8>| images.slice_axis(Axis(0), objects).to_owned();
        Self {
            target: some(&self.target),
            background: some(&self.background),
            text: self.text.clone(),
            context_text: self.context_text.clone(),
        }
    }

    /// What an image graph says of them and the first `classes` classes.
    pub(crate) fn run(&self, session: &mut Session, has_context: impl Fn(usize) -> f32, classes: usize) -> Outputs {
        let has_context = Array1::from_shape_fn(self.target.dim().0, has_context);
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

impl Expected {
    pub(crate) fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), bytes: std::fs::read(path).unwrap() }
    }

    /// Names of all tensors.
    pub(crate) fn names(&self) -> Vec<String> {
        SafeTensors::deserialize(&self.bytes).unwrap().names().into_iter().map(str::to_owned).collect()
    }

    /// An expected f32 tensor.
    pub(crate) fn floats(&self, name: &str) -> ArrayD<f32> {
        let (shape, bytes) = self.bytes(name, Dtype::F32);
        ArrayD::from_shape_vec(shape, bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()).unwrap()
    }

    /// An expected i64 tensor.
    pub(crate) fn integers(&self, name: &str) -> ArrayD<i64> {
        let (shape, bytes) = self.bytes(name, Dtype::I64);
        ArrayD::from_shape_vec(shape, bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()).unwrap()
    }

    /// Pixels that were fed in: `[S, S, 3]` for `object0.target_u8`.
    pub(crate) fn pixels<D: Dimension>(&self, name: &str) -> Array<u8, D> {
        let (shape, bytes) = self.bytes(name, Dtype::U8);
        ArrayD::from_shape_vec(shape, bytes).unwrap().into_dimensionality().unwrap()
    }

    fn bytes(&self, name: &str, dtype: Dtype) -> (IxDyn, Vec<u8>) {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap_or_else(|error| panic!("{}: {name}: {error}", self.path.display()));
        assert_eq!(tensor.dtype(), dtype, "{name}");
        (IxDyn(tensor.shape()), tensor.data().to_vec())
    }

    /// Asserts that every element is within `tolerance` of what is expected; gives the largest difference.
    #[track_caller]
    pub(crate) fn check<D: Dimension>(&self, name: &str, found: &ArrayRef<f32, D>, tolerance: f32) -> f32 {
        let expected = self.floats(name);
        assert_eq!(found.shape(), expected.shape(), "{}: {name}", self.path.display());
        let difference = furthest(found, &expected);
        assert!(difference <= tolerance, "{}: {name} is off by {difference}", self.path.display());
        difference
    }
}

/// The largest difference between arrays of one shape; NaN where there is one.
#[track_caller]
pub(crate) fn furthest<D: Dimension, E: Dimension>(found: &ArrayRef<f32, D>, wanted: &ArrayRef<f32, E>) -> f32 {
    assert_eq!(found.shape(), wanted.shape());
    found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, |most: f32, d| if d > most || d.is_nan() { d } else { most })
}
