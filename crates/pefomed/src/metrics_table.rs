//! Metrics as a table for the terminal, with the definition of every number in it.

use std::fmt::Write as _;

use pefomed_data::Task;
use pefomed_data::readable::thousands;
use pefomed_eval::metrics::{Scores, TaskMetrics};
use pefomed_eval::{Estimate, Metrics};

use crate::table::{row, table};

/// `61.2 [56.6, 65.7]`, in per cent.
pub(crate) fn percent(estimate: &Estimate) -> String {
    let number = |share: f64| format!("{:.1}", share * 100.0);
    interval(estimate, number)
}

/// `+3.1 [-0.4, +6.5]`, in percentage points.
fn points(estimate: &Estimate) -> String {
    interval(estimate, |share| format!("{:+.1}", share * 100.0))
}

/// A number with its interval, if it has one.
pub(crate) fn interval(estimate: &Estimate, number: impl Fn(f64) -> String) -> String {
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => {
            format!("{} [{}, {}]", number(estimate.value), number(low), number(high))
        }
        _ => number(estimate.value),
    }
}

/// The whole file as text.
pub(crate) fn text(metrics: &Metrics) -> String {
    let mut out = format!("split {}: {} predictions", metrics.split, thousands(metrics.rows));
    if metrics.images > 0 {
        let _ = write!(out, " about {} images", thousands(metrics.images));
    }
    out.push('\n');
    if let Some(leakage) = metrics.leakage {
        let _ = writeln!(
            out,
            "{} of its {} images were also trained on",
            thousands(leakage.also_in_train),
            thousands(leakage.images)
        );
    }
    for task in &metrics.tasks {
        let _ = write!(out, "\n{}", task_text(task));
    }
    if !metrics.unscored.is_empty() {
        let _ = writeln!(out, "\n{} predictions could not be scored:", metrics.unscored.len());
        for item in metrics.unscored.iter().take(5) {
            let _ = writeln!(out, "  {}: {}", item.id, item.reason);
        }
    }
    let shares = "in per cent, with 95 % intervals from resampling groups";
    let _ = writeln!(out, "\nScores are {shares}.");
    for (name, definition) in &metrics.definitions {
        let _ = writeln!(out, "{name}: {definition}");
    }
    out
}

fn task_text(task: &TaskMetrics) -> String {
    let rows = if task.task == Task::Vqa { question_rows(task) } else { text_rows(task) };
    let mut out = table(&rows);
    if task.task == Task::Vqa && !task.external_rows().is_empty() {
        let _ = write!(out, "\n{}", table(&with_columns(task, task.external_rows())));
    }
    if let Some(rows) = task.finding_rows() {
        let _ = write!(out, "\n{}", table(&rows));
    }
    if let Some(rule) = task.answer_type_rule {
        let _ = writeln!(
            out,
            "open or closed: {} by the label in the data, {} by whether the answer is yes or no",
            thousands(rule.by_label),
            thousands(rule.by_answer)
        );
    }
    for condition in task.conditions.iter().filter(|condition| condition.cut > 0) {
        let name = condition.condition.name();
        let _ = writeln!(out, "{} answers to the {name} image were cut", condition.cut);
    }
    out
}

fn question_rows(task: &TaskMetrics) -> Vec<Vec<String>> {
    let tag = task.task.tag();
    let mut rows =
        vec![row([tag, "n", "exact match", "open", "closed", "token F1", "recall", "BLEU-1"])];
    let exact = |scores: &Option<Scores>| {
        scores.as_ref().map_or_else(|| "–".to_owned(), |scores| percent(&scores.exact_match))
    };
    let part = |estimate: &Option<Estimate>, write: fn(&Estimate) -> String| {
        estimate.as_ref().map_or_else(|| "–".to_owned(), write)
    };
    for condition in &task.conditions {
        let scores = &condition.overall;
        rows.push(vec![
            format!("{} image", condition.condition.name()),
            thousands(scores.n),
            percent(&scores.exact_match),
            exact(&condition.open),
            exact(&condition.closed),
            percent(&scores.token_f1),
            percent(&scores.token_recall),
            part(&scores.bleu_1, percent),
        ]);
    }
    for baseline in &task.baselines {
        rows.push(vec![
            format!("majority, {}", baseline.rule.name()),
            String::new(),
            percent(&baseline.overall),
            part(&baseline.open, percent),
            part(&baseline.closed, percent),
        ]);
    }
    for drop in &task.image_dependence {
        rows.push(vec![
            format!("true less {}", drop.control.name()),
            thousands(drop.n),
            points(&drop.overall),
            part(&drop.open, points),
            part(&drop.closed, points),
        ]);
    }
    rows
}

/// A row for each metric, a column for each condition and each control's difference.
fn text_rows(task: &TaskMetrics) -> Vec<Vec<String>> {
    with_columns(task, task.text_rows())
}

/// Rows under the heads of their columns, with a dash where there is nothing.
fn with_columns(task: &TaskMetrics, named: Vec<(String, Vec<Option<String>>)>) -> Vec<Vec<String>> {
    let mut rows = vec![vec![task.task.tag().to_owned()]];
    rows[0].extend(task.condition_columns());
    for (name, cells) in named {
        let mut row = vec![name];
        row.extend(cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned())));
        rows.push(row);
    }
    rows
}
