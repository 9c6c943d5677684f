//! Text files as people have them: opened piece by piece, with what is no UTF-8 told apart.
//!
//! A large data set is read line by line: the file is never in memory as a whole. A byte-order mark
//! is dropped and gzip is unpacked on the way. UTF-16, spreadsheets and archives are refused at
//! once; single bytes of another encoding are the business of the row they stand in.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::DataError;

/// Stands in a text for each run of bytes that is not UTF-8: a code point that Unicode keeps for the
/// inside of programs, so that no text brings it along.
const NOT_UTF8: char = '\u{FDD0}';

/// A line may have so many bytes: the longest radiology report has some ten thousand, a row with
/// several images as base64 some million.
const LIMIT_LINE: usize = 64 << 20;

/// Opens a text; a byte-order mark is dropped, gzip is unpacked.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Layout`] for what is no text in this encoding.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead>, DataError> {
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
    let packed = reader.fill_buf().map_err(failed)?.starts_with(b"\x1f\x8b");
    let mut reader: Box<dyn BufRead> = if packed {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(reader)))
    } else {
        Box::new(reader)
    };
    let mark = mark_length(path, reader.fill_buf().map_err(failed)?)?;
    reader.consume(mark);
    Ok(reader)
}

/// Bytes of the mark a text begins with; refuses what is no text, or not in this encoding.
fn mark_length(path: &Path, start: &[u8]) -> Result<usize, DataError> {
    let refuse = |problem: &str| {
        Err(DataError::Layout { path: path.to_owned(), problem: problem.to_owned() })
    };
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return refuse("it is encoded as UTF-16: save it as UTF-8 (for a table, “CSV UTF-8”)");
    }
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"\xd0\xcf\x11\xe0") {
        return refuse(
            "it is a spreadsheet file or an archive: save it as “CSV UTF-8”, or unpack it",
        );
    }
    if start.starts_with(b"PAR1") {
        return refuse("it is a parquet file: name the format `parquet` or `pathvqa`");
    }
    if start.contains(&0) {
        return refuse("it holds zero bytes, so it is no text: save it as UTF-8");
    }
    Ok(if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 })
}

/// A text's lines, one at a time.
pub(crate) struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    buffer: Vec<u8>,
    number: usize,
}

/// One line.
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    /// Its text without the line's end, or what is wrong with it.
    pub(crate) text: Result<&'a str, String>,
    /// Whether the file ends here, without a line end.
    pub(crate) is_cut: bool,
}

impl Lines {
    /// Opens a text.
    ///
    /// # Errors
    /// Those of [`open`].
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        Ok(Self { path: path.to_owned(), reader: open(path)?, buffer: Vec::new(), number: 0 })
    }

    /// The next line that is not blank.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Row`] for a line too long to be one.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, DataError> {
        loop {
            self.buffer.clear();
            let mut limited = (&mut self.reader).take(LIMIT_LINE as u64 + 1);
            let read = limited
                .read_until(b'\n', &mut self.buffer)
                .map_err(|source| DataError::Read { path: self.path.clone(), source })?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read > LIMIT_LINE {
                return Err(DataError::Row {
                    path: self.path.clone(),
                    row: self.number,
                    problem: format!(
                        "the line is longer than {} MiB: write one row a line",
                        LIMIT_LINE >> 20
                    ),
                });
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        let is_cut = self.buffer.last() != Some(&b'\n');
        let bytes = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        Ok(Some(Line { number: self.number, text: utf8(bytes), is_cut }))
    }
}

/// Bytes as text, or what is wrong with them.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| {
        let read = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let read = String::from_utf8_lossy(read);
        let letters: Vec<char> = read.chars().rev().take(20).collect();
        let after: String = letters.into_iter().rev().collect();
        not_utf8(&after)
    })
}

/// The complaint about bytes of another encoding, behind some text that could be read.
fn not_utf8(after: &str) -> String {
    format!(
        "not UTF-8 after “{after}” (another encoding, such as Windows-1252): save the file as UTF-8 \
         (for a table, “CSV UTF-8”)"
    )
}

/// What is wrong with a text that [`Marked`] let through, if anything.
pub(crate) fn marked(text: &str) -> Option<String> {
    let (before, _) = text.split_once(NOT_UTF8)?;
    let letters: Vec<char> = before.chars().rev().take(20).collect();
    Some(not_utf8(&letters.into_iter().rev().collect::<String>()))
}

/// A text with a mark in the place of bytes that are not UTF-8, so that a parser of the whole file
/// reads on and the row with the mark can be named; see [`marked`].
pub(crate) struct Marked<R> {
    inner: R,
    /// Read and not yet checked: at most the start of one character.
    pending: Vec<u8>,
    /// Checked and not yet handed on.
    ready: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: BufRead> Marked<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, pending: Vec::new(), ready: Vec::new(), at: 0, ended: false }
    }

    /// Checks the next piece.
    fn refill(&mut self) -> io::Result<()> {
        let piece = self.inner.fill_buf()?;
        let length = piece.len();
        self.ended = length == 0;
        self.pending.extend_from_slice(piece);
        self.inner.consume(length);
        self.ready.clear();
        self.at = 0;
        let mut rest = self.pending.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(_) => {
                    self.ready.extend_from_slice(rest);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    self.ready.extend_from_slice(good);
                    let skip = match error.error_len() {
                        Some(length) => length,
                        // The start of a character: its rest may come with the next piece.
                        None if !self.ended => {
                            rest = bad;
                            break;
                        }
                        None => bad.len(),
                    };
                    self.ready.extend_from_slice(NOT_UTF8.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = bad.get(skip..).unwrap_or_default();
                }
            }
        }
        self.pending = rest.to_vec();
        Ok(())
    }
}

impl<R: BufRead> Read for Marked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.ready.len() && !self.ended {
            self.refill()?;
        }
        let left = self.ready.get(self.at..).unwrap_or_default();
        let count = left.len().min(out.len());
        out[..count].copy_from_slice(&left[..count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = out.len().min(1);
            self.0.read(&mut out[..count])
        }
    }

    #[test]
    fn characters_survive_the_seam_between_pieces_and_other_bytes_are_marked() {
        for (bytes, text) in [
            ("Thorax – Öde".as_bytes(), "Thorax – Öde"),
            (b"caf\xe9 noir", "caf\u{FDD0} noir"),
            (b"cut \xe2\x80", "cut \u{FDD0}"),
            (b"", ""),
        ] {
            let mut found = String::new();
            let mut reader = Marked::new(BufReader::with_capacity(1, Slow(bytes)));
            reader.read_to_string(&mut found).unwrap();
            assert_eq!(found, text);
        }
        let problem = marked("a caf\u{FDD0} noir").unwrap();
        assert!(problem.contains("not UTF-8 after “a caf”"), "{problem}");
        assert_eq!(marked("plain"), None);
    }
}
