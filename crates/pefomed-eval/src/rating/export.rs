//! What a store holds, in forms that others read: one row for each grade of each system's text.
//!
//! Only here do systems get their names back. A candidate that several systems wrote gives a row for
//! each of them. Rows come by rater, then by the rater's order; with the history, in the order in
//! which they were written.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::{ErrorKind, ErrorMarks, MarkCount, RatingError, RatingKind, Store};
use crate::{Grade, GraderKind, Scale};

/// One row of an export.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportRow {
    /// Who graded.
    pub rater: String,
    /// A person or a stand-in.
    pub kind: GraderKind,
    /// Whose text was graded.
    pub system: String,
    /// Id of the item.
    pub id: String,
    /// Image or patient the item belongs to.
    pub group: String,
    /// vqa, caption or report.
    pub task: &'static str,
    /// Whether everybody grades the item.
    pub core: bool,
    /// Place in the rater's order, from 1.
    pub position: usize,
    /// What the number means.
    pub scale: RatingKind,
    /// The grade; none when the rater could not judge, and for an undo.
    pub value: Option<u8>,
    /// Whether the rater looked and could not judge.
    pub cannot_judge: bool,
    /// Marked errors, in a study that asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorMarks>,
    /// Free text.
    pub comment: String,
    /// How long the text was in view, in milliseconds, as the page measured it.
    pub shown_ms: Option<u32>,
    /// When the answer was written, UTC.
    pub at: String,
    /// Number of the answer in the store.
    pub answer: i64,
    /// The answer that this row takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<i64>,
    /// Whether this is the answer that counts.
    pub counts: bool,
}

/// Which errors a grade of scale `errors` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CountedErrors {
    /// All that were marked.
    #[default]
    All,
    /// Those that matter clinically.
    Significant,
}

/// The rows of a store: the answers that count, or with `history` everything that was ever said.
///
/// # Errors
/// [`RatingError::Sqlite`].
pub fn rows(store: &Store, history: bool) -> Result<Vec<ExportRow>, RatingError> {
    let order = if history { "a.number" } else { "a.rater, position" };
    let sql = format!(
        "SELECT a.number, value, marks, comment, shown_ms, undoes, at, a.rater, position, \
             a.candidate, a.number IN (SELECT number FROM counted) AS counts \
         FROM answers AS a JOIN assignments AS s ON s.rater = a.rater AND s.candidate = a.candidate \
         WHERE ?1 OR counts ORDER BY {order}"
    );
    let failed = |source| store.sqlite(source);
    let mut statement = store.connection().prepare(&sql).map_err(failed)?;
    let mut found = statement.query([history]).map_err(failed)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        push(store, row, &mut rows).map_err(failed)?;
    }
    Ok(rows)
}

fn push(store: &Store, row: &rusqlite::Row<'_>, rows: &mut Vec<ExportRow>) -> rusqlite::Result<()> {
    let given = super::ledger::given(row, 0)?;
    let undoes: Option<i64> = row.get(5)?;
    let (rater, candidate): (usize, usize) = (row.get(7)?, row.get(9)?);
    // Both were checked when the store was opened, and rows name only what exists then.
    let rater = rater.checked_sub(1).and_then(|index| store.raters().get(index));
    let (Some(rater), Some(candidate)) = (rater, store.items().candidates.get(candidate)) else {
        return Ok(());
    };
    let case = &store.items().cases[candidate.case];
    for system in &candidate.systems {
        rows.push(ExportRow {
            rater: rater.name.clone(),
            kind: if rater.synthetic { GraderKind::Synthetic } else { GraderKind::Human },
            system: system.clone(),
            id: case.id.clone(),
            group: case.group.clone(),
            task: case.task.tag(),
            core: store.plan().core.binary_search(&candidate.case).is_ok(),
            position: row.get::<_, usize>(8)? + 1,
            scale: store.settings().kind,
            value: given.rating.value,
            cannot_judge: undoes.is_none() && given.rating.value.is_none(),
            errors: given.rating.marks.clone(),
            comment: given.rating.comment.clone(),
            shown_ms: given.rating.shown_ms,
            at: row.get(6)?,
            answer: given.answer,
            undoes,
            counts: row.get(10)?,
        });
    }
    Ok(())
}

