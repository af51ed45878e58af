//! The encode stage: a batch of pairs through the one graph, scores back to their frames.

use std::{path::PathBuf, time::Instant};

use ndarray::{Array2, ArrayView1, ArrayView4};

use super::{Device, EngineConfig, EngineHub, Session, batch::Batch, cache, session::Terminator};
use crate::{
    Error, Result,
    graph::{self, Numbers},
    score::ClassScores,
};

/// The dual encoder with its session. `ObjectPair* ─▶ DualEncoding* ─▶ ClassScores*`, all inside the graph.
pub(super) struct Encoder {
    session: Session,
    numbers: Numbers,
    side: usize,
}

impl Encoder {
    /// Builds the set's graph, or takes it from the cache, and loads it.
    pub(super) fn open(config: &EngineConfig) -> Result<Self> {
        let models = &config.models;
        let (numbers, device) = config.precision.on(&config.device)?;
        let mut sources = cache::clip_sources(&models.clip_dir());
        sources.extend(models.combiner_path());
        let kind = cache::kind("vision", numbers);
        let path: PathBuf = cache::graph(config.cache_dir.as_deref(), &kind, &sources, |path| graph::write_vision(models, numbers, path))?;
        let session = Session::from_file("encode", &path, &device, config.threads)?;
        Ok(Self { session, numbers, side: models.clip.vision.image_size })
    }

    pub(super) const fn device(&self) -> &Device {
        self.session.device()
    }

    pub(super) const fn numbers(&self) -> Numbers {
        self.numbers
    }

    pub(super) fn terminator(&self) -> Terminator {
        self.session.terminator()
    }

    pub(super) const fn threads(&self) -> usize {
        self.session.threads()
    }

    /// The scores of a batch, row by row.
    fn scores(&mut self, batch: &Batch) -> Result<Vec<ClassScores>> {
        let shape = (batch.rows.len(), self.side, self.side, 3);
        let fits = |error: ndarray::ShapeError| Error::Inference { stage: "encode", problem: error.to_string() };
        let target = ArrayView4::from_shape(shape, &batch.target).map_err(fits)?;
        let background = ArrayView4::from_shape(shape, &batch.background).map_err(fits)?;
        let vocabulary = &batch.vocabulary;
        let mut outputs = self.session.run(&[
            ("target", target.into()),
            ("background", background.into()),
            ("has_context", ArrayView1::from(&batch.has_context).into()),
            ("text", vocabulary.text.view().into()),
            ("context_text", vocabulary.context_text.view().into()),
        ])?;
        let (omega, clip_cosine): (Array2<f32>, Array2<f32>) = (outputs.take("omega")?, outputs.take("clip_cosine")?);
        let rows = omega.outer_iter().zip(clip_cosine.outer_iter());
        Ok(rows.map(|(omega, clip_cosine)| ClassScores { omega: omega.to_owned(), clip_cosine: clip_cosine.to_owned() }).collect())
    }
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
