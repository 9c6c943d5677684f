//! Clinical labels against a labelled set, and what no text may do to them.
//!
//! `fixtures/clinical_labels.jsonl` holds short texts of this project's own, each with what a reader says
//! of every finding; findings that a line leaves out are not mentioned. `kind` names the rules that a
//! text is there for.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use common::line;
use pefomed_data::{ImageCondition, Prediction, Task};
use pefomed_eval::clinical::{Finding, LABELLER, Label, LabelledPair, Uncertain, label};
use pefomed_eval::metrics::TaskMetrics;
use pefomed_eval::{ScoreOptions, Scoring, score};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    kind: String,
    text: String,
    labels: BTreeMap<Finding, Label>,
}

fn lines() -> Vec<Line> {
    let text = include_str!("fixtures/clinical_labels.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn found(text: &str) -> BTreeMap<Finding, Label> {
    label(text).mentioned().collect()
}

/// Checks all texts of one kind.
fn check(kind: &str, at_least: usize) {
    let lines: Vec<Line> = lines().into_iter().filter(|line| line.kind == kind).collect();
    assert!(lines.len() >= at_least, "{} of {kind}", lines.len());
    let mut wrong = String::new();
    for Line { text, labels, .. } in &lines {
        let found = found(text);
        if found != *labels {
            let _ = writeln!(wrong, "{text:?}\n  found {found:?}\n  wanted {labels:?}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn plain_mentions_are_asserted_denied_or_doubted() {
    check("plain", 70);
}

#[test]
fn one_negation_covers_a_list_and_no_new_statement() {
    check("list", 25);
}

#[test]
fn organs_are_what_is_said_of_them() {
    check("normal", 30);
}

#[test]
fn a_negated_negation_is_doubt_and_no_change_is_none() {
    check("double negation", 20);
}

#[test]
fn doubt_before_after_and_between_findings() {
    check("uncertainty", 35);
}

#[test]
fn questions_and_histories_are_no_findings() {
    check("not asserted", 15);
}

#[test]
fn comparisons_with_earlier_images() {
    check("comparison", 12);
}

#[test]
fn marks_and_abbreviations() {
    check("marks and abbreviations", 20);
}

#[test]
fn statements_end_where_they_end() {
    check("scope", 20);
}

#[test]
fn what_only_looks_like_a_finding_is_none() {
    check("other things", 20);
}

#[test]
fn whole_reports_are_summed_up() {
    check("report", 9);
}

#[test]
fn the_set_has_every_finding_with_every_label_and_each_is_met() {
    let lines = lines();
    assert!(lines.len() > 300);
    for finding in Finding::ALL {
        for wanted in [Label::Positive, Label::Uncertain, Label::Negative] {
            let of = |labels: &BTreeMap<Finding, Label>| labels.get(&finding) == Some(&wanted);
            let right = lines.iter().filter(|line| of(&line.labels) && of(&found(&line.text)));
            let wrong = lines.iter().filter(|line| of(&line.labels) != of(&found(&line.text)));
            let enough =
                if finding == Finding::NoFinding && wanted != Label::Positive { 0 } else { 2 };
            let (right, wrong) = (right.count(), wrong.count());
            assert!(right >= enough && wrong == 0, "{finding}, {wanted:?}: {right}, not {wrong}");
        }
    }
}

#[test]
fn an_empty_text_has_no_label_and_any_other_without_findings_has_one() {
    assert!(found("").is_empty() && found(" \n . ").is_empty());
    assert_eq!(found("XXXX"), [(Finding::NoFinding, Label::Positive)].into());
    let devices = found("Right chest tube.");
    assert_eq!(devices[&Finding::NoFinding], Label::Positive);
    assert_eq!(devices[&Finding::SupportDevices], Label::Positive);
    assert!(!found("Possible edema.").contains_key(&Finding::NoFinding));
}

#[test]
fn ten_thousand_reports_take_a_moment() {
    let texts: Vec<String> = lines().into_iter().map(|line| line.text).collect();
    // Reports of 60 words, as long as those of chest images are.
    let report = |at: usize| {
        (0..9)
            .map(|k| texts[(at * 7 + k * 31) % texts.len()].as_str())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let reports: Vec<String> = (0..1_000).map(report).collect();
    let begin = Instant::now();
    let labels: usize = reports.iter().map(|report| label(report).mentioned().count()).sum();
    let seconds = begin.elapsed().as_secs_f64();
    assert!(labels > 1_000);
    // A tenth of the reports; ten times what it takes on a busy machine.
    assert!(seconds < 1.0, "{seconds} s for 1,000 reports");
}

proptest! {
    #[test]
    fn no_text_breaks_the_rules(text in "\\PC*") {
        let _ = label(&text);
    }

    #[test]
    fn no_order_of_cues_breaks_the_rules(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "no", "not", "effusion", "pneumothorax", ",", ".", ":", "or", "and", "is", "are", "seen",
                "possible", "cannot", "be", "excluded", "heart", "normal", "lungs", "clear", "enlarged",
                "with", "but", "versus", "rule", "out", "findings", "history", "resolved", "(", "-", "\n",
                "unlikely", "without", "change", "in", "mediastinum", "of", "é", "None",
            ]),
            0..40,
        )
    ) {
        let labels = label(&words.join(" "));
        let other = |(finding, label): (Finding, Label)| {
            finding != Finding::NoFinding && finding != Finding::SupportDevices && label >= Label::Uncertain
        };
        let is_abnormal = labels.mentioned().any(other);
        prop_assert!(!(is_abnormal && labels.of(Finding::NoFinding).is_some()));
    }
}
