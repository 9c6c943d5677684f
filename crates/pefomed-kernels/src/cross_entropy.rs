//! The language-model head and its loss, at the positions that have a target and nowhere else.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Rows of logits that exist at one time.
const CHUNK: usize = 256;

/// Sum of the negative log-likelihoods of `targets` under `softmax(hidden · weightᵀ)`, `[1]`.
///
/// `hidden` is `[A, C]`, `weight` `[V, C]`, and there are `A` targets below `V`; `A` is at least 1.
/// The sum is returned, not the mean, so that the loss of an optimizer step is the same however it
/// is cut into batches.
pub fn cross_entropy_sum(hidden: Tensor<2>, weight: Tensor<2>, targets: &[u32]) -> Tensor<1> {
    let device: Device = hidden.device();
    let weight = weight.transpose();
    let mut sum: Option<Tensor<1>> = None;
    for (index, chunk) in targets.chunks(CHUNK).enumerate() {
        let logits = hidden.clone().narrow(0, index * CHUNK, chunk.len()).matmul(weight.clone());
        let ids: Vec<i64> = chunk.iter().map(|&token| i64::from(token)).collect();
        let data = TensorData::new(ids, [chunk.len(), 1]);
        let ids = Tensor::<2, Int>::from_data(data, &device.clone().without_autodiff());
        let part = log_softmax(logits, 1).gather(1, ids).sum().neg();
        sum = Some(match sum {
            Some(sum) => sum + part,
            None => part,
        });
    }
    sum.unwrap_or_else(|| Tensor::zeros([1], &device))
}
