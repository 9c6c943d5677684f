//! `key=value` on the command line: a change to a recipe for one run, without another file.
//!
//! `seed=3`, `model.image_size=224`, `stage.0.steps=10`, `stage.alignment.learning_rate=1e-4`: a
//! dotted path, with the number or the name of a stage, and a TOML value; what is no TOML value is
//! taken as a string, so that a shell needs no second pair of quotes. A path is relative to the
//! working directory, like every other path on a command line. Of `epochs` and `steps`, setting
//! one removes the other.

use std::path::Path;

use super::schema::{self, Shape};
use crate::TrainError;

/// Applies one assignment to a parsed recipe and returns the path it set, with a stage's name
/// turned into its number.
pub(super) fn apply(
    recipe: &mut toml::Value,
    assignment: &str,
    working_directory: &Path,
) -> Result<String, TrainError> {
    let failed = |problem| TrainError::Override { assignment: assignment.to_owned(), problem };
    let Some((key, text)) = assignment.split_once('=') else {
        return Err(failed("write it as key=value, as in `seed=3`".to_owned()));
    };
    let keys: Vec<&str> = key.trim().split('.').collect();
    set(recipe, &keys, text.trim(), working_directory).map_err(failed)
}

fn set(
    recipe: &mut toml::Value,
    keys: &[&str],
    text: &str,
    working_directory: &Path,
) -> Result<String, String> {
    let mut here = recipe;
    let mut shape = &schema::RECIPE;
    let mut walked = String::new();
    for (depth, key) in keys.iter().enumerate() {
        let last = depth + 1 == keys.len();
        if key.is_empty() {
            return Err("a part of the key is empty".to_owned());
        }
        let place = if walked.is_empty() { "the recipe".to_owned() } else { format!("`{walked}`") };
        match shape {
            Shape::Table(known) => {
                shape = schema::find(known, key).ok_or_else(|| {
                    format!("{place} has no key `{key}`: {}", schema::hint(key, known))
                })?;
                let table = as_table(here)?;
                if last && walked.starts_with("stage.") {
                    match *key {
                        "steps" => drop(table.remove("epochs")),
                        "epochs" => drop(table.remove("steps")),
                        _ => {}
                    }
                }
                here = table.entry(*key).or_insert_with(|| empty(shape));
            }
            Shape::Named(inner) => {
                shape = inner;
                here = as_table(here)?.entry(*key).or_insert_with(|| empty(inner));
            }
            Shape::List(inner) => {
                let index = position(here, key)
                    .ok_or_else(|| format!("{place} has no entry `{key}`: {}", entries(here)))?;
                shape = inner;
                join(&mut walked, &index.to_string());
                here = match here.get_mut(index) {
                    Some(entry) => entry,
                    None => return Err(format!("{place} has no entry `{key}`")),
                };
                continue;
            }
            Shape::Value | Shape::Path | Shape::Source => {
                return Err(format!("{place} is a value and has no key `{key}`"));
            }
        }
        join(&mut walked, key);
    }
    let mut value = match shape {
        // A folder may be called `2024`; a quoted path is still TOML.
        Shape::Path | Shape::Source => match text.parse::<toml::Value>() {
            Ok(value @ toml::Value::String(_)) => value,
            _ => toml::Value::String(text.to_owned()),
        },
        _ => text.parse().unwrap_or_else(|_| toml::Value::String(text.to_owned())),
    };
    schema::resolve_paths(&mut value, shape, working_directory);
    *here = value;
    Ok(walked)
}

fn join(walked: &mut String, key: &str) {
    if !walked.is_empty() {
        walked.push('.');
    }
    walked.push_str(key);
}

/// The value as a table; anything else that stood there makes way, as `split = "published"` does
/// for `split.rule=group-hash`.
fn as_table(value: &mut toml::Value) -> Result<&mut toml::Table, String> {
    if !value.is_table() {
        *value = toml::Value::Table(toml::Table::new());
    }
    value.as_table_mut().ok_or_else(|| "nothing can be set below this key".to_owned())
}

/// What a key holds before something below it is set.
fn empty(shape: &Shape) -> toml::Value {
    match shape {
        Shape::List(_) => toml::Value::Array(Vec::new()),
        _ => toml::Value::Table(toml::Table::new()),
    }
}

/// An entry of an array of tables, by its number or its `name`.
fn position(list: &toml::Value, key: &str) -> Option<usize> {
    let items = list.as_array()?;
    match key.parse::<usize>() {
        Ok(index) => (index < items.len()).then_some(index),
        Err(_) => items.iter().position(|item| name_of(item) == Some(key)),
    }
}

fn name_of(item: &toml::Value) -> Option<&str> {
    item.get("name")?.as_str()
}

fn entries(list: &toml::Value) -> String {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    let names: Vec<String> = items
        .iter()
        .enumerate()
        .map(|(index, item)| match name_of(item) {
            Some(name) => format!("{index} (`{name}`)"),
            None => index.to_string(),
        })
        .collect();
    if names.is_empty() {
        "there are none".to_owned()
    } else {
        format!("there are {}", names.join(", "))
    }
}
