//! Taking the fields of one JSON row, with errors that name file, row and remedy.

use std::path::Path;

use serde_json::{Map, Value};

use crate::DataError;

/// One JSON object of a file.
pub(super) struct Row<'a> {
    path: &'a Path,
    /// Counted from 1.
    number: usize,
    fields: &'a Map<String, Value>,
}

impl<'a> Row<'a> {
    /// Takes a value that should be an object.
    pub(super) fn new(path: &'a Path, number: usize, value: &'a Value) -> Result<Self, DataError> {
        match value {
            Value::Object(fields) => Ok(Self { path, number, fields }),
            other => Err(DataError::Row {
                path: path.to_owned(),
                row: number,
                problem: format!("is {}: write a JSON object with named fields", kind(other)),
            }),
        }
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// An error about this row.
    pub(super) fn error(&self, problem: impl Into<String>) -> DataError {
        DataError::Row { path: self.path.to_owned(), row: self.number, problem: problem.into() }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// A field's value; one that is absent or null is `None`.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    /// A text without the blanks around it. A number becomes its digits: published answers such as
    /// `3` or `0.5` are numbers in some files and texts in others.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, DataError> {
        self.value(key).map(|value| self.text_of(key, value)).transpose()
    }

    /// Like [`Row::text`], for a field that every row must have.
    pub(super) fn required_text(&self, key: &str) -> Result<String, DataError> {
        self.text(key)?.ok_or_else(|| {
            self.error(match self.fields.get(key) {
                Some(_) => format!("`{key}` is null: give a text or a number"),
                None => format!("`{key}` is missing: every row needs it"),
            })
        })
    }

    /// The text of a value found under `key`, which only the message needs.
    pub(super) fn text_of(&self, key: &str, value: &Value) -> Result<String, DataError> {
        match value {
            Value::String(text) => Ok(text.trim().to_owned()),
            Value::Number(number) => Ok(number.to_string()),
            other => {
                Err(self.error(format!("`{key}` is {}: give a text or a number", kind(other))))
            }
        }
    }
}

/// A value's kind in words, for messages.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Drops the byte-order mark that some editors put in front of a text.
pub(super) fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
