//! Taking the fields of one JSON row, with errors that name file, row and remedy.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::{DataError, names, text};

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

    /// Refuses a row with bytes that were not UTF-8; see [`text::marked`].
    pub(super) fn unmarked(&self) -> Result<(), DataError> {
        self.fields.iter().try_for_each(|(key, value)| self.unmarked_in(key, value))
    }

    fn unmarked_in(&self, key: &str, value: &Value) -> Result<(), DataError> {
        match value {
            Value::String(found) => match text::marked(found) {
                None => Ok(()),
                Some(problem) => Err(self.error(format!("`{key}`: {problem}"))),
            },
            Value::Array(values) => {
                values.iter().try_for_each(|value| self.unmarked_in(key, value))
            }
            Value::Object(fields) => {
                fields.iter().try_for_each(|(key, value)| self.unmarked_in(key, value))
            }
            _ => Ok(()),
        }
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
            self.error(if self.fields.contains_key(key) {
                format!("`{key}` is null: give a text or a number")
            } else {
                let near = names::suggestion(key, self.keys());
                format!("`{key}` is missing: every row needs it{near}")
            })
        })
    }

    /// The texts of a list, or of a single text; none when the field is absent.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, DataError> {
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                values.iter().map(|value| self.text_of(key, value)).collect()
            }
            Some(value) => Ok(vec![self.text_of(key, value)?]),
        }
    }

    /// A label's value; `None` for one that is absent, empty or `NULL`.
    pub(super) fn label(&self, key: &str) -> Result<Option<String>, DataError> {
        let text = match self.value(key) {
            Some(Value::Bool(flag)) => Some(flag.to_string()),
            _ => self.text(key)?,
        };
        Ok(text.filter(|text| !text.is_empty() && text != "NULL"))
    }

    /// The label columns, each under its name and from its field; the absent ones are left out.
    pub(super) fn labels(
        &self,
        columns: &[(&str, &str)],
    ) -> Result<BTreeMap<String, String>, DataError> {
        let mut labels = BTreeMap::new();
        for (label, field) in columns {
            if let Some(value) = self.label(field)? {
                labels.insert((*label).to_owned(), value);
            }
        }
        Ok(labels)
    }

    /// The path of an image below the image folder, `/` between its parts.
    ///
    /// # Errors
    /// [`DataError::Row`] for one that is empty, absolute or leaves the folder.
    pub(super) fn inner_path(&self, key: &str, name: &str) -> Result<String, DataError> {
        inner_path(name).ok_or_else(|| {
            self.error(format!("`{key}` is `{name}`: give the path of a file in the image folder"))
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

/// A path below a folder, `/` between its parts; `None` for one that is empty, absolute or leaves it.
pub(super) fn inner_path(name: &str) -> Option<String> {
    let name = name.trim().replace('\\', "/");
    let name = name.strip_prefix("./").unwrap_or(&name);
    let is_inside = !name.is_empty()
        && !name.contains('\0')
        && !name.starts_with('/')
        && name.as_bytes().get(1) != Some(&b':')
        && !name.split('/').any(|part| part == "..");
    is_inside.then(|| name.to_owned())
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
