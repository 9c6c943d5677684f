//! Files that are written whole or not at all, and digests that name their contents.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::DataError;

/// Writes `path` through a temporary file in the same folder, which is synced and renamed at the
/// end: a reader sees the old file or the new one, never half of it. Missing folders are made.
///
/// # Errors
/// [`DataError::Write`] with the path and the cause (no space, no permission, …); the temporary
/// file is removed.
pub fn write_atomically<F>(path: &Path, fill: F) -> Result<(), DataError>
where
    F: FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
{
    let failed = |source| DataError::Write { path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let temporary = tempfile::Builder::new()
        .prefix(".writing-")
        .suffix(".tmp")
        .tempfile_in(folder)
        .map_err(failed)?;
    {
        let mut out = BufWriter::with_capacity(1 << 16, temporary.as_file());
        fill(&mut out).map_err(failed)?;
        out.flush().map_err(failed)?;
    }
    temporary.as_file().sync_all().map_err(failed)?;
    make_readable(temporary.as_file()).map_err(failed)?;
    temporary.persist(path).map_err(|error| failed(error.error))?;
    // The rename itself must survive a power cut; not every file system can sync a folder.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Temporary files are private to their owner; a result is meant to be shared like any other file.
#[cfg(unix)]
fn make_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Writes bytes with [`write_atomically`].
///
/// # Errors
/// [`DataError::Write`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    write_atomically(path, |out| out.write_all(bytes))
}

/// Writes a value as indented JSON with [`write_atomically`].
///
/// # Errors
/// [`DataError::Write`].
pub fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), DataError> {
    write_atomically(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
}

/// Reads a whole file.
///
/// # Errors
/// [`DataError::Read`].
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })
}

/// Reads a whole UTF-8 file.
///
/// # Errors
/// [`DataError::Read`], also when the bytes are not UTF-8.
pub fn read_text(path: &Path) -> Result<String, DataError> {
    fs::read_to_string(path).map_err(|source| DataError::Read { path: path.to_owned(), source })
}

/// Reads a JSON file into a value.
///
/// # Errors
/// [`DataError::Read`] or [`DataError::Json`] with the path, line and column.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, DataError> {
    serde_json::from_str(&read_text(path)?)
        .map_err(|source| DataError::Json { path: path.to_owned(), source })
}

/// SHA-256 of some parts, as 64 hexadecimal digits. Each part is preceded by its length, so that
/// moving a byte from one part to the next changes the digest.
pub fn digest<I, P>(parts: I) -> String
where
    I: IntoIterator<Item = P>,
    P: AsRef<[u8]>,
{
    let mut hasher = Sha256::new();
    for part in parts {
        hash_part(&mut hasher, part.as_ref().len(), [part.as_ref()]);
    }
    hexadecimal(&hasher.finalize())
}

/// Adds a part of so many bytes, which comes in pieces.
fn hash_part<B: AsRef<[u8]>>(
    hasher: &mut Sha256,
    length: usize,
    pieces: impl IntoIterator<Item = B>,
) {
    hasher.update((length as u64).to_le_bytes());
    for piece in pieces {
        hasher.update(piece.as_ref());
    }
}

/// [`digest`] of parts that come in pieces, each part with its length in bytes.
pub fn digest_pieces<I, P, B>(parts: I) -> String
where
    I: IntoIterator<Item = (usize, P)>,
    P: IntoIterator<Item = B>,
    B: AsRef<[u8]>,
{
    let mut hasher = Sha256::new();
    for (length, pieces) in parts {
        hash_part(&mut hasher, length, pieces);
    }
    hexadecimal(&hasher.finalize())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 of bytes, as `sha256sum` prints it for a file that holds them.
pub fn digest_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// SHA-256 of a file's bytes, read in pieces, as `sha256sum` prints it.
///
/// # Errors
/// [`DataError::Read`].
pub fn digest_file(path: &Path) -> Result<String, DataError> {
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 20];
    loop {
        let read = io::Read::read(&mut file, &mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    Ok(hexadecimal(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.json");
        write_bytes(&path, b"old").unwrap();
        let result = write_atomically(&path, |out| {
            out.write_all(b"half of the new")?;
            Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"))
        });
        let message = result.unwrap_err().to_string();
        assert!(message.contains("metrics.json"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn digests_are_those_of_the_standard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        write_bytes(&path, b"abc").unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            digest_file(&path).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(digest_bytes(b"abc"), digest_file(&path).unwrap());
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
        assert_eq!(digest_pieces([(2, vec!["a", "b"]), (1, vec!["c"])]), digest(["ab", "c"]));
    }
}
