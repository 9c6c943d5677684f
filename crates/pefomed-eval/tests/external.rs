//! Scorers outside this program: a well-behaved one, and every way to misbehave.
#![cfg(unix)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{line, under};
use pefomed_data::{ImageCondition, Prediction, Task};
use pefomed_eval::{
    BootstrapOptions, CompareOptions, EvalError, ExternalError, ExternalScorer, Metrics,
    ScoreOptions, Scoring, compare, score,
};

fn reports(count: usize) -> Vec<Prediction> {
    (0..count)
        .map(|i| {
            let text = format!("Report {i} says effusion.");
            let mut one = line(&format!("r{i}"), &format!("g{}", i / 2), &text, "Effusion.", &[]);
            one.task = Task::Report;
            one
        })
        .collect()
}

fn scorer(command: &str, silence: f64) -> ExternalScorer {
    ExternalScorer {
        name: "mine".to_owned(),
        command: ["sh", "-c", command].map(str::to_owned).to_vec(),
        silence: Duration::from_secs_f64(silence),
    }
}

fn run(command: &str, items: &[Prediction]) -> Result<Metrics, EvalError> {
    let options = ScoreOptions {
        externals: vec![scorer(command, 20.0)],
        bootstrap: BootstrapOptions { resamples: 200, ..BootstrapOptions::default() },
        ..ScoreOptions::default()
    };
    score(items, &options)
}

/// The error of a scorer, which names it.
fn fails(command: &str, items: &[Prediction]) -> ExternalError {
    let error = run(command, items).unwrap_err();
    assert!(error.to_string().starts_with("external scorer `mine`"), "{error}");
    match error {
        EvalError::External(error) => error,
        other => panic!("{other}"),
    }
}

