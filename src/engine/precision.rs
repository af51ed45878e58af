//! What the encoder computes in: the words for it, and what a device can do.

use std::{fmt, str::FromStr};

use super::Device;
use crate::{Error, Result, graph::Numbers};

/// What the encoder computes in; parsed from `auto`, `fp32`, `fp16`, `bf16`, `int8`. Detector and text tower are not touched by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// What the model was trained for: fp32.
    #[default]
    Auto,
    /// 32-bit floats.
    Fp32,
    /// 16-bit floats.
    Fp16,
    /// Products of 16-bit floats with the exponent of 32 bits, and their sums in 32, where the processor has them.
    Bf16,
    /// 8-bit integers in the image tower's layers.
    Int8,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        })
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "fp32" => Ok(Self::Fp32),
            "fp16" => Ok(Self::Fp16),
            "bf16" => Ok(Self::Bf16),
            "int8" => Ok(Self::Int8),
            _ => Err(Error::Setting(format!("precision `{text}` is unknown; use auto, fp32, fp16, bf16 or int8"))),
        }
    }
}

impl Precision {
    /// What the encoder computes in on a device, and where: int8 runs on the processor and bf16 in OpenVINO on it, also where the device is left open.
    ///
    /// # Errors
    /// [`Error::Setting`] where the device cannot compute in it.
    pub fn on(self, device: &Device) -> Result<(Numbers, Device)> {
        match (self, device) {
            // TensorRT takes the graph in fp32 and computes in fp16.
            (Self::Fp16, Device::TensorRt(_)) | (Self::Auto | Self::Fp32, _) => Ok((Numbers::Fp32, device.clone())),
            (Self::Int8, Device::Auto | Device::Cpu) => Ok((Numbers::Int8, Device::Cpu)),
            (Self::Int8, device) => Err(Error::Setting(format!(
                "precision int8 is for the processor, and device is {device}; use device cpu, or precision fp32"
            ))),
            (Self::Bf16, Device::Auto) => Self::Bf16.on(&Device::openvino("CPU")),
            (Self::Bf16, Device::OpenVino { name, .. }) if name == "CPU" => {
                if bf16_is_native() {
                    return Ok((Numbers::Fp32, Device::OpenVino { name: name.clone(), bf16: true }));
                }
                Err(Error::Setting(
                    "precision bf16 is for a processor that has it (AVX512-BF16), and this one has not; use fp32, or int8, which is the faster one here"
                        .to_owned(),
                ))
            }
            (Self::Bf16, device) => Err(Error::Setting(format!(
                "precision bf16 is for OpenVINO on a processor, and device is {device}; use device openvino, or precision fp32 (or int8 with device cpu)"
            ))),
            (Self::Fp16, Device::Cpu) => Err(Error::Setting(
                "precision fp16 cannot be had on device cpu: ONNX Runtime computes it in 32 bits there, with casts around every node, no faster than \
                 fp32; use fp32, or int8, which is the faster one on a processor"
                    .to_owned(),
            )),
            (Self::Fp16, device) => Err(Error::Setting(format!(
                "precision fp16 cannot be had on device {device}; use device tensorrt, or precision fp32 (on a processor int8 is the faster one)"
            ))),
        }
    }
}

/// Whether this processor multiplies in bf16 itself; OpenVINO would do it in many steps where not, at half of fp32's speed.
#[must_use]
pub fn bf16_is_native() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether sums of products of a `u8` and an `i8` are exact on this processor. Without VNNI an x86 adds two of them in 16 bits, which overflow; ONNX Runtime's
/// own test for it (1.32) does not look at VNNI.
#[cfg(target_arch = "x86_64")]
#[must_use]
pub fn sums_of_bytes_are_exact() -> bool {
    is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni")
}

/// Other processors have no such sums.
#[cfg(not(target_arch = "x86_64"))]
#[must_use]
pub const fn sums_of_bytes_are_exact() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written_back_and_others_refused() {
        for precision in [Precision::Auto, Precision::Fp32, Precision::Fp16, Precision::Bf16, Precision::Int8] {
            assert_eq!(precision.to_string().to_uppercase().parse::<Precision>().unwrap(), precision);
        }
        for text in ["", "bf 16", "int4", "fp 32"] {
            assert!(text.parse::<Precision>().unwrap_err().to_string().contains("bf16 or int8"), "{text}");
        }
    }

    #[test]
    fn a_device_computes_in_what_was_asked_for_or_says_that_it_cannot() {
        assert_eq!(Precision::Auto.on(&Device::Cuda(1)).unwrap(), (Numbers::Fp32, Device::Cuda(1)));
        assert_eq!(Precision::Int8.on(&Device::Auto).unwrap(), (Numbers::Int8, Device::Cpu));
        assert_eq!(Precision::Fp16.on(&Device::TensorRt(0)).unwrap(), (Numbers::Fp32, Device::TensorRt(0)));
        for (precision, device) in [
            (Precision::Int8, Device::Cuda(0)),
            (Precision::Int8, Device::openvino("CPU")),
            (Precision::Fp16, Device::Cpu),
            (Precision::Bf16, Device::Cpu),
            (Precision::Bf16, Device::openvino("GPU.0")),
        ] {
            let sentence = precision.on(&device).unwrap_err().to_string();
            assert!(sentence.contains(&precision.to_string()) && sentence.contains(&device.to_string()), "{sentence}");
        }
        for device in [Device::Auto, Device::openvino("CPU")] {
            match Precision::Bf16.on(&device) {
                Ok(found) => assert_eq!(found, (Numbers::Fp32, Device::OpenVino { name: "CPU".to_owned(), bf16: true })),
                Err(error) => assert!(!bf16_is_native() && error.to_string().contains("AVX512-BF16"), "{error}"),
            }
        }
    }
}
