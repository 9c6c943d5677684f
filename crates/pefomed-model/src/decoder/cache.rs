//! Keys and values of a prefill, kept for decoding.

use burn::tensor::Tensor;

/// Keys (turned to their positions) and values of every layer, `[T, K, D]` each.
#[derive(Clone, Debug, Default)]
pub struct KvCache {
    layers: Vec<(Tensor<3>, Tensor<3>)>,
}

impl KvCache {
    pub(super) fn push(&mut self, keys: Tensor<3>, values: Tensor<3>) {
        self.layers.push((keys, values));
    }

    /// Layer by layer, the first first.
    pub(crate) fn into_layers(self) -> Vec<(Tensor<3>, Tensor<3>)> {
        self.layers
    }
}
