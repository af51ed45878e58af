//! Tensors of a safetensors file, or of a sharded one with its index, as `f32` arrays.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use ndarray::{Array, ArrayD, Dimension, IxDyn};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::{Error, Result};

/// Named tensors, kept as the bytes of their files and widened to `f32` on demand.
#[derive(Debug)]
pub struct Weights {
    files: Vec<(PathBuf, Vec<u8>)>,
    tensors: BTreeMap<String, Slot>,
    metadata: HashMap<String, String>,
}

#[derive(Debug, Clone)]
struct Slot {
    file: usize,
    bytes: std::ops::Range<usize>,
    shape: Vec<usize>,
    dtype: Dtype,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// A CLIP folder's weights: `model.safetensors`, or the shards that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// [`Error::File`] where nothing is there, [`Error::Content`] where a file is truncated or no safetensors.
    pub fn open_folder(dir: &Path) -> Result<Self> {
        let single = dir.join("model.safetensors");
        let index = dir.join("model.safetensors.index.json");
        if single.exists() || !index.exists() {
            return Self::open(&single);
        }
        let text = fs::read_to_string(&index).map_err(Error::file("read", &index))?;
        let map: Index = serde_json::from_str(&text).map_err(|error| Error::content(&index, format!("not a shard index: {error}")))?;
        let shards: BTreeSet<&String> = map.weight_map.values().collect();
        let mut weights = Self { files: Vec::new(), tensors: BTreeMap::new(), metadata: HashMap::new() };
        for shard in shards {
            if shard.contains(['/', '\\']) || shard == ".." {
                return Err(Error::model_set(&index, "weight_map", format!("`{shard}`"), "file names beside the index"));
            }
            weights.add(&dir.join(shard))?;
        }
        if let Some(missing) = map.weight_map.keys().find(|name| !weights.tensors.contains_key(*name)) {
            return Err(Error::model_set(
                &index,
                missing.clone(),
                "in none of the shards",
                "in the shard the index names; fetch the shards again",
            ));
        }
        Ok(weights)
    }

    /// One safetensors file.
    ///
    /// # Errors
    /// As [`Weights::open_folder`].
    pub fn open(path: &Path) -> Result<Self> {
        let mut weights = Self { files: Vec::new(), tensors: BTreeMap::new(), metadata: HashMap::new() };
        weights.add(path)?;
        Ok(weights)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let bytes = fs::read(path).map_err(Error::file("read", path))?;
        let broken =
            |error: safetensors::SafeTensorError| Error::content(path, format!("not a whole safetensors file ({error}); fetch it again"));
        let (header_bytes, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
        SafeTensors::deserialize(&bytes).map_err(broken)?;
        let start = header_bytes + size_of::<u64>();
        for (name, tensor) in header.tensors() {
            let (from, to) = tensor.data_offsets;
            let slot = Slot { file: self.files.len(), bytes: start + from..start + to, shape: tensor.shape.clone(), dtype: tensor.dtype };
            self.tensors.insert(name, slot);
        }
        if let Some(metadata) = header.metadata() {
            self.metadata.extend(metadata.clone());
        }
        self.files.push((path.to_owned(), bytes));
        Ok(())
    }

    /// The first file, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.files[0].0
    }

    /// Tensor names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// A tensor's shape.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|slot| slot.shape.as_slice())
    }

    /// A value of the file's `__metadata__`.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// A tensor of exactly this shape, widened to `f32`.
    ///
    /// # Errors
    /// [`Error::ModelSet`] where it is missing, has another shape, or is neither f32, f16 nor bf16.
    pub fn array<D: Dimension>(&self, name: &str, shape: impl ndarray::ShapeBuilder<Dim = D>) -> Result<Array<f32, D>> {
        let shape = shape.into_shape_with_order();
        let wanted = shape.raw_dim().slice().to_vec();
        let found = self.array_dyn(name)?;
        let slot = &self.tensors[name];
        if found.shape() != wanted {
            return Err(Error::model_set(&self.files[slot.file].0, name, format!("{:?}", found.shape()), format!("{wanted:?}")));
        }
        Ok(found.into_dimensionality().expect("the shape was just compared"))
    }

    /// A tensor of whatever shape it has, widened to `f32`.
    ///
    /// # Errors
    /// As [`Weights::array`].
    pub fn array_dyn(&self, name: &str) -> Result<ArrayD<f32>> {
        let slot = self.tensors.get(name).ok_or_else(|| Error::model_set(self.path(), name, "missing", "a tensor of that name"))?;
        let (path, file) = &self.files[slot.file];
        let bytes = &file[slot.bytes.clone()];
        let values: Vec<f32> = match slot.dtype {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Dtype::BF16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
            other => return Err(Error::model_set(path, name, format!("{other:?}"), "F32, F16 or BF16")),
        };
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::model_set(path, name, format!("{} at element {position}", values[position]), "finite numbers only"));
        }
        Ok(Array::from_shape_vec(IxDyn(&slot.shape), values).expect("safetensors checked that shape and bytes agree"))
    }
}
