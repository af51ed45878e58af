//! Files from strangers: hostile safetensors, configurations and ONNX files are errors with a sentence, never a
//! panic, a hang, or memory taken on a header's word.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/golden.rs"]
mod golden;

use std::{fs, path::Path, time::Duration};

use golden::{CLIP_CASES, GoldenCase, session};
use proptest::prelude::*;
use serde_json::{Value, json};
use uniood::{
    Error,
    combiner::Combiner,
    engine::{Device, Input, Session},
    graph::{ImageGraph, TextGraph},
    models::{ClipConfig, Weights},
};

const LIMIT: Duration = Duration::from_mins(1);

/// A safetensors file of a header's length, a header and data.
fn safetensors(length: u64, header: &[u8], data: &[u8]) -> Vec<u8> {
    [length.to_le_bytes().as_slice(), header, data].concat()
}

/// The same with the header's true length.
fn honest(header: &Value, data: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    safetensors(header.len() as u64, header.as_bytes(), data)
}

fn open(bytes: &[u8]) -> uniood::Result<Weights> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    fs::write(&path, bytes).unwrap();
    Weights::open(&path)
}

#[track_caller]
fn refused(bytes: &[u8]) -> String {
    let error = open(bytes).unwrap_err();
    assert!(matches!(error, Error::Content { .. }), "{error}");
    error.to_string()
}

#[test]
fn absurd_header_lengths_are_refused_before_anything_is_read() {
    for length in [u64::MAX, u64::MAX - 7, 1 << 63, 1 << 40, 100_000_000, 3] {
        let message = refused(&safetensors(length, b"{}", b""));
        assert!(message.contains("header") && message.contains("fetch it again"), "{message}");
    }
}

#[test]
fn every_truncation_of_a_good_file_is_refused() {
    let tensor = |from: usize, to: usize| json!({"dtype": "F32", "shape": [2], "data_offsets": [from, to]});
    let whole = honest(&json!({"a": tensor(0, 8), "b": tensor(8, 16), "__metadata__": {"form": "paper"}}), &[1; 16]);
    assert_eq!(open(&whole).unwrap().metadata("form"), Some("paper"));
    for length in 0..whole.len() {
        refused(&whole[..length]);
    }
    refused(&[whole, vec![0]].concat());
}

#[test]
fn offsets_and_shapes_that_do_not_fit_the_data_are_refused() {
    let one = |dtype: &str, shape: Value, offsets: Value| {
        honest(&json!({"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}), &[0; 16])
    };
    let most = u64::MAX;
    for bytes in [
        one("F32", json!([4]), json!([0, 12])),
        one("F32", json!([4]), json!([16, 0])),
        one("F32", json!([4]), json!([4, 20])),
        one("F32", json!([5]), json!([0, 20])),
        one("F32", json!([1_u64 << 62, 4]), json!([0, 16])),
        one("F32", json!([1_u64 << 62, 1_u64 << 62]), json!([0, 0])),
        one("F32", json!([(most - 8) / 4]), json!([0, most - 8])),
        one("F32", json!([0, 1_u64 << 63]), json!([0, 0])),
        one("F32", json!([0, most, most]), json!([0, 0])),
        one("F32", json!([-4]), json!([0, 16])),
        one("F32", json!([4.0]), json!([0, 16])),
        one("F33", json!([4]), json!([0, 16])),
        one("F32", json!(vec![1; 4096]), json!([0, 4])),
        one("F32", json!([4]), json!([0])),
        one("F32", json!(null), json!([0, 16])),
        honest(&json!([]), b""),
        honest(
            &json!({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}),
            &[0; 12],
        ),
        honest(
            &json!({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}),
            &[0; 12],
        ),
        safetensors(4, b"\xff\xfe{}", b""),
        safetensors(60_000, &b"[".repeat(60_000), b""),
    ] {
        refused(&bytes);
    }
}

#[test]
fn tensors_that_cannot_be_used_are_named() {
    let bytes = |dtype: &str, shape: Value, data: &[u8]| {
        honest(&json!({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, data.len()]}}), data)
    };
    for (bytes, wanted) in [
        (bytes("I32", json!([1]), &[0; 4]), "F32, F16 or BF16"),
        (bytes("F32", json!([1, 1]), &[0; 4]), "[1]"),
        (bytes("F32", json!([1]), &f32::NAN.to_le_bytes()), "finite"),
        (bytes("F16", json!([1]), &[0, 0x7c]), "finite"),
        (bytes("F32", json!([0]), &[]), "[1]"),
    ] {
        let error = open(&bytes).unwrap().array::<ndarray::Ix1>("a", 1).unwrap_err();
        assert!(matches!(error, Error::ModelSet { .. }) && error.to_string().contains(wanted), "{error}");
    }
    assert!(open(&bytes("F32", json!([1]), &[0; 4])).unwrap().array_dyn("b").is_err());
}

#[test]
fn a_pipe_or_a_folder_in_a_file_s_place_is_refused_at_once() {
    common::completes_within(LIMIT, || {
        let dir = tempfile::tempdir().unwrap();
        assert!(Weights::open(dir.path()).is_err());
        let pipe = dir.path().join("model.safetensors");
        if std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
            assert!(Weights::open_folder(dir.path()).is_err());
        }
    });
}

