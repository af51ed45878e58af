//! The shots as tensors: tokens, and what each of them weighs for each class.

use candle_core::{DType, Device, Tensor};
use ndarray::Array2;

use super::{
    context::Company,
    shots::Shot,
    tensor::{failed, stacked, tensor},
    texts::Texts,
    weights::{self, ContextText, Switches},
};
use crate::{Result, score::unit_rows};

/// n objects; weights are `(N+1)·β_i·μ_i` under each class.
#[derive(Debug, Clone)]
pub(super) struct Samples {
    /// The target's z, `[n, T, D]`.
    pub(super) target: Tensor,
    /// The background's z, `[n, T, D]`.
    pub(super) background: Tensor,
    /// Of the target's tokens, `[n, T, C]`.
    pub(super) target_weights: Tensor,
    /// Of the background's, the context being the other objects really there (without any: μ = 1), `[n, T, C]`.
    pub(super) met: Tensor,
    /// Of the background's as at inference: the context is the whole list, or none where the object is alone, `[n, T, C]`.
    pub(super) listed: Tensor,
    /// Of the background's without context, `[n, T, C]`.
    pub(super) alone: Tensor,
    /// Each object's class.
    pub(super) classes: Vec<usize>,
    /// What a network that learns the context's text works on, where there is one.
    pub(super) company: Option<Company>,
}

impl Samples {
    pub(super) fn new(shots: &[Shot], texts: &Texts, switches: Switches) -> Result<Self> {
        let classes = texts.text.nrows();
        let everything = texts.context(&vec![1; classes], switches.context).unwrap_or_else(|| texts.text.clone());
        let of_context = |shot: &Shot, context: Option<&Array2<f32>>| {
            let context = context.map(|context| &**context);
            weights::background(&shot.features, context, classes, &texts.projection, switches)
        };
        let target = |shot: &Shot| weights::target(&shot.features, &texts.text, &texts.projection, switches);
        let of = |row: &dyn Fn(&Shot) -> Array2<f32>| stacked(shots.iter().map(row));
        Ok(Self {
            target: of(&|shot| shot.features.tokens_target.clone())?,
            background: of(&|shot| shot.features.tokens_background.clone())?,
            target_weights: of(&target)?,
            met: of(&|shot| of_context(shot, texts.context(&shot.others, switches.context).as_ref()))?,
            listed: of(&|shot| of_context(shot, (!shot.alone).then_some(&everything)))?,
            alone: of(&|shot| of_context(shot, None))?,
            classes: shots.iter().map(|shot| shot.class).collect(),
            company: if switches.context == ContextText::Mlp { Some(company(shots, texts, switches)?) } else { None },
        })
    }

    /// Some of the objects.
    pub(super) fn of(&self, chosen: &[usize]) -> Result<Self> {
        let rows = indices(chosen)?;
        let of = |tensor: &Tensor| tensor.index_select(&rows, 0).map_err(failed);
        Ok(Self {
            target: of(&self.target)?,
            background: of(&self.background)?,
            target_weights: of(&self.target_weights)?,
            met: of(&self.met)?,
            listed: of(&self.listed)?,
            alone: of(&self.alone)?,
            classes: chosen.iter().map(|&index| self.classes[index]).collect(),
            company: self.company.as_ref().map(|company| company.of(chosen)).transpose()?,
        })
    }

    /// The target's CLS state z_0, `[n, D]`.
    pub(super) fn cls(&self) -> Result<Tensor> {
        self.target.narrow(1, 0, 1).and_then(|cls| cls.squeeze(1)?.contiguous()).map_err(failed)
    }
}

fn company(shots: &[Shot], texts: &Texts, switches: Switches) -> Result<Company> {
    let width = texts.text.ncols();
    let everybody = vec![1; texts.text.nrows()];
    // The mean, and 1 where there is one.
    let means = |mean: &dyn Fn(&Shot) -> Option<Array2<f32>>| -> Result<[Tensor; 2]> {
        let (mut means, mut there) = (Array2::zeros((shots.len(), width)), Array2::zeros((shots.len(), 1)));
        for (index, shot) in shots.iter().enumerate() {
            if let Some(mean) = mean(shot) {
                means.row_mut(index).assign(&mean.row(0));
                there[[index, 0]] = 1.0;
            }
        }
        Ok([tensor(&means)?, tensor(&there)?])
    };
    let there = |context: Option<Array2<f32>>| context.filter(|_| switches.background_alignment);
    let attention = |shot: &Shot| weights::background(&shot.features, None, 1, &texts.projection, switches);
    Ok(Company {
        attention: stacked(shots.iter().map(attention))?,
        embedding: stacked(shots.iter().map(|shot| unit_rows(&shot.features.tokens_background.dot(&texts.projection.t()))))?,
        met: means(&|shot| there(texts.context(&shot.others, ContextText::Mlp)))?,
        listed: means(&|shot| there(texts.context(&everybody, ContextText::Mlp).filter(|_| !shot.alone)))?,
    })
}

/// Positions as a tensor that selects rows.
pub(super) fn indices(chosen: &[usize]) -> Result<Tensor> {
    let chosen: Vec<i64> = chosen.iter().map(|&index| i64::try_from(index).expect("positions of shots")).collect();
    let count = chosen.len();
    Tensor::from_vec(chosen, count, &Device::Cpu).map_err(failed)
}

/// Own class of each object as 1, the others as 0, `[n, C]`.
pub(crate) fn own(classes: &[usize], count: usize, dtype: DType) -> Result<Tensor> {
    let mut own = Array2::<f32>::zeros((classes.len(), count));
    for (mut row, &class) in own.rows_mut().into_iter().zip(classes) {
        row[class] = 1.0;
    }
    tensor(&own)?.to_dtype(dtype).map_err(failed)
}
