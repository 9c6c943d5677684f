//! Tables as spreadsheets and scripts write them: CSV, or TSV by their name, row by row.
//!
//! Spreadsheets write such files in many ways; those that can be told apart are read (byte order
//! mark, either line end, semicolons where the comma is the decimal sign), and what would be read
//! wrongly is refused with its line and column.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use csv::{ByteRecord, ReaderBuilder};

use crate::{DataError, text};

/// What the reader below has passed on: enough to say in which line a record begins.
#[derive(Default)]
struct Passed {
    /// Bytes passed on.
    bytes: u64,
    /// Places of line ends not yet asked for, and whether each is a line feed.
    ends: VecDeque<(u64, bool)>,
    /// Line feeds before the first of those places.
    lines: usize,
    /// Double quotes.
    quotes: usize,
    /// Whether all has been passed on.
    ended: bool,
}

impl Passed {
    /// The line of the first byte at or after `start` that ends no line; counted from 1.
    fn line_at(&mut self, start: u64) -> usize {
        let mut at = start;
        while let Some((place, is_feed)) = self.ends.front().copied() {
            if place > at {
                break;
            }
            if place == at {
                // A blank line before the record.
                at += 1;
            }
            self.lines += usize::from(is_feed);
            self.ends.pop_front();
        }
        self.lines + 1
    }
}

/// Hands bytes on and notes where lines end.
struct Noting {
    inner: Box<dyn BufRead>,
    passed: Rc<RefCell<Passed>>,
}

impl Read for Noting {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(out)?;
        let mut passed = self.passed.borrow_mut();
        for (place, byte) in (passed.bytes..).zip(&out[..count]) {
            match byte {
                b'\n' | b'\r' => passed.ends.push_back((place, *byte == b'\n')),
                b'"' => passed.quotes += 1,
                _ => {}
            }
        }
        passed.bytes += count as u64;
        passed.ended |= count == 0 && !out.is_empty();
        Ok(count)
    }
}

/// A table whose first row names its columns.
pub(crate) struct Table {
    path: PathBuf,
    reader: csv::Reader<Noting>,
    passed: Rc<RefCell<Passed>>,
    record: ByteRecord,
    delimiter: u8,
    names: Vec<String>,
    /// Rows given so far, without the first.
    rows: usize,
}

/// One row of a table.
pub(crate) struct TableRow {
    /// Line of the file it begins in, from 1.
    pub(crate) line: usize,
    /// Counted from 1, the row of names not counted.
    pub(crate) number: usize,
    /// As many cells as there are names, or what is wrong with the row.
    pub(crate) cells: Result<Vec<String>, String>,
}

impl Table {
    /// Opens a table and reads the names of its columns; a file without any has no columns.
    ///
    /// # Errors
    /// Those of [`text::open`]; [`DataError::Row`] for names that are not text.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let mut inner = text::open(path)?;
        let start =
            inner.fill_buf().map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let delimiter = delimiter(path, start);
        let passed = Rc::new(RefCell::new(Passed::default()));
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(Noting { inner, passed: Rc::clone(&passed) });
        let mut table = Self {
            path: path.to_owned(),
            reader,
            passed,
            record: ByteRecord::new(),
            delimiter,
            names: Vec::new(),
            rows: 0,
        };
        if let Some((line, problem)) = table.advance()? {
            let refuse = |problem| DataError::Row { path: path.to_owned(), row: line, problem };
            if let Some(problem) = problem {
                return Err(refuse(problem));
            }
            table.names = table.cells().map_err(refuse)?;
        }
        Ok(table)
    }

    /// The columns' names as they are written.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The next row that is not blank.
    ///
    /// # Errors
    /// [`DataError::Row`] when the file cannot be read on.
    pub(crate) fn next(&mut self) -> Result<Option<TableRow>, DataError> {
        let Some((line, problem)) = self.advance()? else { return Ok(None) };
        self.rows += 1;
        let cells = match problem {
            Some(problem) => Err(problem),
            None => self.cells().and_then(|cells| self.fitted(cells)),
        };
        Ok(Some(TableRow { line, number: self.rows, cells }))
    }

    /// Goes to the next record that is not blank: its line, and what is wrong with it.
    fn advance(&mut self) -> Result<Option<(usize, Option<String>)>, DataError> {
        loop {
            let line = self.reader.position().line() as usize;
            match self.reader.read_byte_record(&mut self.record) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => {
                    return Err(DataError::Row {
                        path: self.path.clone(),
                        row: line,
                        problem: format!("cannot be read as a table: {error}"),
                    });
                }
            }
            if self.record.iter().all(|cell| cell.iter().all(u8::is_ascii_whitespace)) {
                continue;
            }
            let mut passed = self.passed.borrow_mut();
            let start = self.record.position().map_or(0, csv::Position::byte);
            let line = passed.line_at(start);
            // A quote that is never closed takes all that follows into one field.
            let swallowed = passed.ended
                && passed.quotes % 2 == 1
                && self.record.iter().any(|cell| cell.contains(&b'\n'));
            let problem = swallowed.then(|| {
                "a double quote is opened and never closed, so that all that follows is one field: \
                 close it, or write a quote inside a text twice"
                    .to_owned()
            });
            return Ok(Some((line, problem)));
        }
    }

    /// The cells of the record as text.
    fn cells(&self) -> Result<Vec<String>, String> {
        self.record
            .iter()
            .enumerate()
            .map(|(column, cell)| match text::utf8(cell) {
                Ok(text) => Ok(text.to_owned()),
                Err(problem) => {
                    let name = self.names.get(column);
                    let name = name.map_or_else(String::new, |name| format!(" `{name}`"));
                    Err(format!("column{name}: {problem}"))
                }
            })
            .collect()
    }

    /// As many cells as there are names.
    fn fitted(&self, mut cells: Vec<String>) -> Result<Vec<String>, String> {
        // Spreadsheets leave out empty cells at the end, or add some.
        while cells.len() > self.names.len()
            && cells.last().is_some_and(|cell| cell.trim().is_empty())
        {
            cells.pop();
        }
        if cells.len() == self.names.len() {
            return Ok(cells);
        }
        Err(format!(
            "{} fields, but the first line names {}: put texts that hold {} or line ends between \
             double quotes",
            cells.len(),
            self.names.len(),
            if self.delimiter == b'\t' { "tabs" } else { "the separator" }
        ))
    }
}

/// Tabs by the file's name; else semicolons where the first line has them and no comma.
fn delimiter(path: &Path, start: &[u8]) -> u8 {
    let extension = path.extension().and_then(|name| name.to_str()).unwrap_or_default();
    if extension.eq_ignore_ascii_case("tsv") || extension.eq_ignore_ascii_case("tab") {
        return b'\t';
    }
    let first = start.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|mark| first.contains(mark)).unwrap_or(b',')
}
