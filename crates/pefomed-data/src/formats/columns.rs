//! Which column holds what, in tables whose authors chose the names.
//!
//! The usual names are known; others are given by [`Columns`]. What has no role is a label.

use std::collections::BTreeMap;

use super::options::Columns;
use super::row::{Row, kind};
use crate::{DataError, Example, ImageSource, Split, Task, names};

/// What a column can be, with the names it usually has, the proper one first. Case, blanks and
/// hyphens do not matter.
const NAMES: [(&str, &[&str]); 7] = [
    ("id", &["id", "qid", "question_id", "uid", "key"]),
    (
        "image",
        &[
            "image",
            "images",
            "image_path",
            "image_name",
            "image_file",
            "file_name",
            "filename",
            "img",
            "img_name",
            "img_path",
            "path",
            "image_id",
        ],
    ),
    ("question", &["question", "instruction", "query"]),
    (
        "answer",
        &["answer", "answers", "caption", "report", "text", "findings", "reference", "target"],
    ),
    ("split", &["split"]),
    ("group", &["group", "patient", "patient_id", "subject", "subject_id", "study", "study_id"]),
    ("task", &["task"]),
];

fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// Which column has which role, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles {
    id: Option<String>,
    pub(super) image: Option<String>,
    question: Option<String>,
    answer: String,
    split: Option<String>,
    group: Option<String>,
    task: Option<String>,
    labels: Vec<String>,
    /// What a row asks when it does not say.
    usual: Option<Task>,
}

impl Roles {
    /// Gives the columns their roles.
    ///
    /// # Errors
    /// What is wrong and what to do about it: a column that is named and not there, no column for
    /// the answer, or two that could be it.
    pub(super) fn new(
        there: &[String],
        given: Option<&Columns>,
        task: Option<Task>,
    ) -> Result<Self, String> {
        let given = given.cloned().unwrap_or_default();
        let is_there = |name: &String| match there.iter().find(|column| *column == name) {
            Some(_) => Ok(name.clone()),
            None => Err(format!(
                "no column is called `{name}` (there are {}){}",
                listed(there),
                names::suggestion(name, there.iter().map(String::as_str))
            )),
        };
        let mut taken: Vec<String> = Vec::new();
        let mut found: BTreeMap<&str, String> = BTreeMap::new();
        let asked = [
            ("id", &given.id),
            ("image", &given.image),
            ("question", &given.question),
            ("answer", &given.answer),
            ("split", &given.split),
            ("group", &given.group),
            ("task", &given.task),
        ];
        for (role, name) in asked {
            if let Some(name) = name {
                let name = is_there(name)?;
                taken.push(name.clone());
                found.insert(role, name);
            }
        }
        let labels = match &given.labels {
            Some(names) => Some(names.iter().map(is_there).collect::<Result<Vec<_>, _>>()?),
            None => None,
        };
        for (role, known) in NAMES {
            if found.contains_key(role) {
                continue;
            }
            let free: Vec<&String> = there.iter().filter(|name| !taken.contains(name)).collect();
            let named = |wanted: &[&str]| -> Vec<&String> {
                let is_wanted = |name: &&&String| wanted.contains(&plain(name).as_str());
                free.iter().filter(is_wanted).copied().collect()
            };
            let mut candidates = named(&known[..1]);
            if candidates.is_empty() {
                candidates = named(known);
            }
            match candidates[..] {
                [] => {}
                [name] => {
                    taken.push(name.clone());
                    found.insert(role, name.clone());
                }
                [first, second, ..] => {
                    return Err(format!(
                        "column `{first}` and column `{second}` could both be the {role}: name the \
                         one that is (`columns` in a recipe, `--column {role}={first}` on the \
                         command line)"
                    ));
                }
            }
        }
        let mut take = |role: &str| found.remove(role);
        let Some(answer) = take("answer") else {
            return Err(format!(
                "no column is the answer (there are {}): name it (`columns` in a recipe, `--column \
                 answer=NAME` on the command line)",
                listed(there)
            ));
        };
        let question = take("question");
        let usual = task.or_else(|| match plain(&answer).as_str() {
            _ if question.is_some() => Some(Task::Vqa),
            "caption" | "text" => Some(Task::Caption),
            "report" | "findings" => Some(Task::Report),
            _ => None,
        });
        let labels = labels.unwrap_or_else(|| {
            let has_no_role = |name: &&String| !taken.contains(name) && !name.trim().is_empty();
            there.iter().filter(has_no_role).cloned().collect()
        });
        let (id, image) = (take("id"), take("image"));
        let (split, group, task) = (take("split"), take("group"), take("task"));
        Ok(Self { id, image, question, answer, split, group, task, labels, usual })
    }

