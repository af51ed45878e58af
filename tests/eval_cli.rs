//! `uniood eval` as a user runs it: every protocol on small pictures.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/labelled.rs"]
mod labelled;
#[path = "common/model_set.rs"]
mod model_set;
#[path = "common/program.rs"]
mod program;

use std::{fs, path::Path};

use labelled::Bench;
use program::run;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

/// Of the golden OWLv2's texts.
const WIDTH: usize = 32;

fn of<'a>(document: &'a Value, method: &str) -> &'a Value {
    document["metrics"].as_array().unwrap().iter().find(|row| row["method"] == method).unwrap_or_else(|| panic!("{method}: {document}"))
}

#[test]
fn the_open_world_counts_labels_as_id_or_ood() {
    let bench = Bench::new();
    let both = bench.coco("both", 6, &[0, 1, 2], |_| ());
    let found = bench.json(&["--open-world", both.to_str().unwrap(), "--boxes", "truth"]);
    assert_eq!(found["schema"], "uniood.eval/1");
    let methods: Vec<&str> = found["metrics"].as_array().unwrap().iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["max-cosine", "mcm", "mcm-0.01", "energy", "logit-gap", "uniood"]);
    let row = of(&found, "uniood");
    assert_eq!((row["n_id"].as_u64(), row["n_ood"].as_u64(), &row["missed"]), (Some(12), Some(6), &Value::Null));
    for key in ["auroc", "fpr95", "tpr", "fpr95_vos", "fpr95_oodpos", "aupr_in", "aupr_out"] {
        assert!((0.0..=1.0).contains(&row[key].as_f64().unwrap()), "{key}: {row}");
    }
    let [low, high] = [0, 1].map(|end| row["intervals"]["auroc"][end].as_f64().unwrap());
    assert!(low <= row["auroc"].as_f64().unwrap() && row["auroc"].as_f64().unwrap() <= high);
    // Ignored labels and crowds are no objects; classes of the user's own list are ID.
    let both = bench.coco("ignored", 3, &[0, 2, 3], |coco| {
        coco["annotations"][0]["ignore"] = json!(1);
        coco["annotations"][1]["iscrowd"] = json!(1);
    });
    let found = bench.json(&["--open-world", both.to_str().unwrap(), "--boxes", "truth", "--classes", "pedestrian,kite"]);
    assert_eq!((of(&found, "mcm")["n_id"].as_u64(), of(&found, "mcm")["n_ood"].as_u64()), (Some(4), Some(3)));
}

#[test]
fn sets_apart_have_a_row_each_and_their_mean() {
    let bench = Bench::new();
    let (id, kites, lamps) =
        (bench.coco("id", 4, &[0, 1], |_| ()), bench.coco("kites", 3, &[2], |_| ()), bench.coco("lamps", 2, &[3], |_| ()));
    let [id, kites, lamps] = [&id, &kites, &lamps].map(|path| path.to_str().unwrap());
    let arguments = ["--id", id, "--ood", kites, "--ood", lamps, "--boxes", "truth", "--methods", "uniood,max-cosine"];
    let found = bench.json(&arguments);
    let rows: Vec<(&str, &str, u64)> = found["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["ood"].as_str().unwrap(), row["method"].as_str().unwrap(), row["n_ood"].as_u64().unwrap()))
        .collect();
    let wanted = [("kites", 3), ("lamps", 2), ("mean", 5)];
    assert_eq!(rows, wanted.map(|(ood, count)| [(ood, "uniood", count), (ood, "max-cosine", count)]).as_flattened());
    let auroc = |index: usize| found["metrics"][index]["auroc"].as_f64().unwrap();
    assert!((auroc(4) - f64::midpoint(auroc(0), auroc(2))).abs() < 1e-9);
    // The table says the same.
    let ran = bench.eval(&arguments);
    ran.check(0, "");
    assert!(ran.stdout.contains("kites: 8 ID, 3 OOD") && ran.stdout.contains("Mean over the OOD sets"), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("{:.2}", auroc(0) * 100.0)), "{}", ran.stdout);
}

