//! A detector's ports against the layouts' contracts: which layout it is, and which port is what.

use std::path::Path;

use super::spec::{anchors, default_side};
use crate::{
    Error,
    engine::{Element, Port},
    models::Layout,
};

/// The layouts that ports can tell, those with names of their own first.
const TOLD_BY_PORTS: [Layout; 4] = [Layout::Rtdetr, Layout::Detr, Layout::Yolox, Layout::Yolov8];

/// Names of boxes and logits that exports of [`Layout::Detr`] have: transformers', RF-DETR's.
const DETR_NAMES: [[&str; 2]; 2] = [["pred_boxes", "logits"], RF_DETR_NAMES];
pub(super) const RF_DETR_NAMES: [&str; 2] = ["dets", "labels"];

/// Which port of a detector is what.
#[derive(Debug)]
pub(super) struct Contract<'a> {
    /// `f32[N, 3, H, W]`.
    pub(super) image: &'a Port,
    /// The input beside it.
    pub(super) companion: Option<&'a Port>,
    /// In the order in which the layout's decoder takes them.
    pub(super) outputs: Vec<&'a Port>,
}

/// What does not fit: a key, what was found, what was wanted.
#[derive(Debug)]
pub(super) struct Misfit(&'static str, String, String);

impl Misfit {
    /// As an error of the model's file.
    pub(super) fn of(self, model: &Path) -> Error {
        Error::model_set(model, self.0, self.1, self.2)
    }
}

impl<'a> Contract<'a> {
    /// The ports of a layout.
    pub(super) fn of(layout: Layout, inputs: &'a [Port], outputs: &'a [Port]) -> Result<Self, Misfit> {
        let (image, companion) = inputs_of(layout, inputs)?;
        let misfit = || Misfit("outputs", list(outputs), format!("{}: is `layout` right?", form(layout)));
        let named = |name: &str, sides: usize| outputs.iter().find(|port| port.name == name && port.shape.len() == sides);
        let outputs = match (layout, outputs) {
            (Layout::Yolox | Layout::Yolov8, [output]) if output.shape.len() == 3 => Some(vec![output]),
            (Layout::Detr, _) => DETR_NAMES.iter().find_map(|[boxes, logits]| {
                let boxes = named(boxes, 3).filter(|boxes| matches!(boxes.shape[2], None | Some(4)))?;
                Some(vec![boxes, named(logits, 3)?])
            }),
            (Layout::Rtdetr, _) => {
                [("labels", 2), ("boxes", 3), ("scores", 2)].map(|(name, sides)| named(name, sides)).into_iter().collect()
            }
            _ => None,
        };
        Ok(Self { image, companion, outputs: outputs.ok_or_else(misfit)? })
    }

    /// Width and height of the picture it takes; the layout's usual side where the model leaves them open.
    pub(super) fn sides(&self, layout: Layout) -> (usize, usize) {
        let usual = default_side(layout, self.outputs[0].shape[1]);
        (self.image.shape[3].unwrap_or(usual), self.image.shape[2].unwrap_or(usual))
    }

    /// Whether these ports are no other layout's. Three sides without names say little: YOLOv5's `[N, A, 5+K]` has them too.
    fn is_certain(&self, layout: Layout) -> bool {
        let (width, height) = self.sides(layout);
        match (layout, self.outputs[0].shape.as_slice()) {
            (Layout::Yolox, &[_, boxes, numbers]) => boxes.is_some() && boxes == anchors(width, height) && numbers > Some(5),
            (Layout::Yolov8, &[_, numbers, boxes]) => numbers > Some(4) && (boxes.is_none() || boxes > numbers),
            _ => true,
        }
    }
}

/// The layout that a model's ports have; where there is none, what they are and what is known.
pub(super) fn recognised(inputs: &[Port], outputs: &[Port]) -> Result<Layout, Misfit> {
    let is = |layout: &Layout| Contract::of(*layout, inputs, outputs).is_ok_and(|contract| contract.is_certain(*layout));
    TOLD_BY_PORTS.into_iter().find(is).ok_or_else(|| {
        let known: Vec<String> = TOLD_BY_PORTS.iter().map(|layout| format!("`{}` ({})", layout.name(), form(*layout))).collect();
        let found = format!("absent, and not told by the inputs {} and outputs {}", list(inputs), list(outputs));
        Misfit("layout", found, format!("one of {}, or `owlv2` (a folder); name it in a model set's uniood.json", known.join(", ")))
    })
}

fn inputs_of(layout: Layout, inputs: &[Port]) -> Result<(&Port, Option<&Port>), Misfit> {
    let misfit = |wanted: &str| Err(Misfit("inputs", list(inputs), wanted.to_owned()));
    let (pictures, others): (Vec<&Port>, Vec<&Port>) = inputs.iter().partition(|port| port.shape.len() == 4);
    let [image] = pictures[..] else { return misfit("[N, 3, H, W]: three colours and the sides of a picture") };
    if !matches!(image.shape[1], None | Some(3)) {
        return misfit("[N, 3, H, W]: three colours and the sides of a picture");
    }
    if image.element != Element::F32 {
        return misfit("a picture of f32; export it without half precision or quantised inputs");
    }
    match (layout, &others[..]) {
        (Layout::Rtdetr, [sizes]) if sizes.element == Element::I64 && matches!(sizes.shape[..], [_, None | Some(2)]) => {
            Ok((image, Some(sizes)))
        }
        (Layout::Rtdetr, _) => misfit("a picture and orig_target_sizes i64[N, 2]"),
        (Layout::Detr, [mask]) if mask.name == "pixel_mask" && mask.element == Element::I64 && mask.shape.len() == 3 => {
            Ok((image, Some(mask)))
        }
        (_, []) => Ok((image, None)),
        _ => misfit("a picture alone"),
    }
}

/// What a layout's outputs are, in words.
pub(super) const fn form(layout: Layout) -> &'static str {
    match layout {
        Layout::Yolox => "one output [N, A, 5+K], YOLOX's raw grid",
        Layout::Yolov8 => "one output [N, 4+K, A], YOLOv8's transposed boxes",
        Layout::Detr => "pred_boxes [N, Q, 4] and logits [N, Q, K], or dets [N, Q, 4] and labels [N, Q, K]",
        Layout::Rtdetr => "input orig_target_sizes [N, 2], labels [N, Q], boxes [N, Q, 4] and scores [N, Q]",
        Layout::Owlv2 => "pred_boxes [N, Q, 4], and logits [N, Q, K] or objectness_logits [N, Q]",
    }
}

