use proptest::prelude::*;

use super::*;
use crate::matmul::Multiplier;
use crate::testing::{rounded, values};

/// A matrix with gaps between its rows, or its columns.
fn strided(values: &[f32], rows: usize, columns: usize, transposed: bool) -> Matrix<'_> {
    if transposed {
        Matrix::strided(values, columns, rows, rows + 3).transposed()
    } else {
        Matrix::strided(values, rows, columns, columns + 3)
    }
}

fn check(kernel: Kernel, [m, n, k]: [usize; 3], [a_turned, b_turned]: [bool; 2], seed: u64) {
    let size = |rows: usize, columns: usize| (rows + 3) * (columns + 3);
    let (a, b) = (values(seed, size(m, k)), values(seed + 1, size(k, n)));
    let at = |values: &[f32], (i, j): (usize, usize), (rows, columns), turned: bool| {
        rounded(if turned { values[j * (rows + 3) + i] } else { values[i * (columns + 3) + j] })
    };
    let start = values(seed + 2, size(m, n));
    for add in [false, true] {
        let mut out = start.clone();
        // A power of two: it does not round, and may stand outside of the sum.
        Multiplier::Bf16(kernel).multiply(
            MatrixMut::strided(&mut out, m, n, n + 3),
            strided(&a, m, k, a_turned),
            strided(&b, k, n, b_turned),
            0.25,
            add,
        );
        for i in 0..m {
            for j in 0..n + 3 {
                let before = f64::from(start[i * (n + 3) + j]);
                let got = f64::from(out[i * (n + 3) + j]);
                if j >= n {
                    assert_eq!(got, before, "a gap was written");
                    continue;
                }
                let mut sum = if add { before } else { 0.0 };
                let mut magnitude = sum.abs();
                for l in 0..k {
                    let product =
                        0.25 * at(&a, (i, l), (m, k), a_turned) * at(&b, (l, j), (k, n), b_turned);
                    sum += product;
                    magnitude += product.abs();
                }
                assert!((got - sum).abs() <= 2e-6 * magnitude + 1e-30, "{got} {sum}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn products_are_those_of_float64_up_to_the_rounding_of_operands(
        m in 0_usize..70, n in 1_usize..80, k in 0_usize..70,
        turned in any::<[bool; 2]>(), seed in any::<u32>(),
    ) {
        for kernel in Kernel::all() {
            check(kernel, [m, n, k], turned, u64::from(seed));
        }
    }
}

#[test]
fn many_rows_are_multiplied_some_at_once() {
    // So few threads that the panels are dealt out, and rows that fill neither a part nor a block.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let (rows, inner, columns) = (2 * AT_ONCE + 77, 33, 530);
    let (a, b, start) =
        (values(1, rows * inner), values(2, inner * columns), values(3, rows * columns));
    for kernel in Kernel::all() {
        let panels = Panels::new(kernel, Matrix::new(&b, inner, columns), 1.0);
        let (mut found, mut wanted) = (start.clone(), start.clone());
        pool.install(|| {
            let out = MatrixMut::new(&mut found, rows, columns);
            panels.multiply_rows(out, Matrix::new(&a, rows, inner), true);
        });
        panels.multiply(
            MatrixMut::new(&mut wanted, rows, columns),
            Matrix::new(&a, rows, inner),
            true,
        );
        assert!(found == wanted, "{kernel:?}");
    }
}

#[test]
fn long_inner_dimensions_are_cut_into_pieces() {
    for kernel in Kernel::all() {
        check(kernel, [33, 35, 1101], [false, true], 1);
    }
}
