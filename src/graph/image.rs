//! The image side as one graph: both images through one tower, all four attentions, both combiners, Ω.
//!
//! Every tensor that holds both images has them along its first side: 0 the target, 1 the background.
//!
//! With a shortlist each object has classes of its own, those of the largest plain cosines: all that follows on the texts is
//! then done for them alone, and the others' Ω is [`NOT_LISTED`].

use ndarray::Array2;

use super::{
    ImageGraph,
    builder::{Builder, Side, Value, signed},
    combiner::{self, Branches},
    onnx::{GraphProto, element},
    port,
    tower::{Encoded, Tower},
    transformer::linear,
};
use crate::{Result, attention::size, combiner::Combiner, models::ClipConfig, score::NOT_LISTED};

pub(super) const OBJECTS: Side = Side::Any("objects");
pub(super) const CLASSES: Side = Side::Any("classes");

/// Shorter vectors count as this long, so that a vector of zeros has the cosine 0 and not NaN.
const SHORTEST: f32 = 1e-12;

/// What an object is scored against: inputs.
pub(super) struct Against {
    has_context: Value,
    text: Value,
    context_text: Value,
    /// How many classes are on an object's shortlist, as a list of one integer; `None`: all are.
    shortlist: Option<Value>,
}

impl Against {
    pub(super) fn inputs(b: &mut Builder, clip: &ClipConfig, shortlist: bool) -> Self {
        let width = Side::Is(clip.projection_dim);
        Self {
            has_context: b.input(port::HAS_CONTEXT, element::F32, &[OBJECTS]),
            text: b.input(port::TEXT, element::F32, &[CLASSES, width]),
            context_text: b.input(port::CONTEXT_TEXT, element::F32, &[CLASSES, width]),
            shortlist: shortlist.then(|| b.input(port::SHORTLIST, element::I64, &[Side::Is(1)])),
        }
    }
}

/// Both images of every object behind the tower.
pub(super) struct Pairs {
    /// z, `[2, O, T, D]`.
    pub(super) tokens: Value,
    /// β, `[2, O, T]`.
    pub(super) beta: Value,
}

/// What comes out, `[O, C]` each.
pub(super) struct Scores {
    clip_cosine: Value,
    omega: Value,
}

impl Scores {
    pub(super) fn outputs(&self, b: &mut Builder) {
        b.output(port::OMEGA, &self.omega, &[OBJECTS, CLASSES]);
        b.output(port::CLIP_COSINE, &self.clip_cosine, &[OBJECTS, CLASSES]);
    }
}

/// Writes the graph; a shortlist wants a combiner.
pub(super) fn build(request: &ImageGraph, shortlist: bool) -> Result<GraphProto> {
    let (clip, weights) = (request.clip, request.weights);
    let (side, width, tokens) = (clip.vision.image_size, clip.projection_dim, clip.vision.tokens());
    let mut builder = Builder::new("uniood.image");
    let b = &mut builder;
    let pixels = [OBJECTS, Side::Is(side), Side::Is(side), Side::Is(3)];
    let target = b.input(port::TARGET, element::U8, &pixels);
    let background = b.input(port::BACKGROUND, element::U8, &pixels);
    let against = Against::inputs(b, clip, shortlist && request.combiner.is_some());

    let tower = Tower::new(clip, weights);
    let projection: Array2<f32> = weights.array("visual_projection.weight", (width, clip.vision.hidden_size))?;
    let (scores, beta) = if let Some(combiner) = request.combiner {
        let Encoded { tokens, beta, .. } = tower.encode_pairs(b, &target, &background, true)?;
        let pairs = Pairs { tokens, beta };
        (scores(b, clip, combiner, &projection, &pairs, &against), Some(pairs.beta))
    } else {
        let (z, beta) = if request.betas {
            let Encoded { tokens, beta, .. } = tower.encode_pairs(b, &target, &background, false)?;
            (b.part("target_cls", &tokens, 0, 0), Some(beta))
        } else {
            (tower.encode_targets(b, &target)?, None)
        };
        let embedding = linear(b, "embedding", &z, &projection, None);
        let unit_text = unit(b, "unit_text", &against.text);
        let columns = text_columns(b, &unit_text, width);
        let cosine = cosines(b, &embedding, &columns);
        let cosine = of_target_cls(b, "clip_cosine_of_cls", &cosine);
        (Scores { clip_cosine: cosine.clone(), omega: cosine }, beta)
    };
    scores.outputs(b);
    if let Some(beta) = beta.filter(|_| request.betas) {
        let [target, background] = halves(b, "beta", &beta);
        b.output(port::BETA_TARGET, &target, &[OBJECTS, Side::Is(tokens)]);
        b.output(port::BETA_BACKGROUND, &background, &[OBJECTS, Side::Is(tokens)]);
    }
    Ok(builder.finish())
}

