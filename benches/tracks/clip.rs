//! A clip of the street world with its truth and the detector's boxes, and a way of tracking run over it.

use std::sync::Arc;

use street_world::{
    class::Kind,
    film::{Film, Settings as Filming},
    optics::Camera,
    plate::Area,
    scene::Viewpoint,
};
use uniood::{
    detect::{Detection, Selection},
    engine::{Approximation, Boxes, Detector, Engine, FrameSettings, Job, Scope, Ticket, no_abort},
    frame::{FrameSource as _, Picture},
    geometry::BBox,
    track::{Follow, Settings, Tracks},
    verdict::{Object, Verdict},
};

use crate::tally::Tally;

/// What is filmed, and by what.
pub(crate) type Scene = (u64, Viewpoint, Camera);

/// A clip, rendered and detected.
pub(crate) struct Clip {
    frames: Vec<Frame>,
}

/// How a clip is run.
#[derive(Clone, Copy, Default)]
pub(crate) struct Way {
    pub(crate) tracking: Option<Settings>,
    pub(crate) approximation: Approximation,
    /// On the true boxes, where ids alone count and nothing is scored.
    pub(crate) true_boxes: bool,
}

#[derive(Clone)]
struct Frame {
    picture: Arc<Picture>,
    truth: Vec<Truth>,
    detections: Vec<Detection>,
}

/// A true object of a frame.
#[derive(Clone)]
pub(crate) struct Truth {
    pub(crate) track: u64,
    pub(crate) bbox: BBox,
    pub(crate) ood: bool,
    /// Hidden, cut off, too small or only on show: neither right nor wrong.
    pub(crate) ignore: bool,
}

impl Clip {
    pub(crate) fn new((seed, viewpoint, camera): Scene, fps: f64, frames: usize, detector: &mut Detector) -> Self {
        let selection = Selection::default();
        let film = Film::new(&Filming { seed, viewpoint, camera, fps, ..Filming::default() }).unwrap();
        let frames = film.take(frames).map(|frame| {
            let truth = frame.truth.objects.iter().filter_map(|object| {
                let bbox = bbox(object.seen?);
                let small = bbox.w.min(bbox.h) < 16.0;
                let ignore = object.ignore() || small;
                Some(Truth {
                    track: object.track.into(),
                    bbox,
                    ood: object.kind.is_ood(),
                    ignore: ignore || object.kind == Kind::LookAlike,
                })
            });
            let truth = truth.collect();
            let picture = Picture { width: frame.picture.width, height: frame.picture.height, rgb: frame.picture.rgb };
            let detections = detector.detect(&[(picture.frame(), &selection)]).unwrap().remove(0);
            Frame { picture: Arc::new(picture), truth, detections }
        });
        Self { frames: frames.collect() }
    }

    /// Runs it one way.
    pub(crate) fn run(&self, engine: &Arc<Engine>, Way { tracking, approximation, true_boxes }: Way, tally: &mut Tally) {
        let settings = settings(engine, if true_boxes { 0 } else { 100 }, approximation);
        let (stream, tracks) = (engine.stream(), Tracks::default());
        let tickets: Vec<Ticket> = (0..)
            .zip(&self.frames)
            .map(|(number, frame)| {
                let sure = |truth: &Truth| Detection { bbox: truth.bbox, confidence: 1.0, label: None };
                let boxes = if true_boxes { frame.truth.iter().map(sure).collect() } else { frame.detections.clone() };
                let tracks = tracking.map(|settings| Follow { tracks: tracks.clone(), settings, number, ids: Vec::new() });
                let job = Job { frame: frame.picture.clone(), boxes: Boxes::Given(boxes), settings: Arc::clone(&settings), tracks };
                stream.submit(job, &no_abort()).unwrap()
            })
            .collect();
        stream.flush();
        tally.clip();
        for (ticket, frame) in tickets.into_iter().zip(&self.frames) {
            let mut answer = ticket.wait().unwrap();
            assert_eq!(answer.error, None);
            let encoded = answer.objects.iter().filter(|object| matches!(object.verdict, Verdict::Scored(_))).count();
            tracks.resolve(&mut answer, &settings);
            tally.frame(&frame.truth, &answer.objects, encoded);
        }
    }

    /// Every so many-th frame of it.
    #[allow(dead_code, reason = "each bench uses its own part")]
    pub(crate) fn every(&self, nth: usize) -> Self {
        Self { frames: self.frames.iter().step_by(nth).cloned().collect() }
    }

    /// Boxes in all frames.
    #[allow(dead_code, reason = "each bench uses its own part")]
    pub(crate) fn objects(&self) -> usize {
        self.frames.iter().map(|frame| frame.detections.len()).sum()
    }

    /// Each frame with its boxes.
    #[allow(dead_code, reason = "each bench uses its own part")]
    pub(crate) fn pictures(&self) -> impl Iterator<Item = (&Picture, &[Detection])> {
        self.frames.iter().map(|frame| (&*frame.picture, &*frame.detections))
    }

    /// Omega of every class of the first frame's objects.
    #[allow(dead_code, reason = "each bench uses its own part")]
    pub(crate) fn first_omegas(&self, engine: &Arc<Engine>) -> Vec<Vec<f32>> {
        let Frame { picture, detections, .. } = &self.frames[0];
        let settings = settings(engine, 100, Approximation::default());
        let job = Job { frame: picture.clone(), boxes: Boxes::Given(detections.clone()), settings, tracks: None };
        let stream = engine.stream();
        let ticket = stream.submit(job, &no_abort()).unwrap();
        stream.flush();
        let omegas = |object: Object| match object.verdict {
            Verdict::Scored(scored) => scored.omegas.unwrap().into_iter().map(|(_, omega)| omega).collect(),
            Verdict::Unscored(reason) => panic!("unscored: {reason:?}"),
        };
        ticket.wait().unwrap().objects.into_iter().map(omegas).collect()
    }
}

fn settings(engine: &Arc<Engine>, max_objects: usize, approximation: Approximation) -> Arc<FrameSettings> {
    let vocabulary = engine.vocabulary(&engine.models().manifest.classes).unwrap();
    let (threshold, calibration) = engine.models().threshold(None, &vocabulary.classes, "");
    Arc::new(FrameSettings {
        vocabulary,
        threshold,
        calibration,
        selection: Selection { max_objects, ..Selection::default() },
        scope: Scope::Object,
        keep_scores: true,
        approximation,
    })
}

#[expect(clippy::cast_precision_loss, reason = "frames are far below 2^24 pixels a side")]
fn bbox(area: Area) -> BBox {
    BBox::from_edges(area.left as f32, area.top as f32, area.right as f32, area.bottom as f32)
}
