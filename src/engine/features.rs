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

use ndarray::{Array1, Array2, Array3, ArrayView4, Axis, Dimension, Ix1};
use safetensors::{Dtype, tensor::TensorView};

use super::{
    Device, EngineConfig, Session, cache,
    tower::{FrameEncoding, Tower},
};
use crate::{
    Error, Result,
    attention::{inter_image, size},
    encode::Features,
    frame::Frame,
    geometry::Rect,
    graph::{self, Numbers, port},
    models::Weights,
    pair::{Background, Base, PairSpec, View, view, write_pair, write_target},
    whole,
};

/// Pairs that one run of the graph takes.
const BATCH: usize = 16;

/// The image tower up to where the combiners begin. `ObjectPair* ─▶ Features*`.
pub struct FeatureEncoder {
    config: EngineConfig,
    spec: PairSpec,
    kind: Kind,
    pairs: Store,
    /// With a shared background, in place of the pairs' session.
    tower: Option<Tower>,
    /// Made when the first picture is met.
    pictures: Option<Store>,
}

/// Which features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    WithValues,
    Shared,
}

/// A graph and what it gave, by the hash of what went in.
struct Store {
    graph: PathBuf,
    kept: PathBuf,
    /// Where the graph runs.
    device: Device,
    /// Loaded when something is met that is not kept.
    session: Option<Session>,
}

/// An object's two images, `[S, S, 3]` RGB each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pair {
    /// I_x.
    pub target: Vec<u8>,
    /// I_(x); with a shared background the whole frame, or the fill where the box leaves nothing of it.
    pub background: Vec<u8>,
    /// With a shared background the object's own patches of the frame, `[N]`; else none.
    pub own: Vec<bool>,
}

impl FeatureEncoder {
    /// Builds the set's feature graph, or takes it from the cache. Detector and batch settings of `config` do not matter here.
    ///
    /// # Errors
    /// Whatever a CLIP folder or the cache folder can be wrong in.
    pub fn open(config: &EngineConfig) -> Result<Self> {
        Self::create(config, Kind::Exact)
    }

    /// [`FeatureEncoder::open`]; every pair's features have [`Features::values_target`], too.
    ///
    /// # Errors
    /// As [`FeatureEncoder::open`].
    pub fn open_with_values(config: &EngineConfig) -> Result<Self> {
        Self::create(config, Kind::WithValues)
    }

    /// [`FeatureEncoder::open`] with backgrounds encoded so.
    ///
    /// # Errors
    /// As [`FeatureEncoder::open`].
    pub fn open_with_background(config: &EngineConfig, background: Background) -> Result<Self> {
        match background {
            Background::Exact => Self::open(config),
            Background::Shared => Self::create(config, Kind::Shared),
        }
    }

    fn create(config: &EngineConfig, kind: Kind) -> Result<Self> {
        let models = &config.models;
        let features = |values| move |numbers: Numbers, path: &Path| graph::write_features(models, values, numbers, path);
        let pairs = match kind {
            Kind::Exact => Store::open(config, "features", "pairs", features(false))?,
            Kind::WithValues => Store::open(config, "features-values", "pairs", features(true))?,
            Kind::Shared => Store::open(config, "tower", "pairs", |numbers, path| graph::write_tower(models, numbers, path))?,
        };
        let spec = PairSpec::new(models.clip.vision.image_size, models.clip.image_mean);
        Ok(Self { config: config.clone(), spec, kind, pairs, tower: None, pictures: None })
    }

