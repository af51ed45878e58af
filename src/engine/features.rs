//! What a combiner works on: CLIP's outputs for pairs of pictures, computed once and kept on disk.
//!
//! A pair's features lie in the folder of the graph that made them, under the hash of its pixels. So a run that was
//! interrupted goes on where it stopped, and another run over the same objects does not encode them again.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use ndarray::{Array1, Array2, Array3, ArrayView4, Axis, Dimension};
use safetensors::{Dtype, tensor::TensorView};

use super::{EngineConfig, Session, cache};
use crate::{Error, Result, encode::Features, graph, graph::port, models::Weights, pair::PairSpec, whole};

/// Pairs that one run of the graph takes.
const BATCH: usize = 16;

/// The image tower up to where the combiners begin. `ObjectPair* ─▶ Features*`.
pub struct FeatureEncoder {
    config: EngineConfig,
    graph: PathBuf,
    kept: PathBuf,
    spec: PairSpec,
    /// Loaded when the first pair is met that is not kept.
    session: Option<Session>,
}

/// An object's two images, `[S, S, 3]` RGB each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pair {
    /// I_x.
    pub target: Vec<u8>,
    /// I_(x).
    pub background: Vec<u8>,
}

impl FeatureEncoder {
    /// Builds the set's feature graph, or takes it from the cache. Detector and batch settings of `config` do not matter here.
    ///
    /// # Errors
    /// Whatever a CLIP folder or the cache folder can be wrong in.
    pub fn open(config: &EngineConfig) -> Result<Self> {
        let models = &config.models;
        let sources = cache::clip_sources(&models.clip_dir());
        let graph = cache::graph(config.cache_dir.as_deref(), "features", &sources, |path| graph::write_features(models, path))?;
        let kept = graph.with_file_name("pairs");
        fs::create_dir_all(&kept).map_err(Error::file("create", &kept))?;
        let spec = PairSpec::new(models.clip.vision.image_size, models.clip.image_mean);
        Ok(Self { config: config.clone(), graph, kept, spec, session: None })
    }

    /// What the images of a pair look like.
    #[must_use]
    pub const fn spec(&self) -> &PairSpec {
        &self.spec
    }

    /// The features of each pair; `done` is called after every batch with the number of its pairs.
    ///
    /// # Errors
    /// [`Error::Inference`] where a run fails or gives a number that is not finite; [`Error::File`] where features cannot be kept;
    /// whatever [`Session::from_file`] refuses.
    pub fn encode(&mut self, pairs: &[Pair], mut done: impl FnMut(usize) -> Result<()>) -> Result<Vec<Features>> {
        let mut found = Vec::with_capacity(pairs.len());
        for pairs in pairs.chunks(BATCH) {
            let files: Vec<PathBuf> = pairs.iter().map(|pair| self.kept.join(pair.name())).collect();
            let mut features: Vec<Option<Features>> = files.iter().map(|file| self.read(file)).collect();
            let missing: Vec<usize> = (0..pairs.len()).filter(|&index| features[index].is_none()).collect();
            if !missing.is_empty() {
                let chosen: Vec<&Pair> = missing.iter().map(|&index| &pairs[index]).collect();
                for (index, made) in missing.into_iter().zip(self.run(&chosen)?) {
                    write(&files[index], &made)?;
                    features[index] = Some(made);
                }
            }
            found.extend(features.into_iter().flatten());
            done(pairs.len())?;
        }
        Ok(found)
    }

    fn run(&mut self, pairs: &[&Pair]) -> Result<Vec<Features>> {
        let shape = (pairs.len(), self.spec.size, self.spec.size, 3);
        let images = |side: fn(&Pair) -> &[u8]| pairs.iter().flat_map(|pair| side(pair).iter().copied()).collect::<Vec<u8>>();
        let fits = |error: ndarray::ShapeError| Error::Inference { stage: "encode", problem: error.to_string() };
        let (targets, backgrounds) = (images(|pair| &pair.target), images(|pair| &pair.background));
        let target = ArrayView4::from_shape(shape, &targets).map_err(fits)?;
        let background = ArrayView4::from_shape(shape, &backgrounds).map_err(fits)?;
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(Session::from_file("encode", &self.graph, &self.config.device, self.config.threads)?),
        };
        let mut outputs = session.run(&[(port::TARGET, target.into()), (port::BACKGROUND, background.into())])?;
        let tokens: [Array3<f32>; 2] = [outputs.take(port::TOKENS_TARGET)?, outputs.take(port::TOKENS_BACKGROUND)?];
        let betas: [Array2<f32>; 2] = [outputs.take(port::BETA_TARGET)?, outputs.take(port::BETA_BACKGROUND)?];
        if tokens.iter().flatten().chain(betas.iter().flatten()).any(|value| !value.is_finite()) {
            let problem = "it gave a number that is not finite; run it in fp32, or check the weights".to_owned();
            return Err(Error::Inference { stage: "encode", problem });
        }
        let row = |index: usize| Features {
            tokens_target: tokens[0].index_axis(Axis(0), index).to_owned(),
            tokens_background: tokens[1].index_axis(Axis(0), index).to_owned(),
            beta_target: betas[0].row(index).to_owned(),
            beta_background: betas[1].row(index).to_owned(),
        };
        Ok((0..pairs.len()).map(row).collect())
    }

    /// Kept features; `None` where there are none, or they are of no use and are made again.
    fn read(&self, file: &Path) -> Option<Features> {
        let weights = file.exists().then(|| Weights::open(file))?.ok()?;
        let vision = &self.config.models.clip.vision;
        let (tokens, width) = (vision.tokens(), vision.hidden_size);
        let tokens_of = |name| weights.array(name, (tokens, width)).ok();
        let beta_of = |name| -> Option<Array1<f32>> { weights.array(name, tokens).ok() };
        Some(Features {
            tokens_target: tokens_of(port::TOKENS_TARGET)?,
            tokens_background: tokens_of(port::TOKENS_BACKGROUND)?,
            beta_target: beta_of(port::BETA_TARGET)?,
            beta_background: beta_of(port::BETA_BACKGROUND)?,
        })
    }
}

impl Pair {
    fn name(&self) -> String {
        let hash = blake3::Hasher::new().update(&self.target).update(&self.background).finalize();
        format!("{}.safetensors", &hash.to_hex()[..32])
    }
}

fn write(file: &Path, features: &Features) -> Result<()> {
    fn bytes<D: Dimension>(array: &ndarray::ArrayRef<f32, D>) -> Vec<u8> {
        array.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
    let parts = [
        (port::TOKENS_TARGET, features.tokens_target.shape(), bytes(&features.tokens_target)),
        (port::TOKENS_BACKGROUND, features.tokens_background.shape(), bytes(&features.tokens_background)),
        (port::BETA_TARGET, features.beta_target.shape(), bytes(&features.beta_target)),
        (port::BETA_BACKGROUND, features.beta_background.shape(), bytes(&features.beta_background)),
    ];
    let tensors = parts.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("four bytes for each number of the shape");
        (*name, view)
    });
    let bytes_of_all = safetensors::serialize(tensors, None::<HashMap<String, String>>).expect("names are distinct and sizes fit");
    whole::replace(file, |file| file.write_all(&bytes_of_all))
}
