//! All methods on encoded objects: a column of the table each.

use std::num::NonZero;

use ndarray::{Array1, Array2, ArrayRef2, ArrayView1};

use super::{
    bank::Bank,
    methods::{self, COLD, Method},
    omega::Omega,
    words::{Negatives, Words},
};
use crate::{
    Error, Result,
    encode::Features,
    score::{NOT_LISTED, shortlist, unit_rows},
    tune::{ContextText, texts::Texts},
};

/// An encoded object.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) features: &'a Features,
    /// z_0 of the whole picture with everything else blurred, where a method looks at it.
    pub(super) scene: Option<&'a Array1<f32>>,
    /// The detector's.
    pub(super) confidence: Option<f32>,
    /// How sure an open-vocabulary detector is of each class there, where one is asked.
    pub(super) agreement: Option<Array1<f32>>,
    /// The frame's other objects, as positions among those that are seen together; `None` where there are none.
    pub(super) others: Option<Vec<usize>>,
}

/// What is said of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    /// A score a column.
    pub(super) scores: Vec<f64>,
    /// The class of the highest Ω, or cosine.
    pub(super) nearest: usize,
}

/// One column.
#[derive(Debug)]
pub(super) enum Column {
    /// A method.
    Method(Method),
    /// UNI-OOD with something exchanged.
    Variant(Box<Variant>),
}

/// UNI-OOD with something exchanged.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: String,
    /// `None` where training gained nothing: plain CLIP.
    pub(super) omega: Option<Omega>,
    pub(super) context: Context,
}

/// Whose texts an object's context is made of.
#[derive(Debug)]
pub(super) enum Context {
    /// The same for every object with others around it, M̃ `[C, E]`.
    Fixed(Array2<f32>),
    /// The other objects' own most likely classes.
    Detected(Box<Texts>),
}

/// Everything that scores.
#[derive(Debug)]
pub(super) struct Scorers {
    pub(super) words: Words,
    pub(super) negatives: Option<Negatives>,
    pub(super) bank: Option<Bank>,
    /// The model set's combiner; `None` is plain CLIP.
    pub(super) omega: Option<Omega>,
    /// How many classes of each object its Ω is looked at of; `None`: all.
    pub(super) shortlist: Option<NonZero<usize>>,
    pub(super) columns: Vec<Column>,
}

impl Column {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Method(method) => method.name(),
            Self::Variant(variant) => &variant.name,
        }
    }
}

impl Scorers {
    /// Whether boxes that do not count themselves must be seen, since they are others' context.
    pub(super) fn need_all_boxes(&self) -> bool {
        self.columns.iter().any(|column| matches!(column, Column::Variant(variant) if matches!(variant.context, Context::Detected(_))))
    }

    /// Whether pictures with all but the object blurred must be encoded.
    pub(super) fn need_scenes(&self) -> bool {
        self.columns.iter().any(|column| matches!(column, Column::Method(Method::RunaLike)))
    }

