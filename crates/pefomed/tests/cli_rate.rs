//! `pefomed rate` as it is typed: served, killed, gone on with, planned and exported.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Serving, pefomed, post, with_data};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Pictures, and two systems that answer `count` questions about them.
fn with_predictions(count: usize) -> TempDir {
    let folder = with_data();
    for (system, word) in [("plain", "no"), ("tuned", "yes")] {
        let lines: Vec<String> = (0..count)
            .map(|index| {
                let answer = if index % 2 == 0 { "yes" } else { word };
                let line = json!({
                    "id": format!("q{index}"), "image": format!("p{}.png", index % 9),
                    "group": format!("p{}", index % 9), "task": "vqa",
                    "question": format!("Is it number {index}?"), "prompt": "",
                    "prediction": answer, "reference": "yes", "tokens": 1, "finish": "stop",
                });
                line.to_string()
            })
            .collect();
        fs::write(folder.path().join(format!("{system}.jsonl")), lines.join("\n")).unwrap();
    }
    folder
}

const FILES: &str = "plain.jsonl tuned=tuned.jsonl --images images --store r.sqlite --port 0";

/// Posts an answer; whether it was acknowledged.
fn answer(address: &str, position: usize, value: u8) -> bool {
    let body = json!({
        "request": format!("request-{position}-{value}"), "position": position,
        "rating": { "value": value, "comment": format!("comment {position}") },
    });
    let reply = post(address, "/r/1/answer", &body.to_string());
    reply.is_some_and(|reply| reply.starts_with("HTTP/1.1 200"))
}

/// Serves a study.
fn serve(folder: &Path, line: &str) -> Serving {
    Serving::start(folder, &format!("rate {line} --json"), "address")
}

/// The answers in a store: position from 0, value, comment.
fn exported(folder: &Path) -> Vec<(u64, u64, String)> {
    let text = pefomed(folder, "rate export r.sqlite --format jsonl --history").ok();
    let mut rows: Vec<(u64, u64, String)> = text
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let comment = row["comment"].as_str().unwrap().to_owned();
            (row["position"].as_u64().unwrap() - 1, row["value"].as_u64().unwrap(), comment)
        })
        .collect();
    rows.sort();
    // A text of two systems has two rows.
    rows.dedup();
    rows
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let folder = with_predictions(60);
    let mut kept = 0;
    for round in 0..3_usize {
        let serving = serve(folder.path(), FILES);
        let acknowledged = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Until the server is gone; 90 positions are more than it lives to see.
                for position in 0..90 {
                    if !answer(&serving.address, position, round as u8 % 2) {
                        return;
                    }
                    acknowledged.store(position + 1, Ordering::SeqCst);
                }
            });
            let begin = Instant::now();
            while acknowledged.load(Ordering::SeqCst) < 4 + 9 * round {
                assert!(begin.elapsed() < Duration::from_mins(1), "the server does not answer");
                std::thread::sleep(Duration::from_millis(1));
            }
            // Somewhere in the middle of another answer.
            std::thread::sleep(Duration::from_micros(300 * round as u64));
            let id = serving.child.id().to_string();
            assert!(Command::new("kill").args(["-KILL", &id]).status().unwrap().success());
        });
        drop(serving);
        let acknowledged = acknowledged.into_inner();
        assert!(acknowledged < 90, "the server was killed too late to tell");
        let rows = exported(folder.path());
        for position in 0..acknowledged as u64 {
            let row = (position, round as u64 % 2, format!("comment {position}"));
            assert!(rows.contains(&row), "round {round}: {row:?} was acknowledged and is lost");
        }
        assert!(rows.len() >= kept, "answers of an earlier round are gone");
        kept = rows.len();
    }
}

#[test]
fn ctrl_c_ends_a_study_that_is_gone_on_with() {
    let folder = with_predictions(5);
    let serving = serve(folder.path(), &format!("{FILES} --rater Ada --rater Bo"));
    // Five questions, of which two have two answers.
    assert_eq!(serving.started["summary"]["candidates"], 7);
    assert_eq!(serving.started["settings"]["kind"], "correct");
    assert_eq!(serving.started["tokens"], false);
    assert!(answer(&serving.address, 0, 1) && answer(&serving.address, 1, 0));
    let (code, err) = serving.interrupt();
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(err.trim(), "stopped: 2 of 14 grades are in r.sqlite");

    // The store knows what is rated.
    let again = serve(folder.path(), "--images images --store r.sqlite --port 0");
    assert_eq!(again.started["summary"]["raters"][0]["graded"], 2);
    assert_eq!(again.interrupt().0, Some(0));
    let other =
        pefomed(folder.path(), "rate plain.jsonl --images images --store r.sqlite").fails(1);
    assert!(other.contains("`r.sqlite` was made for other predictions (plain, tuned;"), "{other}");
    let seed = pefomed(folder.path(), "rate --images images --store r.sqlite --seed 2").fails(1);
    assert!(seed.contains("made with --seed 1, not 2: leave --seed out"), "{seed}");

    let text = pefomed(folder.path(), "rate export r.sqlite --format grades --out g.jsonl").ok();
    assert!(text.contains("still to be graded: Ada 5, Bo 7"), "{text}");
    let grades = pefomed_eval::grade::read_grades(&folder.path().join("g.jsonl")).unwrap();
    assert!(grades.iter().all(|grade| grade.grader == "Ada"));
    let csv = pefomed(folder.path(), "rate export r.sqlite").ok();
    assert!(csv.starts_with("rater,kind,system,id,group,task,core,position,scale,value,"), "{csv}");
    let array: Value =
        serde_json::from_str(&pefomed(folder.path(), "rate export r.sqlite --json").ok()).unwrap();
    assert_eq!(array.as_array().unwrap().len(), grades.len());
}