#[test]
fn a_shard_index_cannot_lead_out_of_its_folder_or_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.safetensors"), honest(&json!({"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}), b""))
        .unwrap();
    for index in [
        json!({"weight_map": {}}),
        json!({"weight_map": {"a": "../a.safetensors"}}),
        json!({"weight_map": {"a": "/etc/passwd"}}),
        json!({"weight_map": {"a": ".."}}),
        json!({"weight_map": {"a": ""}}),
        json!({"weight_map": {"a": "."}}),
        json!({"weight_map": {"a": "missing.safetensors"}}),
        json!({"weight_map": {"a": "a.safetensors", "b": "a.safetensors"}}),
        json!({"weight_map": ["a"]}),
        json!({}),
    ] {
        fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
        assert!(Weights::open_folder(dir.path()).is_err(), "{index}");
    }
    fs::write(dir.path().join("model.safetensors.index.json"), json!({"weight_map": {"a": "a.safetensors"}}).to_string()).unwrap();
    assert!(Weights::open_folder(dir.path()).unwrap().contains("a"));
}

/// The configuration of a golden case with one value set, next to that case's weights: read, and both graphs built.
fn build_with(pointer: &str, value: &Value) -> uniood::Result<()> {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "preprocessor_config.json"] {
        let mut config: Value = serde_json::from_slice(&fs::read(case.clip_dir().join(file)).unwrap()).unwrap();
        if let Some(place) = config.pointer_mut(pointer) {
            *place = value.clone();
        }
        fs::write(dir.path().join(file), config.to_string()).unwrap();
    }
    let config = ClipConfig::open(dir.path())?;
    let weights = case.weights();
    let combiner = Combiner::open(&case.combiner(), &config)?;
    ImageGraph { name: "hostile", clip: &config, weights: &weights, combiner: Some(&combiner), betas: true }.build()?;
    ImageGraph { name: "hostile", clip: &config, weights: &weights, combiner: None, betas: false }.build()?;
    TextGraph { name: "hostile", clip: &config, weights: &weights }.build()?;
    Ok(())
}

/// Places in the two files that sizes come from.
const SIZES: [&str; 11] = [
    "/projection_dim",
    "/vision_config/hidden_size",
    "/vision_config/intermediate_size",
    "/vision_config/num_hidden_layers",
    "/vision_config/num_attention_heads",
    "/vision_config/image_size",
    "/vision_config/patch_size",
    "/text_config/hidden_size",
    "/text_config/intermediate_size",
    "/text_config/vocab_size",
    "/text_config/max_position_embeddings",
];

#[test]
fn the_untouched_configuration_builds() {
    build_with("/nowhere", &Value::Null).unwrap();
}

#[test]
fn sizes_that_are_absurd_or_not_the_weights_are_errors() {
    common::completes_within(LIMIT, || {
        for pointer in SIZES {
            for value in [
                json!(0),
                json!(-1),
                json!(1),
                json!(7),
                json!(4096),
                json!(65_536),
                json!(u64::MAX),
                json!(1e30),
                json!("48"),
                json!(null),
                json!([]),
            ] {
                let Err(error) = build_with(pointer, &value) else {
                    // One layer of several is a smaller model, and so is one head of another width.
                    let smaller =
                        ["/vision_config/num_hidden_layers", "/vision_config/num_attention_heads"].contains(&pointer) && value == json!(1);
                    assert!(smaller, "{pointer} {value} was taken");
                    continue;
                };
                assert!(error.to_string().contains(".json") || error.to_string().contains(".safetensors"), "{pointer} {value}: {error}");
            }
        }
    });
}

#[test]
fn other_keys_that_make_no_sense_are_errors() {
    for (pointer, value) in [
        ("/model_type", json!("siglip")),
        ("/vision_config/hidden_act", json!("gelu_new")),
        ("/text_config/hidden_act", json!(3)),
        ("/image_mean", json!([0.5, 0.5])),
        ("/image_mean", json!([0.5, 0.5, 2.0])),
        ("/image_std", json!([0.5, 0.0, 0.5])),
        ("/image_std", json!([0.5, 1e39, 0.5])),
        ("/vision_config", json!(null)),
        ("/text_config", json!("none")),
    ] {
        assert!(build_with(pointer, &value).is_err(), "{pointer} {value}");
    }
}

