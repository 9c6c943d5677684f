//! Prediction lines for the tests.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use pefomed_data::{Finish, ImageCondition, Prediction, Task};

/// A question with an answer; labels as (column, value).
pub(crate) fn line(
    id: &str,
    group: &str,
    prediction: &str,
    reference: &str,
    labels: &[(&str, &str)],
) -> Prediction {
    Prediction {
        id: id.to_owned(),
        image: Some(format!("{group}.png")),
        group: group.to_owned(),
        task: Task::Vqa,
        question: format!("Question {id}?"),
        prompt: "[INST] <Img><ImageHere></Img> [vqa] … [/INST]".to_owned(),
        prediction: prediction.to_owned(),
        reference: reference.to_owned(),
        other_references: Vec::new(),
        labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        tokens: 2,
        finish: Finish::Stop,
        condition: ImageCondition::True,
    }
}

/// The same line under another image, with another answer.
pub(crate) fn under(line: &Prediction, condition: ImageCondition, prediction: &str) -> Prediction {
    Prediction { condition, prediction: prediction.to_owned(), ..line.clone() }
}

/// `groups` images with `size` yes/no questions each; `right` says which are answered rightly.
pub(crate) fn yes_no(
    groups: usize,
    size: usize,
    right: impl Fn(usize, usize) -> bool,
) -> Vec<Prediction> {
    let mut lines = Vec::new();
    for group in 0..groups {
        for question in 0..size {
            let reference = if question % 2 == 0 { "yes" } else { "no" };
            let wrong = if question % 2 == 0 { "no" } else { "yes" };
            let answer = if right(group, question) { reference } else { wrong };
            let id = format!("{group}-{question}");
            lines.push(line(&id, &format!("g{group}"), answer, reference, &[]));
        }
    }
    lines
}

/// Labels of a training answer.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Data that stands beside the checkout of developers; elsewhere it is absent, which is said aloud.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PEFOMED_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let found = root.join(path);
    if !found.exists() {
        // Past the test harness, which would swallow a print.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {} is absent", found.display());
        return None;
    }
    Some(found)
}
