//! Real detectors: boxes against a Python reference of the same model, and what they are worth.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};

use ndarray::ArrayView4;
use serde::Deserialize;
use uniood::{
    detect::{Detection, DetectorSpec, Selection, decode, preprocess},
    engine::{Device, Input, Session},
    frame::FrameSource as _,
    geometry::BBox,
    models::{DetectorManifest, Layout, Resize},
    picture,
};

/// COCO's annotation file, as far as it is needed here.
#[derive(Deserialize)]
struct Coco {
    images: Vec<CocoImage>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct CocoImage {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u64,
    bbox: [f32; 4],
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

impl Coco {
    fn open(folder: &Path) -> Self {
        serde_json::from_slice(&std::fs::read(folder.join("instances.json")).unwrap()).unwrap()
    }

    fn truths(&self, image: u64) -> impl Iterator<Item = (u64, BBox)> {
        let of = move |annotation: &&Annotation| annotation.image_id == image;
        self.annotations.iter().filter(of).map(|annotation| {
            let [x, y, w, h] = annotation.bbox;
            (annotation.category_id, BBox { x, y, w, h })
        })
    }
}

/// What `detector_reference.py` prints.
#[derive(Deserialize)]
struct Reference {
    images: Vec<ReferenceImage>,
    map50: Option<f64>,
}

#[derive(Deserialize)]
struct ReferenceImage {
    boxes: Vec<(f32, f32, f32, f32, f32, usize)>,
}

struct Model {
    session: Session,
    spec: DetectorSpec,
}

impl Model {
    fn open(file: &Path, layout: Layout, resize: Option<Resize>, labels: &[String]) -> Self {
        let session = Session::from_file("detect", file, &Device::Cpu, Some(1)).unwrap();
        let manifest = DetectorManifest { layout: Some(layout), resize, labels: labels.to_vec(), ..DetectorManifest::default() };
        let spec = DetectorSpec::new(file, &manifest, session.inputs(), session.outputs()).unwrap();
        Self { session, spec }
    }

    fn detect(&mut self, file: &Path, selection: &Selection) -> (Vec<Detection>, (u32, u32)) {
        let picture = picture::read(file).unwrap();
        let frame = picture.frame();
        let mut values = vec![0.0; self.spec.input_len()];
        let mapping = preprocess(&frame, &self.spec, &mut values).unwrap();
        let values = ArrayView4::from_shape((1, 3, self.spec.height, self.spec.width), &values).unwrap();
        let mut outputs = self.session.run(&[(self.spec.input.as_str(), Input::from(values))]).unwrap();
        let output = outputs.take::<ndarray::IxDyn>(&self.spec.outputs[0]).unwrap();
        (decode(&[output.view()], &mapping, &self.spec, selection).unwrap(), (frame.width(), frame.height()))
    }
}

fn reference(model: &Path, resize: &str, layout: &str, threshold: f32, iou: f32, folder: &Path, names: &[String]) -> Option<Reference> {
    let mut oracle = common::oracle("detector_reference.py", &["onnxruntime", "PIL", "numpy"])?;
    oracle.arg(model).args([layout, resize, &threshold.to_string(), &iou.to_string()]).arg(folder);
    Some(serde_json::from_slice(&common::answer(&mut oracle, &serde_json::to_string(names).unwrap())).unwrap())
}

/// What was found in a picture, and what is there: category and box.
type Scene = (Vec<Detection>, Vec<(u64, BBox)>);

/// Mean over the classes of average precision at IoU 0.5 (VOC from 2010 on: precision made monotone, area over recall;
/// a truth is found once, by the most confident box that overlaps it most). Per picture: its boxes and its truths.
fn map50(pictures: &[Scene], categories: &[Category]) -> f64 {
    let mut scores = Vec::new();
    for (label, category) in categories.iter().enumerate() {
        let (mut found, mut truths) = (Vec::new(), 0_u32);
        for (boxes, truth) in pictures {
            let truth: Vec<BBox> = truth.iter().filter(|(id, _)| *id == category.id).map(|(_, bbox)| *bbox).collect();
            truths += u32::try_from(truth.len()).unwrap();
            let mut taken = vec![false; truth.len()];
            for detection in boxes.iter().filter(|detection| detection.label.as_ref().unwrap().id as usize == label) {
                let iou = truth.iter().map(|truth| truth.iou(&detection.bbox)).enumerate();
                let best = iou.max_by(|a, b| a.1.total_cmp(&b.1));
                let hit = best.filter(|&(index, iou)| iou >= 0.5 && !std::mem::replace(&mut taken[index], true));
                found.push((detection.confidence, hit.is_some()));
            }
        }
        if truths > 0 {
            scores.push(average_precision(found, truths));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "80 classes at most")]
    let classes = scores.len() as f64;
    scores.iter().sum::<f64>() / classes
}

fn average_precision(mut found: Vec<(f32, bool)>, truths: u32) -> f64 {
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut hits, mut curve) = (0_u32, Vec::new());
    for (rank, (_, hit)) in (1_u32..).zip(found) {
        hits += u32::from(hit);
        curve.push((f64::from(hits) / f64::from(truths), f64::from(hits) / f64::from(rank)));
    }
    let (mut area, mut best, mut right) = (0.0, 0.0_f64, None);
    for &(recall, precision) in curve.iter().rev() {
        if let Some(right) = right {
            area += (right - recall) * best;
        }
        (best, right) = (best.max(precision), Some(recall));
    }
    area + right.unwrap_or(0.0) * best
}

#[test]
fn average_precision_is_the_area_under_the_monotone_curve() {
    let close = |found: &[(f32, bool)], truths, wanted: f64| {
        let area = average_precision(found.to_vec(), truths);
        assert!((area - wanted).abs() < 1e-12, "{area}");
    };
    close(&[], 3, 0.0);
    close(&[(0.9, true), (0.8, true)], 2, 1.0);
    close(&[(0.8, true), (0.9, false)], 1, 0.5);
    close(&[(0.9, true), (0.8, false), (0.7, true)], 4, 0.25 + 0.25 * 2.0 / 3.0);
}

fn coco128() -> Option<(PathBuf, PathBuf)> {
    Some((common::shared("detectors/yolox_nano.onnx")?, common::shared("images/coco128")?))
}

#[test]
fn yolox_boxes_are_those_of_python() {
    let Some((file, folder)) = coco128() else { return };
    let selection = Selection { min_object_size: 0, ..Selection::default() };
    let (threshold, iou) = (selection.detection_threshold, selection.iou_threshold);
    let Some(reference) = reference(&file, "letterbox", "yolox", threshold, iou, &folder, &[]) else { return };
    let coco = Coco::open(&folder);
    let mut model = Model::open(&file, Layout::Yolox, None, &[]);
    let (mut boxes, mut worst) = (0, 0.0_f32);
    for (image, wanted) in coco.images.iter().zip(&reference.images) {
        let (found, (width, height)) = model.detect(&folder.join("images").join(&image.file_name), &selection);
        assert_eq!(found.len(), wanted.boxes.len(), "{}", image.file_name);
        for (found, &(x, y, w, h, score, class)) in found.iter().zip(&wanted.boxes) {
            let wanted = BBox { x, y, w, h }.clipped(width, height);
            let (a, b) = (found.bbox, wanted);
            for (a, b) in [(a.x, b.x), (a.y, b.y), (a.x + a.w, b.x + b.w), (a.y + a.h, b.y + b.h)] {
                worst = worst.max((a - b).abs());
            }
            assert!((found.confidence - score).abs() < 0.002, "{}: {} for {score}", image.file_name, found.confidence);
            assert_eq!(found.label.as_ref().unwrap().id as usize, class);
            boxes += 1;
        }
    }
    eprintln!("{boxes} boxes, edges at most {worst} pixels off");
    assert!(boxes > 400, "{boxes}");
    assert!(worst < 1.0, "an edge is {worst} pixels off");
}

#[test]
fn yolox_is_worth_on_coco128_what_it_is_in_python() {
    let Some((file, folder)) = coco128() else { return };
    let selection = Selection { detection_threshold: 0.001, min_object_size: 0, ..Selection::default() };
    let coco = Coco::open(&folder);
    let mut model = Model::open(&file, Layout::Yolox, None, &[]);
    let names: Vec<String> = coco.categories.iter().map(|category| category.name.clone()).collect();
    assert!(model.spec.labels.iter().map(|label| &**label).eq(names.iter().map(String::as_str)));
    let pictures: Vec<_> = coco
        .images
        .iter()
        .map(|image| (model.detect(&folder.join("images").join(&image.file_name), &selection).0, coco.truths(image.id).collect()))
        .collect();
    let found = map50(&pictures, &coco.categories);
    eprintln!("mAP50 of YOLOX-nano on COCO128: {found:.4}");
    assert!((0.48..0.52).contains(&found), "{found}");
    let (threshold, iou) = (selection.detection_threshold, selection.iou_threshold);
    let Some(reference) = reference(&file, "letterbox", "yolox", threshold, iou, &folder, &names) else { return };
    let wanted = reference.map50.unwrap();
    eprintln!("in Python: {wanted:.4}");
    assert!((found - wanted).abs() < 0.005, "{found} for {wanted}");
}

/// Recall of ID and OOD truths and precision at score > 0.3 and IoU 0.5; the data set's README has the detector's
/// own, made with Pillow's pixels.
#[test]
fn the_street_worlds_detector_finds_what_its_card_says() {
    let Some(street) = common::shared("street-proto") else { return };
    let labels = ["object".to_owned()];
    let mut model = Model::open(&street.join("models/detector.onnx"), Layout::Yolov8, Some(Resize::Stretch), &labels);
    let selection = Selection { min_object_size: 0, ..Selection::default() };
    for (camera, card) in [("plain", [0.831, 0.861, 0.83]), ("lowlight", [0.585, 0.658, 0.73])] {
        let folder = street.join("scenes/test").join(camera);
        let coco = Coco::open(&folder);
        let (mut hits, mut truths, mut boxes) = ([0_u32; 2], [0_u32; 2], 0_u32);
        for image in &coco.images {
            let (found, _) = model.detect(&folder.join("images").join(&image.file_name), &selection);
            boxes += u32::try_from(found.len()).unwrap();
            for (category, truth) in coco.truths(image.id) {
                let ood = usize::from(category > 10);
                truths[ood] += 1;
                hits[ood] += u32::from(found.iter().any(|found| found.bbox.iou(&truth) >= 0.5));
            }
        }
        let share = |part: u32, of: u32| f64::from(part) / f64::from(of);
        let found = [share(hits[0], truths[0]), share(hits[1], truths[1]), share(hits[0] + hits[1], boxes)];
        eprintln!("{camera}: recall ID {:.3}, recall OOD {:.3}, precision {:.3}; card {card:?}", found[0], found[1], found[2]);
        for (found, card) in found.into_iter().zip(card) {
            assert!((found - card).abs() < 0.01, "{camera}: {found:.3} for {card}");
        }
    }
}
