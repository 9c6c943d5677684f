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

    /// The weights as those of the first half of a layer.
    fn projected(&self, precision: Precision) -> Arc<Projected> {
        let weight = |index: usize| &self.weights[index].0[..];
        Arc::new(Projected {
            norm: self.norm.clone(),
            eps: EPS as f32,
            qkv: FrozenLinear::new(&[weight(0), weight(1), weight(2)], C, precision),
            output: FrozenLinear::new(&[weight(3)], SHAPE.heads * SHAPE.head_dim, precision),
            shape: SHAPE,
        })
    }

    fn attention_half(
        &self,
        trees: Vec<TreeRanges>,
        positions: &[u32],
        precision: Precision,
    ) -> AttentionHalf {
        let rotary = RotaryTable::new(positions, SHAPE.head_dim, 1e4);
        let layout = Arc::new(AttentionLayout::new(trees, rotary));
        AttentionHalf::new(self.projected(precision), layout, self.sites())
    }

    /// The numbers of all inputs.
    fn slices(&self) -> Vec<&[f32]> {
        self.inputs.iter().map(|(values, _)| &values[..]).collect()
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
    let half = Arc::new(case.attention_half(trees, &positions, precision));
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

/// Outputs and inputs of the maps of the first half.
const ATTENTION_WIDTHS: [[usize; 2]; 4] = [[32, C], [16, C], [16, C], [C, 32]];

/// Largest difference over the largest value.
fn apart(found: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    found.iter().zip(wanted).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

/// Positions by which branches go on, one a step.
const DECODED: usize = 2;

#[test]
fn positions_that_are_decoded_are_those_of_the_whole_pass() {
    let whole = [(5, vec![3, 7, 4]), (0, vec![6, 3]), (70, vec![40])];
    let begun = whole
        .clone()
        .map(|(root, branches)| (root, branches.iter().map(|length| length - DECODED).collect()));
    let (trees_whole, positions_whole) = trees(&whole);
    let (trees_begun, positions_begun) = trees(&begun);
    let mut case = Case::new(positions_whole.len(), &ATTENTION_WIDTHS, &[true; 4], 8);
    case.dropout = Dropout::new(0.0, 1, Vec::new());
    let inputs = case.slices();
    let with = |x: &[usize]| -> Vec<f32> {
        x.iter().flat_map(|&row| &inputs[0][row * C..(row + 1) * C]).copied().collect()
    };
    // Rows of the whole that the pass begins with, and the branches that go on.
    let branches: Vec<_> = trees_whole.iter().flat_map(|tree| tree.branches.clone()).collect();
    let mut before: Vec<usize> = Vec::new();
    for tree in &trees_whole {
        before.extend(tree.root.clone());
        for branch in &tree.branches {
            before.extend(branch.start..branch.end - DECODED);
        }
    }
    for precision in [Precision::Float32, Precision::fastest()] {
        let half = case.attention_half(trees_whole.clone(), &positions_whole, precision);
        let (expected, _) = half.forward(&inputs, false);
        let half = case.attention_half(trees_begun.clone(), &positions_begun, precision);
        let first = with(&before);
        let mut from = inputs.clone();
        from[0] = &first;
        let (out, mut cache) = half.forward_with_cache(&from, None);
        assert_eq!(out, half.forward(&from, false).0);

        let mut rows: Vec<usize> = (0..branches.len()).collect();
        for step in 0..DECODED {
            if step == 1 {
                // The first, and all of the second tree, write no more.
                cache.keep(&[1, 2, 5]);
                rows = vec![1, 2, 5];
            }
            let at: Vec<usize> =
                rows.iter().map(|&row| branches[row].end - DECODED + step).collect();
            let positions: Vec<u32> = at.iter().map(|&at| positions_whole[at]).collect();
            let newest = with(&at);
            let mut from = inputs.clone();
            from[0] = &newest;
            let rotary = RotaryTable::new(&positions, SHAPE.head_dim, 1e4);
            let weights = case.projected(precision);
            let found = weights.decode(&from, &case.sites(), &rotary, &mut cache);
            let wanted: Vec<f32> =
                at.iter().flat_map(|&at| &expected[at * C..(at + 1) * C]).copied().collect();
            let far = apart(&found, &wanted);
            assert!(f64::from(far) < tolerance(precision) / 4.0, "{precision} {step} {far}");
        }
    }
}

#[test]
fn rows_after_known_ones_are_those_of_the_whole_pass() {
    let case_of = |rows| {
        let mut case = Case::new(rows, &ATTENTION_WIDTHS, &[true; 4], 12);
        case.dropout = Dropout::new(0.0, 1, Vec::new());
        case
    };
    // As prompts are: all but one row are the root.
    let (before, positions_before) = trees(&[(129, vec![1])]);
    for (root, knowns) in [(129, vec![1, 63, 64, 65, 128, 129]), (140, vec![100, 129])] {
        let (trees, positions) = trees(&[(root, vec![1])]);
        let (rows, case) = (positions.len(), case_of(positions.len()));
        let inputs = case.slices();
        for precision in [Precision::Float32, Precision::fastest()] {
            let weights = case.projected(precision);
            let newest = &inputs[0][..C];
            let decoded = |mut cache: KeyValueCache| {
                let mut from = inputs.clone();
                from[0] = newest;
                let rotary = RotaryTable::new(&[rows as u32], SHAPE.head_dim, 1e4);
                weights.decode(&from, &case.sites(), &rotary, &mut cache)
            };
            let half = case.attention_half(trees.clone(), &positions, precision);
            let mut all = Vec::new();
            let (expected, cache) = half.forward_with_cache(&inputs, Some(&mut all));
            let next = decoded(cache);
            // What is known comes of a prompt of another length.
            let shorter = case.attention_half(before.clone(), &positions_before, precision);
            let mut from = inputs.clone();
            from[0] = &inputs[0][..positions_before.len() * C];
            let mut known = Vec::new();
            let _ = shorter.forward_with_cache(&from, Some(&mut known));
            for &first in &knowns {
                let rotary = RotaryTable::new(&positions[first..], SHAPE.head_dim, 1e4);
                let layout = AttentionLayout::after(first, trees.clone(), rotary);
                let half = AttentionHalf::new(weights.clone(), Arc::new(layout), case.sites());
                let mut from = inputs.clone();
                from[0] = &inputs[0][first * C..];
                let mut earlier = known[..known.len() / positions_before.len() * first].to_vec();
                let (out, cache) = half.forward_with_cache(&from, Some(&mut earlier));
                let found = [&out[..], &earlier, &decoded(cache)];
                for (found, expected) in
                    found.into_iter().zip([&expected[first * C..], &all, &next])
                {
                    // How float32 is summed up depends on the number of rows; bfloat16 has one order.
                    let far = apart(found, expected);
                    let most = if precision == Precision::Float32 { 1e-6 } else { 0.0 };
                    assert!(far <= most, "{precision}, {first} of {rows}: {far:e}");
                }
            }
        }
    }
}

#[test]
fn chosen_rows_are_those_of_the_whole_and_pass_the_same_gradients_on() {
    let (trees, positions) = trees(&[(9, vec![3, 5]), (20, vec![70, 4])]);
    let rows = positions.len();
    let case = Case::new(rows, &ATTENTION_WIDTHS, &[true; 4], 3);
    let chosen: Vec<usize> = vec![0, 11, 10, 16, 40, rows - 1];
    let inputs = case.slices();
    let of_chosen = |values: &[f32]| -> Vec<f32> {
        chosen.iter().flat_map(|&row| &values[row * C..(row + 1) * C]).copied().collect()
    };
    let gradient = values(5, chosen.len() * C);
    let mut spread = vec![0.0; rows * C];
    for (&row, gradient) in chosen.iter().zip(gradient.chunks_exact(C)) {
        spread[row * C..(row + 1) * C].copy_from_slice(gradient);
    }
    for precision in [Precision::Float32, Precision::fastest()] {
        let whole = case.attention_half(trees.clone(), &positions, precision);
        let half = case.attention_half(trees.clone(), &positions, precision);
        let half = half.only(chosen.clone().into());
        let shapes: Vec<&[usize]> = case.inputs.iter().map(|(_, shape)| &shape[..]).collect();
        assert_eq!(half.output_shape(&shapes), [chosen.len(), C]);

        let ((found, kept), (expected, all_kept)) =
            (half.forward(&inputs, true), whole.forward(&inputs, true));
        assert!(apart(&found, &of_chosen(&expected)) < 1e-6);
        let mut wanted = vec![true; inputs.len()];
        let found = half.backward(&inputs, &kept, &gradient, &wanted);
        let expected = whole.backward(&inputs, &all_kept, &spread, &wanted);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(apart(found, expected) < 1e-5, "{precision}");
        }
        // Of an input that is not learned nothing is computed, and the rest is as before.
        wanted[0] = false;
        let fewer = half.backward(&inputs, &kept, &gradient, &wanted);
        assert!(fewer[0].is_empty());
        assert_eq!(fewer[1..], found[1..]);
    }
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
