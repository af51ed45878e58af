//! `calibration.json` of a model set (`uniood.calibration/1`); the form lives in this file alone.

use std::{collections::BTreeMap, io::Write, path::Path};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, models::read_text, verdict::Calibration, whole};

/// The version of the form.
pub const SCHEMA: &str = "uniood.calibration/1";

/// The file's name in a model set's folder.
pub const FILE: &str = "calibration.json";

/// Thresholds and the distribution of ID scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// The model set's name.
    pub model: String,
    /// [`crate::models::ModelSet::fingerprint`] of the set: of everything that scores depend on.
    pub fingerprint: String,
    /// The version of uniood that wrote it.
    pub uniood: String,
    /// Where the objects come from, as the user named it.
    pub data: String,
    /// The share of ID objects that is kept.
    pub keep: f64,
    /// How many were seen.
    pub objects: usize,
    /// How many of them are independent of one another: the guarantee is as sure as those make it. Of footage alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub independent: Option<usize>,
    /// δ.
    pub threshold: f32,
    /// δ of objects whose nearest class this is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub per_class: BTreeMap<String, Group>,
    /// δ of a stream; before that of a class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub per_stream: BTreeMap<String, Group>,
    /// Evenly spaced quantiles of the scores, from the lowest to the highest.
    pub quantiles: Vec<f32>,
}

/// A class or a stream.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// How many objects of it were seen.
    pub objects: usize,
    /// Its δ.
    pub threshold: f32,
}

impl Document {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, [`Error::Content`] or [`Error::ModelSet`] where it is not what it should be.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let document: Self = serde_json::from_str(&text)
            .map_err(|error| Error::content(path, format!("not a calibration: {error}; write it again with `uniood calibrate`")))?;
        document.check(path)?;
        Ok(document)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let wrong = |key: &str, found: String, wanted: &str| Err(Error::model_set(path, key, found, wanted));
        if self.schema != SCHEMA {
            return wrong("schema", format!("`{}`", self.schema), "`uniood.calibration/1`; a newer file needs a newer uniood");
        }
        if !(self.keep > 0.0 && self.keep < 1.0) {
            return wrong("keep", self.keep.to_string(), "a share above 0 and below 1");
        }
        let groups = self.per_class.values().chain(self.per_stream.values()).map(|group| group.threshold);
        if let Some(bad) = groups.chain([self.threshold]).find(|threshold| !threshold.is_finite()) {
            return wrong("threshold", bad.to_string(), "a number");
        }
        Calibration::new(self.quantiles.clone()).map(drop).map_err(|error| Error::content(path, error.to_string()))
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("a calibration is plain data") + "\n"
    }

    /// Writes it as `path`, whole or not at all.
    ///
    /// # Errors
    /// As [`whole::replace`].
    pub fn write(&self, path: &Path) -> Result<()> {
        whole::replace(path, |file| file.write_all(self.to_text().as_bytes()))
    }

    /// δ in a stream.
    #[must_use]
    pub fn threshold_of(&self, stream: &str) -> f32 {
        self.per_stream.get(stream).map_or(self.threshold, |group| group.threshold)
    }

    /// What verdicts of a stream need of it; `thresholds` leaves out those of classes, where the user named one for all.
    #[must_use]
    pub fn calibration(&self, stream: &str, thresholds: bool) -> Calibration {
        let calibration = Calibration::new(self.quantiles.clone()).expect("checked when it was read or made");
        if !thresholds || self.per_stream.contains_key(stream) {
            return calibration;
        }
        calibration.with_thresholds(self.per_class.iter().map(|(class, group)| (class.as_str().into(), group.threshold)).collect())
    }
}
