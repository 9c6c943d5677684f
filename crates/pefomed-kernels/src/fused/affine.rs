//! A trained map `y = x · Wᵀ + b`, as a projector has it.

use std::sync::Arc;

use crate::frozen::Precision;
use crate::host_function::{HostFunction, Kept};
use crate::matmul::{Matrix, MatrixMut};

/// The map. Its inputs are `x` `[T, K]`, `W` `[N, K]` and `b` `[1, N]`.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    /// What factors are rounded to.
    pub precision: Precision,
}

/// The inputs as matrices, and the bias.
fn matrices<'a>(inputs: &[&'a [f32]]) -> (Matrix<'a>, Matrix<'a>, &'a [f32]) {
    let (x, w, b) = (inputs[0], inputs[1], inputs[2]);
    let width = w.len() / b.len();
    (Matrix::new(x, x.len() / width, width), Matrix::new(w, b.len(), width), b)
}

impl HostFunction for Affine {
    fn output_shape(&self, inputs: &[&[usize]]) -> [usize; 2] {
        [inputs[0][0], inputs[1][0]]
    }

    fn forward(&self, inputs: &[&[f32]], _keep: bool) -> (Vec<f32>, Kept) {
        let (x, w, b) = matrices(inputs);
        let mut y = b.repeat(x.rows());
        let out = MatrixMut::new(&mut y, x.rows(), b.len());
        self.precision.multiplier().multiply_rows(out, x, w.transposed(), 1.0, true);
        (y, Arc::new(()))
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _kept: &Kept,
        gradient: &[f32],
        wanted: &[bool],
    ) -> Vec<Vec<f32>> {
        let (x, w, b) = matrices(inputs);
        let by = self.precision.multiplier();
        let (rows, outputs, width) = (x.rows(), b.len(), x.columns());
        let g = Matrix::new(gradient, rows, outputs);
        let product = |rows, a, b| {
            let mut out = vec![0.0; rows * width];
            by.multiply_rows(MatrixMut::new(&mut out, rows, width), a, b, 1.0, false);
            out
        };
        let sums = || {
            let mut sums = vec![0.0; outputs];
            for row in gradient.chunks_exact(outputs) {
                sums.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
            }
            sums
        };
        vec![
            if wanted[0] { product(rows, g, w) } else { Vec::new() },
            if wanted[1] { product(outputs, g.transposed(), x) } else { Vec::new() },
            if wanted[2] { sums() } else { Vec::new() },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::values;

    /// Largest difference from a sum in float64, over the largest sum.
    fn apart(found: &[f32], wanted: impl Fn(usize) -> f64) -> f64 {
        let wanted: Vec<f64> = (0..found.len()).map(wanted).collect();
        let largest = wanted.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let pairs = found.iter().zip(&wanted);
        pairs.fold(0.0_f64, |most, (a, b)| most.max((f64::from(*a) - b).abs())) / largest
    }

    #[test]
    fn the_map_and_its_gradients_are_those_of_the_definition() {
        let (rows, outputs, width) = (37, 24, 50);
        let [x, w, b, g] = [rows * width, outputs * width, outputs, rows * outputs];
        let [x, w, b, g] = [values(1, x), values(2, w), values(3, b), values(4, g)];
        let inputs = [&x[..], &w[..], &b[..]];
        let sum = |count: usize, term: &dyn Fn(usize) -> (f32, f32)| -> f64 {
            (0..count).map(term).map(|(a, b)| f64::from(a) * f64::from(b)).sum()
        };
        for (precision, tolerance) in [(Precision::Float32, 1e-6), (Precision::fastest(), 1e-2)] {
            let map = Affine { precision };
            assert_eq!(map.output_shape(&[&[rows, width], &[outputs, width]]), [rows, outputs]);
            let (y, kept) = map.forward(&inputs, true);
            let far = apart(&y, |at| {
                let (row, output) = (at / outputs, at % outputs);
                let term = |k: usize| (x[row * width + k], w[output * width + k]);
                f64::from(b[output]) + sum(width, &term)
            });
            assert!(far < tolerance, "y {precision} {far}");
            let found = map.backward(&inputs, &kept, &g, &[true; 3]);
            let far = [
                apart(&found[0], |at| {
                    let (row, k) = (at / width, at % width);
                    sum(outputs, &|n| (g[row * outputs + n], w[n * width + k]))
                }),
                apart(&found[1], |at| {
                    let (n, k) = (at / width, at % width);
                    sum(rows, &|row| (g[row * outputs + n], x[row * width + k]))
                }),
                apart(&found[2], |n| sum(rows, &|row| (g[row * outputs + n], 1.0))),
            ];
            assert!(far.iter().all(|far| *far < tolerance), "{precision} {far:?}");
            let found = map.backward(&inputs, &kept, &g, &[false, true, false]);
            assert!(found[0].is_empty() && !found[1].is_empty() && found[2].is_empty());
        }
    }
}
