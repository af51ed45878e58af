//! CLIP's image tower: pixels to tokens `z`, with the queries and keys the attentions need.
//!
//! Patches of the normalised image by a linear map without bias, CLS before them, positions, a layer norm,
//! the transformer, and the post layer norm, here on all tokens **(ours)** (transformers' `CLIPVisionModel`).

use ndarray::{Array1, Array2, ArrayRef2, ArrayRef3, Axis, Slice};

use super::{
    ImageEncoding,
    transformer::{LayerNorm, Mask, Sizes, Transformer},
};
use crate::{
    Error, Result,
    models::{ClipConfig, Weights},
};

/// The image tower and P.
#[derive(Debug)]
pub struct VisionTower {
    patch_embedding: Array2<f32>,
    class_embedding: Array1<f32>,
    position_embedding: Array2<f32>,
    pre_layernorm: LayerNorm,
    transformer: Transformer,
    post_layernorm: LayerNorm,
    projection: Array2<f32>,
    image_size: usize,
    patch_size: usize,
    image_mean: [f32; 3],
    image_std: [f32; 3],
}

impl VisionTower {
    /// Reads `vision_model.*` and `visual_projection` of a CLIP folder's weights.
    ///
    /// # Errors
    /// [`Error::ModelSet`] for a tensor that is missing or does not have the configuration's shape.
    pub fn open(weights: &Weights, config: &ClipConfig) -> Result<Self> {
        let vision = &config.vision;
        let (width, patch) = (vision.hidden_size, vision.patch_size);
        let patch_embedding = weights.array("vision_model.embeddings.patch_embedding.weight", (width, 3, patch, patch))?;
        let sizes = Sizes {
            width,
            hidden: vision.intermediate_size,
            layers: vision.num_hidden_layers,
            heads: vision.num_attention_heads,
            activation: vision.hidden_act,
            eps: vision.layer_norm_eps,
        };
        Ok(Self {
            patch_embedding: patch_embedding.into_shape_with_order((width, 3 * patch * patch)).expect("a kernel holds 3·patch² numbers"),
            class_embedding: weights.array("vision_model.embeddings.class_embedding", width)?,
            position_embedding: weights.array("vision_model.embeddings.position_embedding.weight", (vision.tokens(), width))?,
            // The misspelling is the checkpoints' own.
            pre_layernorm: LayerNorm::open(weights, "vision_model.pre_layrnorm", width, vision.layer_norm_eps)?,
            transformer: Transformer::open(weights, "vision_model", sizes)?,
            post_layernorm: LayerNorm::open(weights, "vision_model.post_layernorm", width, vision.layer_norm_eps)?,
            projection: weights.array("visual_projection.weight", (config.projection_dim, width))?,
            image_size: vision.image_size,
            patch_size: patch,
            image_mean: config.image_mean,
            image_std: config.image_std,
        })
    }

    /// P, `[E, D]`.
    #[must_use]
    pub fn projection(&self) -> &ArrayRef2<f32> {
        &self.projection
    }

    /// Encodes one image, RGB `[S, S, 3]`, 0..=255.
    ///
    /// # Errors
    /// [`Error::Frame`] where the image is not S×S×3.
    pub fn encode(&self, pixels: &ArrayRef3<u8>) -> Result<ImageEncoding> {
        let side = self.image_size;
        if pixels.dim() != (side, side, 3) {
            return Err(Error::Frame(format!("the image tower was given {:?} pixels; wanted {side}×{side}×3", pixels.shape())));
        }
        let patches = self.patches(pixels).dot(&self.patch_embedding.t());
        let mut tokens = self.position_embedding.clone();
        let (mut cls, mut rest) = tokens.view_mut().split_at(Axis(0), 1);
        cls += &self.class_embedding;
        rest += &patches;
        let states = self.transformer.run(self.pre_layernorm.apply(&tokens), Mask::Full);
        Ok(ImageEncoding {
            z: self.post_layernorm.apply(&states.hidden),
            query_cls: states.query.index_axis(Axis(2), 0).to_owned(),
            key: states.key,
            values: self.post_layernorm.apply(&states.values.slice_axis(Axis(0), Slice::from(1..))),
        })
    }

    /// Normalised patches, row by row, each channel by channel: `[N, 3·patch²]`.
    fn patches(&self, pixels: &ArrayRef3<u8>) -> Array2<f32> {
        let (patch, grid) = (self.patch_size, self.image_size / self.patch_size);
        let mut patches = Array2::zeros((grid * grid, 3 * patch * patch));
        for ((row, column), mut flat) in ndarray::indices((grid, grid)).into_iter().zip(patches.rows_mut()) {
            let rows = pixels.slice_axis(Axis(0), Slice::from(row * patch..(row + 1) * patch));
            let square = rows.slice_axis(Axis(1), Slice::from(column * patch..(column + 1) * patch));
            // From [y, x, channel] to [channel, y, x], a kernel's order.
            for (slot, ((channel, ..), value)) in flat.iter_mut().zip(square.permuted_axes([2, 0, 1]).indexed_iter()) {
                *slot = (f32::from(*value) / 255.0 - self.image_mean[channel]) / self.image_std[channel];
            }
        }
        patches
    }
}
