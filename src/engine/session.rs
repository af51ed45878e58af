//! One ONNX model ready to run on one device.

use std::{
    borrow::Cow,
    fmt, fs,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
};

use ndarray::{Array, ArrayD, ArrayView, ArrayViewD, CowArray, Dimension, IxDyn};
use ort::{
    ep,
    session::{RunOptions, SelectedOutputMarker, Session as OrtSession, SessionInputValue, SessionOutputs, builder::SessionBuilder},
    value::{DynValue, Outlet, TensorElementType, TensorRef, ValueType},
};

use super::{
    Device,
    ending::{Options, Terminator},
    precision,
    runtime::Runtime,
    tensorrt::{self, Fed, Plan},
};
use crate::{Error, Result};

/// The option under which ONNX Runtime refuses a model of which a node is left to it.
const NO_FALLBACK: &str = "session.disable_cpu_ep_fallback";

/// A loaded model; a worker thread has its own.
pub struct Session {
    inner: OrtSession,
    options: Options,
    stage: &'static str,
    device: Device,
    threads: usize,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("stage", &self.stage).field("device", &self.device).finish_non_exhaustive()
    }
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Element type.
    pub element: Element,
    /// Its sides; `None` where the size is dynamic.
    pub shape: Vec<Option<usize>>,
}

/// A tensor's element type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// `float`.
    F32,
    /// `int64`.
    I64,
    /// `uint8`.
    U8,
    /// Anything else, in ONNX Runtime's words; such a port cannot be fed or read here.
    Other(String),
}

/// A borrowed tensor for [`Session::run`]. Arrays in standard layout are not copied.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// `float`.
    F32(ArrayViewD<'a, f32>),
    /// `int64`.
    I64(ArrayViewD<'a, i64>),
    /// `uint8`.
    U8(ArrayViewD<'a, u8>),
}

/// What a run gave, by output name.
#[derive(Debug, Clone)]
pub struct Outputs {
    stage: &'static str,
    /// What cannot be read here says why when it is asked for.
    tensors: Vec<(String, Result<ArrayD<f32>, String>)>,
}

impl Session {
    /// Loads a model file (external data beside it included).
    ///
    /// `stage` (`detect`, `encode`, `text`) stands in the messages of failed runs; `threads`: `None` is one a core.
    ///
    /// # Errors
    /// [`Error::File`] where there is none, [`Error::Content`] where it is no valid ONNX model,
    /// [`Error::Device`] where the device cannot be had, [`Error::Runtime`] where ONNX Runtime is missing.
    pub fn from_file(stage: &'static str, model: &Path, device: &Device, threads: Option<usize>) -> Result<Self> {
        fs::File::open(model).map_err(Error::file("read", model))?;
        Self::create(stage, device, threads, |builder| builder.commit_from_file(model), model, None)
    }

    /// Loads a model file, of which TensorRT, where it is the device, makes an engine as `plan` says.
    ///
    /// # Errors
    /// As [`Session::from_file`].
    pub(super) fn planned(stage: &'static str, model: &Path, device: &Device, threads: Option<usize>, plan: &Plan) -> Result<Self> {
        fs::File::open(model).map_err(Error::file("read", model))?;
        Self::create(stage, device, threads, |builder| builder.commit_from_file(model), model, Some(plan))
    }

    /// Loads a model from memory; `name` stands in messages.
    ///
    /// # Errors
    /// As [`Session::from_file`].
    pub fn from_bytes(stage: &'static str, name: &Path, model: &[u8], device: &Device, threads: Option<usize>) -> Result<Self> {
        Self::create(stage, device, threads, |builder| builder.commit_from_memory(model), name, None)
    }

    fn create(
        stage: &'static str,
        device: &Device,
        threads: Option<usize>,
        commit: impl Fn(&mut SessionBuilder) -> ort::Result<OrtSession>,
        name: &Path,
        plan: Option<&Plan>,
    ) -> Result<Self> {
        // TensorRT's builder is not thread-safe, and two loads at once would double the peak of memory.
        static CREATING: Mutex<()> = Mutex::new(());
        let runtime = Runtime::get()?;
        let _one_at_a_time = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get));
        let mut refusal = None;
        for candidate in device.candidates() {
            let planned = match (&candidate, plan) {
                (Device::TensorRt(index), Some(plan)) if candidate.usable().is_ok() => {
                    Some((plan, engine(runtime, *index, stage, name, plan, &commit)?))
                }
                _ => None,
            };
            let (mut builder, folder) = match builder_for(runtime, &candidate, threads, planned) {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::info!("{error}");
                    refusal = Some(error);
                    continue;
                }
            };
            let committed = match &folder {
                Some(folder) => tensorrt::patiently(stage, folder, || commit(&mut builder)),
                None => commit(&mut builder),
            };
            let inner = committed.map_err(|error| match error.code() {
                ort::ErrorCode::ExecutionProviderFailure => candidate.refused(error.to_string()),
                _ if error.to_string().contains(NO_FALLBACK) || error.to_string().contains("CPU EP has been explicitly disabled") => {
                    candidate.refused("it has no such device, or does not take the whole model; name another device, or use cpu")
                }
                _ => no_model(name, &error),
            })?;
            let (inputs, outputs) = (ports(inner.inputs()), ports(inner.outputs()));
            let options = Options::new().map_err(|error| Error::Runtime(format!("no run options could be made: {error}")))?;
            return Ok(Self { inner, options, stage, device: candidate, threads, inputs, outputs });
        }
        Err(refusal.unwrap_or_else(|| device.refused("no execution provider was tried")))
    }

    /// The device that was taken: never [`Device::Auto`].
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Threads a run uses on the processor.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// The model's inputs, in its order.
    #[must_use]
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The model's outputs, in its order.
    #[must_use]
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// A value of the model's metadata.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<String> {
        self.inner.metadata().ok()?.custom(key)
    }

    /// What ends this session's runs from another thread.
    pub(super) fn terminator(&self) -> Terminator {
        Terminator(self.options.clone())
    }

    /// The same session, ended by another's terminator.
    pub(super) fn ended_by(mut self, terminator: &Terminator) -> Self {
        self.options = terminator.0.clone();
        self
    }

    /// Runs the model once for these of its outputs alone; the others are not read.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub(super) fn run_for(&mut self, inputs: &[(&str, Input)], wanted: &[String]) -> Result<Outputs> {
        let options = self.options.some(wanted).map_err(|error| self.failed(one_line(&error.to_string())))?;
        self.run_with(inputs, &options)
    }

    /// Runs the model once; every input is given by name.
    ///
    /// # Errors
    /// [`Error::Inference`] where an input is missing or does not fit, or the run fails.
    pub fn run(&mut self, inputs: &[(&str, Input)]) -> Result<Outputs> {
        let options = self.options.clone();
        self.run_with(inputs, options.all())
    }

    fn run_with<O: SelectedOutputMarker>(&mut self, inputs: &[(&str, Input)], options: &RunOptions<O>) -> Result<Outputs> {
        let stage = self.stage;
        let failed = |problem: String| Error::Inference { stage, problem };
        let contiguous: Vec<(&str, Contiguous)> = inputs.iter().map(|(name, input)| (*name, Contiguous::of(input))).collect();
        let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for (name, tensor) in &contiguous {
            let value = tensor.value().map_err(|error| failed(format!("input `{name}`: {error}")))?;
            values.push((Cow::Borrowed(name), value));
        }
        let outputs = self.inner.run_with_options(values, options).map_err(|error| failed(one_line(&error.to_string())))?;
        Ok(read(stage, &outputs))
    }

    const fn failed(&self, problem: String) -> Error {
        Error::Inference { stage: self.stage, problem }
    }
}

