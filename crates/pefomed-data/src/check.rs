//! A data set looked over before anything is trained on it.
//!
//! Most wrong scores begin in the data: an image that is a web page saved under the wrong name, a
//! question with two answers, a test image that was trained on. [`check`] looks for all of these in
//! one pass, and says of each in which rows it is.

mod images;
mod report;
mod similar;
mod text;

use std::collections::{BTreeMap, BTreeSet};

pub use images::ImageSummary;
pub use report::{
    AnswerStatistics, ByRule, CheckReport, LabelCounts, Problem, ProblemKind, RepeatStatistics,
    RowRef, Severity, SplitCounts,
};
pub use similar::THRESHOLD as SIMILARITY_THRESHOLD;

use crate::formats::Problems;
use crate::split::{folded, leakage_between, question_key, split_digest};
use crate::{Example, Split, Task};

/// Called with the number of images done and of all images; from several threads.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// What [`check`] does beyond counting.
#[derive(Clone, Copy)]
pub struct CheckOptions<'a> {
    /// Decode every image (the default); otherwise only look whether its file exists.
    pub decode_images: bool,
    /// Also look for pictures of different splits that resemble one another; see
    /// [`SIMILARITY_THRESHOLD`].
    pub similar_images: bool,
    /// What the reading left out and mended, to be part of the report.
    pub reading: Option<&'a Problems>,
    /// Told about every image that is done.
    pub progress: Option<Progress<'a>>,
}

impl Default for CheckOptions<'_> {
    fn default() -> Self {
        Self { decode_images: true, similar_images: false, reading: None, progress: None }
    }
}

/// Looks a data set over. The result does not depend on the number of threads.
pub fn check(examples: &[Example], options: &CheckOptions<'_>) -> CheckReport {
    let mut problems = Vec::new();
    let (mut skipped, mut noted) = (0, 0);
    if let Some(reading) = options.reading {
        (skipped, noted) = (reading.skipped.len(), reading.notes.len());
        let of = |kind| {
            move |error: &crate::DataError| Problem::new(kind, error.to_string(), Vec::new())
        };
        problems.extend(reading.skipped.iter().map(of(ProblemKind::UnusableRow)));
        problems.extend(reading.notes.iter().map(of(ProblemKind::NotedRow)));
    }
    problems.extend(empty_texts(examples));
    let images = images::check_images(examples, options, &mut problems);
    let repeats = repeats(examples, &mut problems);
    // A stable sort: within a kind the order of the data set stays.
    problems.sort_by_key(|problem| (problem.severity, problem.kind));
    let mut splits: BTreeMap<Split, (usize, BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    let mut tasks = BTreeMap::new();
    let mut groups = BTreeSet::new();
    for example in examples {
        let (rows, split_groups, split_images) = splits.entry(example.split).or_default();
        *rows += 1;
        split_groups.insert(&example.group);
        split_images.extend(example.images.iter().map(|image| image.name.as_str()));
        groups.insert(&example.group);
        *tasks.entry(example.task).or_insert(0) += 1;
    }
    let pairs =
        [(Split::Test, Split::Train), (Split::Val, Split::Train), (Split::Test, Split::Val)];
    let leakage = pairs
        .into_iter()
        .filter(|(tested, trained)| splits.contains_key(tested) && splits.contains_key(trained))
        .map(|(tested, trained)| leakage_between(examples, tested, trained))
        .collect();
    CheckReport {
        examples: examples.len(),
        skipped,
        noted,
        text_only: examples.iter().filter(|example| example.images.is_empty()).count(),
        groups: groups.len(),
        splits: splits
            .iter()
            .map(|(split, (examples, groups, images))| {
                let (examples, groups, images) = (*examples, groups.len(), images.len());
                (*split, SplitCounts { examples, groups, images })
            })
            .collect(),
        split_digest: split_digest(examples),
        tasks,
        labels: labels(examples),
        images,
        answers: answers(examples),
        repeats,
        leakage,
        problems,
    }
}

fn empty_texts(examples: &[Example]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for example in examples {
        let rows = || vec![RowRef::new(example)];
        if example.task == Task::Vqa && example.instruction.trim().is_empty() {
            let detail = format!("answer: {}", example.answer);
            problems.push(Problem::new(ProblemKind::EmptyQuestion, detail, rows()));
        }
        if example.answer.trim().is_empty() {
            let detail = format!("question: {}", example.instruction);
            problems.push(Problem::new(ProblemKind::EmptyAnswer, detail, rows()));
        }
    }
    problems
}

fn labels(examples: &[Example]) -> BTreeMap<String, LabelCounts> {
    let mut columns: BTreeMap<String, LabelCounts> = BTreeMap::new();
    for example in examples {
        for (label, value) in &example.labels {
            let column = columns.entry(label.clone()).or_default();
            *column.values.entry(value.clone()).or_insert(0) += 1;
        }
    }
    for column in columns.values_mut() {
        column.absent = examples.len() - column.values.values().sum::<usize>();
    }
    columns
}

fn answers(examples: &[Example]) -> AnswerStatistics {
    let mut statistics = AnswerStatistics::default();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for example in examples.iter().filter(|example| example.task == Task::Vqa) {
        let answer = folded(&example.answer);
        let label = example.labels.get("answer_type").map_or("unlabelled", String::as_str);
        let by_rule = statistics.by_label.entry(label.to_owned()).or_default();
        if matches!(answer.as_str(), "yes" | "no") {
            by_rule.yes_no += 1;
        } else {
            by_rule.other += 1;
        }
        let words = answer.split_whitespace().count();
        statistics.longest_words = statistics.longest_words.max(words);
        *counts.entry(answer).or_insert(0) += 1;
    }
    statistics.distinct = counts.len();
    statistics.most_frequent = counts.into_iter().collect();
    statistics.most_frequent.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    statistics.most_frequent.truncate(10);
    statistics
}

/// Counts questions that occur again. An image may well have several captions or reports: of
/// these, only the same text again counts.
fn repeats(examples: &[Example], problems: &mut Vec<Problem>) -> RepeatStatistics {
    let mut statistics = RepeatStatistics::default();
    // Ordered by first occurrence, for the order of the problems.
    let mut places: BTreeMap<_, usize> = BTreeMap::new();
    let mut rows: Vec<Vec<&Example>> = Vec::new();
    for example in examples {
        let text = if example.task == Task::Vqa { "" } else { example.answer.as_str() };
        let place = *places.entry((question_key(example), text)).or_insert(rows.len());
        if place == rows.len() {
            rows.push(Vec::new());
        }
        rows[place].push(example);
    }
    for rows in rows.iter().filter(|rows| rows.len() > 1) {
        let splits: BTreeSet<Split> = rows.iter().map(|example| example.split).collect();
        let mut answers: Vec<&str> = Vec::new();
        for example in rows {
            let known = answers.iter().any(|known| folded(known) == folded(&example.answer));
            if !known {
                answers.push(&example.answer);
            }
        }
        statistics.within_splits += usize::from(rows.len() > splits.len());
        statistics.between_splits += usize::from(splits.len() > 1);
        let about = rows[0].images.first().map_or("no image", |image| image.name.as_str());
        let mut detail = format!("{about}: {}", rows[0].instruction);
        let kind = if answers.len() > 1 {
            statistics.conflicting += 1;
            detail = format!("{detail} → {}", answers.join(" | "));
            ProblemKind::ConflictingAnswers
        } else {
            ProblemKind::RepeatedQuestion
        };
        let rows = rows.iter().map(|example| RowRef::new(example)).collect();
        problems.push(Problem::new(kind, detail, rows));
    }
    statistics
}
