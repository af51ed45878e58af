//! Ω of encoded objects under one combiner: the numbers of the engine's graph, from features that were computed once.

use candle_core::Tensor;
use ndarray::{Array2, ArrayRef2, Axis};

use crate::{
    Result,
    combiner::Combiner,
    encode::Features,
    tune::{
        Switches,
        head::Head,
        losses,
        tensor::{array, failed, stacked, tensor},
        weights,
    },
};

/// Objects times classes that are scored at once: bounds the memory of long class lists.
const AT_ONCE: usize = 640;

/// A combiner under a class list.
#[derive(Debug)]
pub(super) struct Omega {
    head: Head,
    switches: Switches,
    /// M(t_c), `[C, E]`.
    text: Array2<f32>,
    /// P, `[E, D]`.
    projection: Array2<f32>,
    tensors: [Tensor; 2],
}

impl Omega {
    pub(super) fn new(combiner: &Combiner, switches: Switches, text: &ArrayRef2<f32>, projection: &ArrayRef2<f32>) -> Result<Self> {
        let tensors = [tensor(text)?, tensor(projection)?];
        Ok(Self { head: Head::of(combiner)?, switches, text: text.to_owned(), projection: projection.to_owned(), tensors })
    }

    /// Ω, `[n, C]`, of objects with their context texts M̃ `[C, E]`; none where the object is alone.
    pub(super) fn of(&self, objects: &[(&Features, Option<&ArrayRef2<f32>>)]) -> Result<Array2<f32>> {
        let mut all = Array2::zeros((0, self.text.nrows()));
        for objects in objects.chunks((AT_ONCE / self.text.nrows()).max(1)) {
            all.append(Axis(0), self.chunk(objects)?.view()).expect("every chunk has the class list's columns");
        }
        Ok(all)
    }

    fn chunk(&self, objects: &[(&Features, Option<&ArrayRef2<f32>>)]) -> Result<Array2<f32>> {
        let (text, projection, classes) = (&self.text, &self.projection, self.text.nrows());
        let target = stacked(objects.iter().map(|(features, _)| features.tokens_target.clone()))?;
        let background = stacked(objects.iter().map(|(features, _)| features.tokens_background.clone()))?;
        let target_weights = stacked(objects.iter().map(|(features, _)| weights::target(features, text, projection, self.switches)))?;
        let background_weights =
            stacked(objects.iter().map(|(features, context)| weights::background(features, *context, classes, projection, self.switches)))?;
        let fused = self.head.fused(&target, &background, &target_weights, &background_weights).map_err(failed)?;
        let [text, projection] = &self.tensors;
        array(&losses::omega(&fused, projection, text).map_err(failed)?)
    }
}
