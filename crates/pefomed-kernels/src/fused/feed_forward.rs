//! The second half of a decoder layer: norm, gate and up projections, SwiGLU, down projection,
//! residual.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::low_rank::{Columns, LowRankSite, join};
use super::rms_norm;
use crate::bf16::blocks::LeftBlocks;
use crate::bf16::{Panels, activation};
use crate::buffer::Buffer;
use crate::frozen::FrozenLinear;
use crate::host_function::{HostFunction, Kept};
use crate::matmul::MatrixMut;
use crate::parallel::{copied, share};
use crate::simd::{self, silu, silu_backward, widest};

/// The frozen weights of the half.
#[derive(Clone, Debug)]
pub struct FeedForward {
    /// Weight of the norm, `[C]`.
    pub norm: Vec<f32>,
    /// `ε` of the norm.
    pub eps: f32,
    /// Gate and up projections as one map, `C → 2M`.
    pub gate_up: FrozenLinear,
    /// Down projection, `M → C`.
    pub down: FrozenLinear,
}

/// The half for one batch. Its inputs are `x` `[T, C]`, then `A` and `B` of every site that has an
/// update, in the order gate, up, down.
pub struct FeedForwardHalf {
    weights: Arc<FeedForward>,
    sites: [Option<LowRankSite>; 3],
}

impl fmt::Debug for FeedForwardHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeedForwardHalf({:?})", self.weights.down)
    }
}

/// Kept for the backward pass.
struct State {
    scales: Vec<f32>,
    gate_up: Buffer,
    narrow: [Option<Buffer>; 3],
}

/// Columns of gates and of ups, side by side.
fn halves(width: usize) -> [Columns; 2] {
    [0..width, width..2 * width].map(|range| Columns { range, width: 2 * width })
}

/// `silu(gate) · up`, `[T, M]`, of gates and ups `[T, 2M]`.
pub(super) fn swiglu(gate_up: &[f32], width: usize) -> Buffer {
    let mut out = Buffer::unwritten(gate_up.len() / (2 * width), width);
    // The exponential weighs as much as a dozen numbers.
    let share = share(out.len() / width, 12 * width);
    let parts = gate_up.par_chunks(share * 2 * width).zip(out.par_chunks_mut(share * width));
    parts.with_max_len(1).for_each(|(gate_up, out)| {
        widest!({
            for (row, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
                let (gate, up) = row.split_at(width);
                for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                    *out = silu(*gate) * up;
                }
            }
        });
    });
    out
}

/// Gradients of gates and ups, `[T, 2M]`, for the gradient of their product.
fn swiglu_backward(gate_up: &[f32], gradient: &[f32], width: usize) -> Buffer {
    let mut out = Buffer::unwritten(gate_up.len() / (2 * width), 2 * width);
    let share = share(gradient.len() / width, 12 * width);
    let read = gate_up.par_chunks(share * 2 * width).zip(gradient.par_chunks(share * width));
    let parts = read.zip(out.par_chunks_mut(share * 2 * width));
    parts.with_max_len(1).for_each(|((gate_up, gradient), out)| {
        widest!({
            let rows = gate_up.chunks_exact(2 * width).zip(gradient.chunks_exact(width));
            for ((row, g), out) in rows.zip(out.chunks_exact_mut(2 * width)) {
                let (gate, up) = row.split_at(width);
                let (d_gate, d_up) = out.split_at_mut(width);
                // One result a loop: with two the compiler gives up on vectors.
                for (sigmoid, gate) in d_up.iter_mut().zip(gate) {
                    *sigmoid = simd::sigmoid(*gate);
                }
                for (((d_gate, sigmoid), gate), (g, up)) in
                    d_gate.iter_mut().zip(&*d_up).zip(gate).zip(g.iter().zip(up))
                {
                    *d_gate = silu_backward(g * up, *gate, *sigmoid);
                }
                for ((d_up, gate), g) in d_up.iter_mut().zip(gate).zip(g) {
                    *d_up *= g * gate;
                }
            }
        });
    });
    out
}

impl FeedForwardHalf {
    /// The half with updates on gate, up and down projections.
    pub fn new(weights: Arc<FeedForward>, sites: [Option<LowRankSite>; 3]) -> Self {
        Self { weights, sites }
    }

    /// A map's panels, if SwiGLU can be made in the blocks that they are multiplied with.
    fn panels<'a>(&self, map: &'a FrozenLinear) -> Option<[&'a Panels; 2]> {
        map.panels().filter(|_| activation::fits(self.weights.down.inputs()))
    }
}

impl HostFunction for FeedForwardHalf {
    fn output_shape(&self, inputs: &[&[usize]]) -> [usize; 2] {
        [inputs[0][0], self.weights.norm.len()]
    }

