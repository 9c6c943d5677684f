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

impl fmt::Display for GraderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metric => "metric",
            Self::Judge => "judge",
            Self::Human => "human",
            Self::Synthetic => "synthetic",
        })
    }
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
    /// A number of errors, 0 to a million, fewer is better.
    Errors,
    /// Any number up to 10¹², more is better.
    Score,
}

/// What is beyond these is a mistake, and would make sums of squares meaningless.
const MOST_ERRORS: f64 = 1e6;
const LARGEST_SCORE: f64 = 1e12;

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
            Self::Errors => (0.0..=MOST_ERRORS).contains(&value) && value.fract() == 0.0,
            Self::Score => value.abs() <= LARGEST_SCORE,
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
    let mut collected = Collected::new(path);
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let grade: Grade = serde_json::from_str(line)
            .map_err(|error| collected.refuse(index + 1, format!("not a grade: {error}")))?;
        collected.add(index + 1, grade)?;
    }
    Ok(collected.grades)
}

/// Reads grades from a table with commas and a heading: `system`, `id`, `grader`, `kind`, `scale`,
/// `value`, and where there are such, `repeat` and `group`. Words are those of JSON lines
/// (`human`, `likert`, …); an empty value is one that the grader could not judge; columns of other
/// names are passed over.
///
/// # Errors
/// [`DataError::Read`] when the file cannot be read, [`DataError::Layout`] for a missing column,
/// [`DataError::Row`] with the line's number for a row that is no grade, a value off its scale, or
/// a grade that is given twice.
pub fn read_grades_csv(path: &Path) -> Result<Vec<Grade>, DataError> {
    let text = files::read_text(path)?;
    // Spreadsheets mark their UTF-8.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut collected = Collected::new(path);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let heading = reader.headers().map_err(|error| collected.refuse(1, error.to_string()))?.clone();
    let column = |name: &str| heading.iter().position(|heading| heading == name);
    let required = |name: &str| {
        column(name).ok_or_else(|| DataError::Layout {
            path: path.to_owned(),
            problem: format!(
                "there is no column `{name}`; needed are system, id, grader, kind, scale and \
                 value, separated by commas"
            ),
        })
    };
    let (system, id, grader) = (required("system")?, required("id")?, required("grader")?);
    let (kind, scale, value) = (required("kind")?, required("scale")?, required("value")?);
    let (repeat, group) = (column("repeat"), column("group"));
    for record in reader.records() {
        let record = record.map_err(|error| {
            let row = error.position().map_or(0, |position| position.line() as usize);
            collected.refuse(row, error.to_string())
        })?;
        let row = record.position().map_or(0, |position| position.line() as usize);
        let cell = |index: usize| record.get(index).unwrap_or_default();
        let refuse = |what: &str, text: &str, remedy: &str| {
            collected.refuse(row, format!("`{text}` is no {what}: {remedy}"))
        };
        let kind = word(cell(kind))
            .ok_or_else(|| refuse("kind", cell(kind), "use metric, judge, human or synthetic"))?;
        let scale = word(cell(scale))
            .ok_or_else(|| refuse("scale", cell(scale), "use correct, likert, errors or score"))?;
        let repeat = match repeat.map_or("", cell) {
            "" => 0,
            text => {
                text.parse().map_err(|_| refuse("repeat", text, "number repeats 0, 1, 2, …"))?
            }
        };
        let value = match cell(value) {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                refuse("number", text, "write it with a point, or leave it empty if not judged")
            })?),
        };
        let grade = Grade {
            system: cell(system).to_owned(),
            id: cell(id).to_owned(),
            group: group.map_or("", cell).to_owned(),
            grader: cell(grader).to_owned(),
            kind,
            scale,
            repeat,
            value,
        };
        collected.add(row, grade)?;
    }
    Ok(collected.grades)
}

/// Reads grades from a file of either form: a table when its name ends in `.csv`, JSON lines
/// otherwise.
///
/// # Errors
/// As [`read_grades`] and [`read_grades_csv`].
pub fn read_grade_file(path: &Path) -> Result<Vec<Grade>, DataError> {
    let is_table = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    if is_table { read_grades_csv(path) } else { read_grades(path) }
}

