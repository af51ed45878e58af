//! `combiner.safetensors`: `{target,background}.{[conv1,conv2,conv3,]mlp1[,mlp2]}.{weight,bias}`, f32 or f16,
//! metadata `form`. Every name and shape is checked: what was not asked for would be silently unused.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use ndarray::ArrayRefD;
use safetensors::{Dtype, serialize, tensor::TensorView};

use super::{Branch, Combiner, Conv, Form, Linear};
use crate::{
    Error, Result,
    models::{ClipConfig, Weights},
};

impl Combiner {
    /// Reads a combiner for the CLIP it was trained on.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, [`Error::Content`] where it is no safetensors, and
    /// [`Error::ModelSet`] for an unknown form, a missing tensor, one too many, or a shape that does not fit.
    pub fn open(path: &Path, clip: &ClipConfig) -> Result<Self> {
        Self::from_weights(&Weights::open(path)?, clip)
    }

    /// As [`Combiner::open`], from tensors that were read already.
    ///
    /// # Errors
    /// As [`Combiner::open`].
    pub fn from_weights(weights: &Weights, clip: &ClipConfig) -> Result<Self> {
        let form = match weights.metadata("form") {
            None => Form::default(),
            Some("residual") => Form::Residual,
            Some("paper") => Form::Paper,
            Some(other) => {
                return Err(Error::model_set(weights.path(), "form", format!("`{other}`"), "`paper` or `residual` in the file's metadata"));
            }
        };
        let widths = Widths::read(weights, form, clip)?;
        let mut known = BTreeSet::new();
        let combiner = Self {
            form,
            target: widths.branch(weights, "target", &mut known)?,
            background: widths.branch(weights, "background", &mut known)?,
        };
        match weights.names().find(|name| !known.contains(*name)) {
            None => Ok(combiner),
            Some(extra) => Err(Error::model_set(
                weights.path(),
                extra,
                "a tensor too many",
                format!(
                    "only those of a combiner of form `{}` {} convolutions",
                    form.as_str(),
                    if widths.k.is_some() { "with" } else { "without" }
                ),
            )),
        }
    }
}

impl Combiner {
    /// The file's content, f32, as [`Combiner::open`] reads it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut tensors = Vec::new();
        for (name, branch) in [("target", &self.target), ("background", &self.background)] {
            let mut add = |layer: &str, weight: &ArrayRefD<f32>, bias: &ArrayRefD<f32>| {
                for (part, array) in [("weight", weight), ("bias", bias)] {
                    let bytes: Vec<u8> = array.iter().flat_map(|value| value.to_le_bytes()).collect();
                    tensors.push((format!("{name}.{layer}.{part}"), array.shape().to_vec(), bytes));
                }
            };
            for (index, conv) in branch.conv.iter().flatten().enumerate() {
                add(&format!("conv{}", index + 1), &conv.weight.view().into_dyn(), &conv.bias.view().into_dyn());
            }
            for (layer, linear) in [("mlp1", Some(&branch.mlp1)), ("mlp2", branch.mlp2.as_ref())] {
                if let Some(linear) = linear {
                    add(layer, &linear.weight.view().into_dyn(), &linear.bias.view().into_dyn());
                }
            }
        }
        let views = tensors.iter().map(|(name, shape, bytes)| {
            (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("four bytes for each number of the shape"))
        });
        let metadata = HashMap::from([("form".to_owned(), self.form.as_str().to_owned())]);
        serialize(views, Some(metadata)).expect("names are distinct and sizes fit")
    }
}

/// What the tensors' shapes are made of; both branches have the same.
struct Widths {
    /// Of the image tower.
    d: usize,
    /// Of the convolutions, where there are some.
    k: Option<usize>,
    /// Of mlp1's output.
    m: usize,
    /// Whether there is a second layer.
    mlp2: bool,
}

impl Widths {
    fn read(weights: &Weights, form: Form, clip: &ClipConfig) -> Result<Self> {
        let d = clip.vision.hidden_size;
        let with_conv = weights.names().any(|name| name.contains(".conv"));
        let k = if with_conv { Some(outputs(weights, "target.conv1.weight")?) } else { None };
        let m = match form {
            Form::Paper => d,
            Form::Residual => outputs(weights, "target.mlp1.weight")?,
        };
        Ok(Self { d, k, m, mlp2: form == Form::Residual })
    }

    fn branch(&self, weights: &Weights, branch: &str, known: &mut BTreeSet<String>) -> Result<Branch> {
        let mut names = |layer: &str| {
            let names = [format!("{branch}.{layer}.weight"), format!("{branch}.{layer}.bias")];
            known.extend(names.clone());
            names
        };
        let mut conv = |layer: &str, inputs: usize, outputs: usize| -> Result<Conv> {
            let [weight, bias] = names(layer);
            Ok(Conv { weight: weights.array(&weight, (outputs, inputs, 3, 3))?, bias: weights.array(&bias, outputs)? })
        };
        let conv = match self.k {
            Some(k) => Some([conv("conv1", self.d, k)?, conv("conv2", k, k)?, conv("conv3", k, k)?]),
            None => None,
        };
        let mut linear = |layer: &str, inputs: usize, outputs: usize| -> Result<Linear> {
            let [weight, bias] = names(layer);
            Ok(Linear { weight: weights.array(&weight, (outputs, inputs))?, bias: weights.array(&bias, outputs)? })
        };
        Ok(Branch {
            conv,
            mlp1: linear("mlp1", self.d + self.k.unwrap_or(self.d), self.m)?,
            mlp2: if self.mlp2 { Some(linear("mlp2", self.m, self.d)?) } else { None },
        })
    }
}

