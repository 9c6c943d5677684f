//! Each half against the same half made of the framework's operations, in float64 where the
//! framework has it.

use std::sync::Arc;

use burn::tensor::activation::silu;
use burn::tensor::{DType, Device, Tensor, TensorData};
use proptest::prelude::*;

use super::*;
use crate::attention::{TreeAttention, TreeRanges};
use crate::cross_entropy::cross_entropy_sum;
use crate::dropout::{Dropout, PositionKey};
use crate::frozen::{FrozenLinear, Precision};
use crate::host_function::{HostFunction, apply};
use crate::norm::rms_norm;
use crate::rotary::Rotary;
use crate::testing::values;

const SHAPE: AttentionShape = AttentionShape { heads: 4, key_heads: 2, head_dim: 8 };
const C: usize = 24;
const M: usize = 40;
const RANK: usize = 3;
const EPS: f64 = 1e-5;

/// Trees with these lengths of root and branches, one after the other.
fn trees(lengths: &[(usize, Vec<usize>)]) -> (Vec<TreeRanges>, Vec<u32>) {
    let (mut at, mut positions) = (0, Vec::new());
    let mut take = |length: usize, first: usize| {
        positions.extend((first..first + length).map(|position| position as u32));
        at += length;
        at - length..at
    };
    let trees = lengths
        .iter()
        .map(|(root, branches)| TreeRanges {
            root: take(*root, 0),
            branches: branches.iter().map(|length| take(*length, *root)).collect(),
        })
        .collect();
    (trees, positions)
}

/// A linear map in float64 with an update.
struct Plain {
    weight: Tensor<2>,
    update: Option<(Tensor<2>, Tensor<2>)>,
    site: u64,
}

impl Plain {
    fn apply(&self, x: &Tensor<2>, dropout: &Dropout) -> Tensor<2> {
        let base = x.clone().matmul(self.weight.clone().transpose());
        match &self.update {
            None => base,
            Some((a, b)) => {
                let dropped = dropout.apply(x.clone(), self.site);
                let narrow = dropped.matmul(a.clone().transpose());
                base + narrow.matmul(b.clone().transpose()).mul_scalar(0.7)
            }
        }
    }
}

struct Case {
    inputs: Vec<(Vec<f32>, [usize; 2])>,
    weights: Vec<(Vec<f32>, [usize; 2])>,
    adapted: Vec<bool>,
    dropout: Dropout,
    norm: Vec<f32>,
    toward: Vec<f32>,
}

impl Case {
    /// `widths` are output and input of every map.
    fn new(rows: usize, widths: &[[usize; 2]], adapted: &[bool], seed: u64) -> Self {
        let mut inputs = vec![(values(seed, rows * C), [rows, C])];
        let mut weights = Vec::new();
        for (index, &[output, input]) in widths.iter().enumerate() {
            let seed = seed + 10 * (index as u64 + 1);
            let scaled =
                |seed, count, by: f32| values(seed, count).iter().map(|v| v * by).collect();
            weights.push((scaled(seed, output * input, 0.4), [output, input]));
            if adapted[index] {
                inputs.push((scaled(seed + 1, RANK * input, 0.5), [RANK, input]));
                inputs.push((scaled(seed + 2, output * RANK, 0.5), [output, RANK]));
            }
        }
        let keys = (0..rows as u32).map(|position| PositionKey { owner: 3, position }).collect();
        Self {
            inputs,
            weights,
            adapted: adapted.to_vec(),
            dropout: Dropout::new(0.2, seed, keys),
            norm: values(seed + 5, C).iter().map(|v| 1.0 + 0.3 * v).collect(),
            toward: values(seed + 6, rows * C),
        }
    }

    fn sites<const N: usize>(&self) -> [Option<LowRankSite>; N] {
        std::array::from_fn(|index| {
            self.adapted[index].then(|| LowRankSite {
                rank: RANK,
                scale: 0.7,
                dropout: Some((self.dropout.clone(), index as u64)),
            })
        })
    }

