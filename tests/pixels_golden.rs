//! Target and background of the golden cases, from their pictures and boxes.

mod common;

use uniood::{
    frame::FrameSource as _,
    geometry::{BBox, Rect},
    pair::{Base, PairSpec, write_pair},
};

#[test]
fn targets_and_backgrounds_of_the_golden_cases_are_exact() {
    let mut objects = 0;
    for entry in std::fs::read_dir(common::golden_dir()).unwrap() {
        let dir = entry.unwrap().path();
        let Ok(text) = std::fs::read(dir.join("case.json")) else { continue };
        let case: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let Some(boxes) = case["boxes_xywh"].as_array() else { continue };
        let preprocessor: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.join("clip/preprocessor_config.json")).unwrap()).unwrap();
        let mean: [f32; 3] = serde_json::from_value(preprocessor["image_mean"].clone()).unwrap();
        let expected = std::fs::read(dir.join("expected.safetensors")).unwrap();
        let expected = safetensors::SafeTensors::deserialize(&expected).unwrap();
        let picture = uniood::picture::read(&dir.join("frame.png")).unwrap();
        let frame = picture.frame();

        for (index, numbers) in boxes.iter().enumerate() {
            let [x, y, w, h]: [f32; 4] = serde_json::from_value(numbers.clone()).unwrap();
            let rect = Rect::cover(&BBox { x, y, w, h }, frame.width(), frame.height()).unwrap();
            let wanted = ["target", "background"].map(|image| expected.tensor(&format!("object{index}.{image}_u8")).unwrap());
            let spec = PairSpec::new(wanted[0].shape()[0], mean);
            let base = Base::new(&frame, &spec).unwrap();
            let (mut target, mut background) = (vec![0; spec.bytes()], vec![0; spec.bytes()]);
            write_pair(&frame, &base, rect, &spec, &mut target, &mut background).unwrap();
            for (found, wanted) in [target, background].iter().zip(wanted) {
                assert!(found == wanted.data(), "{} object {index}", dir.display());
            }
            objects += 1;
        }
    }
    assert_eq!(objects, 12, "four cases of three objects");
}
