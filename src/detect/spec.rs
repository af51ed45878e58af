//! What a detector wants and gives, checked once against its model's ports.

use std::{path::Path, sync::Arc};

use super::coco;
use crate::{
    Error, Result,
    models::{Layout, Resize},
};

/// Strides of YOLOX's grids, in input pixels.
pub(super) const YOLOX_STRIDES: [usize; 3] = [8, 16, 32];

/// A detector as plain data: what [`super::preprocess`] and [`super::decode`] need to know.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorSpec {
    /// How its output reads.
    pub layout: Layout,
    /// How a frame becomes its input.
    pub resize: Resize,
    /// Class names, in the order of its outputs; K of them.
    pub labels: Vec<Arc<str>>,
    /// Width of its input, in pixels.
    pub width: usize,
    /// Height of its input, in pixels.
    pub height: usize,
}

impl Layout {
    /// Input side where the model leaves it open.
    const fn default_side(self) -> usize {
        match self {
            Self::Yolox => 416,
            Self::Yolov8 => 640,
        }
    }

    /// How a frame becomes its input where nothing else is said.
    #[must_use]
    pub const fn default_resize(self) -> Resize {
        match self {
            Self::Yolox | Self::Yolov8 => Resize::Letterbox,
        }
    }
}

impl DetectorSpec {
    /// Checks a detector's ports: `input` `[N, 3, H, W]`, `output` of the layout's form, `None` where a side is dynamic.
    ///
    /// Dynamic H, W become the layout's usual side (416 for YOLOX, 640 for YOLOv8). Where `labels` is empty, 80
    /// classes are COCO's and any other number is named by its index. `model` stands in messages.
    ///
    /// # Errors
    /// [`Error::ModelSet`] naming the shape found and the shape wanted.
    pub fn new(
        model: &Path,
        layout: Layout,
        resize: Option<Resize>,
        labels: &[String],
        input: &[Option<usize>],
        output: &[Option<usize>],
    ) -> Result<Self> {
        let wrong = |key: &str, found: String, wanted: String| Err(Error::model_set(model, key, found, wanted));
        let &[_, None | Some(3), height, width] = input else {
            return wrong("input", show(input), "[N, 3, H, W]: three colours and the sides of a picture".to_owned());
        };
        let (width, height) = (width.unwrap_or(layout.default_side()), height.unwrap_or(layout.default_side()));
        let step = match layout {
            Layout::Yolox => YOLOX_STRIDES[2],
            Layout::Yolov8 => 1,
        };
        if width == 0 || height == 0 || width % step != 0 || height % step != 0 || width > MAX_SIDE || height > MAX_SIDE {
            return wrong("input", show(input), format!("sides of {step} to {MAX_SIDE} pixels, multiples of {step}"));
        }

        let form = format!("{}: is `layout` right?", form(layout));
        let &[_, second, third] = output else { return wrong("output", show(output), form) };
        let (numbers, boxes, fixed) = match layout {
            Layout::Yolox => (third, second, 5),
            Layout::Yolov8 => (second, third, 4),
        };
        let anchors = anchors(layout, width, height);
        if let (Some(boxes), Some(anchors)) = (boxes, anchors)
            && boxes != anchors
        {
            return wrong("output", show(output), format!("{form} A is {anchors} for an input of {width}×{height}"));
        }
        let classes = numbers.and_then(|numbers| numbers.checked_sub(fixed));
        let labels = match (labels, classes) {
            (_, Some(0)) => return wrong("output", show(output), form),
            (_, None) if numbers.is_some() => return wrong("output", show(output), form),
            ([], None) => {
                return wrong("labels", "an empty list".to_owned(), "the class names: the model does not say how many".to_owned());
            }
            ([], Some(80)) => coco::LABELS.iter().map(|&label| label.into()).collect(),
            ([], Some(classes)) => (0..classes).map(|class| class.to_string().into()).collect(),
            (labels, Some(classes)) if labels.len() != classes => {
                return wrong(
                    "labels",
                    format!("{} names", labels.len()),
                    format!("{classes}, as many as the output {} has classes", show(output)),
                );
            }
            (labels, _) => labels.iter().map(|label| label.as_str().into()).collect(),
        };
        Ok(Self { layout, resize: resize.unwrap_or(layout.default_resize()), labels, width, height })
    }

