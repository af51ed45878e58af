//! The text side as a graph: prompts' embeddings, and their EOT queries and keys for inter-text attention.
//!
//! Run when the class list changes. The attention over the class list itself is no part of it: it needs all
//! prompts at once, and a list may be longer than a batch (see [`crate::attention::inter_text`]).

use ndarray::Array2;

use super::{
    builder::{Builder, Side, Value, signed},
    names::Names,
    onnx::{GraphProto, element},
    port,
    transformer::{Transformer, linear},
};
use crate::{
    Result,
    attention::size,
    models::{ClipConfig, Weights},
};

const PROMPTS: Side = Side::Any("prompts");

/// Writes the graph of a family of models.
pub(super) fn build(clip: &ClipConfig, weights: &Weights, names: &Names) -> Result<GraphProto> {
    let text = &clip.text;
    let transformer = Transformer {
        weights,
        tower: names.text,
        width: text.hidden_size,
        inner: text.intermediate_size,
        heads: text.num_attention_heads,
        layers: text.num_hidden_layers,
        activation: text.hidden_act,
        epsilon: text.layer_norm_eps,
        key_bias: true,
    };
    let mut builder = Builder::new("uniood.text");
    let b = &mut builder;
    let ids = b.input(port::INPUT_IDS, element::I64, &[PROMPTS, Side::Any("tokens")]);
    let eot = b.input(port::EOT, element::I64, &[PROMPTS]);

    let ids = b.transpose("token_ids", &ids, &[1, 0]);
    let length = b.length("length", &ids, 0);
    let (width, heads, head) = (signed(text.hidden_size), signed(text.num_attention_heads), signed(transformer.head_width()));
    let any = b.integers(&[-1]);
    let [head_width, token_width] = [head, width].map(|width| b.integers(&[width]));
    let heads_shape = b.concat("heads_shape", 0, &[&length, &any, &head_width]);
    let tokens_shape = b.concat("tokens_shape", 0, &[&length, &any, &token_width]);
    let x = embedded(b, clip, weights, names, &ids, &length)?;
    let mut x = b.reshape("rows", &x, &[-1, width]);
    let mask = causal_mask(b, text.max_position_embeddings, &length);
    let eot = b.reshape("eot_row", &eot, &[1, -1, 1]);
    let eot = b.expand("eot_row.wide", &eot, &[1, 1, width]);
    let at_eot = |b: &mut Builder, rows: &Value| {
        let tokens = b.reshape_to("tokens", rows, &tokens_shape);
        let row = b.gather_elements("at_eot", &tokens, 0, &eot);
        b.squeeze("eot_rows", &row, &[0])
    };

    let (mut queries, mut keys) = (Vec::new(), Vec::new());
    for index in 0..transformer.layers {
        let last = index + 1 == transformer.layers;
        let layer = transformer.layer(b, index, &x, &heads_shape, Some(&mask), if last { Some(&at_eot) } else { None })?;
        for (rows, list) in [(&layer.query, &mut queries), (&layer.key, &mut keys)] {
            let row = at_eot(b, rows);
            list.push(b.reshape("eot_heads", &row, &[-1, 1, heads, head]));
        }
        x = layer.state;
    }
    let x = transformer.norm(b, "final_layer_norm", &x)?;
    let projection: Array2<f32> = weights.array(names.text_projection, (clip.projection_dim, text.hidden_size))?;
    let embedding = linear(b, "embedding", &x, &projection, None);
    b.output(port::TEXT_EMBEDDING, &embedding, &[PROMPTS, Side::Is(clip.projection_dim)]);

    let sides = [PROMPTS, Side::Is(text.num_hidden_layers), Side::Is(text.num_attention_heads), Side::Is(transformer.head_width())];
    let queries = b.concat("scaled_queries", 1, &queries.iter().collect::<Vec<_>>());
    let unscale = b.float("root_of_head_width", size(transformer.head_width()).sqrt());
    let queries = b.mul("queries", &queries, &unscale);
    let keys = b.concat("keys", 1, &keys.iter().collect::<Vec<_>>());
    b.output(port::QUERY_EOT, &queries, &sides);
    b.output(port::KEY_EOT, &keys, &sides);
    Ok(builder.finish())
}

/// Token and position embeddings, `[T, B, D]`.
fn embedded(b: &mut Builder, clip: &ClipConfig, weights: &Weights, names: &Names, ids: &Value, length: &Value) -> Result<Value> {
    let text = &clip.text;
    let name = |which: &str| format!("{}.embeddings.{which}_embedding.weight", names.text);
    let table: Array2<f32> = weights.array(&name("token"), (text.vocab_size, text.hidden_size))?;
    let positions: ndarray::Array3<f32> =
        weights.array::<ndarray::Ix2>(&name("position"), (text.max_position_embeddings, text.hidden_size))?.insert_axis(ndarray::Axis(1));
    let table = b.floats("token_embedding", &table);
    let tokens = b.gather("tokens", &table, 0, ids);
    let positions = b.floats("position_embedding", &positions);
    let positions = b.slice_to("positions", &positions, 0, 0, length);
    Ok(b.add("placed", &tokens, &positions))
}

/// `[T, T]`: 0 up to the query's own token, as good as −∞ behind it.
fn causal_mask(b: &mut Builder, longest: usize, length: &Value) -> Value {
    let mask = Array2::from_shape_fn((longest, longest), |(query, key)| if key > query { f32::MIN } else { 0.0 });
    let mask = b.floats("causal_mask", &mask);
    let mask = b.slice_to("causal_mask.rows", &mask, 0, 0, length);
    b.slice_to("causal_mask.square", &mask, 1, 0, length)
}
