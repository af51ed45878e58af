//! The text tower, run when the class list changes: class list to [`Vocabulary`].

use ndarray::{Axis, concatenate};

use super::{EngineConfig, Session, cache};
use crate::{
    Error, Result,
    encode::TextEncoding,
    graph,
    models::{Tokenizer, Tokens, check_classes},
    vocabulary::{Vocabulary, prompts},
};

/// Prompts a run of the tower takes at once: keeps its memory bounded on lists of thousands of classes.
const PROMPTS: usize = 64;

/// The texts of a class list.
pub(super) fn vocabulary<S: AsRef<str>>(config: &EngineConfig, classes: &[S]) -> Result<Vocabulary> {
    Vocabulary::from_templates(classes, &encodings(config, classes)?)
}

/// The text tower's outputs for a class list, one a template of the set.
///
/// The session lives for this call alone: a list changes seldom, and the tower is large.
///
/// # Errors
/// [`Error::Classes`] for an unusable list or an over-long name, and whatever building or running the graph can fail with.
pub fn encodings<S: AsRef<str>>(config: &EngineConfig, classes: &[S]) -> Result<Vec<TextEncoding>> {
    check_classes(classes)?;
    let models = &config.models;
    let tokenizer = Tokenizer::open(&models.clip_dir(), &models.clip.text)?;
    let names: Vec<&str> = classes.iter().map(|class| class.as_ref().trim()).collect();
    let tokens = prompts(&names, &models.manifest.templates).iter().map(|prompts| tokenizer.encode(prompts)).collect::<Result<Vec<_>>>()?;
    let sources = cache::clip_sources(&models.clip_dir());
    let path = cache::graph(config.cache_dir.as_deref(), "text", &sources, |path| graph::write_text(models, path))?;
    let mut session = Session::from_file("text", &path, &config.device.uncompiled(), config.encoder_threads())?;
    tokens.iter().map(|tokens| encoded(&mut session, tokens)).collect()
}

/// The text tower's outputs for prompts, some at a time.
pub(super) fn encoded(session: &mut Session, tokens: &Tokens) -> Result<TextEncoding> {
    let chunks = tokens.input_ids.axis_chunks_iter(Axis(0), PROMPTS).zip(tokens.eot.axis_chunks_iter(Axis(0), PROMPTS));
    let parts = chunks
        .map(|(input_ids, eot)| {
            let mut outputs = session.run(&[("input_ids", input_ids.into()), ("eot", eot.into())])?;
            Ok(TextEncoding {
                text_embedding: outputs.take("text_embedding")?,
                query_eot: outputs.take("query_eot")?,
                key_eot: outputs.take("key_eot")?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    joined(&parts)
}

/// Rows of several runs as if they had been one.
fn joined(parts: &[TextEncoding]) -> Result<TextEncoding> {
    let fits = |error: ndarray::ShapeError| Error::Inference { stage: "text", problem: error.to_string() };
    Ok(TextEncoding {
        text_embedding: concatenate(Axis(0), &parts.iter().map(|part| part.text_embedding.view()).collect::<Vec<_>>()).map_err(fits)?,
        query_eot: concatenate(Axis(0), &parts.iter().map(|part| part.query_eot.view()).collect::<Vec<_>>()).map_err(fits)?,
        key_eot: concatenate(Axis(0), &parts.iter().map(|part| part.key_eot.view()).collect::<Vec<_>>()).map_err(fits)?,
    })
}
