//! Vision encoders: from pixels to merged visual tokens, always frozen in tuning.

mod dinov2;
mod position;

pub use dinov2::Dinov2;

use burn::tensor::Tensor;

/// Joins `merge` neighbouring tokens of a row: `[N, C] → [N / merge, merge · C]`, row-major.
/// `N` must be a multiple of `merge`.
pub fn merge_tokens(tokens: Tensor<2>, merge: usize) -> Tensor<2> {
    let [count, width] = tokens.dims();
    tokens.reshape([count / merge, merge * width])
}