/// Copies what a run gave.
fn read(stage: &'static str, outputs: &SessionOutputs<'_>) -> Outputs {
    let mut tensors = Vec::with_capacity(outputs.len());
    for (name, value) in outputs {
        tensors.push((name.to_owned(), floats(&value)));
    }
    Outputs { stage, tensors }
}

impl Outputs {
    /// Takes an output of `D`'s number of sides. Whole numbers, such as a detector's labels, come as floats too: exact below 2²⁴.
    ///
    /// # Errors
    /// [`Error::Inference`] where the model has no such output, or it has another number of sides or no numbers.
    pub fn take<D: Dimension>(&mut self, name: &str) -> Result<Array<f32, D>> {
        let failed = |problem: String| Error::Inference { stage: self.stage, problem };
        let Some(position) = self.tensors.iter().position(|(of, _)| of == name) else {
            return Err(failed(format!("the model has no output `{name}`")));
        };
        let array = self.tensors.swap_remove(position).1.map_err(|problem| failed(format!("output `{name}`: {problem}")))?;
        let shape = array.shape().to_vec();
        array.into_dimensionality().map_err(|_| failed(format!("output `{name}` has the shape {shape:?}")))
    }
}

impl<'a, D: Dimension> From<ArrayView<'a, f32, D>> for Input<'a> {
    fn from(view: ArrayView<'a, f32, D>) -> Self {
        Self::F32(view.into_dyn())
    }
}

impl<'a, D: Dimension> From<ArrayView<'a, i64, D>> for Input<'a> {
    fn from(view: ArrayView<'a, i64, D>) -> Self {
        Self::I64(view.into_dyn())
    }
}

impl<'a, D: Dimension> From<ArrayView<'a, u8, D>> for Input<'a> {
    fn from(view: ArrayView<'a, u8, D>) -> Self {
        Self::U8(view.into_dyn())
    }
}

