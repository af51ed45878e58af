//! A tuned model set on disk: written beside and renamed, so that there is all of it or nothing.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use super::{Candidate, Recipe, Settings, Tuned};
use crate::{
    Error, Result,
    calibrate::{self, Document},
    combiner::Form,
    models::{DetectorManifest, MANIFEST, Manifest, ModelSet, SCHEMA},
    whole,
};

/// Names in the folder that is written.
const CLIP: &str = "clip";
const DETECTOR: &str = "detector";
const COMBINER: &str = "combiner.safetensors";
const CARD: &str = "README.md";

/// Files of a Hugging Face folder that are part of it; others (weights of other frameworks) are left where they are.
const FOLDER_FILES: [&str; 4] = ["json", "txt", "safetensors", "md"];

/// What a set was tuned from and on.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The set whose CLIP and detector it takes over.
    pub models: &'a ModelSet,
    /// The data set, as the user named it.
    pub data: &'a Path,
    /// The classes.
    pub classes: &'a [String],
    /// How it was trained.
    pub settings: &'a Settings,
    /// Where labels come from, in words, if they are not the data's own.
    pub labels: Option<&'a str>,
}

/// Whether a set could be written to `out`: it must not be there yet, or be an empty folder.
///
/// # Errors
/// [`Error::Content`] where something is in the way.
pub fn check_out(out: &Path) -> Result<()> {
    let taken = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => out.symlink_metadata().is_ok(),
    };
    if taken {
        return Err(Error::content(out, "there is something already; name a folder that is not there yet"));
    }
    Ok(())
}

/// Writes the set, named `name`, as the folder `out`.
///
/// # Errors
/// [`Error::Content`] where `out` is taken; [`Error::File`] where something cannot be read or written; then nothing is left behind.
pub fn write_set(out: &Path, name: &str, tuned: &Tuned, origin: &Origin<'_>) -> Result<()> {
    check_out(out)?;
    whole::folder(out, |folder| fill(folder, name, tuned, origin))
}

fn fill(folder: &Path, name: &str, tuned: &Tuned, origin: &Origin<'_>) -> Result<()> {
    let models = origin.models;
    let taken_over = take_over_models(models, folder)?;
    if let Some(combiner) = &tuned.combiner {
        write(&folder.join(COMBINER), &combiner.to_bytes())?;
    }
    let manifest = Manifest {
        name: name.to_owned(),
        combiner: tuned.combiner.as_ref().map(|_| COMBINER.into()),
        classes: origin.classes.to_vec(),
        threshold: tuned.threshold,
        ..taken_over
    };
    write(&folder.join(CARD), card(name, tuned, origin).as_bytes())?;
    write_manifest(folder, &manifest)?;
    // What was written reads back as a set.
    ModelSet::open(folder).map(drop)
}

