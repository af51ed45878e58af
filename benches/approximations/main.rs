//! What `background=shared` and a shortlist save, through the engine: pixels, batches and graphs. ViT-B/32 with random weights,
//! for speed does not depend on what was learned. Prints Markdown. What they cost in AUROC, `uniood eval` says.
//!
//! `cargo bench --bench approximations [-- --repeats N]`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints its figures and fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

use std::{num::NonZero, path::Path, sync::Arc, time::Duration};

use common::{
    Figure, Options, interleaved,
    random_clip::{BASE, Sizes},
};
use uniood::{
    detect::{Detection, Selection},
    engine::{Approximation, Boxes, DetectorChoice, Device, Engine, EngineConfig, FrameSettings, Job, Precision, Scope, Stream, no_abort},
    frame::Picture,
    geometry::BBox,
    models::ModelSet,
    pair::Background,
    verdict::Verdict,
};

const SIZES: Sizes = BASE[0];

/// Objects in a batch.
const BATCH: usize = 16;

/// Classes: as many as the set has, many, and so many that a shortlist is worth it.
const CLASSES: [usize; 3] = [10, 100, 1000];

/// Classes on a shortlist.
const LISTED: usize = 20;

fn main() {
    let Some(options) = Options::read() else { return };
    let repeats = options.repeats();
    let temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    SIZES.write_set(temporary.path());
    let engine = Engine::open(&config(temporary.path())).unwrap();
    let stream = engine.stream();
    println!("### Approximations, {}\n", SIZES.name);
    println!(
        "{}, fp32, random weights, frames of 640×360, batch size {BATCH}, {}; {repeats} interleaved repeats.\n",
        SIZES.name,
        engine.device()
    );
    println!("{}", Figure::HEAD);
    common::print(&backgrounds(&engine, &stream, repeats));
    common::print(&class_lists(&engine, &stream, repeats));
    println!();
}

fn config(dir: &Path) -> EngineConfig {
    EngineConfig {
        models: ModelSet::open(dir).unwrap(),
        detector: DetectorChoice::Upstream,
        device: Device::Cpu,
        precision: Precision::Fp32,
        batch_size: BATCH,
        batch_timeout: Some(Duration::ZERO),
        cache_dir: Some(dir.join("cache")),
        threads: None,
    }
}

/// Frames of one object and of many, with each kind of background.
fn backgrounds(engine: &Arc<Engine>, stream: &Stream, repeats: usize) -> Vec<Figure> {
    const MANY: u16 = 32;
    let [exact, shared] = [Background::Exact, Background::Shared]
        .map(|background| settings(engine, CLASSES[0], Approximation { background, ..Approximation::default() }));
    let times = interleaved(
        repeats,
        &mut [&mut || answer(stream, 1, &exact), &mut || answer(stream, MANY, &exact), &mut || answer(stream, 1, &shared), &mut || {
            answer(stream, MANY, &shared);
        }],
    );
    vec![
        Figure::new(
            format!("background=shared: a frame of {MANY} objects ÷ a frame of 1, time"),
            Some(('≤', 18.0)),
            &ratios(&times, 3, 2),
            1,
        ),
        Figure::new(format!("background=exact: a frame of {MANY} objects ÷ a frame of 1, time"), None, &ratios(&times, 1, 0), 1),
        Figure::new(format!("a frame of {MANY} objects, exact ÷ shared, time"), None, &ratios(&times, 1, 3), 2),
        Figure::new("a frame of 1 object, exact ÷ shared, time", None, &ratios(&times, 0, 2), 2),
    ]
}

/// One frame under longer and longer class lists, and the longest under a shortlist.
fn class_lists(engine: &Arc<Engine>, stream: &Stream, repeats: usize) -> Vec<Figure> {
    const OBJECTS: u16 = 16;
    let [few, many, most] = CLASSES.map(|classes| settings(engine, classes, Approximation::default()));
    let listed = Approximation { shortlist: NonZero::new(LISTED), ..Approximation::default() };
    let listed = settings(engine, CLASSES[2], listed);
    let times = interleaved(
        repeats,
        &mut [
            &mut || answer(stream, OBJECTS, &few),
            &mut || answer(stream, OBJECTS, &many),
            &mut || answer(stream, OBJECTS, &most),
            &mut || answer(stream, OBJECTS, &listed),
        ],
    );
    let [few, many, most] = CLASSES;
    vec![
        Figure::new(format!("{many} classes ÷ {few} classes, time"), Some(('≤', 1.3)), &ratios(&times, 1, 0), 2),
        Figure::new(format!("{most} classes ÷ {few} classes, time"), None, &ratios(&times, 2, 0), 2),
        Figure::new(format!("{most} classes with a shortlist of {LISTED} ÷ {few} classes, time"), None, &ratios(&times, 3, 0), 2),
    ]
}

fn ratios(times: &[Vec<Duration>], over: usize, under: usize) -> Vec<f64> {
    times[over].iter().zip(&times[under]).map(|(over, under)| over.as_secs_f64() / under.as_secs_f64()).collect()
}

fn settings(engine: &Arc<Engine>, classes: usize, approximation: Approximation) -> Arc<FrameSettings> {
    let classes: Vec<String> = (0..classes).map(|class| format!("kind {class}")).collect();
    Arc::new(FrameSettings {
        vocabulary: engine.vocabulary(&classes).unwrap(),
        threshold: 0.0,
        calibration: None,
        selection: Selection::default(),
        scope: Scope::Object,
        keep_scores: false,
        approximation,
    })
}

/// Sends a frame with so many objects and waits for its answer.
fn answer(stream: &Stream, objects: u16, settings: &Arc<FrameSettings>) {
    let (width, height) = (640_u32, 360_u32);
    let rgb = (0..width * height * 3).map(|index| (index.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]).collect();
    let detection = |object: u16| Detection {
        bbox: BBox { x: f32::from(object % 8) * 75.0, y: f32::from(object / 8) * 80.0, w: 60.0, h: 70.0 },
        confidence: 0.9,
        label: None,
    };
    let boxes = Boxes::Given((0..objects).map(detection).collect());
    let job = Job { frame: Arc::new(Picture { width, height, rgb }), boxes, settings: Arc::clone(settings), tracks: None };
    let ticket = stream.submit(job, &no_abort()).unwrap();
    stream.flush();
    let answer = ticket.wait().unwrap();
    assert!(answer.objects.iter().all(|object| matches!(object.verdict, Verdict::Scored(_))), "{:?}", answer.error);
}
