//! Lists of shards: JSON from a stranger that says which tensor lies in which file.
//!
//! The list names files to open, so a name that leaves the folder is refused.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use pefomed_data::files;
use pefomed_kernels::mapped::MappedFile;
use serde::Deserialize;

use crate::error::ModelError;

/// The part of the list that matters; `metadata` beside it holds a total size.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The weights of a path, of one format.
pub(super) enum Weights {
    /// One file.
    Whole(PathBuf),
    /// A list of shards.
    Sharded(PathBuf),
}

/// Finds the weights of a path: a file, a list of shards (`….json`), or a folder that holds one of
/// the names `[whole, index]`, of which the first comes first.
pub(super) fn locate(path: &Path, [whole, index]: [&str; 2]) -> Result<Weights, ModelError> {
    if path.is_dir() {
        return if path.join(whole).exists() {
            Ok(Weights::Whole(path.join(whole)))
        } else if path.join(index).exists() {
            Ok(Weights::Sharded(path.join(index)))
        } else {
            Err(ModelError::NoWeights { folder: path.to_owned() })
        };
    }
    if path.extension().is_some_and(|extension| extension == "json") {
        return Ok(Weights::Sharded(path.to_owned()));
    }
    Ok(Weights::Whole(path.to_owned()))
}

/// A mapped shard and the tensors that the list places in it.
pub(super) struct Shard {
    index: PathBuf,
    name: String,
    pub(super) path: PathBuf,
    pub(super) file: MappedFile,
    /// In alphabetical order.
    pub(super) tensors: Vec<String>,
}

impl Shard {
    /// The error for a tensor that the shard should hold and does not.
    pub(super) fn lacks(&self, tensor: &str) -> ModelError {
        ModelError::NotInShard {
            index: self.index.clone(),
            tensor: tensor.to_owned(),
            shard: self.name.clone(),
        }
    }
}

/// Maps all shards of a list, in the order of their names.
pub(super) fn open(path: &Path) -> Result<Vec<Shard>, ModelError> {
    let index: Index = files::read_json(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut by_shard: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, shard) in index.weight_map {
        by_shard.entry(shard).or_default().push(tensor);
    }
    let mut shards = Vec::with_capacity(by_shard.len());
    for (name, tensors) in by_shard {
        if !is_plain_name(&name) {
            return Err(ModelError::ShardOutside { index: path.to_owned(), shard: name });
        }
        let shard = folder.join(&name);
        let file = match MappedFile::open(&shard) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ModelError::ShardMissing { index: path.to_owned(), shard: name });
            }
            Err(source) => return Err(ModelError::Read { path: shard, source }),
        };
        shards.push(Shard { index: path.to_owned(), name, path: shard, file, tensors });
    }
    Ok(shards)
}

/// Whether a name is that of a file in the same folder, on every system.
fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
        && !name.contains(['/', '\\', ':', '\0'])
}
