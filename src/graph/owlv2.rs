//! OWLv2 as one graph: image tower, box head, and objectness or class head; every patch is a box.
//!
//! Source: Minderer et al., "Scaling Open-Vocabulary Object Detection", 2023; the numbers are those of transformers'
//! `Owlv2ForObjectDetection`. A run takes one picture: its attention over 3601 tokens has 12·3601² numbers.

use ndarray::{Array1, Array2};

use super::{
    Owlv2Graph,
    builder::{Builder, Side, Value, signed},
    names::OWLV2,
    onnx::{GraphProto, element},
    port,
    tower::Tower,
    transformer::{gelu, linear},
};
use crate::{Error, Result, attention::size, models::Weights};

/// What keeps a box's bias finite at the edges, and the length of a class embedding above 0.
const EDGE: f32 = 1e-4;
const SHORTEST: f32 = 1e-6;

/// Writes the graph.
pub(super) fn build(request: &Owlv2Graph) -> Result<GraphProto> {
    let (clip, weights) = (&request.config.clip, request.weights);
    let (side, width, patches) = (clip.vision.image_size, clip.vision.hidden_size, clip.vision.tokens() - 1);
    let mut builder = Builder::new("uniood.owlv2");
    let b = &mut builder;
    let pixel_values = b.input(port::PIXEL_VALUES, element::F32, &[Side::Is(1), Side::Is(3), Side::Is(side), Side::Is(side)]);

    let tokens = Tower::named(clip, weights, &OWLV2).encode_pixel_values(b, &pixel_values)?;
    let tokens = b.squeeze("tokens_of_image", &tokens, &[0]);
    let cls = b.part("cls_of_image", &tokens, 1, 0);
    let features = b.slice("patches_of_image", &tokens, 1, 1, signed(patches + 1));
    let merged = b.mul("merged", &features, &cls);
    let (weight, bias): (Array1<f32>, Array1<f32>) = (weights.array("layer_norm.weight", width)?, weights.array("layer_norm.bias", width)?);
    let (weight, bias) = (b.floats("layer_norm.weight", &weight), b.floats("layer_norm.bias", &bias));
    let features = b.layer_norm("features", &merged, &weight, &bias, clip.vision.layer_norm_eps);

    let boxes = head(b, weights, "box_head", &features, width, 4)?;
    let bias = b.floats("box_bias", &box_bias(clip.vision.grid()));
    let boxes = b.add("biased_boxes", &boxes, &bias);
    let boxes = b.sigmoid("boxes", &boxes);
    b.output(port::PRED_BOXES, &boxes, &[Side::Is(1), Side::Is(patches), Side::Is(4)]);
    if request.names {
        let logits = class_head(b, request, &features)?;
        b.output(port::LOGITS, &logits, &[Side::Is(1), Side::Is(patches), Side::Any("names")]);
    } else {
        let logits = head(b, weights, "objectness_head", &features, width, 1)?;
        let logits = b.squeeze("objectness", &logits, &[2]);
        b.output(port::OBJECTNESS_LOGITS, &logits, &[Side::Is(1), Side::Is(patches)]);
    }
    Ok(builder.finish())
}

/// Three linear layers with the exact GELU between, `[1, N, D]` to `[1, N, outputs]`.
fn head(b: &mut Builder, weights: &Weights, name: &str, features: &Value, width: usize, outputs: usize) -> Result<Value> {
    b.scoped(name, |b| {
        let mut x = features.clone();
        for (index, outputs) in [width, width, outputs].into_iter().enumerate() {
            if index > 0 {
                x = gelu(b, &x);
            }
            x = dense(b, weights, &format!("{name}.dense{index}"), &x, width, outputs)?;
        }
        Ok(x)
    })
}

/// Cosines with the queries, shifted and scaled by what each patch says, `[1, N, K]`.
fn class_head(b: &mut Builder, request: &Owlv2Graph, features: &Value) -> Result<Value> {
    let (clip, weights) = (&request.config.clip, request.weights);
    let (width, shared) = (clip.vision.hidden_size, clip.text.hidden_size);
    if clip.projection_dim != shared {
        let wanted = format!("text_config.hidden_size {shared}: the class head compares texts of that width");
        return Err(Error::model_set(weights.path(), "projection_dim", clip.projection_dim.to_string(), wanted));
    }
    let queries = b.input(port::QUERIES, element::F32, &[Side::Any("names"), Side::Is(shared)]);
    b.scoped("class_head", |b| {
        let embedding = dense(b, weights, "class_head.dense0", features, width, shared)?;
        let (length, shortest) = (b.norm("length", &embedding), b.float("shortest", SHORTEST));
        let length = b.add("length_above_0", &length, &shortest);
        let embedding = b.div("unit_embedding", &embedding, &length);
        let columns = b.transpose("query_columns", &queries, &[1, 0]);
        let cosine = b.matmul("cosine", &embedding, &columns);
        let shift = dense(b, weights, "class_head.logit_shift", features, width, 1)?;
        let scale = dense(b, weights, "class_head.logit_scale", features, width, 1)?;
        let (scale, one) = (b.elu("scale_above_minus_1", &scale), b.float("one", 1.0));
        let scale = b.add("scale", &scale, &one);
        let shifted = b.add("shifted", &cosine, &shift);
        Ok(b.mul("logits", &shifted, &scale))
    })
}

fn dense(b: &mut Builder, weights: &Weights, name: &str, x: &Value, inputs: usize, outputs: usize) -> Result<Value> {
    let weight: Array2<f32> = weights.array(&format!("{name}.weight"), (outputs, inputs))?;
    let bias: Array1<f32> = weights.array(&format!("{name}.bias"), outputs)?;
    Ok(linear(b, name.rsplit('.').next().unwrap_or(name), x, &weight, Some(&bias)))
}

/// Where a box starts from before its sigmoid, `[N, 4]`: its patch's lower right corner, and a patch's size.
fn box_bias(grid: usize) -> Array2<f32> {
    let logit = |share: f32| (share + EDGE).ln() - (EDGE - share).ln_1p();
    Array2::from_shape_fn((grid * grid, 4), |(patch, number)| {
        logit(match number {
            0 => size(patch % grid + 1) / size(grid),
            1 => size(patch / grid + 1) / size(grid),
            _ => size(grid).recip(),
        })
    })
}
