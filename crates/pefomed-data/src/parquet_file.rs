//! Parquet files: rows one after the other, and single values by their place.
//!
//! Hugging Face publishes data sets as parquet with the images inside. The rows are read in small
//! batches, so that only a page or two of the images is in memory; an image is found again by
//! [`ParquetCell`] when it is needed, and the pages before it are skipped without unpacking them.
//!
//! A page is unpacked into at most the 2 GiB that the format lets it claim.
//!
//! The underlying reader trusts what a file says of itself in several places and panics where it is
//! wrong. `contained` is the one place where it is called, and turns that into an error.

mod thrift;

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::column::page::Page;
use parquet::column::reader::ColumnReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{
    ChunkReader, FileReader, Length, RowGroupReader, SerializedFileReader,
};
use parquet::record::reader::TreeBuilder;
use parquet::record::{Field, Row};
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::DataError;

/// Rows of a row group that are in memory at a time.
const BATCH: usize = 16;
/// Rows that a file may have for each of its bytes. Rows that differ in anything take bits; a run of equal
/// ones takes none, so that a file of a kilobyte could become a thousand million examples.
const LIMIT_ROWS_A_BYTE: u64 = 8;

/// One value inside a parquet file: an image's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParquetCell {
    /// The file.
    pub path: Arc<Path>,
    /// The leaf column by its names from the root, such as `image.bytes`.
    pub column: Arc<str>,
    /// Number of the row group, from 0.
    pub row_group: usize,
    /// Row within the group, from 0.
    pub row: usize,
    /// Place within the row, from 0: a row may hold a list of images.
    pub item: usize,
}

impl fmt::Display for ParquetCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, column, row_group, row, item } = self;
        write!(f, "{}, row group {row_group}, row {row}, {column}[{item}]", path.display())
    }
}

impl ParquetCell {
    /// Reads the value.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Layout`] when the file is damaged or has changed.
    pub fn read(&self) -> Result<Vec<u8>, DataError> {
        let path = &*self.path;
        let reader = open(path)?;
        let found = contained(path, || {
            let metadata = reader.metadata();
            if self.row_group >= metadata.num_row_groups() {
                return Ok(None);
            }
            let columns = metadata.row_group(self.row_group).columns();
            let leaf =
                columns.iter().position(|column| column.column_path().string() == *self.column);
            let Some(leaf) = leaf else { return Ok(None) };
            let defined = columns[leaf].column_descr().max_def_level();
            let group = reader.get_row_group(self.row_group)?;
            let ColumnReader::ByteArrayColumnReader(mut column) = group.get_column_reader(leaf)?
            else {
                return Ok(None);
            };
            if column.skip_records(self.row)? != self.row {
                return Ok(None);
            }
            let (mut values, mut definitions, mut repetitions) =
                (Vec::new(), Vec::new(), Vec::new());
            column.read_records(1, Some(&mut definitions), Some(&mut repetitions), &mut values)?;
            // Values that are null have a level and no value.
            let present = |level: &i16| *level == defined;
            let place = if definitions.is_empty() {
                self.item
            } else {
                let before = definitions.iter().take(self.item);
                if !definitions.get(self.item).is_some_and(present) {
                    return Ok(None);
                }
                before.filter(|level| present(level)).count()
            };
            Ok(values.get(place).map(|value| value.data().to_vec()))
        })?;
        found.ok_or_else(|| DataError::Layout {
            path: path.to_owned(),
            problem: format!(
                "there is no value at {self}: has the file changed since it was read?"
            ),
        })
    }
}

/// A file read in pieces at given places, never past its end.
struct Pieces {
    file: Arc<File>,
    length: u64,
}

/// Reads on from a place. The end of the file is an error: the underlying reader asks for no more than
/// it needs, and takes an end for bytes that it skipped, as often as a damaged page says it should,
/// two thousand million times for instance.
struct From {
    file: Arc<File>,
    at: u64,
}

