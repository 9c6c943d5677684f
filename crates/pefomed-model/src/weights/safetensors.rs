//! Reading safetensors: one file, or shards with a list of which tensor lies in which file.
//!
//! The header is parsed and checked by the format's own crate (offsets in order, without gaps or
//! overlaps, in agreement with shapes and the size of the file).

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use pefomed_data::files;
use pefomed_kernels::mapped::MappedFile;
use safetensors::{Dtype, SafeTensors};

use super::shards::{self, Weights};
use super::stored_type::each;
use super::{StoredMatrix, StoredType, TensorSource, map, missing};
use crate::error::ModelError;

/// File names in a folder in Hugging Face layout: one file, and the list of shards.
pub(super) const NAMES: [&str; 2] = ["model.safetensors", "model.safetensors.index.json"];

/// Tensors of one safetensors file or of all shards of a model.
#[derive(Debug)]
pub struct SafetensorsFile {
    origin: String,
    /// In the order of their names.
    shards: Vec<Arc<MappedFile>>,
    tensors: BTreeMap<String, Place>,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Place {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl SafetensorsFile {
    /// Opens a `.safetensors` file, a list of shards (`….index.json`), or a folder that holds
    /// `model.safetensors` or `model.safetensors.index.json`.
    ///
    /// # Errors
    /// [`ModelError::Read`], [`ModelError::NoWeights`], [`ModelError::Safetensors`]; for shards also
    /// [`ModelError::Data`] when the list is not JSON of the expected form,
    /// [`ModelError::ShardOutside`], [`ModelError::ShardMissing`], [`ModelError::NotInShard`].
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        match shards::locate(path, NAMES)? {
            Weights::Whole(file) => Self::from_mapped(file.display().to_string(), map(&file)?),
            Weights::Sharded(index) => Self::open_shards(&index),
        }
    }

    /// Reads bytes that are mapped, embedded or in memory; `origin` names them in messages.
    ///
    /// # Errors
    /// [`ModelError::Safetensors`].
    pub fn from_mapped(origin: String, file: MappedFile) -> Result<Self, ModelError> {
        let mut tensors = BTreeMap::new();
        let mut metadata = BTreeMap::new();
        read_header(&origin, file.as_bytes(), 0, &mut tensors, &mut metadata)?;
        Ok(Self { origin, shards: vec![Arc::new(file)], tensors, metadata })
    }

    fn open_shards(path: &Path) -> Result<Self, ModelError> {
        let mut file = Self {
            origin: path.display().to_string(),
            shards: Vec::new(),
            tensors: BTreeMap::new(),
            metadata: BTreeMap::new(),
        };
        for shard in shards::open(path)? {
            let mut held = BTreeMap::new();
            let origin = shard.path.display().to_string();
            let number = file.shards.len();
            read_header(&origin, shard.file.as_bytes(), number, &mut held, &mut file.metadata)?;
            for tensor in &shard.tensors {
                let place = held.remove(tensor);
                file.tensors.insert(tensor.clone(), place.ok_or_else(|| shard.lacks(tensor))?);
            }
            file.shards.push(Arc::new(shard.file));
        }
        Ok(file)
    }

    /// The free-form key-value pairs of the header (of all shards together).
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Values of an `I64` tensor, row-major.
    ///
    /// # Errors
    /// [`ModelError::TensorMissing`], [`ModelError::TensorType`].
    pub fn read_i64(&self, name: &str) -> Result<Vec<i64>, ModelError> {
        self.read_exactly(name, Dtype::I64, "64-bit integers")
            .map(|bytes| each(bytes, i64::from_le_bytes))
    }

    /// Values of a `U8` tensor, row-major.
    ///
    /// # Errors
    /// [`ModelError::TensorMissing`], [`ModelError::TensorType`].
    pub fn read_u8(&self, name: &str) -> Result<Vec<u8>, ModelError> {
        self.read_exactly(name, Dtype::U8, "bytes").map(<[u8]>::to_vec)
    }

    fn read_exactly(
        &self,
        name: &str,
        dtype: Dtype,
        wanted: &'static str,
    ) -> Result<&[u8], ModelError> {
        let place = self.place(name)?;
        if place.dtype == dtype {
            Ok(self.bytes_of(place))
        } else {
            Err(self.wrong_type(name, place, wanted))
        }
    }

    fn place(&self, name: &str) -> Result<&Place, ModelError> {
        self.tensors.get(name).ok_or_else(|| missing(self, name))
    }

    fn bytes_of(&self, place: &Place) -> &[u8] {
        &self.shards[place.shard].as_bytes()[place.bytes.clone()]
    }

    fn wrong_type(&self, name: &str, place: &Place, wanted: &'static str) -> ModelError {
        ModelError::TensorType {
            origin: self.origin.clone(),
            name: name.to_owned(),
            stored: StoredType::of_safetensors(place.dtype),
            wanted,
        }
    }
}

impl TensorSource for SafetensorsFile {
    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|place| place.shape.as_slice())
    }

    fn dtype(&self, name: &str) -> Option<StoredType> {
        self.tensors.get(name).map(|place| StoredType::of_safetensors(place.dtype))
    }

    fn read_f32(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let place = self.place(name)?;
        let values = StoredType::of_safetensors(place.dtype).widen(self.bytes_of(place));
        self.shards[place.shard].forget(place.bytes.clone());
        values.ok_or_else(|| self.wrong_type(name, place, "real numbers"))
    }

    fn stored(&self, name: &str) -> Option<StoredMatrix> {
        let place = self.tensors.get(name)?;
        let (file, stored) = (&self.shards[place.shard], StoredType::of_safetensors(place.dtype));
        StoredMatrix::new(file, place.bytes.clone(), stored, &place.shape)
    }

    fn origin(&self) -> &str {
        &self.origin
    }

    fn digest(&self) -> String {
        files::digest_pieces(self.shards.iter().map(|it| (it.as_bytes().len(), it.pieces())))
    }
}

/// Checks the header of one file and adds its tensors and key-value pairs.
fn read_header(
    origin: &str,
    bytes: &[u8],
    shard: usize,
    tensors: &mut BTreeMap<String, Place>,
    metadata: &mut BTreeMap<String, String>,
) -> Result<(), ModelError> {
    let (header_bytes, header) = SafeTensors::read_metadata(bytes)
        .map_err(|source| ModelError::Safetensors { origin: origin.to_owned(), source })?;
    // The header stands between its own length, 8 bytes, and the data.
    let data_start = 8 + header_bytes;
    for (name, info) in header.tensors() {
        let (start, end) = info.data_offsets;
        let place = Place {
            shard,
            dtype: info.dtype,
            shape: info.shape.clone(),
            bytes: data_start + start..data_start + end,
        };
        tensors.insert(name, place);
    }
    for (key, value) in header.metadata().iter().flatten() {
        metadata.insert(key.clone(), value.clone());
    }
    Ok(())
}
