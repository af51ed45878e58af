//! Objects a second through the element over those of the dual encoder alone.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Sender, bounded};
use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;

use super::{
    BATCH, Encoder, Set,
    threads::{self, Thread},
};
use crate::common::Figure;

/// Batches that are timed, behind one that is not: some ten seconds, since on a virtual machine one batch may take half as long again as the next.
const BATCHES: u32 = 12;

/// Longer than any run on a slow machine.
const HANG: Duration = Duration::from_mins(5);

/// A way into the element.
struct Case {
    what: &'static str,
    source: String,
    /// Boxes that are put on every frame (`detector=upstream`); without any, the frame is its own object.
    boxes: Vec<(u32, u32, u32, u32)>,
}

pub(crate) fn figures(set: &Set<'_>, encoder: &mut Encoder, repeats: usize) -> Vec<Figure> {
    let raw = |width: u32, height: u32| {
        format!("videotestsrc pattern=smpte ! capsfilter caps=video/x-raw,format=I420,width={width},height={height},framerate=25/1")
    };
    let four = vec![(100, 80, 400, 700), (600, 300, 300, 200), (1000, 500, 120, 240), (1300, 100, 500, 900)];
    let mut cases = [
        Case { what: "raw I420 640×360, the frame as object", source: raw(640, 360), boxes: Vec::new() },
        Case { what: "raw I420 1920×1080, 4 regions a frame", source: raw(1920, 1080), boxes: four },
    ];
    if let Some(file) = encoded(set.dir) {
        let source = format!("filesrc location={}", file.display());
        cases[0] = Case { what: "H.264 file 640×360, the frame as object", source, boxes: Vec::new() };
    }
    let mut bare = Vec::new();
    let mut measured: Vec<Measured> = cases.iter().map(|_| Measured::default()).collect();
    let mut alone = || {
        // Behind what the element left in the caches, and whatever of it still ends.
        encoder.run(1);
        encoder.run(BATCHES)
    };
    for _ in 0..repeats {
        let mut before = alone();
        for (case, measured) in cases.iter().zip(&mut measured) {
            let run = element(set, case);
            let behind = alone();
            // Whatever else the machine does changes as time goes on: the element stands between two of what it is compared with.
            measured.ratios.push((before + behind).as_secs_f64() / 2.0 / run.time.as_secs_f64());
            measured.rates.push(rate(run.time));
            run.shares().into_iter().zip(&mut measured.shares).for_each(|(share, shares)| shares.push(share));
            bare.push(rate(behind));
            before = behind;
        }
    }
    let ratio = |(case, measured): (&Case, &Measured)| {
        Figure::new(format!("element ÷ encoder alone, objects/s: {}", case.what), Some(('≥', 0.95)), &measured.ratios, 3)
    };
    let mut figures: Vec<Figure> = cases.iter().zip(&measured).map(ratio).collect();
    figures.push(Figure::new("encoder alone, objects/s", None, &bare, 2));
    for (case, Measured { rates, shares, .. }) in cases.iter().zip(&measured) {
        figures.push(Figure::new(format!("element, objects/s: {}", case.what), None, rates, 2));
        let shares = SHARES.iter().zip(shares);
        figures.extend(shares.map(|(what, shares)| Figure::new(format!("the same: {what}, %"), None, shares, 1)));
    }
    figures
}

/// What a way in gave, repeat by repeat.
#[derive(Default)]
struct Measured {
    ratios: Vec<f64>,
    rates: Vec<f64>,
    /// Of each of [`SHARES`].
    shares: [Vec<f64>; SHARES.len()],
}

/// Where the element's time goes.
const SHARES: [&str; 4] = [
    "time in which the encoder has a batch",
    "the encoder's part of the processors",
    "the pixels' part",
    "the part of what decodes and hands on frames",
];

/// The timed batches through the element.
struct Run {
    time: Duration,
    threads: Vec<Thread>,
}

