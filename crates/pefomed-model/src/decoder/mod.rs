//! Decoders: from embedded positions to hidden states, with adapters on their projections.

mod cache;
mod frozen;
mod initialise;
mod keys;
mod known;
mod llama;
mod load;
mod table;

pub use cache::DecodeCache;
pub(crate) use keys::KeyStyle;
pub use known::KnownPrompt;
pub use llama::{DecoderBatch, LlamaDecoder};
