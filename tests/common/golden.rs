//! A golden case as it lies on disk, and comparing with what it expects.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
};

use ndarray::{Array, ArrayD, ArrayRef, Dimension, IxDyn};
use safetensors::{Dtype, SafeTensors};

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
        let dir = super::golden_dir().join(name);
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
}

impl Deref for GoldenCase {
    type Target = Expected;

    fn deref(&self) -> &Expected {
        &self.expected
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
        let difference =
            found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, |most: f32, d| if d > most || d.is_nan() { d } else { most });
        assert!(difference <= tolerance, "{}: {name} is off by {difference}", self.path.display());
        difference
    }
}
