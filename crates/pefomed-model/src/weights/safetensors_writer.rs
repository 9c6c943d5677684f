//! Writing safetensors, the same bytes for the same tensors.
//!
//! The format's own crate keeps metadata in a hash map, whose order differs from run to run. Here
//! everything is sorted, so that a digest of the file is a digest of what it holds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use half::f16;
use pefomed_data::files;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde_json::{Map, Value};

use crate::error::ModelError;

/// The key that the format reserves for free-form pairs.
const METADATA: &str = "__metadata__";

/// Values to be written, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorValues {
    /// Single precision.
    F32(Vec<f32>),
    /// Half precision.
    F16(Vec<f16>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// Bytes.
    U8(Vec<u8>),
}

impl TensorValues {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::U8(values) => values.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F16(_) => Dtype::F16,
            Self::I64(_) => Dtype::I64,
            Self::U8(_) => Dtype::U8,
        }
    }

    pub(super) fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::U8(values) => Cow::Borrowed(values),
        }
    }
}

/// Writes named tensors with their row-major shapes, whole or not at all. `metadata` goes into the
/// header; other tools expect the pair `format` = `pt` there. Wider types come first, so that every
/// tensor is aligned; within a type, names are in alphabetical order.
///
/// # Errors
/// [`ModelError::WriteShape`] when shape and values disagree, [`ModelError::WriteName`] for a name
/// that is reserved or used twice, [`ModelError::Data`] when the file cannot be written.
pub fn write_safetensors(
    path: &Path,
    tensors: &[(String, Vec<usize>, TensorValues)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), ModelError> {
    let heads: Vec<TensorHead> = tensors
        .iter()
        .map(|(name, shape, values)| (name.clone(), shape.clone(), values.dtype()))
        .collect();
    write_one_by_one(path, &heads, metadata, |index| {
        Ok(tensors.get(index).map_or(Cow::Borrowed(&[]), |(_, _, values)| values.bytes()))
    })
}

/// Name, row-major shape and type of a tensor to be written.
pub(crate) type TensorHead = (String, Vec<usize>, Dtype);

/// As [`write_safetensors`], with values that are made one tensor at a time, by its place in
/// `heads`, so that a model larger than memory can be written.
///
/// # Errors
/// As [`write_safetensors`], and what `values` fails with.
pub(crate) fn write_one_by_one<'a>(
    path: &Path,
    heads: &[TensorHead],
    metadata: &BTreeMap<String, String>,
    mut values: impl FnMut(usize) -> Result<Cow<'a, [u8]>, ModelError>,
) -> Result<(), ModelError> {
    let mut order: Vec<(usize, &TensorHead)> = heads.iter().enumerate().collect();
    order.sort_by(|(_, (left, _, a)), (_, (right, _, b))| {
        b.bitsize().cmp(&a.bitsize()).then_with(|| left.cmp(right))
    });
    let mut header = Map::new();
    if !metadata.is_empty() {
        let pairs = metadata.iter().map(|(key, value)| (key.clone(), Value::from(value.clone())));
        header.insert(METADATA.to_owned(), Value::Object(pairs.collect()));
    }
    let mut end = 0;
    for (_, (name, shape, dtype)) in &order {
        if name == METADATA {
            return Err(ModelError::WriteName { name: name.clone(), problem: "reserved" });
        }
        let size = byte_size(shape, *dtype).ok_or_else(|| ModelError::WriteShape {
            name: name.clone(),
            shape: shape.clone(),
            values: 0,
        })?;
        let start = end;
        end += size;
        let info = TensorInfo { dtype: *dtype, shape: shape.clone(), data_offsets: (start, end) };
        if header.insert(name.clone(), serde_json::json!(info)).is_some() {
            return Err(ModelError::WriteName { name: name.clone(), problem: "used twice" });
        }
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut failed = None;
    let written = files::write_atomically(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        for (index, (name, shape, dtype)) in &order {
            let result = values(*index).and_then(|bytes| {
                if byte_size(shape, *dtype) == Some(bytes.len()) {
                    return Ok(bytes);
                }
                Err(ModelError::WriteShape {
                    name: name.clone(),
                    shape: shape.clone(),
                    values: bytes.len() * 8 / dtype.bitsize(),
                })
            });
            match result {
                Ok(bytes) => out.write_all(&bytes)?,
                // Leaves the file unwritten; the error itself is told below.
                Err(error) => {
                    failed = Some(error);
                    return Err(io::Error::other("no values"));
                }
            }
        }
        Ok(())
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(written?),
    }
}

/// Bytes of a tensor; none when there are more than can be counted.
fn byte_size(shape: &[usize], dtype: Dtype) -> Option<usize> {
    let bytes = dtype.bitsize() / 8;
    shape.iter().try_fold(bytes, |product, &size| product.checked_mul(size))
}