    fn tensors(&self, dtype: DType) -> Vec<Tensor<2>> {
        let device = Device::flex().autodiff();
        let tensor = |(values, shape): &(Vec<f32>, [usize; 2])| {
            let data = TensorData::new(values.clone(), *shape).convert_dtype(dtype);
            Tensor::<2>::from_data(data, (&device, dtype)).require_grad()
        };
        self.inputs.iter().map(tensor).collect()
    }

    /// Output and gradients of `Σ toward · output`, in float64 numbers.
    fn differentiate(
        &self,
        dtype: DType,
        function: impl FnOnce(&[Tensor<2>]) -> Tensor<2>,
    ) -> Vec<Vec<f64>> {
        let inputs = self.tensors(dtype);
        let output = function(&inputs);
        let toward = TensorData::new(self.toward.clone(), output.dims()).convert_dtype(dtype);
        let toward = Tensor::<2>::from_data(toward, (&Device::flex(), dtype));
        let gradients = (output.clone() * toward).sum().backward();
        let numbers = |tensor: Tensor<2>| -> Vec<f64> {
            tensor.into_data().convert_dtype(DType::F64).try_to_vec().unwrap()
        };
        let mut all = vec![numbers(output.inner())];
        all.extend(inputs.iter().map(|input| numbers(input.grad(&gradients).unwrap())));
        all
    }

    fn plain(&self, inputs: &[Tensor<2>]) -> (Tensor<1>, Vec<Plain>) {
        let device = Device::flex().autodiff();
        let dtype = DType::F64;
        let mut updates = inputs[1..].chunks(2);
        let maps = self.weights.iter().zip(&self.adapted).enumerate();
        let maps = maps
            .map(|(site, ((values, shape), adapted))| {
                let data = TensorData::new(values.clone(), *shape).convert_dtype(dtype);
                Plain {
                    weight: Tensor::from_data(data, (&device, dtype)),
                    update: adapted.then(|| {
                        let pair = updates.next().unwrap();
                        (pair[0].clone(), pair[1].clone())
                    }),
                    site: site as u64,
                }
            })
            .collect();
        let norm = TensorData::new(self.norm.clone(), [C]).convert_dtype(dtype);
        (Tensor::from_data(norm, (&device, dtype)), maps)
    }

    /// Largest difference of each tensor, relative to its largest number.
    fn distances(ours: &[Vec<f64>], reference: &[Vec<f64>]) -> Vec<f64> {
        assert_eq!(ours.len(), reference.len());
        ours.iter()
            .zip(reference)
            .map(|(ours, reference)| {
                assert_eq!(ours.len(), reference.len());
                let size = reference.iter().fold(1e-3_f64, |size, v| size.max(v.abs()));
                let far = ours.iter().zip(reference).map(|(a, b)| (a - b).abs());
                far.fold(0.0, f64::max) / size
            })
            .collect()
    }
}

fn attention_case(
    lengths: &[(usize, Vec<usize>)],
    adapted: [bool; 4],
    seed: u64,
    precision: Precision,
) -> Vec<f64> {
    let (trees, positions) = trees(lengths);
    let rows = positions.len();
    let (q, kv) = (SHAPE.heads * SHAPE.head_dim, SHAPE.key_heads * SHAPE.head_dim);
    let case = Case::new(rows, &[[q, C], [kv, C], [kv, C], [C, q]], &adapted, seed);
    let reference = case.differentiate(DType::F64, |inputs| {
        let (norm, maps) = case.plain(inputs);
        let device = Device::flex().autodiff();
        let normed = rms_norm(inputs[0].clone(), norm, EPS);
        // Angles as in float32: the tables are compared elsewhere.
        let rotary = Rotary::new(&positions, SHAPE.head_dim, 1e4, &device, DType::F64);
        let heads = |index: usize, heads: usize| {
            maps[index].apply(&normed, &case.dropout).reshape([rows, heads, SHAPE.head_dim])
        };
        let q = rotary.apply(heads(0, SHAPE.heads));
        let k = rotary.apply(heads(1, SHAPE.key_heads));
        let v = heads(2, SHAPE.key_heads);
        let mixed = TreeAttention::new(&trees, &device).forward(q, k, v);
        inputs[0].clone() + maps[3].apply(&mixed, &case.dropout)
    });
    let weight = |index: usize| &case.weights[index].0[..];
    let weights = Projected {
        norm: case.norm.clone(),
        eps: EPS as f32,
        qkv: FrozenLinear::new(&[weight(0), weight(1), weight(2)], C, precision),
        output: FrozenLinear::new(&[weight(3)], q, precision),
        shape: SHAPE,
    };
    let rotary = RotaryTable::new(&positions, SHAPE.head_dim, 1e4);
    let layout = Arc::new(AttentionLayout::new(&trees, rotary));
    let half = Arc::new(AttentionHalf::new(Arc::new(weights), layout, case.sites()));
    let ours = case.differentiate(DType::F32, |inputs| {
        apply(half.clone(), inputs[0].clone(), inputs[1..].to_vec())
    });
    Case::distances(&ours, &reference)
}

