//! Clinical labels against a labelled set, and what no text may do to them.
//!
//! `fixtures/clinical_labels.jsonl` holds short texts of this project's own, each with what a reader says
//! of every finding; findings that a line leaves out are not mentioned. `kind` names the rules that a
//! text is there for.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use common::line;
use pefomed_data::{ImageCondition, Prediction, Task};
use pefomed_eval::clinical::{Finding, LABELLER, Label, LabelledPair, Uncertain, label};
use pefomed_eval::metrics::TaskMetrics;
use pefomed_eval::{Estimate, ScoreOptions, Scoring, score};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

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
fn a_model_that_repeats_itself_holds_nothing_up() {
    // Were the work to grow with the square of a sentence, this would not end.
    for words in ["no effusion ", "no, and effusion or edema, ", "heart is normal, ", "possible "] {
        let labels = found(&words.repeat(3_000));
        assert!(!labels.is_empty(), "{words}");
    }
    // A sentence without end is cut, and each part is read.
    let labels = found(&format!("{}effusion", "word ".repeat(1_000)));
    assert_eq!(labels[&Finding::PleuralEffusion], Label::Positive);
}

fn report(id: usize, condition: ImageCondition, prediction: &str, reference: &str) -> Prediction {
    let group = format!("g{}", id / 2);
    let mut one = line(&format!("r{id}"), &group, prediction, reference, &[("Edema", "-1.0")]);
    (one.task, one.condition) = (Task::Report, condition);
    one
}

/// Twelve reports; the blank image takes away every second finding.
fn reports() -> Vec<Prediction> {
    let mut all = Vec::new();
    for id in 0..12 {
        let reference = if id % 3 == 0 { "Small effusion." } else { "Normal. No effusion." };
        let blank = if id % 2 == 0 { "No effusion." } else { reference };
        all.push(report(id, ImageCondition::True, reference, reference));
        all.push(report(id, ImageCondition::Blank, blank, reference));
    }
    all
}

