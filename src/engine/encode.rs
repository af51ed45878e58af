//! The encode stage: a batch of pairs through the graph that its settings ask for, scores back to their frames.

use std::{num::NonZero, time::Instant};

use ndarray::{Array2, ArrayView1, ArrayView4};

use super::{
    Device, EngineConfig, EngineHub, Outputs, Session,
    batch::{Backgrounds, Batch},
    cache,
    ending::Terminator,
    shared::{Rows, SharedEncoder},
    tensorrt::Plan,
};
use crate::{
    Error, Result,
    graph::{self, Numbers, port},
    score::ClassScores,
};

/// The dual encoder with its sessions. `ObjectPair* ─▶ DualEncoding* ─▶ ClassScores*`, all inside the graph.
///
/// What no frame asked for yet is not loaded, but for the exact graph.
pub(super) struct Encoder {
    config: EngineConfig,
    exact: Session,
    listed: Option<Session>,
    shared: Option<SharedEncoder>,
    numbers: Numbers,
    side: usize,
}

impl Encoder {
    /// Builds the set's graph, or takes it from the cache, and loads it.
    pub(super) fn open(config: &EngineConfig) -> Result<Self> {
        let (numbers, _) = config.precision.on(&config.device)?;
        let exact = pairs(config, false)?;
        let side = config.models.clip.vision.image_size;
        Ok(Self { config: config.clone(), exact, listed: None, shared: None, numbers, side })
    }

    /// The same encoder, ended by another's terminator.
    pub(super) fn ended_by(mut self, terminator: &Terminator) -> Self {
        self.exact = self.exact.ended_by(terminator);
        self
    }

    pub(super) const fn device(&self) -> &Device {
        self.exact.device()
    }

    pub(super) const fn numbers(&self) -> Numbers {
        self.numbers
    }

    pub(super) fn terminator(&self) -> Terminator {
        self.exact.terminator()
    }

    pub(super) const fn threads(&self) -> usize {
        self.exact.threads()
    }

    /// The scores of a batch, row by row.
    fn scores(&mut self, batch: &Batch) -> Result<Vec<ClassScores>> {
        match &batch.background {
            Backgrounds::Pixels(background) => self.exact(batch, background),
            Backgrounds::Views(views) => {
                let shared = match &mut self.shared {
                    Some(shared) => shared,
                    none => none.insert(SharedEncoder::open(&self.config, self.exact.terminator())?),
                };
                shared.scores(&Rows {
                    tasks: &batch.rows,
                    target: &batch.target,
                    views,
                    has_context: &batch.has_context,
                    vocabulary: &batch.vocabulary,
                    shortlist: batch.approximation.shortlist,
                })
            }
        }
    }

    fn exact(&mut self, batch: &Batch, background: &[u8]) -> Result<Vec<ClassScores>> {
        let shape = (batch.rows.len(), self.side, self.side, 3);
        let fits = |error: ndarray::ShapeError| Error::Inference { stage: "encode", problem: error.to_string() };
        let target = ArrayView4::from_shape(shape, &batch.target).map_err(fits)?;
        let background = ArrayView4::from_shape(shape, background).map_err(fits)?;
        let vocabulary = &batch.vocabulary;
        let mut inputs = vec![
            (port::TARGET, target.into()),
            (port::BACKGROUND, background.into()),
            (port::HAS_CONTEXT, ArrayView1::from(&batch.has_context).into()),
            (port::TEXT, vocabulary.text.view().into()),
            (port::CONTEXT_TEXT, vocabulary.context_text.view().into()),
        ];
        let count = batch.approximation.shortlist.map(|count: NonZero<usize>| [i64::try_from(count.get()).unwrap_or(i64::MAX)]);
        let session = match &count {
            None => &mut self.exact,
            Some(count) => {
                inputs.push((port::SHORTLIST, ArrayView1::from(count).into()));
                match &mut self.listed {
                    Some(listed) => listed,
                    none => none.insert(pairs(&self.config, true)?.ended_by(&self.exact.terminator())),
                }
            }
        };
        ClassScores::of_rows(session.run(&inputs)?)
    }
}

impl ClassScores {
    /// What a graph gave, row by row.
    pub(super) fn of_rows(mut outputs: Outputs) -> Result<Vec<Self>> {
        let (omega, clip_cosine): (Array2<f32>, Array2<f32>) = (outputs.take(port::OMEGA)?, outputs.take(port::CLIP_COSINE)?);
        let rows = omega.outer_iter().zip(clip_cosine.outer_iter());
        Ok(rows.map(|(omega, clip_cosine)| Self { omega: omega.to_owned(), clip_cosine: clip_cosine.to_owned() }).collect())
    }
}

/// The graph of pairs.
fn pairs(config: &EngineConfig, shortlist: bool) -> Result<Session> {
    let models = &config.models;
    let (numbers, device) = config.precision.on(&config.device)?;
    let mut sources = cache::clip_sources(&models.clip_dir());
    sources.extend(models.combiner_path());
    let kind = cache::kind(if shortlist { "vision-shortlist" } else { "vision" }, numbers);
    let write = if shortlist { graph::write_shortlist } else { graph::write_vision };
    let path = cache::graph(config.cache_dir.as_deref(), &kind, &sources, |path| write(models, numbers, path))?;
    if shortlist {
        return Session::from_file("encode", &path, &device.uncompiled(), config.session_threads());
    }
    Session::planned("encode", &path, &device, config.session_threads(), &Plan::of_pairs(config))
}

/// Runs until the batch stage is done or another is gone.
pub(super) fn run(mut encoder: Encoder, hub: &EngineHub) {
    while let Some(batch) = hub.take_batch() {
        if batch.rows.iter().all(|row| row.frame.is_cancelled()) {
            continue;
        }
        let started = Instant::now();
        let scores = encoder.scores(&batch);
        let rows = u32::try_from(batch.rows.len()).unwrap_or(u32::MAX);
        let spent = (started.elapsed() + batch.pixels) / rows;
        match scores {
            Ok(scores) => {
                for (row, scores) in batch.rows.iter().zip(&scores) {
                    row.frame.scored(row.slot, scores, started, spent);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "encode");
                for row in &batch.rows {
                    row.frame.failed(row.slot, &error.to_string(), started, spent);
                }
            }
        }
    }
}
