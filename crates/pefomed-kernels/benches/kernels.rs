//! How many floating-point operations a second the kernels reach on one thread.
//!
//!     cargo bench -p pefomed-kernels
//!
//! The shapes are those of a layer of SmolLM2-135M and of a block stack of width 512. "Items" are
//! floating-point operations: `G item/s` reads as GFLOP/s.

use std::sync::Arc;

use divan::{Bencher, black_box, counter::ItemsCount};
use pefomed_kernels::attention::TreeRanges;
use pefomed_kernels::frozen::{FrozenLinear, Precision};
use pefomed_kernels::fused::{
    AttentionHalf, AttentionLayout, AttentionShape, FeedForward, FeedForwardHalf, LowRankSite,
    Projected, RotaryTable,
};
use pefomed_kernels::host_function::HostFunction;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    pefomed_kernels::memory::keep_freed_memory();
    // One thread: what a core reaches.
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("the first thread pool");
    divan::main();
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919) % 2003) as f32 / 1001.5 - 1.0).collect()
}

const SHAPES: [(usize, usize, usize); 10] = [
    (470, 576, 960),
    (470, 576, 3072),
    (470, 1536, 576),
    (470, 512, 1536),
    (2250, 576, 3072),
    (8400, 576, 3072),
    (1, 576, 3072),
    (16, 576, 3072),
    (64, 1536, 576),
    (20, 576, 49152),
];

#[divan::bench(args = SHAPES)]
fn bf16(bencher: Bencher<'_, '_>, shape: (usize, usize, usize)) {
    product(bencher, shape, Precision::fastest());
}

#[divan::bench(args = SHAPES)]
fn float32(bencher: Bencher<'_, '_>, shape: (usize, usize, usize)) {
    product(bencher, shape, Precision::Float32);
}

fn product(
    bencher: Bencher<'_, '_>,
    (rows, inputs, outputs): (usize, usize, usize),
    precision: Precision,
) {
    let linear = FrozenLinear::new(&[&values(outputs * inputs)], inputs, precision);
    let (x, mut y) = (values(rows * inputs), vec![0.0; rows * outputs]);
    bencher.counter(ItemsCount::new(2 * rows * inputs * outputs)).bench_local(|| {
        linear.forward(black_box(&x), black_box(&mut y), false);
    });
}

const ROWS: usize = 470;
const C: usize = 576;
const M: usize = 1536;
const SHAPE: AttentionShape = AttentionShape { heads: 9, key_heads: 3, head_dim: 64 };
const RANK: usize = 64;

fn site() -> LowRankSite {
    LowRankSite { rank: RANK, scale: 0.25, dropout: None }
}

fn attention_half() -> (AttentionHalf, Vec<Vec<f32>>) {
    let precision = Precision::fastest();
    let (q, kv) = (SHAPE.heads * SHAPE.head_dim, SHAPE.key_heads * SHAPE.head_dim);
    let weights = Projected {
        norm: vec![1.0; C],
        eps: 1e-5,
        qkv: FrozenLinear::new(&[&values((q + 2 * kv) * C)], C, precision),
        output: FrozenLinear::new(&[&values(C * q)], q, precision),
        shape: SHAPE,
    };
    let branches = (270..ROWS).step_by(20).map(|start| start..start + 20).collect();
    let tree = TreeRanges { root: 0..270, branches };
    let positions: Vec<u32> =
        (0..ROWS as u32).map(|i| if i < 270 { i } else { 270 + (i - 270) % 20 }).collect();
    let rotary = RotaryTable::new(&positions, SHAPE.head_dim, 1e4);
    let layout = Arc::new(AttentionLayout::new(vec![tree], rotary));
    let inputs = vec![
        values(ROWS * C),
        values(RANK * C),
        values(q * RANK),
        values(RANK * C),
        values(kv * RANK),
    ];
    (
        AttentionHalf::new(Arc::new(weights), layout, [Some(site()), None, Some(site()), None]),
        inputs,
    )
}

fn feed_forward_half() -> (FeedForwardHalf, Vec<Vec<f32>>) {
    let precision = Precision::fastest();
    let weights = FeedForward {
        norm: vec![1.0; C],
        eps: 1e-5,
        gate_up: FrozenLinear::new(&[&values(2 * M * C)], C, precision),
        down: FrozenLinear::new(&[&values(C * M)], M, precision),
    };
    (FeedForwardHalf::new(Arc::new(weights), [None, None, None]), vec![values(ROWS * C)])
}

/// Products with frozen weights only: updates, attention and the rest come on top.
fn both_ways(
    bencher: Bencher<'_, '_>,
    half: &dyn HostFunction,
    inputs: &[Vec<f32>],
    weights: usize,
) {
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let gradient = values(ROWS * C);
    let wanted = vec![true; inputs.len()];
    bencher.counter(ItemsCount::new(4 * ROWS * weights)).bench_local(|| {
        let (out, kept) = half.forward(&inputs, true);
        (out, half.backward(&inputs, &kept, &gradient, &wanted))
    });
}

#[divan::bench]
fn attention_half_both_ways(bencher: Bencher<'_, '_>) {
    let (half, inputs) = attention_half();
    both_ways(bencher, &half, &inputs, C * (576 + 2 * 192) + 576 * C);
}

#[divan::bench]
fn feed_forward_half_both_ways(bencher: Bencher<'_, '_>) {
    let (half, inputs) = feed_forward_half();
    both_ways(bencher, &half, &inputs, 3 * C * M);
}
