//! What a detector wants and gives, checked once against its model's ports.

use std::{path::Path, sync::Arc};

use super::{
    coco,
    contract::{Contract, RF_DETR_NAMES, form, recognised, show},
};
use crate::{
    Error, Result,
    engine::Port,
    models::{DetectorManifest, Layout, Normalize, Resize, Scores},
};

/// Strides of YOLOX's grids, in input pixels.
pub(super) const YOLOX_STRIDES: [usize; 3] = [8, 16, 32];

/// Larger inputs are no detector's, but a damaged file's.
const MAX_SIDE: usize = 1 << 14;

/// Nor is one of more pixels in all: a frame alone would take more than 200 MB, on a file's word.
const MOST_PIXELS: usize = 1 << 24;

/// More classes are no detector's either.
const MOST_CLASSES: usize = 1 << 16;

/// ImageNet's, as torchvision has them.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// 0–1 as it is.
pub(super) const PLAIN: ([f32; 3], [f32; 3]) = ([0.0; 3], [1.0; 3]);

/// A detector as plain data: what [`super::preprocess`] and [`super::decode`] need to know.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorSpec {
    /// How its output reads.
    pub layout: Layout,
    /// How a frame becomes its input.
    pub resize: Resize,
    /// What its logits mean, where it has logits.
    pub scores: Scores,
    /// Class names, in the order of its outputs; K of them.
    pub labels: Vec<Arc<str>>,
    /// Width of its input, in pixels.
    pub width: usize,
    /// Height of its input, in pixels.
    pub height: usize,
    /// Taken from colours of 0–1; [`Layout::Yolox`] takes levels as they are.
    pub mean: [f32; 3],
    /// What the rest is divided by.
    pub std: [f32; 3],
    /// The input that takes the picture.
    pub input: String,
    /// The input beside it.
    pub companion: Option<Companion>,
    /// The outputs that [`super::decode`] takes, in its order.
    pub outputs: Vec<String>,
}

/// A second input, which is the same for every frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// Its name.
    pub name: String,
    /// Sides of one frame's part.
    pub sides: Vec<usize>,
    /// One frame's part.
    pub row: Vec<i64>,
}

impl Layout {
    /// How a frame becomes its input where nothing else is said.
    #[must_use]
    pub const fn default_resize(self) -> Resize {
        match self {
            Self::Yolox | Self::Yolov8 => Resize::Letterbox,
            Self::Detr | Self::Rtdetr | Self::Owlv2 => Resize::Stretch,
        }
    }
}

impl DetectorSpec {
    /// Checks a detector's ports against its layout's contract; without a layout in `manifest`, against all of them.
    ///
    /// Dynamic H, W become the layout's usual side. Where there are no labels, 80 and 91 classes are COCO's, and any
    /// other number is named by its index. `model` stands in messages. ([`Layout::Owlv2`] has [`DetectorSpec::owlv2`].)
    ///
    /// # Errors
    /// [`Error::ModelSet`] naming what was found and what was wanted.
    pub fn new(model: &Path, manifest: &DetectorManifest, inputs: &[Port], outputs: &[Port]) -> Result<Self> {
        let wrong = |key: &str, found: String, wanted: String| Err(Error::model_set(model, key, found, wanted));
        let layout = manifest.layout.map_or_else(|| recognised(inputs, outputs), Ok).map_err(|misfit| misfit.of(model))?;
        check_keys(model, manifest, layout)?;
        let contract = Contract::of(layout, inputs, outputs).map_err(|misfit| misfit.of(model))?;
        let (width, height) = contract.sides(layout);
        let step = if layout == Layout::Yolox { YOLOX_STRIDES[2] } else { 1 };
        if !is_picture(width, height) || width % step != 0 || height % step != 0 {
            let wanted = format!("sides of {step} to {MAX_SIDE} pixels, multiples of {step}, at most {MOST_PIXELS} pixels in all");
            return wrong("input", show(contract.image), wanted);
        }

        let (scores, classes) = match (layout, contract.outputs.as_slice()) {
            (Layout::Detr, [_, logits]) => {
                let scores = detr_scores(model, manifest, logits)?;
                (scores, logits.shape[2].map(|numbers| numbers.saturating_sub(usize::from(scores == Scores::Softmax))))
            }
            (Layout::Yolox, [output]) => {
                let (boxes, anchors) = (output.shape[1], anchors(width, height));
                if boxes.is_some() && boxes != anchors {
                    let anchors = anchors.unwrap_or_default();
                    return wrong("output", show(output), format!("{}: A is {anchors} for an input of {width}×{height}", form(layout)));
                }
                (Scores::Sigmoid, output.shape[2].map(|numbers| numbers.saturating_sub(5)))
            }
            (Layout::Yolov8, [output]) => (Scores::Sigmoid, output.shape[1].map(|numbers| numbers.saturating_sub(4))),
            _ => (Scores::Sigmoid, None),
        };
        let last = contract.outputs[contract.outputs.len() - 1];
        let labels = match (manifest.labels.as_slice(), classes) {
            (_, Some(0 | MOST_CLASSES..)) => return wrong("output", show(last), format!("{}: is `layout` right?", form(layout))),
            ([], None) if layout == Layout::Rtdetr => coco::LABELS.iter().map(|&label| label.into()).collect(),
            ([], None) => {
                return wrong("labels", "an empty list".to_owned(), "the class names: the model does not say how many".to_owned());
            }
            ([], Some(80)) => coco::LABELS.iter().map(|&label| label.into()).collect(),
            ([], Some(91)) => coco::with_gaps(),
            ([], Some(classes)) => (0..classes).map(|class| class.to_string().into()).collect(),
            (labels, Some(classes)) if labels.len() != classes => {
                return wrong(
                    "labels",
                    format!("{} names", labels.len()),
                    format!("{classes}, as many as the output {} has classes", show(last)),
                );
            }
            (labels, _) => labels.iter().map(|label| label.as_str().into()).collect(),
        };
        let companion = contract.companion.map(|port| companion(model, layout, port, width, height)).transpose()?;
        let is_rf_detr = last.name == RF_DETR_NAMES[1];
        let normalize = manifest.normalize.unwrap_or(match layout {
            Layout::Detr if is_rf_detr || scores == Scores::Softmax => Normalize::Imagenet,
            _ => Normalize::None,
        });
        let (mean, std) = match normalize {
            Normalize::None => PLAIN,
            Normalize::Imagenet => IMAGENET,
        };
        Ok(Self {
            layout,
            resize: manifest.resize.unwrap_or(layout.default_resize()),
            scores,
            labels,
            width,
            height,
            mean,
            std,
            input: contract.image.name.clone(),
            companion,
            outputs: contract.outputs.iter().map(|port| port.name.clone()).collect(),
        })
    }