    /// Whether the rows have ids of their own.
    pub(super) fn has_ids(&self) -> bool {
        self.id.is_some()
    }

    /// All columns that are read.
    pub(super) fn read(&self) -> Vec<&str> {
        let single = [&self.id, &self.image, &self.question, &self.split, &self.group, &self.task];
        let single = single.into_iter().flatten().chain([&self.answer]);
        single.chain(&self.labels).map(String::as_str).collect()
    }

    /// Names of the images in a row: a text, or a list of texts.
    pub(super) fn image_names(&self, row: &Row<'_>) -> Result<Vec<String>, DataError> {
        let Some(column) = &self.image else { return Ok(Vec::new()) };
        let names = row.texts(column)?;
        if names.iter().any(|name| name.contains('\0')) {
            return Err(row.error(format!("`{column}` holds a zero byte: give the path of a file")));
        }
        Ok(names.into_iter().filter(|name| !name.is_empty()).collect())
    }

    /// Makes an example of a row; `split` is that of the file, should it tell.
    pub(super) fn example(
        &self,
        row: &Row<'_>,
        images: Vec<ImageSource>,
        split: Option<Split>,
    ) -> Result<Example, DataError> {
        let filled = |column: &Option<String>| -> Result<Option<String>, DataError> {
            let Some(column) = column else { return Ok(None) };
            Ok(row.text(column)?.filter(|text| !text.is_empty()))
        };
        let id = filled(&self.id)?;
        if id.is_none() && self.id.is_some() {
            return Err(row.error("`id` is empty: give every row an id of its own"));
        }
        let id = id.unwrap_or_else(|| match split {
            Some(split) => format!("{split}-{}", row.number()),
            None => row.number().to_string(),
        });
        let own_task = match filled(&self.task)? {
            None => None,
            Some(name) => Some(name.parse::<Task>().or_else(|problem| {
                name.to_lowercase().parse().map_err(|_: String| row.error(problem))
            })?),
        };
        let question = filled(&self.question)?;
        let task = own_task.or(self.usual).ok_or_else(|| {
            row.error(
                "nothing says what is asked: name a column of questions, or the task (`task = \
                 \"caption\"` in a recipe, `--task caption` on the command line)",
            )
        })?;
        if task == Task::Vqa && question.is_none() {
            let column = self.question.as_deref().unwrap_or("question");
            return Err(row.error(format!("`{column}` is empty: a row of task vqa needs it")));
        }
        let split = match filled(&self.split)? {
            Some(name) => {
                name.to_lowercase().parse::<Split>().map_err(|problem| row.error(problem))?
            }
            None => split.unwrap_or(Split::Train),
        };
        let answers = row.texts(&self.answer)?;
        let mut answers = answers.into_iter().filter(|answer| !answer.is_empty());
        let answer = answers.next().ok_or_else(|| {
            row.error(format!("`{}` is empty: give every row an answer", self.answer))
        })?;
        let other_answers = answers.collect();
        let mut labels = BTreeMap::new();
        for column in &self.labels {
            // A list or a structure is no label.
            if row.value(column).is_some_and(|value| matches!(kind(value), "a list" | "an object"))
            {
                continue;
            }
            if let Some(value) = row.label(column)? {
                labels.insert(plain(column), value);
            }
        }
        let group = filled(&self.group)?
            .unwrap_or_else(|| images.first().map_or_else(|| id.clone(), ImageSource::group));
        Ok(Example {
            id,
            images,
            task,
            instruction: question.unwrap_or_default(),
            answer,
            other_answers,
            group,
            split,
            labels,
            row: row.number(),
        })
    }
}

/// `a`, `b` and `c`, at most ten.
fn listed(names: &[String]) -> String {
    let mut list: Vec<String> = names.iter().take(10).map(|name| format!("`{name}`")).collect();
    if names.len() > 10 {
        list.push("…".to_owned());
    }
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}
