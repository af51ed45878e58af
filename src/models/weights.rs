//! Tensors of a safetensors file, or of a sharded one with its index, as `f32` arrays.
//!
//! The header is checked here, whole, before anything is allocated on its word: a length, an offset or a shape
//! from a stranger's file may be any number.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use half::{bf16, f16};
use ndarray::{Array, ArrayD, Dimension, IxDyn};
use safetensors::Dtype;
use serde::Deserialize;

use super::read_text;
use crate::{Error, Result, file};

/// Longest header that is read, in bytes; that of a CLIP is some 50 kB.
const LONGEST_HEADER: u64 = 16 << 20;

/// A CLIP folder's weights, in one file or in shards that the other names.
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Sides a tensor may have.
const MOST_SIDES: usize = 8;

/// Named tensors, read from their files and widened to `f32` on demand.
#[derive(Debug)]
pub struct Weights {
    files: Vec<(PathBuf, Mutex<File>)>,
    tensors: BTreeMap<String, Slot>,
    metadata: HashMap<String, String>,
}

/// Where a tensor lies.
#[derive(Debug)]
struct Slot {
    file: usize,
    start: u64,
    length: usize,
    shape: Vec<usize>,
    dtype: Dtype,
}

/// A safetensors header.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: Option<HashMap<String, String>>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Entry>,
}

/// One tensor in a header; offsets count from the header's end.
#[derive(Deserialize)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// Which shard each tensor lies in.
#[derive(Deserialize)]
pub(crate) struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that a CLIP folder's weights lie in: one, or the index and its shards.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let Some((path, index)) = Index::read(dir)? else { return Ok(vec![dir.join(SINGLE)]) };
    let shards = index.shards().into_iter().map(|shard| dir.join(shard));
    Ok(std::iter::once(path).chain(shards).collect())
}

impl Index {
    /// An index file. Where its shards may lie is for the caller to say.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let index: Self =
            serde_json::from_str(&read_text(path)?).map_err(|error| Error::content(path, format!("not a shard index: {error}")))?;
        if index.weight_map.is_empty() {
            return Err(Error::model_set(path, "weight_map", "empty", "the names of tensors and their files"));
        }
        Ok(index)
    }

    /// A folder's index and where it is; none where the weights are one file.
    fn read(dir: &Path) -> Result<Option<(PathBuf, Self)>> {
        let path = dir.join(INDEX);
        if dir.join(SINGLE).exists() || !path.exists() {
            return Ok(None);
        }
        let index = Self::open(&path)?;
        let leads_out = |shard: &str| shard.contains(['/', '\\']) || shard == ".." || shard.is_empty();
        if let Some(shard) = index.weight_map.values().find(|shard| leads_out(shard)) {
            return Err(Error::model_set(&path, "weight_map", format!("`{shard}`"), "file names beside the index"));
        }
        Ok(Some((path, index)))
    }

    /// The shards' names, each once.
    pub(crate) fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }
}

