//! Where the objects are: boxes from an ONNX detector, used class-agnostically, or from elsewhere.
//!
//! [`DetectorSpec`] tells a layout from a model's ports (`contract`) and what it wants. [`preprocess`] makes the detector's input
//! from a frame; [`decode`] reads the layout's output (`yolox`, `yolov8`, `detr`, `rtdetr`; `owlv2`'s is `detr`'s), keeps what [`Selection`] calls an object, thins it (`nms`), and gives boxes in frame pixels. Running the model
//! in between is [`crate::engine`]'s.

mod agree;
mod coco;
mod contract;
mod decode;
mod detr;
mod nms;
mod owlv2;
mod preprocess;
mod rtdetr;
mod spec;
mod yolov8;
mod yolox;

use std::sync::Arc;

pub use agree::agreement;
#[cfg(feature = "hub")]
pub(crate) use coco::LABELS as COCO;
pub use decode::decode;
use decode::{Candidate, best_class};
pub use preprocess::{Mapping, preprocess};
pub use spec::{Companion, DetectorSpec};

use crate::geometry::BBox;

/// One box that a detector, another element or a file gave. `Frame ─▶ Detection*`.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// Where, in frame pixels.
    pub bbox: BBox,
    /// 0..=1.
    pub confidence: f32,
    /// The detector's own class; the verdict never reads it.
    pub label: Option<DetectorLabel>,
}

/// The class a detector gave to its box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectorLabel {
    /// Index in the detector's list.
    pub id: u32,
    /// Its name.
    pub name: Arc<str>,
}

/// What counts as an object: the element's properties of the same names.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Boxes below it are dropped; 0..=1.
    pub detection_threshold: f32,
    /// Class-agnostic NMS drops the less confident of two boxes that overlap by more; 0..=1.
    pub iou_threshold: f32,
    /// The most confident that are scored; the others are reported unscored.
    pub max_objects: usize,
    /// Boxes with a shorter side below it, in pixels, are dropped.
    pub min_object_size: u32,
    /// Only detections with one of these labels; empty: all.
    pub object_class: Vec<String>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { detection_threshold: 0.3, iou_threshold: 0.5, max_objects: 32, min_object_size: 16, object_class: Vec::new() }
    }
}
