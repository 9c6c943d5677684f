//! What a run folder holds, read leniently: any piece may be missing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pefomed_data::prediction::read_predictions;
use pefomed_data::{DataError, ImageCondition, Prediction, files};
use serde_json::{Map, Value};

use super::events::Log;
use crate::{Agreement, EvalError, Metrics};

/// A run folder in memory.
pub(super) struct Run {
    pub(super) folder: PathBuf,
    pub(super) recipe: Option<String>,
    pub(super) log: Option<Log>,
    pub(super) info: Option<Info>,
    /// Metrics by split.
    pub(super) metrics: BTreeMap<String, Metrics>,
    /// Predictions by split, all conditions together.
    pub(super) predictions: BTreeMap<String, Vec<Prediction>>,
    pub(super) ablation: Vec<Variant>,
    pub(super) agreement: Option<Agreement>,
}

/// One row of the ablation.
pub(super) struct Variant {
    /// Folder name without its number, dashes as blanks.
    pub(super) name: String,
    pub(super) info: Option<Info>,
    pub(super) metrics: BTreeMap<String, Metrics>,
}

impl Run {
    /// Reads everything the report shows.
    ///
    /// # Errors
    /// [`EvalError::NotARunFolder`]; [`EvalError::Data`] for a file that is there but broken.
    pub(super) fn read(folder: &Path) -> Result<Self, EvalError> {
        if !folder.is_dir() {
            return Err(EvalError::NotARunFolder { path: folder.to_owned() });
        }
        Ok(Self {
            folder: folder.to_owned(),
            recipe: read_if_there(&folder.join("recipe.toml"))?,
            log: read_if_there(&folder.join("events.jsonl"))?.map(|text| Log::parse(&text)),
            info: Info::read(&folder.join("run.json"))?,
            metrics: read_metrics(folder)?,
            predictions: read_all_predictions(folder)?,
            ablation: read_ablation(&folder.join("ablation"))?,
            agreement: read_agreement(&folder.join(Agreement::FILE))?,
        })
    }
}

/// `run.json`: facts about a run, all optional.
pub(super) struct Info(Map<String, Value>);

impl Info {
    fn read(path: &Path) -> Result<Option<Self>, EvalError> {
        if !path.is_file() {
            return Ok(None);
        }
        Ok(Some(Self(files::read_json(path)?)))
    }

    /// A number or text as text; anything else is taken as absent.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    pub(super) fn float(&self, key: &str) -> Option<f64> {
        self.0.get(key)?.as_f64().filter(|number| number.is_finite() && *number >= 0.0)
    }

    pub(super) fn integer(&self, key: &str) -> Option<u64> {
        self.0.get(key)?.as_u64()
    }

    /// Whether the file says anything under the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !value.is_null())
    }

    /// A map from names to counts, in the order of the file.
    pub(super) fn counts(&self, key: &str) -> Vec<(&str, u64)> {
        let map = self.0.get(key).and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .filter_map(|(name, count)| Some((name.as_str(), count.as_u64()?)))
            .collect()
    }

    /// A map from names to texts, in the order of the file.
    pub(super) fn texts(&self, key: &str) -> Vec<(&str, String)> {
        let map = self.0.get(key).and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .filter_map(|(name, value)| match value {
                Value::Null => None,
                Value::String(text) => Some((name.as_str(), text.clone())),
                other => Some((name.as_str(), other.to_string())),
            })
            .collect()
    }

    /// A list of texts; a single text is a list of one.
    pub(super) fn list(&self, key: &str) -> Vec<&str> {
        match self.0.get(key) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

fn read_if_there(path: &Path) -> Result<Option<String>, EvalError> {
    if path.is_file() { Ok(Some(files::read_text(path)?)) } else { Ok(None) }
}

fn read_agreement(path: &Path) -> Result<Option<Agreement>, EvalError> {
    if path.is_file() { Ok(Some(Agreement::read(path)?)) } else { Ok(None) }
}

/// Names in a folder, sorted; none when there is no such folder.
fn names(folder: &Path) -> Result<Vec<String>, EvalError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |source| DataError::Read { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        // A name that is not UTF-8 is none of ours.
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read_metrics(folder: &Path) -> Result<BTreeMap<String, Metrics>, EvalError> {
    let mut found = BTreeMap::new();
    for name in names(folder)? {
        let split = name.strip_prefix("metrics-").and_then(|rest| rest.strip_suffix(".json"));
        if let Some(split) = split {
            found.insert(split.to_owned(), Metrics::read(&folder.join(&name))?);
        }
    }
    Ok(found)
}

fn read_all_predictions(folder: &Path) -> Result<BTreeMap<String, Vec<Prediction>>, EvalError> {
    let mut found: BTreeMap<String, Vec<Prediction>> = BTreeMap::new();
    for name in names(folder)? {
        let stem = name.strip_prefix("predictions-").and_then(|rest| rest.strip_suffix(".jsonl"));
        let Some(stem) = stem else { continue };
        let split = ImageCondition::ALL
            .iter()
            .find_map(|condition| stem.strip_suffix(condition.name())?.strip_suffix('.'))
            .unwrap_or(stem);
        found.entry(split.to_owned()).or_default().extend(read_predictions(&folder.join(&name))?);
    }
    Ok(found)
}

fn read_ablation(folder: &Path) -> Result<Vec<Variant>, EvalError> {
    let mut variants = Vec::new();
    for name in names(folder)? {
        let variant = folder.join(&name);
        if !variant.is_dir() {
            continue;
        }
        let metrics = read_metrics(&variant)?;
        let info = Info::read(&variant.join("run.json"))?;
        if metrics.is_empty() && info.is_none() {
            continue;
        }
        let title = info.as_ref().and_then(|info| info.text("title"));
        variants.push(Variant { name: title.unwrap_or_else(|| readable(&name)), info, metrics });
    }
    Ok(variants)
}

/// `02-stage-1-only` → `stage 1 only`.
fn readable(folder: &str) -> String {
    let name = match folder.split_once('-') {
        Some((number, name)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => folder,
    };
    name.replace(['-', '_'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ablation_folders_have_readable_names() {
        assert_eq!(readable("02-stage-1-only"), "stage 1 only");
        assert_eq!(readable("both"), "both");
        assert_eq!(readable("stage-1"), "stage 1");
    }

    #[test]
    fn odd_values_in_run_json_are_absent_rather_than_fatal() {
        let Value::Object(map) = serde_json::json!({
            "title": 7, "seconds": "long", "seed": {"a": 1}, "images_dir": "one",
            "digests": {"data": "ab", "n": 3, "none": null},
            "trainable_parameters": {"lora": 5, "odd": -1}
        }) else {
            panic!()
        };
        let info = Info(map);
        assert_eq!(info.text("title").as_deref(), Some("7"));
        assert_eq!((info.float("seconds"), info.text("seed")), (None, None));
        assert_eq!(info.list("images_dir"), ["one"]);
        assert_eq!(info.texts("digests"), [("data", "ab".to_owned()), ("n", "3".to_owned())]);
        assert_eq!(info.counts("trainable_parameters"), [("lora", 5)]);
    }
}
