//! What an evaluation needs of the class list and of negative words: computed before the first picture.

use ndarray::{Array1, Array2};

use super::methods::farthest;
use crate::{
    Error, Result,
    engine::{EngineConfig, text_encodings},
    models::Weights,
    tune::texts,
    vocabulary::{Vocabulary, mean_text},
};

/// The class list's texts and P.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) vocabulary: Vocabulary,
    /// P, `[E, D]`.
    pub(super) projection: Array2<f32>,
}

impl Words {
    pub(super) fn open(config: &EngineConfig, classes: &[String]) -> Result<Self> {
        let models = &config.models;
        let projection = texts::projection(&Weights::open_folder(&models.clip_dir())?, models)?;
        Ok(Self { vocabulary: Vocabulary::from_templates(classes, &text_encodings(config, classes)?)?, projection })
    }

    /// The target's embedding P z_0 of unit length, `[E]`; `added` to z_0 first.
    pub(super) fn embedding(&self, cls: &ndarray::ArrayRef1<f32>, added: Option<&Array1<f32>>) -> Array1<f32> {
        let embedding = match added {
            Some(bias) => self.projection.dot(&(bias + &cls.view())),
            None => self.projection.dot(cls),
        };
        let length = embedding.dot(&embedding).sqrt();
        if length == 0.0 { embedding } else { embedding / length }
    }
}

/// Texts of words that are no class.
#[derive(Debug)]
pub(super) struct Negatives {
    /// Unit rows.
    pub(super) text: Array2<f32>,
    /// Those of `neg-max`.
    pub(super) farthest: Vec<usize>,
}

impl Negatives {
    /// # Errors
    /// [`Error::Setting`] where a word is a class; whatever the text tower can fail with.
    pub(super) fn open(config: &EngineConfig, list: &[String], words: &Words) -> Result<Self> {
        let classes = &words.vocabulary.classes;
        let is_class = |word: &&String| classes.iter().any(|class| class.to_lowercase() == word.trim().to_lowercase());
        if let Some(word) = list.iter().find(is_class) {
            return Err(Error::Setting(format!("`{word}` is both a class and a negative word; take it off one of the lists")));
        }
        let text = mean_text(&text_encodings(config, list)?);
        let farthest = farthest(&words.vocabulary.text, &text);
        Ok(Self { text, farthest })
    }
}
