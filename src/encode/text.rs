//! CLIP's text tower: token ids to the EOT token's embedding, with its queries and keys.
//!
//! Token and position embeddings, the causal transformer, a layer norm, and the text projection of the EOT
//! token (transformers' `CLIPTextModel`).

use ndarray::{Array2, Array4, Axis};

use super::{
    TextEncoding,
    transformer::{LayerNorm, Mask, Sizes, Transformer},
};
use crate::{
    Error, Result,
    models::{ClipConfig, TextConfig, Tokens, Weights},
};

/// The text tower and its projection.
#[derive(Debug)]
pub struct TextTower {
    token_embedding: Array2<f32>,
    position_embedding: Array2<f32>,
    transformer: Transformer,
    final_layer_norm: LayerNorm,
    projection: Array2<f32>,
    config: TextConfig,
}

impl TextTower {
    /// Reads `text_model.*` and `text_projection` of a CLIP folder's weights.
    ///
    /// # Errors
    /// [`Error::ModelSet`] for a tensor that is missing or does not have the configuration's shape.
    pub fn open(weights: &Weights, config: &ClipConfig) -> Result<Self> {
        let text = &config.text;
        let width = text.hidden_size;
        let sizes = Sizes {
            width,
            hidden: text.intermediate_size,
            layers: text.num_hidden_layers,
            heads: text.num_attention_heads,
            activation: text.hidden_act,
            eps: text.layer_norm_eps,
        };
        Ok(Self {
            token_embedding: weights.array("text_model.embeddings.token_embedding.weight", (text.vocab_size, width))?,
            position_embedding: weights.array("text_model.embeddings.position_embedding.weight", (text.max_position_embeddings, width))?,
            transformer: Transformer::open(weights, "text_model", sizes)?,
            final_layer_norm: LayerNorm::open(weights, "text_model.final_layer_norm", width, text.layer_norm_eps)?,
            projection: weights.array("text_projection.weight", (config.projection_dim, width))?,
            config: text.clone(),
        })
    }

    /// Encodes prompts, one after the other.
    ///
    /// # Errors
    /// [`Error::Inference`] for ids or EOT positions outside the tower's tables; a [`Tokenizer`](crate::models::Tokenizer) gives none.
    pub fn encode(&self, tokens: &Tokens) -> Result<TextEncoding> {
        let prompts = tokens.input_ids.nrows();
        let heads = self.config.num_attention_heads;
        let shape = (prompts, self.config.num_hidden_layers, heads, self.config.hidden_size / heads);
        let mut text_embedding = Array2::zeros((prompts, self.projection.nrows()));
        let (mut query_eot, mut key_eot) = (Array4::zeros(shape), Array4::zeros(shape));
        for (prompt, (ids, eot)) in tokens.input_ids.rows().into_iter().zip(&tokens.eot).enumerate() {
            // The mask is causal: what stands behind EOT cannot change it, so it is not computed.
            let seen = usize::try_from(*eot).ok().filter(|eot| *eot < ids.len().min(self.position_embedding.nrows())).map(|eot| eot + 1);
            let seen = seen.ok_or_else(|| outside(&format!("EOT stands at {eot} of {} tokens", ids.len())))?;
            let mut x = self.position_embedding.clone();
            x.slice_axis_inplace(Axis(0), (..seen).into());
            for (mut row, id) in x.rows_mut().into_iter().zip(ids) {
                let token = usize::try_from(*id).ok().filter(|id| *id < self.token_embedding.nrows());
                row += &self.token_embedding.row(token.ok_or_else(|| outside(&format!("token {id} of {}", self.token_embedding.nrows())))?);
            }
            let states = self.transformer.run(x, Mask::Causal);
            let eot = seen - 1;
            let pooled = self.final_layer_norm.apply(&states.hidden.row(eot).insert_axis(Axis(0)));
            text_embedding.row_mut(prompt).assign(&self.projection.dot(&pooled.row(0)));
            query_eot.index_axis_mut(Axis(0), prompt).assign(&states.query.index_axis(Axis(2), eot));
            key_eot.index_axis_mut(Axis(0), prompt).assign(&states.key.index_axis(Axis(2), eot));
        }
        Ok(TextEncoding { text_embedding, query_eot, key_eot })
    }
}

fn outside(problem: &str) -> Error {
    Error::Inference { stage: "text", problem: format!("{problem}; take the ids from this model's tokenizer") }
}
