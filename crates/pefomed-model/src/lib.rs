//! Vision encoders, projectors, decoders and adapters, and the files their weights are in.
//!
//! The architecture is PeFoMed's (arXiv 2401.02797): a frozen encoder, four visual tokens joined
//! into one, a trained linear projector, and a frozen decoder with a trained low-rank adapter.
//! Sequences are packed message trees throughout; a single question is a tree of one branch.

pub mod adapter;
pub mod base;
pub mod config;
pub mod convert;
pub mod decoder;
pub mod embedded;
mod error;
pub mod generate;
mod hub;
pub mod merge;
pub mod multimodal;
pub mod parameters;
pub mod projector;
pub mod random;
pub mod vision;
pub mod weights;

pub use error::ModelError;