#[test]
fn the_image_level_is_for_folders_of_pictures() {
    let bench = Bench::new();
    let (id, ood) = (bench.folders("id", 3, &[0, 1]), bench.folders("near", 2, &[2]));
    // The OOD set may be a folder of pictures alone.
    let plain = ood.join("kite");
    let arguments = ["--id", id.to_str().unwrap(), "--ood", plain.to_str().unwrap(), "--boxes", "truth"];
    let found = bench.json(&arguments);
    assert_eq!(
        (&found["scope"], of(&found, "uniood")["n_id"].as_u64(), of(&found, "uniood")["n_ood"].as_u64()),
        (&json!("image"), Some(6), Some(2))
    );
    assert_eq!(found["metrics"][0]["ood"], "kite");
    let scene = bench.coco("scene", 2, &[0, 2], |_| ());
    bench.eval(&["--open-world", scene.to_str().unwrap(), "--scope", "image"]).check(2, "give them apart");
}

#[test]
fn shots_negatives_and_ablations_bring_columns() {
    let bench = Bench::new();
    let (both, shots) = (bench.coco("both", 4, &[0, 1, 2], |_| ()), bench.coco("shots", 5, &[0, 1], |_| ()));
    let classes = ["--classes", "pedestrian,bus"];
    let arguments = [&["--open-world", both.to_str().unwrap(), "--boxes", "truth"], &classes[..]].concat();
    let with_shots = ["--shots", shots.to_str().unwrap(), "--shots-per-class", "4"];
    let found = bench.json(&[&arguments[..], &with_shots, &["--negatives", "tree,stone,cloud", "--context-detected"]].concat());
    for method in ["neg-label", "neg-max", "knn", "mahalanobis", "shift", "uniood", "context=detected"] {
        assert_eq!(of(&found, method)["n_ood"], 4);
    }
    // What takes more of CLIP comes when it is asked for, and changes nothing of the others.
    assert!(found["metrics"].as_array().unwrap().iter().all(|row| row["method"] != "gl-mcm" && row["method"] != "runa-like"));
    let all = bench.json(&[&arguments[..], &with_shots, &["--methods", "all"]].concat());
    for method in ["gl-mcm", "runa-like"] {
        assert_eq!(of(&all, method)["n_ood"], 4);
    }
    let auroc = |document: &Value, method: &str| of(document, method)["auroc"].as_f64().unwrap();
    for method in ["mcm", "shift", "knn", "uniood"] {
        assert!((auroc(&all, method) - auroc(&found, method)).abs() < 1e-6, "{method}");
    }
    let ablations = "--ablations=full,context=average,context=comma,context=mlp,no-inter-image,no-background-alignment,no-intra-image,no-target-alignment,no-cnn";
    let found = bench.json(&[&arguments[..], &with_shots, &[ablations, "--methods", "uniood"]].concat());
    assert_eq!(found["metrics"].as_array().unwrap().len(), 10);
    bench.eval(&[&arguments[..], &["--ablations"]].concat()).check(2, "--shots");
    bench.eval(&[&arguments[..], &with_shots, &["--ablations=no-luck"]].concat()).check(1, "no ablation `no-luck`");
    bench.eval(&[&arguments[..], &["--methods", "knn"]].concat()).check(1, "`knn` needs objects of the known classes");
    bench.eval(&[&arguments[..], &["--negatives", "tree,Bus"]].concat()).check(1, "both a class and a negative word");
}

