//! `uniood doctor`: what this machine has, and what is missing with the way to get it.

use std::env;

use clap::Args;
use uniood::{
    engine::{Device, Runtime},
    models::{ModelSet, shipped},
};

use crate::{Outcome, console::say, plugin};

/// What this machine has: GStreamer, plugin, ONNX Runtime, devices
#[derive(Args)]
#[command(after_help = "Example: uniood doctor")]
pub(crate) struct Doctor {}

/// GStreamer elements by what they are for, and the Debian package that has them.
const ELEMENTS: [(&str, &str, &str, bool); 11] = [
    ("decodebin", "decoding", "gstreamer1.0-plugins-base", true),
    ("uridecodebin", "reading files and addresses", "gstreamer1.0-plugins-base", true),
    ("videoconvert", "pixel formats", "gstreamer1.0-plugins-base", true),
    ("videocrop", "recording odd sizes", "gstreamer1.0-plugins-good", true),
    ("qtdemux", "MP4 and MOV", "gstreamer1.0-plugins-good", true),
    ("mp4mux", "recording", "gstreamer1.0-plugins-good", true),
    ("x264enc", "recording in H.264", "gstreamer1.0-plugins-ugly", false),
    ("avdec_h264", "H.264", "gstreamer1.0-libav", false),
    ("avdec_h265", "HEVC", "gstreamer1.0-libav", false),
    ("rtspsrc", "RTSP cameras", "gstreamer1.0-plugins-good", false),
    ("v4l2src", "local cameras", "gstreamer1.0-plugins-good", false),
];

impl Doctor {
    /// Prints a line for each thing; fails where something is missing that nothing works without.
    pub(crate) fn run(self) -> Outcome {
        let Self {} = self;
        let mut report = Report { missing: false };
        report.ok("uniood", env!("CARGO_PKG_VERSION"));
        match plugin::load() {
            Ok(origin) => {
                report.ok("GStreamer", &gst::version_string());
                report.ok("plugin", &origin.to_string());
            }
            Err(error) => report.missing("plugin", &format!("{error:#}")),
        }
        if gst::init().is_ok() {
            for (element, purpose, package, needed) in ELEMENTS {
                match (gst::ElementFactory::find(element), needed) {
                    (Some(_), _) => report.ok(element, purpose),
                    (None, true) => report.missing(element, &format!("needed for {purpose}; install {package}")),
                    (None, false) => report.absent(element, &format!("no {purpose}; install {package} if you want it")),
                }
            }
        }
        match Runtime::get() {
            Ok(runtime) => {
                report.ok("ONNX Runtime", &runtime.library().display().to_string());
                report.ok("", runtime.build());
                for device in [Device::Cpu, Device::Cuda(0), Device::TensorRt(0), Device::openvino("CPU")] {
                    match device.usable() {
                        Ok(()) => report.ok(&format!("device {device}"), "the loaded ONNX Runtime has it"),
                        Err(error) => report.absent(&format!("device {device}"), &error.to_string()),
                    }
                }
            }
            Err(error) => report.missing("ONNX Runtime", &error.to_string()),
        }
        report.ok("processor", &processor());
        match shipped::named_by_environment() {
            Some(dir) => match ModelSet::open(&dir) {
                Ok(set) => report.ok("model set", &format!("{} in {}", set.manifest.name, dir.display())),
                Err(error) => report.missing("model set", &format!("{}: {error}", shipped::MODELS_VARIABLE)),
            },
            None => match ModelSet::shipped(None) {
                Ok(set) => report.ok("model set", &format!("{}, which ships with uniood", set.manifest.name)),
                Err(error) => report.missing("model set", &error.to_string()),
            },
        }
        if report.missing { Outcome::Failed } else { Outcome::Done }
    }
}

/// Lines of three kinds: what is there, what may be absent, what must not be.
struct Report {
    missing: bool,
}

impl Report {
    fn ok(&mut self, name: &str, text: &str) {
        self.line("ok", name, text);
    }

    fn absent(&mut self, name: &str, text: &str) {
        self.line("-", name, text);
    }

    fn missing(&mut self, name: &str, text: &str) {
        self.line("MISSING", name, text);
    }

    fn line(&mut self, mark: &str, name: &str, text: &str) {
        self.missing |= mark == "MISSING";
        say(format_args!("{mark:8} {name:16} {text}"));
    }
}

/// Cores and the instructions that the models' speed depends on.
fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores, {}{}", env::consts::ARCH, instructions())
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> String {
    let found = [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("AVX-512", is_x86_feature_detected!("avx512f")),
        ("VNNI", uniood::engine::sums_of_bytes_are_exact()),
        ("BF16", uniood::engine::bf16_is_native()),
    ];
    found.iter().filter(|(_, found)| *found).flat_map(|(name, _)| [", ", name]).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> String {
    String::new()
}
