//! Weight files in and out, before any tensor framework sees them.
//!
//! A file is a [`TensorSource`]: names, shapes and values, widened to `f32` on request. Everything
//! above it (key maps, models, the packing of frozen weights) is written once for all formats.
//! A model takes its tensors through a [`Loader`], which remembers what was taken, so that a key
//! that is missing, misshapen or left over is an error that names it. Weights that go unnoticed
//! into nowhere are the costliest mistake in this field: training runs, and measures noise.
//!
//! Files come from strangers. Readers allocate nothing that the size of the file does not justify,
//! check every offset and product, and report what is wrong with which tensor.

mod gguf;
mod gguf_fault;
mod gguf_layout;
mod gguf_metadata;
mod gguf_quants;
mod loader;
mod pickle;
mod safetensors;
mod safetensors_writer;
mod shards;
mod stored;
mod stored_type;
mod torch;
mod torch_fault;
mod torch_writer;

use std::path::Path;

pub(crate) use self::gguf::rotary_row;
pub use self::gguf::{GgufFile, rotary_pairs_to_halves};
pub use self::gguf_fault::GgufFault;
pub use self::loader::Loader;
pub use self::safetensors::SafetensorsFile;
pub(crate) use self::safetensors_writer::{TensorHead, write_one_by_one};
pub use self::safetensors_writer::{TensorValues, write_safetensors};
pub use self::stored::StoredMatrix;
pub(crate) use self::stored::{Reordered, Widened};
pub use self::stored_type::StoredType;
pub use self::torch::TorchFile;
pub use self::torch_fault::TorchFault;
pub use self::torch_writer::write_torch;
use crate::error::ModelError;

/// Named tensors, wherever they are stored.
pub trait TensorSource: Send + Sync {
    /// All names, in alphabetical order.
    fn names(&self) -> Vec<&str>;

    /// Shape, row-major with the outermost dimension first, as PyTorch prints it; none when there
    /// is no such tensor.
    fn shape(&self, name: &str) -> Option<&[usize]>;

    /// How the values are stored; none when there is no such tensor.
    fn dtype(&self, name: &str) -> Option<StoredType>;

    /// All values in row-major order, widened or dequantized to `f32`. Bytes of a mapped file that were
    /// read are [forgotten](pefomed_kernels::mapped::MappedFile::forget): a tensor is read once.
    ///
    /// # Errors
    /// [`ModelError::TensorMissing`], or [`ModelError::TensorType`] for integers and other types
    /// that hold no real numbers.
    fn read_f32(&self, name: &str) -> Result<Vec<f32>, ModelError>;

    /// A matrix left in the bytes of its file; none when there is no such tensor, when it is no
    /// matrix of real numbers, or when the format keeps no rows together.
    fn stored(&self, _name: &str) -> Option<StoredMatrix> {
        None
    }

    /// The file or folder, for messages.
    fn origin(&self) -> &str;

    /// A digest of all bytes of the file (for shards: of all files, in the order of their names),
    /// as [`pefomed_data::files::digest`] computes it. It does not depend on where the file lies,
    /// or on whether it is embedded. Reads everything: seconds for gigabytes.
    fn digest(&self) -> String;
}

/// Opens weights of any known format: a folder in Hugging Face layout, or a file. Files of GGUF and
/// of `torch.save` are told by their first bytes and not by their names; anything else is taken for
/// safetensors. In a folder with both, safetensors come before `pytorch_model.bin`.
///
/// # Errors
/// As [`SafetensorsFile::open`], [`TorchFile::open`] and [`GgufFile::open`].
pub fn open(path: &Path) -> Result<Box<dyn TensorSource>, ModelError> {
    if path.is_dir() {
        let holds = |names: [&str; 2]| names.iter().any(|name| path.join(name).exists());
        return if holds(torch::NAMES) && !holds(safetensors::NAMES) {
            Ok(Box::new(TorchFile::open(path)?))
        } else {
            Ok(Box::new(SafetensorsFile::open(path)?))
        };
    }
    let file = map(path)?;
    let origin = path.display().to_string();
    let starts_with = |magic: &[u8]| file.as_bytes().starts_with(magic);
    if starts_with(gguf_layout::MAGIC) {
        Ok(Box::new(GgufFile::from_mapped(origin, file)?))
    } else if starts_with(torch::MAGIC) || starts_with(torch::LEGACY) {
        Ok(Box::new(TorchFile::from_mapped(origin, file)?))
    } else {
        Ok(Box::new(SafetensorsFile::from_mapped(origin, file)?))
    }
}

fn map(path: &Path) -> Result<pefomed_kernels::mapped::MappedFile, ModelError> {
    pefomed_kernels::mapped::MappedFile::open(path)
        .map_err(|source| ModelError::Read { path: path.to_owned(), source })
}

/// The error for a name that a source does not hold, with the names that resemble it most.
fn missing(source: &dyn TensorSource, name: &str) -> ModelError {
    ModelError::TensorMissing {
        origin: source.origin().to_owned(),
        name: name.to_owned(),
        nearest: loader::nearest(name, &source.names()),
    }
}
