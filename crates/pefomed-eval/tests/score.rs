//! Scoring: what is counted where, what is compared with what, and that nothing is lost.

mod common;

use common::{labels, line, shared, under, yes_no};
use pefomed_data::{Finish, ImageCondition, Prediction, Task};
use pefomed_eval::metrics::{AnswerTypeRule, BaselineRule, LabelScores, TaskMetrics};
use pefomed_eval::{
    BootstrapOptions, EvalError, Leakage, Metrics, ScoreOptions, TrainAnswer, score,
};

fn vqa(lines: &[Prediction]) -> TaskMetrics {
    let metrics = score(lines, &ScoreOptions::default()).unwrap();
    metrics.task(Task::Vqa).unwrap().clone()
}

fn counts(rows: &[LabelScores]) -> Vec<(&str, usize, f64)> {
    rows.iter()
        .map(|row| (row.label.as_str(), row.scores.n, row.scores.exact_match.value))
        .collect()
}

#[test]
fn question_types_count_under_each_part_and_other_columns_whole() {
    let lines = [
        line("1", "a", "yes", "yes", &[("question_type", "PRES, ATTRIB"), ("site", "lung, left")]),
        line("2", "a", "no", "yes", &[("question_type", "pres ")]),
        line("3", "b", "no", "no", &[("question_type", "PRES"), ("site", "lung, left")]),
        line("4", "b", "red", "blue", &[("question_type", "COLOR,COLOR")]),
        line("5", "b", "2", "two", &[]),
    ];
    let task = vqa(&lines);
    let by_label = &task.conditions[0].by_label;
    assert_eq!(
        counts(&by_label["question_type"]),
        [("PRES", 3, 2.0 / 3.0), ("ATTRIB", 1, 1.0), ("COLOR", 1, 0.0), ("(no label)", 1, 1.0)]
    );
    assert_eq!(counts(&by_label["site"]), [("lung, left", 2, 1.0), ("(no label)", 3, 1.0 / 3.0)]);
}

/// Worked by hand.
#[test]
fn any_accepted_answer_is_right_and_overlaps_take_the_best() {
    let mut lines =
        [line("1", "a", "Left lung.", "lung", &[]), line("2", "b", "mass in lung", "nodule", &[])];
    let metrics = |lines: &[Prediction]| {
        let train = ["mass", "mass", "nodule"]
            .map(|answer| TrainAnswer { answer: answer.to_owned(), labels: labels(&[]) });
        score(lines, &ScoreOptions { train: train.to_vec(), ..Default::default() }).unwrap()
    };
    let alone = metrics(&lines);
    assert_eq!(alone.tasks[0].conditions[0].overall.exact_match.value, 0.0);
    assert!(!alone.definitions.contains_key("several_references"));

    lines[0].other_references = vec!["the left lung".to_owned(), "  ".to_owned()];
    lines[1].other_references = vec!["lung mass effect".to_owned(), "mass".to_owned()];
    let several = metrics(&lines);
    assert!(several.definitions["several_references"].contains("any of them"));
    let overall = several.tasks[0].conditions[0].overall;
    assert_eq!(overall.exact_match.value, 0.5);
    // The second: 2 of 3 words and 2 of 3 of "lung mass effect"; all of "mass".
    assert!((overall.token_f1.value - 5.0 / 6.0).abs() < 1e-12);
    assert_eq!(overall.token_recall.value, 1.0);
    // 2 of 2 and 2 of 3 words. The article is a word to BLEU, so that the references nearest to "left
    // lung" have 1 and 3, of which the shorter counts: no penalty.
    assert!((overall.bleu_1.unwrap().value - 4.0 / 5.0).abs() < 1e-9);
    // "mass" is the majority, and one of the answers to the second question.
    let majority = &several.tasks[0].baselines[0];
    assert_eq!((majority.overall.value, majority.margin.value), (0.5, 0.0));
}

