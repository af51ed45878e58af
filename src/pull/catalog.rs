//! Sets by name: which models, at which commits, under which licences, and which classes.
//!
//! A name means the same weights for ever: every revision is a commit. `-small` takes models that run on less.

use super::{RepositoryId, Revision, Source, Wanted, set::Form};
use crate::{Result, detect};

/// Below it an object is OOD in a set that nobody has calibrated: a place to start from, not a measured one.
pub const UNCALIBRATED: f32 = 0.2;

/// A set as the catalog has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its CLIP.
    pub clip: Model,
    /// Its detector.
    pub detector: Model,
    /// What that is.
    pub(super) form: Form,
    /// The in-distribution classes.
    pub classes: &'static [&'static str],
}

/// A model at a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// What people call it.
    pub name: &'static str,
    /// The repository's id.
    pub repository: &'static str,
    /// The commit.
    pub commit: &'static str,
    /// The licence of its weights.
    pub licence: &'static str,
    /// The size of its weights, where it is known without asking.
    pub bytes: Option<u64>,
}

// Both are the hub's own conversion of `main`, which has its weights pickled, to safetensors.
const CLIP_B16: Model = Model {
    name: "CLIP ViT-B/16",
    repository: "openai/clip-vit-base-patch16",
    commit: "5ef227a78de3f75873f373246dac80def63b0003",
    licence: OPENAI,
    bytes: None,
};
const CLIP_B32: Model = Model {
    name: "CLIP ViT-B/32",
    repository: "openai/clip-vit-base-patch32",
    commit: "c237dc49a33fc61debc9276459120b7eac67e7ef",
    licence: OPENAI,
    bytes: Some(605_157_884),
};
const OPENAI: &str = "MIT (of OpenAI's CLIP; the repository itself names none, and its card calls deployed use out of scope)";

const OWLV2: Model = Model {
    name: "OWLv2 base, ensemble",
    repository: "google/owlv2-base-patch16-ensemble",
    commit: "cfd3195ba4ea9592eec887ded089f4c08eff231d",
    licence: "Apache-2.0",
    bytes: None,
};
const RF_DETR: Model = Model {
    name: "RF-DETR nano",
    repository: "onnx-community/rfdetr_nano-ONNX",
    commit: "eae21cee0687a91bcf9fa071605c48d7705d2d91",
    licence: "Apache-2.0",
    bytes: Some(108_074_865),
};

/// Names as in BDD100K's labels.
const DRIVING: &[&str] = &["pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic light", "traffic sign"];

/// Names as in Pascal VOC's labels.
#[rustfmt::skip]
const VOC: &[&str] = &[
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse", "motorbike",
    "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
];

/// What a camera over a yard or a street sees on any day.
#[rustfmt::skip]
const SURVEILLANCE: &[&str] = &[
    "person", "bicycle", "motorcycle", "car", "van", "truck", "bus", "dog", "cat", "bird", "backpack", "handbag", "suitcase",
    "umbrella", "stroller",
];

const fn large(name: &'static str, classes: &'static [&'static str]) -> Entry {
    Entry { name, clip: CLIP_B16, detector: OWLV2, form: Form::Owlv2, classes }
}

const fn small(name: &'static str, classes: &'static [&'static str]) -> Entry {
    Entry { name, clip: CLIP_B32, detector: RF_DETR, form: Form::RfDetr, classes }
}

/// All of them.
pub const ENTRIES: [Entry; 8] = [
    large("driving", DRIVING),
    small("driving-small", DRIVING),
    large("voc", VOC),
    small("voc-small", VOC),
    large("coco", &detect::COCO),
    small("coco-small", &detect::COCO),
    large("surveillance", SURVEILLANCE),
    small("surveillance-small", SURVEILLANCE),
];

/// The set of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

impl Entry {
    /// The size of all weights, where it is known without asking.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        Some(self.clip.bytes? + self.detector.bytes?)
    }

    /// What is to be pulled for it: `name` is the new set's, `classes` stand in place of its own.
    ///
    /// # Errors
    /// None for what stands in the catalog.
    pub fn wanted(&self, name: &str, classes: Option<Vec<String>>) -> Result<Wanted> {
        Ok(Wanted {
            name: name.to_owned(),
            clip: self.clip.source()?,
            detector: Some((self.detector.source()?, self.form)),
            classes: classes.unwrap_or_else(|| self.classes.iter().map(|&class| class.to_owned()).collect()),
            threshold: UNCALIBRATED,
        })
    }
}

impl Model {
    fn source(&self) -> Result<Source> {
        let (repository, revision): (RepositoryId, Revision) = (self.repository.parse()?, self.commit.parse()?);
        Ok(Source { repository, revision, licence: Some(self.licence.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::check_classes;

    #[test]
    fn every_set_is_pinned_and_its_classes_are_a_list() {
        for entry in &ENTRIES {
            let wanted = entry.wanted("set", None).unwrap();
            assert!(wanted.clip.revision.is_commit() && wanted.detector.unwrap().0.revision.is_commit(), "{}", entry.name);
            check_classes(&wanted.classes).unwrap();
            assert_eq!(ENTRIES.iter().filter(|other| other.name == entry.name).count(), 1);
            assert!(find(entry.name).is_some());
        }
        assert_eq!(find("driving-small").unwrap().bytes(), Some(713_232_749));
        assert_eq!((find("driving").unwrap().bytes(), find("drive")), (None, None));
    }
}
