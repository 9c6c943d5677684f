//! Reading what `torch.save` writes (`.pth`, `.pt`, `pytorch_model.bin`): an archive of a pickle
//! that describes tensors and, uncompressed, one entry of plain bytes for each storage.
//!
//! The pickle is read by `pickle`, which runs nothing. Values stay where they are in the mapped
//! file. A checkpoint is a dictionary of tensors, or one that holds such a dictionary beside an
//! optimizer, a configuration and numbers; what stands beside the tensors is described in words
//! and otherwise left alone.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Range;
use std::path::Path;

use pefomed_data::files;
use pefomed_kernels::mapped::MappedFile;
use safetensors::Dtype;
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{Object, Unpickled, Value, View, unpickle};
use super::shards::{self, Weights};
use super::{StoredType, TensorSource, TorchFault, map, missing};
use crate::error::ModelError;

/// File names in a folder in Hugging Face layout: one file, and the list of shards.
pub(super) const NAMES: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
/// The first bytes of an archive.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";
/// The first bytes of a pickle of protocol 2, which is what PyTorch wrote before version 1.6.
pub(super) const LEGACY: &[u8] = b"\x80\x02";
/// Where training programs keep the model's tensors.
const MODEL_KEYS: [&str; 4] = ["model", "state_dict", "model_state_dict", "module"];

/// Tensors that `torch.save` wrote to one file or to all shards of a model.
#[derive(Debug)]
pub struct TorchFile {
    origin: String,
    /// In the order of their names.
    files: Vec<MappedFile>,
    tensors: BTreeMap<String, Place>,
    part: Option<String>,
    beside: Vec<(String, String)>,
    refused: Vec<String>,
}

#[derive(Debug)]
struct Place {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// From the first value to the end of the last.
    bytes: Range<usize>,
    /// In numbers of values, unless the values lie in row-major order without gaps.
    strides: Option<Vec<usize>>,
}

impl TorchFile {
    /// Opens a file, a list of shards (`….index.json`), or a folder that holds `pytorch_model.bin`
    /// or `pytorch_model.bin.index.json`.
    ///
    /// # Errors
    /// [`ModelError::Read`], [`ModelError::NoWeights`], [`ModelError::Torch`]; for shards also as
    /// [`SafetensorsFile::open`](super::SafetensorsFile::open).
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        match shards::locate(path, NAMES)? {
            Weights::Whole(file) => Self::from_mapped(file.display().to_string(), map(&file)?),
            Weights::Sharded(index) => Self::open_shards(&index),
        }
    }

    /// Reads bytes that are mapped, embedded or in memory; `origin` names them in messages.
    ///
    /// # Errors
    /// [`ModelError::Torch`].
    pub fn from_mapped(origin: String, file: MappedFile) -> Result<Self, ModelError> {
        match read(file.as_bytes(), 0) {
            Ok(Contents { tensors, part, beside, refused }) => {
                Ok(Self { origin, files: vec![file], tensors, part, beside, refused })
            }
            Err(fault) => Err(ModelError::Torch { origin, fault }),
        }
    }

    fn open_shards(path: &Path) -> Result<Self, ModelError> {
        let mut file = Self {
            origin: path.display().to_string(),
            files: Vec::new(),
            tensors: BTreeMap::new(),
            part: None,
            beside: Vec::new(),
            refused: Vec::new(),
        };
        for shard in shards::open(path)? {
            let number = file.files.len();
            let mut held = read(shard.file.as_bytes(), number).map_err(|fault| {
                ModelError::Torch { origin: shard.path.display().to_string(), fault }
            })?;
            for tensor in &shard.tensors {
                let place = held.tensors.remove(tensor);
                file.tensors.insert(tensor.clone(), place.ok_or_else(|| shard.lacks(tensor))?);
            }
            file.refused.extend(held.refused);
            file.files.push(shard.file);
        }
        Ok(file)
    }

    /// The key of the tensors' dictionary, such as `model`; none when the file holds nothing else.
    pub fn part(&self) -> Option<&str> {
        self.part.as_deref()
    }

    /// What stands beside the tensors' dictionary, in the order of the file: keys, and what they
    /// hold in words.
    pub fn beside(&self) -> &[(String, String)] {
        &self.beside
    }

    /// Names of classes and functions that the file asks for and that were not looked up, sorted.
    /// Optimizers and configurations ask for some.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }
}

