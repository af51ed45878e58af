//! The plain reference on a trained model set and real picture files: pixels, pairs, towers and combiner in a row,
//! against scores that another implementation wrote down. Needs `UNIOOD_SHARED`; skips aloud without.

mod common;

use std::time::Duration;

use ndarray::ArrayView3;
use serde_json::Value;
use uniood::{
    encode::reference::Reference,
    frame::FrameSource,
    geometry::{BBox, Rect},
    models::ModelSet,
    pair::{Base, PairSpec, write_pair},
    picture,
};

/// Not the method: on equal pixels it agrees to 1e-6. A JPEG decoder whose pixels differ from libjpeg-turbo's by up to 4 levels
/// moves the scores of small boxes this far.
const TOLERANCE: f64 = 2e-2;
const PICTURES: usize = 12;

#[test]
fn a_trained_sets_scores_are_those_written_down() {
    common::completes_within(Duration::from_mins(2), || {
        let Some(street) = common::shared("street-proto") else { return };
        let json = |path: &str| -> Value { serde_json::from_slice(&std::fs::read(street.join(path)).unwrap()).unwrap() };
        let set = ModelSet::open(&street.join("models")).unwrap();
        let reference = Reference::open(&set.clip_dir(), set.combiner_path().as_deref()).unwrap();
        let vocabulary = reference.vocabulary(&set.manifest.classes, &set.manifest.templates).unwrap();
        let spec = PairSpec::new(set.clip.vision.image_size, set.clip.image_mean);
        let side = spec.size;
        let results = json("results.json");
        let (mut objects, mut worst) = (0, 0f64);
        for camera in ["test/plain", "test/lowlight"] {
            let scenes = json(&format!("scenes/{camera}/instances.json"));
            let written = results["sets"][camera]["objects"].as_array().unwrap();
            for image in scenes["images"].as_array().unwrap().iter().take(PICTURES) {
                let file = street.join("scenes").join(camera).join("images").join(image["file_name"].as_str().unwrap());
                let picture = picture::read(&file).unwrap();
                let frame = picture.frame();
                let base = Base::new(&frame, &spec).unwrap();
                for object in written.iter().filter(|object| object["image_id"] == image["id"]) {
                    let annotations = scenes["annotations"].as_array().unwrap();
                    let annotation = annotations.iter().find(|annotation| annotation["id"] == object["id"]).unwrap();
                    let [x, y, w, h] = serde_json::from_value(annotation["bbox"].clone()).unwrap();
                    let rect = Rect::cover(&BBox { x, y, w, h }, frame.width(), frame.height()).unwrap();
                    let (mut target, mut background) = (vec![0; spec.bytes()], vec![0; spec.bytes()]);
                    write_pair(&frame, &base, rect, &spec, &mut target, &mut background).unwrap();
                    let view = |pixels| ArrayView3::from_shape((side, side, 3), pixels).unwrap();
                    let encoding = reference.encode(&view(&target), &view(&background)).unwrap();
                    let scores = reference.trace(&encoding, &vocabulary, object["has_context"].as_bool().unwrap()).scores;
                    for (found, name) in [(&scores.clip_cosine, "cosine"), (&scores.omega, "omega")] {
                        let wanted: Vec<f64> = serde_json::from_value(object[name].clone()).unwrap();
                        assert_eq!(found.len(), wanted.len());
                        let difference = found.iter().zip(wanted).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                        assert!(difference < TOLERANCE, "{name} of object {} is off by {difference}", object["id"]);
                        worst = worst.max(difference);
                    }
                    objects += 1;
                }
            }
        }
        assert!(objects > 100, "{objects}");
        eprintln!("{objects} objects, off by at most {worst:.1e}");
    });
}
