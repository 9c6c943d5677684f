use proptest::prelude::*;

use super::*;
use crate::testing::{rounded, values};

/// Product in float64 of what each precision multiplies, and the sum of the magnitudes.
fn reference(
    precision: Precision,
    x: &[f32],
    weight: impl Fn(usize) -> f32,
    inner: usize,
) -> (f64, f64) {
    let keep = |value: f32| match precision {
        Precision::Bf16 => rounded(value),
        Precision::Float32 => f64::from(value),
    };
    (0..inner).fold((0.0, 0.0), |(sum, size), k| {
        let product = keep(x[k]) * keep(weight(k));
        (sum + product, size + product.abs())
    })
}

fn check(kernel: Option<Kernel>, rows: usize, inputs: usize, outputs: usize, seed: u64) {
    let weight = values(seed, outputs * inputs);
    let split = (outputs / 3) * inputs;
    let precision = kernel.map_or(Precision::Float32, |_| Precision::Bf16);
    let mut linear = FrozenLinear::new(&[&weight[..split], &weight[split..]], inputs, precision);
    if let Some(kernel) = kernel {
        linear.weight = FrozenLinear::bf16(kernel, &weight, inputs, outputs);
    }
    assert_eq!((linear.inputs(), linear.outputs()), (inputs, outputs));
    let x = values(seed + 1, rows * inputs);
    let g = values(seed + 2, rows * outputs);
    let start = values(seed + 3, rows * outputs.max(inputs));
    let near = |got: f32, want: f64, size: f64| {
        assert!((f64::from(got) - want).abs() <= 2e-6 * size + 1e-30, "{got} {want} ({size})");
    };
    for add in [false, true] {
        let mut y = start[..rows * outputs].to_vec();
        linear.forward(&x, &mut y, add);
        let mut dx = start[..rows * inputs].to_vec();
        linear.backward(&g, &mut dx, add);
        for row in 0..rows {
            let x = &x[row * inputs..];
            for n in 0..outputs {
                let (sum, size) = reference(precision, x, |k| weight[n * inputs + k], inputs);
                let before = if add { f64::from(start[row * outputs + n]) } else { 0.0 };
                near(y[row * outputs + n], before + sum, size + before.abs());
            }
            let g = &g[row * outputs..];
            for k in 0..inputs {
                let (sum, size) = reference(precision, g, |n| weight[n * inputs + k], outputs);
                let before = if add { f64::from(start[row * inputs + k]) } else { 0.0 };
                near(dx[row * inputs + k], before + sum, size + before.abs());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn products_are_those_of_float64_up_to_the_rounding_of_operands(
        rows in 0_usize..20, inputs in 1_usize..100, outputs in 1_usize..110, seed in any::<u32>(),
    ) {
        check(None, rows, inputs, outputs, u64::from(seed));
        for kernel in Kernel::all() {
            check(Some(kernel), rows, inputs, outputs, u64::from(seed));
        }
    }
}

#[test]
fn long_inner_dimensions_and_many_rows_are_cut_into_pieces() {
    for kernel in Kernel::all() {
        check(Some(kernel), 70, 1540, 33, 1);
    }
}

/// Numbers that are stored as they are.
#[derive(Debug)]
struct Plain(Vec<f32>, usize);

impl StoredRows for Plain {
    fn rows(&self) -> usize {
        self.0.len() / self.1
    }

    fn columns(&self) -> usize {
        self.1
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.0[..])
    }

    fn read(&self, row: usize, to: &mut [f32]) {
        to.copy_from_slice(&self.0[row * self.1..(row + 1) * self.1]);
    }
}

#[test]
fn stored_weights_give_what_packed_ones_give() {
    // The second part takes two slabs.
    let (rows, inputs, parts) = (37, 1000, [30, 300]);
    let weights = parts.map(|part| values(part as u64, part * inputs));
    let packed = FrozenLinear::new(&[&weights[0], &weights[1]], inputs, Precision::fastest());
    let stored = weights.map(|weight| Arc::new(Plain(weight, inputs)) as Arc<dyn StoredRows>);
    let stored = FrozenLinear::stored(stored.into());
    assert_eq!((stored.inputs(), stored.outputs()), (packed.inputs(), packed.outputs()));
    assert_eq!(stored.bytes(), 330 * inputs * 4);
    let (x, g) = (values(1, rows * inputs), values(2, rows * 330));
    for add in [false, true] {
        let products = [&packed, &stored].map(|linear| {
            let (mut y, mut dx) = (values(3, rows * 330), values(4, rows * inputs));
            linear.forward(&x, &mut y, add);
            linear.backward(&g, &mut dx, add);
            [y, dx].concat()
        });
        let [packed, stored] = products;
        // The sum over the slabs has another order.
        assert!(packed.iter().zip(&stored).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}

#[test]
fn a_row_is_the_same_among_others_and_on_more_threads() {
    let precision = Precision::fastest();
    let (rows, inputs, outputs) = (133, 576, 960);
    let weight = values(1, outputs * inputs);
    let linear = FrozenLinear::new(&[&weight], inputs, precision);
    let x = values(2, rows * inputs);
    let product = |x: &[f32], threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut y = values(3, x.len() / inputs * outputs);
        pool.install(|| {
            linear.forward(x, &mut y, false);
            linear.forward(x, &mut y, true);
        });
        y
    };
    let all = product(&x, 1);
    assert_eq!(all, product(&x, 3));
    // Few rows are dealt out by columns.
    let few = product(&x[..20 * inputs], 3);
    if precision == Precision::Bf16 {
        assert_eq!(all[..20 * outputs], few[..]);
    }
    assert_eq!(product(&x[..20 * inputs], 1), few);
    if precision == Precision::Bf16 {
        let alone = product(&x[77 * inputs..78 * inputs], 1);
        assert_eq!(all[77 * outputs..78 * outputs], alone[..]);
    }
}
