//! Who is compared with whom: a metric, a judge, or the mean of a panel of raters.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::table::{Column, Table};
use crate::grade::{GraderKind, Scale};

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Name of the grader; `people` or `synthetic` for the mean of a panel.
    pub name: String,
    /// What kind of grader it is.
    pub kind: GraderKind,
    /// What its number means.
    pub scale: Scale,
    /// Graders in it: more than one for a panel, whose grade of an item is the mean of those that
    /// were given.
    pub graders: usize,
    /// Whether it is a panel.
    pub panel: bool,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = word(self.scale);
        match (self.panel, self.kind) {
            (true, GraderKind::Synthetic) => write!(f, "synthetic, not people, {scale}")?,
            (true, _) => write!(f, "people, {scale}")?,
            (false, GraderKind::Judge) => write!(f, "{}, {scale}", self.name)?,
            (false, _) => f.write_str(&self.name)?,
        }
        if self.panel && self.graders > 1 {
            write!(f, " (mean of {})", self.graders)?;
        }
        Ok(())
    }
}

/// A scale in one word.
pub(crate) fn word(scale: Scale) -> &'static str {
    match scale {
        Scale::Correct => "right or wrong",
        Scale::Likert => "Likert",
        Scale::Errors => "errors",
        Scale::Score => "score",
    }
}

/// A side with its grades.
#[derive(Clone, Debug)]
pub(crate) struct Graded<'a> {
    pub(crate) side: Side,
    /// Grade of each item: that of the grader, or the mean of the panel.
    pub(crate) values: Vec<Option<f64>>,
    /// The graders it is made of.
    pub(crate) columns: Vec<&'a Column>,
}

/// All sides: metrics and judges by themselves, people and stand-ins as panels by scale.
pub(crate) fn sides(table: &Table) -> Vec<Graded<'_>> {
    let mut sides: Vec<Graded<'_>> = Vec::new();
    for column in &table.columns {
        let panel = is_panel(column.kind);
        let known = sides.iter_mut().find(|graded| {
            panel
                && graded.side.panel
                && (graded.side.kind, graded.side.scale) == (column.kind, column.scale)
        });
        if let Some(known) = known {
            known.columns.push(column);
            known.side.graders += 1;
            continue;
        }
        let name = match column.kind {
            GraderKind::Human => "people",
            GraderKind::Synthetic => "synthetic",
            GraderKind::Metric | GraderKind::Judge => &column.name,
        };
        sides.push(Graded {
            side: Side {
                name: name.to_owned(),
                kind: column.kind,
                scale: column.scale,
                graders: 1,
                panel,
            },
            values: Vec::new(),
            columns: vec![column],
        });
    }
    for graded in &mut sides {
        graded.values = (0..table.items.len()).map(|item| mean(&given(graded, item))).collect();
    }
    sides
}

/// Whether graders of this kind are pooled.
pub(crate) fn is_panel(kind: GraderKind) -> bool {
    matches!(kind, GraderKind::Human | GraderKind::Synthetic)
}

/// The grades that a side's graders gave to an item.
pub(crate) fn given(graded: &Graded<'_>, item: usize) -> Vec<f64> {
    graded.columns.iter().filter_map(|column| column.values[item]).collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