/// The golden OWLv2 with the vocabulary of the golden CLIP beside it, and texts as wide as its class head compares them.
fn open_vocabulary(dir: &Path) {
    let golden = common::golden_dir();
    fs::create_dir(dir).unwrap();
    for name in ["vocab.json", "merges.txt"] {
        fs::copy(golden.join("no_cnn_g4_wide/clip").join(name), dir.join(name)).unwrap();
    }
    let source = golden.join("owlv2_s96/owlv2");
    let mut config: Value = serde_json::from_slice(&fs::read(source.join("config.json")).unwrap()).unwrap();
    config["projection_dim"] = json!(WIDTH);
    config["text_config"]["bos_token_id"] = json!(596);
    config["text_config"]["eos_token_id"] = json!(597);
    fs::write(dir.join("config.json"), config.to_string()).unwrap();

    let file = fs::read(source.join("model.safetensors")).unwrap();
    let weights = SafeTensors::deserialize(&file).unwrap();
    let one = |row: usize, column: usize| if row == column { 1.0_f32 } else { 0.0 };
    let identity: Vec<u8> = (0..WIDTH * WIDTH).flat_map(|at| one(at / WIDTH, at % WIDTH).to_le_bytes()).collect();
    let mut tensors = weights.tensors();
    for (_, tensor) in tensors.iter_mut().filter(|(name, _)| name == "owlv2.text_projection.weight") {
        *tensor = TensorView::new(Dtype::F32, vec![WIDTH, WIDTH], &identity).unwrap();
    }
    fs::write(dir.join("model.safetensors"), safetensors::serialize(tensors, None).unwrap()).unwrap();
}

#[test]
fn an_open_vocabulary_detector_is_asked_for_the_predicted_class() {
    let bench = Bench::new();
    let both = bench.coco("both", 5, &[0, 1, 2], |_| ());
    let owlv2 = bench.path("owlv2");
    open_vocabulary(&owlv2);
    let found = bench.json(&[
        "--open-world",
        both.to_str().unwrap(),
        "--boxes",
        "truth",
        "--open-vocabulary",
        owlv2.to_str().unwrap(),
        "--methods",
        "max-cosine,agree",
    ]);
    let (agree, cosine) = (of(&found, "agree"), of(&found, "max-cosine"));
    assert_eq!((agree["n_id"].as_u64(), agree["n_ood"].as_u64()), (Some(10), Some(5)));
    assert!(agree["auroc"].as_f64().is_some() && agree["auroc"] != cosine["auroc"], "{found}");
}

