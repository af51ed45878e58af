//! `background=shared`: the image side in two graphs, so that a frame is encoded once, whatever batches its objects fall into.
//!
//! The tower is run on frames and on crops. Of a frame it puts out every layer's keys, of a crop only CLS's queries; the heads
//! bring them together, an object's own patches masked, and go on as the graph of pairs does.

use ndarray::Array2;

use super::{
    HeadsGraph, TowerGraph,
    builder::{Builder, Side, Value, signed},
    image::{Against, OBJECTS, Pairs, scores},
    onnx::{GraphProto, element},
    port,
    tower::Tower,
};
use crate::{Result, attention::size, models::ClipConfig};

const FRAMES: Side = Side::Any("frames");

/// Added to the logits of hidden tokens: their share is 0 in every precision, and no number overflows.
const HIDDEN: f32 = -1e4;

/// Writes the tower's graph.
pub(super) fn build_tower(request: &TowerGraph) -> Result<GraphProto> {
    let vision = &request.clip.vision;
    let (side, width, tokens) = (Side::Is(vision.image_size), Side::Is(vision.hidden_size), Side::Is(vision.tokens()));
    let mut builder = Builder::new("uniood.tower");
    let b = &mut builder;
    let images = b.input(port::IMAGE, element::U8, &[OBJECTS, side, side, Side::Is(3)]);
    let alone = Tower::new(request.clip, request.weights).encode_alone(b, &images)?;
    b.output(port::TOKENS, &alone.tokens, &[OBJECTS, tokens, width]);
    b.output(port::BETA, &alone.beta, &[OBJECTS, tokens]);
    b.output(port::QUERY_CLS, &alone.query_cls, &[OBJECTS, Side::Is(vision.num_hidden_layers), width]);
    for (layer, key) in alone.keys.iter().enumerate() {
        b.output(&port::key(layer), key, &[tokens, OBJECTS, width]);
    }
    Ok(builder.finish())
}

/// Writes the heads' graph.
pub(super) fn build_heads(request: &HeadsGraph, shortlist: bool) -> Result<GraphProto> {
    let clip = request.clip;
    let vision = &clip.vision;
    let (width, tokens, layers) = (Side::Is(vision.hidden_size), Side::Is(vision.tokens()), Side::Is(vision.num_hidden_layers));
    let mut builder = Builder::new("uniood.heads");
    let b = &mut builder;
    let target = b.input(port::TOKENS_TARGET, element::F32, &[OBJECTS, tokens, width]);
    let beta_target = b.input(port::BETA_TARGET, element::F32, &[OBJECTS, tokens]);
    let query = b.input(port::QUERY_CLS, element::F32, &[OBJECTS, layers, width]);
    let frames = b.input(port::TOKENS_FRAME, element::F32, &[FRAMES, tokens, width]);
    let key = b.input(port::KEY_FRAME, element::F32, &[FRAMES, layers, tokens, width]);
    let frame = b.input(port::FRAME, element::I64, &[OBJECTS]);
    let hidden = b.input(port::HIDDEN, element::F32, &[OBJECTS, tokens]);
    let against = Against::inputs(b, clip, shortlist);

    let beta_background = inter_image(b, clip, &query, &key, &frame, &hidden);
    let background = b.gather("tokens_of_frames", &frames, 0, &frame);
    let [z, beta] = [("z", [&target, &background]), ("beta", [&beta_target, &beta_background])].map(|(label, halves)| {
        let halves = halves.map(|half| b.unsqueeze(&format!("{label}_half"), half, &[0]));
        b.concat(&format!("{label}_of_both"), 0, &[&halves[0], &halves[1]])
    });
    let projection: Array2<f32> = request.weights.array("visual_projection.weight", (clip.projection_dim, vision.hidden_size))?;
    scores(b, clip, request.combiner, &projection, &Pairs { tokens: z, beta }, &against).outputs(b);
    if request.betas {
        b.output(port::BETA_BACKGROUND, &beta_background, &[OBJECTS, tokens]);
    }
    Ok(builder.finish())
}

/// Inter-image attention of every object on its frame, the hidden tokens masked, `[O, T]`. A layer at a time: all layers' keys
/// of every object would be larger than the weights.
fn inter_image(b: &mut Builder, clip: &ClipConfig, query: &Value, key: &Value, frame: &Value, hidden: &Value) -> Value {
    let vision = &clip.vision;
    let (heads, tokens) = (signed(vision.num_attention_heads), signed(vision.tokens()));
    let head = signed(vision.hidden_size) / heads;
    b.scoped("inter_image", |b| {
        let masked = b.float("masked", HIDDEN);
        let mask = b.mul("mask_of_tokens", hidden, &masked);
        let mask = b.unsqueeze("mask", &mask, &[1, 2]);
        let mut sum: Option<Value> = None;
        for layer in 0..vision.num_hidden_layers {
            let query = b.part("query", query, 1, signed(layer));
            let query = b.reshape("query_row", &query, &[-1, heads, 1, head]);
            let key = b.part("key", key, 1, signed(layer));
            let key = b.gather("key_of_frame", &key, 0, frame);
            let key = b.reshape("key_heads", &key, &[-1, tokens, heads, head]);
            let key = b.transpose("key_columns", &key, &[0, 2, 3, 1]);
            let logits = b.matmul("logits", &query, &key);
            let logits = b.add("masked_logits", &logits, &mask);
            let share = b.softmax("share", &logits);
            sum = Some(match &sum {
                None => share,
                Some(sum) => b.add("sum", sum, &share),
            });
        }
        let sum = sum.expect("a configuration has at least one layer");
        let mean = b.reduce_mean("mean", &sum, &[1, 2]);
        let layers = b.float("layers", size(vision.num_hidden_layers));
        b.div("beta", &mean, &layers)
    })
}
