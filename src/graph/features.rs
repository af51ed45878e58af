//! What the combiners work on, as a graph of its own: z of both images and both attentions over them.

use super::{
    builder::{Builder, Side},
    image::{OBJECTS, halves},
    onnx::{GraphProto, element},
    port,
    tower::{Encoded, Tower},
};
use crate::{
    Result,
    models::{ClipConfig, Weights},
};

/// Writes the graph.
pub(super) fn build(clip: &ClipConfig, weights: &Weights) -> Result<GraphProto> {
    let (side, width, tokens) = (clip.vision.image_size, clip.vision.hidden_size, clip.vision.tokens());
    let mut builder = Builder::new("uniood.features");
    let b = &mut builder;
    let pixels = [OBJECTS, Side::Is(side), Side::Is(side), Side::Is(3)];
    let target = b.input(port::TARGET, element::U8, &pixels);
    let background = b.input(port::BACKGROUND, element::U8, &pixels);
    let Encoded { tokens: z, beta } = Tower::new(clip, weights).encode_pairs(b, &target, &background, true)?;
    for (value, names, sides) in [
        (z, [port::TOKENS_TARGET, port::TOKENS_BACKGROUND], &[OBJECTS, Side::Is(tokens), Side::Is(width)][..]),
        (beta, [port::BETA_TARGET, port::BETA_BACKGROUND], &[OBJECTS, Side::Is(tokens)]),
    ] {
        for (half, name) in halves(b, names[0], &value).iter().zip(names) {
            b.output(name, half, sides);
        }
    }
    Ok(builder.finish())
}
