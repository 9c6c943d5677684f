//! GGUF, the single-file format of llama.cpp: metadata, then tensor descriptions, then data.
//!
//! A file is small enough to be one download and complete enough to need no other: the model's
//! settings and its tokenizer are metadata. Parsing is in `gguf_layout`, values of metadata in
//! `gguf_metadata`, quantized types in `gguf_quants`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use pefomed_data::files;
use pefomed_kernels::mapped::MappedFile;

use super::gguf_layout::{Place, parse};
use super::gguf_metadata::{Scalar, Value};
use super::{StoredMatrix, StoredType, TensorSource, map, missing};
use crate::error::ModelError;

/// An open GGUF file of version 2 or 3.
#[derive(Debug)]
pub struct GgufFile {
    origin: String,
    file: Arc<MappedFile>,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Place>,
}

impl GgufFile {
    /// Maps a file and checks everything but the values themselves.
    ///
    /// # Errors
    /// [`ModelError::Read`], or [`ModelError::Gguf`] with what is wrong.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::from_mapped(path.display().to_string(), map(path)?)
    }

    /// Reads bytes that are mapped, embedded or in memory; `origin` names them in messages.
    ///
    /// # Errors
    /// [`ModelError::Gguf`].
    pub fn from_mapped(origin: String, file: MappedFile) -> Result<Self, ModelError> {
        match parse(file.as_bytes()) {
            Ok((metadata, tensors)) => Ok(Self { origin, file: Arc::new(file), metadata, tensors }),
            Err(fault) => Err(ModelError::Gguf { origin, fault }),
        }
    }

    /// All metadata keys, in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.metadata.keys().map(String::as_str)
    }

    /// Whether there is such a metadata key: for values that have a default.
    pub fn has_key(&self, key: &str) -> bool {
        self.metadata.contains_key(key)
    }

    /// Text, such as `general.architecture`.
    ///
    /// # Errors
    /// [`ModelError::MetadataMissing`], [`ModelError::MetadataKind`]; likewise for all below.
    pub fn str(&self, key: &str) -> Result<&str, ModelError> {
        self.scalar(key, "text", |value| match value {
            Scalar::Text(text) => Some(text),
            _ => None,
        })
    }

    /// An integer of any width that is not negative.
    ///
    /// # Errors
    /// As [`GgufFile::str`].
    pub fn u64(&self, key: &str) -> Result<u64, ModelError> {
        self.scalar(key, "an integer that is not negative", |value| match value {
            Scalar::Integer(integer) => u64::try_from(integer).ok(),
            _ => None,
        })
    }

    /// A real number of either width. Values that tools store as `f32` come back as such: the
    /// `f64` nearest to 1e-5 is not what a file with 1e-5 holds.
    ///
    /// # Errors
    /// As [`GgufFile::str`].
    pub fn f64(&self, key: &str) -> Result<f64, ModelError> {
        self.scalar(key, "a real number", |value| match value {
            Scalar::Real(real) => Some(real),
            _ => None,
        })
    }

    /// A truth value.
    ///
    /// # Errors
    /// As [`GgufFile::str`].
    pub fn bool(&self, key: &str) -> Result<bool, ModelError> {
        self.scalar(key, "a truth value", |value| match value {
            Scalar::Bool(truth) => Some(truth),
            _ => None,
        })
    }

    /// An array of text: a vocabulary, merges.
    ///
    /// # Errors
    /// As [`GgufFile::str`].
    pub fn string_array(&self, key: &str) -> Result<Vec<&str>, ModelError> {
        self.array(key, "an array of text", |value| match value {
            Scalar::Text(text) => Some(text),
            _ => None,
        })
    }

    /// An array of integers of any width whose values fit 32 bits.
    ///
    /// # Errors
    /// As [`GgufFile::str`].
    pub fn i32_array(&self, key: &str) -> Result<Vec<i32>, ModelError> {
        self.array(key, "an array of 32-bit integers", |value| match value {
            Scalar::Integer(integer) => i32::try_from(integer).ok(),
            _ => None,
        })
    }

    /// An array of real numbers, rounded to `f32` if they are wider.
    ///
    /// # Errors
    /// As [`GgufFile::str`].
    pub fn f32_array(&self, key: &str) -> Result<Vec<f32>, ModelError> {
        self.array(key, "an array of real numbers", |value| match value {
            Scalar::Real(real) => Some(real as f32),
            _ => None,
        })
    }

    /// What a key holds, in words, for listings: `text`, `an array of 5 values, each text`.
    ///
    /// # Errors
    /// [`ModelError::MetadataMissing`].
    pub fn describe(&self, key: &str) -> Result<String, ModelError> {
        Ok(self.value(key)?.describe(self.file.as_bytes()))
    }

    fn value(&self, key: &str) -> Result<Value, ModelError> {
        self.metadata.get(key).copied().ok_or_else(|| ModelError::MetadataMissing {
            origin: self.origin.clone(),
            key: key.to_owned(),
        })
    }

    fn scalar<'a, T>(
        &'a self,
        key: &str,
        wanted: &'static str,
        convert: impl Fn(Scalar<'a>) -> Option<T>,
    ) -> Result<T, ModelError> {
        let value = self.value(key)?;
        value
            .scalar(self.file.as_bytes())
            .and_then(convert)
            .ok_or_else(|| self.wrong_kind(key, wanted, value))
    }

    fn array<'a, T>(
        &'a self,
        key: &str,
        wanted: &'static str,
        convert: impl Fn(Scalar<'a>) -> Option<T>,
    ) -> Result<Vec<T>, ModelError> {
        let value = self.value(key)?;
        value
            .array(self.file.as_bytes(), convert)
            .ok_or_else(|| self.wrong_kind(key, wanted, value))
    }

    fn wrong_kind(&self, key: &str, wanted: &'static str, value: Value) -> ModelError {
        let bytes = self.file.as_bytes();
        let found = match value.scalar(bytes) {
            Some(Scalar::Integer(integer)) => format!("the integer {integer}"),
            _ => value.describe(bytes),
        };
        let (origin, key) = (self.origin.clone(), key.to_owned());
        ModelError::MetadataKind { origin, key, wanted, found }
    }
}