    /// Scores objects, whole frames of them.
    pub(super) fn judge(&self, seen: &[Seen<'_>]) -> Result<Vec<Judged>> {
        if seen.is_empty() {
            return Ok(Vec::new());
        }
        let embeddings: Vec<Array1<f32>> =
            seen.iter().map(|object| self.words.embedding(&object.features.tokens_target.row(0), None)).collect();
        let text = &self.words.vocabulary.text;
        let cosines: Vec<Array1<f32>> = embeddings.iter().map(|embedding| text.dot(embedding)).collect();
        let likely: Vec<usize> = cosines.iter().map(|cosines| largest(&cosines.view())).collect();
        let listed = |object: &Seen<'_>| object.others.is_some().then_some(&*self.words.vocabulary.context_text);
        let mut omega = match &self.omega {
            Some(omega) => Some(omega.of(&seen.iter().map(|object| (object.features, listed(object))).collect::<Vec<_>>())?),
            None => None,
        };
        if let (Some(omega), Some(count)) = (&mut omega, self.shortlist) {
            for (mut row, cosines) in omega.rows_mut().into_iter().zip(&cosines) {
                let listed = shortlist(cosines, count.get());
                row.indexed_iter_mut().filter(|(class, _)| !listed.contains(class)).for_each(|(_, omega)| *omega = NOT_LISTED);
            }
        }
        let mut variants = Vec::new();
        for column in &self.columns {
            variants.push(match column {
                Column::Method(_) => None,
                Column::Variant(variant) => variant.omega(seen, &likely, text.nrows())?,
            });
        }
        let judged = |index: usize| {
            let own = omega.as_ref().map_or_else(|| cosines[index].view(), |omega| omega.row(index));
            let wide = |values: ArrayView1<'_, f32>| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
            let object = Object {
                seen: &seen[index],
                embedding: &embeddings[index],
                cosines: wide(cosines[index].view()),
                likely: likely[index],
                omega: wide(own),
            };
            let of = |(column, variant): (&Column, &Option<Array2<f32>>)| match (column, variant) {
                (Column::Method(method), _) => self.score(*method, &object),
                (Column::Variant(_), Some(omega)) => Ok(methods::max_cosine(&wide(omega.row(index)))),
                (Column::Variant(_), None) => Ok(methods::max_cosine(&object.cosines)),
            };
            let scores = self.columns.iter().zip(&variants).map(of).collect::<Result<Vec<f64>>>()?;
            if let Some((score, column)) = scores.iter().zip(&self.columns).find(|(score, _)| !score.is_finite()) {
                let problem = format!("{} of an object is {score}; check the weights with `uniood models check`", column.name());
                return Err(Error::Inference { stage: "encode", problem });
            }
            Ok(Judged { scores, nearest: largest(&own) })
        };
        (0..seen.len()).map(judged).collect()
    }

    fn score(&self, method: Method, object: &Object<'_>) -> Result<f64> {
        let s = &object.cosines;
        let missing = || broken(method.name());
        let bank = || self.bank.as_ref().ok_or_else(missing);
        let negatives = || {
            let negatives = self.negatives.as_ref().ok_or_else(missing)?;
            let cosines: Vec<f64> = negatives.text.dot(object.embedding).iter().map(|cosine| f64::from(*cosine)).collect();
            Ok::<_, Error>((cosines, &negatives.farthest))
        };
        Ok(match method {
            Method::Detector => f64::from(object.seen.confidence.ok_or_else(missing)?),
            Method::MaxCosine => methods::max_cosine(s),
            Method::Mcm => methods::mcm(s, 1.0),
            Method::McmCold => methods::mcm(s, COLD),
            Method::Energy => methods::energy(s, COLD),
            Method::LogitGap => methods::logit_gap(s),
            Method::GlMcm => {
                let values = object.seen.features.values_target.as_ref().ok_or_else(missing)?;
                let patches = unit_rows(&values.dot(&self.words.projection.t()));
                methods::gl_mcm(s, &patches.dot(&self.words.vocabulary.text.t()))
            }
            Method::NegLabel => methods::neg_label(s, &negatives()?.0),
            Method::NegMax => {
                let (cosines, farthest) = negatives()?;
                methods::neg_max(s, &cosines, farthest)
            }
            Method::Knn => methods::knn(object.embedding, &bank()?.embeddings),
            Method::Mahalanobis => bank()?.gaussians.score(object.embedding),
            Method::RunaLike => {
                let scene = self.words.embedding(object.seen.scene.ok_or_else(missing)?, None);
                let runa = bank()?.runa.as_ref().ok_or_else(missing)?;
                runa.score(&methods::fused(object.embedding, &scene), &self.words.vocabulary.text)
            }
            Method::Shift => {
                let shifted = self.words.embedding(&object.seen.features.tokens_target.row(0), Some(&bank()?.shift));
                let cosines = self.words.vocabulary.text.dot(&shifted);
                f64::from(cosines.iter().copied().fold(f32::NEG_INFINITY, f32::max))
            }
            Method::Agree => f64::from(object.seen.agreement.as_ref().ok_or_else(missing)?[object.likely]),
            Method::Uniood => methods::max_cosine(&object.omega),
        })
    }
}

/// What methods see of an object.
struct Object<'a> {
    seen: &'a Seen<'a>,
    embedding: &'a Array1<f32>,
    cosines: Vec<f64>,
    /// The class of the highest cosine.
    likely: usize,
    omega: Vec<f64>,
}

impl Variant {
    fn omega(&self, seen: &[Seen<'_>], likely: &[usize], classes: usize) -> Result<Option<Array2<f32>>> {
        let Some(omega) = &self.omega else { return Ok(None) };
        let of = |object: &Seen<'_>| {
            let others = object.others.as_ref()?;
            match &self.context {
                Context::Fixed(context) => Some(context.clone()),
                Context::Detected(texts) => {
                    let mut counts = vec![0; classes];
                    for &other in others {
                        counts[likely[other]] += 1;
                    }
                    texts.context(&counts, ContextText::InterText)
                }
            }
        };
        let contexts: Vec<Option<Array2<f32>>> = seen.iter().map(of).collect();
        let objects: Vec<(&Features, Option<&ArrayRef2<f32>>)> =
            seen.iter().zip(&contexts).map(|(object, context)| (object.features, context.as_ref().map(|context| &**context))).collect();
        omega.of(&objects).map(Some)
    }
}

/// The first of the largest.
fn largest(values: &ArrayView1<'_, f32>) -> usize {
    let better = |best: (usize, f32), (index, value): (usize, &f32)| if *value > best.1 { (index, *value) } else { best };
    values.iter().enumerate().fold((0, f32::NEG_INFINITY), better).0
}

/// A method was asked for whose needs were not checked.
fn broken(name: &str) -> Error {
    Error::Setting(format!("`{name}` lacks what it needs; see `uniood eval --help`"))
}
