//! The enumerated properties. Nicks are what users write on a launch line.

use gst::glib;
use uniood::engine;

/// `scope`: what gets a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstUniOodScope")]
pub enum Scope {
    /// Every object.
    #[default]
    #[enum_value(name = "Object: a verdict for every object", nick = "object")]
    Object,
    /// The frame.
    #[enum_value(name = "Image: one verdict for the frame, of its most confident object", nick = "image")]
    Image,
    /// Both.
    #[enum_value(name = "Both: objects and frame", nick = "both")]
    Both,
}

/// `overload`: what a full queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstUniOodOverload")]
pub enum Overload {
    /// Upstream is held back.
    #[default]
    #[enum_value(name = "Block: hold upstream back", nick = "block")]
    Block,
    /// The frame goes through unscored and marked.
    #[enum_value(name = "Bypass: the frame goes through unscored, marked and in order", nick = "bypass")]
    Bypass,
}

/// `scheduling-policy`: what a batch that is not full waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstUniOodSchedulingPolicy")]
pub enum SchedulingPolicy {
    /// What suits the pipeline.
    #[default]
    #[enum_value(name = "Auto: latency in a live pipeline, else throughput", nick = "auto")]
    Auto,
    /// For nothing but the encoder.
    #[enum_value(name = "Latency: a batch closes as soon as the encoder has nothing to do", nick = "latency")]
    Latency,
    /// For more objects.
    #[enum_value(name = "Throughput: a batch closes when it is full or batch-timeout is over", nick = "throughput")]
    Throughput,
}

/// `events`: what the JSON lines tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstUniOodEvents")]
pub enum Events {
    /// Frames.
    #[default]
    #[enum_value(name = "Frames: a line for every frame", nick = "frames")]
    Frames,
    /// Tracks.
    #[enum_value(name = "Tracks: a line when a track starts, changes its verdict, ends", nick = "tracks")]
    Tracks,
    /// Both.
    #[enum_value(name = "Both: frames and tracks", nick = "both")]
    Both,
}

/// `precision`: what the encoder computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstUniOodPrecision")]
pub enum Precision {
    /// What the model was trained for: fp32.
    #[default]
    #[enum_value(name = "Auto: fp32", nick = "auto")]
    Auto,
    /// 32-bit floats.
    #[enum_value(name = "32-bit floats", nick = "fp32")]
    Fp32,
    /// 16-bit floats.
    #[enum_value(name = "16-bit floats (with device=tensorrt)", nick = "fp16")]
    Fp16,
    /// 16-bit floats with the exponent of 32 bits.
    #[enum_value(name = "bf16 (with device=openvino, where the processor has it)", nick = "bf16")]
    Bf16,
    /// 8-bit integers.
    #[enum_value(name = "8-bit integers in the image tower's layers, on a processor", nick = "int8")]
    Int8,
}

impl Precision {
    /// The engine's word for it.
    pub(crate) const fn engine(self) -> engine::Precision {
        match self {
            Self::Auto => engine::Precision::Auto,
            Self::Fp32 => engine::Precision::Fp32,
            Self::Fp16 => engine::Precision::Fp16,
            Self::Bf16 => engine::Precision::Bf16,
            Self::Int8 => engine::Precision::Int8,
        }
    }
}

/// `background`: how the background image of an object is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstUniOodBackground")]
pub enum Background {
    /// Once per object, the object masked out of its pixels.
    #[default]
    #[enum_value(name = "Exact: encoded once per object", nick = "exact")]
    Exact,
    /// Once per frame.
    #[enum_value(name = "Shared: encoded once per frame, an approximation", nick = "shared")]
    Shared,
}

/// `tracker`: what follows an object from frame to frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstUniOodTracker")]
pub enum Tracker {
    /// Nothing.
    #[default]
    #[enum_value(name = "None: every frame on its own", nick = "none")]
    None,
    /// Overlap of boxes.
    #[enum_value(name = "IoU: by overlap with where an object was last", nick = "iou")]
    Iou,
    /// Overlap and motion.
    #[enum_value(name = "SORT: by overlap with where an object should be by its motion", nick = "sort")]
    Sort,
}