/// A word as it stands in JSON lines.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(text.to_lowercase())).ok()
}

/// Grades of one file, checked one by one.
struct Collected<'a> {
    path: &'a Path,
    seen: HashSet<(String, String, String, Scale, u32)>,
    grades: Vec<Grade>,
}

impl<'a> Collected<'a> {
    fn new(path: &'a Path) -> Self {
        Self { path, seen: HashSet::new(), grades: Vec::new() }
    }

    fn refuse(&self, row: usize, problem: String) -> DataError {
        DataError::Row { path: self.path.to_owned(), row, problem }
    }

    fn add(&mut self, row: usize, grade: Grade) -> Result<(), DataError> {
        for (field, text) in
            [("system", &grade.system), ("id", &grade.id), ("grader", &grade.grader)]
        {
            if text.trim().is_empty() {
                return Err(self.refuse(row, format!("`{field}` is empty: name it")));
            }
        }
        if let Some(value) = grade.value.filter(|value| !grade.scale.holds(*value)) {
            let problem = format!("{value} does not lie on the scale {}", grade.scale);
            return Err(self.refuse(row, problem));
        }
        let Grade { system, id, grader, scale, repeat, .. } = grade.clone();
        if !self.seen.insert((system, id, grader, scale, repeat)) {
            let problem = format!(
                "`{}` grades `{}` of `{}` twice (repeat {}): keep one of the two lines",
                grade.grader, grade.id, grade.system, grade.repeat
            );
            return Err(self.refuse(row, problem));
        }
        self.grades.push(grade);
        Ok(())
    }
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

    fn read_csv(text: &str) -> Result<Vec<Grade>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grades.CSV");
        std::fs::write(&path, text).unwrap();
        read_grade_file(&path)
    }

    #[test]
    fn a_table_says_the_same_as_lines() {
        let table = read_csv(
            "\u{feff}system,id,grader,kind,scale,repeat,value,group,remark\n\
             \"model, tuned\", q1 ,Dr A,Human,likert,,3,g1,fine\n\n\
             m2,q1,Dr A,human,likert,1,,g1,\"cannot\nsay\"\n",
        )
        .unwrap();
        let lines = read(
            r#"{"system":"model, tuned","id":"q1","group":"g1","grader":"Dr A","kind":"human","scale":"likert","value":3}
            {"system":"m2","id":"q1","group":"g1","grader":"Dr A","kind":"human","scale":"likert","repeat":1,"value":null}"#,
        )
        .unwrap();
        assert_eq!(table, lines);
    }

    #[test]
    fn what_is_wrong_in_a_table_is_named_with_its_line() {
        let head = "system,id,grader,kind,scale,value\n";
        for (text, row, problem) in [
            ("s,1,g,person,likert,2\n", "row 2", "`person` is no kind: use metric"),
            ("s,1,g,human,stars,2\n", "row 2", "`stars` is no scale"),
            ("s,1,g,human,likert,\"2,5\"\n", "row 2", "`2,5` is no number"),
            ("s,1,g,human,likert,2\ns,1,g,human,likert,7\n", "row 3", "7 does not lie"),
            ("s,1,g,human,score,NaN\n", "row 2", "NaN does not lie"),
            ("s,1,g,human,score,1e300\n", "row 2", "does not lie"),
            ("s,1,g,human,errors,-1\n", "row 2", "-1 does not lie"),
            ("s,1,g,human,likert,2\ns,1,g,human,likert,2\n", "row 3", "twice"),
            ("s,1,g,human\n", "row 2", "4 fields"),
            ("s,,g,human,likert,2\n", "row 2", "`id` is empty"),
        ] {
            let error = read_csv(&format!("{head}{text}")).unwrap_err().to_string();
            assert!(error.contains(row) && error.contains(problem), "{text}: {error}");
        }
        let error = read_csv("system,id,rater,kind,scale,value\n").unwrap_err().to_string();
        assert!(error.contains("no column `grader`"), "{error}");
        assert!(read_csv("").unwrap_err().to_string().contains("no column `system`"));
    }
}