impl TensorSource for GgufFile {
    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|place| place.shape.as_slice())
    }

    fn dtype(&self, name: &str) -> Option<StoredType> {
        self.tensors.get(name).map(|place| place.stored)
    }

    fn read_f32(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let place = self.tensors.get(name).ok_or_else(|| missing(self, name))?;
        let values = place.stored.widen(&self.file.as_bytes()[place.bytes.clone()]);
        self.file.forget(place.bytes.clone());
        values.ok_or_else(|| ModelError::TensorType {
            origin: self.origin.clone(),
            name: name.to_owned(),
            stored: place.stored,
            wanted: "real numbers",
        })
    }

    fn stored(&self, name: &str) -> Option<StoredMatrix> {
        let place = self.tensors.get(name)?;
        StoredMatrix::new(&self.file, place.bytes.clone(), place.stored, &place.shape)
    }

    fn origin(&self) -> &str {
        &self.origin
    }

    fn digest(&self) -> String {
        files::digest_pieces([(self.file.as_bytes().len(), self.file.pieces())])
    }
}

/// Reorders the rows of a query or key weight from the layout of llama.cpp to that of Hugging
/// Face. Rotary position embedding turns pairs of rows of each head: llama.cpp's files of the
/// `llama` architecture keep the partners side by side (2i and 2i + 1), Hugging Face's models half
/// a head apart (i and i + d/2). `weight` is row-major with `heads · d` rows; for a key weight,
/// `heads` is the number of key/value heads. Other tensors are the same in both.
///
/// Returns none when the rows do not divide into `heads` heads of even size.
pub fn rotary_pairs_to_halves(weight: &[f32], rows: usize, heads: usize) -> Option<Vec<f32>> {
    let even = rotary_row(0, rows, heads).is_some();
    if !even || !weight.len().is_multiple_of(rows) {
        return None;
    }
    let columns = weight.len() / rows;
    let mut out = Vec::with_capacity(weight.len());
    for row in 0..rows {
        let from = rotary_row(row, rows, heads)? * columns;
        out.extend_from_slice(&weight[from..from + columns]);
    }
    Some(out)
}

/// The row of a file of llama.cpp that is row `row` in the layout of Hugging Face; see
/// [`rotary_pairs_to_halves`].
pub(crate) fn rotary_row(row: usize, rows: usize, heads: usize) -> Option<usize> {
    let head = rows.checked_div(heads)?;
    if head == 0 || head % 2 != 0 || head * heads != rows {
        return None;
    }
    let (start, within) = (row / head * head, row % head);
    let (half, pair) = (within / (head / 2), within % (head / 2));
    Some(start + 2 * pair + half)
}
