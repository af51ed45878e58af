//! From the scores of known objects to thresholds. `Known* ─▶ Document`.

use std::collections::BTreeMap;

use super::{
    Known,
    document::{Document, Group, SCHEMA},
    quantile::{conformal, least_objects, table},
};
use crate::{Error, Result, models::ModelSet};

/// What to calibrate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The share of ID objects that is kept, above 0 and below 1.
    pub keep: f64,
    /// A threshold for each nearest class that has enough objects.
    pub per_class: bool,
    /// A threshold for each stream that has enough objects.
    pub per_stream: bool,
}

/// Thresholds from known objects of `models`; `data` says in the file where they come from.
///
/// # Errors
/// [`Error::Setting`] for a share that is none and for fewer objects than [`least_objects`].
pub fn fit(known: &[Known], plan: &Plan, models: &ModelSet, data: &str) -> Result<Document> {
    let keep = plan.keep;
    if !(keep > 0.0 && keep < 1.0) {
        return Err(Error::Setting(format!("a share of {keep} cannot be kept; wanted one above 0 and below 1, such as 0.95")));
    }
    let scores: Vec<f32> = known.iter().map(|object| object.omega).collect();
    let Some(threshold) = conformal(&scores, keep) else {
        let (found, least) = (scores.len(), least_objects(keep));
        return Err(Error::Setting(format!(
            "{found} known objects are too few to keep {:.1} % of new ones for certain; it takes {least}, so bring more, or keep less with --keep",
            keep * 100.0
        )));
    };
    let groups = |wanted: bool, name: fn(&Known) -> Option<&str>| {
        let mut scores: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
        for object in known.iter().filter(|_| wanted) {
            if let Some(name) = name(object) {
                scores.entry(name).or_default().push(object.omega);
            }
        }
        let group = |(name, scores): (&str, Vec<f32>)| {
            Some((name.to_owned(), Group { objects: scores.len(), threshold: conformal(&scores, keep)? }))
        };
        scores.into_iter().filter_map(group).collect()
    };
    Ok(Document {
        schema: SCHEMA.to_owned(),
        model: models.manifest.name.clone(),
        fingerprint: models.fingerprint()?,
        uniood: env!("CARGO_PKG_VERSION").to_owned(),
        data: data.to_owned(),
        keep,
        objects: scores.len(),
        independent: None,
        threshold,
        per_class: groups(plan.per_class, |object| Some(&object.nearest)),
        per_stream: groups(plan.per_stream, |object| object.stream.as_deref()),
        quantiles: table(&scores),
    })
}