#[cfg(unix)]
fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, out, at)
}

#[cfg(windows)]
fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, out, at)
}

impl Read for From {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = read_at(&self.file, out, self.at)?;
        if count == 0 && !out.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }
}

/// Elements without bytes that the head of a page may have. None that the format knows has any; a file can have
/// a page for every twenty of its bytes, so that room for as many as the file has bytes would be too much.
const HEAD_ROOM: u64 = 1 << 10;

impl Pieces {
    fn from(&self, at: u64) -> BufReader<From> {
        BufReader::with_capacity(1 << 12, From { file: Arc::clone(&self.file), at })
    }

    /// The metadata of the whole file lies before its length and four letters, the last of the file.
    fn check_footer(&self) -> ParquetResult<()> {
        let Some(end) = self.length.checked_sub(8) else { return Ok(()) };
        let mut length = [0; 4];
        self.from(end).read_exact(&mut length)?;
        let Some(start) = end.checked_sub(u32::from_le_bytes(length).into()) else { return Ok(()) };
        if thrift::is_excessive(self.from(start).take(end - start), self.length) {
            return Err(excessive("its footer"));
        }
        Ok(())
    }
}

fn excessive(place: &str) -> ParquetError {
    ParquetError::General(format!("{place} claims more values than it has bytes for"))
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Pieces {
    type T = BufReader<From>;

    /// Called for the heads of pages.
    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        if thrift::is_excessive(self.from(start), HEAD_ROOM) {
            return Err(excessive("the head of a page"));
        }
        Ok(self.from(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.length);
        if end.is_none() {
            return Err(ParquetError::EOF(format!(
                "{length} bytes from byte {start} on reach past its end"
            )));
        }
        let mut out = vec![0; length];
        From { file: Arc::clone(&self.file), at: start }.read_exact(&mut out)?;
        Ok(Bytes::from(out))
    }
}

/// Calls the underlying reader. Its own panics (it indexes by numbers out of the file, and asserts
/// shapes of the schema) are errors like any other: nothing of ours is half changed by them, since
/// a reader that failed is not used again.
fn contained<T>(path: &Path, call: impl FnOnce() -> ParquetResult<T>) -> Result<T, DataError> {
    let damaged = |problem: String| DataError::Layout {
        path: path.to_owned(),
        problem: format!("it is no parquet file that can be read: {problem}"),
    };
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let reason = error.to_string();
            let remedy = if reason.contains("Disabled feature") {
                "; write it with snappy or zstd, which can be unpacked here"
            } else {
                ""
            };
            Err(damaged(format!("{reason}{remedy}")))
        }
        Err(_) => Err(damaged("its parts contradict one another; fetch it again".to_owned())),
    }
}

