//! A trained update of low rank on a frozen product: `y += scale · dropout(x) · Aᵀ · Bᵀ`.

use std::ops::Range;

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::dropout::Dropout;
use crate::matmul::{Matrix, MatrixMut, Multiplier};
use crate::parallel::share;

/// Where an update sits: which of the block's inputs are its matrices, and how they are applied.
#[derive(Clone, Debug)]
pub struct LowRankSite {
    /// Rank `r`.
    pub rank: usize,
    /// Factor of the update.
    pub scale: f32,
    /// Dropout on its input, with the number that tells this place in the model apart.
    pub dropout: Option<(Dropout, u64)>,
}

/// An update with its matrices `A` `[r, K]` and `B` `[N, r]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct LowRank<'a> {
    site: &'a LowRankSite,
    a: &'a [f32],
    b: &'a [f32],
    /// Where `A` stands among the inputs of the function; `B` comes after it.
    slot: usize,
    /// That of the frozen weight.
    multiplier: Multiplier,
}

/// Joins the sites that have an update with their matrices, which follow `x` among the inputs of a
/// function.
pub(super) fn join<'a, const N: usize>(
    sites: &'a [Option<LowRankSite>; N],
    inputs: &[&'a [f32]],
    multiplier: Multiplier,
) -> [Option<LowRank<'a>>; N] {
    let mut slot = 1;
    sites.each_ref().map(|site| {
        let site = site.as_ref()?;
        let update = LowRank { site, a: inputs[slot], b: inputs[slot + 1], slot, multiplier };
        slot += 2;
        Some(update)
    })
}

/// Columns of a matrix whose rows are `width` long.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    pub(super) range: Range<usize>,
    pub(super) width: usize,
}

impl Columns {
    /// All columns of a matrix.
    pub(super) fn all(width: usize) -> Self {
        Self { range: 0..width, width }
    }
}

impl LowRank<'_> {
    fn inputs(&self) -> usize {
        self.a.len() / self.site.rank
    }

    fn outputs(&self) -> usize {
        self.b.len() / self.site.rank
    }

    fn mask(&self) -> Option<Buffer> {
        let (dropout, place) = self.site.dropout.as_ref()?;
        dropout.mask(*place, self.inputs())
    }

    /// `x` times the mask, in the memory of the mask.
    fn dropped(x: &[f32], mask: Buffer) -> Buffer {
        let mut dropped = mask;
        let share = share(x.len(), 1);
        let parts = dropped.par_chunks_mut(share).zip(x.par_chunks(share));
        parts.with_max_len(1).for_each(|(dropped, x)| {
            for (dropped, x) in dropped.iter_mut().zip(x) {
                *dropped *= x;
            }
        });
        dropped
    }

    /// Adds the update for `x` `[T, K]` to some columns of `y`. Returns `dropout(x) · Aᵀ`, `[T, r]`.
    pub(super) fn forward(&self, x: &[f32], y: &mut [f32], columns: &Columns) -> Buffer {
        let (inputs, outputs, rank) = (self.inputs(), self.outputs(), self.site.rank);
        let (rows, by) = (x.len() / inputs, self.multiplier);
        assert_eq!(columns.range.len(), outputs);
        let mut narrow = Buffer::unwritten(rows, rank);
        let dropped = self.mask().map(|mask| Self::dropped(x, mask));
        let x = dropped.as_deref().unwrap_or(x);
        let a = Matrix::new(self.a, rank, inputs);
        let b = Matrix::new(self.b, outputs, rank);
        let out = MatrixMut::new(&mut narrow, rows, rank);
        by.multiply_rows(out, Matrix::new(x, rows, inputs), a.transposed(), 1.0, false);
        let y = columns.of_mut(y);
        let out = MatrixMut::strided(y, rows, outputs, columns.width);
        by.multiply_rows(
            out,
            Matrix::new(&narrow, rows, rank),
            b.transposed(),
            self.site.scale,
            true,
        );
        narrow
    }

    /// For the gradient in some columns of `g`: adds that of `x` to `dx`, if it is wanted, and puts those
    /// of the matrices that are `wanted` into their slots of `gradients`.
    pub(super) fn backward(
        &self,
        (x, narrow): (&[f32], &[f32]),
        (g, columns): (&[f32], &Columns),
        dx: Option<&mut [f32]>,
        wanted: &[bool],
        gradients: &mut [Vec<f32>],
    ) {
        let (inputs, outputs, rank) = (self.inputs(), self.outputs(), self.site.rank);
        let (rows, scale, by) = (x.len() / inputs, self.site.scale, self.multiplier);
        let g = Matrix::strided(columns.of(g), rows, outputs, columns.width);
        let (a, b) = (Matrix::new(self.a, rank, inputs), Matrix::new(self.b, outputs, rank));
        let mut d_narrow = Buffer::unwritten(rows, rank);
        by.multiply_rows(MatrixMut::new(&mut d_narrow, rows, rank), g, b, scale, false);
        let d_narrow = Matrix::new(&d_narrow, rows, rank);

        let mask = self.mask();
        match (dx, &mask) {
            (None, _) => {}
            (Some(dx), None) => {
                by.multiply_rows(MatrixMut::new(dx, rows, inputs), d_narrow, a, 1.0, true);
            }
            (Some(dx), Some(mask)) => {
                let mut update = Buffer::unwritten(rows, inputs);
                let out = MatrixMut::new(&mut update, rows, inputs);
                by.multiply_rows(out, d_narrow, a, 1.0, false);
                let share = share(dx.len(), 1);
                let read = update.par_chunks(share).zip(mask.par_chunks(share));
                let parts = dx.par_chunks_mut(share).zip(read);
                parts.with_max_len(1).for_each(|(dx, (update, mask))| {
                    for ((dx, update), m) in dx.iter_mut().zip(update).zip(mask) {
                        *dx += update * m;
                    }
                });
            }
        }
        let dropped = mask.map(|mask| Self::dropped(x, mask));
        let x = dropped.as_deref().unwrap_or(x);
        // Both sum over the rows, each on a thread of its own.
        let of_a = || {
            let mut da = vec![0.0; self.a.len()];
            let (out, x) = (MatrixMut::new(&mut da, rank, inputs), Matrix::new(x, rows, inputs));
            by.multiply(out, d_narrow.transposed(), x, 1.0, false);
            da
        };
        let of_b = || {
            let mut db = vec![0.0; self.b.len()];
            let (out, narrow) =
                (MatrixMut::new(&mut db, outputs, rank), Matrix::new(narrow, rows, rank));
            by.multiply(out, g.transposed(), narrow, scale, false);
            db
        };
        let (wants_a, wants_b) = (wanted[self.slot], wanted[self.slot + 1]);
        let (da, db) = rayon::join(|| wants_a.then(of_a), || wants_b.then(of_b));
        gradients[self.slot] = da.unwrap_or_default();
        gradients[self.slot + 1] = db.unwrap_or_default();
    }
}

impl Columns {
    /// The values from the first of these columns on.
    fn of<'a>(&self, values: &'a [f32]) -> &'a [f32] {
        values.get(self.range.start..).unwrap_or(&[])
    }

    fn of_mut<'a>(&self, values: &'a mut [f32]) -> &'a mut [f32] {
        values.get_mut(self.range.start..).unwrap_or(&mut [])
    }
}