fn feed_forward_case(rows: usize, adapted: [bool; 3], seed: u64, precision: Precision) -> Vec<f64> {
    let case = Case::new(rows, &[[M, C], [M, C], [C, M]], &adapted, seed);
    let reference = case.differentiate(DType::F64, |inputs| {
        let (norm, maps) = case.plain(inputs);
        let normed = rms_norm(inputs[0].clone(), norm, EPS);
        let gate = silu(maps[0].apply(&normed, &case.dropout));
        let product = gate * maps[1].apply(&normed, &case.dropout);
        inputs[0].clone() + maps[2].apply(&product, &case.dropout)
    });
    let weight = |index: usize| &case.weights[index].0[..];
    let weights = FeedForward {
        norm: case.norm.clone(),
        eps: EPS as f32,
        gate_up: FrozenLinear::new(&[weight(0), weight(1)], C, precision),
        down: FrozenLinear::new(&[weight(2)], M, precision),
    };
    let half = Arc::new(FeedForwardHalf::new(Arc::new(weights), case.sites()));
    let ours = case.differentiate(DType::F32, |inputs| {
        apply(half.clone(), inputs[0].clone(), inputs[1..].to_vec())
    });
    Case::distances(&ours, &reference)
}

/// Rounding of float32; of the 8 bits that bfloat16 keeps of both factors.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::Float32 => 2e-5,
        Precision::Bf16 => 3e-2,
    }
}

