//! Configurations in Hugging Face layout, and their like in GGUF metadata.
//!
//! A key that would change what is computed and is not implemented is an error, never ignored.
//! `docs/models.md` lists the keys that are honoured.

mod decoder;
mod rope;
mod vision;

pub use decoder::{LlamaConfig, UnlikelyKeys, Window};
pub use rope::{RopeParameters, RopeScaling};
pub use vision::{
    ClipConfig, Dinov2Config, EvaConfig, FeatureSelection, SiglipConfig, VisionConfig,
};

pub(crate) use vision::VitShape;

use crate::error::ModelError;

/// The error for a setting of `origin` that is not implemented.
fn unsupported(origin: &str, what: impl Into<String>) -> ModelError {
    ModelError::Unsupported { origin: origin.to_owned(), what: what.into() }
}
