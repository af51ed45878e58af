//! The image tower on pictures alone, for `background=shared`: frames with their keys, targets with their queries.

use ndarray::{Array2, Array3, ArrayView4, Axis};

use super::{EngineConfig, Session, cache};
use crate::{
    Error, Result,
    graph::{self, port},
    models::VisionConfig,
};

/// The tower with its session.
pub(super) struct Tower {
    session: Session,
    side: usize,
    layers: usize,
}

/// What the objects of a frame share.
#[derive(Debug)]
pub(super) struct FrameEncoding {
    /// z, `[T, D]`.
    pub(super) tokens: Array2<f32>,
    /// Without bias, `[L, T, D]`.
    pub(super) key: Array3<f32>,
}

/// Crops of some objects.
#[derive(Debug)]
pub(super) struct Targets {
    /// z, `[O, T, D]`.
    pub(super) tokens: Array3<f32>,
    /// Intra-image attention, `[O, T]`.
    pub(super) beta: Array2<f32>,
    /// CLS's queries, scaled by `1/√d_h`, `[O, L, D]`.
    pub(super) query_cls: Array3<f32>,
}

impl Tower {
    /// Builds the set's tower, or takes it from the cache, and loads it.
    pub(super) fn open(config: &EngineConfig) -> Result<Self> {
        let models = &config.models;
        let (numbers, device) = config.precision.on(&config.device)?;
        let kind = cache::kind("tower", numbers);
        let sources = cache::clip_sources(&models.clip_dir());
        let path = cache::graph(config.cache_dir.as_deref(), &kind, &sources, |path| graph::write_tower(models, numbers, path))?;
        Ok(Self::new(Session::from_file("encode", &path, &device.uncompiled(), config.session_threads())?, &models.clip.vision))
    }

    pub(super) const fn new(session: Session, vision: &VisionConfig) -> Self {
        Self { session, side: vision.image_size, layers: vision.num_hidden_layers }
    }

    /// The same, its session changed.
    pub(super) fn with_session(mut self, change: impl FnOnce(Session) -> Session) -> Self {
        self.session = change(self.session);
        self
    }

    /// Whole frames, `[F, S, S, 3]` levels.
    pub(super) fn frames(&mut self, levels: &[u8]) -> Result<Vec<FrameEncoding>> {
        let mut wanted = vec![port::TOKENS.to_owned()];
        wanted.extend((0..self.layers).map(port::key));
        let mut outputs = self.session.run_for(&[(port::IMAGE, self.images(levels)?.into())], &wanted)?;
        let tokens: Array3<f32> = outputs.take(port::TOKENS)?;
        let (frames, tokens_count, width) = tokens.dim();
        let mut keys = vec![Array3::zeros((self.layers, tokens_count, width)); frames];
        for layer in 0..self.layers {
            let of_layer: Array3<f32> = outputs.take(&port::key(layer))?;
            for (key, of_frame) in keys.iter_mut().zip(of_layer.axis_iter(Axis(1))) {
                key.index_axis_mut(Axis(0), layer).assign(&of_frame);
            }
        }
        Ok(tokens.outer_iter().zip(keys).map(|(tokens, key)| FrameEncoding { tokens: tokens.to_owned(), key }).collect())
    }

    /// Crops, `[O, S, S, 3]` levels.
    pub(super) fn targets(&mut self, levels: &[u8]) -> Result<Targets> {
        let wanted = [port::TOKENS, port::BETA, port::QUERY_CLS].map(str::to_owned);
        let mut outputs = self.session.run_for(&[(port::IMAGE, self.images(levels)?.into())], &wanted)?;
        Ok(Targets { tokens: outputs.take(port::TOKENS)?, beta: outputs.take(port::BETA)?, query_cls: outputs.take(port::QUERY_CLS)? })
    }

    fn images<'a>(&self, levels: &'a [u8]) -> Result<ArrayView4<'a, u8>> {
        let (side, count) = (self.side, levels.len() / (3 * self.side * self.side).max(1));
        let fits = |error: ndarray::ShapeError| Error::Inference { stage: "encode", problem: error.to_string() };
        ArrayView4::from_shape((count, side, side, 3), levels).map_err(fits)
    }
}