    /// Numbers in one frame's input: 3·H·W.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        3 * self.width * self.height
    }

    /// Numbers per box in the output.
    pub(super) fn numbers(&self) -> usize {
        self.labels.len()
            + match self.layout {
                Layout::Yolox => 5,
                Layout::Yolov8 => 4,
            }
    }

    /// Boxes in the output; `None` where any number will do.
    pub(super) fn anchors(&self) -> Option<usize> {
        anchors(self.layout, self.width, self.height)
    }

    pub(super) fn form(&self) -> &'static str {
        form(self.layout)
    }
}

/// Larger inputs are no detector's, but a damaged file's.
const MAX_SIDE: usize = 1 << 14;

const fn form(layout: Layout) -> &'static str {
    match layout {
        Layout::Yolox => "[N, A, 5+K], YOLOX's raw grid",
        Layout::Yolov8 => "[N, 4+K, A], YOLOv8's transposed boxes",
    }
}

fn anchors(layout: Layout, width: usize, height: usize) -> Option<usize> {
    match layout {
        Layout::Yolox => Some(YOLOX_STRIDES.iter().map(|stride| (width / stride) * (height / stride)).sum()),
        Layout::Yolov8 => None,
    }
}

fn show(shape: &[Option<usize>]) -> String {
    let sides: Vec<String> = shape.iter().map(|side| side.map_or_else(|| "?".to_owned(), |side| side.to_string())).collect();
    format!("[{}]", sides.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(layout: Layout, labels: &[&str], input: &[usize], output: &[usize]) -> Result<DetectorSpec> {
        let shape = |sides: &[usize]| sides.iter().map(|&side| (side > 0).then_some(side)).collect::<Vec<_>>();
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        DetectorSpec::new(Path::new("d.onnx"), layout, None, &labels, &shape(input), &shape(output))
    }

    #[test]
    fn yolox_nano_gets_coco_names() {
        let spec = check(Layout::Yolox, &[], &[1, 3, 416, 416], &[1, 3549, 85]).unwrap();
        assert_eq!((spec.width, spec.height, spec.labels.len(), &*spec.labels[2]), (416, 416, 80, "car"));
        assert_eq!(spec.resize, Resize::Letterbox);
    }

    #[test]
    fn dynamic_sides_become_the_layouts_own() {
        let yolox = check(Layout::Yolox, &[], &[0, 3, 0, 0], &[0, 0, 85]).unwrap();
        let yolov8 = check(Layout::Yolov8, &["object"], &[0, 3, 0, 0], &[0, 0, 0]).unwrap();
        assert_eq!((yolox.width, yolov8.height), (416, 640));
    }

    #[test]
    fn wrong_shapes_name_what_was_found_and_wanted() {
        for (layout, labels, input, output, found, wanted) in [
            (Layout::Yolox, &[][..], &[1, 416, 416][..], &[1, 3549, 85][..], "[1, 416, 416]", "[N, 3, H, W]"),
            (Layout::Yolox, &[], &[1, 1, 416, 416], &[1, 3549, 85], "[1, 1, 416, 416]", "[N, 3, H, W]"),
            (Layout::Yolox, &[], &[1, 3, 416, 400], &[1, 3549, 85], "[1, 3, 416, 400]", "multiples of 32"),
            (Layout::Yolox, &[], &[1, 3, 416, 416], &[1, 84, 8400], "[1, 84, 8400]", "3549"),
            (Layout::Yolox, &[], &[1, 3, 416, 416], &[1, 3549, 5], "[1, 3549, 5]", "5+K"),
            (Layout::Yolov8, &[], &[1, 3, 640, 640], &[1, 3, 8400], "[1, 3, 8400]", "4+K"),
            (Layout::Yolov8, &["a", "b"], &[1, 3, 640, 640], &[1, 7, 8400], "2 names", "3, as many"),
            (Layout::Yolov8, &[], &[1, 3, 640, 640], &[1, 0, 8400], "an empty list", "class names"),
            (Layout::Yolov8, &[], &[1, 3, 640, 640], &[8400, 84], "[8400, 84]", "4+K"),
        ] {
            let error = check(layout, labels, input, output).unwrap_err().to_string();
            assert!(error.contains(found) && error.contains(wanted), "{error}");
        }
    }
}