    /// The pixels of the object in `rect`; `base` is that of the same frame and [`FeatureEncoder::spec`].
    ///
    /// # Errors
    /// As [`write_pair`].
    pub fn pair(&self, frame: &Frame<'_>, base: &Base, rect: Rect) -> Result<Pair> {
        let spec = &self.spec;
        let mut target = vec![0; spec.bytes()];
        if self.kind == Kind::Shared {
            write_target(frame, rect, spec, &mut target)?;
            return Ok(match view(rect, frame.width(), frame.height(), self.config.models.clip.vision.grid()) {
                View::Frame(own) => Pair { target, background: base.whole().to_vec(), own },
                View::Blank => Pair { target, background: spec.blank(), own: vec![false; self.config.models.clip.vision.tokens() - 1] },
            });
        }
        let mut background = vec![0; spec.bytes()];
        write_pair(frame, base, rect, spec, &mut target, &mut background)?;
        Ok(Pair { target, background, own: Vec::new() })
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
            let own = |pair: &Pair| pair.own.iter().map(|own| u8::from(*own)).collect::<Vec<u8>>();
            let files: Vec<PathBuf> = pairs.iter().map(|pair| self.pairs.file(&[&pair.target, &pair.background, &own(pair)])).collect();
            let mut features: Vec<Option<Features>> = files.iter().map(|file| self.read(file)).collect();
            let missing: Vec<usize> = (0..pairs.len()).filter(|&index| features[index].is_none()).collect();
            if !missing.is_empty() {
                let chosen: Vec<&Pair> = missing.iter().map(|&index| &pairs[index]).collect();
                let made = if self.kind == Kind::Shared { self.run_shared(&chosen)? } else { self.run(&chosen)? };
                for (index, made) in missing.into_iter().zip(made) {
                    write(&files[index], &parts(&made))?;
                    features[index] = Some(made);
                }
            }
            found.extend(features.into_iter().flatten());
            done(pairs.len())?;
        }
        Ok(found)
    }

    /// z_0 of whole pictures, `[S, S, 3]` RGB each: the target alone, without a background; kept as pairs are.
    ///
    /// # Errors
    /// As [`FeatureEncoder::encode`].
    pub fn encode_pictures(&mut self, pictures: &[Vec<u8>]) -> Result<Vec<Array1<f32>>> {
        if pictures.is_empty() {
            return Ok(Vec::new());
        }
        let models = &self.config.models;
        let width = models.clip.vision.hidden_size;
        let store = match &mut self.pictures {
            Some(store) => store,
            none => none
                .insert(Store::open(&self.config, "pictures", "pictures", |numbers, path| graph::write_pictures(models, numbers, path))?),
        };
        let mut found = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(BATCH) {
            let files: Vec<PathBuf> = pictures.iter().map(|picture| store.file(&[picture])).collect();
            let kept = |file: &PathBuf| Weights::open(file).ok()?.array::<Ix1>(port::CLS, width).ok();
            let mut states: Vec<Option<Array1<f32>>> = files.iter().map(|file| file.exists().then(|| kept(file))?).collect();
            let missing: Vec<usize> = (0..pictures.len()).filter(|&index| states[index].is_none()).collect();
            if !missing.is_empty() {
                let levels: Vec<u8> = missing.iter().flat_map(|&index| pictures[index].iter().copied()).collect();
                let images = images(&levels, missing.len(), self.spec.size)?;
                let cls: Array2<f32> = store.session(&self.config)?.run(&[(port::TARGET, images.into())])?.take(port::CLS)?;
                finite(cls.iter())?;
                for (index, cls) in missing.into_iter().zip(cls.rows()) {
                    write(&files[index], &[part(port::CLS, &cls)])?;
                    states[index] = Some(cls.to_owned());
                }
            }
            found.extend(states.into_iter().flatten());
        }
        Ok(found)
    }

    /// Each frame is encoded once for the objects of it that come together.
    fn run_shared(&mut self, pairs: &[&Pair]) -> Result<Vec<Features>> {
        let tower = match &mut self.tower {
            Some(tower) => tower,
            none => none.insert(Tower::open(&self.config)?),
        };
        let mut frames: Vec<&[u8]> = Vec::new();
        let mut places = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let place = frames.iter().position(|known| *known == pair.background).unwrap_or_else(|| {
                frames.push(&pair.background);
                frames.len() - 1
            });
            places.push(place);
        }
        let frames: Vec<FrameEncoding> = tower.frames(&frames.concat())?;
        let targets = tower.targets(&levels(pairs, |pair| &pair.target))?;
        let heads = self.config.models.clip.vision.num_attention_heads;
        let features = |(index, (pair, place)): (usize, (&&Pair, usize))| {
            let FrameEncoding { tokens, key } = &frames[place];
            let (layers, count, width) = key.dim();
            let head = width / heads;
            let shape = "a width is a multiple of its heads";
            let query = targets.query_cls.index_axis(Axis(0), index).to_owned() * size(head).sqrt();
            let query = query.into_shape_with_order((layers, heads, head)).expect(shape);
            let key = key.view().into_shape_with_order((layers, count, heads, head)).expect(shape).permuted_axes([0, 2, 1, 3]);
            Features {
                tokens_target: targets.tokens.index_axis(Axis(0), index).to_owned(),
                tokens_background: tokens.clone(),
                beta_target: targets.beta.row(index).to_owned(),
                beta_background: inter_image::beta_shared(&query, &key, &pair.own),
                values_target: None,
            }
        };
        let made: Vec<Features> = pairs.iter().zip(places).enumerate().map(features).collect();
        for made in &made {
            finite(made.tokens_target.iter().chain(&made.tokens_background).chain(&made.beta_target).chain(&made.beta_background))?;
        }
        Ok(made)
    }

    fn run(&mut self, pairs: &[&Pair]) -> Result<Vec<Features>> {
        let (targets, backgrounds) = (levels(pairs, |pair| &pair.target), levels(pairs, |pair| &pair.background));
        let target = images(&targets, pairs.len(), self.spec.size)?;
        let background = images(&backgrounds, pairs.len(), self.spec.size)?;
        let session = self.pairs.session(&self.config)?;
        let mut outputs = session.run(&[(port::TARGET, target.into()), (port::BACKGROUND, background.into())])?;
        let tokens: [Array3<f32>; 2] = [outputs.take(port::TOKENS_TARGET)?, outputs.take(port::TOKENS_BACKGROUND)?];
        let betas: [Array2<f32>; 2] = [outputs.take(port::BETA_TARGET)?, outputs.take(port::BETA_BACKGROUND)?];
        let values: Option<Array3<f32>> = if self.kind == Kind::WithValues { Some(outputs.take(port::VALUES_TARGET)?) } else { None };
        finite(tokens.iter().flatten().chain(betas.iter().flatten()).chain(values.iter().flatten()))?;
        let row = |index: usize| Features {
            tokens_target: tokens[0].index_axis(Axis(0), index).to_owned(),
            tokens_background: tokens[1].index_axis(Axis(0), index).to_owned(),
            beta_target: betas[0].row(index).to_owned(),
            beta_background: betas[1].row(index).to_owned(),
            values_target: values.as_ref().map(|values| values.index_axis(Axis(0), index).to_owned()),
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
            values_target: if self.kind == Kind::WithValues {
                Some(weights.array(port::VALUES_TARGET, (tokens - 1, width)).ok()?)
            } else {
                None
            },
        })
    }
}

