//! Counts of what streams do, for Prometheus to scrape.
//!
//! Names are in base units. All streams of a process that name one address share one [`Endpoint`].
//!
//! | metric | labels | what |
//! |---|---|---|
//! | `uniood_stream_fps` | stream | frames a second, over the last ten |
//! | `uniood_frames_total` | stream, outcome | `scored`, `unscored` (went on without verdicts), `dropped` (before scoring) |
//! | `uniood_objects_total` | stream, verdict | `id`, `ood`, `unscored` |
//! | `uniood_stage_seconds` | stream, stage | histogram of a frame's `detect`, `encode`, `total` |
//! | `uniood_score` | stream | histogram of Ω, high = ID |
//! | `uniood_queue_depth` | stream, queue | what waits |
//! | `uniood_stream_up` | stream | of a camera: 1 while it is connected, else 0 |
//! | `uniood_stream_reconnects_total` | stream | how often a lost camera came back |
//! | `uniood_publish_events_total` | broker, outcome | `delivered`, `dropped` |
//! | `uniood_publish_queue_depth` | broker | events that wait or are on their way |

#[cfg(feature = "publish")]
mod publish;
mod rate;
mod server;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, prometheus_text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets, linear_buckets},
    },
    registry::Registry,
};

use crate::report::{FrameReport, OodReport};
use rate::Rate;
pub use server::Endpoint;

/// What became of a frame.
const OUTCOMES: [&str; 3] = ["scored", "unscored", "dropped"];

/// What became of an object.
const VERDICTS: [&str; 3] = ["id", "ood", "unscored"];

/// Where a frame's time goes.
const STAGES: [&str; 3] = ["detect", "encode", "total"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStream {
    stream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    stream: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    stream: String,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    stream: String,
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    stream: String,
    queue: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of an endpoint.
struct Families {
    registry: Registry,
    fps: Family<OfStream, Gauge<f64, AtomicU64>>,
    frames: Family<Outcome, Counter>,
    objects: Family<Verdict, Counter>,
    stages: Histograms<Stage>,
    scores: Histograms<OfStream>,
    queues: Family<Queue, Gauge>,
    up: Family<OfStream, Gauge>,
    reconnects: Family<OfStream, Counter>,
    #[cfg(feature = "publish")]
    publishers: publish::Publishers,
    rates: Mutex<BTreeMap<String, Arc<Rate>>>,
}

impl Default for Families {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("uniood");
        let (fps, frames, objects, queues) = (Family::default(), Family::default(), Family::default(), Family::default());
        let (up, reconnects) = (Family::default(), Family::default());
        // From half a millisecond to 16 s.
        let stages: Histograms<Stage> = Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.0005, 2.0, 16)));
        let scores: Histograms<OfStream> = Family::new_with_constructor(|| Histogram::new(linear_buckets(-0.2, 0.05, 25)));
        registry.register("stream_fps", "Frames a second over the last ten seconds", Family::clone(&fps));
        registry.register("frames", "Frames by what became of them", Family::clone(&frames));
        registry.register("objects", "Objects by verdict", Family::clone(&objects));
        registry.register("stage_seconds", "Time of a frame in a stage", Family::clone(&stages));
        registry.register("score", "Score of an object, high is in-distribution", Family::clone(&scores));
        registry.register("queue_depth", "What waits in a queue", Family::clone(&queues));
        registry.register("stream_up", "Whether a camera is connected", Family::clone(&up));
        registry.register("stream_reconnects", "How often a lost camera came back", Family::clone(&reconnects));
        Self {
            #[cfg(feature = "publish")]
            publishers: publish::Publishers::registered(&mut registry),
            registry,
            fps,
            frames,
            objects,
            stages,
            scores,
            queues,
            up,
            reconnects,
            rates: Mutex::default(),
        }
    }
}

impl Families {
    /// The text of a scrape.
    fn text(&self) -> String {
        for (stream, rate) in lock(&self.rates).iter() {
            self.fps.get_or_create(&OfStream { stream: stream.clone() }).set(rate.per_second());
        }
        #[cfg(feature = "publish")]
        self.publishers.look();
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry).expect("a String takes any text");
        text
    }
}

