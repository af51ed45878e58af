//! From repositories to a model set on disk: all of it, or nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    News, Watch,
    hub::{Fetched, Hub, Snapshot},
    repository::{RepositoryId, Revision},
    transformers::{self, Kind},
};
use crate::{
    Error, Result,
    models::{MANIFEST, Manifest, ModelSet, SCHEMA, check_classes, default_templates},
    tune::{check_out, take_over},
    whole,
};

const CARD: &str = "README.md";

/// A detector that is one file, in its repository.
const ONNX: &str = "onnx/model.onnx";

/// What is fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The repository.
    pub repository: RepositoryId,
    /// Which state of it.
    pub revision: Revision,
    /// The licence of its weights; `None`: what its card names.
    pub licence: Option<String>,
}

/// A set to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its CLIP.
    pub clip: Source,
    /// Its detector.
    pub(super) detector: Option<(Source, Form)>,
    /// The in-distribution classes.
    pub classes: Vec<String>,
    /// δ.
    pub threshold: f32,
}

/// What was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    /// Where what is in it comes from.
    pub sources: Vec<PulledSource>,
    /// Its manifest.
    pub manifest: Value,
}

/// A repository that was fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledSource {
    /// Its id.
    pub repository: String,
    /// What was asked for.
    pub revision: String,
    /// The commit that this is.
    pub commit: String,
    /// The licence of its weights.
    pub licence: String,
    /// Its files that are in the set.
    pub files: Vec<String>,
}

impl Wanted {
    /// A set of any CLIP, without a detector.
    #[must_use]
    pub fn clip(name: &str, clip: Source, classes: Vec<String>, threshold: f32) -> Self {
        Self { name: name.to_owned(), clip, detector: None, classes, threshold }
    }
}

/// Fetches what a set needs and writes it as the folder `out`, which must not be there yet.
///
/// # Errors
/// [`Error::Hub`] for what the hub does not give; what was fetched of it is kept, and gone on with the next time. [`Error::Content`] where
/// `out` is taken, or a file is not what it should be; [`Error::File`] where something cannot be written; `watch`'s own.
pub fn pull(hub: &Hub, wanted: &Wanted, out: &Path, watch: &mut Watch<'_>) -> Result<Pulled> {
    check_out(out)?;
    check_classes(&wanted.classes)?;
    let mut parts = vec![Part::describe(hub, &wanted.clip, Form::Clip, watch)?];
    if let Some((source, form)) = &wanted.detector {
        parts.push(Part::describe(hub, source, *form, watch)?);
    }
    for part in &mut parts {
        part.fetch_weights(hub, watch)?;
    }
    let manifest = manifest(wanted, &parts);
    let sources: Vec<PulledSource> = parts.iter().map(Part::source).collect();
    whole::folder(out, |folder| {
        parts.iter().try_for_each(|part| part.place(folder))?;
        let text = serde_json::to_string_pretty(&manifest).expect("a manifest is plain data");
        write(&folder.join(MANIFEST), &(text + "\n"))?;
        write(&folder.join(CARD), &card(wanted, &sources))?;
        // What was written reads back as a set.
        ModelSet::open(folder).map(drop)
    })?;
    Ok(Pulled { sources, manifest })
}

/// What a repository is, and becomes in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A folder of transformers.
    Clip,
    /// A folder of transformers, `layout: owlv2`.
    Owlv2,
    /// One ONNX file, RF-DETR as transformers puts it out: `layout: detr`.
    RfDetr,
}

impl Form {
    /// The folder that it is, if it is one.
    const fn kind(self) -> Option<Kind> {
        match self {
            Self::Clip => Some(Kind::Clip),
            Self::Owlv2 => Some(Kind::Owlv2),
            Self::RfDetr => None,
        }
    }

