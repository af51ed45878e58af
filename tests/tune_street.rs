//! What tuning is worth: ten shots a class of the street prototype's two cameras, scored by the engine with true boxes on scenes
//! that hold unknown things too. Needs `UNIOOD_SHARED`; skips aloud without.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/engine.rs"]
mod engine;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use uniood::{
    combiner::Form,
    data::{DataSet, Faults, Place},
    detect::{Detection, Selection},
    engine::{Boxes, DetectorChoice, Engine, EngineConfig, FrameSettings, Job, Ticket, no_abort},
    eval::{Metrics, metrics},
    models::ModelSet,
    tune::{Origin, Recipe, Settings, Switches, Tuned, tune, write_set},
    verdict::{Scored, Verdict},
};

const SHOTS: usize = 10;

fn config(models: ModelSet, cache: &Path) -> EngineConfig {
    EngineConfig { cache_dir: Some(cache.to_owned()), ..EngineConfig::on_processor(models, DetectorChoice::Upstream) }
}

fn data(path: &Path) -> DataSet {
    let mut faults = Faults::default();
    let data = DataSet::open(path, None, &mut faults).unwrap();
    assert_eq!(faults.count(), 0, "{:?}", faults.sentences());
    data
}

/// A tuned set in `out`, and how the tuning went.
fn tuned(street: &Path, camera: &str, settings: Settings, cache: &Path, out: &Path) -> Tuned {
    let models = ModelSet::open(&street.join("models")).unwrap();
    let shots = street.join("scenes/shots").join(camera);
    let classes = models.manifest.classes.clone();
    let config = config(models, cache);
    let tuned = tune(&config, &data(&shots), &classes, &settings, &mut Faults::strict(), &mut |_| Ok(())).unwrap();
    let origin = Origin { models: &config.models, data: &shots, classes: &classes, settings: &settings, labels: None };
    write_set(out, "tuned", &tuned, &origin).unwrap();
    tuned
}

/// Metrics of omega and of plain CLIP's best cosine on a test set's true boxes.
fn evaluate(set: &Path, scenes: &Path, cache: &Path) -> (Metrics, Metrics) {
    let engine = Engine::open(&config(ModelSet::open(set).unwrap(), cache)).unwrap();
    let stream = engine.stream();
    let classes = engine.models().manifest.classes.clone();
    let selection = Selection { max_objects: usize::MAX, ..Selection::default() };
    let settings = Arc::new(FrameSettings { selection, keep_scores: true, ..engine::settings(&engine) });
    let data = data(scenes);
    let mut scores = [[vec![], vec![]], [vec![], vec![]]];
    let mut take = |known: Vec<bool>, ticket: Ticket| {
        let answer = ticket.wait().unwrap();
        assert_eq!((answer.error, answer.objects.len()), (None, known.len()));
        for (object, known) in answer.objects.iter().zip(known) {
            let Verdict::Scored(Scored { omega, cosines: Some(cosines), .. }) = &object.verdict else { panic!("{:?}", object.verdict) };
            let cosine = cosines.iter().map(|(_, cosine)| *cosine).fold(f32::NEG_INFINITY, f32::max);
            scores[usize::from(!known)][0].push(f64::from(*omega));
            scores[usize::from(!known)][1].push(f64::from(cosine));
        }
    };
    let mut waiting = std::collections::VecDeque::new();
    for picture in &data.pictures {
        let known = picture.objects.iter().map(|object| classes.iter().any(|class| **class == *data.categories[object.category]));
        let boxes = picture.objects.iter().map(|object| {
            let Place::Box(bbox) = object.place else { panic!("{object:?}") };
            Detection { bbox, confidence: 1.0, label: None }
        });
        let frame = Arc::new(picture.read().unwrap());
        let job = Job { frame, boxes: Boxes::Given(boxes.collect()), settings: Arc::clone(&settings), tracks: None };
        waiting.push_back((known.collect(), stream.submit(job, &no_abort()).unwrap()));
        if waiting.len() > 16 {
            let (known, ticket) = waiting.pop_front().unwrap();
            take(known, ticket);
        }
    }
    stream.flush();
    for (known, ticket) in waiting {
        take(known, ticket);
    }
    let [known, unknown] = scores;
    (metrics(&known[0], &unknown[0]).unwrap(), metrics(&known[1], &unknown[1]).unwrap())
}

fn settings(seed: u64) -> Settings {
    Settings { shots: SHOTS, seed, recipe: Recipe::Default, form: Form::Residual, cnn: true, switches: Switches::default() }
}