#[test]
fn rare_labels_share_a_row_and_none_is_dropped() {
    let lines: Vec<_> = (0..30)
        .map(|i| {
            let kind = format!("k{:02}", i / 2);
            line(&i.to_string(), "g", "yes", "yes", &[("modality", &kind)])
        })
        .collect();
    let options = ScoreOptions { max_labels: 4, ..Default::default() };
    let metrics = score(&lines, &options).unwrap();
    let rows = &metrics.tasks[0].conditions[0].by_label["modality"];
    let counted: Vec<_> = rows.iter().map(|row| (row.label.as_str(), row.scores.n)).collect();
    assert_eq!(
        counted,
        [("k00", 2), ("k01", 2), ("k02", 2), ("k03", 2), ("(11 further labels)", 22)]
    );
}

#[test]
fn open_and_closed_follow_the_label_and_else_the_reference() {
    let lines = [
        line("1", "a", "left", "left", &[("answer_type", "CLOSED ")]),
        line("2", "a", "x", "yes", &[("answer_type", "OPEN")]),
        line("3", "b", "yes", "Yes.", &[]),
        line("4", "b", "liver", "spleen", &[("answer_type", "word")]),
    ];
    let task = vqa(&lines);
    assert_eq!(task.answer_type_rule, Some(AnswerTypeRule { by_label: 2, by_answer: 2 }));
    let scores = &task.conditions[0];
    let (open, closed) = (scores.open.unwrap(), scores.closed.unwrap());
    assert_eq!((open.n, open.exact_match.value), (2, 0.0));
    assert_eq!((closed.n, closed.exact_match.value), (2, 1.0));
    // A column with other values than open and closed is shown as it is.
    assert!(scores.by_label.contains_key("answer_type"));
    assert!(!vqa(&lines[..3]).conditions[0].by_label.contains_key("answer_type"));
}

#[test]
fn every_line_is_counted_once_or_listed() {
    let mut lines = yes_no(5, 4, |group, _| group > 1);
    let controls: Vec<_> =
        lines.iter().take(7).map(|l| under(l, ImageCondition::Blank, "yes")).collect();
    lines.extend(controls);
    lines.push(line("void", "g0", "yes", "  ", &[]));
    let mut report = line("report", "g0", "the lungs are clear", "lungs clear", &[]);
    report.task = Task::Report;
    lines.push(report);
    let metrics = score(&lines, &ScoreOptions::default()).unwrap();
    let scored: usize = metrics
        .tasks
        .iter()
        .flat_map(|task| &task.conditions)
        .map(|condition| condition.overall.n)
        .sum();
    assert_eq!(metrics.rows, lines.len());
    assert_eq!(scored + metrics.unscored.len(), metrics.rows);
    assert_eq!(metrics.unscored[0].id, "void");
    let report = metrics.task(Task::Report).unwrap();
    assert_eq!(report.answer_type_rule, None);
    assert!(report.conditions[0].open.is_none() && report.baselines.is_empty());
    // "lungs are clear" against "lungs clear" and a dropped article: 2 of 3 and 2 of 2 words.
    assert!((report.conditions[0].overall.token_f1.value - 0.8).abs() < 1e-12);
}

#[test]
fn the_image_is_worth_the_paired_difference() {
    // Right with the image on all four questions of 10 groups, without it on the even ones.
    let mut lines = yes_no(10, 4, |_, _| true);
    let blank: Vec<_> = lines.iter().map(|l| under(l, ImageCondition::Blank, "yes")).collect();
    // The shuffled control lacks the last group.
    let shuffled: Vec<_> = lines
        .iter()
        .filter(|l| l.group != "g9")
        .map(|l| under(l, ImageCondition::Shuffled, &l.reference))
        .collect();
    lines.extend(blank);
    lines.extend(shuffled);
    let task = vqa(&lines);
    let [blank, shuffled] = task.image_dependence.as_slice() else { panic!() };
    assert_eq!((blank.control, blank.n, blank.unpaired), (ImageCondition::Blank, 40, 0));
    // Every group loses exactly half, so the paired interval has no width.
    assert_eq!(blank.overall.value, 0.5);
    assert_eq!((blank.overall.low, blank.overall.high), (Some(0.5), Some(0.5)));
    assert_eq!((blank.open, blank.closed), (None, Some(blank.overall)));
    assert_eq!((shuffled.n, shuffled.unpaired, shuffled.overall.value), (36, 4, 0.0));
}