    /// What it is called in the set.
    const fn name(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::Owlv2 => "owlv2",
            Self::RfDetr => "rf-detr.onnx",
        }
    }

    /// What the manifest says of a detector.
    fn detector(self) -> Option<Value> {
        let file = self.name();
        match self {
            Self::Clip => None,
            Self::Owlv2 => Some(json!({"file": file, "layout": "owlv2", "labels": []})),
            Self::RfDetr => Some(
                json!({"file": file, "layout": "detr", "resize": "stretch", "labels": [], "scores": "sigmoid", "normalize": "imagenet"}),
            ),
        }
    }
}

/// A repository under way.
struct Part {
    form: Form,
    snapshot: Snapshot,
    licence: String,
    files: Vec<Fetched>,
}

impl Part {
    /// Everything but what is large, and what there is to be told of it before that comes.
    fn describe(hub: &Hub, source: &Source, form: Form, watch: &mut Watch<'_>) -> Result<Self> {
        let snapshot = hub.resolve(&source.repository, &source.revision, watch)?;
        let files = form.kind().map_or(Ok(Vec::new()), |kind| transformers::describe(hub, &snapshot, kind, watch))?;
        let licence = source.licence.clone().or_else(|| transformers::licence(&files));
        let licence = licence.unwrap_or_else(|| "not named by the repository".to_owned());
        watch(News::Source { repository: source.repository.as_str(), commit: &snapshot.commit, licence: &licence })?;
        Ok(Self { form, snapshot, licence, files })
    }

    fn fetch_weights(&mut self, hub: &Hub, watch: &mut Watch<'_>) -> Result<()> {
        self.files.extend(match self.form {
            Form::Clip | Form::Owlv2 => transformers::weights(hub, &self.snapshot, watch)?,
            Form::RfDetr => vec![hub.fetch(&self.snapshot, ONNX, watch)?],
        });
        Ok(())
    }

    fn source(&self) -> PulledSource {
        PulledSource {
            repository: self.snapshot.repository.to_string(),
            revision: self.snapshot.revision.to_string(),
            commit: self.snapshot.commit.clone(),
            licence: self.licence.clone(),
            files: self.files.iter().map(|file| file.name.clone()).collect(),
        }
    }

    /// Puts it into a set.
    fn place(&self, set: &Path) -> Result<()> {
        let to = set.join(self.form.name());
        if self.form.kind().is_none() {
            return self.files.iter().try_for_each(|file| take_over(&file.path, &to));
        }
        fs::create_dir(&to).map_err(Error::file("create", &to))?;
        self.files.iter().try_for_each(|file| take_over(&file.path, &to.join(&file.name)))
    }
}

fn manifest(wanted: &Wanted, parts: &[Part]) -> Value {
    let licence = match parts {
        [clip] => clip.licence.clone(),
        parts => parts.iter().map(|part| format!("{}: {}", part.form.name(), part.licence)).collect::<Vec<_>>().join("; "),
    };
    let manifest = Manifest {
        schema: SCHEMA.to_owned(),
        name: wanted.name.clone(),
        licence,
        clip: PathBuf::from(Form::Clip.name()),
        combiner: None,
        classes: wanted.classes.clone(),
        templates: default_templates(),
        threshold: wanted.threshold,
        detector: None,
    };
    // By way of its text, where the threshold is as short as it was typed.
    let text = serde_json::to_string(&manifest).expect("a manifest is plain data");
    let mut manifest: Value = serde_json::from_str(&text).expect("what was written as JSON is JSON");
    if let Some(detector) = parts.iter().find_map(|part| part.form.detector()) {
        manifest["detector"] = detector;
    }
    manifest
}

/// Where the set comes from, for people.
fn card(wanted: &Wanted, sources: &[PulledSource]) -> String {
    let rows: Vec<String> =
        sources.iter().map(|source| format!("| {} | {} | {} |\n", source.repository, source.commit, source.licence)).collect();
    format!(
        "# {}\n\nPlain CLIP, without a combiner. The threshold {} is a place to start from: `uniood calibrate` sets one that is measured, `uniood \
         tune` trains a combiner.\n\n| from | commit | licence |\n|---|---|---|\n{}",
        wanted.name,
        wanted.threshold,
        rows.concat()
    )
}

fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).map_err(Error::file("write", path))
}
