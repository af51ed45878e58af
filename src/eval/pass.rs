//! One pass over the pictures for all methods; a picture's pixels are in memory only while they are read.

use ndarray::{Array1, Array2};

use super::{
    boxes::{self, Found, Kind},
    disturb::Disturbance,
    scene::Scenes,
    scorers::{Judged, Scorers, Seen},
    sets::{Part, Role},
};
use crate::{
    Error, Result,
    data::Faults,
    detect::Selection,
    encode::Features,
    engine::{Detector, FeatureEncoder, OpenVocabulary, Pair},
    frame::FrameSource,
    geometry::Rect,
    pair::Base,
};

/// Pairs of pixels in memory at once.
const PAIRS: usize = 64;

/// What gets a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Every object.
    Object,
    /// The picture: its most confident detection as the sole object, without context, or all of it.
    Image,
}

/// What goes on: pictures that were read, of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Of which kind of work.
    pub stage: Stage,
    /// So far.
    pub done: usize,
    /// Of so many.
    pub total: usize,
}

/// The parts of an evaluation that take time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Objects to learn from through CLIP.
    Shots,
    /// Steps of training an ablation.
    Training,
    /// Pictures of the ID set, for the detector's threshold.
    Threshold,
    /// Pictures.
    Pictures,
}

/// Told what goes on; whatever it refuses ends the evaluation (an interrupt).
pub type Watch<'a> = dyn FnMut(Progress) -> Result<()> + 'a;

/// An object that counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// Index of its set.
    pub part: usize,
    /// Index of its picture in the set.
    pub picture: usize,
    /// The pixels that were scored.
    pub rect: Rect,
    /// ID or OOD.
    pub known: bool,
    /// Its label in the set, where it was matched to one.
    pub category: Option<usize>,
    /// The class it is most like.
    pub nearest: usize,
    /// A score a column.
    pub scores: Vec<f64>,
}

/// What was counted in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Pictures that could be read.
    pub pictures: usize,
    /// Pictures that could not.
    pub unreadable: usize,
    /// Labelled unknown objects that no box was matched to; `None` where nothing is labelled or the boxes are the labels.
    pub missed: Option<usize>,
}

/// What a pass works with.
pub(super) struct Reader<'a> {
    pub(super) encoder: &'a mut FeatureEncoder,
    /// `None`: the labels are the boxes.
    pub(super) detector: Option<&'a mut Detector>,
    /// Asked for classes, where a method does that.
    pub(super) open_vocabulary: Option<&'a mut OpenVocabulary>,
    pub(super) selection: &'a Selection,
    pub(super) level: Level,
    pub(super) disturbance: Disturbance,
    pub(super) seed: u64,
}

/// A picture whose objects wait for the encoder.
struct Frame {
    part: usize,
    picture: usize,
    /// Whether there is more than one box in it.
    context: bool,
    objects: Vec<(Found, Kind)>,
    /// How sure an open-vocabulary detector is of each class at each object, `[N, C]`.
    agreement: Option<Array2<f32>>,
}

/// What was read of a picture.
struct Read {
    found: Vec<Found>,
    /// Those of them that are encoded.
    kept: Vec<(Found, Kind)>,
    pairs: Vec<Pair>,
    /// The picture with all but the object blurred, where that is asked for.
    scenes: Vec<Vec<u8>>,
    agreement: Option<Array2<f32>>,
}

/// Which of a picture's objects are looked at, and at what of them.
#[derive(Clone, Copy)]
struct Wanted {
    /// Those that do not count, too.
    all: bool,
    scenes: bool,
}

/// Scores every object of every set.
pub(super) fn pass(
    reader: &mut Reader<'_>,
    parts: &[Part],
    scorers: &Scorers,
    faults: &mut Faults,
    watch: &mut Watch<'_>,
) -> Result<(Vec<Counted>, Vec<Tally>)> {
    let total = parts.iter().map(|part| part.data.pictures.len()).sum();
    let (mut done, mut counted) = (0, Vec::new());
    let mut tallies = vec![Tally::default(); parts.len()];
    let (mut frames, mut pairs, mut scenes) = (Vec::new(), Vec::new(), Vec::new());
    let wanted = Wanted { all: scorers.need_all_boxes(), scenes: scorers.need_scenes() };
    for (index, part) in parts.iter().enumerate() {
        let matching = reader.detector.is_some() && reader.level == Level::Object && part.role != Role::Known;
        if matching && part.data.pictures.iter().any(|picture| !picture.objects.is_empty()) {
            tallies[index].missed = Some(0);
        }
        for (position, picture) in part.data.pictures.iter().enumerate() {
            watch(Progress { stage: Stage::Pictures, done, total })?;
            done += 1;
            match reader.read(part, (index, position), wanted, faults) {
                Ok(read) => {
                    tallies[index].pictures += 1;
                    if let Some(missed) = &mut tallies[index].missed {
                        *missed += boxes::missed(part, picture, &read.found);
                    }
                    let context = read.found.len() > 1;
                    frames.push(Frame { part: index, picture: position, context, objects: read.kept, agreement: read.agreement });
                    pairs.extend(read.pairs);
                    scenes.extend(read.scenes);
                }
                Err(fault @ (Error::File { .. } | Error::Content { .. })) => {
                    tallies[index].unreadable += 1;
                    faults.add(fault)?;
                }
                Err(error) => return Err(error),
            }
            if pairs.len() >= PAIRS || done == total {
                let mut still = |_| watch(Progress { stage: Stage::Pictures, done, total });
                let features = reader.encoder.encode(&pairs, &mut still)?;
                let states = reader.encoder.encode_pictures(&scenes)?;
                let judged = scorers.judge(&seen(&frames, &features, &states))?;
                take(&frames, judged, parts, &mut counted);
                frames.clear();
                pairs.clear();
                scenes.clear();
            }
        }
    }
    Ok((counted, tallies))
}

