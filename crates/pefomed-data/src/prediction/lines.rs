//! JSON lines: whole prediction lines, and lines that hold no more than a reference and a prediction.

use std::path::Path;

use serde_json::{Map, Value};

use super::columns::Columns;
use super::{Prediction, Seen};
use crate::DataError;
use crate::example::Task;

/// Reads JSON lines. With `minimal`, a line without the fields of a whole prediction is read by the
/// names of its fields, as a row of a table is.
pub(super) fn read(
    path: &Path,
    text: &str,
    task: Option<Task>,
    minimal: bool,
) -> Result<Vec<Prediction>, DataError> {
    let mut seen = Seen::default();
    let mut predictions = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let row = index + 1;
        let refuse = |problem: String| DataError::Row { path: path.to_owned(), row, problem };
        let is_whole = !minimal || line.contains("\"finish\"");
        let mut prediction: Prediction = if is_whole {
            serde_json::from_str(line)
                .map_err(|error| refuse(format!("not a prediction: {error}")))?
        } else {
            let object: Map<String, Value> = serde_json::from_str(line)
                .map_err(|error| refuse(format!("not a JSON object: {error}")))?;
            from_object(object, predictions.len() + 1).map_err(refuse)?
        };
        prediction.task = task.unwrap_or(prediction.task);
        seen.add(&prediction, row).map_err(refuse)?;
        predictions.push(prediction);
    }
    Ok(predictions)
}

/// Reads an object as a row whose columns are its fields; `labels` is taken apart.
fn from_object(mut object: Map<String, Value>, row: usize) -> Result<Prediction, String> {
    if let Some(Value::Object(labels)) = object.get("labels").cloned() {
        object.remove("labels");
        for (name, value) in labels {
            object.entry(name).or_insert(value);
        }
    }
    let other_references = match object.remove("other_references") {
        None | Some(Value::Null) => Vec::new(),
        Some(list) => serde_json::from_value(list)
            .map_err(|_| "field `other_references` is not a list of texts".to_owned())?,
    };
    let mut names = Vec::new();
    let mut cells = Vec::new();
    for (name, value) in object {
        let cell = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(format!("field `{name}` is not a text: write one text for each field"));
            }
        };
        names.push(name);
        cells.push(cell);
    }
    let columns = Columns::new(names).map_err(|problem| problem.replace("column", "field"))?;
    Ok(Prediction { other_references, ..columns.prediction(&cells, row, None)? })
}
