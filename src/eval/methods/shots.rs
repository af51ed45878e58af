//! Methods that compare an embedding with those of the shots. All rows have unit length.

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};

use crate::{
    attention::size,
    tune::shift::{decompose, forward},
};

/// The cosine with the nearest shot (Sun et al. 2022; k = 1 **(ours: there are ten shots a class, not thousands)**).
#[must_use]
pub fn knn(embedding: &ArrayRef1<f32>, shots: &ArrayRef2<f32>) -> f64 {
    f64::from(shots.dot(embedding).iter().copied().fold(f32::NEG_INFINITY, f32::max))
}

/// How much of the covariance is replaced by the same share of its mean variance: with fewer shots than dimensions it has no inverse.
const SHRINKAGE: f64 = 0.1;

/// Classes as Gaussians with a common covariance (Lee et al. 2018).
#[derive(Debug, Clone)]
pub struct Mahalanobis {
    /// L of the covariance `L·Lᵀ`.
    root: Array2<f64>,
    /// `L⁻¹·μ_c`, `[C, E]`.
    means: Array2<f64>,
}

impl Mahalanobis {
    /// Of shots `[n, E]` with their classes; classes without a shot are left out.
    #[must_use]
    pub fn new(shots: &ArrayRef2<f32>, classes: &[usize]) -> Self {
        let shots = shots.mapv(f64::from);
        let width = shots.ncols();
        let mut means = Vec::new();
        let mut centred = shots.clone();
        for class in 0..=classes.iter().copied().max().unwrap_or(0) {
            let own: Vec<usize> = (0..classes.len()).filter(|&index| classes[index] == class).collect();
            let Some(mean) = shots.select(Axis(0), &own).mean_axis(Axis(0)) else { continue };
            for &index in &own {
                let mut row = centred.row_mut(index);
                row -= &mean;
            }
            means.push(mean);
        }
        let mut covariance = centred.t().dot(&centred) / f64::from(size(classes.len().max(1)));
        let variance = covariance.diag().sum() / f64::from(size(width));
        covariance *= 1.0 - SHRINKAGE;
        covariance.diag_mut().mapv_inplace(|value| value + SHRINKAGE * variance + f64::MIN_POSITIVE);
        decompose(&mut covariance);
        let mut whitened = Array2::zeros((means.len(), width));
        for (mut row, mut mean) in whitened.rows_mut().into_iter().zip(means) {
            forward(&covariance, &mut mean);
            row.assign(&mean);
        }
        Self { root: covariance, means: whitened }
    }

    /// Minus the squared distance from the nearest class.
    #[must_use]
    pub fn score(&self, embedding: &ArrayRef1<f32>) -> f64 {
        let mut whitened: Array1<f64> = embedding.mapv(f64::from);
        forward(&self.root, &mut whitened);
        let distance = |mean: ndarray::ArrayView1<'_, f64>| (&whitened - &mean).mapv(|difference| difference * difference).sum();
        -self.means.rows().into_iter().map(distance).fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_nearest_shot_decides() {
        let shots = array![[1.0, 0.0], [0.6, 0.8]];
        assert!((knn(&array![0.0, 1.0], &shots) - 0.8).abs() < 1e-6);
    }

    #[test]
    fn distance_counts_in_deviations_from_the_nearest_class() {
        // Class means (0, 0) and (10, 0); the common covariance is diag(1, 4), its mean 2.5: shrunk to diag(1.15, 3.85).
        let shots = array![[1.0, 2.0], [-1.0, 2.0], [1.0, -2.0], [-1.0, -2.0], [11.0, 2.0], [9.0, 2.0], [11.0, -2.0], [9.0, -2.0]];
        let found = Mahalanobis::new(&shots, &[0, 0, 0, 0, 1, 1, 1, 1]);
        assert!((found.score(&array![10.0, 3.0]) + 9.0 / 3.85).abs() < 1e-6, "{}", found.score(&array![10.0, 3.0]));
        assert!((found.score(&array![2.0, 0.0]) + 4.0 / 1.15).abs() < 1e-6);
    }

    #[test]
    fn fewer_shots_than_dimensions_have_a_distance() {
        let found = Mahalanobis::new(&array![[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], &[0, 1]);
        assert!(found.score(&array![0.0, 0.0, 1.0]).is_finite());
    }
}