#[test]
fn links_are_shown_once_and_to_people_alone() {
    let folder = with_predictions(2);
    let line = format!("{FILES} --rater Ada --synthetic robot --tokens -q");
    let first = serve(folder.path(), &line);
    assert!(!first.started.to_string().contains("token="));
    let (_, err) = first.interrupt();
    assert_eq!(err.matches("enter?token=").count(), 2, "{err}");
    let second = serve(folder.path(), &line);
    let (_, err) = second.interrupt();
    assert_eq!(err.matches("enter?token=").count(), 0, "{err}");
    assert!(err.contains("Ada: as given before; a lost link is replaced with --new-link"), "{err}");
    let third = serve(folder.path(), &format!("{line} --new-link Ada"));
    let (_, err) = third.interrupt();
    assert!(
        err.contains("  Ada: http://127.0.0.1:") && err.matches("token=").count() == 1,
        "{err}"
    );
    let all =
        pefomed(folder.path(), "rate plain.jsonl --images images --store n.sqlite --host 0.0.0.0");
    let err = all.fails(1);
    assert!(
        err.contains("give the address that raters open, as in --url http://name:8765"),
        "{err}"
    );
}

#[test]
fn a_plan_is_shown_without_a_store() {
    let folder = with_predictions(20);
    let line =
        "rate plan plain.jsonl tuned.jsonl --rater A --rater B --rater C --per-item 1 --core 5";
    insta::assert_snapshot!(pefomed(folder.path(), line).ok(), @"
    20 items, 30 texts to grade, systems plain, tuned
    scale correct, seed 1
    5 items have all 3 raters, the others 1 each; 42 grades in all
    any two raters have at least 5 items in common

    rater  items  texts  graded   kind
    A         10     15       0  human
    B         10     14       0  human
    C         10     13       0  human
    ");
    let value: Value =
        serde_json::from_str(&pefomed(folder.path(), &format!("{line} --json")).ok()).unwrap();
    assert_eq!(value["orders"][2]["rater"], "C");
    let first = &value["orders"][2]["order"][0];
    assert!(first["id"].is_string() && first["systems"].is_array() && first["core"].is_boolean());
    assert_eq!(
        fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| {
                entry.as_ref().unwrap().file_name().to_string_lossy().contains("sqlite")
            })
            .count(),
        0
    );
}

#[test]
fn what_is_missing_is_asked_for() {
    let folder = with_predictions(3);
    insta::assert_snapshot!(pefomed(folder.path(), "rate plain.jsonl").fails(2), @"error: name the file that answers are kept in, as in --store ratings.sqlite");
    insta::assert_snapshot!(pefomed(folder.path(), "rate --store s.sqlite").fails(1), @"error: there is no store `s.sqlite` yet: name the prediction files to make one");
    insta::assert_snapshot!(pefomed(folder.path(), "rate plain.jsonl --store s.sqlite").fails(1), @"error: 3 items have an image (the first is `p0.png`): name the folder or parquet file with --images DIR");
    insta::assert_snapshot!(pefomed(folder.path(), "rate plain.jsonl --store s.sqlite --images .").fails(1), @"error: 3 of 3 images are not in `.` (the first is `p0.png` of item `q0`): name the folder that their names are relative to, or the parquet file they are inside of, with --images");
    insta::assert_snapshot!(pefomed(folder.path(), "rate plain.jsonl --store s.sqlite --kind likret").fails(2), @r"
    error: invalid value 'likret' for '--kind <KIND>': no scale is called `likret`: there are correct and likert; did you mean `likert`?

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(pefomed(folder.path(), "rate export plain.jsonl").fails(1), @"error: `plain.jsonl` is not a rating store: name one that `pefomed rate` made, or a new file");
    insta::assert_snapshot!(pefomed(folder.path(), "rate plan").fails(2), @"error: name the prediction files that the plan is for");
    assert!(!folder.path().join("s.sqlite").exists(), "nothing is left of a start that failed");
}
