//! From the files a hospital or a data set publishes to the batches a model reads.
//!
//! The way through this crate is one line long:
//!
//! ```text
//! originals ─► Example ─► Prompt ─► MessageTree ─► PackedBatch
//! ```
//!
//! Nothing here knows a tensor framework or a model: images leave as `f32` planes, text as token
//! ids, and a batch as vectors with the ranges that attention may look at.

pub mod check;
pub mod compat;
pub mod deidentify;
mod dicom;
mod error;
pub mod example;
pub mod files;
pub mod formats;
pub mod image;
pub mod image_places;
pub mod laterality;
pub mod names;
pub mod pack;
pub mod parquet_file;
pub mod phantom;
pub mod prediction;
pub mod prompt;
pub mod random;
pub mod readable;
pub mod sentencepiece;
pub mod split;
mod table;
mod text;
#[cfg(feature = "tokenizers")]
pub mod tokenizer;
pub mod tree;

pub use error::DataError;
pub use example::{Example, ImagePlace, ImageSource, Split, Task};
pub use image_places::ImagePlaces;
pub use pack::PackedBatch;
pub use prediction::{Finish, ImageCondition, Prediction};
#[cfg(feature = "tokenizers")]
pub use tokenizer::Tokenizer;
pub use tree::{Item, Message, MessageTree};