/// Plain CLIP's metrics are those that the prototype wrote down, to 0.05 points.
fn check_plain(street: &Path, camera: &str, plain: &Metrics) {
    let results: Value = serde_json::from_slice(&std::fs::read(street.join("results.json")).unwrap()).unwrap();
    let written = &results["sets"][format!("test/{camera}")];
    assert_eq!((plain.n_id as u64, plain.n_ood as u64), (written["n_id"].as_u64().unwrap(), written["n_ood"].as_u64().unwrap()));
    for (found, name) in [(plain.auroc, "auroc"), (plain.fpr95, "fpr95")] {
        let wanted = written["metrics"]["max_cosine"][name].as_f64().unwrap();
        assert!((found - wanted).abs() <= 5e-4, "{camera} {name}: {found} {wanted}");
    }
}

/// Tunes and scores `seeds` on a camera; AUROC and FPR95 of each.
fn runs(street: &Path, camera: &str, seeds: u64, of: impl Fn(u64) -> Settings) -> Vec<(f64, f64)> {
    let cache = tempfile::tempdir().unwrap();
    let scenes = street.join("scenes/test").join(camera);
    (0..seeds)
        .map(|seed| {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("tuned");
            let started = Instant::now();
            let tuned = tuned(street, camera, of(seed), cache.path(), &out);
            let took = started.elapsed();
            let (omega, plain) = evaluate(&out, &scenes, cache.path());
            check_plain(street, camera, &plain);
            let curve = &tuned.curve;
            let shown: Vec<String> = curve.candidates.iter().map(|point| format!("{:.2}", point.auroc * 100.0)).collect();
            eprintln!(
                "{camera:9} seed {seed}: {:.2} / {:.1} -> {:.2} / {:.1}  taken {:?} of [{}], {:.1} s",
                plain.auroc * 100.0,
                plain.fpr95 * 100.0,
                omega.auroc * 100.0,
                omega.fpr95 * 100.0,
                (curve.taken().steps, curve.taken().strength),
                shown.join(" "),
                took.as_secs_f64()
            );
            (omega.auroc * 100.0, omega.fpr95 * 100.0)
        })
        .collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len();
    values.sum::<f64>() / f64::from(u32::try_from(count).unwrap())
}

#[test]
fn one_draw_of_shots_lifts_the_low_light_camera() {
    common::completes_within(Duration::from_mins(4), || {
        let Some(street) = common::shared("street-proto") else { return };
        let runs = runs(&street, "lowlight", 1, settings);
        assert!(runs[0].0 >= 87.0, "{runs:?}");
    });
}

#[test]
#[ignore = "minutes: ten tunings and ten test sets; `make street-proof` runs it"]
fn ten_shots_five_seeds_on_both_cameras() {
    common::completes_within(Duration::from_mins(30), || {
        let Some(street) = common::shared("street-proto") else { return };
        let lowlight = runs(&street, "lowlight", 5, settings);
        let (auroc, fpr95) = (mean(lowlight.iter().map(|run| run.0)), mean(lowlight.iter().map(|run| run.1)));
        eprintln!("lowlight: mean AUROC {auroc:.2}, FPR95 {fpr95:.1}");
        let plain = runs(&street, "plain", 5, settings);
        eprintln!("plain: mean AUROC {:.2}, FPR95 {:.1}", mean(plain.iter().map(|run| run.0)), mean(plain.iter().map(|run| run.1)));
        assert!(auroc >= 89.0 && fpr95 <= 50.0, "{lowlight:?}");
        assert!(plain.iter().all(|run| run.0 >= 99.0), "{plain:?}");
    });
}

#[test]
#[ignore = "minutes: the paper's recipe trains both combiners whole, six times; `make street-proof` runs it"]
fn the_papers_recipe_on_the_low_light_camera() {
    common::completes_within(Duration::from_mins(30), || {
        let Some(street) = common::shared("street-proto") else { return };
        let with = |cnn, form| move |seed| Settings { recipe: Recipe::Paper, cnn, form, ..settings(seed) };
        let plain_clip = 81.9;
        for (cnn, form) in [(true, Form::Residual), (false, Form::Residual), (true, Form::Paper)] {
            eprintln!("paper's recipe, cnn {cnn}, form {}", form.as_str());
            let runs = runs(&street, "lowlight", 1, with(cnn, form));
            // What does not help on held-out shots is not written; on other scenes the paper's recipe is then about where plain CLIP is.
            assert!(runs[0].0 >= plain_clip - 2.0, "{runs:?}");
        }
    });
}

#[test]
fn equal_seeds_give_equal_sets_and_others_do_not() {
    common::completes_within(Duration::from_mins(4), || {
        let Some(street) = common::shared("street-proto") else { return };
        let folder = tempfile::tempdir().unwrap();
        let combiner = |seed: u64, out: &str| {
            let out = folder.path().join(out);
            let few = Settings { shots: 5, cnn: false, ..settings(seed) };
            let tuned = tuned(&street, "lowlight", few, &folder.path().join("cache"), &out);
            (tuned.combiner, std::fs::read(out.join("README.md")).unwrap())
        };
        let (first, again, other) = (combiner(1, "first"), combiner(1, "again"), combiner(2, "other"));
        assert!(first == again && first != other);
    });
}