impl Reader<'_> {
    /// A picture's boxes and their pixels.
    fn read(&mut self, part: &Part, (index, position): (usize, usize), wanted: Wanted, faults: &mut Faults) -> Result<Read> {
        let picture = &part.data.pictures[position];
        let pixels = picture.read()?;
        let (frame, size) = (pixels.frame(), (pixels.width, pixels.height));
        let found = match &mut self.detector {
            None if self.level == Level::Image => boxes::sole(&[], size).into_iter().collect(),
            None => boxes::labelled(picture, size, faults)?,
            Some(detector) => {
                let detections = detector.detect(&[(pixels.frame(), self.selection)])?.pop().unwrap_or_default();
                match self.level {
                    Level::Object => boxes::detected(&detections, picture, size),
                    Level::Image => boxes::sole(&detections, size).into_iter().collect(),
                }
            }
        };
        // A seed of its own for each picture.
        let own = ((index as u64) << 40) + position as u64;
        let found = self.disturbance.apply(found, size, self.seed ^ own);
        let kinds = found.iter().map(|found| (*found, boxes::kind(part, picture, found)));
        let kept: Vec<(Found, Kind)> = kinds.filter(|(_, kind)| wanted.all || *kind != Kind::Neither).collect();
        let (mut pairs, mut scenes) = (Vec::with_capacity(kept.len()), Vec::new());
        if !kept.is_empty() {
            let spec = *self.encoder.spec();
            let base = Base::new(&frame, &spec)?;
            for (found, _) in &kept {
                pairs.push(self.encoder.pair(&frame, &base, found.rect)?);
            }
            if wanted.scenes {
                let of = Scenes::new(&frame, &base, &spec)?;
                scenes = kept.iter().map(|(found, _)| of.of(found.rect)).collect();
            }
        }
        let agreement = match &mut self.open_vocabulary {
            Some(asked) if !kept.is_empty() => {
                Some(asked.agreement(&frame, &kept.iter().map(|(found, _)| found.bbox).collect::<Vec<_>>())?)
            }
            _ => None,
        };
        Ok(Read { found, kept, pairs, scenes, agreement })
    }
}

/// Objects of frames in their order, each with the others of its frame.
fn seen<'a>(frames: &[Frame], features: &'a [Features], scenes: &'a [Array1<f32>]) -> Vec<Seen<'a>> {
    let mut all = Vec::with_capacity(features.len());
    for frame in frames {
        let first = all.len();
        for (own, (found, _)) in frame.objects.iter().enumerate() {
            let others = || (first..first + frame.objects.len()).filter(|&other| other != first + own).collect();
            all.push(Seen {
                features: &features[first + own],
                scene: scenes.get(first + own),
                confidence: found.confidence,
                agreement: frame.agreement.as_ref().map(|agreement| agreement.row(own).to_owned()),
                others: frame.context.then(others),
            });
        }
    }
    all
}

fn take(frames: &[Frame], judged: Vec<Judged>, parts: &[Part], counted: &mut Vec<Counted>) {
    let objects = frames.iter().flat_map(|frame| frame.objects.iter().map(move |object| (frame, object)));
    for ((frame, (found, kind)), Judged { scores, nearest }) in objects.zip(judged) {
        if *kind == Kind::Neither {
            continue;
        }
        let picture = &parts[frame.part].data.pictures[frame.picture];
        counted.push(Counted {
            part: frame.part,
            picture: frame.picture,
            rect: found.rect,
            known: *kind == Kind::Known,
            category: found.truth.map(|truth| picture.objects[truth].category),
            nearest,
            scores,
        });
    }
}
