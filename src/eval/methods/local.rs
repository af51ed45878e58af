//! A method that looks at the crop's patches, too.

use ndarray::ArrayRef2;

use super::cosines::{max_cosine, mcm};

/// λ: what the patches' share weighs.
const LOCAL: f64 = 0.5;

/// MCM, and λ times the largest share that any patch has in any class, T = 1 on raw cosines as its code does (Miyai et al. 2025).
///
/// `patches`: cosines of the patches with the class texts, `[N, C]`, the patches taken on the last layer's value path.
#[must_use]
pub fn gl_mcm(s: &[f64], patches: &ArrayRef2<f32>) -> f64 {
    let share = |patch: ndarray::ArrayView1<'_, f32>| mcm(&patch.iter().map(|cosine| f64::from(*cosine)).collect::<Vec<f64>>(), 1.0);
    let shares: Vec<f64> = patches.rows().into_iter().map(share).collect();
    mcm(s, 1.0) + LOCAL * max_cosine(&shares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_surest_patch_counts_half() {
        // The whole is in doubt between two; one patch is three to one for the second.
        let third = 3f32.ln();
        let found = gl_mcm(&[0.2, 0.2], &array![[0.0, 0.0], [0.0, third], [third, third]]);
        assert!((found - (0.5 + 0.5 * 0.75)).abs() < 1e-6, "{found}");
    }
}
