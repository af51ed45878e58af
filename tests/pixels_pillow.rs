//! Target and background against Pillow, over random pictures, boxes and sizes.

mod common;

use serde::Deserialize;
use uniood::{
    frame::Frame,
    geometry::{BBox, Rect},
    pair::{Base, PairSpec, write_pair},
};

#[derive(Deserialize, Debug)]
struct Case {
    w: u32,
    h: u32,
    size: usize,
    fill: [u8; 3],
    #[serde(rename = "box")]
    bbox: [f32; 4],
}

#[test]
fn targets_and_backgrounds_are_pillows_to_the_last_bit() {
    let Some(mut oracle) = common::oracle("pixels_pillow.py", &["PIL", "numpy"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    common::answer(oracle.arg(dir.path()).args(["20260607", "400"]), "");

    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(dir.path().join("cases.json")).unwrap()).unwrap();
    let bytes = std::fs::read(dir.path().join("cases.bin")).unwrap();
    let mut rest = bytes.as_slice();
    assert!(cases.len() > 200, "{} cases", cases.len());
    for case in &cases {
        let spec = PairSpec { size: case.size, fill: case.fill };
        let pixels = rest.split_off(..(case.w * case.h * 3) as usize).unwrap();
        let wanted = [(); 2].map(|()| rest.split_off(..spec.bytes()).unwrap());
        let [x, y, w, h] = case.bbox;
        let frame = Frame::rgb(case.w, case.h, pixels).unwrap();
        let rect = Rect::cover(&BBox { x, y, w, h }, case.w, case.h).unwrap();
        let base = Base::new(&frame, &spec).unwrap();
        let (mut target, mut background) = (vec![0; spec.bytes()], vec![0; spec.bytes()]);
        write_pair(&frame, &base, rect, &spec, &mut target, &mut background).unwrap();
        for (image, found, wanted) in [("target", target, wanted[0]), ("background", background, wanted[1])] {
            let off = found.iter().zip(wanted).map(|(found, wanted)| found.abs_diff(*wanted)).max().unwrap();
            assert_eq!(off, 0, "levels off Pillow in the {image} of {case:?}");
        }
    }
    assert!(rest.is_empty());
}