    /// Numbers in one frame's input: 3·H·W.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        3 * self.width * self.height
    }
}

/// Keys that a layout has no use for are a mistake.
fn check_keys(model: &Path, manifest: &DetectorManifest, layout: Layout) -> Result<()> {
    let detrs = [Layout::Detr, Layout::Rtdetr];
    for (key, is_set, goes) in [
        ("scores", manifest.scores.is_some(), layout == Layout::Detr),
        ("normalize", manifest.normalize.is_some(), detrs.contains(&layout)),
        ("prompt", manifest.prompt.is_some(), layout == Layout::Owlv2),
        ("resize", manifest.resize.is_some(), layout != Layout::Owlv2),
    ] {
        if is_set && !goes {
            return Err(Error::model_set(model, key, "set", format!("absent: layout `{}` has no choice there", layout.name())));
        }
    }
    Ok(())
}

/// What logits mean: as said, as RF-DETR has them, or by their number.
fn detr_scores(model: &Path, manifest: &DetectorManifest, logits: &Port) -> Result<Scores> {
    if let Some(scores) = manifest.scores {
        return Ok(scores);
    }
    let labels = manifest.labels.len();
    match (labels, logits.shape[2]) {
        _ if logits.name == RF_DETR_NAMES[1] => Ok(Scores::Sigmoid),
        (0, Some(80 | 91)) => Ok(Scores::Sigmoid),
        // DETR on COCO: 91 and no object.
        (0, Some(92)) => Ok(Scores::Softmax),
        (1.., Some(numbers)) if numbers == labels => Ok(Scores::Sigmoid),
        (1.., Some(numbers)) if numbers == labels + 1 => Ok(Scores::Softmax),
        _ => {
            let wanted = format!("`softmax` (the last of {} is no object: DETR) or `sigmoid` (RT-DETR, Deformable DETR)", show(logits));
            Err(Error::model_set(model, "scores", "absent", wanted))
        }
    }
}

/// The input beside the picture: the size that boxes are wanted in, which is the input's own, or a mask without holes.
fn companion(model: &Path, layout: Layout, port: &Port, width: usize, height: usize) -> Result<Companion> {
    let (sides, row) = if layout == Layout::Rtdetr {
        (vec![2], [width, height].map(|side| i64::try_from(side).expect("sides are far below 2^63")).to_vec())
    } else {
        let sides = [port.shape[1].unwrap_or(height), port.shape[2].unwrap_or(width)];
        if !is_picture(sides[1], sides[0]) {
            let wanted = format!("a mask with sides of 1 to {MAX_SIDE}, at most {MOST_PIXELS} pixels in all");
            return Err(Error::model_set(model, "inputs", show(port), wanted));
        }
        (sides.to_vec(), vec![1; sides[0] * sides[1]])
    };
    Ok(Companion { name: port.name.clone(), sides, row })
}

