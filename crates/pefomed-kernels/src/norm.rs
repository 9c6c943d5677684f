//! Normalisation over the last dimension.

use burn::tensor::Tensor;

/// `x / sqrt(mean(x²) + eps) · weight` over the last dimension (arXiv 1910.07467).
///
/// `x` is `[T, C]`, `weight` `[C]`.
pub fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f64) -> Tensor<2> {
    let scale = (x.clone().square().mean_dim(1) + eps).sqrt();
    x / scale * weight.unsqueeze()
}

/// `(x − mean) / sqrt(variance + eps) · weight + bias` over the last dimension, with the biased
/// variance (arXiv 1607.06450).
///
/// `x` is `[T, C]`, `weight` and `bias` `[C]`.
pub fn layer_norm(x: Tensor<2>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let scale = (centred.clone().square().mean_dim(1) + eps).sqrt();
    centred / scale * weight.unsqueeze() + bias.unsqueeze()
}
