//! From repositories to a model set on disk: all of it, or nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    News, Watch,
    catalog::DetectorForm,
    hub::{Fetched, Hub, Snapshot},
    repository::{RepositoryId, Revision},
    transformers::{self, Kind},
};
use crate::{
    Error, Result,
    models::{MANIFEST, Manifest, ModelSet, SCHEMA, check_classes, default_templates},
    tune::check_out,
    whole,
};

const CLIP: &str = "clip";
const CARD: &str = "README.md";

/// Files that are larger get a second name in place of a copy: weights, which nobody edits.
const EDITED: u64 = 16 << 20;

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
    pub(super) detector: Option<(Source, DetectorForm)>,
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
    let mut clip = Part::describe(hub, &wanted.clip, Some(Kind::Clip), watch)?;
    let mut detector = match &wanted.detector {
        None => None,
        Some((source, DetectorForm::Owlv2)) => Some(Part::describe(hub, source, Some(Kind::Owlv2), watch)?),
        Some((source, DetectorForm::RfDetr)) => Some(Part::describe(hub, source, None, watch)?),
    };
    clip.files.extend(transformers::weights(hub, &clip.snapshot, watch)?);
    if let (Some(part), Some((_, form))) = (&mut detector, &wanted.detector) {
        part.files.extend(match form {
            DetectorForm::Owlv2 => transformers::weights(hub, &part.snapshot, watch)?,
            DetectorForm::RfDetr => vec![hub.fetch(&part.snapshot, form.file(), watch)?],
        });
    }
    let manifest = manifest(wanted, &clip, detector.as_ref());
    let sources: Vec<PulledSource> = [Some(&clip), detector.as_ref()].into_iter().flatten().map(Part::source).collect();
    whole::folder(out, |folder| {
        clip.place(&folder.join(CLIP))?;
        match (&detector, &wanted.detector) {
            (Some(part), Some((_, DetectorForm::Owlv2))) => part.place(&folder.join(DetectorForm::Owlv2.name()))?,
            (Some(part), Some((_, DetectorForm::RfDetr))) => {
                for file in &part.files {
                    place(&file.path, &folder.join(DetectorForm::RfDetr.name()))?;
                }
            }
            _ => {}
        }
        let text = serde_json::to_string_pretty(&manifest).expect("a manifest is plain data");
        write(&folder.join(MANIFEST), &(text + "\n"))?;
        write(&folder.join(CARD), &card(wanted, &sources))?;
        if wanted.detector.is_none() {
            // What was written reads back as a set.
            ModelSet::open(folder)?;
        }
        Ok(())
    })?;
    Ok(Pulled { sources, manifest })
}

/// A repository under way.
struct Part {
    snapshot: Snapshot,
    licence: String,
    files: Vec<Fetched>,
}

impl Part {
    /// Everything but what is large, and what there is to be told of it before that comes; a `kind` of `None` is one file.
    fn describe(hub: &Hub, source: &Source, kind: Option<Kind>, watch: &mut Watch<'_>) -> Result<Self> {
        let snapshot = hub.resolve(&source.repository, &source.revision, watch)?;
        let files = kind.map_or(Ok(Vec::new()), |kind| transformers::describe(hub, &snapshot, kind, watch))?;
        let licence = source.licence.clone().or_else(|| transformers::licence(&files));
        let licence = licence.unwrap_or_else(|| "not named by the repository".to_owned());
        watch(News::Source { repository: source.repository.as_str(), commit: &snapshot.commit, licence: &licence })?;
        Ok(Self { snapshot, licence, files })
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

    /// Puts the files into a folder.
    fn place(&self, folder: &Path) -> Result<()> {
        fs::create_dir(folder).map_err(Error::file("create", folder))?;
        self.files.iter().try_for_each(|file| place(&file.path, &folder.join(&file.name)))
    }
}

impl DetectorForm {
    /// The file of the repository, where it is one.
    const fn file(self) -> &'static str {
        match self {
            Self::Owlv2 => "model.safetensors",
            Self::RfDetr => "onnx/model.onnx",
        }
    }

    /// What it is called in the set.
    const fn name(self) -> &'static str {
        match self {
            Self::Owlv2 => "owlv2",
            Self::RfDetr => "rf-detr.onnx",
        }
    }

    /// What the manifest says of it.
    fn manifest(self) -> Value {
        let layout = match self {
            Self::Owlv2 => "owlv2",
            Self::RfDetr => "rf-detr",
        };
        json!({"file": self.name(), "layout": layout, "labels": []})
    }
}

/// From the cache into a set.
fn place(cached: &Path, to: &Path) -> Result<()> {
    let large = fs::metadata(cached).map_err(Error::file("read", cached))?.len() > EDITED;
    if large { whole::take_over(cached, to) } else { fs::copy(cached, to).map(drop).map_err(Error::file("write", to)) }
}

fn manifest(wanted: &Wanted, clip: &Part, detector: Option<&Part>) -> Value {
    let licence = match detector {
        None => clip.licence.clone(),
        Some(detector) => format!("CLIP: {}; detector: {}", clip.licence, detector.licence),
    };
    let manifest = Manifest {
        schema: SCHEMA.to_owned(),
        name: wanted.name.clone(),
        licence,
        clip: PathBuf::from(CLIP),
        combiner: None,
        classes: wanted.classes.clone(),
        templates: default_templates(),
        threshold: wanted.threshold,
        detector: None,
    };
    let mut manifest = serde_json::to_value(manifest).expect("a manifest is plain data");
    if let Some((_, form)) = &wanted.detector {
        manifest["detector"] = form.manifest();
    }
    manifest
}

/// Where the set comes from, for people.
fn card(wanted: &Wanted, sources: &[PulledSource]) -> String {
    let mut text = format!(
        "# {}\n\nPlain CLIP, without a combiner. The threshold {} is a place to start from: `uniood calibrate` sets one that is measured, `uniood \
         tune` trains a combiner.\n\n| from | commit | licence |\n|---|---|---|\n",
        wanted.name, wanted.threshold
    );
    for source in sources {
        text += &format!("| {} | {} | {} |\n", source.repository, source.commit, source.licence);
    }
    text
}

fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).map_err(Error::file("write", path))
}