impl Store {
    fn open(config: &EngineConfig, kind: &str, name: &str, build: impl FnOnce(Numbers, &Path) -> Result<()>) -> Result<Self> {
        let (numbers, device) = config.precision.on(&config.device)?;
        let sources = cache::clip_sources(&config.models.clip_dir());
        let graph = cache::graph(config.cache_dir.as_deref(), &cache::kind(kind, numbers), &sources, |path| build(numbers, path))?;
        // The graph in fp32 gives something else in bf16.
        let bf16 = matches!(device, Device::OpenVino { bf16: true, .. });
        let kept = graph.with_file_name(if bf16 { format!("{name}-bf16") } else { name.to_owned() });
        fs::create_dir_all(&kept).map_err(Error::file("create", &kept))?;
        Ok(Self { graph, kept, device, session: None })
    }

    /// Where what comes of these levels lies.
    fn file(&self, levels: &[&[u8]]) -> PathBuf {
        let mut hasher = blake3::Hasher::new();
        for levels in levels {
            hasher.update(levels);
        }
        self.kept.join(format!("{}.safetensors", &hasher.finalize().to_hex()[..32]))
    }

    fn session(&mut self, config: &EngineConfig) -> Result<&mut Session> {
        Ok(match &mut self.session {
            Some(session) => session,
            none => none.insert(Session::from_file("encode", &self.graph, &self.device.uncompiled(), config.encoder_threads())?),
        })
    }
}

/// One image of each pair, one behind the other.
fn levels(pairs: &[&Pair], side: fn(&Pair) -> &[u8]) -> Vec<u8> {
    pairs.iter().flat_map(|pair| side(pair).iter().copied()).collect()
}

/// Levels of some images, `[n, S, S, 3]`.
fn images(levels: &[u8], count: usize, size: usize) -> Result<ArrayView4<'_, u8>> {
    let fits = |error: ndarray::ShapeError| Error::Inference { stage: "encode", problem: error.to_string() };
    ArrayView4::from_shape((count, size, size, 3), levels).map_err(fits)
}

fn finite<'a>(mut values: impl Iterator<Item = &'a f32>) -> Result<()> {
    if values.all(|value| value.is_finite()) {
        return Ok(());
    }
    let problem = "it gave a number that is not finite; run it in fp32, or check the weights".to_owned();
    Err(Error::Inference { stage: "encode", problem })
}

/// A tensor on its way to a file.
type Part = (&'static str, Vec<usize>, Vec<u8>);

fn part<D: Dimension>(name: &'static str, array: &ndarray::ArrayRef<f32, D>) -> Part {
    (name, array.shape().to_vec(), array.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn parts(features: &Features) -> Vec<Part> {
    let mut parts = vec![
        part(port::TOKENS_TARGET, &features.tokens_target),
        part(port::TOKENS_BACKGROUND, &features.tokens_background),
        part(port::BETA_TARGET, &features.beta_target),
        part(port::BETA_BACKGROUND, &features.beta_background),
    ];
    parts.extend(features.values_target.as_ref().map(|values| part(port::VALUES_TARGET, values)));
    parts
}

fn write(file: &Path, parts: &[Part]) -> Result<()> {
    let tensors = parts.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("four bytes for each number of the shape");
        (*name, view)
    });
    let bytes_of_all = safetensors::serialize(tensors, None::<HashMap<String, String>>).expect("names are distinct and sizes fit");
    whole::replace(file, |file| file.write_all(&bytes_of_all))
}
