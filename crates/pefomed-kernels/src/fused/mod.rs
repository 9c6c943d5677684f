//! The two halves of a decoder layer over frozen weights, each as one function with its own
//! derivative.
//!
//! Both read `x` `[T, C]` and return `x` plus what the half computes, so that one node of the graph
//! stands for a norm, its products, the low-rank updates on them and the residual. What is kept for
//! the backward pass is what cannot be had back cheaply: the products before their nonlinearity, one
//! number a row for a norm, one a row and head for a softmax. Normed inputs and softmax weights are
//! computed again.
//!
//! What is decoded token by token reads a [`KeyValueCache`]. A block of a vision encoder ([`EncoderBlock`])
//! is computed by the same kernels, forward only.

mod affine;
mod attention;
mod decoding;
mod encoder_block;
mod feed_forward;
mod low_rank;
mod recomputed;
mod rms_norm;
mod rotary;
mod target_loss;
mod tree_attention;

pub use affine::Affine;
pub use attention::{AttentionHalf, AttentionLayout, AttentionShape, Projected};
pub use decoding::KeyValueCache;
pub use encoder_block::{Activation, EncoderBlock, FrozenAffine, FrozenLayerNorm};
pub use feed_forward::{FeedForward, FeedForwardHalf};
pub use low_rank::LowRankSite;
pub use recomputed::Recomputed;
pub use rotary::RotaryTable;
pub use target_loss::TargetLoss;

#[cfg(test)]
mod tests;
