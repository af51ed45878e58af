//! AdamW (Loshchilov and Hutter 2019), with PyTorch's defaults.

use candle_core::{Result, Tensor, Var, backprop::GradStore};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The optimiser's state.
pub(crate) struct AdamW {
    moments: Vec<(Var, Tensor, Tensor)>,
    decay: f64,
    steps: i32,
}

impl AdamW {
    pub(crate) fn new(variables: Vec<Var>, decay: f64) -> Result<Self> {
        let with_moments = |variable: Var| {
            let zero = variable.as_tensor().zeros_like()?;
            Ok((variable, zero.clone(), zero))
        };
        Ok(Self { moments: variables.into_iter().map(with_moments).collect::<Result<_>>()?, decay, steps: 0 })
    }

    /// One step of this size; a variable without gradient stays.
    pub(crate) fn step(&mut self, gradients: &GradStore, rate: f64) -> Result<()> {
        self.steps += 1;
        let (correction1, correction2) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
        for (variable, first, second) in &mut self.moments {
            let Some(gradient) = gradients.get(variable.as_tensor()) else { continue };
            // Without the graph they came from, which would else be kept from step to step.
            let gradient = gradient.detach();
            *first = ((&*first * BETA1)? + (&gradient * (1.0 - BETA1))?)?;
            *second = ((&*second * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?;
            let root = ((&*second / correction2)?.sqrt()? + EPSILON)?;
            let step = ((&*first / correction1)? / root)?;
            let value = variable.as_tensor().detach();
            variable.set(&((value * (1.0 - rate * self.decay))? - (step * rate)?)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn three_steps_are_those_of_pytorch() {
        // torch.optim.AdamW([x], lr=.1, weight_decay=.01), x = [1, -2], loss = (x³).sum(), three steps
        let x = Var::from_tensor(&Tensor::new(&[1.0_f64, -2.0], &Device::Cpu).unwrap()).unwrap();
        let mut optimiser = AdamW::new(vec![x.clone()], 0.01).unwrap();
        for _ in 0..3 {
            let loss = x.as_tensor().powf(3.0).unwrap().sum_all().unwrap();
            optimiser.step(&loss.backward().unwrap(), 0.1).unwrap();
        }
        let found: Vec<f64> = x.as_tensor().to_vec1().unwrap();
        for (found, wanted) in found.iter().zip(WANTED) {
            assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
        }
    }

    const WANTED: [f64; 2] = [0.701_519_672_866_840_4, -2.294_198_161_587_519_5];
}