#[test]
fn baselines_answer_with_the_majority_of_training() {
    let train = |answer: &str, kind: &str, question: &str| TrainAnswer {
        answer: answer.to_owned(),
        labels: labels(&[("answer_type", kind), ("question_type", question)]),
    };
    let answers = vec![
        train("No", "CLOSED", "PRES"),
        train("no.", "CLOSED", "PRES"),
        train("yes", "CLOSED", "SIZE"),
        train("the left lung", "OPEN", "POS"),
        train("left lung", "OPEN", "POS"),
        train("axial", "OPEN", "PLANE"),
        train("no", "CLOSED", "PRES, POS"),
    ];
    let ask = |id: &str, group: &str, reference: &str, kind: &str, question: &str| {
        line(id, group, reference, reference, &[("answer_type", kind), ("question_type", question)])
    };
    let lines = [
        ask("1", "a", "no", "CLOSED", "PRES"),
        ask("2", "a", "yes", "CLOSED", "SIZE"),
        ask("3", "b", "Left lung", "OPEN", "POS"),
        ask("4", "b", "axial", "OPEN", "plane"),
        ask("5", "c", "no", "CLOSED", "pos,PRES"),
        ask("6", "c", "liver", "OPEN", "ORGAN"),
    ];
    let options = ScoreOptions { train: answers, ..Default::default() };
    let metrics = score(&lines, &options).unwrap();
    let found: Vec<_> = metrics.tasks[0]
        .baselines
        .iter()
        .map(|b| (b.rule, b.overall.value, b.open.unwrap().value, b.closed.unwrap().value))
        .collect();
    assert_eq!(
        found,
        [
            (BaselineRule::Overall, 2.0 / 6.0, 0.0, 2.0 / 3.0),
            (BaselineRule::AnswerType, 0.5, 1.0 / 3.0, 2.0 / 3.0),
            // All but the organ, which training lacks: it falls back to "no".
            (BaselineRule::QuestionType, 5.0 / 6.0, 2.0 / 3.0, 1.0),
        ]
    );
    let by_question = &metrics.tasks[0].baselines[2];
    assert_eq!(by_question.answers["pos, pres"], "no");
    assert_eq!(by_question.answers["pos"], "left lung");
    assert!((by_question.margin.value - 1.0 / 6.0).abs() < 1e-12);
    let without = score(&lines, &ScoreOptions::default()).unwrap();
    assert!(without.tasks[0].baselines.is_empty());
}

#[test]
fn a_metrics_file_reads_back_and_its_bytes_depend_on_nothing_else() {
    let mut lines = yes_no(12, 3, |group, question| (group + question) % 3 != 0);
    lines[2].finish = Finish::Length;
    lines[3].prediction.clear();
    let options = ScoreOptions {
        split: "test".to_owned(),
        split_digest: Some("ab".repeat(32)),
        leakage: Some(Leakage { images: 12, also_in_train: 11 }),
        ..Default::default()
    };
    let metrics = score(&lines, &options).unwrap();
    let condition = &metrics.tasks[0].conditions[0];
    assert_eq!((condition.cut, condition.empty), (1, 1));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(Metrics::file_name("test"));
    metrics.write(&path).unwrap();
    let back = Metrics::read(&path).unwrap();
    assert_eq!(back.tasks[0].conditions[0].overall.n, 36);
    assert_eq!(back.leakage, metrics.leakage);
    assert_eq!(back.to_text(), metrics.to_text());
    lines.reverse();
    assert_eq!(score(&lines, &options).unwrap(), metrics, "row order must not matter");
    let other_seed =
        ScoreOptions { bootstrap: BootstrapOptions { seed: 7, ..Default::default() }, ..options };
    let other = score(&lines, &other_seed).unwrap();
    let of = |metrics: &Metrics| metrics.tasks[0].conditions[0].overall.exact_match;
    assert_eq!(of(&other).value, of(&metrics).value);
    assert_ne!(other.definitions["interval"], metrics.definitions["interval"]);
}