#[test]
fn broken_onnx_files_are_content_errors() {
    common::completes_within(LIMIT, || {
        let graph = GoldenCase::open(CLIP_CASES[0]).text_graph().to_bytes().unwrap();
        let load = |bytes: &[u8]| Session::from_bytes("detect", Path::new("stranger.onnx"), bytes, &Device::Cpu, Some(1));
        load(&graph).unwrap();
        let mut broken: Vec<Vec<u8>> = vec![Vec::new(), b"no model".to_vec(), vec![0xff; 1000], br#"{"ir_version": 8}"#.to_vec()];
        broken.extend((1..20).map(|part| graph[..graph.len() * part / 20].to_vec()));
        for bytes in broken {
            let error = load(&bytes).unwrap_err();
            assert!(matches!(error, Error::Content { .. }) && error.to_string().starts_with("stranger.onnx: "), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        let missing = Session::from_file("detect", Path::new("no-such.onnx"), &Device::Cpu, None).unwrap_err();
        assert!(matches!(missing, Error::File { .. }), "{missing}");
    });
}

#[test]
fn a_run_with_inputs_that_do_not_fit_is_an_error_and_the_session_lives_on() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let mut session = session(&case.text_graph());
    let ids = case.integers("template0.ids");
    let eot = case.integers("template0.eot");
    let far = eot.mapv(|_| 1_000_000_i64);
    let unknown = ids.mapv(|_| 1_000_000_i64);
    let floats = ids.mapv(|_| 1.0_f32);
    let flat = ids.flatten().into_owned();
    let wrong: [Vec<(&str, Input)>; 7] = [
        vec![],
        vec![("input_ids", ids.view().into())],
        vec![("input_ids", ids.view().into()), ("eot", eot.view().into()), ("more", eot.view().into())],
        vec![("input_ids", floats.view().into()), ("eot", eot.view().into())],
        vec![("input_ids", flat.view().into()), ("eot", eot.view().into())],
        vec![("input_ids", unknown.view().into()), ("eot", eot.view().into())],
        vec![("input_ids", ids.view().into()), ("eot", far.view().into())],
    ];
    for inputs in wrong {
        let error = session.run(&inputs).unwrap_err();
        assert!(matches!(error, Error::Inference { stage: "encode", .. }), "{error}");
    }
    let mut outputs = session.run(&[("input_ids", ids.view().into()), ("eot", eot.view().into())]).unwrap();
    assert!(outputs.take::<ndarray::Ix3>("text_embedding").is_err(), "another number of sides");
    assert!(outputs.take::<ndarray::Ix2>("no such output").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_the_header_reader_panic(length in prop_oneof![0_u64..300, any::<u64>()], header in proptest::collection::vec(any::<u8>(), 0..200)) {
        // Whatever it says, it says it.
        drop(open(&safetensors(length, &header, b"")));
    }

    #[test]
    fn no_change_of_a_good_file_makes_the_reader_panic(at in 0_usize..4000, byte in any::<u8>()) {
        let mut bytes = fs::read(GoldenCase::open(CLIP_CASES[1]).combiner()).unwrap();
        bytes[at] = byte;
        if let Ok(weights) = open(&bytes) {
            let names: Vec<String> = weights.names().map(str::to_owned).collect();
            for name in names {
                drop(weights.array_dyn(&name));
            }
        }
    }

    #[test]
    fn no_header_of_the_right_form_makes_the_reader_panic(
        entries in proptest::collection::btree_map("[a-c]", (prop_oneof![Just("F32"), Just("BF16"), Just("I64"), Just("F4")],
            proptest::collection::vec(prop_oneof![0_u64..9, any::<u64>()], 0..4), any::<u64>(), 0_u64..40), 0..4),
        data in 0_usize..64,
    ) {
        let header = Value::Object(entries.into_iter().map(|(name, (dtype, shape, from, length))| {
            let offsets = [from % 40, (from % 40).saturating_add(length)];
            (name, json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}))
        }).collect());
        if let Ok(weights) = open(&honest(&header, &vec![0; data])) {
            let names: Vec<String> = weights.names().map(str::to_owned).collect();
            for name in names {
                drop(weights.array_dyn(&name));
            }
        }
    }

    #[test]
    fn no_number_in_a_configuration_makes_the_builder_panic(pointer in proptest::sample::select(SIZES.to_vec()), value in prop_oneof![0_u64..100, 0_u64..100_000, any::<u64>()]) {
        drop(build_with(pointer, &json!(value)));
    }
}
