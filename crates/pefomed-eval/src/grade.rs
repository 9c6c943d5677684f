//! One grade of one item by one grader: what metrics, judges and human raters have in common.
//!
//! A lexical metric, a model judge and a radiologist answer the same question, how good is this
//! text, each in its own way and on its own scale. Agreement is computed from grades alone, so
//! whoever can write these lines, with this program or another, can be compared.

use std::collections::HashSet;
use std::fmt;
use std::io::Write as _;
use std::path::Path;

use pefomed_data::{DataError, files};
use serde::{Deserialize, Serialize};

/// What kind of grader gave a grade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GraderKind {
    /// A formula over the two texts.
    Metric,
    /// A model that was asked.
    Judge,
    /// A person.
    Human,
    /// A stand-in for a person in a trial of the pages: never counted among humans.
    Synthetic,
}

/// What the number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// An answer is wrong (0) or right (1).
    Correct,
    /// A report on PeFoMed's 5-point Likert scale: 0 (hardly any consistency) to 4 (minimal
    /// discrepancy).
    Likert,
    /// A number of errors, 0 or more, fewer is better.
    Errors,
    /// Any number, more is better.
    Score,
}

impl Scale {
    /// The levels of a scale that has levels, the lowest first.
    pub fn levels(self) -> Option<&'static [f64]> {
        match self {
            Self::Correct => Some(&[0.0, 1.0]),
            Self::Likert => Some(&[0.0, 1.0, 2.0, 3.0, 4.0]),
            Self::Errors | Self::Score => None,
        }
    }

    /// Whether `value` lies on the scale.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::Correct | Self::Likert => {
                self.levels().is_some_and(|levels| levels.contains(&value))
            }
            Self::Errors => value.is_finite() && value >= 0.0 && value.fract() == 0.0,
            Self::Score => value.is_finite(),
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Correct => "correct (0 or 1)",
            Self::Likert => "Likert (0 to 4)",
            Self::Errors => "number of errors",
            Self::Score => "score",
        })
    }
}

/// One grade. `(system, id, grader, scale, repeat)` names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// Whose text was graded: the name of a model or of a prediction file.
    pub system: String,
    /// Id of the item, as in the prediction line.
    pub id: String,
    /// Image or patient the item belongs to: the unit intervals are clustered by. Empty when it is
    /// not known; the item then stands for itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Who graded: a metric's name, a judge's model name, a rater's name.
    pub grader: String,
    /// What kind of grader that is.
    pub kind: GraderKind,
    /// What the number means.
    pub scale: Scale,
    /// Which time of asking this is, from 0.
    #[serde(default)]
    pub repeat: u32,
    /// The grade; none when the grader looked and could not judge.
    pub value: Option<f64>,
}

/// Writes grades as JSON lines, whole or not at all.
///
/// # Errors
/// [`DataError::Write`] when the file cannot be written.
pub fn write_grades(path: &Path, grades: &[Grade]) -> Result<(), DataError> {
    files::write_atomically(path, |out| {
        for grade in grades {
            serde_json::to_writer(&mut *out, grade)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Reads grades from JSON lines; blank lines are skipped, fields that a grade does not have are
/// passed over.
///
/// # Errors
/// [`DataError::Read`] when the file cannot be read, [`DataError::Row`] with the line's number for
/// a line that is no grade, a value off its scale, or a grade that is given twice.
pub fn read_grades(path: &Path) -> Result<Vec<Grade>, DataError> {
    let text = files::read_text(path)?;
    let mut seen = HashSet::new();
    let mut grades = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let refuse =
            |problem: String| DataError::Row { path: path.to_owned(), row: index + 1, problem };
        let grade: Grade =
            serde_json::from_str(line).map_err(|error| refuse(format!("not a grade: {error}")))?;
        if let Some(value) = grade.value.filter(|value| !grade.scale.holds(*value)) {
            return Err(refuse(format!("{value} does not lie on the scale {}", grade.scale)));
        }
        let Grade { system, id, grader, scale, repeat, .. } = grade.clone();
        if !seen.insert((system, id, grader, scale, repeat)) {
            return Err(refuse(format!(
                "`{}` grades `{}` of `{}` twice (repeat {}): keep one of the two lines",
                grade.grader, grade.id, grade.system, grade.repeat
            )));
        }
        grades.push(grade);
    }
    Ok(grades)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Grade>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grades.jsonl");
        std::fs::write(&path, text).unwrap();
        read_grades(&path)
    }

    #[test]
    fn a_line_reads_as_it_was_written() {
        let grade = Grade {
            system: "both stages".to_owned(),
            id: "q1".to_owned(),
            group: "synpic1".to_owned(),
            grader: "rater 1".to_owned(),
            kind: GraderKind::Human,
            scale: Scale::Likert,
            repeat: 0,
            value: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grades.jsonl");
        write_grades(&path, std::slice::from_ref(&grade)).unwrap();
        assert_eq!(read_grades(&path).unwrap(), [grade]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let line =
            r#"{"system":"a","id":"1","grader":"g","kind":"human","scale":"likert","value":"#;
        let off = read(&format!("{line}2}}\n\n{line}2.5}}\n")).unwrap_err().to_string();
        assert!(off.contains("2.5 does not lie on the scale Likert"), "{off}");
        assert!(off.contains('3'), "{off}");
        let twice = read(&format!("{line}2}}\n{line}3}}\n")).unwrap_err().to_string();
        assert!(twice.contains("`g` grades `1` of `a` twice"), "{twice}");
        assert!(read("{}").unwrap_err().to_string().contains("not a grade"));
    }
}
