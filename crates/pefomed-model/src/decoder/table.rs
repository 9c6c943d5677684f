//! The embedding table, as a tensor or as its file stores it.

use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};
use pefomed_kernels::frozen::StoredRows;

use crate::parameters::Placement;

/// Token embeddings `[V, C]`.
#[derive(Clone, Debug)]
pub(crate) enum Table {
    /// In the framework's memory.
    Tensor(Box<Tensor<2>>),
    /// In the bytes of a file.
    Stored(Arc<dyn StoredRows>),
}

impl Table {
    /// Rows of some tokens below `V`, `[T, C]`.
    pub(super) fn rows(&self, tokens: &[u32], place: &Placement) -> Tensor<2> {
        match self {
            Self::Tensor(table) => {
                let ids: Vec<i64> = tokens.iter().map(|&token| i64::from(token)).collect();
                let ids = TensorData::new(ids, [tokens.len()]);
                (**table).clone().select(0, Tensor::<1, Int>::from_data(ids, &place.device))
            }
            Self::Stored(table) => {
                let width = table.columns();
                let mut rows = vec![0.0; tokens.len() * width];
                for (row, &token) in rows.chunks_exact_mut(width).zip(tokens) {
                    table.read(token as usize, row);
                }
                place.tensor(rows, [tokens.len(), width])
            }
        }
    }

    /// All of it as a tensor.
    pub(super) fn tensor(&self, place: &Placement) -> Tensor<2> {
        match self {
            Self::Tensor(table) => (**table).clone(),
            Self::Stored(table) => {
                let all: Vec<u32> = (0..table.rows() as u32).collect();
                self.rows(&all, place)
            }
        }
    }
}
