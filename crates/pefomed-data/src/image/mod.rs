//! Images: from files to the planes of numbers a vision encoder reads.
//!
//! ```text
//! PNG, JPEG ──────────► 8-bit RGB (`decode`) ─► size×size (`resize`) ─► planes (`preprocess`)
//! DICOM, NIfTI ─ window ─┘
//! ```
//!
//! Each step is exact and repeatable: the resized pixels are those of Pillow, which published
//! models were trained with, and so are decoded JPEG files. Nothing is random but what a recipe asks to be (`augment`), and that
//! follows from its seed.

pub mod augment;
pub mod decode;
pub mod dicom;
pub mod encode;
mod jpeg;
pub mod nifti;
pub mod preprocess;
pub mod resize;
mod trouble;
pub mod view;
pub mod window;

pub use augment::Augmentation;
pub use decode::{
    DecodedImage, ImageFile, PixelSource, Rendering, decode, decode_bytes, decode_view,
};
pub use encode::png;
pub use preprocess::{PixelValues, Preprocessor};
pub use resize::bicubic;
use trouble::Trouble;
pub use view::View;
