//! A detector with its session. `Frame* ─▶ Detection*`, frames of one run in one batch.

use std::path::Path;

use ndarray::{Array2, ArrayD, ArrayView4, Axis, IxDyn};

use super::{DetectorChoice, Device, EngineConfig, Input, Session, owlv2, tensorrt::Plan};
use crate::{
    Error, Result,
    detect::{Companion, Detection, DetectorSpec, Mapping, Selection, decode, preprocess},
    frame::Frame,
    graph::port,
    models::{DetectorManifest, Layout},
};

/// Frames in one run of a detector whose batch is dynamic.
const FRAMES: usize = 8;

/// Threads of a processor that one frame keeps busy: more frames at once would take no less time each, and the first would wait for
/// the last.
const THREADS_A_FRAME: usize = 4;

/// A detector ready to run.
pub struct Detector {
    session: Session,
    spec: DetectorSpec,
    /// The texts that an OWLv2 looks for.
    queries: Option<Array2<f32>>,
    frames: usize,
    pixels: Vec<f32>,
}

impl Detector {
    /// The detector of the configuration; `None` where boxes come from elsewhere.
    ///
    /// # Errors
    /// [`Error::Setting`] where the set has none, and whatever an ONNX file, an OWLv2 folder or a device can be wrong in.
    pub fn open(config: &EngineConfig) -> Result<Option<Self>> {
        let set = &config.models;
        let (path, manifest) = match &config.detector {
            DetectorChoice::Upstream | DetectorChoice::Frame => return Ok(None),
            DetectorChoice::File(path) => (path.clone(), DetectorManifest::default()),
            DetectorChoice::Set => {
                let (Some(path), Some(manifest)) = (set.detector_path(), &set.manifest.detector) else {
                    return Err(Error::Setting(format!(
                        "model set `{}` has no detector; set detector to an ONNX file, to `upstream` or to `frame`",
                        set.manifest.name
                    )));
                };
                (path, manifest.clone())
            }
        };
        Self::of(config, &path, &manifest).map(Some)
    }

    /// The detector at a path.
    pub(super) fn of(config: &EngineConfig, path: &Path, manifest: &DetectorManifest) -> Result<Self> {
        let (session, spec, queries) = match (path.is_dir(), manifest.layout) {
            (true, None | Some(Layout::Owlv2)) => owlv2::open(config, path, manifest)?,
            (true, Some(layout)) => {
                return Err(Error::model_set(path, "file", "a folder", format!("an ONNX file for the layout `{}`", layout.name())));
            }
            (false, Some(Layout::Owlv2)) if path.exists() => {
                return Err(Error::model_set(
                    path,
                    "file",
                    "a file",
                    "the Hugging Face folder of an OWLv2: config.json, model.safetensors",
                ));
            }
            (false, _) => {
                let session =
                    Session::planned("detect", path, &config.device, config.detector_threads(), &Plan::of_detector(config, FRAMES))?;
                let spec = DetectorSpec::new(path, manifest, session.inputs(), session.outputs())?;
                (session, spec, None)
            }
        };
        let frames = frames(path, &session, &spec)?;
        Ok(Self { session, spec, queries, frames, pixels: Vec::new() })
    }

    /// How many frames a run takes at most.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.frames
    }

    /// What it wants and gives.
    pub(super) const fn spec(&self) -> &DetectorSpec {
        &self.spec
    }

    /// The boxes of each frame, the most confident first; at most [`Detector::frames`] of them.
    ///
    /// # Errors
    /// [`Error::Inference`] where the run fails or gives another shape.
    pub fn detect(&mut self, frames: &[(Frame<'_>, &Selection)]) -> Result<Vec<Vec<Detection>>> {
        let pictures: Vec<&Frame<'_>> = frames.iter().map(|(frame, _)| frame).collect();
        let (mappings, outputs) = self.outputs(&pictures)?;
        let of_frame = |index: usize| outputs.iter().map(|output| output.slice_axis(Axis(0), (index..=index).into())).collect::<Vec<_>>();
        let found = mappings.iter().zip(frames).enumerate();
        found.map(|(index, (mapping, (_, selection)))| decode(&of_frame(index), mapping, &self.spec, selection)).collect()
    }

    /// What the model says of frames, in the order of [`DetectorSpec::outputs`], and the way back to each frame.
    pub(super) fn outputs(&mut self, frames: &[&Frame<'_>]) -> Result<(Vec<Mapping>, Vec<ArrayD<f32>>)> {
        let spec = &self.spec;
        let count = frames.len();
        self.pixels.resize(count * spec.input_len(), 0.0);
        let rows = self.pixels.chunks_exact_mut(spec.input_len());
        let mappings = frames.iter().zip(rows).map(|(frame, row)| preprocess(frame, spec, row)).collect::<Result<Vec<_>>>()?;
        let fits = |problem: String| Error::Inference { stage: "detect", problem };
        let pixels = ArrayView4::from_shape((count, 3, spec.height, spec.width), &self.pixels).map_err(|error| fits(error.to_string()))?;
        let companion = spec.companion.as_ref().map(|companion| (companion.name.as_str(), rows_of(companion, count)));
        let mut inputs: Vec<(&str, Input<'_>)> = vec![(&spec.input, pixels.into())];
        inputs.extend(companion.as_ref().map(|(name, rows)| (*name, rows.view().into())));
        inputs.extend(self.queries.as_ref().map(|queries| (port::QUERIES, queries.view().into())));

        let mut given = self.session.run(&inputs)?;
        let outputs = spec.outputs.iter().map(|name| given.take::<IxDyn>(name)).collect::<Result<Vec<_>>>()?;
        if let Some(output) = outputs.iter().find(|output| output.shape().first() != Some(&count)) {
            return Err(fits(format!("an output has the shape {:?} for {count} frames", output.shape())));
        }
        Ok((mappings, outputs))
    }
}

/// How many frames a run of the session takes.
fn frames(path: &Path, session: &Session, spec: &DetectorSpec) -> Result<usize> {
    let input = session.inputs().iter().find(|port| port.name == spec.input);
    match input.and_then(|port| port.shape.first()) {
        Some(Some(1)) => Ok(1),
        Some(Some(fixed)) => {
            Err(Error::model_set(path, "input", format!("{fixed} frames at once"), "1 or any number; export the detector so"))
        }
        _ if *session.device() == Device::Cpu => Ok(session.threads().div_ceil(THREADS_A_FRAME).clamp(1, FRAMES)),
        _ => Ok(FRAMES),
    }
}

/// A second input for `count` frames.
fn rows_of(companion: &Companion, count: usize) -> ArrayD<i64> {
    let sides: Vec<usize> = std::iter::once(count).chain(companion.sides.iter().copied()).collect();
    ArrayD::from_shape_vec(sides, companion.row.repeat(count)).expect("a row is as long as its sides say")
}
