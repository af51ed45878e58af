//! Labels without anybody's work: boxes from the detector, classes from plain CLIP where it is sure of them.
//!
//! What CLIP is wrong about is learned, too; so it is never done unless it is asked for.

use std::fmt;

use super::{Progress, Watch, texts::Texts};
use crate::{
    Error, Result,
    attention::softmax,
    data::{Annotated, DataSet, Faults, Labelled, Layout, Place},
    detect::Selection,
    engine::{Detector, EngineConfig, FeatureEncoder, Pair},
    frame::FrameSource,
    geometry::{BBox, Rect},
    pair::Base,
    score::unit_rows,
};

/// Pairs of pixels in memory at once.
const PAIRS: usize = 64;

/// How labels are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Pseudo {
    /// How far the surest class's share must be ahead of the next one's, in a softmax at CLIP's own temperature.
    pub margin: f32,
    /// What counts as an object.
    pub selection: Selection,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct PseudoLabels {
    /// The pictures with what was found in them. Objects that CLIP is not sure of belong to no class.
    pub data: DataSet,
    /// Of each class, how many objects got its label.
    pub counts: Vec<(String, usize)>,
    /// Objects that CLIP was not sure of.
    pub unsure: usize,
    /// [`Pseudo::margin`].
    pub margin: f32,
}

/// The words for a set's card: where labels come from.
impl fmt::Display for PseudoLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> = self.counts.iter().map(|(class, count)| format!("{class} {count}")).collect();
        write!(
            f,
            "plain CLIP's own on the detector's boxes, where its surest class is ahead by {} or more: {}; {} boxes without",
            self.margin,
            counts.join(", "),
            self.unsure
        )
    }
}

/// Labels the objects that a detector finds in pictures of which nothing need be known; labels that are there are not looked at.
///
/// # Errors
/// [`Error::Setting`] where there is no detector, and whatever model set, pictures and `faults` can be wrong in.
pub fn pseudo(
    config: &EngineConfig,
    data: &DataSet,
    classes: &[String],
    settings: &Pseudo,
    faults: &mut Faults,
    watch: &mut Watch<'_>,
) -> Result<PseudoLabels> {
    let Some(mut detector) = Detector::open(config)? else {
        return Err(Error::Setting("there is no detector to find objects; name one with --detector".to_owned()));
    };
    let texts = Texts::open(config, classes)?;
    let mut encoder = FeatureEncoder::open(config)?;
    let total = data.pictures.len();
    let (mut pictures, mut waiting): (Vec<Annotated>, Vec<Pair>) = (Vec::with_capacity(total), Vec::new());
    let (mut first, mut counts) = (0, vec![0; classes.len() + 1]);
    for (done, picture) in data.pictures.iter().enumerate() {
        watch(Progress::Searched { done, total })?;
        match found(&mut detector, &encoder, picture, &settings.selection) {
            Ok((boxes, pairs)) => {
                // Of no class until CLIP has looked at it.
                let object = |(index, place): (usize, BBox)| Labelled {
                    id: index.to_string().into(),
                    category: classes.len(),
                    place: Place::Box(place),
                    ignore: false,
                };
                pictures.push(Annotated { objects: boxes.into_iter().enumerate().map(object).collect(), ..picture.clone() });
                waiting.extend(pairs);
            }
            Err(fault @ (Error::File { .. } | Error::Content { .. })) => faults.add(fault)?,
            Err(error) => return Err(error),
        }
        if waiting.len() >= PAIRS || done + 1 == total {
            let features = encoder.encode(&waiting, |_| watch(Progress::Searched { done, total }))?;
            let objects = pictures[first..].iter_mut().flat_map(|picture| &mut picture.objects);
            for (object, features) in objects.zip(&features) {
                object.category = sure(&texts, features, settings.margin).unwrap_or(classes.len());
                counts[object.category] += 1;
            }
            first = pictures.len();
            waiting.clear();
        }
    }
    let unsure = counts.pop().unwrap_or_default();
    let mut nobody = "unsure".to_owned();
    while classes.iter().any(|class| class.trim().eq_ignore_ascii_case(&nobody)) {
        nobody.push('?');
    }
    let categories = classes.iter().cloned().chain([nobody]).map(Into::into).collect();
    let data = DataSet { path: data.path.clone(), layout: Layout::Coco, categories, pictures };
    Ok(PseudoLabels { data, counts: classes.iter().cloned().zip(counts).collect(), unsure, margin: settings.margin })
}

/// The boxes of a picture and what the encoder sees of them.
fn found(detector: &mut Detector, encoder: &FeatureEncoder, picture: &Annotated, selection: &Selection) -> Result<(Vec<BBox>, Vec<Pair>)> {
    let pixels = picture.read()?;
    let frame = pixels.frame();
    let detections = detector.detect(&[(pixels.frame(), selection)])?.pop().unwrap_or_default();
    let (mut boxes, mut pairs) = (Vec::new(), Vec::new());
    if detections.is_empty() {
        return Ok((boxes, pairs));
    }
    let base = Base::new(&frame, encoder.spec())?;
    for detection in detections {
        let Some(rect) = Rect::cover(&detection.bbox, pixels.width, pixels.height) else { continue };
        boxes.push(detection.bbox);
        pairs.push(encoder.pair(&frame, &base, rect)?);
    }
    Ok((boxes, pairs))
}

/// The class that plain CLIP is sure of.
fn sure(texts: &Texts, features: &crate::encode::Features, margin: f32) -> Option<usize> {
    let embedding = texts.projection.dot(&features.tokens_target.row(0)).insert_axis(ndarray::Axis(0));
    let mut shares = texts.text.dot(&unit_rows(&embedding).row(0)) * texts.scale;
    softmax(shares.view_mut());
    ahead(shares.as_slice()?, margin)
}

/// The largest share's position, if it is ahead of the next by `margin`.
fn ahead(shares: &[f32], margin: f32) -> Option<usize> {
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
    let next = order.get(1).map_or(0.0, |&second| shares[second]);
    order.first().copied().filter(|&first| shares[first] - next >= margin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_class_must_be_ahead_by_the_margin() {
        for (shares, margin, wanted) in [
            (&[0.1, 0.8, 0.1][..], 0.5, Some(1)),
            (&[0.3, 0.7], 0.5, None),
            (&[0.25, 0.75], 0.5, Some(1)),
            (&[0.5, 0.5], 0.0, Some(0)),
            (&[1.0], 0.5, Some(0)),
            (&[], 0.0, None),
        ] {
            assert_eq!(ahead(shares, margin), wanted, "{shares:?}");
        }
    }
}