#[test]
fn boxes_made_worse_are_runs_of_their_own() {
    let bench = Bench::new();
    let both = bench.coco("both", 6, &[0, 1, 2], |_| ());
    let arguments = ["--open-world", both.to_str().unwrap(), "--boxes", "truth", "--methods", "max-cosine,uniood"];
    let found = bench.json(&[&arguments[..], &["--box-jitter", "0,0.3", "--drop-boxes", "0,0.5"]].concat());
    let rows: Vec<(f64, f64, u64, f64)> = found["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["method"] == "uniood")
        .map(|row| {
            (
                row["box_jitter"].as_f64().unwrap(),
                row["drop_boxes"].as_f64().unwrap(),
                row["n_id"].as_u64().unwrap(),
                row["auroc"].as_f64().unwrap(),
            )
        })
        .collect();
    let [(0.0, 0.0, 12, plain), (_, 0.0, 12, moved), (0.0, 0.5, fewer, _)] = rows[..] else { panic!("{rows:?}") };
    assert!(fewer < 12 && fewer > 0 && (plain - moved).abs() > 1e-9, "{rows:?}");
    assert_eq!(bench.json(&arguments)["metrics"][1]["auroc"].as_f64(), Some(plain), "the run without any is the usual one");
}

#[test]
fn the_vos_layout_is_read_as_it_is() {
    let bench = Bench::new();
    let root = bench.path("root");
    let place = |name: &str, things: &[usize], json_file: &str, images: &str, change: &dyn Fn(&mut Value)| {
        let made = bench.coco(name, 3, things, |coco| change(coco));
        fs::create_dir_all(root.join(images).parent().unwrap()).unwrap();
        fs::create_dir_all(root.join(json_file).parent().unwrap()).unwrap();
        fs::rename(made.join("images"), root.join(images)).unwrap();
        fs::rename(made.join("instances.json"), root.join(json_file)).unwrap();
    };
    place("bdd", &[0, 1], "bdd100k/val_bdd_converted.json", "bdd100k/images/100k/val", &|_| ());
    let coco = "COCO/annotations/instances_val2017_ood_wrt_bdd_rm_overlap.json";
    place("coco", &[2], coco, "COCO/val2017", &|coco| {
        for (index, image) in coco["images"].as_array_mut().unwrap().iter_mut().enumerate() {
            image["id"] = json!(format!("id{index}"));
        }
        for annotation in coco["annotations"].as_array_mut().unwrap() {
            annotation["image_id"] = json!(format!("id{}", annotation["image_id"]));
        }
    });
    let open_images = "OpenImages/ood_classes_rm_overlap";
    let annotations = format!("{open_images}/COCO-Format/val_coco_format.json");
    place("open", &[3], &annotations, &format!("{open_images}/images"), &|coco| {
        // Pictures alone, as published.
        let object = coco.as_object_mut().unwrap();
        object.remove("annotations");
        object.remove("categories");
    });
    let root = root.to_str().unwrap();
    // What is labelled can be scored without a detector; OpenImages is not.
    bench.eval(&["--protocol", "vos", "--root", root, "--boxes", "truth"]).check(1, "no boxes");
    bench
        .eval(&["--protocol", "vos", "--root", root, "--id", "voc", "--boxes", "truth"])
        .check(1, "VOC_0712_converted/val_coco_format.json");
    bench.eval(&["--protocol", "vos", "--root", root, "--id", "imagenet"]).check(2, "`voc` and `bdd`");
    bench.eval(&["--protocol", "vos"]).check(2, "--root");
    let found = bench.json(&["--protocol", "vos", "--root", root, "--scope", "image", "--boxes", "truth"]);
    let sets: Vec<(&str, u64)> =
        found["sets"].as_array().unwrap().iter().map(|set| (set["name"].as_str().unwrap(), set["objects"].as_u64().unwrap())).collect();
    assert_eq!(sets, [("BDD", 3), ("COCO", 3), ("OpenImages", 3)]);
    fs::remove_dir_all(bench.path("root").join("bdd100k")).unwrap();
    bench.eval(&["--protocol", "vos", "--root", root]).check(1, "no ID set of the protocol");
}

#[test]
fn scores_made_elsewhere_need_no_models() {
    let bench = Bench::new();
    let write = |name: &str, text: &str| {
        fs::write(bench.path(name), text).unwrap();
        bench.text(name)
    };
    let (id, ood) = (write("id.txt", ".9\n.8\n.7\n\n.6\n.5\n"), write("ood.txt", ".65\n.55\n.4\n.3\n.2"));
    let ran = run(&["eval", "--id-scores", &id, "--ood-scores", &ood, "--json"]);
    ran.check(0, "");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let row = &found["metrics"][0];
    for (key, wanted) in [("auroc", 0.88), ("fpr95", 0.4), ("aupr_in", 0.902_857), ("fpr95_vos", 0.4), ("fpr95_oodpos", 0.4)] {
        assert!((row[key].as_f64().unwrap() - wanted).abs() < 1e-5, "{key}: {row}");
    }
    run(&["eval", "--id-scores", &id, "--ood-scores", &ood, "--min-auroc", "0.9"]).check(3, "AUROC 88.00 is below the gate of 90.00");
    run(&["eval", "--id-scores", &id, "--ood-scores", &ood, "--min-auroc", "0.8"]).check(0, "");
    run(&["eval", "--id-scores", &id]).check(2, "--ood-scores");
    let broken = write("broken.txt", "0.1\nhigh\n");
    run(&["eval", "--id-scores", &id, "--ood-scores", &broken]).check(1, "line 2 is `high`");
    let nan = write("nan.txt", "NaN\n");
    run(&["eval", "--id-scores", &id, "--ood-scores", &nan]).check(1, "OOD score 1 is NaN");
    let empty = write("empty.txt", "\n");
    run(&["eval", "--id-scores", &empty, "--ood-scores", &ood]).check(1, "no ID scores");
    let tied = run(&["eval", "--id-scores", &write("ties.txt", "1\n1\n0\n0\n0\n"), "--ood-scores", &ood]);
    assert!(tied.check(0, "").stdout.contains("stand exactly at the threshold"), "{}", tied.stdout);
}
