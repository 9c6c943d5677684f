//! Results of any model as a table: CSV, or TSV by its name.
//!
//! Spreadsheets write such files in many ways; those that can be told apart are read (byte order
//! mark, either line end, semicolons where the comma is the decimal sign), and what would be read
//! wrongly is refused with its line and column.

use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use super::columns::Columns;
use super::{Prediction, Seen};
use crate::example::Task;
use crate::{DataError, files};

/// Reads a table of predictions; `task` overrides what the rows say.
pub(super) fn read(path: &Path, task: Option<Task>) -> Result<Vec<Prediction>, DataError> {
    let bytes = files::read_bytes(path)?;
    let text = encoded(path, &bytes)?;
    let delimiter = delimiter(path, text);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text);
    let mut record = ByteRecord::new();
    let mut columns: Option<Columns> = None;
    let mut seen = Seen::default();
    let mut predictions = Vec::new();
    let mut row = 0;
    let mut last = (0, false);
    loop {
        let line = reader.position().line() as usize;
        let refuse = |problem: String| DataError::Row { path: path.to_owned(), row: line, problem };
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(refuse(format!("cannot be read as a table: {error}"))),
        }
        let line = record.position().map_or(line, |position| {
            // The reader counts blank lines to the record that follows them.
            let blank = text.get(position.byte() as usize..).unwrap_or_default();
            let blank = blank.iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
            position.line() as usize + blank.filter(|byte| **byte == b'\n').count()
        });
        let refuse = |problem: String| DataError::Row { path: path.to_owned(), row: line, problem };
        if record.iter().all(|cell| cell.iter().all(u8::is_ascii_whitespace)) {
            continue;
        }
        last = (line, record.iter().any(|cell| cell.contains(&b'\n')));
        let Some(columns) = &columns else {
            let names = cells(&record, None).map_err(refuse)?;
            columns = Some(
                Columns::new(names)
                    .map_err(|problem| DataError::Layout { path: path.to_owned(), problem })?,
            );
            continue;
        };
        let mut cells = cells(&record, Some(columns)).map_err(refuse)?;
        // Spreadsheets leave out empty cells at the end, or add some.
        while cells.len() > columns.count()
            && cells.last().is_some_and(|cell| cell.trim().is_empty())
        {
            cells.pop();
        }
        if cells.len() != columns.count() {
            return Err(refuse(format!(
                "{} fields, but the first line names {}: put texts that hold {} or line ends between \
                 double quotes",
                cells.len(),
                columns.count(),
                if delimiter == b'\t' { "tabs" } else { "the separator" }
            )));
        }
        row += 1;
        let prediction = columns.prediction(&cells, row, task).map_err(refuse)?;
        seen.add(&prediction, line).map_err(refuse)?;
        predictions.push(prediction);
    }
    let odd_quotes = text.split(|byte| *byte == b'"').count() % 2 == 0;
    if odd_quotes && last.1 {
        return Err(DataError::Row {
            path: path.to_owned(),
            row: last.0,
            problem: "a double quote is opened and never closed, so that all that follows is one \
                      field: close it, or write a quote inside a text twice"
                .to_owned(),
        });
    }
    if predictions.is_empty() {
        return Err(DataError::NoExamples { path: path.to_owned() });
    }
    Ok(predictions)
}

/// The text without its byte order mark; refuses what is not text, or not in this encoding.
fn encoded<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a [u8], DataError> {
    let refuse =
        |problem: &str| DataError::Layout { path: path.to_owned(), problem: problem.to_owned() };
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(refuse("it is encoded as UTF-16: save it as “CSV UTF-8”"));
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\xd0\xcf\x11\xe0") {
        return Err(refuse("it is a spreadsheet file: save it as “CSV UTF-8”"));
    }
    if bytes.contains(&0) {
        return Err(refuse("it holds zero bytes, so it is no text: save it as “CSV UTF-8”"));
    }
    Ok(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}

/// Tabs by the file's name; else semicolons where the first line has them and no comma.
fn delimiter(path: &Path, text: &[u8]) -> u8 {
    let extension = path.extension().and_then(|name| name.to_str()).unwrap_or_default();
    if extension.eq_ignore_ascii_case("tsv") || extension.eq_ignore_ascii_case("tab") {
        return b'\t';
    }
    let first = text.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|mark| first.contains(mark)).unwrap_or(b',')
}

/// The cells of a record as text.
fn cells(record: &ByteRecord, columns: Option<&Columns>) -> Result<Vec<String>, String> {
    record
        .iter()
        .enumerate()
        .map(|(column, cell)| match std::str::from_utf8(cell) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => {
                let name = columns.map_or_else(String::new, |c| format!(" `{}`", c.name(column)));
                let read = String::from_utf8_lossy(&cell[..error.valid_up_to()]).into_owned();
                let after: String = {
                    let letters: Vec<char> = read.chars().rev().take(20).collect();
                    letters.into_iter().rev().collect()
                };
                Err(format!(
                    "column{name}: not UTF-8 after “{after}” (another encoding, such as \
                     Windows-1252): save the file as “CSV UTF-8”"
                ))
            }
        })
        .collect()
}