#[test]
fn a_newer_or_broken_metrics_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics-test.json");
    std::fs::write(&path, br#"{"format": 99, "everything": "else"}"#).unwrap();
    let error = Metrics::read(&path).unwrap_err();
    assert!(matches!(error, EvalError::NewerFormat { found: 99, .. }), "{error}");
    std::fs::write(&path, b"{\"format\": 1, \"split\"").unwrap();
    let message = Metrics::read(&path).unwrap_err().to_string();
    assert!(message.contains("metrics-test.json"), "{message}");
}

#[test]
fn mistakes_of_the_caller_are_errors() {
    let options = ScoreOptions::default();
    assert!(matches!(score(&[], &options), Err(EvalError::NoPredictions)));
    let twice = [line("1", "a", "x", "x", &[]), line("1", "a", "y", "x", &[])];
    assert!(matches!(score(&twice, &options), Err(EvalError::DuplicateId { .. })));
    let none = BootstrapOptions { resamples: 0, ..Default::default() };
    let options = ScoreOptions { bootstrap: none, ..options };
    assert!(matches!(score(&twice[..1], &options), Err(EvalError::Option { .. })));
}

#[test]
fn terminal_tables_hold_no_control_characters_of_a_data_set() {
    let lines = [line("1", "a", "x", "x", &[("organ", "\u{1b}[31mred"), ("o\u{7}", "b")])];
    let text = score(&lines, &ScoreOptions::default()).unwrap().to_text();
    assert!(text.contains("[31mred") && !text.contains(['\u{1b}', '\u{7}']), "{text}");
    assert!(text.lines().all(|line| line == line.trim_end()));
}

#[test]
fn the_majority_baseline_of_vqa_rad_is_that_of_a_direct_count() {
    let Some(folder) = shared("data/vqa-rad") else { return };
    let read = |name: &str| -> Vec<serde_json::Value> {
        serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
    };
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let kinds = |row: &serde_json::Value| {
        labels(&[
            ("answer_type", row["answer_type"].as_str().unwrap()),
            ("question_type", row["question_type"].as_str().unwrap()),
        ])
    };
    let train: Vec<TrainAnswer> = read("trainset.json")
        .iter()
        .map(|row| TrainAnswer { answer: text(&row["answer"]), labels: kinds(row) })
        .collect();
    let lines: Vec<Prediction> = read("testset.json")
        .iter()
        .map(|row| {
            let (image, answer) = (row["image_name"].as_str().unwrap(), text(&row["answer"]));
            let mut line = line(&text(&row["qid"]), image, "no", &answer, &[]);
            line.labels = kinds(row);
            line
        })
        .collect();
    let options = ScoreOptions { train, ..Default::default() };
    let metrics = score(&lines, &options).unwrap();
    let task = metrics.task(Task::Vqa).unwrap();
    let scores = &task.conditions[0];
    assert_eq!((scores.overall.n, scores.overall.groups), (451, 203));
    // 272 closed questions, of which 133 are answered "no", counted in the file directly.
    assert_eq!(scores.closed.unwrap().n, 272);
    assert_eq!((scores.overall.exact_match.value * 451.0).round(), 133.0);
    assert_eq!(task.baselines[0].answers["(any)"], "no");
    assert_eq!(task.baselines[0].margin.value, 0.0, "the model answers like the baseline");
}
