//! What a way of tracking came to, beside the truth.

use std::collections::HashMap;

use uniood::{
    eval::{matching::matched, metrics},
    geometry::BBox,
    track::identity::{self, identity},
    verdict::{Object, Verdict},
};

use crate::clip::Truth;

/// Boxes that overlap by a half are on one another, as MOTChallenge has it.
const ON: f32 = 0.5;

/// Clips are told apart by adding this to the ids of the next.
const APART: u64 = 1 << 32;

/// Counts over clips.
#[derive(Default)]
pub(crate) struct Tally {
    clips: u64,
    identities: Vec<identity::Frame>,
    encoded: usize,
    id: Vec<f64>,
    ood: Vec<f64>,
    id_alarms: usize,
    ood_alarms: usize,
    stretches: usize,
    /// Whether a true track was called OOD when it was last found.
    alarmed: HashMap<u64, bool>,
}

/// What a row prints; shares in percent.
#[allow(dead_code, reason = "each bench prints its own part")]
pub(crate) struct Figures {
    pub(crate) idf1: f64,
    pub(crate) switches: usize,
    pub(crate) encoded: f64,
    pub(crate) auroc: f64,
    pub(crate) id_ood: f64,
    pub(crate) ood_ood: f64,
    pub(crate) stretches: usize,
}

impl Tally {
    /// Another clip begins.
    pub(crate) fn clip(&mut self) {
        self.clips += 1;
    }

    pub(crate) fn frame(&mut self, truth: &[Truth], objects: &[Object], encoded: usize) {
        self.encoded += encoded;
        self.identities.push(self.identity_of(truth, objects));
        let boxes: Vec<BBox> = truth.iter().map(|truth| truth.bbox).collect();
        let found: Vec<(BBox, f32)> = objects.iter().map(|object| (object.detection.bbox, object.detection.confidence)).collect();
        for (object, on) in objects.iter().zip(matched(&boxes, &found)) {
            let (Some(truth), Verdict::Scored(scored)) = (on.map(|on| &truth[on]).filter(|truth| !truth.ignore), &object.verdict) else {
                continue;
            };
            let omega = f64::from(scored.omega);
            if truth.ood {
                self.ood.push(omega);
                self.ood_alarms += usize::from(scored.ood);
            } else {
                self.id.push(omega);
                self.id_alarms += usize::from(scored.ood);
                let before = self.alarmed.insert(self.clips * APART + truth.track, scored.ood);
                self.stretches += usize::from(scored.ood && before != Some(true));
            }
        }
    }

    fn identity_of(&self, truth: &[Truth], objects: &[Object]) -> identity::Frame {
        let mut frame = identity::Frame::default();
        let counted: Vec<&Truth> = truth.iter().filter(|truth| !truth.ignore).collect();
        frame.truth = counted.iter().map(|truth| self.clips * APART + truth.track).collect();
        for object in objects {
            let Some(track) = object.track else { continue };
            let bbox = &object.detection.bbox;
            let on: Vec<usize> = (0..counted.len()).filter(|&at| counted[at].bbox.iou(bbox) >= ON).collect();
            if on.is_empty() && truth.iter().any(|truth| truth.ignore && truth.bbox.iou(bbox) >= ON) {
                continue;
            }
            frame.overlaps.extend(on.into_iter().map(|at| (at, frame.found.len())));
            frame.found.push(self.clips * APART + track.id);
        }
        frame
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub(crate) fn figures(&self) -> Figures {
        let identity = identity(&self.identities);
        let share = |part: usize, all: usize| 100.0 * part as f64 / all.max(1) as f64;
        Figures {
            idf1: 100.0 * identity.idf1,
            switches: identity.switches,
            encoded: self.encoded as f64,
            auroc: metrics(&self.id, &self.ood).map_or(f64::NAN, |found| 100.0 * found.auroc),
            id_ood: share(self.id_alarms, self.id.len()),
            ood_ood: share(self.ood_alarms, self.ood.len()),
            stretches: self.stretches,
        }
    }
}