impl TensorSource for TorchFile {
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
        let place = self.tensors.get(name).ok_or_else(|| missing(self, name))?;
        let stored = StoredType::of_safetensors(place.dtype);
        let bytes = &self.files[place.file].as_bytes()[place.bytes.clone()];
        let values = match &place.strides {
            None => stored.widen(bytes),
            Some(strides) => {
                stored.widen(&gather(bytes, &place.shape, strides, place.dtype.bitsize() / 8))
            }
        };
        self.files[place.file].forget(place.bytes.clone());
        values.ok_or_else(|| ModelError::TensorType {
            origin: self.origin.clone(),
            name: name.to_owned(),
            stored,
            wanted: "real numbers",
        })
    }

    fn origin(&self) -> &str {
        &self.origin
    }

    fn digest(&self) -> String {
        files::digest_pieces(self.files.iter().map(|it| (it.as_bytes().len(), it.pieces())))
    }
}

struct Contents {
    tensors: BTreeMap<String, Place>,
    part: Option<String>,
    beside: Vec<(String, String)>,
    refused: Vec<String>,
}

/// Finds and checks everything in one file but the values themselves.
fn read(bytes: &[u8], file: usize) -> Result<Contents, TorchFault> {
    if bytes.starts_with(LEGACY) {
        return Err(TorchFault::Legacy);
    }
    let (entries, prefix) = entries(bytes)?;
    let entry = |name: &str| entries.get(&format!("{prefix}{name}")).cloned();
    if entry("byteorder").is_some_and(|range| bytes[range].starts_with(b"big")) {
        return Err(TorchFault::BigEndian);
    }
    let pickle = entry("data.pkl").ok_or(TorchFault::NoPickle)?;
    let pickle = unpickle(&bytes[pickle])?;
    let (part, dict) = tensors_of(&pickle)?;
    let mut tensors = BTreeMap::new();
    for &(key, value) in dict {
        let Value::Text(name) = key else {
            return Err(TorchFault::Key { found: pickle.describe(key) });
        };
        let tensor = || name.to_owned();
        let Some(Object::Tensor(view)) = pickle.object(value) else {
            let found = pickle.describe(value);
            return Err(TorchFault::NoTensor { tensor: tensor(), found });
        };
        let key = view.storage.key;
        let storage = entry(&format!("data/{key}"))
            .ok_or_else(|| TorchFault::NoStorage { tensor: tensor(), key: key.to_owned() })?;
        let place = place(name, view, storage, file)?;
        if tensors.insert(tensor(), place).is_some() {
            return Err(TorchFault::Twice { tensor: tensor() });
        }
    }
    let beside = match (part, pickle.object(pickle.root)) {
        (Some(part), Some(Object::Dict(items))) => items
            .iter()
            .filter(|(key, _)| *key != Value::Text(part))
            .map(|&(key, value)| {
                let key = match key {
                    Value::Text(text) => text.escape_debug().to_string(),
                    other => pickle.describe(other),
                };
                (key, pickle.describe(value))
            })
            .collect(),
        _ => Vec::new(),
    };
    let part = part.map(str::to_owned);
    Ok(Contents { tensors, part, beside, refused: pickle.refused.into_iter().collect() })
}

/// Where the entries of an archive lie, by name, and the folder within it that holds them all.
fn entries(bytes: &[u8]) -> Result<(BTreeMap<String, Range<usize>>, String), TorchFault> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))?;
    if archive.has_duplicate_names() || archive.has_overlapping_entries()? {
        return Err(TorchFault::Overlap);
    }
    let mut entries = BTreeMap::new();
    let mut prefix = None;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index)?;
        let name = entry.name()?.into_owned();
        let stored = entry.compression() == CompressionMethod::Stored && !entry.encrypted();
        if !stored || entry.size() != entry.compressed_size() {
            return Err(TorchFault::Packed { entry: name });
        }
        let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
        let range = start.and_then(|start| {
            let end = start.checked_add(usize::try_from(entry.size()).ok()?)?;
            (end <= bytes.len()).then_some(start..end)
        });
        let range = range.ok_or(TorchFault::Cut { reading: "an entry of its archive" })?;
        if let Some((folder, "data.pkl")) = name.split_once('/')
            && prefix.replace(format!("{folder}/")).is_some()
        {
            return Err(TorchFault::TwoPickles);
        }
        entries.insert(name, range);
    }
    Ok((entries, prefix.ok_or(TorchFault::NoPickle)?))
}

type Items<'a> = [(Value<'a>, Value<'a>)];

