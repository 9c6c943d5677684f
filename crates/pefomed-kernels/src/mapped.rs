//! A file as a slice of bytes, without reading it into memory first.
//!
//! Weight files are larger than what a loader wants to hold twice. Mapping one is safe only as
//! long as nobody changes the file meanwhile, which no type can promise; so the one `unsafe` call
//! lives here, behind an interface that can neither write to the file nor outlive the mapping.
//! Bytes that are already in memory (an asset inside the binary, a download) go through the same
//! type, so that a reader needs only one path.
#![allow(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;

/// Bytes that [`MappedFile::pieces`] gives at a time.
const PIECE: usize = 4 << 20;

/// Bytes around one that is read which the system may map with it.
#[cfg(unix)]
const HUGE_PAGE: usize = 2 << 20;

/// Read-only bytes of a mapped file, an embedded asset or a buffer.
pub struct MappedFile {
    bytes: Bytes,
}

enum Bytes {
    Mapped(Mmap),
    Static(&'static [u8]),
    Owned(Vec<u8>),
}

impl MappedFile {
    /// Maps a regular file. The file must not be changed or cut while it is mapped: a reader
    /// would see the change, or be stopped by the system when it touches a page that is gone.
    /// Replacing the file by a rename is harmless.
    ///
    /// # Errors
    /// The system's reason when the file cannot be opened or mapped; `InvalidInput` when the path
    /// names a folder, a pipe or a device.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Asked before opening, because opening a pipe would wait for its writer.
        let about = std::fs::metadata(path)?;
        if !about.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        if about.len() == 0 {
            // Some systems refuse to map nothing.
            return Ok(Self::from_static(&[]));
        }
        let file = File::open(path)?;
        // SAFETY: the mapping is private to this value, read-only and unmapped on drop, and slices
        // borrowed from it cannot outlive it. The remaining condition, that no other process
        // changes the file meanwhile, is the caller's and stated above.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self { bytes: Bytes::Mapped(map) })
    }

    /// Bytes that live as long as the program: `include_bytes!`.
    pub fn from_static(bytes: &'static [u8]) -> Self {
        Self { bytes: Bytes::Static(bytes) }
    }

    /// Bytes that are in memory already.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Self { bytes: Bytes::Owned(bytes) }
    }

    /// All bytes of the file.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map) => map,
            Bytes::Static(bytes) => bytes,
            Bytes::Owned(bytes) => bytes,
        }
    }

    /// Tells the system that some bytes were read and will hardly be read again: their pages no longer
    /// count as this program's memory. Whoever reads them all the same gets the same bytes, from the
    /// system's cache or the disk. Does nothing to bytes that are no mapped file, beyond its end, or on
    /// a system that has no such call.
    pub fn forget(&self, bytes: Range<usize>) {
        #[cfg(unix)]
        if let Bytes::Mapped(map) = &self.bytes {
            // A page that is read may bring its neighbours along, those before it too.
            let start = bytes.start.saturating_sub(HUGE_PAGE);
            let end = bytes.end.saturating_add(HUGE_PAGE).min(map.len());
            if start < end {
                // SAFETY: the mapping is read-only, so no page of it was ever changed, and a page
                // that is dropped is read from the file again: no slice of it sees other bytes.
                let told = unsafe {
                    map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, end - start)
                };
                // It is advice: without it the pages stay, and all is as before.
                drop(told);
            }
        }
        #[cfg(not(unix))]
        drop(bytes);
    }

    /// All bytes in their order, piece by piece, each of which is [forgotten](Self::forget) when the
    /// next is asked for: to read a file once that is larger than what should be in memory.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let all = self.as_bytes();
        (0..all.len()).step_by(PIECE).map(move |start| {
            self.forget(start.saturating_sub(PIECE)..start);
            &all[start..all.len().min(start + PIECE)]
        })
    }
}

impl fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedFile").field("bytes", &self.as_bytes().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_seen_as_written_and_a_folder_is_refused() {
        let folder = std::env::temp_dir().join(format!("pefomed-mapped-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("bytes");
        std::fs::write(&path, b"weights").unwrap();
        assert_eq!(MappedFile::open(&path).unwrap().as_bytes(), b"weights");
        std::fs::write(&path, b"").unwrap();
        assert_eq!(MappedFile::open(&path).unwrap().as_bytes(), b"");
        assert_eq!(MappedFile::open(&folder).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let missing = MappedFile::open(&folder.join("absent")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        // Bytes that were forgotten are there all the same.
        let bytes: Vec<u8> = (0..2 * PIECE + 4_321).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = MappedFile::open(&path).unwrap();
        file.forget(4_097..PIECE);
        file.forget(bytes.len() - 1..bytes.len() + 9);
        file.forget(bytes.len() + 1..bytes.len() + 2);
        assert!(file.as_bytes() == bytes);
        assert_eq!(file.pieces().map(<[u8]>::len).collect::<Vec<_>>(), [PIECE, PIECE, 4_321]);
        assert!(file.pieces().collect::<Vec<_>>().concat() == bytes);
        let kept = MappedFile::from_vec(bytes.clone());
        kept.forget(0..bytes.len());
        assert!(kept.pieces().collect::<Vec<_>>().concat() == bytes);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(MappedFile::from_vec(vec![1, 2]).as_bytes(), [1, 2]);
        assert_eq!(MappedFile::from_static(b"ab").as_bytes(), b"ab");
    }
}
