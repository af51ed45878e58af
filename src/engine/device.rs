//! Where models run: the words for it, and the execution providers of ONNX Runtime behind them.

use std::{fmt, str::FromStr};

use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider as _, ExecutionProvider, ExecutionProviderDispatch};
use serde_json::json;

use crate::{Error, Result};

/// Where the models run; parsed from `auto`, `cpu`, `cuda[:n]`, `tensorrt[:n]`, `openvino[:name]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Device {
    /// The best that is there; what was taken is in [`super::Engine::device`].
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// CUDA device `n`.
    Cuda(u32),
    /// TensorRT on CUDA device `n`.
    TensorRt(u32),
    /// OpenVINO.
    OpenVino {
        /// Its own name of the device; `CPU` where none is named.
        name: String,
        /// Whether it computes in bf16, which is for [`super::Precision::Bf16`] to say.
        bf16: bool,
    },
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::TensorRt(index) => write!(f, "tensorrt:{index}"),
            Self::OpenVino { name, bf16: false } => write!(f, "openvino:{name}"),
            Self::OpenVino { name, bf16: true } => write!(f, "openvino:{name} (bf16)"),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    /// Reads `auto`, `cpu`, `cuda[:n]`, `tensorrt[:n]` or `openvino[:name]`, in any case.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Setting(format!("device `{text}` is unknown; use auto, cpu, cuda[:n], tensorrt[:n] or openvino[:name]"));
        let (kind, which) = text.trim().split_once(':').map_or((text.trim(), None), |(kind, which)| (kind, Some(which)));
        let index = || which.map_or(Ok(0), |n| n.parse().map_err(|_| wrong()));
        match (kind.to_ascii_lowercase().as_str(), which) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(index()?)),
            ("tensorrt", _) => Ok(Self::TensorRt(index()?)),
            ("openvino", None) => Ok(Self::openvino("CPU")),
            ("openvino", Some(name)) if !name.is_empty() => Ok(Self::openvino(&name.to_ascii_uppercase())),
            _ => Err(wrong()),
        }
    }
}

impl Device {
    /// OpenVINO on the device that it knows by this name, in fp32.
    #[must_use]
    pub fn openvino(name: &str) -> Self {
        Self::OpenVino { name: name.to_owned(), bf16: false }
    }

    /// What to try, in this order: for [`Device::Auto`] CUDA where the loaded library has it, then the processor;
    /// any other device is tried alone. (TensorRT compiles for minutes on its first start: it is asked for by name.)
    pub(super) fn candidates(&self) -> Vec<Self> {
        match self {
            Self::Auto if ep::CUDA::is_available().unwrap_or(false) => vec![Self::Cuda(0), Self::Cpu],
            Self::Auto => vec![Self::Cpu],
            named => vec![named.clone()],
        }
    }

    /// Whether the loaded ONNX Runtime has this device's execution provider. (Whether its driver works shows when a model loads.)
    ///
    /// # Errors
    /// [`Error::Device`] where it has not; [`Error::Runtime`] where there is no ONNX Runtime.
    pub fn usable(&self) -> Result<()> {
        super::Runtime::get()?;
        self.providers(1, None).map(drop)
    }

    /// Where runs what TensorRT is not asked to compile: it would take minutes for a text tower that runs once.
    pub(super) fn uncompiled(&self) -> Self {
        match self {
            Self::TensorRt(index) => Self::Cuda(*index),
            other => other.clone(),
        }
    }

    /// The execution providers of this device, the best first; none for the processor. `threads` are for those that have threads of their own, `tensorrt`
    /// is what TensorRT is told of the model.
    ///
    /// # Errors
    /// [`Error::Device`] where the loaded ONNX Runtime was built without them.
    pub(super) fn providers(&self, threads: usize, tensorrt: Option<ep::TensorRT>) -> Result<Vec<ExecutionProviderDispatch>> {
        let cuda = |index: u32| ep::CUDA::default().with_device_id(index.cast_signed()).build().error_on_failure();
        let (available, package, providers) = match self {
            Self::Auto | Self::Cpu => return Ok(Vec::new()),
            Self::Cuda(index) => (ep::CUDA::is_available(), "onnxruntime-gpu", vec![cuda(*index)]),
            Self::TensorRt(index) => {
                let tensorrt = tensorrt.unwrap_or_default().with_device_id(index.cast_signed()).build().error_on_failure();
                (ep::TensorRT::is_available(), "onnxruntime-gpu", vec![tensorrt, cuda(*index)])
            }
            Self::OpenVino { name, bf16 } => {
                let openvino = ep::OpenVINO::default().with_device_type(name).with_num_threads(threads);
                let openvino = if *bf16 {
                    openvino.with_arbitrary_config("load_config", json!({ name: { "INFERENCE_PRECISION_HINT": "bf16" } }))
                } else {
                    // Said, so that no version of it takes bf16 by itself where the processor has it.
                    openvino.with_precision("FP32")
                };
                (ep::OpenVINO::is_available(), "onnxruntime-openvino", vec![openvino.build().error_on_failure()])
            }
        };
        match available {
            Ok(true) => Ok(providers),
            Ok(false) => Err(self.refused(format!(
                "the loaded ONNX Runtime was built without it; point ORT_DYLIB_PATH at the library of the PyPI package {package}, or use cpu"
            ))),
            Err(error) => Err(self.refused(error.to_string())),
        }
    }

    /// An [`Error::Device`] for this device.
    pub(super) fn refused(&self, problem: impl Into<String>) -> Error {
        Error::Device { device: self.to_string(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_table_is_read_and_written_back() {
        for (text, device, written) in [
            ("auto", Device::Auto, "auto"),
            ("CPU", Device::Cpu, "cpu"),
            ("cuda", Device::Cuda(0), "cuda:0"),
            ("cuda:3", Device::Cuda(3), "cuda:3"),
            ("tensorrt:1", Device::TensorRt(1), "tensorrt:1"),
            ("openvino", Device::openvino("CPU"), "openvino:CPU"),
            ("openvino:gpu.1", Device::openvino("GPU.1"), "openvino:GPU.1"),
        ] {
            assert_eq!(text.parse::<Device>().unwrap(), device);
            assert_eq!(device.to_string(), written);
            assert_eq!(written.parse::<Device>().unwrap(), device);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_forms_that_work() {
        for text in ["", "gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "tensorrt:99999999999", "openvino:", "auto:1"] {
            let error = text.parse::<Device>().unwrap_err().to_string();
            assert!(error.contains("cuda[:n]"), "{text}: {error}");
        }
    }
}