    fn forward(&self, inputs: &[&[f32]], _keep: bool) -> (Vec<f32>, Kept) {
        let FeedForward { norm, eps, gate_up: project, down } = &*self.weights;
        let (x, width) = (inputs[0], down.inputs());
        let [gate_update, up_update, down_update] = join(&self.sites, inputs, down.multiplier());
        let rows = x.len() / norm.len();
        let mut normed = Buffer::unwritten(rows, norm.len());
        let scales = rms_norm::forward(x, norm, *eps, &mut normed);
        let mut gate_up = Buffer::unwritten(rows, 2 * width);
        project.forward(&normed, &mut gate_up, false);
        let [gate, up] = halves(width);
        let gate = gate_update.map(|update| update.forward(&normed, &mut gate_up, &gate));
        let up = up_update.map(|update| update.forward(&normed, &mut gate_up, &up));
        drop(normed);
        let mut out = copied(x);
        let mut last = None;
        if let (Some([panels, _]), None) = (self.panels(down), down_update) {
            let to = MatrixMut::new(&mut out, rows, norm.len());
            let make = |rows: Range<usize>, left: LeftBlocks<'_>| {
                let rows = rows.start * 2 * width..rows.end * 2 * width;
                activation::product(&gate_up[rows], width, left);
            };
            panels.multiply_made(to, make, true);
        } else {
            let product = swiglu(&gate_up, width);
            down.forward(&product, &mut out, true);
            let all = Columns::all(norm.len());
            last = down_update.map(|update| update.forward(&product, &mut out, &all));
        }
        (out, Arc::new(State { scales, gate_up, narrow: [gate, up, last] }))
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        kept: &Kept,
        gradient: &[f32],
        wanted: &[bool],
    ) -> Vec<Vec<f32>> {
        let state: &State = kept.downcast_ref().expect("what this function kept");
        let FeedForward { norm, gate_up: project, down, .. } = &*self.weights;
        let (x, width) = (inputs[0], down.inputs());
        let rows = x.len() / norm.len();
        let [gate_update, up_update, down_update] = join(&self.sites, inputs, down.multiplier());
        let mut gradients = vec![Vec::new(); inputs.len()];

        let mut d_product = Buffer::unwritten(rows, width);
        down.backward(gradient, &mut d_product, false);
        if let (Some(update), Some(narrow)) = (down_update, &state.narrow[2]) {
            let (product, all) = (swiglu(&state.gate_up, width), Columns::all(norm.len()));
            let (from, to) = ((&product[..], &narrow[..]), (gradient, &all));
            update.backward(from, to, Some(&mut d_product), wanted, &mut gradients);
        }
        let mut d_normed = Buffer::unwritten(rows, norm.len());
        if let (Some([_, panels]), None, None) = (self.panels(project), gate_update, up_update) {
            let to = MatrixMut::new(&mut d_normed, rows, norm.len());
            let make = |rows: Range<usize>, left: LeftBlocks<'_>| {
                let (first, end) = (rows.start * width, rows.end * width);
                let gate_up = &state.gate_up[2 * first..2 * end];
                activation::gradients(gate_up, &d_product[first..end], width, left);
            };
            panels.multiply_made(to, make, false);
        } else {
            let d_gate_up = swiglu_backward(&state.gate_up, &d_product, width);
            project.backward(&d_gate_up, &mut d_normed, false);
            let normed = rms_norm::again(x, norm, &state.scales);
            let updates = [gate_update, up_update].into_iter().zip(&state.narrow);
            for ((update, narrow), columns) in updates.zip(&halves(width)) {
                if let (Some(update), Some(narrow)) = (update, narrow) {
                    let (from, to) = ((&normed[..], &narrow[..]), (&d_gate_up[..], columns));
                    update.backward(from, to, Some(&mut d_normed), wanted, &mut gradients);
                }
            }
        }
        drop(d_product);
        let mut dx = copied(gradient);
        rms_norm::backward(x, norm, &state.scales, &d_normed, &mut dx);
        gradients[0] = dx;
        gradients
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bf16::Kernel;
    use crate::matmul::Matrix;
    use crate::testing::values;

    #[test]
    fn what_is_made_in_blocks_is_what_is_packed_into_them() {
        for kernel in Kernel::all() {
            let (rows, width, columns) = (45, 64, 37);
            let gate_up = values(1, rows * 2 * width);
            let gradient = values(2, rows * width);
            let check =
                |inner: usize,
                 packed: &[f32],
                 make: &(dyn Fn(Range<usize>, LeftBlocks<'_>) + Sync)| {
                    let weight = values(3, inner * columns);
                    let panels = Panels::new(kernel, Matrix::new(&weight, inner, columns), 1.0);
                    let mut found = vec![0.0; rows * columns];
                    panels.multiply_made(MatrixMut::new(&mut found, rows, columns), make, false);
                    let mut wanted = vec![0.0; rows * columns];
                    let (out, packed) = (
                        MatrixMut::new(&mut wanted, rows, columns),
                        Matrix::new(packed, rows, inner),
                    );
                    panels.multiply_rows(out, packed, false);
                    assert_eq!(found, wanted);
                };
            check(width, &swiglu(&gate_up, width), &|rows, left| {
                activation::product(
                    &gate_up[rows.start * 2 * width..rows.end * 2 * width],
                    width,
                    left,
                );
            });
            check(2 * width, &swiglu_backward(&gate_up, &gradient, width), &|rows, left| {
                let (first, end) = (rows.start * width, rows.end * width);
                activation::gradients(
                    &gate_up[2 * first..2 * end],
                    &gradient[first..end],
                    width,
                    left,
                );
            });
        }
    }
}