/// What one stream counts. Dropped, its counters stay and its present state goes.
pub struct StreamMetrics {
    endpoint: Arc<Endpoint>,
    stream: String,
    rate: Arc<Rate>,
    frames: [Counter; OUTCOMES.len()],
    objects: [Counter; VERDICTS.len()],
    stages: [Histogram; STAGES.len()],
    score: Histogram,
}

impl StreamMetrics {
    fn new(endpoint: Arc<Endpoint>, stream: &str) -> Self {
        let families = endpoint.families();
        let name = || stream.to_owned();
        let rate = Arc::clone(lock(&families.rates).entry(name()).or_default());
        Self {
            frames: OUTCOMES.map(|outcome| families.frames.get_or_create_owned(&Outcome { stream: name(), outcome })),
            objects: VERDICTS.map(|verdict| families.objects.get_or_create_owned(&Verdict { stream: name(), verdict })),
            stages: STAGES.map(|stage| families.stages.get_or_create_owned(&Stage { stream: name(), stage })),
            score: families.scores.get_or_create_owned(&OfStream { stream: name() }),
            stream: name(),
            rate,
            endpoint,
        }
    }

    /// Counts a finished frame.
    pub fn frame(&self, report: &FrameReport<'_>) {
        self.rate.count();
        let [scored, unscored, _] = &self.frames;
        if report.error.is_none() { scored } else { unscored }.inc();
        for ood in report.objects.iter().map(|object| &object.ood).chain(&report.image) {
            self.verdict(ood);
        }
        if report.error.is_none() {
            let times = [report.timings_ms.detect, report.timings_ms.encode, report.timings_ms.total];
            for (histogram, milliseconds) in self.stages.iter().zip(times) {
                histogram.observe(milliseconds / 1e3);
            }
        }
    }

    fn verdict(&self, ood: &OodReport<'_>) {
        let index = VERDICTS.iter().position(|verdict| *verdict == ood.label).unwrap_or(VERDICTS.len() - 1);
        self.objects[index].inc();
        if let Some(omega) = ood.omega {
            self.score.observe(f64::from(omega));
        }
    }

    /// Counts a frame that was not taken because scoring did not keep up.
    pub fn dropped(&self) {
        let [.., dropped] = &self.frames;
        dropped.inc();
    }

    /// Whether its camera is connected.
    pub fn up(&self, up: bool) {
        self.endpoint.families().up.get_or_create(&self.label()).set(i64::from(up));
    }

    /// Counts a lost camera that came back.
    pub fn reconnected(&self) {
        self.endpoint.families().reconnects.get_or_create(&self.label()).inc();
    }

    fn label(&self) -> OfStream {
        OfStream { stream: self.stream.clone() }
    }

    /// What waits in a queue now.
    pub fn queue(&self, queue: &'static str, depth: usize) {
        let label = Queue { stream: self.stream.clone(), queue };
        self.endpoint.families().queues.get_or_create(&label).set(i64::try_from(depth).unwrap_or(i64::MAX));
    }
}

impl Drop for StreamMetrics {
    fn drop(&mut self) {
        let families = self.endpoint.families();
        {
            let mut rates = lock(&families.rates);
            // The map's, and this one's own: else a stream of the same name goes on.
            if Arc::strong_count(&self.rate) > 2 {
                return;
            }
            rates.remove(&self.stream);
        }
        families.fps.remove(&self.label());
        families.up.remove(&self.label());
        for queue in QUEUES {
            families.queues.remove(&Queue { stream: self.stream.clone(), queue });
        }
    }
}

/// Frames that are being scored.
pub const SCORING: &str = "scoring";

/// Every queue there is a depth of.
const QUEUES: [&str; 1] = [SCORING];

impl fmt::Debug for StreamMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamMetrics").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// What the locks guard is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_state_of_a_stream_goes_with_the_last_of_its_name() {
        let endpoint = Endpoint::open("127.0.0.1:0").unwrap();
        let is_there = || endpoint.families().text().contains("uniood_stream_fps{stream=\"cam\"}");
        let (first, second) = (endpoint.stream("cam"), endpoint.stream("cam"));
        drop(first);
        assert!(is_there());
        drop(second);
        assert!(!is_there());
    }
}
