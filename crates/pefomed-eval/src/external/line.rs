//! What goes to a scorer and what comes back: one JSON line an item.

use std::collections::{BTreeMap, HashMap};

use pefomed_data::Prediction;
use serde::Serialize;
use serde_json::Value;

use super::ExternalError;
use super::command::is_name;
use crate::grade::Scale;

/// Most scores of an item.
const MOST_SCORES: usize = 50;

/// One item as a scorer reads it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Request {
    id: String,
    prediction: String,
    reference: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_references: Vec<String>,
    task: &'static str,
    condition: &'static str,
    question: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    group: String,
    labels: BTreeMap<String, String>,
}

impl Request {
    pub(super) fn new(item: &Prediction) -> Self {
        Self {
            id: item.id.clone(),
            prediction: item.prediction.clone(),
            reference: item.reference.clone(),
            other_references: item.other_references.clone(),
            task: item.task.tag(),
            condition: item.condition.name(),
            question: item.question.clone(),
            image: item.image.clone(),
            group: item.group.clone(),
            labels: item.labels.clone(),
        }
    }
}

/// Scores by item as they come in.
#[derive(Debug)]
pub(super) struct Received<'a> {
    scorer: &'a str,
    /// Ids that are waited for, each with its scores once they are known.
    items: HashMap<&'a str, Option<Vec<f64>>>,
    /// Names of the scores; one without a name is the scorer's.
    names: Option<Vec<String>>,
    pub(super) scored: usize,
}

impl<'a> Received<'a> {
    pub(super) fn new(scorer: &'a str, ids: impl Iterator<Item = &'a str>) -> Self {
        Self { scorer, items: ids.map(|id| (id, None)).collect(), names: None, scored: 0 }
    }

    pub(super) fn items(&self) -> usize {
        self.items.len()
    }

    /// Takes line number `line`; blank ones say nothing. Tells whether there was a score in it.
    pub(super) fn take(&mut self, line: usize, bytes: &[u8]) -> Result<bool, ExternalError> {
        let refuse = |problem: String| {
            let scorer = self.scorer.to_owned();
            ExternalError::Line { scorer, line, problem }
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(false);
        }
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| refuse(format!("it is no JSON ({error})")))?;
        let id = match value.get("id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Err(refuse("it has no `id`".to_owned())),
        };
        let (names, scores) = match value.get("score") {
            None => return Err(refuse(format!("item `{id}` has no `score`"))),
            Some(Value::Object(scores)) => {
                let mut named: Vec<(&String, &Value)> = scores.iter().collect();
                named.sort_by_key(|(name, _)| *name);
                if named.is_empty() || named.len() > MOST_SCORES {
                    let problem =
                        format!("item `{id}` has {} scores, not 1 to {MOST_SCORES}", named.len());
                    return Err(refuse(problem));
                }
                if let Some((name, _)) = named.iter().find(|(name, _)| !is_name(name)) {
                    return Err(refuse(format!("`{}` names no score", name.escape_debug())));
                }
                let (names, values): (Vec<_>, Vec<_>) = named.into_iter().unzip();
                (names.into_iter().cloned().collect(), values)
            }
            Some(score) => (Vec::new(), vec![score]),
        };
        let numbers: Vec<f64> = scores
            .iter()
            .map(|score| {
                let number = score.as_f64().filter(|number| Scale::Score.holds(*number));
                number.ok_or_else(|| {
                    let found: String = score.to_string().chars().take(40).collect();
                    refuse(format!(
                        "the score of item `{id}` is {found}, which is no number up to 10¹²"
                    ))
                })
            })
            .collect::<Result<_, _>>()?;
        let scorer = self.scorer.to_owned();
        match self.items.get_mut(id.as_str()) {
            None => return Err(ExternalError::UnknownId { scorer, line, id }),
            Some(Some(_)) => return Err(ExternalError::DuplicateId { scorer, line, id }),
            Some(free) => *free = Some(numbers),
        }
        let known = self.names.get_or_insert_with(|| names.clone());
        if *known != names {
            let (found, known) = (listed(&names), listed(known));
            return Err(ExternalError::OtherScores { scorer, line, id, found, known });
        }
        self.scored += 1;
        Ok(true)
    }

    /// Ids that have no score yet.
    pub(super) fn missing(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.items.iter().filter(|(_, scores)| scores.is_none()).map(|(id, _)| *id)
    }

    /// Names of the scores and the scores of every item.
    pub(super) fn finish(self) -> (Vec<String>, HashMap<String, Vec<f64>>) {
        let scores = self.items.into_iter();
        let scores = scores.filter_map(|(id, scores)| Some((id.to_owned(), scores?))).collect();
        (self.names.unwrap_or_default(), scores)
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "one without a name".to_owned() } else { names.join(", ") }
}
