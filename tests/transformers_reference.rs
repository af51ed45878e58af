//! The plain reference and the tokenizer against transformers, at full size.
//!
//! Needs a Python with torch and transformers (`UNIOOD_PYTHON`) and CLIP's own merges (`UNIOOD_SHARED`); skips aloud without.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/golden.rs"]
mod golden;

use std::time::{Duration, Instant};

use common::{answer, oracle};
use golden::Expected;
use ndarray::{Array2, Array3, Array4, Axis};
use uniood::{
    attention::intra_image,
    encode::reference::Reference,
    models::{TextConfig, Tokenizer},
    score::{cosines, unit_rows},
};

const CLASSES: [&str; 5] = ["pedestrian", "Café-Racer", "traffic light", "自転車 🚲", "truck"];

/// CLIP's own vocab.json and merges.txt in a new folder; `None`, said aloud, without Python or without the merges.
fn full_size_tokenizer(modules: &[&str]) -> Option<tempfile::TempDir> {
    let bpe = common::shared("text/bpe_simple_vocab_16e6.txt.gz")?;
    let mut tokenize = oracle("tokenize_clip.py", modules)?;
    let dir = tempfile::tempdir().unwrap();
    answer(tokenize.arg("make").arg(bpe).arg(dir.path()), "");
    Some(dir)
}

fn check_full_size(patch_size: &'static str, dtype: &'static str) {
    common::completes_within(Duration::from_mins(5), move || {
        let modules = ["torch", "transformers", "safetensors"];
        let Some(dir) = full_size_tokenizer(&modules) else { return };
        let templates = ["A photo of a {}"];
        let prompts = uniood::vocabulary::prompts(&CLASSES, &templates).remove(0);
        let mut reference = oracle("clip_reference.py", &modules).unwrap();
        answer(reference.arg(dir.path()).args([patch_size, dtype]), &serde_json::to_string(&prompts).unwrap());

        let expected = Expected::open(&dir.path().join("reference.safetensors"));
        let started = Instant::now();
        let reference = Reference::open(dir.path(), None).unwrap();
        let opened = started.elapsed();
        assert_eq!(reference.tokenizer.encode(&prompts).unwrap().input_ids.into_dyn(), expected.integers("input_ids"));
        let vocabulary = reference.vocabulary(&CLASSES, &templates).unwrap();
        let text_difference = expected.check("text_embeds", &vocabulary.text, 1e-4);

        let pixels: Array4<u8> = expected.pixels("pixels");
        let object = reference.encode(&pixels.index_axis(Axis(0), 0), &pixels.index_axis(Axis(0), 1)).unwrap();
        let images = [&object.target, &object.background];
        let embeds = |image: &uniood::encode::ImageEncoding| reference.vision.projection().dot(&image.z.row(0));
        let embeds: Array2<f32> = ndarray::stack(Axis(0), &images.map(embeds).each_ref().map(|embeds| embeds.view())).unwrap();
        let image_difference = expected.check("image_embeds", &unit_rows(&embeds), 1e-4);
        let difference = expected.check("cosine", &cosines(&embeds, &vocabulary.text), 1e-4);
        let betas = images.map(|image| intra_image::beta(&image.query_cls, &image.key));
        let betas: Array2<f32> = ndarray::stack(Axis(0), &betas.each_ref().map(|beta| beta.view())).unwrap();
        let beta_difference = expected.check("cls_attention", &betas, 1e-4);

        let values = images.map(|image| unit_rows(&image.values.dot(&reference.vision.projection().t())));
        let values: Array3<f32> = ndarray::stack(Axis(0), &values.each_ref().map(|values| values.view())).unwrap();
        let value_difference = expected.check("values", &values, 1e-4);

        let scores = reference.trace(&object, &vocabulary, true).scores;
        assert_eq!(scores.omega, scores.clip_cosine);
        assert!(scores.clip_cosine.iter().zip(expected.floats("cosine").iter()).all(|(a, b)| (a - b).abs() < 1e-4));
        eprintln!(
            "ViT-B/{patch_size} {dtype}: off by at most {text_difference:.1e} (text), {image_difference:.1e} (image), {difference:.1e} (cosine), \
             {beta_difference:.1e} (attention), {value_difference:.1e} (values); opened in {opened:.1?}, all in {:.1?}",
            started.elapsed()
        );
    });
}

#[test]
fn vit_b_32_gives_transformers_cosines() {
    check_full_size("32", "float32");
}

#[test]
fn vit_b_16_in_half_precision_gives_transformers_cosines() {
    check_full_size("16", "float16");
}

/// Strings of all sorts of characters, the same on every run.
fn random_strings(count: usize) -> Vec<String> {
    const RANGES: [(u32, u32); 12] = [
        (0x20, 0x7e),
        (0x61, 0x7a),
        (0x41, 0x5a),
        (0x00, 0x1f),
        (0x7f, 0xff),
        (0x100, 0x24f),
        (0x300, 0x36f),
        (0x370, 0x52f),
        (0x600, 0x6ff),
        (0x2000, 0x206f),
        (0x3040, 0x9fff),
        (0x1f300, 0x1faff),
    ];
    let mut state = 0x2545_f491_u32;
    let mut draw = move |below: u32| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % below
    };
    let mut string = || {
        let length = draw(24);
        let character = |_| {
            let (first, last) = RANGES[draw(12) as usize];
            if draw(5) == 0 { ' ' } else { char::from_u32(first + draw(last - first + 1)).unwrap_or('\'') }
        };
        (0..length).map(character).collect()
    };
    (0..count).map(|_| string()).collect()
}

#[test]
fn the_full_size_tokenizer_gives_transformers_ids() {
    #[derive(serde::Deserialize)]
    struct Expected {
        text: String,
        ids: Vec<i64>,
    }
    common::completes_within(Duration::from_mins(2), || {
        let Some(dir) = full_size_tokenizer(&["transformers"]) else { return };
        let saved = dir.path().join("saved");
        let tokenize = || oracle("tokenize_clip.py", &["transformers"]).unwrap();
        answer(tokenize().arg("save").arg(dir.path()).arg(&saved), "");
        let committed = std::fs::read_to_string(common::golden_dir().join("tokenizer_ids.json")).unwrap();
        let mut texts: Vec<String> =
            serde_json::from_str::<Vec<Expected>>(&committed).unwrap().into_iter().map(|expected| expected.text).collect();
        texts.extend(random_strings(2000));
        let output = answer(tokenize().arg("ids").arg(dir.path()), &serde_json::to_string(&texts).unwrap());
        let expected: Vec<Expected> = serde_json::from_slice(&output).unwrap();
        assert_eq!(expected.len(), texts.len());
        let config: TextConfig = serde_json::from_str("{}").unwrap();
        for folder in [dir.path(), &saved] {
            assert_eq!(folder == saved, folder.join("tokenizer.json").exists());
            let tokenizer = Tokenizer::open(folder, &config).unwrap();
            for Expected { text, ids } in &expected {
                assert_eq!(&tokenizer.ids(text).unwrap(), ids, "{text:?} under {}", folder.display());
            }
        }
    });
}
