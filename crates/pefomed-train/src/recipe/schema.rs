//! The keys of a recipe as data: what a mistyped key is compared with, which overrides exist, and
//! which strings are paths.

use std::ops::Range;
use std::path::Path;

use pefomed_data::names;
use toml::de::{DeTable, DeValue};

use super::ModelSource;

/// What stands at one place of a recipe.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A number, a word, a list of words.
    Value,
    /// A file or folder.
    Path,
    /// A [`ModelSource`].
    Source,
    /// A table with these keys.
    Table(&'static [(&'static str, Shape)]),
    /// A table of tables under names the recipe chooses.
    Named(&'static Shape),
    /// An array of tables, each with a `name`; an entry may be the name alone.
    List(&'static Shape),
}

use Shape::{List, Named, Source, Table, Value};

/// The whole recipe.
pub(super) const RECIPE: Shape = Table(&[
    ("title", Value),
    ("seed", Value),
    ("output", Shape::Path),
    ("model", MODEL),
    ("adapter", ADAPTER),
    ("data", Named(&DATA)),
    ("stage", List(&STAGE)),
    ("evaluation", EVALUATION),
]);

const MODEL: Shape = Table(&[
    ("vision", Source),
    ("decoder", Source),
    ("tokenizer", Shape::Path),
    ("template", Value),
    ("compat", Value),
    ("image_size", Value),
    ("merge", Value),
    ("vision_layer", Value),
    ("vision_cls", Value),
    ("projector", Value),
    ("precision", Value),
    ("activation_checkpointing", Value),
]);

const ADAPTER: Shape = Table(&[
    ("kind", Value),
    ("rank", Value),
    ("alpha", Value),
    ("dropout", Value),
    ("targets", Value),
    ("start", Shape::Path),
]);

const DATA: Shape = Table(&[
    ("format", Value),
    ("path", Shape::Path),
    ("images", Shape::Path),
    ("language", Value),
    ("views", Value),
    ("sections", Value),
    ("columns", COLUMNS),
    ("task", Value),
    ("strict", Value),
    ("split", SPLIT),
    ("train_groups", Value),
]);

const COLUMNS: Shape = Table(&[
    ("id", Value),
    ("image", Value),
    ("question", Value),
    ("answer", Value),
    ("split", Value),
    ("group", Value),
    ("task", Value),
    ("labels", Value),
]);

const SPLIT: Shape = Table(&[
    ("rule", Value),
    ("test_percent", Value),
    ("val_percent", Value),
    ("fold", Value),
    ("of", Value),
    ("salt", Value),
]);

const STAGE: Shape = Table(&[
    ("name", Value),
    ("data", List(&SOURCE)),
    ("epochs", Value),
    ("steps", Value),
    ("batch", Value),
    ("token_budget", Value),
    ("max_questions_per_tree", Value),
    ("trees_ahead", Value),
    ("share_images", Value),
    ("learning_rate", Value),
    ("final_learning_rate", Value),
    ("warmup_learning_rate", Value),
    ("warmup_steps", Value),
    ("cosine_every", Value),
    ("weight_decay", Value),
    ("beta1", Value),
    ("beta2", Value),
    ("epsilon", Value),
    ("train_projector", Value),
    ("train_adapter", Value),
    ("checkpoint_every", Value),
    ("augment", AUGMENT),
]);

const AUGMENT: Shape = Table(&[("crop", Value), ("flip", Value)]);

const SOURCE: Shape = Table(&[("name", Value), ("weight", Value)]);

const EVALUATION: Shape = Table(&[
    ("data", Value),
    ("split", Value),
    ("max_new_tokens", Value),
    ("rows", Value),
    ("controls", Value),
]);

/// A key nobody reads.
#[derive(Debug)]
pub(super) struct Unknown {
    pub(super) key: String,
    pub(super) span: Range<usize>,
    pub(super) table: String,
    pub(super) hint: String,
}

/// The first unknown key of a document, in the order of its text.
pub(super) fn unknown_key(document: &DeTable<'_>) -> Option<Unknown> {
    let mut found = Vec::new();
    collect_unknown(document, &RECIPE, "the recipe's head", "", &mut found);
    found.into_iter().min_by_key(|unknown| unknown.span.start)
}

/// `header` is how messages call the table, `path` what leads to it in front of a key.
fn collect_unknown(
    table: &DeTable<'_>,
    shape: &Shape,
    header: &str,
    path: &str,
    found: &mut Vec<Unknown>,
) {
    for (key, value) in table {
        let name: &str = key.get_ref();
        let inner = match shape {
            Table(keys) => {
                let Some(inner) = find(keys, name) else {
                    found.push(Unknown {
                        key: name.to_owned(),
                        span: key.span(),
                        table: header.to_owned(),
                        hint: hint(name, keys),
                    });
                    continue;
                };
                inner
            }
            Named(inner) => *inner,
            Value | Shape::Path | Source | List(_) => continue,
        };
        let path = format!("{path}{name}");
        let below = format!("{path}.");
        match (value.get_ref(), inner) {
            (DeValue::Table(table), _) => {
                collect_unknown(table, inner, &format!("[{path}]"), &below, found);
            }
            (DeValue::Array(items), List(inner)) => {
                for item in items {
                    if let DeValue::Table(table) = item.get_ref() {
                        collect_unknown(table, inner, &format!("[[{path}]]"), &below, found);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The shape under a key of a table.
pub(super) fn find(keys: &'static [(&'static str, Shape)], name: &str) -> Option<&'static Shape> {
    keys.iter().find(|(key, _)| *key == name).map(|(_, shape)| shape)
}

/// ``did you mean `rank`?``, or all keys there are.
pub(super) fn hint(name: &str, keys: &[(&'static str, Shape)]) -> String {
    let known: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
    match names::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the keys here are {}", known.join(", ")),
    }
}

/// Makes every relative path below `value` start at `base`. An empty path stays empty, so that
/// validation can complain about it.
pub(super) fn resolve_paths(value: &mut toml::Value, shape: &Shape, base: &Path) {
    match (value, shape) {
        (toml::Value::String(text), Shape::Path | Source) => {
            let is_path = matches!(shape, Shape::Path) || ModelSource::is_path(text);
            // A name that is not UTF-8 could not be written back; the folder is then left off, and
            // the relative path still works from where the program was started.
            if is_path
                && !text.is_empty()
                && let Some(whole) = base.join(&*text).to_str()
            {
                whole.clone_into(text);
            }
        }
        (toml::Value::Table(table), Table(keys)) => {
            for (key, value) in table.iter_mut() {
                if let Some(shape) = find(keys, key) {
                    resolve_paths(value, shape, base);
                }
            }
        }
        (toml::Value::Table(table), Named(inner)) => {
            for (_, value) in table.iter_mut() {
                resolve_paths(value, inner, base);
            }
        }
        (toml::Value::Array(items), List(inner)) => {
            for value in items {
                resolve_paths(value, inner, base);
            }
        }
        _ => {}
    }
}

/// Where the text gives a value: the byte span of what `path` leads to, if all of it is there.
pub(super) fn span_of(document: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    let (first, mut rest) = path.split_once('.').unwrap_or((path, ""));
    let (key, mut value) = document.get_key_value(first)?;
    let mut span = key.span();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('.').unwrap_or((rest, ""));
        (span, value) = match value.get_ref() {
            DeValue::Table(table) => {
                let (key, value) = table.get_key_value(name)?;
                (key.span(), value)
            }
            DeValue::Array(items) => {
                let value = items.get(name.parse::<usize>().ok()?)?;
                (value.span(), value)
            }
            _ => return None,
        };
        rest = after;
    }
    Some(span)
}

/// The line a byte stands in, counted from 1.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|byte| *byte == b'\n').count()
}
