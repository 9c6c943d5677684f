//! Results of any model as a table: CSV, or TSV by its name.

use std::path::Path;

use super::columns::Columns;
use super::{Prediction, Seen};
use crate::DataError;
use crate::example::Task;
use crate::table::Table;

/// Reads a table of predictions; `task` overrides what the rows say.
pub(super) fn read(path: &Path, task: Option<Task>) -> Result<Vec<Prediction>, DataError> {
    let mut table = Table::open(path)?;
    let mut predictions = Vec::new();
    if !table.names().is_empty() {
        let columns = Columns::new(table.names().to_vec())
            .map_err(|problem| DataError::Layout { path: path.to_owned(), problem })?;
        let mut seen = Seen::default();
        while let Some(row) = table.next()? {
            let refuse = |problem| DataError::Row { path: path.to_owned(), row: row.line, problem };
            let cells = row.cells.map_err(refuse)?;
            let prediction = columns.prediction(&cells, row.number, task).map_err(refuse)?;
            seen.add(&prediction, row.line).map_err(refuse)?;
            predictions.push(prediction);
        }
    }
    if predictions.is_empty() {
        return Err(DataError::NoExamples { path: path.to_owned() });
    }
    Ok(predictions)
}
