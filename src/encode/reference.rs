//! The whole method, literally: one object, one class after the other, every intermediate kept.
//!
//! What the ONNX graph is checked against; the golden cases check this.

use std::path::Path;

use ndarray::{Array1, Array2, ArrayRef3, Axis};

use super::{DualEncoding, ImageEncoding, text::TextTower, vision::VisionTower};
use crate::{
    Result,
    attention::{image_text, inter_image, intra_image},
    combiner::Combiner,
    models::{ClipConfig, Tokenizer, Weights},
    score::{self, ClassScores},
    vocabulary::{Vocabulary, prompts},
};

/// A CLIP with its tokenizer and a combiner, in plain Rust.
#[derive(Debug)]
pub struct Reference {
    /// The CLIP folder's configuration.
    pub config: ClipConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its image tower.
    pub vision: VisionTower,
    /// Its text tower.
    pub text: TextTower,
    /// The combiner; `None` is plain CLIP: what a residual combiner is whose mlp2 is 0 in both branches.
    pub combiner: Option<Combiner>,
}

/// Every intermediate of one object's scores. T = N+1 tokens, C classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Intra-image attention, `[T]`.
    pub beta_target: Array1<f32>,
    /// Inter-image attention, `[T]`.
    pub beta_background: Array1<f32>,
    /// Image-text alignment of the target, `[C, T]`.
    pub mu_target: Array2<f32>,
    /// Image-text alignment of the background with the context texts, `[C, T]`; all 1 without context.
    pub mu_background: Array2<f32>,
    /// The target branch's `z_x` under each candidate class, `[C, D]`.
    pub z_target: Array2<f32>,
    /// The background branch's `z_(x)` under each candidate class, `[C, D]`.
    pub z_background: Array2<f32>,
    /// Ω and plain CLIP's cosines.
    pub scores: ClassScores,
}

impl Reference {
    /// Reads a CLIP folder and, unless it is plain CLIP that is wanted, a combiner.
    ///
    /// # Errors
    /// What [`ClipConfig::open`], [`Weights::open_folder`], [`Tokenizer::open`] and [`Combiner::open`] refuse.
    pub fn open(clip_dir: &Path, combiner: Option<&Path>) -> Result<Self> {
        let config = ClipConfig::open(clip_dir)?;
        let weights = Weights::open_folder(clip_dir)?;
        Ok(Self {
            tokenizer: Tokenizer::open(clip_dir, &config.text)?,
            vision: VisionTower::open(&weights, &config)?,
            text: TextTower::open(&weights, &config)?,
            combiner: combiner.map(|path| Combiner::open(path, &config)).transpose()?,
            config,
        })
    }

    /// The texts of a class list under some templates.
    ///
    /// # Errors
    /// [`crate::Error::Classes`] for an unusable list or an over-long prompt.
    pub fn vocabulary<C: AsRef<str>, T: AsRef<str>>(&self, classes: &[C], templates: &[T]) -> Result<Vocabulary> {
        let encodings = prompts(classes, templates).into_iter().map(|prompts| self.text.encode(&self.tokenizer.encode(&prompts)?));
        Vocabulary::from_templates(classes, &encodings.collect::<Result<Vec<_>>>()?)
    }

    /// Both images of an object through the image tower; RGB `[S, S, 3]` each.
    ///
    /// # Errors
    /// [`crate::Error::Frame`] where an image is not S×S×3.
    pub fn encode(&self, target: &ArrayRef3<u8>, background: &ArrayRef3<u8>) -> Result<DualEncoding> {
        Ok(DualEncoding { target: self.vision.encode(target)?, background: self.vision.encode(background)? })
    }

    /// Scores one object against a vocabulary; `has_context`: there are other objects in its frame.
    #[must_use]
    pub fn trace(&self, object: &DualEncoding, vocabulary: &Vocabulary, has_context: bool) -> Trace {
        let DualEncoding { target, background } = object;
        let beta = inter_image::beta(&target.query_cls, &background.key);
        self.trace_under(target, background, beta, vocabulary, has_context)
    }

    /// [`Reference::trace`] with `background=shared`: `frame` is the whole frame's encoding, `own` the object's patches in it, `[N]`.
    #[must_use]
    pub fn trace_shared(
        &self,
        target: &ImageEncoding,
        frame: &ImageEncoding,
        own: &[bool],
        vocabulary: &Vocabulary,
        has_context: bool,
    ) -> Trace {
        let beta = inter_image::beta_shared(&target.query_cls, &frame.key, own);
        self.trace_under(target, frame, beta, vocabulary, has_context)
    }

    fn trace_under(
        &self,
        target: &ImageEncoding,
        background: &ImageEncoding,
        beta_background: Array1<f32>,
        vocabulary: &Vocabulary,
        has_context: bool,
    ) -> Trace {
        let projection = self.vision.projection();
        let (classes, (tokens, width)) = (vocabulary.classes.len(), target.z.dim());

        let beta_target = intra_image::beta(&target.query_cls, &target.key);
        let mu_target = image_text::mu(&target.z.dot(&projection.t()), &vocabulary.text);
        let mu_background = if has_context {
            image_text::mu(&background.z.dot(&projection.t()), &vocabulary.context_text)
        } else {
            image_text::mu_without_context(classes, tokens)
        };

        let mut z_target = Array2::zeros((classes, width));
        let mut z_background = Array2::zeros((classes, width));
        for class in 0..classes {
            match &self.combiner {
                Some(combiner) => {
                    z_target.row_mut(class).assign(&combiner.target(&target.z, &beta_target, &mu_target.row(class)));
                    z_background.row_mut(class).assign(&combiner.background(&background.z, &beta_background, &mu_background.row(class)));
                }
                None => z_target.row_mut(class).assign(&target.z.index_axis(Axis(0), 0)),
            }
        }

        let scores = ClassScores {
            omega: score::omega(&z_target, &z_background, projection, &vocabulary.text),
            clip_cosine: score::clip_cosine(&target.z.row(0), projection, &vocabulary.text),
        };
        Trace { beta_target, beta_background, mu_target, mu_background, z_target, z_background, scores }
    }
}
