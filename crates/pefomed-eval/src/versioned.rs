//! Files whose layout has a number.

use std::path::Path;

use pefomed_data::files;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::EvalError;

/// Reads a JSON file with a `format` of at most `supported`.
///
/// # Errors
/// [`EvalError::Data`] when it cannot be read or is not what it should be,
/// [`EvalError::NewerFormat`] when a newer version wrote it.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, supported: u32) -> Result<T, EvalError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    // The version comes first: a newer layout must not be reported as broken JSON.
    let head: Head = files::read_json(path)?;
    if head.format > supported {
        return Err(EvalError::NewerFormat {
            path: path.to_owned(),
            found: head.format,
            supported,
        });
    }
    Ok(files::read_json(path)?)
}
