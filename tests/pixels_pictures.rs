//! Picture files: pixels as Pillow reads them, and what is said of those that cannot be read.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::Deserialize;
use uniood::{Error, picture};

#[derive(Deserialize)]
struct Truth {
    path: PathBuf,
    width: u32,
    height: u32,
}

fn golden_frame() -> PathBuf {
    common::golden_dir().join("quick_gelu_g7/frame.png")
}

#[test]
fn pixels_of_every_format_are_pillows() {
    let Some(mut oracle) = common::oracle("pixels_pictures.py", &["PIL"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    oracle.arg(golden_frame()).arg(dir.path());
    // Photographs, where there are any.
    for folder in ["street-proto/scenes/test/lowlight/images", "images/coco128/images", "images/raccoon/images"] {
        let Some(folder) = common::shared(folder) else { continue };
        let mut pictures: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        pictures.sort();
        oracle.args(&pictures[..25]);
    }
    common::answer(&mut oracle, "");

    let truths: Vec<Truth> = serde_json::from_slice(&std::fs::read(dir.path().join("pictures.json")).unwrap()).unwrap();
    assert!(truths.len() >= 25);
    for (index, Truth { path, width, height }) in truths.iter().enumerate() {
        let wanted = std::fs::read(dir.path().join(format!("{index}.rgb"))).unwrap();
        let found = picture::read(path).unwrap();
        assert_eq!((found.width, found.height), (*width, *height), "{}", path.display());
        let off = found.rgb.iter().zip(&wanted).map(|(found, wanted)| found.abs_diff(*wanted)).max().unwrap();
        // Grey of CMYK's inks is a product that may be rounded either way.
        let allowed = u8::from(path.ends_with("cmyk.jpg"));
        assert!(off <= allowed, "{}: {off} levels off Pillow", path.display());
    }
}

#[test]
fn sixteen_bits_become_eight() {
    let deep = image::ImageBuffer::<image::Rgb<u16>, _>::from_raw(2, 1, vec![0, 257, 65535, 128, 32896, 65407]).unwrap();
    let mut png = std::io::Cursor::new(Vec::new());
    deep.write_to(&mut png, image::ImageFormat::Png).unwrap();
    assert_eq!(picture::from_bytes(png.get_ref(), Path::new("deep.png")).unwrap().rgb, [0, 1, 255, 0, 128, 255]);
}

fn encoded() -> Vec<(image::ImageFormat, Vec<u8>)> {
    use image::ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};
    let picture = picture::read(&golden_frame()).unwrap();
    let picture = image::RgbImage::from_raw(picture.width, picture.height, picture.rgb).unwrap();
    let encode = |format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        (format, bytes.into_inner())
    };
    [Bmp, Jpeg, Png, Tiff, WebP].map(encode).to_vec()
}

fn problem(bytes: &[u8]) -> String {
    match picture::from_bytes(bytes, Path::new("street.jpg")) {
        Err(error @ Error::Content { .. }) => error.to_string(),
        other => panic!("an error of its content was due, not {other:?}"),
    }
}

#[test]
fn a_picture_that_is_cut_off_is_an_error_in_every_format() {
    for (format, bytes) in encoded() {
        assert!(picture::from_bytes(&bytes, Path::new("whole")).is_ok(), "{format:?}");
        for keep in [bytes.len() * 9 / 10, bytes.len() / 2, 40] {
            let problem = problem(&bytes[..keep]);
            assert!(problem.starts_with("street.jpg: ") && problem.contains("cut off"), "{format:?} of {keep} bytes: {problem}");
        }
    }
}

#[test]
fn what_is_no_picture_says_so() {
    assert!(problem(b"").contains("empty file"));
    assert!(problem(b"hello").contains("wanted JPEG, PNG"));
    assert!(problem(b"GIF89a\x01\x00\x01\x00").contains("wanted JPEG, PNG"));
    assert!(problem(&[0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, 0xd9]).contains("damaged"));
    let dir = tempfile::tempdir().unwrap();
    assert!(picture::read(dir.path()).unwrap_err().to_string().contains("folder"));
    assert!(matches!(picture::read(&dir.path().join("none.png")), Err(Error::File { .. })));
}

#[test]
fn a_small_file_cannot_claim_a_huge_picture() {
    let jpeg = |side: u16| {
        let [high, low] = side.to_be_bytes();
        let frame = [0xff, 0xc0, 0, 17, 8, high, low, high, low, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
        let scan = [0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0];
        [&[0xff, 0xd8][..], &frame, &scan].concat()
    };
    assert!(problem(&jpeg(65_000)).contains("larger than 65536"));
    assert!(problem(&jpeg(64)).contains("damaged"));

    let mut bmp = encoded().swap_remove(0).1;
    bmp[18..22].copy_from_slice(&60_000_i32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000_i32.to_le_bytes());
    assert!(problem(&bmp).contains("larger than 65536"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn damage_anywhere_never_panics(format in 0_usize..5, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut bytes = encoded().swap_remove(format).1;
        for (at, byte) in damage {
            let at = at.index(bytes.len().min(2000));
            bytes[at] = byte;
        }
        drop(picture::from_bytes(&bytes, Path::new("damaged")));
    }
}
