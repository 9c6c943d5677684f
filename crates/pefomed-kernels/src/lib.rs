//! The operations that multimodal tuning spends its time in.
//!
//! Each has a plain implementation from framework operations that runs on every device and serves
//! as the reference. This crate knows tensors, ranges and shapes; it knows no model, adapter or
//! file format. It is the only crate that may contain `unsafe`.

pub mod attention;
mod bf16;
mod buffer;
pub mod cross_entropy;
pub mod dropout;
pub mod frozen;
pub mod fused;
pub mod host_function;
pub mod mapped;
mod matmul;
pub mod memory;
pub mod norm;
mod parallel;
pub mod rotary;
mod simd;
#[cfg(test)]
mod testing;
