//! An OWLv2 that is asked for classes at boxes.

use std::path::Path;

use ndarray::{Array2, ArrayViewD};

use super::{Detector, EngineConfig};
use crate::{
    Error, Result,
    detect::agreement,
    frame::Frame,
    geometry::BBox,
    models::{DetectorManifest, Layout},
};

/// What a class is asked for with.
const PROMPT: &str = "a photo of a {}";

/// An open-vocabulary detector ready to be asked.
pub struct OpenVocabulary(Detector);

impl OpenVocabulary {
    /// The Hugging Face folder of an OWLv2, to be asked for `classes`.
    ///
    /// # Errors
    /// Whatever a folder or a device can be wrong in.
    pub fn open(config: &EngineConfig, dir: &Path, classes: &[String]) -> Result<Self> {
        if !dir.is_dir() {
            let problem = "no folder: an open-vocabulary detector is the Hugging Face folder of an OWLv2 (config.json, model.safetensors)";
            return Err(Error::content(dir, problem));
        }
        let manifest = DetectorManifest {
            layout: Some(Layout::Owlv2),
            labels: classes.to_vec(),
            prompt: Some(PROMPT.to_owned()),
            ..DetectorManifest::default()
        };
        Detector::of(config, dir, &manifest).map(Self)
    }

    /// How sure it is of each class at each box of a frame, `[B, K]`; 0 where it has no box of its own.
    ///
    /// # Errors
    /// [`Error::Inference`] where the run fails or gives another shape.
    pub fn agreement(&mut self, frame: &Frame<'_>, boxes: &[BBox]) -> Result<Array2<f32>> {
        let (mappings, outputs) = self.0.outputs(&[frame])?;
        let views: Vec<ArrayViewD<'_, f32>> = outputs.iter().map(|output| output.view()).collect();
        agreement(&views, &mappings[0], self.0.spec(), boxes)
    }
}
