//! The detect stage: frames to boxes, boxes to objects. One thread; frames leave it in the order they came.

use std::{sync::Arc, time::Instant};

use super::{
    Answer, Boxes, EngineHub, Scope, Timings,
    detector::Detector,
    stream::Place,
    task::{FrameTask, ObjectTask, Slot, Submitted, waiting},
};
use crate::{
    detect::{Detection, Selection},
    geometry::{BBox, Rect},
    track::{Follow, Followed, Track, Turn},
    verdict::{Object, Reason, Verdict},
};

/// What comes to the detect stage.
pub(super) enum ToDetect {
    Frame(Submitted, Boxes, Place),
    Flush,
}

/// What goes on to the batch stage.
pub(super) enum ToBatch {
    Object(ObjectTask),
    Flush,
}

/// Runs until the engine closes or another stage is gone.
pub(super) fn run(mut detector: Option<Detector>, hub: &EngineHub) {
    let frames = detector.as_ref().map_or(1, Detector::frames);
    // What waits already goes into the same run of the detector; nothing is waited for.
    while let Some(taken) = hub.take_frames(frames) {
        let mut flushed = Vec::new();
        let mut waiting: Vec<(Submitted, Boxes)> = Vec::new();
        for (stream, frame) in taken {
            match frame {
                ToDetect::Frame(submitted, ..) if submitted.is_cancelled() => {}
                ToDetect::Frame(submitted, boxes, place) => {
                    // The stream may send its next while this one is looked at.
                    drop(place);
                    waiting.push((submitted, boxes));
                }
                ToDetect::Flush => flushed.push(stream),
            }
        }
        found(detector.as_mut(), waiting, hub);
        for stream in flushed {
            hub.put_objects(stream, [ToBatch::Flush]);
        }
    }
    hub.detect_ended();
}

/// Finds the objects of waiting frames and sends them on, in the frames' order.
fn found(detector: Option<&mut Detector>, waiting: Vec<(Submitted, Boxes)>, hub: &EngineHub) {
    let started = Instant::now();
    // `None` where nobody looks: the frame's tracks carry their boxes.
    let looked = |(submitted, boxes): (Submitted, Boxes)| {
        let looks = submitted.tracks.as_ref().is_none_or(Follow::looks);
        (submitted, looks.then_some(boxes))
    };
    let waiting: Vec<(Submitted, Option<Boxes>)> = waiting.into_iter().map(looked).collect();
    let detected = match detector {
        Some(detector) => {
            let looked_at = waiting.iter().filter(|(_, boxes)| matches!(boxes, Some(Boxes::Detect)));
            let frames: Vec<_> = looked_at.map(|(submitted, _)| (submitted.frame.frame(), &submitted.settings.selection)).collect();
            if frames.is_empty() { Ok(Vec::new()) } else { detector.detect(&frames) }
        }
        None => Ok(waiting
            .iter()
            .filter(|(_, boxes)| matches!(boxes, Some(Boxes::Detect)))
            .map(|(submitted, _)| vec![whole_frame(submitted)])
            .collect()),
    };
    let share = started.elapsed() / u32::try_from(waiting.len().max(1)).unwrap_or(u32::MAX);
    let mut detected = detected.map_err(|error| error.to_string()).map(Vec::into_iter);
    for (submitted, boxes) in waiting {
        let detections = match (boxes, &mut detected) {
            (None, _) => None,
            (Some(Boxes::Given(given)), _) => Some(given),
            (Some(Boxes::Detect), Ok(detected)) => Some(detected.next().unwrap_or_default()),
            (Some(Boxes::Detect), Err(error)) => {
                tracing::warn!(error, "detect");
                submitted.tracks.iter().for_each(Follow::look_failed);
                let image = failed_image(submitted.settings.scope);
                FrameTask::new(submitted, Answer { error: Some(error.clone()), image, ..Answer::default() }, 0).send();
                continue;
            }
        };
        let stream = submitted.stream;
        let spent = Timings { queue: started.saturating_duration_since(submitted.at), detect: share, ..Timings::default() };
        hub.put_objects(stream, tasks(submitted, detections, spent).into_iter().map(ToBatch::Object));
    }
}