/// The dictionary of the model's tensors, and its key unless it is the root.
fn tensors_of<'a>(
    pickle: &'a Unpickled<'a>,
) -> Result<(Option<&'a str>, &'a Items<'a>), TorchFault> {
    let Some(Object::Dict(root)) = pickle.object(pickle.root) else {
        return Err(TorchFault::NoTensors { found: pickle.describe(pickle.root) });
    };
    let is_tensor = |(_, value): &(Value<'_>, Value<'_>)| {
        matches!(pickle.object(*value), Some(Object::Tensor(_)))
    };
    if root.iter().any(is_tensor) || root.is_empty() {
        return Ok((None, root));
    }
    let mut models = Vec::new();
    for &(key, value) in root {
        if let (Value::Text(key), Some(Object::Dict(items))) = (key, pickle.object(value))
            && MODEL_KEYS.contains(&key)
        {
            models.push((key, items.as_slice()));
        }
    }
    match models.as_slice() {
        [(key, items)] => Ok((Some(key), items)),
        [] => {
            let keys = root.iter().take(10).map(|&(key, value)| match key {
                Value::Text(key) => {
                    format!("`{}`: {}", key.escape_debug(), pickle.describe(value))
                }
                other => pickle.describe(other),
            });
            let found = format!("a dictionary of {}", keys.collect::<Vec<_>>().join(", "));
            Err(TorchFault::NoTensors { found })
        }
        several => {
            let names = several.iter().map(|(key, _)| (*key).to_owned()).collect();
            Err(TorchFault::SeveralModels { names })
        }
    }
}

/// Checks a tensor against the entry its values lie in.
fn place(
    name: &str,
    view: &View<'_>,
    storage: Range<usize>,
    file: usize,
) -> Result<Place, TorchFault> {
    let (tensor, key) = (|| name.to_owned(), || view.storage.key.to_owned());
    let outside = || TorchFault::Outside { tensor: tensor(), key: key() };
    let width = (view.storage.dtype.bitsize() / 8) as u64;
    let expected = view.storage.values.checked_mul(width).ok_or_else(outside)?;
    if expected != storage.len() as u64 {
        let found = storage.len();
        return Err(TorchFault::StorageSize { tensor: tensor(), key: key(), expected, found });
    }
    // An empty dimension must not hide that the others overflow for whoever multiplies them.
    let product = |least: u64| {
        view.shape.iter().try_fold(1_u64, |product, &size| product.checked_mul(size.max(least)))
    };
    let (Some(count), Some(_)) = (product(0), product(1)) else {
        return Err(outside());
    };
    if count > view.storage.values {
        let expanded =
            view.shape.iter().zip(&view.strides).any(|(&n, &stride)| n > 1 && stride == 0);
        return Err(if expanded { TorchFault::Expanded { tensor: tensor() } } else { outside() });
    }
    let shape: Vec<usize> = view.shape.iter().map(|&size| size as usize).collect();
    if count == 0 {
        let start = storage.start;
        let bytes = start..start;
        return Ok(Place { file, dtype: view.storage.dtype, shape, bytes, strides: None });
    }
    let last = view
        .shape
        .iter()
        .zip(&view.strides)
        .try_fold(view.offset, |last, (&size, &stride)| {
            last.checked_add((size - 1).checked_mul(stride)?)
        })
        .filter(|&last| last < view.storage.values)
        .ok_or_else(outside)?;
    // From here on everything is a place in the storage and fits.
    let start = storage.start + (view.offset * width) as usize;
    let bytes = start..storage.start + ((last + 1) * width) as usize;
    let mut next = 1;
    let dense = view.shape.iter().zip(&view.strides).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride == next;
        next *= size;
        fits
    });
    let strides =
        (!dense).then(|| view.strides.iter().map(|&stride| stride as usize).collect::<Vec<_>>());
    Ok(Place { file, dtype: view.storage.dtype, shape, bytes, strides })
}

/// The values of a strided tensor in row-major order; `width` bytes each.
fn gather(bytes: &[u8], shape: &[usize], strides: &[usize], width: usize) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let mut out = Vec::with_capacity(count * width);
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    for _ in 0..count {
        out.extend_from_slice(&bytes[at * width..(at + 1) * width]);
        for dimension in (0..shape.len()).rev() {
            index[dimension] += 1;
            at += strides[dimension];
            if index[dimension] < shape[dimension] {
                break;
            }
            at -= strides[dimension] * shape[dimension];
            index[dimension] = 0;
        }
    }
    out
}