/// An output's numbers as floats.
#[expect(clippy::cast_precision_loss, reason = "labels and counts, far below 2^24")]
fn floats(value: &DynValue) -> Result<ArrayD<f32>, String> {
    let whole = |error: ort::Error| error.to_string();
    match value.dtype() {
        ValueType::Tensor { ty: TensorElementType::Int64, .. } => {
            value.try_extract_array::<i64>().map(|array| array.mapv(|number| number as f32)).map_err(whole)
        }
        ValueType::Tensor { ty: TensorElementType::Int32, .. } => {
            value.try_extract_array::<i32>().map(|array| array.mapv(|number| number as f32)).map_err(whole)
        }
        _ => value.try_extract_array::<f32>().map(|array| array.to_owned()).map_err(whole),
    }
}

/// An input in standard layout: borrowed where it was already, copied where not.
enum Contiguous<'a> {
    F32(CowArray<'a, f32, IxDyn>),
    I64(CowArray<'a, i64, IxDyn>),
    U8(CowArray<'a, u8, IxDyn>),
}

impl<'a> Contiguous<'a> {
    fn of(input: &'a Input<'_>) -> Self {
        match input {
            Input::F32(view) => Self::F32(view.as_standard_layout()),
            Input::I64(view) => Self::I64(view.as_standard_layout()),
            Input::U8(view) => Self::U8(view.as_standard_layout()),
        }
    }

    fn value(&self) -> ort::Result<SessionInputValue<'_>> {
        Ok(match self {
            Self::F32(array) => TensorRef::from_array_view(array)?.into(),
            Self::I64(array) => TensorRef::from_array_view(array)?.into(),
            Self::U8(array) => TensorRef::from_array_view(array)?.into(),
        })
    }
}

/// TensorRT's provider for a model, told of the shapes that its inputs have, and the folder of its engine.
fn engine(
    runtime: &Runtime,
    index: u32,
    stage: &str,
    model: &Path,
    plan: &Plan,
    commit: impl Fn(&mut SessionBuilder) -> ort::Result<OrtSession>,
) -> Result<(ep::TensorRT, PathBuf)> {
    let (mut builder, _) = builder_for(runtime, &Device::Cpu, 1, None)?;
    let read = commit(&mut builder).map_err(|error| no_model(model, &error))?;
    plan.provider(index, stage, model, &read.inputs().iter().map(Fed::of).collect::<Vec<_>>())
}

/// A builder for one device, its execution providers registered, and the folder of TensorRT's engine where it is `planned`.
fn builder_for(
    runtime: &Runtime,
    device: &Device,
    threads: usize,
    planned: Option<(&Plan, (ep::TensorRT, PathBuf))>,
) -> Result<(SessionBuilder, Option<PathBuf>)> {
    let whole = planned.as_ref().is_some_and(|(plan, _)| plan.whole);
    let (tensorrt, folder) = planned.map(|(_, engine)| engine).unzip();
    let providers = device.providers(threads, tensorrt)?;
    let option = |error: ort::Error<SessionBuilder>| Error::Runtime(format!("a session option was refused: {error}"));
    // ONNX Runtime takes OpenVINO with a device that is not there for nothing, and would run all on its own.
    // Of our own graph TensorRT and CUDA take every node; that it stays so is asked for, too.
    let alone = if matches!(device, Device::OpenVino { .. }) || whole { "1" } else { "0" };
    let builder = OrtSession::builder(runtime.environment())
        .map_err(|error| Error::Runtime(format!("no session could be started: {error}")))?
        .with_intra_threads(threads)
        .map_err(option)?
        // Spinning threads would be 2 % faster alone, but burn a core for 40 ms behind every run, which decoders need.
        .with_intra_op_spinning(false)
        .map_err(option)?
        // u8·u8 in place of u8·i8, which is half as fast where u8·i8 would be exact.
        .with_config_entry("session.x64quantprecision", if precision::sums_of_bytes_are_exact() { "0" } else { "1" })
        .map_err(option)?
        .with_config_entry(NO_FALLBACK, alone)
        .map_err(option)?
        .with_execution_providers(providers)
        .map_err(|error| device.refused(format!("{}; install its driver and libraries, or use cpu", one_line(&error.to_string()))))?;
    Ok((builder, folder))
}

fn ports(outlets: &[Outlet]) -> Vec<Port> {
    outlets.iter().map(port).collect()
}

fn port(outlet: &Outlet) -> Port {
    let name = outlet.name().to_owned();
    match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let element = match ty {
                TensorElementType::Float32 => Element::F32,
                TensorElementType::Int64 => Element::I64,
                TensorElementType::Uint8 => Element::U8,
                other => Element::Other(other.to_string()),
            };
            Port { name, element, shape: shape.iter().map(|side| usize::try_from(*side).ok()).collect() }
        }
        other => Port { name, element: Element::Other(format!("{other:?}")), shape: Vec::new() },
    }
}

fn no_model(name: &Path, error: &ort::Error) -> Error {
    Error::content(name, format!("not an ONNX model that can run here ({})", one_line(&error.to_string())))
}

/// ONNX Runtime's messages may run over several lines, with a stack behind them.
fn one_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}
