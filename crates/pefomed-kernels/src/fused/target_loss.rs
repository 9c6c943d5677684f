//! The language-model head and its loss as one function, for a frozen head.
//!
//! The loss is a sum, so its gradient by the hidden states is known as soon as the logits are: the
//! forward pass computes both from one chunk of logits after the other, and no logit outlives its
//! chunk.

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::frozen::FrozenLinear;
use crate::host_function::{HostFunction, Kept};
use crate::simd::{exp, widest};

/// Rows of logits that exist at one time.
const CHUNK: usize = 64;

/// Sum of the negative log-likelihoods of targets, `[1, 1]`. Its input is the hidden states at the
/// targets' positions, `[A, C]`.
pub struct TargetLoss {
    head: Arc<FrozenLinear>,
    targets: Vec<u32>,
}

impl TargetLoss {
    /// The loss for `targets` below the number of outputs of `head`, one for each row.
    pub fn new(head: Arc<FrozenLinear>, targets: Vec<u32>) -> Self {
        Self { head, targets }
    }
}

impl fmt::Debug for TargetLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetLoss({} targets, {:?})", self.targets.len(), self.head)
    }
}

/// Turns a row of logits into `softmax − onehot(target)`, the gradient of its loss, which is
/// returned.
#[expect(clippy::inline_always, reason = "a loop is compiled for wide vectors where it is inlined")]
#[inline(always)]
fn row_loss(row: &mut [f32], target: usize) -> f64 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    for chunk in row.chunks(16) {
        for (lane, logit) in lanes.iter_mut().zip(chunk) {
            *lane = lane.max(*logit);
        }
    }
    let top = lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let own = f64::from(row[target] - top);
    let mut sum = 0.0_f64;
    for chunk in row.chunks_mut(1024) {
        // Short sums in float32, their sum in float64.
        let mut sums = [0.0_f32; 16];
        for part in chunk.chunks_mut(16) {
            for (sum, logit) in sums.iter_mut().zip(part) {
                *logit = exp(*logit - top);
                *sum += *logit;
            }
        }
        sum += f64::from(sums.iter().sum::<f32>());
    }
    let inverse = (1.0 / sum) as f32;
    for weight in &mut *row {
        *weight *= inverse;
    }
    row[target] -= 1.0;
    sum.ln() - own
}

impl HostFunction for TargetLoss {
    fn output_shape(&self, _inputs: &[&[usize]]) -> [usize; 2] {
        [1, 1]
    }

    fn forward(&self, inputs: &[&[f32]], keep: bool) -> (Vec<f32>, Kept) {
        let (hidden, inner, vocabulary) = (inputs[0], self.head.inputs(), self.head.outputs());
        let mut gradient = Buffer::unwritten(if keep { self.targets.len() } else { 0 }, inner);
        let mut logits = Buffer::unwritten(CHUNK.min(self.targets.len()), vocabulary);
        let mut loss = 0.0_f64;
        for (index, targets) in self.targets.chunks(CHUNK).enumerate() {
            let rows = index * CHUNK * inner..(index * CHUNK + targets.len()) * inner;
            let logits = &mut logits[..targets.len() * vocabulary];
            self.head.forward(&hidden[rows.clone()], logits, false);
            let losses: Vec<f64> = logits
                .par_chunks_mut(vocabulary)
                .zip(targets)
                .map(|(row, &target)| widest!(row_loss(row, target as usize)))
                .collect();
            loss += losses.iter().sum::<f64>();
            if keep {
                self.head.backward(logits, &mut gradient[rows], false);
            }
        }
        (vec![loss as f32], Arc::new(gradient))
    }

    fn backward(
        &self,
        _inputs: &[&[f32]],
        kept: &Kept,
        gradient: &[f32],
        _wanted: &[bool],
    ) -> Vec<Vec<f32>> {
        let toward: &Buffer = kept.downcast_ref().expect("what this function kept");
        vec![toward.iter().map(|value| value * gradient[0]).collect()]
    }
}
