//! Graphs of models as they lie on disk, written to a file each.

use std::path::Path;

use super::{FeatureGraph, HeadsGraph, ImageGraph, Model, Numbers, Owlv2Graph, PictureGraph, SCHEMA, TextGraph, TowerGraph, names, text};
use crate::{
    Error, Result,
    combiner::Combiner,
    models::{ModelSet, Owlv2Config, Weights},
};

/// Builds a model set's image graph, without β, and writes it to `path` (and `path.data` where it passes 2 GiB).
///
/// # Errors
/// [`Error::File`], [`Error::Content`] or [`Error::ModelSet`] for weights that are missing, broken or do not fit.
pub fn write_vision(models: &ModelSet, numbers: Numbers, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    let combiner = models.combiner_path().map(|path| Combiner::open(&path, &models.clip)).transpose()?;
    let graph =
        ImageGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights, combiner: combiner.as_ref(), betas: false };
    graph.build()?.in_numbers(numbers).write(path)
}

/// Builds a model set's image graph with a shortlist.
///
/// # Errors
/// As [`write_vision`]; [`Error::Setting`] for plain CLIP.
pub fn write_shortlist(models: &ModelSet, numbers: Numbers, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    let combiner = combiner(models)?;
    let graph = ImageGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights, combiner: Some(&combiner), betas: false };
    graph.build_with_shortlist()?.in_numbers(numbers).write(path)
}

/// Builds a model set's tower for `background=shared` and writes it to `path`.
///
/// # Errors
/// As [`write_vision`].
pub fn write_tower(models: &ModelSet, numbers: Numbers, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    TowerGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights }.build()?.in_numbers(numbers).write(path)
}

/// Builds a model set's heads for `background=shared` and writes them to `path`.
///
/// # Errors
/// As [`write_shortlist`].
pub fn write_heads(models: &ModelSet, shortlist: bool, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    let combiner = combiner(models)?;
    let graph = HeadsGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights, combiner: &combiner, betas: false };
    graph.build(shortlist)?.write(path)
}

fn combiner(models: &ModelSet) -> Result<Combiner> {
    let path = models.combiner_path().ok_or_else(|| {
        Error::Setting(
            "the set is plain CLIP, whose scores look at no background and cost nothing for a class; tune a combiner first".to_owned(),
        )
    })?;
    Combiner::open(&path, &models.clip)
}

/// Builds a model set's text graph and writes it to `path`.
///
/// # Errors
/// As [`write_vision`].
pub fn write_text(models: &ModelSet, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    TextGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights }.build()?.write(path)
}

/// Builds a model set's feature graph, with the patches' values where `values`, and writes it to `path`.
///
/// # Errors
/// As [`write_vision`].
pub fn write_features(models: &ModelSet, values: bool, numbers: Numbers, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    FeatureGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights, values }.build()?.in_numbers(numbers).write(path)
}

/// Builds a model set's graph of pictures alone and writes it to `path`.
///
/// # Errors
/// As [`write_vision`].
pub fn write_pictures(models: &ModelSet, numbers: Numbers, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(&models.clip_dir())?;
    PictureGraph { name: &models.manifest.name, clip: &models.clip, weights: &weights }.build()?.in_numbers(numbers).write(path)
}

/// Builds the graph of an OWLv2 folder, for names or for objects, and writes it to `path`.
///
/// # Errors
/// As [`write_vision`].
pub fn write_owlv2(dir: &Path, config: &Owlv2Config, names: bool, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(dir)?;
    Owlv2Graph { config, weights: &weights, names }.build()?.write(path)
}

/// Builds the text graph of an OWLv2 folder and writes it to `path`.
///
/// # Errors
/// As [`write_vision`].
pub fn write_owlv2_text(dir: &Path, config: &Owlv2Config, path: &Path) -> Result<()> {
    let weights = Weights::open_folder(dir)?;
    Model::new(text::build(&config.clip, &weights, &names::OWLV2)?, SCHEMA, "owlv2").write(path)
}
