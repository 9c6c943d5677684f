//! A file that only grows: each line is on the disk before the next question is asked.
//!
//! Asking costs money and hours, so nothing that was answered may be lost to a kill, and nothing
//! answered may be asked again. A line is appended whole and synced. A kill in the middle of that
//! leaves half a line at the end, which is no record: it is cut off when work goes on. Half a line
//! anywhere else is damage, and is told with its number.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use pefomed_data::DataError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::JudgeError;

/// Lines of one type, open for appending by this process alone.
#[derive(Debug)]
pub struct Journal<L> {
    path: PathBuf,
    /// The file, and its length up to the end of the last whole line; none once a write has failed.
    file: Mutex<(File, Option<u64>)>,
    lines: PhantomData<fn(&L)>,
}

impl<L: Serialize + DeserializeOwned> Journal<L> {
    /// Opens or makes a file and reads what is in it; half a line at its end is cut off.
    ///
    /// # Errors
    /// [`JudgeError::Busy`] while another process has it, [`DataError::Read`], [`DataError::Write`],
    /// and [`DataError::Row`] with the number of a line that cannot be read.
    pub fn open(path: &Path) -> Result<(Self, Vec<L>), JudgeError> {
        let unwritable = |source| DataError::Write { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(unwritable)?;
        }
        let is_new = !path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JudgeError::Busy { path: path.to_owned() });
            }
            // Not every network file system has locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(unwritable(error).into()),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let whole = whole_lines(&bytes);
        let lines = parse(path, whole)?;
        let length = whole.len() as u64;
        if whole.len() < bytes.len() {
            file.set_len(length).map_err(unwritable)?;
        }
        file.seek(SeekFrom::Start(length)).map_err(unwritable)?;
        if is_new {
            // The name of a new file must survive a power cut as well; not every system can sync it.
            if let Some(Ok(folder)) = path.parent().map(File::open) {
                let _ = folder.sync_all();
            }
        }
        let file = Mutex::new((file, Some(length)));
        Ok((Self { path: path.to_owned(), file, lines: PhantomData }, lines))
    }

    /// Reads a file without opening it for writing; a file that is not there has no lines.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Row`] with the number of a line that cannot be read.
    pub fn read(path: &Path) -> Result<Vec<L>, DataError> {
        match std::fs::read(path) {
            Ok(bytes) => parse(path, whole_lines(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(DataError::Read { path: path.to_owned(), source }),
        }
    }

    /// Appends a line and waits until it is on the disk.
    ///
    /// # Errors
    /// [`DataError::Write`]; after that [`JudgeError::Closed`], since nothing may follow half a line.
    pub fn append(&self, line: &L) -> Result<(), JudgeError> {
        let failed = |source| DataError::Write { path: self.path.clone(), source };
        let mut bytes = serde_json::to_vec(line).map_err(|error| failed(error.into()))?;
        bytes.push(b'\n');
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, length) = &mut *guard;
        let Some(before) = *length else {
            return Err(JudgeError::Closed { path: self.path.clone() });
        };
        if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            // What was written of the line goes; if that fails too, the next start cuts it off.
            let _ = file.set_len(before);
            *length = None;
            return Err(failed(error).into());
        }
        *length = Some(before + bytes.len() as u64);
        Ok(())
    }
}

/// Everything up to the last line feed.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    &bytes[..end]
}

fn parse<L: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Vec<L>, DataError> {
    let mut lines = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        lines.push(serde_json::from_slice(line).map_err(|error| DataError::Row {
            path: path.to_owned(),
            row: index + 1,
            problem: format!(
                "not a line of this file: {error}; remove the line to have its question asked again"
            ),
        })?);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_at_the_end_is_cut_off_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/lines.jsonl");
        let (journal, lines) = Journal::<u32>::open(&path).unwrap();
        assert!(lines.is_empty());
        journal.append(&1).unwrap();
        journal.append(&22).unwrap();
        drop(journal);
        // Whatever a kill leaves: part of a number, part of a character, zeros.
        for torn in [b"3".as_slice(), b"\xc3", b"\0\0\0"] {
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(torn).unwrap();
            drop(file);
            assert_eq!(Journal::<u32>::read(&path).unwrap(), [1, 22]);
            let (_, lines) = Journal::<u32>::open(&path).unwrap();
            assert_eq!(lines, [1, 22]);
            assert_eq!(std::fs::read(&path).unwrap(), b"1\n22\n");
        }
        let (journal, _) = Journal::<u32>::open(&path).unwrap();
        journal.append(&333).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"1\n22\n333\n");
        assert!(Journal::<u32>::read(&folder.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn damage_elsewhere_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.jsonl");
        std::fs::write(&path, "1\n\nhalf\n3\n").unwrap();
        let error = Journal::<u32>::open(&path).unwrap_err().to_string();
        assert!(error.contains("row 3: not a line of this file"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n\nhalf\n3\n");
    }

    #[test]
    fn one_process_writes_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.jsonl");
        let (first, _) = Journal::<u32>::open(&path).unwrap();
        assert!(matches!(Journal::<u32>::open(&path), Err(JudgeError::Busy { .. })));
        drop(first);
        assert!(Journal::<u32>::open(&path).is_ok());
    }
}
