//! Where the objects are: boxes from an ONNX detector, used class-agnostically, or from elsewhere.
//!
//! [`preprocess`] makes the detector's input from a frame, a layout ([`yolox`], [`yolov8`]) decodes its
//! output to boxes in frame pixels, [`nms`] thins them, [`Selection`] says which of them are objects.

use std::sync::Arc;

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
