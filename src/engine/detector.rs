//! An ONNX detector with its session. `Frame* ─▶ Detection*`, frames of one run in one batch.

use std::path::PathBuf;

use ndarray::{ArrayD, ArrayView4, Axis};

use super::{DetectorChoice, EngineConfig, Session, session::Port};
use crate::{
    Error, Result,
    detect::{Detection, DetectorSpec, Selection, decode, preprocess},
    frame::Frame,
    models::{DetectorManifest, Layout},
};

/// Frames in one run of a detector whose batch is dynamic.
const FRAMES: usize = 8;

/// A detector ready to run.
pub(super) struct Detector {
    session: Session,
    spec: DetectorSpec,
    input: String,
    output: String,
    frames: usize,
    pixels: Vec<f32>,
}

impl Detector {
    /// The detector of the configuration; `None` where boxes come from elsewhere.
    pub(super) fn open(config: &EngineConfig) -> Result<Option<Self>> {
        let set = &config.models;
        let of_set = set.manifest.detector.as_ref();
        let (path, manifest) = match &config.detector {
            DetectorChoice::Upstream | DetectorChoice::Frame => return Ok(None),
            DetectorChoice::Set => {
                let (Some(path), Some(manifest)) = (set.detector_path(), of_set) else {
                    return Err(Error::Setting(format!(
                        "model set `{}` has no detector; set detector to an ONNX file, to `upstream` or to `frame`",
                        set.manifest.name
                    )));
                };
                (path, manifest.clone())
            }
            DetectorChoice::File(path) => (path.clone(), of_set.cloned().unwrap_or_else(|| plain_yolox(path.clone()))),
        };
        let session = Session::from_file("detect", &path, &config.device, config.threads)?;
        let ports = |ports: &[Port]| match ports {
            [port] => Some((port.name.clone(), port.shape.clone())),
            _ => None,
        };
        let wanted = |key: &str, found: usize| Error::model_set(&path, key, format!("{found} of them"), "exactly one");
        let (input, input_shape) = ports(session.inputs()).ok_or_else(|| wanted("inputs", session.inputs().len()))?;
        let (output, output_shape) = ports(session.outputs()).ok_or_else(|| wanted("outputs", session.outputs().len()))?;
        let frames = match input_shape.first() {
            Some(Some(fixed)) => *fixed,
            _ => FRAMES,
        };
        if input_shape.first() == Some(&Some(frames)) && frames != 1 {
            return Err(Error::model_set(&path, "input batch", frames.to_string(), "1 or dynamic; export the detector so"));
        }
        let spec = DetectorSpec::new(&path, manifest.layout, manifest.resize, &manifest.labels, &input_shape, &output_shape)?;
        Ok(Some(Self { session, spec, input, output, frames, pixels: Vec::new() }))
    }

    /// How many frames a run takes at most.
    pub(super) const fn frames(&self) -> usize {
        self.frames
    }

    /// The boxes of each frame, the most confident first.
    pub(super) fn detect(&mut self, frames: &[(Frame<'_>, &Selection)]) -> Result<Vec<Vec<Detection>>> {
        let spec = &self.spec;
        self.pixels.resize(frames.len() * spec.input_len(), 0.0);
        let rows = self.pixels.chunks_exact_mut(spec.input_len());
        let mappings = frames.iter().zip(rows).map(|((frame, _), row)| preprocess(frame, spec, row)).collect::<Result<Vec<_>>>()?;
        let fits = |problem: String| Error::Inference { stage: "detect", problem };
        let input =
            ArrayView4::from_shape((frames.len(), 3, spec.height, spec.width), &self.pixels).map_err(|error| fits(error.to_string()))?;
        let output: ArrayD<f32> = self.session.run(&[(&self.input, input.into())])?.take(&self.output)?;
        if output.shape().first() != Some(&frames.len()) {
            return Err(fits(format!("the output has the shape {:?} for {} frames", output.shape(), frames.len())));
        }
        let outputs = output.axis_chunks_iter(Axis(0), 1);
        outputs.zip(&mappings).zip(frames).map(|((output, mapping), (_, selection))| decode(output, mapping, spec, selection)).collect()
    }
}

/// What a detector file of no model set is taken for.
fn plain_yolox(file: PathBuf) -> DetectorManifest {
    DetectorManifest { file, layout: Layout::Yolox, resize: None, labels: Vec::new() }
}