/// The first dimension of a tensor: how many outputs its layer has.
fn outputs(weights: &Weights, name: &str) -> Result<usize> {
    match weights.shape(name) {
        None => Err(Error::model_set(weights.path(), name, "missing", "a tensor of that name")),
        Some(&[outputs, ..]) if outputs > 0 => Ok(outputs),
        Some(shape) => Err(Error::model_set(weights.path(), name, format!("{shape:?}"), "a layer with at least one output")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::serialize_to_file;
    use std::path::PathBuf;

    const CASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/quick_gelu_g7");

    fn clip() -> ClipConfig {
        ClipConfig::open(&Path::new(CASE).join("clip")).unwrap()
    }

    /// The golden combiner with some tensors left out or replaced by zeros of another shape.
    fn edited(form: Option<&str>, edits: &[(&str, Option<&[usize]>)]) -> (tempfile::TempDir, PathBuf) {
        let original = Weights::open(&Path::new(CASE).join("combiner.safetensors")).unwrap();
        let mut shapes: HashMap<String, Vec<usize>> =
            original.names().map(|name| (name.to_owned(), original.shape(name).unwrap().to_vec())).collect();
        for (name, shape) in edits {
            match shape {
                None => shapes.remove(*name).map(drop).unwrap(),
                Some(shape) => drop(shapes.insert((*name).to_owned(), shape.to_vec())),
            }
        }
        let bytes = vec![0u8; shapes.values().map(|shape| shape.iter().product::<usize>() * 4).max().unwrap()];
        let tensors = shapes.into_iter().map(|(name, shape)| {
            let length = shape.iter().product::<usize>() * 4;
            (name, TensorView::new(Dtype::F32, shape, &bytes[..length]).unwrap())
        });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("combiner.safetensors");
        let metadata = form.map(|form| HashMap::from([("form".to_owned(), form.to_owned())]));
        serialize_to_file(tensors, metadata, &path).unwrap();
        (dir, path)
    }

    #[track_caller]
    fn check_refused(form: Option<&str>, edits: &[(&str, Option<&[usize]>)], wanted: &[&str]) {
        let (_dir, path) = edited(form, edits);
        let error = Combiner::open(&path, &clip()).unwrap_err().to_string();
        assert!(wanted.iter().all(|word| error.contains(word)), "`{error}` lacks one of {wanted:?}");
    }

    #[test]
    fn a_file_without_the_key_is_residual() {
        let (_dir, path) = edited(None, &[]);
        assert_eq!(Combiner::open(&path, &clip()).unwrap().form, Form::Residual);
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for case in ["quick_gelu_g7", "paper_form_g6", "no_cnn_g4_wide"] {
            let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(case);
            let clip = ClipConfig::open(&case.join("clip")).unwrap();
            let combiner = Combiner::open(&case.join("combiner.safetensors"), &clip).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("combiner.safetensors");
            std::fs::write(&path, combiner.to_bytes()).unwrap();
            assert_eq!(Combiner::open(&path, &clip).unwrap(), combiner);
        }
    }

    #[test]
    fn an_unknown_form_is_refused() {
        check_refused(Some("deep"), &[], &["form", "`deep`", "`paper` or `residual`"]);
    }

    #[test]
    fn a_paper_form_with_a_second_layer_is_refused() {
        // With M = D its mlp1 fits, so that mlp2 alone is wrong.
        let k = Weights::open(&Path::new(CASE).join("combiner.safetensors")).unwrap().shape("target.conv1.weight").unwrap()[0];
        let d = clip().vision.hidden_size;
        let (shape, bias): (&[usize], &[usize]) = (&[d, d + k], &[d]);
        let edits: &[(&str, Option<&[usize]>)] = &[
            ("target.mlp1.weight", Some(shape)),
            ("target.mlp1.bias", Some(bias)),
            ("background.mlp1.weight", Some(shape)),
            ("background.mlp1.bias", Some(bias)),
        ];
        check_refused(Some("paper"), edits, &["mlp2", "too many", "`paper`"]);
    }

    #[test]
    fn missing_extra_and_misshapen_tensors_are_named() {
        check_refused(None, &[("background.mlp2.bias", None)], &["background.mlp2.bias", "missing"]);
        check_refused(None, &[("target.conv1.weight", None)], &["target.conv1.weight", "missing"]);
        check_refused(None, &[("target.conv4.weight", Some(&[1]))], &["target.conv4.weight", "too many"]);
        check_refused(None, &[("background.conv2.bias", Some(&[7]))], &["background.conv2.bias", "[7]"]);
        check_refused(None, &[("target.mlp1.weight", Some(&[]))], &["target.mlp1.weight", "[]"]);
        check_refused(None, &[("target.conv1.weight", Some(&[0, 48, 3, 3]))], &["target.conv1.weight", "at least one output"]);
    }

    #[test]
    fn a_combiner_of_another_clip_is_refused() {
        let mut clip = clip();
        clip.vision.hidden_size = 64;
        let error = Combiner::open(&Path::new(CASE).join("combiner.safetensors"), &clip).unwrap_err().to_string();
        assert!(error.contains("conv1.weight") && error.contains("64, 3, 3]"), "{error}");
    }

    #[test]
    fn a_missing_and_a_truncated_file_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("combiner.safetensors");
        assert!(matches!(Combiner::open(&path, &clip()), Err(Error::File { .. })));
        std::fs::write(&path, &std::fs::read(Path::new(CASE).join("combiner.safetensors")).unwrap()[..1000]).unwrap();
        assert!(matches!(Combiner::open(&path, &clip()), Err(Error::Content { .. })));
    }
}
