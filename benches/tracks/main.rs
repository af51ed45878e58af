//! What a tracker is worth: ids beside the street world's true tracks, encode passes saved, AUROC lost. Prints Markdown.
//!
//! `cargo bench --bench tracks [-- --models DIR] [-- --frames N]`. Each clip is rendered and detected once; every way of tracking then
//! runs through the engine on the same boxes.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints its figures and fails by panicking")]

mod clip;
#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "this bench times nothing and has no random model")]
mod common;
mod tally;

use std::path::PathBuf;

use clip::{Clip, Scene, Way};
use common::Options;
use street_world::{
    optics::Camera,
    scene::Viewpoint::{Drive, Surveillance},
};
use tally::Tally;
use uniood::{
    engine::{DetectorChoice, Engine, EngineConfig},
    models::ModelSet,
    track::{Method, Settings},
};

/// Scenes that nothing was trained on, and that no demo shows.
const SCENES: [Scene; 4] = [
    (41_000_001, Drive, Camera::Plain),
    (41_000_002, Surveillance, Camera::Plain),
    (41_000_003, Drive, Camera::LensRain),
    (41_000_004, Surveillance, Camera::Wide),
];

/// Frames a second: a camera of the kind that a machine has many of.
const FPS: f64 = 15.0;

const METHODS: [(&str, Method); 2] = [("iou", Method::Iou), ("sort", Method::Sort)];

/// One way of tracking and what it came to over all clips.
struct Row {
    name: &'static str,
    tracking: Option<Settings>,
    true_boxes: bool,
    tally: Tally,
}

fn main() {
    let Some(options) = Options::read() else { return };
    let frames: usize = options.value_of("--frames").map_or(120, |frames| frames.parse().unwrap());
    let models = options.value_of("--models").map(PathBuf::from);
    let set = ModelSet::open_or_shipped(models.as_deref(), None).unwrap();
    let config = |detector| EngineConfig::on_processor(set.clone(), detector);
    let mut detector = uniood::engine::Detector::open(&config(DetectorChoice::Set)).unwrap().unwrap();
    let engine = Engine::open(&config(DetectorChoice::Upstream)).unwrap();
    let mut rows = rows();
    for scene in SCENES {
        let clip = Clip::new(scene, FPS, frames, &mut detector);
        for row in &mut rows {
            let way = Way { tracking: row.tracking, true_boxes: row.true_boxes, ..Way::default() };
            clip.run(&engine, way, &mut row.tally);
        }
    }

    println!("### Tracks, {}\n", set.manifest.name);
    println!(
        "{} clips of the street world, {frames} frames each at 640×360 and {FPS} a second; δ is the set's. Encode passes and what is lost are beside \
         the first row. A stretch is a run of frames in which a known thing is called OOD.\n",
        SCENES.len()
    );
    println!(
        "| tracker | inference-interval | reclassify-interval | IDF1, % | id switches | objects encoded | saved, % | AUROC, % | lost, points | ID called OOD, % | OOD called OOD, % | stretches |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let first = rows[0].tally.figures();
    for row in rows.iter().filter(|row| !row.true_boxes) {
        let figures = row.tally.figures();
        let Some(Settings { inference_interval, reclassify_interval, .. }) = row.tracking else {
            println!(
                "| none | 1 | 1 | | | {:.0} | | {:.2} | | {:.1} | {:.1} | {} |",
                figures.encoded, figures.auroc, figures.id_ood, figures.ood_ood, figures.stretches
            );
            continue;
        };
        println!(
            "| {} | {inference_interval} | {reclassify_interval} | {:.1} | {} | {:.0} | {:.1} | {:.2} | {:.2} | {:.1} | {:.1} | {} |",
            row.name,
            figures.idf1,
            figures.switches,
            figures.encoded,
            100.0 * (1.0 - figures.encoded / first.encoded),
            figures.auroc,
            first.auroc - figures.auroc,
            figures.id_ood,
            figures.ood_ood,
            figures.stretches
        );
    }
    println!("\nOn true boxes, what hides in them included, so that nothing but the tracker is at fault:\n");
    println!("| tracker | inference-interval | IDF1, % | id switches |\n|---|---|---|---|");
    for row in rows.iter().filter(|row| row.true_boxes) {
        let figures = row.tally.figures();
        println!(
            "| {} | {} | {:.1} | {} |",
            row.name,
            row.tracking.map_or(1, |tracking| tracking.inference_interval),
            figures.idf1,
            figures.switches
        );
    }
    println!();
}

fn rows() -> Vec<Row> {
    let row = |name, tracking, true_boxes| Row { name, tracking, true_boxes, tally: Tally::default() };
    let mut rows = vec![row("none", None, false)];
    for (name, method) in METHODS {
        for inference_interval in [1, 3] {
            for reclassify_interval in [1, 5, 15, 0] {
                rows.push(row(name, Some(Settings { method, inference_interval, reclassify_interval }), false));
            }
            rows.push(row(name, Some(Settings { method, inference_interval, reclassify_interval: 0 }), true));
        }
    }
    rows
}