/// From encoded pairs to scores: alignment, both combiners, Ω. `projection` is P `[E, D]`.
pub(super) fn scores(
    b: &mut Builder,
    clip: &ClipConfig,
    combiner: &Combiner,
    projection: &Array2<f32>,
    pairs: &Pairs,
    against: &Against,
) -> Scores {
    let width = clip.projection_dim;
    let embedding = linear(b, "embedding", &pairs.tokens, projection, None);
    let unit_text = unit(b, "unit_text", &against.text);
    let unit_context = unit(b, "unit_context_text", &against.context_text);
    let listed = against.shortlist.as_ref().map(|count| {
        let cls = b.part("target_embedding_of_all", &embedding, 0, 0);
        let cls = b.part("target_embedding_of_cls", &cls, 2, 0);
        let columns = text_columns(b, &unit_text, width);
        let cosine = cosines(b, &cls, &columns);
        let cosine = b.squeeze("clip_cosine_of_all", &cosine, &[0, 2]);
        let listed = b.largest("shortlisted", &cosine, count);
        (cosine, listed)
    });
    let (text, columns, classes) = match &listed {
        None => {
            let columns = [&unit_text, &unit_context].map(|text| text_columns(b, text, width));
            let classes = b.length("class_count", &against.text, 0);
            (unit_text, columns, classes)
        }
        Some((_, listed)) => {
            let texts = [&unit_text, &unit_context].map(|text| b.gather("listed_text", text, 0, listed));
            let columns = texts.each_ref().map(|text| {
                let columns = b.transpose("listed_columns", text, &[0, 2, 1]);
                b.unsqueeze("listed_half", &columns, &[0])
            });
            let [text, _] = texts;
            (text, columns, b.length("class_count", listed, 1))
        }
    };
    let columns = b.concat("texts", 0, &[&columns[0], &columns[1]]);
    let cosine = cosines(b, &embedding, &columns);
    let mu = alignment(b, &cosine, &against.has_context);
    let branches = Branches {
        tokens: halves(b, "z", &pairs.tokens),
        weights: token_weights(b, &pairs.beta, &mu, clip.vision.tokens()),
        target_embedding: b.part("target_embedding", &embedding, 0, 0),
        classes,
    };
    let joined = combiner::build(b, combiner, &branches, projection, clip.vision.grid());
    let omega = score(b, &joined, &text);
    match listed {
        None => Scores { clip_cosine: of_target_cls(b, "clip_cosine_of_cls", &cosine), omega },
        Some((clip_cosine, listed)) => {
            let omega = b.scatter("omega_of_listed", &clip_cosine, NOT_LISTED, &listed, &omega);
            Scores { clip_cosine, omega }
        }
    }
}

/// Rows of unit length.
fn unit(b: &mut Builder, label: &str, rows: &Value) -> Value {
    let length = length(b, &format!("{label}.length"), rows);
    b.div(label, rows, &length)
}

fn length(b: &mut Builder, label: &str, rows: &Value) -> Value {
    let (length, shortest) = (b.norm(label, rows), b.float("shortest", SHORTEST));
    b.max(&format!("{label}.floored"), &length, &shortest)
}

/// Texts `[C, E]` as columns `[1, 1, E, C]`.
fn text_columns(b: &mut Builder, text: &Value, width: usize) -> Value {
    let rows = b.reshape("text_rows", text, &[1, 1, -1, signed(width)]);
    b.transpose("text_columns", &rows, &[0, 1, 3, 2])
}

/// cos(P z_i, text), `[halves, O, T, C]`, from P z `[halves, O, T, E]`, not of unit length, and unit texts.
fn cosines(b: &mut Builder, embedding: &Value, text_columns: &Value) -> Value {
    let products = b.matmul("embedding_by_text", embedding, text_columns);
    let length = length(b, "embedding.length", embedding);
    b.div("cosine", &products, &length)
}

/// The target's CLS row, `[O, C]`.
fn of_target_cls(b: &mut Builder, label: &str, cosine: &Value) -> Value {
    let target = b.part("target_cosine", cosine, 0, 0);
    let cls = b.part("target_cls_cosine", &target, 2, 0);
    b.squeeze(label, &cls, &[0, 2])
}

/// Image-text alignment μ, `[2, O, T, C]`: `max(cos, 0)`; 1 on the background of an object without context.
fn alignment(b: &mut Builder, cosine: &Value, has_context: &Value) -> Value {
    b.scoped("alignment", |b| {
        let positive = b.relu("positive", cosine);
        let one = b.float("one", 1.0);
        let flag = b.reshape("flag", has_context, &[1, -1, 1, 1]);
        let without = b.sub("without", &one, &flag);
        let of_target = b.part("target", &positive, 0, 0);
        let background = b.part("background", &positive, 0, 1);
        let background = b.mul("with_context", &background, &flag);
        let background = b.add("without_context", &background, &without);
        b.concat("mu", 0, &[&of_target, &background])
    })
}

/// Both halves' `(N+1)·β_i·μ_i`, `[O, T, C]`.
fn token_weights(b: &mut Builder, beta: &Value, mu: &Value, tokens: usize) -> [Value; 2] {
    let count = b.float("token_count", size(tokens));
    let beta = b.mul("beta_by_count", beta, &count);
    let beta = b.reshape("beta_column", &beta, &[2, -1, signed(tokens), 1]);
    let weights = b.mul("token_weight", &beta, mu);
    halves(b, "token_weight", &weights)
}

/// Target and background of a tensor that holds both.
pub(super) fn halves(b: &mut Builder, label: &str, both: &Value) -> [Value; 2] {
    [(0, "target"), (1, "background")].map(|(index, name)| {
        let half = b.part(&format!("{label}.{name}_half"), both, 0, index);
        b.squeeze(&format!("{label}.{name}"), &half, &[0])
    })
}

/// `Ω_c = cos(P(z_x + z_(x)), M(t_c))`, `[O, C]`, from the projected sum `[O, C, E]`.
fn score(b: &mut Builder, joined: &Value, unit_text: &Value) -> Value {
    let products = b.mul("joined_by_text", joined, unit_text);
    let products = b.reduce_sum("joined_by_text.sum", &products);
    let length = length(b, "joined.length", joined);
    let length = b.squeeze("joined.length.row", &length, &[2]);
    b.div("omega_of_classes", &products, &length)
}
