//! An OWLv2 folder as a detector: its graph from the cache, its texts computed once.

use std::path::Path;

use ndarray::Array2;

use super::{EngineConfig, Session, cache, tensorrt::Plan, texts};
use crate::{
    Error, Result,
    detect::DetectorSpec,
    graph,
    models::{DetectorManifest, Owlv2Config, Tokenizer, check_classes},
    score::unit_rows,
    vocabulary::prompts,
};

/// The detector's session, what it takes and gives, and the texts it looks for (`prompt`), if it does: the manifest's labels,
/// or else the set's classes.
pub(super) fn open(config: &EngineConfig, dir: &Path, manifest: &DetectorManifest) -> Result<(Session, DetectorSpec, Option<Array2<f32>>)> {
    if manifest.scores.is_some() || manifest.normalize.is_some() || manifest.resize.is_some() {
        return Err(Error::model_set(
            dir,
            "detector",
            "one with resize, scores or normalize",
            "neither: layout `owlv2` has no choice there",
        ));
    }
    let model = Owlv2Config::open(dir)?;
    let (labels, queries) = match &manifest.prompt {
        Some(prompt) => {
            let labels = if manifest.labels.is_empty() { &config.models.manifest.classes } else { &manifest.labels };
            (labels.as_slice(), Some(queries(config, dir, &model, prompt, labels)?))
        }
        None if manifest.labels.is_empty() => (&[][..], None),
        None => {
            let wanted = "none, or `prompt` beside them: a text with `{}` where the name goes";
            return Err(Error::model_set(dir, "labels", format!("{} names", manifest.labels.len()), wanted));
        }
    };
    let names = queries.is_some();
    let kind = if names { "owlv2-names" } else { "owlv2" };
    let path =
        cache::graph(config.cache_dir.as_deref(), kind, &cache::clip_sources(dir), |path| graph::write_owlv2(dir, &model, names, path))?;
    let plan = Plan::of_detector(config, queries.as_ref().map_or(1, Array2::nrows));
    let session = Session::planned("detect", &path, &config.device, config.detector_threads(), &plan)?;
    Ok((session, DetectorSpec::owlv2(&model, labels), queries))
}

/// The texts' embeddings by the detector's own text tower, of unit length, `[K, E]`.
fn queries(config: &EngineConfig, dir: &Path, model: &Owlv2Config, prompt: &str, labels: &[String]) -> Result<Array2<f32>> {
    check_classes(labels)?;
    let tokens = Tokenizer::open(dir, &model.clip.text)?.encode(&prompts(labels, &[prompt]).remove(0))?;
    let sources = cache::clip_sources(dir);
    let path = cache::graph(config.cache_dir.as_deref(), "owlv2-text", &sources, |path| graph::write_owlv2_text(dir, model, path))?;
    let mut session = Session::from_file("text", &path, &config.device.uncompiled(), config.detector_threads())?;
    Ok(unit_rows(&texts::encoded(&mut session, &tokens)?.text_embedding))
}
