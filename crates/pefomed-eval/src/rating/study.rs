//! What a study is set to: fixed when its store is made, checked whenever it is opened again.

use serde::{Deserialize, Serialize};

use super::{Items, RatingError, RatingKind};
use pefomed_data::Task;

/// The settings of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// What raters are asked for.
    pub kind: RatingKind,
    /// Whether they also mark errors.
    pub error_marks: bool,
    /// Whether they see the reference.
    pub show_reference: bool,
    /// Decides plan and orders.
    pub seed: u64,
    /// Raters of each item outside the core.
    pub per_item: usize,
    /// Items that everybody grades.
    pub core: usize,
}

/// Somebody who grades.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rater {
    /// Number in the store and in addresses, from 1.
    pub number: usize,
    /// The name in exports.
    pub name: String,
    /// A stand-in for a person: its grades are never counted as human.
    pub synthetic: bool,
}

/// What was asked for on the command line. What is left open is taken from the store, or, for a new
/// store, from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StudyRequest {
    /// What raters are asked for; by default correct or not for questions, Likert for reports.
    pub kind: Option<RatingKind>,
    /// Whether raters also mark errors; no by default.
    pub error_marks: Option<bool>,
    /// Whether raters see the reference; yes by default.
    pub show_reference: Option<bool>,
    /// Decides plan and orders; 1 by default.
    pub seed: Option<u64>,
    /// Raters of each item outside the core; all raters by default.
    pub per_item: Option<usize>,
    /// Items that everybody grades; none by default.
    pub core: Option<usize>,
    /// Names of raters, and whether each is synthetic. A new store without any gets `rater 1`.
    pub raters: Vec<(String, bool)>,
}

/// The longest name of a rater, in characters.
const MAX_NAME: usize = 60;

impl StudyRequest {
    /// The raters of a new store.
    ///
    /// # Errors
    /// [`RatingError::RaterName`] for a name that is empty, long, unprintable or given twice.
    pub fn new_raters(&self) -> Result<Vec<Rater>, RatingError> {
        self.check_names()?;
        let alone = [("rater 1".to_owned(), false)];
        let named = if self.raters.is_empty() { &alone[..] } else { &self.raters };
        let rater = |(index, (name, synthetic)): (usize, &(String, bool))| Rater {
            number: index + 1,
            name: name.clone(),
            synthetic: *synthetic,
        };
        Ok(named.iter().enumerate().map(rater).collect())
    }

    /// Whether every name can stand in a table.
    pub(super) fn check_names(&self) -> Result<(), RatingError> {
        for (index, (name, _)) in self.raters.iter().enumerate() {
            let refuse = |problem| Err(RatingError::RaterName { name: name.clone(), problem });
            if name.trim().is_empty() || name.trim() != name {
                return refuse("give a name that neither is empty nor begins or ends with a blank");
            }
            if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
                return refuse("give at most 60 printable characters");
            }
            if self.raters[..index].iter().any(|(other, _)| other == name) {
                return refuse("it is given twice: name each rater once");
            }
        }
        Ok(())
    }

    /// The settings of a new store.
    ///
    /// # Errors
    /// [`RatingError::MixedTasks`] when the kind is left open and items are of several kinds.
    pub fn settings(&self, items: &Items, raters: usize) -> Result<Settings, RatingError> {
        let kind = match self.kind {
            Some(kind) => kind,
            None => default_kind(items)?,
        };
        Ok(Settings {
            kind,
            error_marks: self.error_marks.unwrap_or(false),
            show_reference: self.show_reference.unwrap_or(true),
            seed: self.seed.unwrap_or(1),
            per_item: self.per_item.unwrap_or(raters),
            core: self.core.unwrap_or(0),
        })
    }
}

/// Correct or not for questions, Likert for captions and reports.
fn default_kind(items: &Items) -> Result<RatingKind, RatingError> {
    let questions = items.cases.iter().filter(|case| case.task == Task::Vqa).count();
    match questions {
        0 => Ok(RatingKind::Likert),
        all if all == items.cases.len() => Ok(RatingKind::Correct),
        some => Err(RatingError::MixedTasks { questions: some, others: items.cases.len() - some }),
    }
}
