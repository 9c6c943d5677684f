//! What the columns of a results table are called, and what a prediction is made of when only some
//! are there.
//!
//! People bring what their own scripts wrote: a reference and a prediction, and whatever else. The
//! two are found by their usual names; everything that is not known is a label.

use std::collections::BTreeMap;

use super::{Finish, ImageCondition, Prediction};
use crate::example::Task;
use crate::names;

/// What a column can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Id,
    Prediction,
    Reference,
    Group,
    Image,
    Question,
    Task,
    Condition,
}

/// Names of the roles, the proper one first. Case, blanks and hyphens do not matter.
const NAMES: [(Role, &[&str]); 8] = [
    (Role::Id, &["id", "item", "item_id", "uid", "qid", "question_id", "key"]),
    (
        Role::Prediction,
        &[
            "prediction",
            "candidate",
            "hypothesis",
            "generated",
            "generated_text",
            "generated_report",
            "output",
            "response",
            "pred",
            "hyp",
            "model_answer",
            "predicted",
            "predicted_answer",
        ],
    ),
    (
        Role::Reference,
        &[
            "reference",
            "ground_truth",
            "groundtruth",
            "gt",
            "ref",
            "target",
            "gold",
            "answer",
            "label",
            "report",
            "caption",
        ],
    ),
    (
        Role::Group,
        &["group", "patient", "patient_id", "subject", "subject_id", "study", "study_id"],
    ),
    (Role::Image, &["image", "image_id", "image_name", "image_path", "img_name", "img_id"]),
    (Role::Question, &["question", "instruction"]),
    (Role::Task, &["task"]),
    (Role::Condition, &["condition"]),
];

fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// Which column has which role; the rest are labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    names: Vec<String>,
    roles: Vec<Option<Role>>,
}

impl Columns {
    /// Gives every column its role.
    ///
    /// # Errors
    /// What is wrong and what to do about it: no column for the prediction or the reference, or two
    /// that could be.
    pub(super) fn new(names: Vec<String>) -> Result<Self, String> {
        let plain: Vec<String> = names.iter().map(|name| plain(name)).collect();
        let mut roles = vec![None; names.len()];
        for (role, known) in NAMES {
            let proper = known.first().copied().unwrap_or_default();
            let mut found: Vec<usize> =
                (0..names.len()).filter(|column| plain[*column] == proper).collect();
            if found.is_empty() {
                found = (0..names.len())
                    .filter(|column| known.contains(&plain[*column].as_str()))
                    .collect();
            }
            match found[..] {
                [] => {}
                [column] => roles[column] = Some(role),
                [first, second, ..] => {
                    return Err(format!(
                        "column `{}` and column `{}` could both be the {proper}: rename the one that \
                         is to `{proper}`, and the other",
                        names[first], names[second]
                    ));
                }
            }
        }
        let columns = Self { names, roles };
        for (role, known) in
            NAMES.into_iter().filter(|(role, _)| [Role::Prediction, Role::Reference].contains(role))
        {
            if columns.find(role).is_none() {
                let there: Vec<&str> = columns.names.iter().map(String::as_str).collect();
                let proper = known.first().copied().unwrap_or_default();
                let near =
                    plain.iter().find_map(|name| names::nearest(name, known.iter().copied()));
                return Err(format!(
                    "no column is the {proper} (there are {}): call it `{proper}`{}",
                    quoted(&there),
                    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
                ));
            }
        }
        Ok(columns)
    }

    /// The column with a role.
    pub(super) fn find(&self, role: Role) -> Option<usize> {
        self.roles.iter().position(|found| *found == Some(role))
    }

    /// The column's name as it is written.
    pub(super) fn name(&self, column: usize) -> &str {
        self.names.get(column).map_or("", String::as_str)
    }

    /// Makes a prediction of the cells of a row, counted from 1.
    ///
    /// # Errors
    /// What is wrong and what to do about it: a task or condition that there is not.
    pub(super) fn prediction(
        &self,
        cells: &[String],
        row: usize,
        task: Option<Task>,
    ) -> Result<Prediction, String> {
        let cell = |role: Role| {
            let column = self.find(role)?;
            cells.get(column).map(|cell| (column, cell.as_str()))
        };
        let filled = |role: Role| {
            cell(role)
                .map(|(_, cell)| cell.trim())
                .filter(|cell| !cell.is_empty())
                .map(str::to_owned)
        };
        let named = |role: Role, known: &str| -> Option<(String, String)> {
            let (column, _) = cell(role)?;
            let value = filled(role)?;
            let problem = format!("column `{}`: `{value}` is none of {known}", self.name(column));
            Some((value.to_lowercase(), problem))
        };
        let question = filled(Role::Question);
        let own = match named(Role::Task, "vqa, caption and report") {
            None => None,
            Some((value, problem)) => Some(value.parse::<Task>().map_err(|_| problem)?),
        };
        let condition = match named(Role::Condition, "true, blank and shuffled") {
            None => ImageCondition::True,
            Some((value, problem)) => ImageCondition::ALL
                .into_iter()
                .find(|condition| condition.name() == value)
                .ok_or(problem)?,
        };
        let has_questions = self.find(Role::Question).is_some();
        let usual = if has_questions { Task::Vqa } else { Task::Report };
        let id = filled(Role::Id).unwrap_or_else(|| row.to_string());
        let image = filled(Role::Image);
        let group = filled(Role::Group).or_else(|| image.clone()).unwrap_or_else(|| id.clone());
        let text = |role: Role| cell(role).map_or_else(String::new, |(_, cell)| cell.to_owned());
        let labels: BTreeMap<String, String> = self
            .roles
            .iter()
            .enumerate()
            .filter(|(_, role)| role.is_none())
            .filter_map(|(column, _)| {
                let value = cells.get(column)?.trim();
                let name = self.name(column).trim();
                (!value.is_empty() && !name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
            })
            .collect();
        Ok(Prediction {
            id,
            image,
            group,
            task: task.or(own).unwrap_or(usual),
            question: question.unwrap_or_default(),
            prompt: String::new(),
            prediction: text(Role::Prediction),
            reference: text(Role::Reference),
            other_references: Vec::new(),
            labels,
            tokens: 0,
            finish: Finish::Stop,
            condition,
        })
    }
}

/// `a`, `b` and `c`, at most ten.
fn quoted(names: &[&str]) -> String {
    let mut list: Vec<String> = names.iter().take(10).map(|name| format!("`{name}`")).collect();
    if names.len() > 10 {
        list.push("…".to_owned());
    }
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}