impl Run {
    /// Each of [`SHARES`] in percent.
    fn shares(&self) -> [f64; SHARES.len()] {
        const ENCODE: &str = "uniood-encode";
        const PIXELS: &str = "uniood-batch";
        // ONNX Runtime's threads have the name of the one that loaded the model, the bench's first.
        let own = std::fs::read_to_string("/proc/self/comm").unwrap();
        let is_encoder = |name: &str| name == ENCODE || name == own.trim();
        let percent = |time: Duration, of: f64| 100.0 * time.as_secs_f64() / of;
        let time = self.time.as_secs_f64();
        let processors = time * f64::from(u32::try_from(thread::available_parallelism().unwrap().get()).unwrap());
        let of = |which: &dyn Fn(&str) -> bool| self.threads.iter().filter(|thread| which(&thread.name)).map(|thread| thread.ran).sum();
        let first = self.threads.iter().find(|thread| thread.name == ENCODE).unwrap();
        [
            percent(first.ran + first.waited, time),
            percent(of(&is_encoder), processors),
            percent(of(&|name| name == PIXELS), processors),
            percent(of(&|name| name != PIXELS && !is_encoder(name)), processors),
        ]
    }
}

fn rate(time: Duration) -> f64 {
    f64::from(BATCHES) * f64::from(u32::try_from(BATCH).unwrap()) / time.as_secs_f64()
}

/// The time from the end of the first batch to that of the last, with frames enough behind it that nothing runs dry.
fn element(set: &Set<'_>, case: &Case) -> Run {
    let pipeline = gst::Pipeline::new();
    let source = gst::parse::bin_from_description(&case.source, true).unwrap();
    let filter = set.filter(if case.boxes.is_empty() { "frame" } else { "upstream" });
    let sink = gst::ElementFactory::make("fakesink").property("sync", false).build().unwrap();
    pipeline.add_many([source.upcast_ref(), &filter, &sink]).unwrap();
    gst::Element::link_many([source.upcast_ref(), &filter, &sink]).unwrap();
    let boxes = case.boxes.clone();
    source.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        if let Some(buffer) = probe.buffer_mut() {
            for rect in &boxes {
                VideoRegionOfInterestMeta::add(buffer.make_mut(), "object", *rect);
            }
        }
        gst::PadProbeReturn::Ok
    });
    let (tell, timed) = bounded(1);
    let frames_a_batch = BATCH / case.boxes.len().max(1);
    sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, watch(frames_a_batch, tell));
    pipeline.set_state(gst::State::Playing).unwrap();
    let run = timed.recv_timeout(HANG);
    let error = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).unwrap();
    run.unwrap_or_else(|_| panic!("{}: {error:?}", case.what))
}

/// Notes when the last frame of the first batch and of the last timed one arrive.
fn watch(frames_a_batch: usize, tell: Sender<Run>) -> impl Fn(&gst::Pad, &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn + Send + Sync {
    let state = std::sync::Mutex::new((0_usize, None));
    move |_, _| {
        let mut state = state.lock().unwrap();
        state.0 += 1;
        if state.0 == frames_a_batch {
            state.1 = Some((Instant::now(), threads::all()));
        } else if state.0 == frames_a_batch * (1 + BATCHES as usize) {
            let (started, before) = state.1.take().unwrap();
            let _ = tell.try_send(Run { time: started.elapsed(), threads: threads::since(&before) });
        }
        gst::PadProbeReturn::Ok
    }
}

/// An H.264 file with frames enough; `None` where GStreamer has no encoder.
fn encoded(dir: &Path) -> Option<PathBuf> {
    gst::ElementFactory::find("x264enc")?;
    let file = dir.join("clip.mp4");
    let frames = BATCH * (BATCHES as usize + 6);
    let line = format!(
        "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,format=I420,width=640,height=360,framerate=25/1 ! x264enc ! mp4mux ! filesink location={}",
        file.display()
    );
    let pipeline = gst::parse::launch(&line).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::try_from(HANG).unwrap(), &kinds).unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    Some(file)
}