fn lengths() -> impl Strategy<Value = Vec<(usize, Vec<usize>)>> {
    let tree = (0_usize..90, prop::collection::vec(1_usize..30, 1..5));
    prop::collection::vec(tree, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn attention_is_that_of_plain_operations(
        lengths in lengths(), adapted in any::<[bool; 4]>(), seed in 0_u64..1000,
    ) {
        for precision in [Precision::Float32, Precision::fastest()] {
            let far = attention_case(&lengths, adapted, seed, precision);
            prop_assert!(far.iter().all(|far| *far < tolerance(precision)), "{precision} {far:?}");
        }
    }

    #[test]
    fn feed_forward_is_that_of_plain_operations(
        rows in 1_usize..70, adapted in any::<[bool; 3]>(), seed in 0_u64..1000,
    ) {
        for precision in [Precision::Float32, Precision::fastest()] {
            let far = feed_forward_case(rows, adapted, seed, precision);
            prop_assert!(far.iter().all(|far| *far < tolerance(precision)), "{precision} {far:?}");
        }
    }
}

#[test]
fn the_loss_of_a_frozen_head_is_that_of_plain_operations() {
    for (rows, vocabulary) in [(1, 50), (70, 1100)] {
        let mut case = Case::new(rows, &[[vocabulary, C]], &[false], 4);
        // Towards the one number of the output.
        case.toward = vec![1.7];
        let targets: Vec<u32> = (0..rows).map(|row| (row * 7919 % vocabulary) as u32).collect();
        let reference = case.differentiate(DType::F64, |inputs| {
            let (_, maps) = case.plain(inputs);
            cross_entropy_sum(inputs[0].clone(), maps[0].weight.clone(), &targets).reshape([1, 1])
        });
        for precision in [Precision::Float32, Precision::fastest()] {
            let head = FrozenLinear::new(&[&case.weights[0].0], C, precision);
            let loss = Arc::new(TargetLoss::new(Arc::new(head), targets.clone()));
            let ours = case.differentiate(DType::F32, |inputs| {
                apply(loss.clone(), inputs[0].clone(), Vec::new())
            });
            let far = Case::distances(&ours, &reference);
            assert!(far.iter().all(|far| *far < tolerance(precision)), "{precision} {far:?}");
        }
    }
}

#[test]
fn queries_keys_and_values_for_a_cache_are_those_of_the_pass() {
    let (trees, positions) = trees(&[(5, vec![3])]);
    let widths = [[32, C], [16, C], [16, C], [C, 32]];
    let case = Case::new(positions.len(), &widths, &[false; 4], 1);
    let weight = |index: usize| &case.weights[index].0[..];
    let weights = Projected {
        norm: case.norm.clone(),
        eps: EPS as f32,
        qkv: FrozenLinear::new(&[weight(0), weight(1), weight(2)], C, Precision::Float32),
        output: FrozenLinear::new(&[weight(3)], 32, Precision::Float32),
        shape: SHAPE,
    };
    let rotary = RotaryTable::new(&positions, SHAPE.head_dim, 1e4);
    let layout = Arc::new(AttentionLayout::new(&trees, rotary));
    let half = AttentionHalf::new(Arc::new(weights), layout, case.sites());
    let x = &case.inputs[0].0[..];
    let (out, qkv) = half.forward_with_qkv(&[x]);
    assert_eq!(out, half.forward(&[x], false).0);
    // The first position is not turned: its value is the plain product.
    let normed = super::rms_norm::forward(&x[..C], &case.norm, EPS as f32, &mut [0.0; C]);
    let value: f32 = (0..C).map(|c| x[c] * normed[0] * case.norm[c] * weight(2)[c]).sum();
    assert!((qkv[48] - value).abs() < 1e-5);
    assert_eq!(qkv.len(), positions.len() * 64);
}

#[test]
fn a_chain_that_is_computed_again_gives_what_its_steps_give() {
    let (rows, widths) = (23, [[M, C], [M, C], [C, M]]);
    let half = |seed: u64| {
        let case = Case::new(rows, &widths, &[true, false, true], seed);
        let weight = |index: usize| &case.weights[index].0[..];
        let weights = FeedForward {
            norm: case.norm.clone(),
            eps: EPS as f32,
            gate_up: FrozenLinear::new(&[weight(0), weight(1)], C, Precision::fastest()),
            down: FrozenLinear::new(&[weight(2)], M, Precision::fastest()),
        };
        let inputs: Vec<Vec<f32>> = case.inputs.iter().map(|(values, _)| values.clone()).collect();
        (Arc::new(FeedForwardHalf::new(Arc::new(weights), case.sites())), inputs)
    };
    let ((first, first_inputs), (second, mut second_inputs)) = (half(1), half(2));
    let further = first_inputs.len() - 1;

    // Step by step.
    let from: Vec<&[f32]> = first_inputs.iter().map(Vec::as_slice).collect();
    let (middle, first_kept) = first.forward(&from, true);
    second_inputs[0] = middle;
    let then: Vec<&[f32]> = second_inputs.iter().map(Vec::as_slice).collect();
    let (output, second_kept) = second.forward(&then, true);
    let gradient = values(3, output.len());
    let wanted = vec![true; further + 1];
    let back = second.backward(&then, &second_kept, &gradient, &wanted);
    let mut expected = first.backward(&from, &first_kept, &back[0], &wanted);
    expected.extend_from_slice(&back[1..]);

    let chain = Recomputed::new(vec![(first.clone(), further), (second.clone(), further)]);
    let all: Vec<&[f32]> = from.iter().chain(&then[1..]).copied().collect();
    let (found, kept) = chain.forward(&all, true);
    assert_eq!(found, output);
    let wanted = vec![true; all.len()];
    assert_eq!(chain.backward(&all, &kept, &gradient, &wanted), expected);
    let shapes: Vec<[usize; 2]> = vec![[rows, C]; all.len()];
    let shapes: Vec<&[usize]> = shapes.iter().map(|shape| &shape[..]).collect();
    assert_eq!(chain.output_shape(&shapes), [rows, C]);
}
