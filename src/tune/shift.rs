//! Half a mean shift: without any training, the bias that moves embeddings half the way from where the shots are to where their texts are.

use ndarray::{Array1, Array2, ArrayRef2, Axis};

use crate::{attention::size, score::unit_rows};

/// What is added to the Gram matrix's diagonal, as a share of its mean: where P is not of full rank, the shortest solution is taken.
const RIDGE: f64 = 1e-9;

/// The target's bias `[D]`: least squares of −½·mean|P z_0|·Δ through P, Δ the mean over classes of the mean of (e_i − t_c).
///
/// `embedding`: P z_0, not of unit length, `[n, E]`; `text`: each object's own, `[n, E]`; `projection`: P, `[E, D]`.
pub(crate) fn half(embedding: &ArrayRef2<f32>, text: &ArrayRef2<f32>, classes: &[usize], projection: &ArrayRef2<f32>) -> Array1<f32> {
    let apart = unit_rows(embedding) - text;
    let mut delta = Array1::<f32>::zeros(embedding.ncols());
    let mut present = 0;
    for class in 0..=classes.iter().copied().max().unwrap_or(0) {
        let own: Vec<usize> = (0..classes.len()).filter(|&index| classes[index] == class).collect();
        if !own.is_empty() {
            delta += &(apart.select(Axis(0), &own).sum_axis(Axis(0)) / size(own.len()));
            present += 1;
        }
    }
    let length = embedding.rows().into_iter().map(|row| row.dot(&row).sqrt()).sum::<f32>() / size(embedding.nrows());
    least_squares(projection, &(delta * (-0.5 * length / size(present))))
}

/// The shortest x with the least |A·x − y|: `(AᵀA + ε)·x = Aᵀy` by Cholesky's decomposition.
fn least_squares(a: &ArrayRef2<f32>, y: &Array1<f32>) -> Array1<f32> {
    let a = a.mapv(f64::from);
    let mut gram = a.t().dot(&a);
    let ridge = RIDGE * f64::from(size(gram.nrows())).recip() * gram.diag().sum() + f64::MIN_POSITIVE;
    gram.diag_mut().mapv_inplace(|value| value + ridge);
    let mut x = a.t().dot(&y.mapv(f64::from));
    decompose(&mut gram);
    forward(&gram, &mut x);
    for row in (0..x.len()).rev() {
        let known: f64 = (row + 1..x.len()).map(|column| gram[[column, row]] * x[column]).sum();
        x[row] = (x[row] - known) / gram[[row, row]];
    }
    #[expect(clippy::cast_possible_truncation, reason = "back to the model's own precision")]
    x.mapv(|value| value as f32)
}

/// `L⁻¹·x`, L in the lower half.
pub(crate) fn forward(root: &Array2<f64>, x: &mut Array1<f64>) {
    for row in 0..x.len() {
        let known: f64 = (0..row).map(|column| root[[row, column]] * x[column]).sum();
        x[row] = (x[row] - known) / root[[row, row]];
    }
}

/// L of `L·Lᵀ`, in the lower half.
pub(crate) fn decompose(matrix: &mut Array2<f64>) {
    for row in 0..matrix.nrows() {
        for column in 0..=row {
            let (upper, lower) = (matrix.row(column), matrix.row(row));
            let known: f64 = (0..column).map(|k| lower[k] * upper[k]).sum();
            let rest = matrix[[row, column]] - known;
            matrix[[row, column]] = if row == column { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / matrix[[column, column]] };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn least_squares_of_a_square_a_tall_and_a_wide_matrix() {
        let near = |a: &Array1<f32>, b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(near(&least_squares(&array![[2.0, 0.0], [1.0, 1.0]], &array![4.0, 5.0]), &[2.0, 3.0]));
        // Three equations x = 1, 2, 3: their mean.
        assert!(near(&least_squares(&array![[1.0], [1.0], [1.0]], &array![1.0, 2.0, 3.0]), &[2.0]));
        // One equation x + y = 2: the shortest solution.
        assert!(near(&least_squares(&array![[1.0, 1.0]], &array![2.0]), &[1.0, 1.0]));
    }

    #[test]
    fn embeddings_move_half_the_way_to_their_texts_and_classes_weigh_the_same() {
        // P = 1. Class 0 has three objects at (0, 1), class 1 one: both texts are (1, 0), all lengths 2.
        let embedding = array![[0.0, 2.0], [0.0, 2.0], [0.0, 2.0], [2.0, 0.0]];
        let text = array![[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]];
        let bias = half(&embedding, &text, &[0, 0, 0, 1], &Array2::eye(2));
        // Δ is the mean of (−1, 1) and (0, 0); −½·2·Δ.
        assert!((bias[0] - 0.5).abs() < 1e-5 && (bias[1] + 0.5).abs() < 1e-5, "{bias}");
    }
}
