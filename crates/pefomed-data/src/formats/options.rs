//! What a reader may be told beyond the layout and the path.
//!
//! Each option belongs to the layouts that have something to choose from; to the others it is an
//! error, so that a recipe never carries a wish nobody hears.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Format;
use crate::{DataError, Task};

/// How a data set is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOptions {
    /// The folder image names are relative to; each layout has its own default.
    pub images: Option<PathBuf>,
    /// Only rows of this language; all when not given.
    pub language: Option<Language>,
    /// Which images of a study.
    pub views: Option<Views>,
    /// Which sections of a report.
    pub sections: Option<Sections>,
    /// What the columns or fields are called.
    pub columns: Option<Columns>,
    /// What the rows ask, where the layout leaves it open.
    pub task: Option<Task>,
}

/// A language that a data set has rows in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
    /// Spanish.
    Es,
    /// French.
    Fr,
    /// Italian.
    It,
}

/// Which images of a study an example shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Views {
    /// All, in the order of the file.
    #[default]
    All,
    /// The first alone.
    First,
}

/// Which sections of a report are the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sections {
    /// What is seen: PeFoMed's task on IU-Xray.
    #[default]
    Findings,
    /// What it means.
    Impression,
    /// Findings, and the impression on a line of its own.
    Both,
}

impl Sections {
    /// The answer of a report with these sections; `None` when one that is wanted is absent.
    pub(super) fn choose(
        self,
        findings: Option<String>,
        impression: Option<String>,
    ) -> Option<String> {
        match self {
            Self::Findings => findings,
            Self::Impression => impression,
            Self::Both => Some(format!("{}\n{}", findings?, impression?)),
        }
    }

    /// The name used on the command line and in recipes.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Findings => "findings",
            Self::Impression => "impression",
            Self::Both => "both",
        }
    }
}

impl Language {
    const ALL: [Self; 5] = [Self::En, Self::Zh, Self::Es, Self::Fr, Self::It];

    /// Its two letters (ISO 639-1).
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
            Self::Es => "es",
            Self::Fr => "fr",
            Self::It => "it",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|language| language.code() == code)
            .ok_or_else(|| format!("unknown language `{code}`: use en, zh, es, fr or it"))
    }
}

impl FromStr for Views {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "all" => Ok(Self::All),
            "first" => Ok(Self::First),
            other => Err(format!("unknown views `{other}`: use all or first")),
        }
    }
}

impl FromStr for Sections {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Findings, Self::Impression, Self::Both]
            .into_iter()
            .find(|sections| sections.name() == name)
            .ok_or_else(|| format!("unknown sections `{name}`: use findings, impression or both"))
    }
}

/// The names of the columns, where they are not the usual ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// Unique text or number of the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A path, a list of paths, or an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Answer, caption or report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// `train`, `val` or `test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Patient or study.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `vqa`, `caption` or `report`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Columns kept as labels; all that have no other role when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
}

impl Columns {
    /// Sets one from `question=name`; labels are separated by commas.
    ///
    /// # Errors
    /// What is wrong and what to do about it.
    pub fn set(&mut self, assignment: &str) -> Result<(), String> {
        let Some((role, name)) = assignment.split_once('=') else {
            return Err(format!("`{assignment}` has no `=`: write it as `question=name`"));
        };
        let name = name.trim();
        if name.is_empty() {
            return Err(format!("`{assignment}` names no column: write it as `question=name`"));
        }
        let place = match role.trim() {
            "id" => &mut self.id,
            "image" => &mut self.image,
            "question" => &mut self.question,
            "answer" => &mut self.answer,
            "split" => &mut self.split,
            "group" => &mut self.group,
            "task" => &mut self.task,
            "labels" => {
                let names = name.split(',').map(|name| name.trim().to_owned());
                self.labels = Some(names.filter(|name| !name.is_empty()).collect());
                return Ok(());
            }
            other => {
                return Err(format!(
                    "unknown role `{other}`: known are id, image, question, answer, split, group, \
                     task and labels"
                ));
            }
        };
        *place = Some(name.to_owned());
        Ok(())
    }
}

impl ReadOptions {
    /// Refuses what the layout has no use for.
    ///
    /// # Errors
    /// [`DataError::Option`].
    pub fn check(&self, format: Format) -> Result<(), DataError> {
        let given = [
            ("language", self.language.is_some()),
            ("views", self.views.is_some()),
            ("sections", self.sections.is_some()),
            ("columns", self.columns.is_some()),
            ("task", self.task.is_some()),
        ];
        let taken = format.options();
        for (option, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            if !taken.contains(&option) {
                return Err(DataError::Option {
                    format: format.name().to_owned(),
                    option: option.to_owned(),
                    taken: if taken.is_empty() { "none".to_owned() } else { taken.join(", ") },
                });
            }
        }
        Ok(())
    }
}
