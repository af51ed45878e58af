//! What the combiners work on, as a graph of its own: z of both images and both attentions over them; and pictures alone.

use super::{
    FeatureGraph, PictureGraph,
    builder::{Builder, Side, Value},
    image::{OBJECTS, halves},
    onnx::{GraphProto, element},
    port,
    tower::Tower,
};
use crate::Result;

/// Writes the graph.
pub(super) fn build(request: &FeatureGraph) -> Result<GraphProto> {
    let vision = &request.clip.vision;
    let (width, tokens) = (vision.hidden_size, vision.tokens());
    let mut builder = Builder::new("uniood.features");
    let b = &mut builder;
    let [target, background] = [port::TARGET, port::BACKGROUND].map(|name| pixels(b, name, vision.image_size));
    let tower = Tower::new(request.clip, request.weights);
    let encoded = tower.encode_pairs(b, &target, &background, true)?;
    for (value, names, sides) in [
        (&encoded.tokens, [port::TOKENS_TARGET, port::TOKENS_BACKGROUND], &[OBJECTS, Side::Is(tokens), Side::Is(width)][..]),
        (&encoded.beta, [port::BETA_TARGET, port::BETA_BACKGROUND], &[OBJECTS, Side::Is(tokens)]),
    ] {
        for (half, name) in halves(b, names[0], value).iter().zip(names) {
            b.output(name, half, sides);
        }
    }
    if request.values {
        let values = tower.values(b, &encoded)?;
        b.output(port::VALUES_TARGET, &values, &[OBJECTS, Side::Is(tokens - 1), Side::Is(width)]);
    }
    Ok(builder.finish())
}

/// Writes the graph of pictures alone.
pub(super) fn build_pictures(request: &PictureGraph) -> Result<GraphProto> {
    let vision = &request.clip.vision;
    let mut builder = Builder::new("uniood.pictures");
    let b = &mut builder;
    let target = pixels(b, port::TARGET, vision.image_size);
    let cls = Tower::new(request.clip, request.weights).encode_targets(b, &target)?;
    let cls = b.squeeze("cls_of_pictures", &cls, &[0, 2]);
    b.output(port::CLS, &cls, &[OBJECTS, Side::Is(vision.hidden_size)]);
    Ok(builder.finish())
}

fn pixels(b: &mut Builder, name: &str, side: usize) -> Value {
    b.input(name, element::U8, &[OBJECTS, Side::Is(side), Side::Is(side), Side::Is(3)])
}