/// The grades of some rows, for `pefomed agree`: those that count, and where errors were marked, their
/// number too.
pub fn grades(rows: &[ExportRow], errors: CountedErrors) -> Vec<Grade> {
    let mut grades = Vec::new();
    for row in rows.iter().filter(|row| row.counts) {
        let grade = |scale, value| Grade {
            system: row.system.clone(),
            id: row.id.clone(),
            group: row.group.clone(),
            grader: row.rater.clone(),
            kind: row.kind,
            scale,
            repeat: 0,
            value,
        };
        grades.push(grade(row.scale.scale(), row.value.map(f64::from)));
        if let Some(marks) = &row.errors {
            let total = f64::from(marks.total(errors == CountedErrors::Significant));
            // Who cannot judge a text has not found it free of errors.
            let value = (!row.cannot_judge).then_some(total);
            grades.push(grade(Scale::Errors, value));
        }
    }
    grades
}

/// Writes rows as JSON lines.
///
/// # Errors
/// Those of `out`.
pub fn write_jsonl(out: &mut impl Write, rows: &[ExportRow]) -> std::io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut *out, row)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes rows as CSV (RFC 4180) with a heading; the columns of error marks are there when the study
/// asks for them.
///
/// # Errors
/// Those of `out`.
pub fn write_csv(out: &mut impl Write, store: &Store, rows: &[ExportRow]) -> std::io::Result<()> {
    let marks = store.settings().error_marks;
    let mut csv = csv::Writer::from_writer(out);
    let mut heading: Vec<String> = [
        "rater",
        "kind",
        "system",
        "id",
        "group",
        "task",
        "core",
        "position",
        "scale",
        "value",
        "cannot_judge",
        "comment",
        "shown_ms",
        "at",
        "answer",
        "undoes",
        "counts",
    ]
    .map(str::to_owned)
    .to_vec();
    if marks {
        for kind in ErrorKind::ALL {
            heading.push(format!("{}_significant", kind.name()));
            heading.push(format!("{}_insignificant", kind.name()));
        }
    }
    csv.write_record(&heading)?;
    let number = |number: Option<i64>| number.map_or_else(String::new, |number| number.to_string());
    for row in rows {
        let kind = if row.kind == GraderKind::Synthetic { "synthetic" } else { "human" };
        let mut record = vec![
            row.rater.clone(),
            kind.to_owned(),
            row.system.clone(),
            row.id.clone(),
            row.group.clone(),
            row.task.to_owned(),
            row.core.to_string(),
            row.position.to_string(),
            row.scale.to_string(),
            number(row.value.map(i64::from)),
            row.cannot_judge.to_string(),
            row.comment.clone(),
            number(row.shown_ms.map(i64::from)),
            row.at.clone(),
            row.answer.to_string(),
            number(row.undoes),
            row.counts.to_string(),
        ];
        if marks {
            for kind in ErrorKind::ALL {
                let count = row.errors.as_ref().map(|errors| errors.of(kind));
                let column =
                    |of: fn(MarkCount) -> u8| number(count.map(|count| i64::from(of(count))));
                record.push(column(|count| count.significant));
                record.push(column(|count| count.insignificant));
            }
        }
        csv.write_record(&record)?;
    }
    csv.flush()
}

/// Writes grades as JSON lines to any writer; [`crate::grade::write_grades`] writes a file.
///
/// # Errors
/// Those of `out`.
pub fn write_grade_lines(out: &mut impl Write, grades: &[Grade]) -> std::io::Result<()> {
    for grade in grades {
        serde_json::to_writer(&mut *out, grade)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Forms of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values.
    Csv,
    /// JSON lines.
    Jsonl,
    /// Grade lines.
    Grades(CountedErrors),
}

/// Writes a store out.
///
/// # Errors
/// Those of `out`.
pub fn write(
    out: &mut impl Write,
    store: &Store,
    rows: &[ExportRow],
    format: Format,
) -> std::io::Result<()> {
    match format {
        Format::Csv => write_csv(out, store, rows),
        Format::Jsonl => write_jsonl(out, rows),
        Format::Grades(errors) => write_grade_lines(out, &grades(rows, errors)),
    }
}

/// Writes a store out into a file, whole or not at all.
///
/// # Errors
/// [`pefomed_data::DataError::Write`].
pub fn write_file(
    path: &Path,
    store: &Store,
    rows: &[ExportRow],
    format: Format,
) -> Result<(), RatingError> {
    let fill = |out: &mut std::io::BufWriter<&std::fs::File>| write(out, store, rows, format);
    Ok(pefomed_data::files::write_atomically(path, fill)?)
}
