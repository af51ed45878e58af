//! Methods that set the class texts against texts of what is none of them, given as a list of words.

use ndarray::ArrayRef2;

use super::{
    COLD,
    cosines::{log_sum_exp, max_cosine},
};

/// Groups that the negatives are split into.
const GROUPS: usize = 100;

/// K of `neg-max`.
const FARTHEST: usize = 20;

/// Mean over groups of the share of ID among ID texts and the group's negatives, τ = 0.01 (NegLabel, Jiang et al. 2024).
///
/// `negatives`: cosines with the negative texts, at least one; word k is of group k modulo 100.
#[must_use]
pub fn neg_label(s: &[f64], negatives: &[f64]) -> f64 {
    let groups = GROUPS.min(negatives.len());
    let known = log_sum_exp(s, COLD);
    let share = |group: usize| {
        let own: Vec<f64> = negatives.iter().skip(group).step_by(groups).copied().collect();
        // 1 / (1 + e^(negative − known)), each a sum of exponentials.
        1.0 / (1.0 + (log_sum_exp(&own, COLD) - known).exp())
    };
    #[expect(clippy::cast_precision_loss, reason = "at most 100")]
    let count = groups as f64;
    (0..groups).map(share).sum::<f64>() / count
}

/// The largest ID cosine less the largest of the negatives in `chosen`.
#[must_use]
pub fn neg_max(s: &[f64], negatives: &[f64], chosen: &[usize]) -> f64 {
    max_cosine(s) - chosen.iter().map(|&index| negatives[index]).fold(f64::NEG_INFINITY, f64::max)
}

/// The 20 negatives whose texts are least like any class text **(ours: the ID side alone decides)**; unit rows.
#[must_use]
pub fn farthest(texts: &ArrayRef2<f32>, negatives: &ArrayRef2<f32>) -> Vec<usize> {
    let nearest: Vec<f32> =
        negatives.dot(&texts.t()).rows().into_iter().map(|row| row.iter().copied().fold(f32::NEG_INFINITY, f32::max)).collect();
    let mut order: Vec<usize> = (0..nearest.len()).collect();
    order.sort_by(|&a, &b| nearest[a].total_cmp(&nearest[b]));
    order.truncate(FARTHEST);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn neg_label_is_the_mean_share_over_groups() {
        // Two groups of one word each: shares 1/2 and 3/4.
        let found = neg_label(&[0.2], &[0.2, 0.2 - 0.01 * 3f64.ln()]);
        assert!((found - 0.625).abs() < 1e-9, "{found}");
        // 200 words in 100 groups, two equal ones each: 1/3.
        let found = neg_label(&[0.2], &[0.2; 200]);
        assert!((found - 1.0 / 3.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn neg_max_looks_at_the_chosen_alone() {
        assert!((neg_max(&[0.1, 0.3], &[0.9, 0.2, 0.25], &[1, 2]) - 0.05).abs() < 1e-12);
    }

    #[test]
    fn the_farthest_are_least_like_any_class() {
        let texts = array![[1.0, 0.0], [0.0, 1.0]];
        assert_eq!(farthest(&texts, &array![[1.0, 0.0], [-0.6, -0.8], [0.6, 0.8]]), [1, 2, 0]);
        let many = ndarray::Array2::<f32>::ones((50, 2));
        assert_eq!(farthest(&texts, &many).len(), 20);
    }
}