/// Gives every item the length of its line.
const LENGTH: &str = r#"while read -r line; do
    id=${line#*\"id\":\"}; id=${id%%\"*}
    echo "{\"id\":\"$id\",\"score\":${#id}}"
done"#;

#[test]
fn scores_stand_in_the_table_under_the_scorers_name() {
    let mut items = reports(6);
    items.extend(reports(5).iter().map(|item| under(item, ImageCondition::Blank, "None.")));
    let metrics = run(LENGTH, &items).unwrap();
    let task = &metrics.tasks[0];
    let score = &task.conditions[0].external[0];
    assert_eq!((score.name.as_str(), score.estimate.value), ("mine", 2.0));
    assert!(score.estimate.low.is_some());
    let drop = &task.image_dependence[0].external[0];
    assert_eq!((drop.name.as_str(), drop.estimate.value), ("mine", 0.0));
    let run = &metrics.externals[0];
    assert_eq!((run.name.as_str(), run.command[0].as_str(), run.digest.len()), ("mine", "sh", 64));
    let text = metrics.to_text();
    let row = text.lines().find(|row| row.trim().starts_with("mine")).unwrap();
    assert_eq!(row.split_whitespace().collect::<String>(), "mine2[2,2]2[2,2]0[0,0]");
    assert!(metrics.definitions.contains_key("external"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.json");
    metrics.write(&path).unwrap();
    let back = Metrics::read(&path).unwrap();
    assert_eq!((&back.externals, back.to_text()), (&metrics.externals, metrics.to_text()));
}

#[test]
fn named_scores_are_columns_of_their_own_and_single_items_have_them() {
    let command = r#"sed 's/.*"id":"\([^"]*\)".*/{"id":"\1","score":{"b":0.5,"a":-1e3}}/'"#;
    let items = reports(3);
    let options =
        ScoreOptions { externals: vec![scorer(command, 20.0)], ..ScoreOptions::default() };
    let scoring = Scoring::new(&items, &options).unwrap();
    let metrics = scoring.metrics();
    assert_eq!(metrics.externals[0].scores, ["mine/a", "mine/b"]);
    let scores = &metrics.tasks[0].conditions[0].external;
    assert_eq!((scores[0].estimate.value, scores[1].estimate.value), (-1000.0, 0.5));
    let grades = scoring.grades("ours");
    let own: Vec<_> = grades.iter().filter(|grade| grade.grader == "mine/b").collect();
    assert_eq!((own.len(), own[0].value, own[0].id.as_str()), (3, Some(0.5), "r0"));
}

#[test]
fn questions_have_external_scores_too() {
    let items = [line("a", "g", "yes", "yes", &[]), line("bb", "h", "no", "yes", &[])];
    let metrics = run(LENGTH, &items).unwrap();
    assert_eq!(metrics.tasks[0].conditions[0].external[0].estimate.value, 1.5);
    assert!(metrics.to_text().contains("mine"), "{}", metrics.to_text());
}

#[test]
fn two_systems_are_compared_in_external_scores() {
    let command = r#"while read -r line; do
        id=${line#*\"id\":\"}; id=${id%%\"*}
        case $line in *good*) score=1 ;; *) score=0 ;; esac
        echo "{\"id\":\"$id\",\"score\":$score}"
    done"#;
    let a = reports(8);
    let b: Vec<_> = a.iter().map(|item| under(item, ImageCondition::True, "good")).collect();
    let options =
        CompareOptions { externals: vec![scorer(command, 20.0)], ..CompareOptions::default() };
    let found = compare(&a, &b, &options).unwrap();
    let other = found.tasks[0].others.iter().find(|other| other.name == "mine").unwrap();
    assert!(other.own_unit);
    assert_eq!((other.difference.a, other.difference.b), (0.0, 1.0));
    // Four groups: 2 of 16 patterns of signs are as extreme.
    assert!((other.difference.p_value - 0.125).abs() < 0.02, "{}", other.difference.p_value);
    assert!(found.to_text().contains("mine"), "{}", found.to_text());
}

#[test]
fn lines_that_are_no_scores_are_named() {
    let items = reports(2);
    let line = |command: &str| match fails(command, &items) {
        ExternalError::Line { line, problem, .. } => (line, problem),
        other => panic!("{other}"),
    };
    let said = line("echo; echo hello");
    assert!(said.0 == 2 && said.1.contains("no JSON"), "{said:?}");
    assert!(line("echo '{\"score\":1}'").1.contains("no `id`"));
    assert!(line("echo '[1]'").1.contains("no `id`"));
    assert!(line("echo '{\"id\":\"r0\"}'").1.contains("no `score`"));
    for score in ["null", "\"1\"", "true", "[1]", "1e13", "{\"a\":null}"] {
        let (_, problem) = line(&format!("echo '{{\"id\":\"r0\",\"score\":{score}}}'"));
        assert!(problem.contains("is no number"), "{score}: {problem}");
    }
    assert!(line("echo '{\"id\":\"r0\",\"score\":1e999}'").1.contains("no JSON"));
    assert!(line("echo '{\"id\":\"r0\",\"score\":{}}'").1.contains("0 scores"));
    assert!(line("echo '{\"id\":\"r0\",\"score\":{\"a/b\":1}}'").1.contains("names no score"));
    assert!(line("printf '\\377\\n'").1.contains("no JSON"));
    assert!(line("yes aaaaaaa | tr -d '\\n'").1.contains("longer than"));
}

#[test]
fn ids_that_do_not_fit_are_named() {
    let items = reports(2);
    let error = fails("echo '{\"id\":\"x\",\"score\":1}'", &items);
    assert!(matches!(&error, ExternalError::UnknownId { line: 1, id, .. } if id == "x"), "{error}");
    let twice = "yes '{\"id\":\"r1\",\"score\":1}'";
    let error = fails(twice, &items);
    assert!(matches!(&error, ExternalError::DuplicateId { line: 2, .. }), "{error}");
    let error = fails("echo '{\"id\":\"r1\",\"score\":1}'", &items);
    assert!(
        matches!(&error, ExternalError::Missing { missing: 1, items: 2, id, .. } if id == "r0"),
        "{error}"
    );
    let mixed = "echo '{\"id\":\"r0\",\"score\":1}'; echo '{\"id\":\"r1\",\"score\":{\"a\":1}}'";
    let error = fails(mixed, &items);
    assert!(matches!(&error, ExternalError::OtherScores { line: 2, .. }), "{error}");
}

#[test]
fn a_command_that_fails_or_is_not_there_says_so() {
    let items = reports(2);
    let error = fails("echo 'no model weights' >&2; exit 3", &items);
    assert!(matches!(&error, ExternalError::Failed { scored: 0, .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("exit status: 3") && text.contains("it said: no model weights"),
        "{text}"
    );
    // All scores and yet a failure: the numbers cannot be trusted.
    let error = fails(&format!("{LENGTH}; exit 1"), &items);
    assert!(matches!(&error, ExternalError::Failed { scored: 2, .. }), "{error}");
    let error = fails("kill -9 $$", &items);
    assert!(error.to_string().contains("signal"), "{error}");
    let absent =
        ExternalScorer { command: vec!["/no/such/program".to_owned()], ..scorer("", 20.0) };
    let options = ScoreOptions { externals: vec![absent], ..ScoreOptions::default() };
    let error = score(&items, &options).unwrap_err().to_string();
    assert!(error.contains("cannot start `/no/such/program`"), "{error}");
    // Standard error without end neither blocks nor fills the memory.
    let error = fails("yes loud | head -c 5000000 >&2; exit 4", &items);
    assert!(error.to_string().len() < 2_000, "{error}");
}

#[test]
fn silence_is_ended() {
    let items = reports(2);
    let silent = |command: &str| {
        let externals = vec![scorer(command, 0.4)];
        let options = ScoreOptions { externals, ..ScoreOptions::default() };
        let begin = Instant::now();
        let error = score(&items, &options).unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(15), "{error}");
        assert!(error.to_string().contains("--external-timeout"), "{error}");
    };
    silent("exec sleep 60");
    silent("echo '{\"id\":\"r0\",\"score\":1}'; exec sleep 60");
    // Blank lines are no scores, closed pipes no end, and what a command leaves behind is not waited for.
    silent("while :; do echo; sleep 0.01; done");
    silent("exec >&- 2>&-; exec sleep 60");
    let begin = Instant::now();
    let error = fails("sleep 30 & exit 5", &items);
    assert!(matches!(error, ExternalError::Failed { .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[test]
fn neither_side_waits_for_the_other() {
    // More than any pipe holds, in both directions: one scorer answers only when it has read all, one
    // answers without reading, one line by line.
    let mut items = reports(3_000);
    for item in &mut items {
        item.reference = "effusion ".repeat(20);
    }
    let plain = r#"sed 's/.*"id":"\([^"]*\)".*/{"id":"\1","score":0.25}/'"#;
    for command in [plain.to_owned(), format!("all=$(cat); printf '%s\\n' \"$all\" | {plain}")] {
        let metrics = run(&command, &items).unwrap();
        assert_eq!(metrics.tasks[0].conditions[0].external[0].estimate.value, 0.25);
    }
    let blind = "i=0; while [ $i -lt 3000 ]; do echo \"{\\\"id\\\":\\\"r$i\\\",\\\"score\\\":1}\"; \
                 i=$((i+1)); done";
    assert_eq!(run(blind, &items).unwrap().tasks[0].conditions[0].external[0].estimate.value, 1.0);
}

#[test]
fn a_name_stands_for_one_metric() {
    let items = reports(2);
    let named = |name: &str| ExternalScorer { name: name.to_owned(), ..scorer(LENGTH, 20.0) };
    for names in [vec!["x", "X"], vec!["bleu-4"], vec!["F1-5 micro"]] {
        let externals = names.into_iter().map(named).collect();
        let options = ScoreOptions { externals, ..ScoreOptions::default() };
        let error = score(&items, &options).unwrap_err().to_string();
        assert!(error.contains("name of another metric"), "{error}");
    }
}

#[test]
fn the_digest_follows_what_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("score.sh");
    let digest = |content: &str| {
        std::fs::write(&script, content).unwrap();
        let command = format!("mine=sh '{}'", Path::display(&script));
        let scorer = ExternalScorer::parse(&command, ExternalScorer::SILENCE).unwrap();
        let options = ScoreOptions { externals: vec![scorer], ..ScoreOptions::default() };
        score(&reports(2), &options).unwrap().externals[0].digest.clone()
    };
    let first = digest(LENGTH);
    assert_eq!(first, digest(LENGTH));
    assert_ne!(first, digest(&format!("# changed\n{LENGTH}")));
}
