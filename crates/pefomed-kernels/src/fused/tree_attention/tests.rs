//! Attention in bfloat16 against attention in float32, on trees of several tiles.

use super::*;
use crate::bf16::Kernel;
use crate::testing::{rounded, values};

/// Largest difference, as a share of the largest number.
fn difference(found: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let worst = found.iter().zip(wanted).fold(0.0_f32, |worst, (found, wanted)| {
        assert!(found.is_finite());
        worst.max((found - wanted).abs())
    });
    worst / largest
}

fn compare(trees: &[TreeRanges], shape: AttentionShape, sharpness: f32) {
    let tiles = Tiles::new(trees);
    let mut qkv = values(1, tiles.len() * shape.width());
    // What bfloat16 holds, so that large scores are the same.
    for value in &mut qkv {
        *value = rounded(*value * sharpness) as f32;
    }
    let g = values(2, tiles.len() * shape.heads * shape.head_dim);
    let run = |by: Multiplier| {
        let projections = Projections { shape, by, qkv: &qkv };
        let (out, logs) = forward(projections, &tiles);
        let gradient = backward(projections, &tiles, (&out, &logs), &g);
        [out, logs, gradient]
    };
    let wanted = run(Multiplier::Float32);
    for kernel in Kernel::all() {
        for (found, wanted) in run(Multiplier::Bf16(kernel)).iter().zip(&wanted) {
            let difference = difference(found, wanted);
            assert!(difference < 2e-2, "{kernel:?} {shape:?} {trees:?}: {difference}");
        }
    }
}

#[test]
fn bfloat16_attention_is_that_of_float32_up_to_rounding() {
    let branches = |root: usize, lengths: &[usize]| {
        let mut at = root;
        let mut next = |length: &usize| {
            at += length;
            at - length..at
        };
        lengths.iter().map(&mut next).collect::<Vec<_>>()
    };
    let many = [17; 9];
    let mut trees = vec![
        TreeRanges { root: 0..70, branches: branches(70, &many) },
        TreeRanges { root: 223..223, branches: branches(223, &[90, 1, 40]) },
        TreeRanges { root: 354..355, branches: branches(355, &[3]) },
    ];
    // A branch far behind the root: blocks between them are left out.
    trees.push(TreeRanges { root: 358..374, branches: branches(374, &[200, 130]) });
    for (heads, key_heads, head_dim) in [(3, 1, 64), (4, 2, 24), (2, 2, 80)] {
        let shape = AttentionShape { heads, key_heads, head_dim };
        compare(&trees, shape, 1.0);
    }
    // Nearly all weight on one key: the others' exponentials are next to nothing.
    compare(&trees, AttentionShape { heads: 2, key_heads: 1, head_dim: 64 }, 20.0);
}

#[test]
fn what_is_no_number_is_not_lost() {
    let trees = [TreeRanges { root: 0..40, branches: vec![40..50, 50..60] }];
    let shape = AttentionShape { heads: 1, key_heads: 1, head_dim: 8 };
    let tiles = Tiles::new(&trees);
    let mut qkv = values(1, tiles.len() * shape.width());
    // A key of the first branch.
    qkv[45 * shape.width() + 8] = f32::NAN;
    for by in Kernel::all().map(Multiplier::Bf16).chain([Multiplier::Float32]) {
        let (out, _) = forward(Projections { shape, by, qkv: &qkv }, &tiles);
        let rows: Vec<bool> = out.chunks(8).map(|row| row.iter().any(|v| v.is_nan())).collect();
        assert!(rows[45..50].iter().all(|nan| *nan), "{by:?}");
        assert!(!rows[..45].iter().any(|nan| *nan), "{by:?}");
    }
}
