//! Activation checkpointing: functions one after the other, of which the input alone is kept.
//!
//! The backward pass computes the functions once more, now with what each keeps, and then goes back
//! through them (Chen et al., arXiv 1604.06174). One more forward pass buys the memory of all
//! layers but the one that the backward pass is in.

use std::ops::Range;
use std::sync::Arc;

use crate::host_function::{HostFunction, Kept};

/// A chain of functions as one. The first input is that of the first function; then come the further
/// inputs of each, in the order of the functions.
#[derive(Debug)]
pub struct Recomputed {
    /// Each with the number of its further inputs.
    steps: Vec<(Arc<dyn HostFunction>, usize)>,
}

impl Recomputed {
    /// The chain of `steps`, each with the number of its inputs beside the output of the one before.
    pub fn new(steps: Vec<(Arc<dyn HostFunction>, usize)>) -> Self {
        Self { steps }
    }

    /// Calls `with` for each step with the places of its further inputs.
    fn each(&self) -> impl Iterator<Item = (&dyn HostFunction, Range<usize>)> {
        let mut first = 1;
        self.steps.iter().map(move |(function, count)| {
            let range = first..first + count;
            first = range.end;
            (&**function, range)
        })
    }
}

/// The output of the step before, and the further inputs of a step.
fn joined<T: Copy>(x: T, all: &[T], range: Range<usize>) -> Vec<T> {
    std::iter::once(x).chain(all[range].iter().copied()).collect()
}

impl HostFunction for Recomputed {
    fn output_shape(&self, inputs: &[&[usize]]) -> [usize; 2] {
        let mut shape = inputs[0].to_vec();
        for (function, range) in self.each() {
            let next = function.output_shape(&joined(&shape[..], inputs, range));
            shape = next.to_vec();
        }
        [shape[0], shape[1]]
    }

    fn forward(&self, inputs: &[&[f32]], _keep: bool) -> (Vec<f32>, Kept) {
        let mut x: Option<Vec<f32>> = None;
        for (function, range) in self.each() {
            let from = joined(x.as_deref().unwrap_or(inputs[0]), inputs, range);
            x = Some(function.forward(&from, false).0);
        }
        (x.unwrap_or_else(|| inputs[0].to_vec()), Arc::new(()))
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _kept: &Kept,
        gradient: &[f32],
        wanted: &[bool],
    ) -> Vec<Vec<f32>> {
        // Outputs of all steps but the last, and what every step keeps.
        let (mut outputs, mut kept): (Vec<Vec<f32>>, Vec<Kept>) = Default::default();
        for (function, range) in self.each() {
            let from = joined(outputs.last().map_or(inputs[0], Vec::as_slice), inputs, range);
            let (output, state) = function.forward(&from, true);
            outputs.push(output);
            kept.push(state);
        }
        outputs.pop();
        let mut gradients = vec![Vec::new(); inputs.len()];
        let mut gradient = gradient.to_vec();
        let steps: Vec<_> = self.each().collect();
        for (index, (function, range)) in steps.into_iter().enumerate().rev() {
            let (x, wants_x) = match index {
                0 => (inputs[0], wanted[0]),
                _ => (outputs[index - 1].as_slice(), true),
            };
            let from = joined(x, inputs, range.clone());
            let wants = joined(wants_x, wanted, range.clone());
            let mut all = function.backward(&from, &kept[index], &gradient, &wants).into_iter();
            gradient = all.next().unwrap_or_default();
            for (place, own) in range.zip(all) {
                gradients[place] = own;
            }
            // What this step kept is no longer needed.
            kept.truncate(index);
            outputs.truncate(index.saturating_sub(1));
        }
        gradients[0] = gradient;
        gradients
    }
}