fn failed_image(scope: Scope) -> Option<Verdict> {
    (scope != Scope::Object).then_some(Verdict::Unscored(Reason::Error))
}

fn size(submitted: &Submitted) -> (u32, u32) {
    let frame = submitted.frame.frame();
    (frame.width(), frame.height())
}

fn whole_frame(submitted: &Submitted) -> Detection {
    let (width, height) = size(submitted);
    #[expect(clippy::cast_precision_loss, reason = "frames are far below 2^24 pixels a side")]
    let bbox = BBox { x: 0.0, y: 0.0, w: width as f32, h: height as f32 };
    Detection { bbox, confidence: 1.0, label: None }
}

/// The detections that cover pixels, all but the `max_objects` most confident already marked unscored.
fn objects(detections: &[Detection], width: u32, height: u32, selection: &Selection) -> Vec<Object> {
    let mut objects: Vec<Object> =
        detections.iter().filter_map(|detection| Some(waiting(Rect::cover(&detection.bbox, width, height)?, detection.clone()))).collect();
    if objects.len() > selection.max_objects {
        let mut order: Vec<usize> = (0..objects.len()).collect();
        order.sort_by(|a, b| objects[*b].detection.confidence.total_cmp(&objects[*a].detection.confidence));
        for &index in &order[selection.max_objects..] {
            objects[index].verdict = Verdict::Unscored(Reason::MaxObjects);
        }
    }
    objects
}

/// The objects of a frame whose tracks go on, and the tracks that end with it; those that are not scored now wait for their track's verdict.
fn followed(submitted: &Submitted, follow: &Follow, detections: Option<Vec<Detection>>) -> (Vec<Object>, Vec<u64>) {
    let settings = &submitted.settings;
    let most = if settings.scope == Scope::Image { 0 } else { settings.selection.max_objects };
    let step = follow.step(&submitted.frame.frame(), settings, most, detections);
    let object = |Followed { detection, rect, track, turn }| {
        let waiting = waiting(rect, detection);
        let verdict = match turn {
            Turn::Score => waiting.verdict,
            Turn::Keep => Verdict::Unscored(Reason::Pending),
            Turn::Beyond => Verdict::Unscored(Reason::MaxObjects),
        };
        Object { verdict, track: track.map(|id| Track { id, observations: 0 }), ..waiting }
    };
    (step.objects.into_iter().map(object).collect(), step.ended)
}

/// What the scope asks to be encoded of a frame; one that has nothing is answered here. Without `detections` nobody looked.
fn tasks(submitted: Submitted, detections: Option<Vec<Detection>>, spent: Timings) -> Vec<ObjectTask> {
    let (width, height) = size(&submitted);
    let scope = submitted.settings.scope;
    let (objects, ended) = match &submitted.tracks {
        Some(follow) => followed(&submitted, follow, detections),
        None => (objects(&detections.unwrap_or_default(), width, height, &submitted.settings.selection), Vec::new()),
    };
    let has_context = objects.len() > 1;
    let mut wanted: Vec<(Slot, Rect, bool)> = Vec::new();
    if scope != Scope::Image {
        let scored = objects.iter().enumerate().filter(|(_, object)| object.verdict == Verdict::Unscored(Reason::Error));
        wanted.extend(scored.map(|(index, object)| (Slot::Object(index), object.rect, has_context)));
    }
    if scope != Scope::Object {
        // The image level: the most confident detection as the sole object, else the whole frame.
        let sole = objects.iter().max_by(|a, b| a.detection.confidence.total_cmp(&b.detection.confidence)).map(|object| object.rect);
        wanted.extend(sole.or_else(|| Rect::whole(width, height)).map(|rect| (Slot::Image, rect, false)));
    }
    let mut answer = Answer { image: failed_image(scope), timings: spent, encoded: wanted.len(), ended, ..Answer::default() };
    if scope != Scope::Image {
        answer.objects = objects;
    }
    let task = FrameTask::new(submitted, answer, wanted.len());
    if wanted.is_empty() {
        task.send();
    }
    wanted.into_iter().map(|(slot, rect, has_context)| ObjectTask { frame: Arc::clone(&task), slot, rect, has_context }).collect()
}
