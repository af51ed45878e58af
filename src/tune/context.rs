//! The context's text behind a trained network, as the ablation `context=mlp` has it: what takes the place of inter-text attention.
//!
//! `M̃ = m + W₂·GELU(W₁·m + b₁) + b₂`, m the mean of the context's texts. It starts as the mean itself, and is trained along with mlp2
//! **(ours: the paper names neither width nor start)**. It is the same for every class, so an object's background needs one pass and not one a class.

use candle_core::{D, Result, Tensor, Var};

use super::{
    head::{Layer, gelu},
    losses::unit,
    rng::Rng,
    samples::indices,
};

/// Two layers as wide as a text.
#[derive(Debug, Clone)]
pub(super) struct ContextNet {
    first: Layer,
    second: Layer,
}

/// What an object's background is weighed with, as far as it does not depend on the network. n objects, T tokens.
#[derive(Debug, Clone)]
pub(super) struct Company {
    /// `(N+1)·β_i`, `[n, T, 1]`.
    pub(super) attention: Tensor,
    /// P z_i of unit length, `[n, T, E]`.
    pub(super) embedding: Tensor,
    /// The mean of the texts of the other objects really there, and whether there are any, `[n, E]` and `[n, 1]`.
    pub(super) met: [Tensor; 2],
    /// The mean of the whole list's, and whether the object is not alone, as at inference.
    pub(super) listed: [Tensor; 2],
}

impl ContextNet {
    /// For texts of this width.
    pub(super) fn new(width: usize, rng: &mut Rng) -> Result<Self> {
        Ok(Self { first: Layer::random(&[width, width], rng)?, second: Layer::zero(width, width)? })
    }

    /// Both layers drawn.
    #[cfg(test)]
    pub(super) fn random(width: usize, draw: &mut dyn FnMut(&[usize]) -> Tensor) -> Self {
        let mut layer = || Layer { weight: draw(&[width, width]), bias: draw(&[width]) };
        Self { first: layer(), second: layer() }
    }

    /// Makes all tensors variables.
    pub(super) fn train(&mut self, variables: &mut Vec<Var>) -> Result<()> {
        self.first.train(variables)?;
        self.second.train(variables)
    }

    /// Apart from the variables it was made of.
    pub(super) fn frozen(&self) -> Result<Self> {
        Ok(Self { first: self.first.frozen()?, second: self.second.frozen()? })
    }

    /// M̃, `[n, E]`, of means `[n, E]`.
    pub(super) fn apply(&self, means: &Tensor) -> Result<Tensor> {
        let hidden = gelu(&self.first.apply(&means.unsqueeze(1)?)?)?;
        means + self.second.apply(&hidden)?.squeeze(1)?
    }
}

impl Company {
    /// E.
    pub(super) fn width(&self) -> Result<usize> {
        self.embedding.dim(D::Minus1)
    }

    /// Some of the objects.
    pub(super) fn of(&self, chosen: &[usize]) -> crate::Result<Self> {
        let rows = indices(chosen)?;
        let of = |tensor: &Tensor| tensor.index_select(&rows, 0).map_err(super::tensor::failed);
        let both = |[mean, there]: &[Tensor; 2]| Ok::<_, crate::Error>([of(mean)?, of(there)?]);
        Ok(Self { attention: of(&self.attention)?, embedding: of(&self.embedding)?, met: both(&self.met)?, listed: both(&self.listed)? })
    }

    /// The tokens' weights, `[n, T, 1]`, in their real context; `kept` `[n, 1]` is 0 where it is taken away.
    pub(super) fn met(&self, net: &ContextNet, kept: &Tensor) -> Result<Tensor> {
        let [mean, there] = &self.met;
        self.weights(net, mean, &(there * kept)?)
    }

    /// The same as at inference.
    pub(super) fn listed(&self, net: &ContextNet) -> Result<Tensor> {
        let [mean, there] = &self.listed;
        self.weights(net, mean, there)
    }

    /// `(N+1)·β_i·μ_i`; μ = 1 without context.
    fn weights(&self, net: &ContextNet, mean: &Tensor, there: &Tensor) -> Result<Tensor> {
        let text = unit(&net.apply(mean)?)?;
        let cosine = self.embedding.broadcast_mul(&text.unsqueeze(1)?)?.sum_keepdim(D::Minus1)?;
        let there = there.unsqueeze(1)?;
        let mu = cosine.relu()?.broadcast_mul(&there)?.broadcast_add(&(1.0 - there)?)?;
        &self.attention * mu
    }
}
