//! Images: from files to the planes of numbers a vision encoder reads.
//!
//! ```text
//! PNG, JPEG ─► 8-bit RGB (`decode`) ─► size×size (`resize`) ─► normalised planes (`preprocess`)
//! ```
//!
//! Each step is exact and repeatable: the resized pixels are those of Pillow, which published
//! models were trained with, and nothing is random.

pub mod decode;
pub mod preprocess;
pub mod resize;

pub use decode::{DecodedImage, PixelSource, decode, decode_bytes};
pub use preprocess::{PixelValues, Preprocessor};
pub use resize::bicubic;
