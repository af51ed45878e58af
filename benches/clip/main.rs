//! A clip of the street world answered by the engine, beside the same in Python; everything that saves work beside none of it; and what that
//! costs in AUROC. Prints Markdown.
//!
//! Speed is that of ViT-B/32 with random weights, for it does not depend on what was learned, and, where pixels count as much as the model, of the set that ships;
//! AUROC is that of the set that ships.
//!
//! `cargo bench --bench clip [-- --repeats N] [-- --frames N]`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints its figures and fails by panicking")]

#[path = "../tracks/clip.rs"]
mod clip;
#[path = "../common/mod.rs"]
mod common;
mod peers;
#[path = "../tracks/tally.rs"]
mod tally;

use std::{
    num::NonZero,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clip::{Clip, Scene, Way};
use common::{
    Figure, Options,
    random_clip::{BASE, Sizes},
};
use peers::Peers;
use street_world::{optics::Camera, scene::Viewpoint::Drive};
use tally::Tally;
use uniood::{
    engine::{Approximation, Detector, DetectorChoice, Engine, EngineConfig, Precision, Threads},
    graph::{self, Numbers},
    models::ModelSet,
    pair::Background,
    track::{Method, Settings},
};

const SIZES: Sizes = BASE[0];

/// A scene that nothing was trained on, and that no demo shows.
const SCENE: Scene = (41_000_001, Drive, Camera::Plain);
const FPS: f64 = 15.0;

/// What answers every object in every frame is timed on every so many-th frame: its rate is the same in all.
const SAMPLED: usize = 12;

const ONNXRUNTIME: &str = "python onnxruntime with Pillow crops, objects/s";

/// Says how far the engine could be above Python, were all but the graph for nothing.
const AT_MOST: &str = "its graph alone, crops cut before ÷ that";

/// Everything that saves work.
const EVERYTHING: Way = Way {
    tracking: Some(Settings { method: Method::Sort, inference_interval: 1, reclassify_interval: 15 }),
    approximation: Approximation { background: Background::Shared, shortlist: None },
    true_boxes: false,
};

fn main() {
    let Some(options) = Options::read() else { return };
    let repeats = options.repeats();
    let frames: usize = options.value_of("--frames").map_or(60, |frames| frames.parse().unwrap());
    let temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let shipped = ModelSet::open_or_shipped(None, None).unwrap();
    let mut detector = Detector::open(&config(&shipped, DetectorChoice::Set, Precision::Fp32)).unwrap().unwrap();
    let clip = Clip::new(SCENE, FPS, frames, &mut detector);
    let sampled = clip.every(SAMPLED);
    println!("### A clip of the street world\n");
    println!(
        "{frames} frames of 640×360, {FPS} a second, and the {} boxes that street-tiny's detector finds in them; speed with {} and random weights, \
         batch size 16; {repeats} interleaved repeats. \
         Everything on is int8, background=shared, tracker=sort and reclassify-interval=15, timed on the whole clip; the others on every {SAMPLED}th frame ({} boxes).\n",
        clip.objects(),
        SIZES.name,
        sampled.objects()
    );
    println!("{}", Figure::HEAD);
    let words = speed(&clip, &sampled, temporary.path(), repeats);
    common::print(&of_two_sessions(&clip.every(SAMPLED / 2), temporary.path(), repeats));
    common::print(&of_the_set_that_ships(&clip, &shipped, temporary.path(), repeats));
    common::print(&accuracy(&clip, &shipped));
    println!("\n{words}\n");
}

fn config(models: &ModelSet, detector: DetectorChoice, precision: Precision) -> EngineConfig {
    EngineConfig { precision, ..EngineConfig::on_processor(models.clone(), detector) }
}

/// Objects answered a second, ours and the peers'. Prints its figures; what else is to be said comes back.
fn speed(clip: &Clip, sampled: &Clip, dir: &Path, repeats: usize) -> String {
    SIZES.write_set(dir);
    let models = ModelSet::open(dir).unwrap();
    let [fp32, int8] = [Precision::Fp32, Precision::Int8].map(|precision| {
        let config = EngineConfig { cache_dir: Some(dir.join("cache")), ..config(&models, DetectorChoice::Upstream, precision) };
        Engine::open(&config).unwrap()
    });
    // Texts are those of the class list, computed once for all rounds, as the peers are given them.
    let _texts = [&fp32, &int8].map(|engine| engine.vocabulary(&models.manifest.classes).unwrap());
    let graph = dir.join("random.onnx");
    graph::write_vision(&models, Numbers::Fp32, &graph).unwrap();
    let mut peers = Peers::start(&graph, sampled, &fp32, &Peers::NAMES);
    let rates = rounds(repeats, || {
        let ours = || rate(sampled, &fp32, Way::default());
        // First and last of a round, since the machine's own speed changes while it lasts.
        let first = ours();
        let everything = rate(clip, &int8, EVERYTHING);
        let of_peers: Vec<f64> = match &mut peers {
            Ok(peers) => Peers::NAMES.map(|name| f64_of(sampled.objects()) / peers.seconds(name)).into(),
            Err(_) => Vec::new(),
        };
        [vec![f64::midpoint(first, ours()), everything], of_peers].concat()
    });
    let [ours, everything, of_peers @ ..] = &rates[..] else { unreachable!("it has six") };
    let mut figures = Vec::new();
    if peers.is_ok() {
        let [literal, batched, onnxruntime, graph] = of_peers else { unreachable!("there are four") };
        let best: Vec<f64> = literal.iter().zip(batched).map(|(literal, batched)| literal.max(*batched)).collect();
        figures.extend([
            Figure::new("engine ÷ the faster PyTorch form, objects/s, fp32", Some(('≥', 1.2)), &over(ours, &best), 2),
            Figure::new("engine ÷ literal PyTorch loop, objects/s, fp32", None, &over(ours, literal), 2),
            Figure::new(format!("engine ÷ {ONNXRUNTIME}"), Some(('≥', 2.0)), &over(ours, onnxruntime), 2),
            Figure::new(AT_MOST, None, &over(graph, onnxruntime), 2),
            Figure::new(
                "everything on ÷ literal PyTorch loop, objects answered a second",
                Some(('≥', 20.0)),
                &over(everything, literal),
                1,
            ),
            Figure::new("literal PyTorch loop, objects/s", None, literal, 2),
            Figure::new("PyTorch, the objects of a frame in a batch, objects/s", None, batched, 2),
            Figure::new("python onnxruntime, objects/s", None, onnxruntime, 2),
        ]);
    }
    figures.extend([
        Figure::new("everything on ÷ engine, objects answered a second", None, &over(everything, ours), 1),
        Figure::new("engine, objects/s, fp32", None, ours, 2),
        Figure::new("everything on, objects answered a second", None, everything, 1),
    ]);
    common::print(&figures);
    match peers {
        Ok(peers) => peers.words(),
        Err(why) => format!("Not run beside Python: {why}"),
    }
}

/// Two sessions beside one that has their threads.
fn of_two_sessions(clip: &Clip, dir: &Path, repeats: usize) -> Vec<Figure> {
    let models = ModelSet::open(dir).unwrap();
    let of = |precision| {
        let engines = [1, 2].map(|sessions| {
            let threads = Threads { encoder_sessions: NonZero::new(sessions), ..Threads::default() };
            let config = config(&models, DetectorChoice::Upstream, precision);
            Engine::open(&EngineConfig { threads: Some(threads), cache_dir: Some(dir.join("cache")), batch_size: 8, ..config }).unwrap()
        });
        let _texts = engines.each_ref().map(|engine| engine.vocabulary(&models.manifest.classes).unwrap());
        let rates = rounds(repeats, || engines.iter().map(|engine| rate(clip, engine, Way::default())).collect());
        Figure::new(format!("encoder-sessions=2 ÷ 1, objects/s, {precision}, batch size 8"), None, &over(&rates[1], &rates[0]), 2)
    };
    vec![of(Precision::Fp32), of(Precision::Int8)]
}

/// The set that ships beside its graph in Python. Its tower is so small that pixels and Python count.
fn of_the_set_that_ships(clip: &Clip, shipped: &ModelSet, dir: &Path, repeats: usize) -> Vec<Figure> {
    const WAYS: [&str; 2] = [Peers::NAMES[2], Peers::NAMES[3]];
    let engine = Engine::open(&config(shipped, DetectorChoice::Upstream, Precision::Fp32)).unwrap();
    let graph = dir.join("shipped.onnx");
    graph::write_vision(shipped, Numbers::Fp32, &graph).unwrap();
    let Ok(mut peers) = Peers::start(&graph, clip, &engine, &WAYS) else { return Vec::new() };
    let rates = rounds(repeats, || {
        let [theirs, graph] = WAYS.map(|way| f64_of(clip.objects()) / peers.seconds(way));
        vec![rate(clip, &engine, Way::default()), theirs, graph]
    });
    let [ours, theirs, graph] = &rates[..] else { unreachable!("there are three") };
    vec![
        Figure::new(format!("street-tiny: engine ÷ {ONNXRUNTIME}"), Some(('≥', 2.0)), &over(ours, theirs), 2),
        Figure::new(format!("street-tiny: {AT_MOST}"), None, &over(graph, theirs), 2),
        Figure::new("street-tiny: engine, objects/s, fp32", None, ours, 1),
        Figure::new("street-tiny: python onnxruntime, objects/s", None, theirs, 1),
    ]
}

/// What each of a round's works gave, round by round; the first round does not count.
fn rounds(repeats: usize, mut round: impl FnMut() -> Vec<f64>) -> Vec<Vec<f64>> {
    let mut series = vec![Vec::new(); round().len()];
    for _ in 0..repeats {
        series.iter_mut().zip(round()).for_each(|(series, value)| series.push(value));
    }
    series
}

/// One rate over another, round by round.
fn over(rates: &[f64], others: &[f64]) -> Vec<f64> {
    rates.iter().zip(others).map(|(rate, other)| rate / other).collect()
}

/// Objects of a clip answered a second.
fn rate(clip: &Clip, engine: &Arc<Engine>, way: Way) -> f64 {
    settle();
    let started = Instant::now();
    clip.run(engine, way, &mut Tally::default());
    f64_of(clip.objects()) / started.elapsed().as_secs_f64()
}

/// What each of it costs, alone and together, with the set that ships. One clip: the errors of these are points.
fn accuracy(clip: &Clip, shipped: &ModelSet) -> Vec<Figure> {
    let engines =
        [Precision::Fp32, Precision::Int8].map(|precision| Engine::open(&config(shipped, DetectorChoice::Upstream, precision)).unwrap());
    let shared = Way { tracking: None, ..EVERYTHING };
    let tracked = Way { approximation: Approximation::default(), ..EVERYTHING };
    let auroc = |engine: &Arc<Engine>, way| {
        let mut tally = Tally::default();
        clip.run(engine, way, &mut tally);
        tally.figures().auroc
    };
    let [fp32, int8] = &engines;
    let exact = auroc(fp32, Way::default());
    let mut figures = vec![Figure::new("AUROC of street-tiny on this clip, exact, %", None, &[exact], 2)];
    for (what, engine, way, goal) in [
        ("int8", int8, Way::default(), Some(('≤', 0.5))),
        ("background=shared", fp32, shared, None),
        ("tracker=sort, reclassify-interval=15", fp32, tracked, None),
        ("everything on", int8, EVERYTHING, None),
    ] {
        figures.push(Figure::new(format!("AUROC lost by {what}, points"), goal, &[exact - auroc(engine, way)], 2));
    }
    figures
}

/// A runtime's threads spin on for a while behind a run, a peer's too, and would be in the way of what is timed next.
pub(crate) fn settle() {
    thread::sleep(Duration::from_millis(200));
}

fn f64_of(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
