//! An ONNX detector with its session. `Frame* ─▶ Detection*`, frames of one run in one batch.

use std::path::Path;

use ndarray::{ArrayD, ArrayView4, Axis};

use super::{DetectorChoice, EngineConfig, Session, session::Port};
use crate::{
    Error, Result,
    detect::{Detection, DetectorSpec, Selection, decode, preprocess},
    frame::Frame,
    models::Layout,
};

/// Frames in one run of a detector whose batch is dynamic.
const FRAMES: usize = 8;

/// A detector ready to run.
pub struct Detector {
    session: Session,
    spec: DetectorSpec,
    input: String,
    output: String,
    frames: usize,
    pixels: Vec<f32>,
}

impl Detector {
    /// The detector of the configuration; `None` where boxes come from elsewhere.
    ///
    /// # Errors
    /// [`Error::Setting`] where the set has none, and whatever an ONNX file or a device can be wrong in.
    pub fn open(config: &EngineConfig) -> Result<Option<Self>> {
        let set = &config.models;
        let (path, manifest) = match &config.detector {
            DetectorChoice::Upstream | DetectorChoice::Frame => return Ok(None),
            DetectorChoice::File(path) => (path.clone(), None),
            DetectorChoice::Set => {
                let (Some(path), Some(manifest)) = (set.detector_path(), &set.manifest.detector) else {
                    return Err(Error::Setting(format!(
                        "model set `{}` has no detector; set detector to an ONNX file, to `upstream` or to `frame`",
                        set.manifest.name
                    )));
                };
                (path, Some(manifest))
            }
        };
        let session = Session::from_file("detect", &path, &config.device, config.threads)?;
        let sole = |key: &str, ports: &[Port]| match ports {
            [port] => Ok((port.name.clone(), port.shape.clone())),
            _ => Err(Error::model_set(&path, key, format!("{} of them", ports.len()), "exactly one")),
        };
        let (input, input_shape) = sole("inputs", session.inputs())?;
        let (output, output_shape) = sole("outputs", session.outputs())?;
        let frames = match input_shape.first() {
            Some(Some(1)) => 1,
            Some(Some(fixed)) => {
                return Err(Error::model_set(&path, "input", format!("{fixed} frames at once"), "1 or any number; export the detector so"));
            }
            _ => FRAMES,
        };
        let spec = match manifest {
            Some(m) => DetectorSpec::new(&path, m.layout, m.resize, &m.labels, &input_shape, &output_shape)?,
            None => recognised(&path, &input_shape, &output_shape)?,
        };
        Ok(Some(Self { session, spec, input, output, frames, pixels: Vec::new() }))
    }

    /// How many frames a run takes at most.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.frames
    }

    /// The boxes of each frame, the most confident first; at most [`Detector::frames`] of them.
    ///
    /// # Errors
    /// [`Error::Inference`] where the run fails or gives another shape.
    pub fn detect(&mut self, frames: &[(Frame<'_>, &Selection)]) -> Result<Vec<Vec<Detection>>> {
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

/// The layout whose form a file's ports have, for a file that no manifest speaks of.
fn recognised(path: &Path, input: &[Option<usize>], output: &[Option<usize>]) -> Result<DetectorSpec> {
    let layouts = [Layout::Yolox, Layout::Yolov8];
    let fitting = layouts.into_iter().find_map(|layout| DetectorSpec::new(path, layout, None, &[], input, output).ok());
    fitting.ok_or_else(|| {
        let found = format!("input {input:?} and output {output:?}");
        Error::model_set(path, "layout", found, "the form of yolox or yolov8; name another in a model set's uniood.json")
    })
}
