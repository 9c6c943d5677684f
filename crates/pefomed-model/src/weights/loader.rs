//! Taking tensors out of a file, with an account of what was taken.

use std::collections::BTreeSet;
use std::sync::Arc;

use pefomed_kernels::frozen::StoredRows;

use super::{TensorSource, missing};
use crate::error::ModelError;

/// Left-over names that an error lists.
const LISTED: usize = 10;
/// Similar names that an error suggests.
const SUGGESTED: usize = 3;
/// Names longer than this many bytes are not compared: the effort grows with the square.
const COMPARED_BYTES: usize = 256;

/// Hands tensors to a model and remembers which ones it took.
///
/// ```text
/// let mut loader = Loader::new(&file);
/// let weight = loader.take("norm.weight", &[384])?;
/// …
/// loader.finish(&|name| name.ends_with("position_ids"))?;
/// ```
pub struct Loader<'a> {
    source: &'a dyn TensorSource,
    taken: BTreeSet<String>,
}

impl<'a> Loader<'a> {
    /// Starts with nothing taken.
    pub fn new(source: &'a dyn TensorSource) -> Self {
        Self { source, taken: BTreeSet::new() }
    }

    /// The source, for shapes and messages.
    pub fn source(&self) -> &'a dyn TensorSource {
        self.source
    }

    /// Whether the source holds the tensor: for biases and heads that some models lack.
    pub fn has(&self, name: &str) -> bool {
        self.source.shape(name).is_some()
    }

    /// Values of a tensor in row-major order. Taking one twice is allowed: tied weights.
    ///
    /// # Errors
    /// [`ModelError::TensorMissing`] with similar names, [`ModelError::TensorShape`] with both
    /// shapes, [`ModelError::TensorType`].
    pub fn take(&mut self, name: &str, expected: &[usize]) -> Result<Vec<f32>, ModelError> {
        self.check(name, expected)?;
        let values = self.source.read_f32(name)?;
        self.taken.insert(name.to_owned());
        Ok(values)
    }

    /// Counts a tensor as taken without reading it: one that repeats another.
    ///
    /// # Errors
    /// [`ModelError::TensorMissing`], [`ModelError::TensorShape`].
    pub fn pass_over(&mut self, name: &str, expected: &[usize]) -> Result<(), ModelError> {
        self.check(name, expected)?;
        self.taken.insert(name.to_owned());
        Ok(())
    }

    /// A matrix left in the bytes of its file.
    ///
    /// # Errors
    /// As [`take`](Self::take), and [`ModelError::NotStored`] for a format that has none.
    pub fn take_stored(
        &mut self,
        name: &str,
        expected: [usize; 2],
    ) -> Result<Arc<dyn StoredRows>, ModelError> {
        self.check(name, &expected)?;
        let matrix = self.source.stored(name).ok_or_else(|| ModelError::NotStored {
            origin: self.source.origin().to_owned(),
            name: name.to_owned(),
        })?;
        self.taken.insert(name.to_owned());
        Ok(Arc::new(matrix))
    }

    /// Passes a tensor that is there in the shape that is expected.
    ///
    /// # Errors
    /// [`ModelError::TensorMissing`], [`ModelError::TensorShape`].
    pub(crate) fn check(&self, name: &str, expected: &[usize]) -> Result<(), ModelError> {
        let found = self.source.shape(name).ok_or_else(|| missing(self.source, name))?;
        if found != expected {
            return Err(ModelError::TensorShape {
                origin: self.source.origin().to_owned(),
                name: name.to_owned(),
                expected: expected.to_vec(),
                found: found.to_vec(),
            });
        }
        Ok(())
    }

    /// Ends loading. Names that `ignore` accepts may be left over: parts of the published model
    /// that this one does without, listed by the key map.
    ///
    /// # Errors
    /// [`ModelError::TensorsLeftOver`] with the count and the first ten names.
    pub fn finish(self, ignore: &dyn Fn(&str) -> bool) -> Result<(), ModelError> {
        let left: Vec<&str> = self
            .source
            .names()
            .into_iter()
            .filter(|name| !self.taken.contains(*name) && !ignore(name))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        Err(ModelError::TensorsLeftOver {
            origin: self.source.origin().to_owned(),
            count: left.len(),
            names: left.iter().take(LISTED).map(|name| (*name).to_owned()).collect(),
        })
    }
}

/// The names closest to `name` by edit distance, the closest first; equal ones by alphabet.
pub(super) fn nearest(name: &str, names: &[&str]) -> Vec<String> {
    if name.len() > COMPARED_BYTES {
        return Vec::new();
    }
    let mut ranked: Vec<(usize, &str)> = names
        .iter()
        .filter(|other| other.len() <= COMPARED_BYTES)
        .map(|other| (edit_distance(name.as_bytes(), other.as_bytes()), *other))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(SUGGESTED).map(|(_, name)| name.to_owned()).collect()
}

/// Insertions, deletions and substitutions of bytes that turn `a` into `b` (Levenshtein).
fn edit_distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_known_pairs() {
        assert_eq!(edit_distance(b"kitten", b"sitting"), 3);
        assert_eq!(edit_distance(b"", b"abc"), 3);
        assert_eq!(edit_distance(b"abc", b""), 3);
        assert_eq!(edit_distance(b"layers.0", b"layers.0"), 0);
    }

    #[test]
    fn the_nearest_names_come_first() {
        let names = ["blk.0.attn_k.weight", "blk.0.attn_q.bias", "norm", "blk.0.attn_q.weight"];
        let near = nearest("blk.0.attn_q.weigth", &names);
        assert_eq!(near, ["blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_q.bias"]);
    }
}
