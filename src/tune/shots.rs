//! The shots: which objects are learned from, and CLIP's outputs for them.

use std::collections::BTreeMap;

use super::{
    Progress, Settings, Watch,
    rng::{Purpose, Rng},
};
use crate::{
    Error, Result,
    data::{Annotated, DataSet, Faults},
    encode::Features,
    engine::{FeatureEncoder, Pair},
    frame::FrameSource,
    pair::Base,
};

/// Pairs of pixels in memory at once.
const PAIRS: usize = 64;

/// One object that is learned from.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    /// Index into the class list.
    pub(crate) class: usize,
    /// Of each class, how many of the picture's other objects belong to it.
    pub(crate) others: Vec<u32>,
    /// Whether the picture has no other object at all.
    pub(crate) alone: bool,
    /// Position of the picture in the data set.
    pub(crate) picture: usize,
    /// The object's position in the picture.
    pub(crate) object: usize,
    /// CLIP's outputs.
    pub(crate) features: Features,
}

/// An object of the data set: its picture's and its own position.
type Candidate = (usize, usize);

/// A candidate that was drawn, of a known picture.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    class: usize,
    /// Position in its picture.
    object: usize,
    /// The how manieth that was drawn.
    order: usize,
}

/// `settings.shots` objects of each class, class by class.
///
/// An object that turns out to be unusable is a fault, and another of its class takes its place.
pub(crate) fn gather(
    encoder: &mut FeatureEncoder,
    data: &DataSet,
    classes: &[String],
    settings: &Settings,
    faults: &mut Faults,
    watch: &mut Watch<'_>,
) -> Result<Vec<Shot>> {
    let class_of = data.class_of(classes);
    let mut candidates = candidates(data, &class_of, classes.len());
    for (class, found) in classes.iter().zip(&candidates) {
        enough(data, class, found.len(), settings.shots, "")?;
    }
    let mut rng = Rng::new(settings.seed, Purpose::Shots);
    for of_class in &mut candidates {
        rng.shuffle(of_class);
        // Taken from the end.
        of_class.reverse();
    }
    let total = settings.shots * classes.len();
    let mut taken: Vec<Vec<(usize, Shot)>> = vec![Vec::new(); classes.len()];
    let (mut done, mut drawn) = (0, 0);
    loop {
        let mut by_picture: BTreeMap<usize, Vec<Drawn>> = BTreeMap::new();
        for (class, of_class) in candidates.iter_mut().enumerate() {
            for _ in taken[class].len()..settings.shots {
                let Some((picture, object)) = of_class.pop() else {
                    enough(data, &classes[class], taken[class].len(), settings.shots, "usable ")?;
                    continue;
                };
                by_picture.entry(picture).or_default().push(Drawn { class, object, order: drawn });
                drawn += 1;
            }
        }
        if by_picture.is_empty() {
            break;
        }
        let mut waiting = Vec::new();
        let mut pictures = by_picture.into_iter().peekable();
        while let Some((picture, objects)) = pictures.next() {
            let annotated = &data.pictures[picture];
            match pairs(encoder, annotated, &objects, faults) {
                Ok(found) => waiting.extend(found.into_iter().map(|(object, pair)| (picture, object, pair))),
                Err(fault @ (Error::File { .. } | Error::Content { .. })) => faults.add(fault)?,
                Err(error) => return Err(error),
            }
            if waiting.len() < PAIRS && pictures.peek().is_some() {
                continue;
            }
            let batch: Vec<Pair> = waiting.iter_mut().map(|(_, _, pair)| std::mem::take(pair)).collect();
            let features = encoder.encode(&batch, |count| {
                done += count;
                watch(Progress::Encoded { done, total })
            })?;
            for ((picture, Drawn { class, object, order }, _), features) in waiting.drain(..).zip(features) {
                let (others, alone) = company(&data.pictures[picture], object, &class_of, classes.len());
                taken[class].push((order, Shot { class, others, alone, picture, object, features }));
            }
        }
    }
    for of_class in &mut taken {
        of_class.sort_by_key(|(order, _)| *order);
    }
    Ok(taken.into_iter().flatten().map(|(_, shot)| shot).collect())
}

fn candidates(data: &DataSet, class_of: &[Option<usize>], classes: usize) -> Vec<Vec<Candidate>> {
    let mut found = vec![Vec::new(); classes];
    for (index, picture) in data.pictures.iter().enumerate() {
        for (position, object) in picture.objects.iter().enumerate().filter(|(_, object)| !object.ignore) {
            if let Some(class) = class_of[object.category] {
                found[class].push((index, position));
            }
        }
    }
    found
}

fn enough(data: &DataSet, class: &str, found: usize, wanted: usize, usable: &str) -> Result<()> {
    let problem = match found {
        enough if enough >= wanted => return Ok(()),
        0 => format!("there is no {usable}object of class `{class}` in it; add some, or leave the class out with --classes"),
        1 => format!("there is only 1 {usable}object of class `{class}` in it; add some, since one cannot be held out from itself"),
        few => format!("there are only {few} {usable}objects of class `{class}` in it; add some, or ask for {few} shots"),
    };
    Err(Error::content(&data.path, problem))
}

/// The pixels of some objects of a picture; an object outside it is a fault.
fn pairs(encoder: &FeatureEncoder, annotated: &Annotated, objects: &[Drawn], faults: &mut Faults) -> Result<Vec<(Drawn, Pair)>> {
    let picture = annotated.read()?;
    let frame = picture.frame();
    let base = Base::new(&frame, encoder.spec())?;
    let mut found = Vec::with_capacity(objects.len());
    for &drawn in objects {
        let rect = match annotated.objects[drawn.object].rect(picture.width, picture.height, &annotated.path) {
            Ok(rect) => rect,
            Err(fault) => {
                faults.add(fault)?;
                continue;
            }
        };
        found.push((drawn, encoder.pair(&frame, &base, rect)?));
    }
    Ok(found)
}

/// Of each class the number of other objects in the picture, and whether there is no other of any kind.
fn company(picture: &Annotated, own: usize, class_of: &[Option<usize>], classes: usize) -> (Vec<u32>, bool) {
    let mut counts = vec![0; classes];
    let others = picture.objects.iter().enumerate().filter(|(position, object)| *position != own && !object.ignore);
    let mut alone = true;
    for (_, object) in others {
        alone = false;
        if let Some(class) = class_of[object.category] {
            counts[class] += 1;
        }
    }
    (counts, alone)
}
