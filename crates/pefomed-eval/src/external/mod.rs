//! Scorers outside this program: any command that reads items and writes numbers.
//!
//! RadGraph, GREEN, CheXbert and their kin are models with installations of their own. A command that
//! wraps one gets a JSON line an item on its standard input (`id`, `prediction`, `reference`, `task`,
//! `condition`, `question`, `image`, `group`, `labels`) and writes `{"id": …, "score": …}` for each on its
//! standard output, in any order; `score` is a number or an object of named numbers, more is better. It is
//! started once for each image condition, directly: a shell only if the command names one. What does not
//! keep to this is one error that says which scorer, which line and what to do.
//!
//! The mean over items, its interval and its difference to a control are made as those of any other
//! metric. The command and a digest of it stand in the metrics file.

mod command;
mod error;
mod line;
mod process;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pefomed_data::{ImageCondition, Prediction, files};
use serde::{Deserialize, Serialize};

pub use self::error::{ExternalError, Said};

use self::line::{Received, Request};
use crate::bootstrap::Estimate;

/// Largest file of a command that goes into its digest, in bytes.
const LARGEST_FILE: u64 = 64 << 20;

/// A command that scores items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalScorer {
    /// What its scores are called.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Longest time without a score before it is stopped.
    pub silence: Duration,
}

impl ExternalScorer {
    /// How long a scorer may be silent unless told otherwise: models take minutes to load.
    pub const SILENCE: Duration = Duration::from_mins(10);

    /// Reads `NAME=COMMAND`. Words of the command are split at blanks, quotes keep them together.
    ///
    /// # Errors
    /// [`ExternalError::Option`] without a name or a command.
    pub fn parse(text: &str, silence: Duration) -> Result<Self, ExternalError> {
        let (name, command) = command::named(text)?;
        Ok(Self { name, command, silence })
    }

    /// What was run: words, and contents of the program and of files among the arguments.
    fn digest(&self) -> String {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for (at, word) in self.command.iter().enumerate() {
            parts.push(word.clone().into_bytes());
            let path = if at == 0 { program(word) } else { Some(PathBuf::from(word)) };
            parts.push(path.and_then(|path| contents(&path)).unwrap_or_default());
        }
        files::digest(parts)
    }
}

/// The file that a program's name stands for.
fn program(name: &str) -> Option<PathBuf> {
    if name.contains(std::path::MAIN_SEPARATOR) {
        return Some(PathBuf::from(name));
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Digest of a file, as bytes; its length for a large one.
fn contents(path: &Path) -> Option<Vec<u8>> {
    let length = path.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    if length > LARGEST_FILE {
        return Some(length.to_le_bytes().to_vec());
    }
    files::digest_file(path).ok().map(String::into_bytes)
}

/// A scorer in a metrics file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalRun {
    /// What its scores are called.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Digest of these words and of the files among them, up to 64 MiB each.
    pub digest: String,
    /// Its scores as tables name them.
    pub scores: Vec<String>,
}

/// A score of a scorer over some items, or a difference of it, in the scorer's own unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExternalScore {
    /// What tables call it: the scorer's name, with `/` and the score's where it gives several.
    pub name: String,
    /// The mean over items.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// One score of every item.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    pub(crate) name: String,
    values: HashMap<ImageCondition, HashMap<String, f64>>,
}

impl Column {
    /// The score of an item; every item that was given has one.
    pub(crate) fn value(&self, item: &Prediction) -> Option<f64> {
        self.values.get(&item.condition)?.get(&item.id).copied()
    }
}

/// Runs all scorers over some items, which are distinct by condition and id.
///
/// # Errors
/// [`ExternalError`], of the first scorer that fails.
pub(crate) fn run(
    scorers: &[ExternalScorer],
    items: &[&Prediction],
) -> Result<(Vec<ExternalRun>, Vec<Column>), ExternalError> {
    let mut names = HashSet::new();
    for scorer in scorers {
        let name = scorer.name.to_lowercase();
        if crate::score::METRIC_NAMES.iter().any(|known| known.to_lowercase() == name)
            || !names.insert(name)
        {
            return Err(ExternalError::NameTaken { name: scorer.name.clone() });
        }
    }
    let mut by_condition: BTreeMap<ImageCondition, Vec<&Prediction>> = BTreeMap::new();
    for item in items {
        by_condition.entry(item.condition).or_default().push(item);
    }
    let (mut runs, mut columns) = (Vec::new(), Vec::new());
    for scorer in scorers {
        let mut own: Vec<Column> = Vec::new();
        for (condition, items) in &by_condition {
            let (names, values) = scores(scorer, items)?;
            let names: Vec<String> = if names.is_empty() {
                vec![scorer.name.clone()]
            } else {
                names.iter().map(|name| format!("{}/{name}", scorer.name)).collect()
            };
            if own.is_empty() {
                own.extend(
                    names.iter().map(|name| Column { name: name.clone(), ..Column::default() }),
                );
            }
            let known: Vec<&String> = own.iter().map(|column| &column.name).collect();
            if !known.iter().copied().eq(&names) {
                return Err(ExternalError::OtherScores {
                    scorer: scorer.name.clone(),
                    line: 1,
                    id: items.first().map_or_else(String::new, |item| item.id.clone()),
                    found: names.join(", "),
                    known: known.into_iter().cloned().collect::<Vec<_>>().join(", "),
                });
            }
            for (id, values) in values {
                for (column, value) in own.iter_mut().zip(values) {
                    column.values.entry(*condition).or_default().insert(id.clone(), value);
                }
            }
        }
        runs.push(ExternalRun {
            name: scorer.name.clone(),
            command: scorer.command.clone(),
            digest: scorer.digest(),
            scores: own.iter().map(|column| column.name.clone()).collect(),
        });
        columns.extend(own);
    }
    Ok((runs, columns))
}

/// Runs one scorer over items with distinct ids: names of its scores and the scores of every item.
#[allow(clippy::type_complexity, reason = "names and values, taken apart at once")]
fn scores(
    scorer: &ExternalScorer,
    items: &[&Prediction],
) -> Result<(Vec<String>, HashMap<String, Vec<f64>>), ExternalError> {
    let mut received = Received::new(&scorer.name, items.iter().map(|item| item.id.as_str()));
    let requests = items.iter().map(|item| Request::new(item)).collect();
    let said = process::run(scorer, requests, &mut received)?;
    let missing: HashSet<&str> = received.missing().collect();
    if let Some(first) = items.iter().find(|item| missing.contains(item.id.as_str())) {
        return Err(ExternalError::Missing {
            scorer: scorer.name.clone(),
            missing: missing.len(),
            items: items.len(),
            id: first.id.clone(),
            said,
        });
    }
    Ok(received.finish())
}
