//! Rows of JSON files one at a time: lists, lines, and lists under the names of splits.
//!
//! The published files have up to some hundred thousand rows. None of the readers here holds more
//! than one of them.

use std::fmt;
use std::io::BufReader;
use std::path::Path;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::row::{Row, kind};
use crate::{DataError, text};

/// Called with each row, or what is wrong with it, and the name of the list it is in, if it has one.
pub(super) type Each<'a> =
    dyn FnMut(Result<&Row<'_>, DataError>, Option<&str>) -> Result<(), DataError> + 'a;

/// What the top level of a file should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Top {
    /// A list of rows.
    List,
    /// An object of lists; keys that are not among these are an error.
    Lists(&'static [&'static str]),
}

/// Reads the rows of a file that is one JSON value. `what` is the layout's name in messages.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Json`] where the file is no JSON; [`DataError::Layout`] for
/// another top level; and whatever `each` returns.
pub(super) fn rows(
    path: &Path,
    what: &str,
    top: Top,
    each: &mut Each<'_>,
) -> Result<(), DataError> {
    let reader = BufReader::with_capacity(1 << 16, text::Marked::new(text::open(path)?));
    let mut parser = serde_json::Deserializer::from_reader(reader);
    let mut stopped = None;
    let result = parser
        .deserialize_any(TopVisitor { path, top, each, stopped: &mut stopped })
        .and_then(|found| parser.end().map(|()| found));
    match (result, stopped) {
        (_, Some(error)) => Err(error),
        (Ok(None), None) => Ok(()),
        (Ok(Some(found)), None) => Err(DataError::Layout {
            path: path.to_owned(),
            problem: match top {
                Top::List => format!("its top level is {found}; {what} is a list of rows"),
                Top::Lists(keys) => format!(
                    "its top level is {found}; {what} is an object of lists under {}",
                    keys.join(", ")
                ),
            },
        }),
        (Err(source), None) => Err(DataError::Json { path: path.to_owned(), source }),
    }
}

/// Reads one JSON object a line; blank lines are skipped.
///
/// # Errors
/// [`DataError::Read`], and whatever `each` returns.
pub(super) fn lines(path: &Path, each: &mut Each<'_>) -> Result<(), DataError> {
    let mut lines = text::Lines::open(path)?;
    while let Some(line) = lines.next()? {
        let refuse = |problem| DataError::Row { path: path.to_owned(), row: line.number, problem };
        let text = match line.text {
            Ok(text) => text,
            Err(problem) => {
                each(Err(refuse(problem)), None)?;
                continue;
            }
        };
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                let remedy = if text.trim_start().starts_with('[') {
                    "write one JSON object a line, without a list around them"
                } else if line.is_cut {
                    "the file seems to be cut short"
                } else {
                    "write one JSON object a line"
                };
                let problem = format!("not valid JSON, {}: {remedy}", reason(&error));
                each(Err(refuse(problem)), None)?;
                continue;
            }
        };
        match Row::new(path, line.number, &value) {
            Ok(row) => each(Ok(&row), None)?,
            Err(error) => each(Err(error), None)?,
        }
    }
    Ok(())
}

/// Reads a list or one object a line, whichever the file begins with.
///
/// # Errors
/// Those of [`rows`] and [`lines`].
pub(super) fn rows_or_lines(path: &Path, what: &str, each: &mut Each<'_>) -> Result<(), DataError> {
    let mut reader = text::open(path)?;
    let start = std::io::BufRead::fill_buf(&mut reader)
        .map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    if start.trim_ascii_start().starts_with(b"[") {
        rows(path, what, Top::List, each)
    } else {
        lines(path, each)
    }
}

/// The parser's reason with the column; its line is always 1 here and would mislead.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    format!("{text} at column {}", error.column())
}

/// Reads the top level; what it is instead, in words, where it is something else.
struct TopVisitor<'a, 'b> {
    path: &'a Path,
    top: Top,
    each: &'a mut Each<'b>,
    /// The error of a function: the parser can only pass on its text.
    stopped: &'a mut Option<DataError>,
}

impl<'de> Visitor<'de> for TopVisitor<'_, '_> {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        if self.top != Top::List {
            return skip_list(list).map(|()| Some(kind(&Value::Array(Vec::new()))));
        }
        let Self { path, each, stopped, .. } = self;
        ListVisitor { path, list: None, each, stopped }.visit_seq(list)?;
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Top::Lists(keys) = self.top else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Some(kind(&Value::Object(serde_json::Map::new()))));
        };
        let Self { path, each, stopped, .. } = self;
        while let Some(key) = map.next_key::<String>()? {
            if !keys.contains(&key.as_str()) {
                let problem = format!("it has the key `{key}`: known are {}", keys.join(", "));
                *stopped = Some(DataError::Layout { path: path.to_owned(), problem });
                return Err(A::Error::custom("unknown key"));
            }
            map.next_value_seed(ListVisitor {
                path,
                list: Some(&key),
                each: &mut *each,
                stopped: &mut *stopped,
            })?;
        }
        Ok(None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(kind(&Value::Bool(value))))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(kind(&Value::from(value))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(kind(&Value::from(value))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(kind(&Value::from(value))))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Some(kind(&Value::String(String::new()))))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Some(kind(&Value::Null)))
    }
}

fn skip_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Reads a list row by row.
struct ListVisitor<'a, 'b> {
    path: &'a Path,
    list: Option<&'a str>,
    each: &'a mut Each<'b>,
    stopped: &'a mut Option<DataError>,
}

impl<'de> Visitor<'de> for ListVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(value) = list.next_element::<Value>()? {
            number += 1;
            let row = Row::new(self.path, number, &value);
            let row = row.and_then(|row| row.unmarked().map(|()| row));
            let done = match row {
                Ok(row) => (self.each)(Ok(&row), self.list),
                Err(error) => (self.each)(Err(error), self.list),
            };
            if let Err(error) = done {
                *self.stopped = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for ListVisitor<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}