#[test]
fn reports_get_clinical_scores_and_what_the_image_is_worth() {
    let lines = reports();
    let metrics = score(&lines, &ScoreOptions::default()).unwrap();
    let task: &TaskMetrics = metrics.task(Task::Report).unwrap();
    let scores = task.conditions[0].clinical.as_ref().unwrap();
    assert_eq!((scores.labeller.as_str(), scores.uncertain), (LABELLER, Uncertain::Positive));
    assert_eq!(scores.f1.micro_14.unwrap().value, 1.0);
    let effusion = &scores.findings[Finding::PleuralEffusion as usize];
    assert_eq!((effusion.support, effusion.predicted), (4, 4));
    let never = &scores.findings[Finding::Fracture as usize];
    assert_eq!((never.support, never.precision, never.recall, never.f1), (0, None, None, None));
    // Items 0 and 6 of the four effusions are lost: recall 1/2 and F1 2/3 remain.
    let drop = task.image_dependence[0].clinical.as_ref().unwrap();
    let lost = drop.findings[Finding::PleuralEffusion as usize].1.unwrap();
    assert!((lost.value - 1.0 / 3.0).abs() < 1e-12, "{lost:?}");
    assert!(lost.low.is_some_and(|low| low <= lost.value));
    assert!((drop.f1.micro_5.unwrap().value - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(drop.findings[Finding::Fracture as usize].1, None);
    assert!(metrics.definitions["clinical"].contains(LABELLER));
    let text = metrics.to_text();
    for said in ["F1-14 micro", "F1-5 macro", "Pleural Effusion", "F1, true less blank"] {
        assert!(text.contains(said), "{text}");
    }
    assert!(!text.contains("NaN") && text.contains('–'), "{text}");
    let json = serde_json::to_string(&metrics).unwrap();
    assert!(json.contains("\"Pleural Effusion\"") && !json.contains("NaN"));
}

#[test]
fn labels_are_asked_for_or_left_out() {
    let mut lines = reports();
    let with = |lines: &[Prediction], clinical| {
        let options = ScoreOptions { clinical, ..ScoreOptions::default() };
        let metrics = score(lines, &options).unwrap();
        (
            metrics.tasks[0].conditions[0].clinical.is_some(),
            metrics.definitions.contains_key("clinical"),
        )
    };
    assert_eq!(with(&lines, Some(false)), (false, false));
    for line in &mut lines {
        line.task = Task::Caption;
    }
    assert_eq!(with(&lines, None), (false, false));
    assert_eq!(with(&lines, Some(true)), (true, true));
    for line in &mut lines {
        line.task = Task::Vqa;
    }
    assert_eq!(with(&lines, Some(true)), (false, false));
}

#[test]
fn single_items_have_labels_and_columns_of_the_file_stay() {
    let lines = reports();
    let options = ScoreOptions { uncertain: Uncertain::Negative, ..ScoreOptions::default() };
    let scoring = Scoring::new(&lines, &options).unwrap();
    let grades = scoring.grades("ours");
    let own: Vec<_> = grades.iter().filter(|grade| grade.grader == "clinical F1").collect();
    assert_eq!(own.len(), 24);
    assert!(own.iter().all(|grade| grade.value.is_some()));
    let labels = serde_json::to_value(&scoring.labels("ours")[0]).unwrap();
    assert_eq!(labels["reference"]["Pleural Effusion"], "positive");
    assert_eq!(labels["labeller"], LABELLER);
    assert_eq!(labels["given"]["Edema"], "-1.0");
    let rows = &scoring.metrics().tasks[0].conditions[0].by_label["Edema"];
    assert_eq!((rows.len(), rows[0].label.as_str(), rows[0].scores.n), (1, "-1.0", 12));
    let pair = LabelledPair::new("Possible edema.", "Edema. Effusion.");
    assert_eq!(pair.f1(Uncertain::Positive), Some(2.0 / 3.0));
    assert_eq!(pair.f1(Uncertain::Negative), Some(0.0));
}

/// A text that has some findings.
fn saying(findings: &Value) -> String {
    let says = |finding: &Value| match finding.as_str().unwrap() {
        "Enlarged Cardiomediastinum" => "Mediastinal widening. ",
        "Cardiomegaly" => "Cardiomegaly. ",
        "Lung Lesion" => "Nodule. ",
        "Lung Opacity" => "Infiltrate. ",
        "Edema" => "Edema. ",
        "Consolidation" => "Consolidation. ",
        "Pneumonia" => "Pneumonia. ",
        "Atelectasis" => "Atelectasis. ",
        "Pneumothorax" => "Pneumothorax. ",
        "Pleural Effusion" => "Effusion. ",
        "Fracture" => "Fracture. ",
        "Support Devices" => "Pacemaker. ",
        other => panic!("{other}"),
    };
    let said: String = findings.as_array().unwrap().iter().map(says).collect();
    if said.is_empty() { "Normal.".to_owned() } else { said }
}

#[test]
fn scores_are_those_of_scikit_learn() {
    let golden: Value = serde_json::from_str(include_str!("fixtures/clinical_f1.json")).unwrap();
    let items = golden["items"].as_array().unwrap().iter().enumerate();
    let lines: Vec<Prediction> = items
        .map(|(id, item)| {
            let (said, wanted) = (saying(&item["candidate"]), saying(&item["reference"]));
            report(id, ImageCondition::True, &said, &wanted)
        })
        .collect();
    let metrics = score(&lines, &ScoreOptions::default()).unwrap();
    let scores = metrics.tasks[0].conditions[0].clinical.clone().unwrap();
    let close = |found: Option<Estimate>, wanted: &Value| match (found, wanted.as_f64()) {
        (Some(found), Some(wanted)) => (found.value - wanted).abs() < 1e-12,
        (found, wanted) => found.is_none() && wanted.is_none(),
    };
    for (found, wanted) in [
        (scores.f1.micro_14, &golden["f1_14"]["micro"]),
        (scores.f1.macro_14, &golden["f1_14"]["macro"]),
        (scores.f1.micro_5, &golden["f1_5"]["micro"]),
        (scores.f1.macro_5, &golden["f1_5"]["macro"]),
    ] {
        assert!(found.is_some() && close(found, wanted), "{found:?}, {wanted}");
    }
    for one in &scores.findings {
        let wanted = &golden["findings"][one.finding.name()];
        assert_eq!(Some(one.support as u64), wanted["support"].as_u64(), "{}", one.finding);
        let found = [one.precision, one.recall, one.f1];
        for (found, name) in found.into_iter().zip(["precision", "recall", "f1"]) {
            assert!(close(found, &wanted[name]), "{}: {found:?}, {}", one.finding, wanted[name]);
        }
    }
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