/// Whether a detector may look at a picture of this size.
const fn is_picture(width: usize, height: usize) -> bool {
    width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MOST_PIXELS
}

/// Input side where the model leaves it open; `boxes` is the number of boxes in its first output.
pub(super) fn default_side(layout: Layout, boxes: Option<usize>) -> usize {
    const NANO: usize = 416;
    const USUAL: usize = 640;
    match (layout, boxes) {
        // A square of side 32·s has 16·s² + 4·s² + s² cells.
        (Layout::Yolox, Some(boxes)) => {
            [NANO, USUAL].into_iter().find(|side| anchors(*side, *side) == Some(boxes)).unwrap_or_else(|| 32 * (boxes / 21).isqrt())
        }
        (Layout::Yolox, None) => NANO,
        _ => USUAL,
    }
}

/// Cells of YOLOX's grids; `None` where that is too large a number.
pub(super) fn anchors(width: usize, height: usize) -> Option<usize> {
    YOLOX_STRIDES.iter().try_fold(0_usize, |sum, stride| (width / stride).checked_mul(height / stride)?.checked_add(sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Element;

    /// Sides of 0 are dynamic.
    fn port(name: &str, element: Element, shape: &[usize]) -> Port {
        Port { name: name.to_owned(), element, shape: shape.iter().map(|&side| (side > 0).then_some(side)).collect() }
    }

    fn float(name: &str, shape: &[usize]) -> Port {
        port(name, Element::F32, shape)
    }

    fn manifest(layout: Layout, labels: &[&str]) -> DetectorManifest {
        DetectorManifest {
            layout: Some(layout),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            ..DetectorManifest::default()
        }
    }

    fn check(manifest: &DetectorManifest, inputs: &[Port], outputs: &[Port]) -> Result<DetectorSpec> {
        DetectorSpec::new(Path::new("d.onnx"), manifest, inputs, outputs)
    }

    fn one(layout: Layout, labels: &[&str], input: &[usize], output: &[usize]) -> Result<DetectorSpec> {
        check(&manifest(layout, labels), &[float("images", input)], &[float("output", output)])
    }

    #[test]
    fn yolox_nano_gets_coco_names() {
        let spec = one(Layout::Yolox, &[], &[1, 3, 416, 416], &[1, 3549, 85]).unwrap();
        assert_eq!((spec.width, spec.height, spec.labels.len(), &*spec.labels[2]), (416, 416, 80, "car"));
        assert_eq!((spec.resize, spec.input.as_str(), spec.outputs), (Resize::Letterbox, "images", vec!["output".to_owned()]));
    }

    #[test]
    fn dynamic_sides_become_the_layouts_own_or_those_of_the_boxes() {
        let yolox = |boxes| one(Layout::Yolox, &[], &[0, 3, 0, 0], &[0, boxes, 85]).unwrap().width;
        assert_eq!([0, 3549, 8400, 21 * 24 * 24].map(yolox), [416, 416, 640, 768]);
        assert!(one(Layout::Yolox, &[], &[0, 3, 0, 0], &[0, 1000, 85]).unwrap_err().to_string().contains("A is"));
        let yolov8 = one(Layout::Yolov8, &["object"], &[0, 3, 0, 0], &[0, 0, 0]).unwrap();
        assert_eq!((yolov8.width, yolov8.height), (640, 640));
    }

    #[test]
    fn every_size_of_yolox_has_the_boxes_of_its_input() {
        for (height, width, boxes) in [(416, 416, 3549), (640, 640, 8400), (416, 640, 5460), (1280, 1280, 33600), (32, 32, 21)] {
            let spec = one(Layout::Yolox, &[], &[1, 3, height, width], &[1, boxes, 85]).unwrap();
            assert_eq!((spec.height, spec.width), (height, width));
        }
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
            (Layout::Yolov8, &[], &[1, 3, 640, 640], &[1, 1 << 40, 1 << 41], "1099511627776", "4+K"),
            (Layout::Yolov8, &[], &[1, 3, 1 << 40, 640], &[1, 84, 8400], "1099511627776", "pixels"),
            (Layout::Yolov8, &[], &[1, 3, 1 << 14, 1 << 14], &[1, 84, 8400], "[1, 3, 16384, 16384]", "16777216 pixels in all"),
            (Layout::Detr, &[], &[1, 3, 640, 640], &[1, 84, 8400], "output f32[1, 84, 8400]", "pred_boxes"),
            (Layout::Rtdetr, &[], &[1, 3, 640, 640], &[1, 84, 8400], "images f32[1, 3, 640, 640]", "orig_target_sizes"),
        ] {
            let error = one(layout, labels, input, output).unwrap_err().to_string();
            assert!(error.contains(found) && error.contains(wanted), "{error}");
        }
    }

    fn detr(numbers: usize, names: [&str; 2], manifest: &DetectorManifest) -> Result<DetectorSpec> {
        check(manifest, &[float("pixel_values", &[1, 3, 640, 640])], &[float(names[0], &[1, 300, 4]), float(names[1], &[1, 300, numbers])])
    }

    const HUGGING_FACE: [&str; 2] = ["pred_boxes", "logits"];

    #[test]
    fn the_number_of_logits_tells_what_they_mean_or_a_key_does() {
        let read = |numbers, names, manifest: &DetectorManifest| {
            detr(numbers, names, manifest).map(|spec| (spec.scores, spec.labels.len(), spec.mean.iter().all(|mean| mean.abs() < 1e-6)))
        };
        let plain = DetectorManifest::default();
        assert_eq!(read(80, HUGGING_FACE, &plain).unwrap(), (Scores::Sigmoid, 80, true), "RT-DETR");
        assert_eq!(read(92, HUGGING_FACE, &plain).unwrap(), (Scores::Softmax, 91, false), "DETR");
        assert_eq!(read(91, RF_DETR_NAMES, &plain).unwrap(), (Scores::Sigmoid, 91, false), "RF-DETR");
        assert_eq!(read(3, RF_DETR_NAMES, &plain).unwrap(), (Scores::Sigmoid, 3, false), "RF-DETR of another list");
        let two = manifest(Layout::Detr, &["a", "b"]);
        assert_eq!(read(2, HUGGING_FACE, &two).unwrap().0, Scores::Sigmoid);
        assert_eq!(read(3, HUGGING_FACE, &two).unwrap().0, Scores::Softmax);
        let said = DetectorManifest { scores: Some(Scores::Softmax), normalize: Some(Normalize::None), ..plain.clone() };
        assert_eq!(read(7, HUGGING_FACE, &said).unwrap(), (Scores::Softmax, 6, true));
        for (numbers, manifest, wanted) in [(7, &plain, "`scores` is absent"), (5, &two, "`scores` is absent"), (1, &said, "pred_boxes")] {
            let error = detr(numbers, HUGGING_FACE, manifest).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        let labels = detr(92, HUGGING_FACE, &plain).unwrap().labels;
        assert_eq!((&*labels[0], &*labels[1], &*labels[90]), ("N/A", "person", "toothbrush"));
    }

    #[test]
    fn keys_that_a_layout_has_no_use_for_are_refused() {
        let scores = DetectorManifest { scores: Some(Scores::Sigmoid), ..manifest(Layout::Yolox, &[]) };
        let normalize = DetectorManifest { normalize: Some(Normalize::Imagenet), ..manifest(Layout::Yolov8, &[]) };
        let prompt = DetectorManifest { prompt: Some("a {}".to_owned()), ..manifest(Layout::Yolox, &[]) };
        for (manifest, key) in [(scores, "scores"), (normalize, "normalize"), (prompt, "prompt")] {
            let error =
                check(&manifest, &[float("images", &[1, 3, 416, 416])], &[float("output", &[1, 3549, 85])]).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}` is set")), "{error}");
        }
    }

    #[test]
    fn a_second_input_is_the_same_for_every_frame() {
        let sizes = port("orig_target_sizes", Element::I64, &[0, 2]);
        let outputs = [port("labels", Element::I64, &[0, 300]), float("boxes", &[0, 300, 4]), float("scores", &[0, 300])];
        let spec = check(&DetectorManifest::default(), &[float("images", &[0, 3, 320, 640]), sizes], &outputs).unwrap();
        assert_eq!(spec.companion.unwrap(), Companion { name: "orig_target_sizes".to_owned(), sides: vec![2], row: vec![640, 320] });
        assert_eq!((spec.layout, spec.outputs.join(" ").as_str(), spec.labels.len()), (Layout::Rtdetr, "labels boxes scores", 80));

        let masked = |sides: &[usize]| {
            let inputs = [float("pixel_values", &[0, 3, 0, 0]), port("pixel_mask", Element::I64, sides)];
            check(&DetectorManifest::default(), &inputs, &[float("logits", &[0, 100, 92]), float("pred_boxes", &[0, 100, 4])])
        };
        let mask = masked(&[0, 64, 32]).unwrap().companion.unwrap();
        assert!(mask.sides == [64, 32] && mask.row.len() == 2048 && mask.row.iter().all(|one| *one == 1));
        assert_eq!(masked(&[0, 0, 0]).unwrap().companion.unwrap().sides, [640, 640]);
        for side in [1 << 40, 1 << 14] {
            assert!(masked(&[0, side, side]).unwrap_err().to_string().contains("a mask with sides"));
        }
    }
}