/// A copy of a set with a calibration of its own as the folder `out`.
///
/// # Errors
/// As [`write_set`].
pub fn write_calibrated(out: &Path, models: &ModelSet, calibration: &Document) -> Result<()> {
    check_out(out)?;
    whole::folder(out, |folder| {
        let mut manifest = take_over_models(models, folder)?;
        if let Some(combiner) = models.combiner_path() {
            take_over(&combiner, &folder.join(COMBINER))?;
            manifest.combiner = Some(COMBINER.into());
        }
        write_manifest(folder, &manifest)?;
        calibration.write(&folder.join(calibrate::FILE))?;
        ModelSet::open(folder).map(drop)
    })
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<()> {
    let text = serde_json::to_string_pretty(manifest).expect("a manifest is plain data");
    write(&folder.join(MANIFEST), (text + "\n").as_bytes())
}

/// Takes CLIP and detector over into `folder`; the manifest that names them there.
fn take_over_models(models: &ModelSet, folder: &Path) -> Result<Manifest> {
    take_over_folder(&models.clip_dir(), &folder.join(CLIP))?;
    let detector = match (&models.manifest.detector, models.detector_path()) {
        // A folder's own name may be the CLIP's in the new set.
        (Some(detector), Some(path)) if path.is_dir() => {
            take_over_folder(&path, &folder.join(DETECTOR))?;
            Some(DetectorManifest { file: DETECTOR.into(), ..detector.clone() })
        }
        (Some(detector), Some(path)) => {
            // Its own name may be one that the new set has another file of: that one would be written through it, where it comes from.
            let free = |name: &&OsStr| ![CLIP, COMBINER, CARD, MANIFEST, calibrate::FILE].iter().any(|taken| **name == **taken);
            let file = PathBuf::from(path.file_name().filter(free).unwrap_or(OsStr::new(DETECTOR)));
            take_over(&path, &folder.join(&file))?;
            Some(DetectorManifest { file, ..detector.clone() })
        }
        _ => None,
    };
    Ok(Manifest { schema: SCHEMA.to_owned(), clip: CLIP.into(), detector, ..models.manifest.clone() })
}

/// Takes the files of a Hugging Face folder over into a new one.
fn take_over_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to).map_err(Error::file("create", to))?;
    for entry in fs::read_dir(from).map_err(Error::file("read", from))? {
        let path = entry.map_err(Error::file("read", from))?.path();
        let wanted = path.extension().is_some_and(|own| FOLDER_FILES.iter().any(|ending| own == *ending));
        if wanted && path.is_file() {
            take_over(&path, &to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// Larger files get a second name in place of a copy: weights, which nobody edits.
const EDITED: u64 = 16 << 20;

/// A second name for a large file where the file system has that, else a copy.
pub(crate) fn take_over(from: &Path, to: &Path) -> Result<()> {
    // A link to a link would point nowhere from another folder.
    let from = from.canonicalize().map_err(Error::file("read", from))?;
    let size = from.metadata().map_err(Error::file("read", &from))?.len();
    if size > EDITED && fs::hard_link(&from, to).is_ok() {
        return Ok(());
    }
    fs::copy(&from, to).map(drop).map_err(Error::file("write", to))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).map_err(Error::file("write", path))
}

/// What the set is, how it was made and what it is worth, for people.
fn card(name: &str, tuned: &Tuned, origin: &Origin<'_>) -> String {
    let Origin { models, data, classes, settings, labels } = origin;
    let mut text = format!("# {name}\n\n");
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    line(&format!("A model set of uniood, tuned from `{}` with uniood {}.\n", models.manifest.name, env!("CARGO_PKG_VERSION")));
    line("| | |\n|---|---|");
    line(&format!("| data | `{}` |", data.display()));
    if let Some(labels) = labels {
        line(&format!("| labels | {labels} |"));
    }
    line(&format!("| classes | {} |", classes.join(", ")));
    line(&format!("| shots | {} of each class, {} objects |", settings.shots, tuned.objects));
    line(&format!("| seed | {} |", settings.seed));
    line(&format!("| recipe | {} |", recipe(settings)));
    line(&format!("| licence | {} |\n", models.manifest.licence));
    line(&gained(tuned));
    line("\n## How the candidates did\n");
    line("On shots that were held out, over folds, ID against OOD. *Own class out*: an object counts as ID as it is, and as OOD as");
    line("if its class were not on the list. *Classes out*: a part of the classes was kept out of the training, and their objects are");
    line("OOD. AUROC and FPR95 are the mean of both. No object of an unknown class was looked at. The best is taken. Strength: the");
    line("share that is kept of what training adds.\n");
    line("| steps | strength | AUROC | own class out | classes out | FPR95 | |\n|---|---|---|---|---|---|---|");
    for (index, candidate) in tuned.curve.candidates.iter().enumerate() {
        let &Candidate { strength, auroc, own_class_out, classes_out, fpr95, .. } = candidate;
        let taken = if index == tuned.curve.chosen { "taken" } else { "" };
        let percent = |share: f64| format!("{:.2}", share * 100.0);
        let classes_out = classes_out.map_or_else(String::new, percent);
        let [auroc, own] = [auroc, own_class_out].map(percent);
        line(&format!("| {} | {strength} | {auroc} | {own} | {classes_out} | {:.1} | {taken} |", steps(candidate), fpr95 * 100.0));
    }
    line(&format!(
        "\nThe threshold {:.4} keeps 95 % of the held-out shots. They are few: calibrate on more objects before you rely on it.",
        tuned.threshold
    ));
    text
}

/// What was gained over plain CLIP on the held-out shots, in a sentence.
#[must_use]
pub fn gained(tuned: &Tuned) -> String {
    let curve = &tuned.curve;
    let plain = curve.candidates[0].auroc * 100.0;
    let (gain, error) = curve.gain();
    if curve.taken().steps.is_none() {
        return format!(
            "Nothing was gained over plain CLIP on the held-out shots (AUROC {plain:.2}), so the set has no combiner: it is plain CLIP with a threshold."
        );
    }
    format!(
        "Gained over plain CLIP on the held-out shots: {:+.2} ± {:.2} AUROC ({plain:.2} → {:.2}), with {}.",
        gain * 100.0,
        error * 100.0,
        curve.taken().auroc * 100.0,
        taken(curve.taken())
    )
}

fn steps(candidate: &Candidate) -> String {
    match candidate.steps {
        None => "plain CLIP".to_owned(),
        Some(0) => "0 steps, the half shift alone".to_owned(),
        Some(steps) => format!("{steps} steps"),
    }
}

fn taken(candidate: &Candidate) -> String {
    if candidate.strength < 1.0 {
        return format!("{} at strength {}", steps(candidate), candidate.strength);
    }
    steps(candidate)
}

fn recipe(settings: &Settings) -> String {
    let recipe = match settings.recipe {
        Recipe::Default => "default: half a mean shift, then mlp2 alone",
        Recipe::Paper => "paper: everything, contrastive loss",
    };
    let form = match settings.form {
        Form::Residual => "residual",
        Form::Paper => "paper",
    };
    format!("{recipe}; head of form {form}, {}", if settings.cnn { "with CNN" } else { "without CNN" })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_detector_by_any_name_is_taken_over_and_stays_what_it_is() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/no_cnn_g4_wide");
        for name in [COMBINER, MANIFEST, calibrate::FILE, CLIP, "nano.onnx"] {
            let dir = tempfile::tempdir().unwrap();
            let (set, detector) = (dir.path().join("set"), dir.path().join("detectors").join(name));
            for folder in [&set, &dir.path().join("detectors")] {
                fs::create_dir(folder).unwrap();
            }
            fs::write(&detector, "a detector").unwrap();
            let manifest = json!({
                "schema": SCHEMA, "name": "test", "licence": "MIT", "clip": golden.join("clip"), "combiner": golden.join("combiner.safetensors"),
                "classes": ["car", "bus"], "threshold": 0.1, "detector": {"file": detector},
            });
            fs::write(set.join(MANIFEST), manifest.to_string()).unwrap();
            let models = ModelSet::open(&set).unwrap();
            let calibration = Document {
                schema: calibrate::SCHEMA.to_owned(),
                model: "test".to_owned(),
                fingerprint: models.fingerprint().unwrap(),
                uniood: String::new(),
                data: String::new(),
                keep: 0.9,
                objects: 10,
                independent: None,
                threshold: 0.5,
                per_class: BTreeMap::new(),
                per_stream: BTreeMap::new(),
                quantiles: vec![0.0, 1.0],
            };
            let out = dir.path().join("out");
            write_calibrated(&out, &models, &calibration).unwrap();
            assert_eq!(fs::read(&detector).unwrap(), b"a detector", "{name}: nothing is written through another name of it");
            let written = ModelSet::open(&out).unwrap();
            assert_eq!(fs::read(written.detector_path().unwrap()).unwrap(), b"a detector", "{name}");
            assert_eq!(written.calibration, Some(calibration));
        }
    }
}
