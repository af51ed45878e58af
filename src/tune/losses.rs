//! Ω as tensors, and what is made small: cross-entropy and leave-own-class-out of the default recipe, the contrastive loss of the paper's.

use candle_core::{D, Result, Tensor};

/// Logits so far below all others that they weigh nothing.
const NEVER: f64 = -1e9;

/// Rows of unit length; what is shorter than 10⁻⁶ stays short.
pub(crate) fn unit(rows: &Tensor) -> Result<Tensor> {
    rows.broadcast_div(&(rows.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?)
}

/// `Ω_c = cos(P z_c, M(t_c))`, `[n, C]`, of fused states `[n, C, D]`.
pub(crate) fn omega(fused: &Tensor, projection: &Tensor, text: &Tensor) -> Result<Tensor> {
    let (objects, classes, width) = fused.dims3()?;
    let embedding = fused.reshape((objects * classes, width))?.matmul(&projection.t()?)?.reshape((objects, classes, ()))?;
    unit(&embedding)?.broadcast_mul(text)?.sum(D::Minus1)
}

/// Mean cross-entropy of `logits` `[n, C]`; `own` has a 1 for each object's class.
pub(crate) fn cross_entropy(logits: &Tensor, own: &Tensor) -> Result<Tensor> {
    (logits.log_sum_exp(D::Minus1)? - (logits * own)?.sum(D::Minus1)?)?.mean_all()
}

/// Mean over i, j of softplus(τ·(n_j − Ω_i,own)), n_j = logsumexp over c ≠ own(j) of (2τ·Ω_j,c) ÷ 2τ: an object whose class is taken
/// off the list must score below every object of a listed class.
pub(crate) fn leave_own_class_out(omega: &Tensor, own: &Tensor, scale: f64) -> Result<Tensor> {
    let others = ((omega * (2.0 * scale))? + (own * NEVER)?)?;
    let left = (others.log_sum_exp(D::Minus1)? / (2.0 * scale))?;
    let kept = (omega * own)?.sum(D::Minus1)?;
    softplus(&(left.unsqueeze(0)?.broadcast_sub(&kept.unsqueeze(1)?)? * scale)?)?.mean_all()
}

/// CLIP's loss in both directions over objects and classes; objects of one class are all positives **(ours)**.
///
/// `logits` `[n, C]`; classes that no object belongs to take no part in the second direction.
pub(crate) fn contrastive(logits: &Tensor, own: &Tensor) -> Result<Tensor> {
    let counts = own.sum_keepdim(0)?;
    let shares = own.broadcast_div(&counts.maximum(&counts.ones_like()?)?)?;
    let among_objects = logits.broadcast_sub(&logits.log_sum_exp(0)?.unsqueeze(0)?)?;
    let present = counts.minimum(&counts.ones_like()?)?.sum_all()?;
    let texts_to_objects = (shares * among_objects)?.sum_all()?.div(&present)?.neg()?;
    (cross_entropy(logits, own)? + texts_to_objects)? / 2.0
}

/// `ln(1 + eˣ)`, without overflow.
fn softplus(x: &Tensor) -> Result<Tensor> {
    let small = (x.abs()?.neg()?.exp()? + 1.0)?.log()?;
    x.relu()? + small
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn matrix<const N: usize>(values: &[[f64; 3]; N]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    fn number(tensor: &Tensor) -> f64 {
        tensor.to_scalar().unwrap()
    }

    const LOGITS: [[f64; 3]; 2] = [[2.0, 0.5, -1.0], [0.1, 0.3, 0.2]];
    const OWN: [[f64; 3]; 2] = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]];

    #[test]
    fn cross_entropy_is_the_mean_of_minus_log_softmax() {
        let of = |row: [f64; 3], own: usize| (row.iter().map(|v| v.exp()).sum::<f64>()).ln() - row[own];
        let wanted = f64::midpoint(of(LOGITS[0], 0), of(LOGITS[1], 2));
        assert!((number(&cross_entropy(&matrix(&LOGITS), &matrix(&OWN)).unwrap()) - wanted).abs() < 1e-12);
    }

    #[test]
    fn leave_own_class_out_sees_every_pair() {
        let scale = 3.0;
        let left = |row: [f64; 3], own: usize| {
            let sum: f64 = (0..3).filter(|c| *c != own).map(|c| (2.0 * scale * row[c]).exp()).sum();
            sum.ln() / (2.0 * scale)
        };
        let (lefts, kept) = ([left(LOGITS[0], 0), left(LOGITS[1], 2)], [LOGITS[0][0], LOGITS[1][2]]);
        let wanted = lefts.iter().flat_map(|n| kept.iter().map(move |k| (1.0 + (scale * (n - k)).exp()).ln())).sum::<f64>() / 4.0;
        let found = number(&leave_own_class_out(&matrix(&LOGITS), &matrix(&OWN), scale).unwrap());
        assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
    }

    #[test]
    fn a_class_without_objects_takes_no_part_in_the_contrastive_loss() {
        let column = |c: usize, i: usize| ((LOGITS[0][c].exp() + LOGITS[1][c].exp()).ln() - LOGITS[i][c]) / 2.0;
        let rows = number(&cross_entropy(&matrix(&LOGITS), &matrix(&OWN)).unwrap());
        let wanted = f64::midpoint(rows, column(0, 0) + column(2, 1));
        assert!((number(&contrastive(&matrix(&LOGITS), &matrix(&OWN)).unwrap()) - wanted).abs() < 1e-12);
    }

    #[test]
    fn far_logits_stay_finite_with_their_gradients() {
        let x = Var::from_tensor(&matrix(&[[1e4, -1e4, 0.0]])).unwrap();
        let own = matrix(&[[1.0, 0.0, 0.0]]);
        let loss = (leave_own_class_out(x.as_tensor(), &own, 100.0).unwrap() + contrastive(x.as_tensor(), &own).unwrap()).unwrap();
        let gradient = loss.backward().unwrap().get(&x).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert!(number(&loss).is_finite() && gradient.iter().all(|g| g.is_finite()), "{loss} {gradient:?}");
    }
}