/// Ports in words: `images f32[?, 3, 640, 640]`.
pub(super) fn list(ports: &[Port]) -> String {
    let words: Vec<String> = ports.iter().map(show).collect();
    if words.is_empty() { "(none)".to_owned() } else { words.join(", ") }
}

/// A port in words.
pub(super) fn show(port: &Port) -> String {
    let element = match &port.element {
        Element::F32 => "f32",
        Element::I64 => "i64",
        Element::U8 => "u8",
        Element::Other(words) => words,
    };
    let sides: Vec<String> = port.shape.iter().map(|side| side.map_or_else(|| "?".to_owned(), |side| side.to_string())).collect();
    format!("{} {element}[{}]", port.name, sides.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, element: Element, shape: &[usize]) -> Port {
        Port { name: name.to_owned(), element, shape: shape.iter().map(|&side| (side > 0).then_some(side)).collect() }
    }

    fn image(side: usize) -> Port {
        port("images", Element::F32, &[1, 3, side, side])
    }

    fn float(name: &str, shape: &[usize]) -> Port {
        port(name, Element::F32, shape)
    }

    #[test]
    fn public_exports_are_recognised() {
        let sizes = port("orig_target_sizes", Element::I64, &[0, 2]);
        let mask = port("pixel_mask", Element::I64, &[0, 64, 64]);
        let found = [port("labels", Element::I64, &[0, 300]), float("boxes", &[0, 300, 4]), float("scores", &[0, 300])];
        for (inputs, outputs, wanted) in [
            (vec![image(416)], vec![float("output", &[1, 3549, 85])], Layout::Yolox),
            (vec![image(640)], vec![float("output", &[1, 8400, 85])], Layout::Yolox),
            (vec![image(0)], vec![float("output", &[0, 8400, 85])], Layout::Yolox),
            (vec![image(640)], vec![float("output0", &[1, 84, 8400])], Layout::Yolov8),
            (vec![image(0)], vec![float("output0", &[0, 84, 0])], Layout::Yolov8),
            (vec![image(640), sizes], found.to_vec(), Layout::Rtdetr),
            (vec![image(560)], vec![float("dets", &[1, 300, 4]), float("labels", &[1, 300, 91])], Layout::Detr),
            (vec![image(0)], vec![float("logits", &[0, 300, 80]), float("pred_boxes", &[0, 300, 4])], Layout::Detr),
            (vec![image(0), mask], vec![float("logits", &[0, 100, 92]), float("pred_boxes", &[0, 100, 4])], Layout::Detr),
        ] {
            assert_eq!(recognised(&inputs, &outputs).unwrap(), wanted, "{}", list(&outputs));
        }
    }

    #[test]
    fn what_is_not_recognised_is_listed() {
        for outputs in [
            // YOLOv5, boxes after NMS, a classifier.
            vec![float("output", &[1, 25200, 85])],
            vec![float("output0", &[1, 300, 6])],
            vec![float("logits", &[1, 1000])],
            vec![float("output", &[0, 0, 85])],
            vec![],
        ] {
            let Misfit(key, found, wanted) = recognised(&[image(640)], &outputs).unwrap_err();
            assert_eq!(key, "layout");
            assert!(found.contains("images f32[1, 3, 640, 640]") && found.contains(&list(&outputs)), "{found}");
            assert!(["yolox", "yolov8", "detr", "rtdetr", "owlv2"].iter().all(|layout| wanted.contains(layout)), "{wanted}");
        }
    }

    #[test]
    fn other_elements_and_inputs_are_told() {
        let output = [float("output", &[1, 8400, 85])];
        let half = port("images", Element::Other("Float16".to_owned()), &[1, 3, 640, 640]);
        let Misfit(_, found, wanted) = Contract::of(Layout::Yolox, &[half], &output).unwrap_err();
        assert!(found.contains("Float16[1, 3, 640, 640]") && wanted.contains("half precision"), "{found}, {wanted}");
        let more = [image(640), float("scale", &[1])];
        let Misfit(key, found, _) = Contract::of(Layout::Yolox, &more, &output).unwrap_err();
        assert!(key == "inputs" && found.contains("scale f32[1]"), "{found}");
    }
}
