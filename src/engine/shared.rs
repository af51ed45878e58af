//! `background=shared`: a frame through the tower once, whatever batches its objects fall into.
//!
//! A frame's encoding stays with the frame, so it lives as long as its objects wait, and as many are in memory as frames are
//! under way.

use std::{collections::HashMap, num::NonZero, ptr, sync::Arc};

use ndarray::{Array1, Array2, Array3, Array4, ArrayView1, Axis};

use super::{
    EngineConfig, Session, cache,
    ending::Terminator,
    task::{FrameTask, ObjectTask},
    tower::{FrameEncoding, Tower},
};
use crate::{
    Error, Result,
    graph::{self, port},
    pair::{PairSpec, View},
    score::ClassScores,
    vocabulary::Vocabulary,
};

/// The tower and what brings frames and targets together.
pub(super) struct SharedEncoder {
    tower: Tower,
    heads: Heads,
    /// What is left of a frame where a box leaves nothing.
    blank: FrameEncoding,
    spec: PairSpec,
}

/// Heads without a shortlist and with one, each loaded when it is asked for.
struct Heads {
    config: EngineConfig,
    terminator: Terminator,
    all: Option<Session>,
    listed: Option<Session>,
}

/// Objects of a batch.
pub(super) struct Rows<'a> {
    pub(super) tasks: &'a [ObjectTask],
    /// `[O, S, S, 3]`.
    pub(super) target: &'a [u8],
    /// `[O]`.
    pub(super) views: &'a [View],
    /// `[O]`.
    pub(super) has_context: &'a [f32],
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) shortlist: Option<NonZero<usize>>,
}

impl SharedEncoder {
    /// Builds the set's graphs, or takes them from the cache, and loads the tower.
    pub(super) fn open(config: &EngineConfig, terminator: Terminator) -> Result<Self> {
        let clip = &config.models.clip;
        let spec = PairSpec::new(clip.vision.image_size, clip.image_mean);
        let mut tower = Tower::open(config)?.with_session(|session| session.ended_by(&terminator));
        let blank = tower.frames(&spec.blank())?.pop().ok_or_else(nothing)?;
        Ok(Self { tower, heads: Heads { config: config.clone(), terminator, all: None, listed: None }, blank, spec })
    }

    /// The scores of a batch, row by row.
    pub(super) fn scores(&mut self, rows: &Rows<'_>) -> Result<Vec<ClassScores>> {
        self.encode_frames(rows)?;
        let targets = self.tower.targets(rows.target)?;
        // Row 0 of what frames give is the blank one, where a row wants it.
        let mut encodings: Vec<&FrameEncoding> = Vec::new();
        let mut places: HashMap<*const FrameEncoding, i64> = HashMap::new();
        let mut frame = Vec::with_capacity(rows.tasks.len());
        let mut hidden = Array2::zeros(targets.beta.dim());
        for ((task, view), mut hidden) in rows.tasks.iter().zip(rows.views).zip(hidden.rows_mut()) {
            let encoding = match view {
                View::Blank => &self.blank,
                View::Frame(own) => {
                    for (hidden, own) in hidden.iter_mut().skip(1).zip(own) {
                        *hidden = f32::from(u8::from(*own));
                    }
                    task.frame.encoding().ok_or_else(nothing)?
                }
            };
            let place = *places.entry(ptr::from_ref(encoding)).or_insert_with(|| {
                encodings.push(encoding);
                i64::try_from(encodings.len() - 1).expect("a batch is small")
            });
            frame.push(place);
        }
        let (tokens, key) = stacked(&encodings);
        let frame = Array1::from(frame);
        let count = rows.shortlist.map(|count| [i64::try_from(count.get()).unwrap_or(i64::MAX)]);
        let mut inputs = vec![
            (port::TOKENS_TARGET, targets.tokens.view().into()),
            (port::BETA_TARGET, targets.beta.view().into()),
            (port::QUERY_CLS, targets.query_cls.view().into()),
            (port::TOKENS_FRAME, tokens.view().into()),
            (port::KEY_FRAME, key.view().into()),
            (port::FRAME, frame.view().into()),
            (port::HIDDEN, hidden.view().into()),
            (port::HAS_CONTEXT, ArrayView1::from(rows.has_context).into()),
            (port::TEXT, rows.vocabulary.text.view().into()),
            (port::CONTEXT_TEXT, rows.vocabulary.context_text.view().into()),
        ];
        inputs.extend(count.as_ref().map(|count| (port::SHORTLIST, ArrayView1::from(count).into())));
        ClassScores::of_rows(self.heads.session(count.is_some())?.run(&inputs)?)
    }

    /// Encodes those frames of the batch that no batch before it had objects of.
    fn encode_frames(&mut self, rows: &Rows<'_>) -> Result<()> {
        let mut new: Vec<&Arc<FrameTask>> = Vec::new();
        for (task, _) in rows.tasks.iter().zip(rows.views).filter(|(_, view)| matches!(view, View::Frame(_))) {
            if task.frame.encoding().is_none() && !new.iter().any(|known| Arc::ptr_eq(known, &task.frame)) {
                new.push(&task.frame);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let mut levels = Vec::with_capacity(new.len() * self.spec.bytes());
        for frame in &new {
            levels.extend_from_slice(frame.whole().ok_or_else(nothing)?);
        }
        for (frame, encoding) in new.into_iter().zip(self.tower.frames(&levels)?) {
            frame.encoded(encoding);
        }
        Ok(())
    }
}

impl Heads {
    fn session(&mut self, shortlist: bool) -> Result<&mut Session> {
        let kept = if shortlist { &mut self.listed } else { &mut self.all };
        if kept.is_none() {
            let models = &self.config.models;
            let kind = if shortlist { "heads-shortlist" } else { "heads" };
            let mut sources = cache::clip_sources(&models.clip_dir());
            sources.extend(models.combiner_path());
            let path = cache::graph(self.config.cache_dir.as_deref(), kind, &sources, |path| graph::write_heads(models, shortlist, path))?;
            let (_, device) = self.config.precision.on(&self.config.device)?;
            *kept =
                Some(Session::from_file("encode", &path, &device.uncompiled(), self.config.session_threads())?.ended_by(&self.terminator));
        }
        kept.as_mut().ok_or_else(nothing)
    }
}

/// z `[F, T, D]` and keys `[F, L, T, D]`.
fn stacked(encodings: &[&FrameEncoding]) -> (Array3<f32>, Array4<f32>) {
    let (layers, tokens, width) = encodings.first().map_or((0, 0, 0), |first| first.key.dim());
    let mut z = Array3::zeros((encodings.len(), tokens, width));
    let mut keys = Array4::zeros((encodings.len(), layers, tokens, width));
    for (row, encoding) in encodings.iter().enumerate() {
        z.index_axis_mut(Axis(0), row).assign(&encoding.tokens);
        keys.index_axis_mut(Axis(0), row).assign(&encoding.key);
    }
    (z, keys)
}

/// A frame of the batch was not prepared or gave nothing.
fn nothing() -> Error {
    Error::Inference { stage: "encode", problem: "a frame of the batch has no encoding; use background=exact".to_owned() }
}
