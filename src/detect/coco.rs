//! COCO's 80 classes, in the order detectors trained on it use.

use std::sync::Arc;

/// Indices that COCO's own numbering of 0 to 90 leaves out.
const GAPS: [usize; 11] = [0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83];

/// Names by COCO's own numbers, which DETR and RF-DETR put out: 91 with the gaps.
pub(super) fn with_gaps() -> Vec<Arc<str>> {
    let mut labels = LABELS.iter();
    (0..91).map(|number| if GAPS.contains(&number) { "N/A" } else { labels.next().expect("91 less 11 is 80") }.into()).collect()
}

/// Names by index.
#[rustfmt::skip]
pub(crate) const LABELS: [&str; 80] = [
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light", "fire hydrant",
    "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe",
    "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat",
    "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl",
    "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave",
    "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
];

#[cfg(test)]
mod tests {
    #[test]
    fn the_numbers_with_gaps_are_cocos_own() {
        let labels = super::with_gaps();
        let at = |number: usize| &*labels[number];
        assert_eq!(
            [at(1), at(11), at(13), at(27), at(44), at(46), at(67), at(70), at(72), at(84), at(90)],
            [
                "person",
                "fire hydrant",
                "stop sign",
                "backpack",
                "bottle",
                "wine glass",
                "dining table",
                "toilet",
                "tv",
                "book",
                "toothbrush"
            ]
        );
    }
}
