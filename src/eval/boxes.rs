//! Where the objects of a picture are, and which of them count as what. `Picture ─▶ Found*`.

use super::{
    matching::matched,
    sets::{Part, Role},
};
use crate::{
    Result,
    data::{Annotated, Faults, Place},
    detect::Detection,
    geometry::{BBox, Rect},
};

/// One box of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) bbox: BBox,
    /// The pixels it covers.
    pub(super) rect: Rect,
    /// The detector's, where one found it.
    pub(super) confidence: Option<f32>,
    /// The labelled object that it is, by its position in the picture.
    pub(super) truth: Option<usize>,
}

/// What an object counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Known,
    Unknown,
    /// Not at all: matched to nothing, or to what is to be ignored.
    Neither,
}

/// Labelled objects as boxes, those to be ignored left out; one outside the picture is a fault.
pub(super) fn labelled(picture: &Annotated, (width, height): (u32, u32), faults: &mut Faults) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (truth, object) in picture.objects.iter().enumerate().filter(|(_, object)| !object.ignore) {
        match object.rect(width, height, &picture.path) {
            Ok(rect) => {
                let bbox = match object.place {
                    Place::Box(bbox) => bbox,
                    Place::Whole => whole(rect),
                };
                found.push(Found { bbox, rect, confidence: None, truth: Some(truth) });
            }
            Err(fault) => faults.add(fault)?,
        }
    }
    Ok(found)
}

/// Detections as boxes, each with the labelled object that it is matched to.
pub(super) fn detected(detections: &[Detection], picture: &Annotated, (width, height): (u32, u32)) -> Vec<Found> {
    let boxes: Vec<(usize, BBox)> = picture
        .objects
        .iter()
        .enumerate()
        .filter_map(|(index, object)| match object.place {
            Place::Box(bbox) => Some((index, bbox)),
            Place::Whole => None,
        })
        .collect();
    let truth: Vec<BBox> = boxes.iter().map(|(_, bbox)| *bbox).collect();
    let covered: Vec<(Rect, &Detection)> =
        detections.iter().filter_map(|detection| Some((Rect::cover(&detection.bbox, width, height)?, detection))).collect();
    let boxed: Vec<(BBox, f32)> = covered.iter().map(|(_, detection)| (detection.bbox, detection.confidence)).collect();
    let matches = matched(&truth, &boxed);
    let found = |((rect, detection), matched): (&(Rect, &Detection), Option<usize>)| Found {
        bbox: detection.bbox,
        rect: *rect,
        confidence: Some(detection.confidence),
        truth: matched.map(|index| boxes[index].0),
    };
    covered.iter().zip(matches).map(found).collect()
}

/// The image level: the most confident detection as the sole object, else the whole picture.
pub(super) fn sole(detections: &[Detection], (width, height): (u32, u32)) -> Option<Found> {
    let covered = detections.iter().filter_map(|detection| Some((Rect::cover(&detection.bbox, width, height)?, detection)));
    let best = covered.max_by(|a, b| a.1.confidence.total_cmp(&b.1.confidence));
    match best {
        Some((rect, Detection { bbox, confidence, .. })) => Some(Found { bbox: *bbox, rect, confidence: Some(*confidence), truth: None }),
        None => Rect::whole(width, height).map(|rect| Found { bbox: whole(rect), rect, confidence: Some(0.0), truth: None }),
    }
}

/// What an object of `part` counts as.
pub(super) fn kind(part: &Part, picture: &Annotated, found: &Found) -> Kind {
    let object = found.truth.map(|truth| &picture.objects[truth]);
    match part.role {
        Role::Known => Kind::Known,
        Role::Unknown => Kind::Unknown,
        Role::Mixed => match object {
            Some(object) if !object.ignore && part.class_of[object.category].is_some() => Kind::Known,
            Some(object) if !object.ignore => Kind::Unknown,
            _ => Kind::Neither,
        },
    }
}

/// Labelled unknown objects that no box was matched to.
pub(super) fn missed(part: &Part, picture: &Annotated, found: &[Found]) -> usize {
    let unknown = |(index, object): &(usize, &crate::data::Labelled)| {
        !object.ignore && part.class_of[object.category].is_none() && found.iter().all(|found| found.truth != Some(*index))
    };
    picture.objects.iter().enumerate().filter(unknown).count()
}

#[expect(clippy::cast_precision_loss, reason = "frames are far below 2^24 pixels a side")]
fn whole(rect: Rect) -> BBox {
    BBox { x: rect.x() as f32, y: rect.y() as f32, w: rect.w() as f32, h: rect.h() as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataSet, Labelled, Layout};

    fn at(x: f32) -> BBox {
        BBox { x, y: 0.0, w: 10.0, h: 10.0 }
    }

    fn detection(x: f32, confidence: f32) -> Detection {
        Detection { bbox: at(x), confidence, label: None }
    }

    /// A picture 100 wide with a car, a deer, and a deer to be ignored.
    fn street() -> (Part, Annotated) {
        let object = |category, x, ignore| Labelled { id: "1".into(), category, place: Place::Box(at(x)), ignore };
        let picture = Annotated::file("a.png".into(), vec![object(0, 0.0, false), object(1, 30.0, false), object(1, 60.0, true)]);
        let data = DataSet {
            path: "a".into(),
            layout: Layout::Coco,
            categories: vec!["car".into(), "deer".into()],
            pictures: vec![picture.clone()],
        };
        (Part { name: "a".to_owned(), role: Role::Mixed, data, class_of: vec![Some(0), None] }, picture)
    }

    #[test]
    fn in_the_open_world_a_detection_counts_as_what_it_is_matched_to() {
        let (part, picture) = street();
        let detections = [detection(1.0, 0.9), detection(31.0, 0.8), detection(61.0, 0.7), detection(85.0, 0.6)];
        let found = detected(&detections, &picture, (100, 10));
        let kinds: Vec<Kind> = found.iter().map(|found| kind(&part, &picture, found)).collect();
        assert_eq!(kinds, [Kind::Known, Kind::Unknown, Kind::Neither, Kind::Neither]);
        assert_eq!((missed(&part, &picture, &found), missed(&part, &picture, &found[..1])), (0, 1));
    }

    #[test]
    fn apart_every_detection_counts_as_its_sets_role() {
        let (mut part, picture) = street();
        part.role = Role::Unknown;
        let found = detected(&[detection(85.0, 0.6)], &picture, (100, 10));
        assert_eq!(kind(&part, &picture, &found[0]), Kind::Unknown);
    }

    #[test]
    fn the_image_level_takes_the_most_confident_or_all_of_it() {
        let best = sole(&[detection(0.0, 0.4), detection(50.0, 0.6)], (100, 10)).unwrap();
        assert_eq!((best.rect.x(), best.confidence), (50, Some(0.6)));
        let whole = sole(&[detection(200.0, 0.9)], (100, 10)).unwrap();
        assert_eq!((whole.rect.w(), whole.rect.h(), whole.confidence), (100, 10, Some(0.0)));
    }

    #[test]
    fn labelled_boxes_outside_are_faults_and_ignored_ones_no_objects() {
        let (_, mut picture) = street();
        let mut faults = Faults::default();
        assert_eq!(labelled(&picture, (100, 10), &mut faults).unwrap().len(), 2);
        picture.objects[0].place = Place::Box(at(500.0));
        assert_eq!((labelled(&picture, (100, 10), &mut faults).unwrap().len(), faults.count()), (1, 1));
    }
}