/// Refuses dictionaries that claim more values than they have bytes: the underlying reader makes room for all
/// that are claimed.
fn check_dictionaries(group: &dyn RowGroupReader) -> ParquetResult<()> {
    for leaf in 0..group.num_columns() {
        let mut pages = group.get_column_page_reader(leaf)?;
        while let Some(next) = pages.peek_next_page()? {
            if !next.is_dict {
                pages.skip_next_page()?;
                continue;
            }
            let page = pages.get_next_page()?;
            if let Some(Page::DictionaryPage { buf, num_values, .. }) = page
                && num_values as usize > buf.len()
            {
                return Err(ParquetError::General(format!(
                    "a dictionary of {num_values} values in {} bytes",
                    buf.len()
                )));
            }
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<SerializedFileReader<Pieces>, DataError> {
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    contained(path, || {
        let pieces = Pieces { file: Arc::new(file), length };
        pieces.check_footer()?;
        SerializedFileReader::new(pieces)
    })
}

/// An open parquet file.
pub(crate) struct ParquetFile {
    path: Arc<Path>,
    reader: SerializedFileReader<Pieces>,
    names: Vec<String>,
}

/// One row: its place and the values of the columns that were asked for.
pub(crate) struct ParquetRow {
    /// Number of the row group.
    pub(crate) row_group: usize,
    /// Row within the group, from 0.
    pub(crate) row: usize,
    /// Name and value of each column.
    pub(crate) fields: Vec<(String, Field)>,
}

impl ParquetFile {
    /// Opens a file and reads what it says of itself.
    ///
    /// # Errors
    /// [`DataError::Read`] and [`DataError::Layout`].
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let reader = open(path)?;
        let failed = |source| DataError::Read { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(failed)?.len();
        let names = contained(path, || {
            let metadata = reader.metadata();
            let mut room = length.saturating_mul(LIMIT_ROWS_A_BYTE);
            for group in metadata.row_groups() {
                let rows = u64::try_from(group.num_rows()).ok();
                room = rows.and_then(|rows| room.checked_sub(rows)).ok_or_else(|| {
                    let rows = group.num_rows();
                    ParquetError::General(format!(
                        "a row group of {rows} rows in a file of {length} bytes"
                    ))
                })?;
            }
            let root = metadata.file_metadata().schema_descr().root_schema();
            Ok(root.get_fields().iter().map(|field| field.name().to_owned()).collect())
        })?;
        Ok(Self { path: path.into(), reader, names })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Names of the columns.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Path of the leaf column that holds the bytes of images: the column itself, or the `bytes` of
    /// its structure, in a list or not.
    pub(crate) fn bytes_leaf(&self, column: &str) -> Option<Arc<str>> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let mut of_column = schema.columns().iter().filter(|leaf| {
            let parts = leaf.path().parts();
            leaf.physical_type() == parquet::basic::Type::BYTE_ARRAY
                && parts.first().is_some_and(|name| name == column)
        });
        let own: Vec<_> = of_column.by_ref().collect();
        let named =
            own.iter().find(|leaf| leaf.path().parts().last().is_some_and(|l| l == "bytes"));
        let leaf = named.or_else(|| own.first().filter(|_| own.len() == 1))?;
        Some(leaf.path().string().into())
    }

    /// Reads the rows with some of the columns, in their order.
    ///
    /// # Errors
    /// [`DataError::Layout`] for a damaged file, and whatever `each` returns.
    pub(crate) fn rows(
        &self,
        columns: &[&str],
        each: &mut dyn FnMut(ParquetRow) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let path = &*self.path;
        let (descriptor, groups) = contained(path, || {
            let metadata = self.reader.metadata();
            let root = metadata.file_metadata().schema_descr().root_schema();
            let fields: Vec<Arc<Type>> = root
                .get_fields()
                .iter()
                .filter(|field| columns.contains(&field.name()))
                .cloned()
                .collect();
            let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
            Ok((Arc::new(SchemaDescriptor::new(Arc::new(schema))), metadata.num_row_groups()))
        })?;
        for row_group in 0..groups {
            let mut rows = contained(path, || {
                let group = self.reader.get_row_group(row_group)?;
                check_dictionaries(&*group)?;
                TreeBuilder::new().with_batch_size(BATCH).as_iter(Arc::clone(&descriptor), &*group)
            })?;
            let mut row = 0;
            while let Some(found) =
                contained(path, || rows.next().transpose().map(|row| row.map(Row::into_columns)))?
            {
                each(ParquetRow { row_group, row, fields: found })?;
                row += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_be_skipped_behind_the_end() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"abcde").unwrap();
        let pieces = Pieces { file: Arc::new(file), length: 5 };
        let mut reader = pieces.get_read(2).unwrap();
        let mut all = [0; 3];
        reader.read_exact(&mut all).unwrap();
        assert_eq!(&all, b"cde");
        // As the underlying reader skips.
        let skipped = io::copy(&mut reader.by_ref().take(8), &mut io::sink());
        assert_eq!(skipped.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(pieces.get_bytes(3, 2).unwrap().as_ref(), b"de");
        assert!(pieces.get_bytes(3, 3).is_err());
    }
}