impl Weights {
    /// A CLIP folder's weights: `model.safetensors`, or the shards that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// [`Error::File`] where nothing is there, [`Error::Content`] where a file is truncated or no safetensors.
    pub fn open_folder(dir: &Path) -> Result<Self> {
        let Some((path, index)) = Index::read(dir)? else { return Self::open(&dir.join(SINGLE)) };
        let mut weights = Self { files: Vec::new(), tensors: BTreeMap::new(), metadata: HashMap::new() };
        for shard in index.shards() {
            weights.add(&dir.join(shard))?;
        }
        // One of the same name in another shard would have taken its place.
        let is_read = |(name, shard): &(&String, &String)| {
            weights.tensors.get(*name).is_some_and(|slot| weights.files[slot.file].0 == dir.join(shard))
        };
        if let Some((name, shard)) = index.weight_map.iter().find(|entry| !is_read(entry)) {
            let found = format!("not in `{shard}` alone");
            return Err(Error::model_set(&path, name.clone(), found, "in the shard the index names; fetch the shards again"));
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
        let sentence = |problem: &str| format!("not a whole safetensors file: {problem}; fetch it again");
        let broken = |problem: &str| Error::content(path, sentence(problem));
        let size = file::length(path, &sentence("it is no file"))?;
        let mut file = File::open(path).map_err(Error::file("read", path))?;
        let mut length = [0; size_of::<u64>()];
        file.read_exact(&mut length).map_err(|_| broken("it is shorter than a header's length"))?;
        let length = u64::from_le_bytes(length);
        let data = length.checked_add(size_of::<u64>() as u64).filter(|data| length <= LONGEST_HEADER && *data <= size);
        let data = data.ok_or_else(|| broken(&format!("its header claims {length} bytes of a file of {size}")))?;
        let mut header = String::new();
        (&mut file).take(length).read_to_string(&mut header).map_err(|error| broken(&error.to_string()))?;
        let header: Header = serde_json::from_str(&header).map_err(|error| broken(&error.to_string()))?;
        header.check(size - data).map_err(|problem| broken(&problem))?;
        for (name, Entry { dtype, shape, data_offsets: (from, to) }) in header.tensors {
            let length = usize::try_from(to - from).map_err(|_| broken("it is larger than this machine can address"))?;
            self.tensors.insert(name, Slot { file: self.files.len(), start: data + from, length, shape, dtype });
        }
        self.metadata.extend(header.metadata.unwrap_or_default());
        self.files.push((path.to_owned(), Mutex::new(file)));
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
        let wanted = shape.raw_dim().slice();
        if let Some(slot) = self.tensors.get(name).filter(|slot| slot.shape != wanted) {
            return Err(Error::model_set(&self.files[slot.file].0, name, format!("{:?}", slot.shape), format!("{wanted:?}")));
        }
        Ok(self.array_dyn(name)?.into_dimensionality().expect("the shape was just compared"))
    }

    /// A tensor of whatever shape it has, widened to `f32`.
    ///
    /// # Errors
    /// As [`Weights::array`].
    pub fn array_dyn(&self, name: &str) -> Result<ArrayD<f32>> {
        let slot = self.tensors.get(name).ok_or_else(|| Error::model_set(self.path(), name, "missing", "a tensor of that name"))?;
        let (path, file) = &self.files[slot.file];
        if !matches!(slot.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return Err(Error::model_set(path, name, format!("{:?}", slot.dtype), "F32, F16 or BF16"));
        }
        let mut bytes = vec![0; slot.length];
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(slot.start)).and_then(|_| file.read_exact(&mut bytes)).map_err(Error::file("read", path))?;
        drop(file);
        let values: Vec<f32> = match slot.dtype {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            _ => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        };
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::model_set(path, name, format!("{} at element {position}", values[position]), "finite numbers only"));
        }
        Ok(Array::from_shape_vec(IxDyn(&slot.shape), values).expect("the header was checked: shape and bytes agree"))
    }
}

impl Header {
    /// Whether every tensor's shape is as long as its bytes, and they fill the `data` bytes behind the header without gap or overlap.
    fn check(&self, data: u64) -> Result<(), String> {
        let mut ranges = Vec::with_capacity(self.tensors.len());
        for (name, Entry { dtype, shape, data_offsets: (from, to) }) in &self.tensors {
            let elements = if shape.len() <= MOST_SIDES { elements(shape) } else { None };
            let bits = elements.and_then(|elements| elements.checked_mul(dtype.bitsize()));
            let claimed = to.checked_sub(*from).and_then(|bytes| usize::try_from(bytes).ok()?.checked_mul(8));
            if bits.is_none() || bits != claimed {
                return Err(format!("`{name}` is {dtype:?} {shape:?} in the bytes {from}..{to}"));
            }
            ranges.push((*from, *to, name));
        }
        ranges.sort();
        let mut end = 0;
        for (from, to, name) in ranges {
            if from != end {
                return Err(format!("`{name}` starts at byte {from} where the tensor before it ends at {end}"));
            }
            end = to;
        }
        if end == data { Ok(()) } else { Err(format!("its tensors end at byte {end} of {data}")) }
    }
}

/// The product of sides; `None` where it could not be an array's, which with a side of 0 goes for the other sides alone.
fn elements(shape: &[usize]) -> Option<usize> {
    let others = shape.iter().try_fold(1_usize, |product, side| product.checked_mul((*side).max(1)))?;
    isize::try_from(others).ok()?;
    Some(if shape.contains(&0) { 0 } else { others })
}
