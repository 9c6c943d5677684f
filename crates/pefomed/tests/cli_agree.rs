//! Grades and predictions of anyone, compared from the command line.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use common::pefomed;
use serde_json::{Value, json};
use tempfile::tempdir;

/// Two systems, six images with two texts each: a metric and a judge as JSON lines, two raters as a
/// table, and predictions of the first system. System b is right once more on every image.
fn study(folder: &Path) {
    let mut lines = String::new();
    let mut table = String::from("system,id,grader,kind,scale,repeat,value\n");
    let mut predictions = [String::new(), String::new()];
    for (system, name) in ["a", "b"].into_iter().enumerate() {
        for image in 0..6 {
            for text in 0..2 {
                let id = format!("{image}-{text}");
                let right = usize::from(text == 0 && (system == 1 || image % 2 == 0));
                let mut grade = |grader: &str, kind: &str, repeat: usize, value: usize| {
                    let line = json!({
                        "system": name, "id": id, "group": format!("p{image}.png"),
                        "grader": grader, "kind": kind, "scale": "correct", "repeat": repeat,
                        "value": value,
                    });
                    let _ = writeln!(lines, "{line}");
                };
                grade("exact", "metric", 0, right);
                grade("judge", "judge", 0, usize::from(text == 0));
                grade("judge", "judge", 1, usize::from(text == 0 || image == 5));
                for (rater, value) in [("Dr A", right), ("Dr B", usize::from(text == 0))] {
                    let _ = writeln!(table, "{name},{id},{rater},human,correct,,{value}");
                }
                let line = json!({
                    "id": id, "image": format!("p{image}.png"), "group": format!("p{image}.png"),
                    "task": "vqa", "question": format!("What is {id}?"), "prompt": "",
                    "prediction": if right == 1 { "liver" } else { "spleen" },
                    "reference": "liver", "tokens": 1, "finish": "stop",
                });
                let _ = writeln!(predictions[system], "{line}");
            }
        }
    }
    fs::write(folder.join("grades.jsonl"), lines).unwrap();
    fs::write(folder.join("ratings.csv"), table).unwrap();
    fs::write(folder.join("a.jsonl"), &predictions[0]).unwrap();
    fs::write(folder.join("b.jsonl"), &predictions[1]).unwrap();
}

#[test]
fn grades_become_a_summary_a_file_and_a_page() {
    let folder = tempdir().unwrap();
    study(folder.path());
    let line = "agree grades.jsonl ratings.csv --predictions a=a.jsonl --predictions b=b.jsonl \
        --out run/agreement.json --report page.html --resamples 200 --permutations 500";
    let out = pefomed(folder.path(), line).ok();
    for text in [
        "24 texts of a, b about 6 images or patients",
        "people among themselves, % right: 2 raters, 24 items, 24 graded twice or more",
        "Krippendorff's α, nominal",
        "judge, right or wrong and people, right or wrong (mean of 2)",
        "b less a",
        "24 × 2",
    ] {
        assert!(out.contains(text), "`{text}` is missing in\n{out}");
    }
    let file = fs::read_to_string(folder.path().join("run/agreement.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let printed: Value =
        serde_json::from_str(&pefomed(folder.path(), &format!("{line} --json")).ok()).unwrap();
    assert_eq!(file, printed);
    // Raters differ on the three images where system a is wrong: 21 of 24 pairs are equal.
    assert_eq!(file["panels"][0]["equal_pairs"]["value"], 21.0 / 24.0);
    let exact = file["differences"].as_array().unwrap().iter();
    let exact = exact.filter(|one| one["grader"]["name"] == "exact").collect::<Vec<_>>();
    assert_eq!(exact[0]["difference"]["difference"]["value"], 0.25);
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.contains("What is ") && page.contains("spleen") && !page.contains("<script"));
    // In a run folder it is part of the report.
    let report = pefomed(folder.path(), "report run").ok();
    let report = fs::read_to_string(folder.path().join(report.trim())).unwrap();
    assert!(report.contains("Agreement of metrics, judges and raters"));
}

#[test]
fn threads_and_the_order_of_files_change_nothing() {
    let folder = tempdir().unwrap();
    study(folder.path());
    let of = |line: &str| {
        pefomed(folder.path(), &format!("agree {line} --json --resamples 50 --permutations 50"))
            .ok()
    };
    let one = of("grades.jsonl ratings.csv --threads 1");
    assert_eq!(one, of("ratings.csv grades.jsonl --threads 3"));
    assert_ne!(one, of("ratings.csv grades.jsonl --seed 4"));
}

#[test]
fn what_is_wrong_with_grades_is_said() {
    let folder = tempdir().unwrap();
    study(folder.path());
    fs::write(folder.path().join("bad.csv"), "system,id,rater,kind,scale,value\n").unwrap();
    insta::assert_snapshot!(pefomed(folder.path(), "agree bad.csv").fails(1), @"error: `bad.csv` is not laid out as expected: there is no column `grader`; needed are system, id, grader, kind, scale and value, separated by commas");
    insta::assert_snapshot!(pefomed(folder.path(), "agree ratings.csv ratings.csv").fails(1), @"error: `Dr A` grades `0-0` of `a` twice (repeat 0): pass each file once, or number the repeats");
    insta::assert_snapshot!(pefomed(folder.path(), "agree ratings.csv --predictions c=a.jsonl").fails(1), @"error: predictions of `c` are given, and no grade is about it: graded are `a`, `b`");
    for line in [
        "agree",
        "agree ratings.csv --likert 1-10",
        "agree ratings.csv --predictions a.jsonl",
        "agree ratings.csv --images nowhere",
        "compare a.jsonl",
        "compare a.jsonl b.jsonl --condition dark",
    ] {
        pefomed(folder.path(), line).fails(2);
    }
}

#[test]
fn two_prediction_files_are_compared() {
    let folder = tempdir().unwrap();
    study(folder.path());
    insta::assert_snapshot!(pefomed(folder.path(), "compare a.jsonl b.jsonl").ok());
    let json = pefomed(folder.path(), "compare a.jsonl b.jsonl --json --out c.json").ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["tasks"][0]["exact_match"]["difference"]["value"], 0.25);
    let file: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("c.json")).unwrap()).unwrap();
    assert_eq!(file, json);
}

/// Eight reports about eight patients: effusion is right in three, denied in two and made up in one.
/// A person gives 4 to what is right and 1 to what is not. The data has a column of its own, which
/// differs from the reference once, and one of words that are no labels.
fn reports(folder: &Path) {
    let (effusion, none) = ("Left pleural effusion.", "No pleural effusion.");
    let cases = [
        (effusion, effusion, "1.0", Some(4)),
        (effusion, effusion, "-1.0", Some(4)),
        (effusion, effusion, "0.0", None),
        (none, effusion, "1.0", Some(1)),
        (none, effusion, "1.0", Some(1)),
        (effusion, none, "", Some(1)),
        (none, none, "0.0", Some(4)),
        (none, none, "0.0", Some(2)),
    ];
    let (mut lines, mut grades) = (String::new(), String::new());
    for (index, (text, reference, given, grade)) in cases.into_iter().enumerate() {
        let line = json!({
            "id": index.to_string(), "image": format!("{index}.png"), "group": format!("p{index}"),
            "task": "report", "question": "", "prompt": "", "prediction": text,
            "reference": reference, "tokens": 3, "finish": "stop",
            "labels": { "Pleural Effusion": given, "fracture": "seventh rib" },
        });
        let _ = writeln!(lines, "{line}");
        let grade = json!({
            "system": "r", "id": index.to_string(), "grader": "Dr A", "kind": "human",
            "scale": "likert", "value": grade,
        });
        let _ = writeln!(grades, "{grade}");
    }
    fs::write(folder.join("r.jsonl"), lines).unwrap();
    fs::write(folder.join("grades.jsonl"), grades).unwrap();
}

#[test]
fn reports_are_compared_finding_by_finding() {
    let folder = tempdir().unwrap();
    reports(folder.path());
    let line = "agree grades.jsonl --predictions r=r.jsonl --report page.html --resamples 200";
    let out = pefomed(folder.path(), line).ok();
    for text in
        ["r: text against reference", "r: reference against given labels", "Pleural Effusion"]
    {
        assert!(out.contains(text), "`{text}` is missing in\n{out}");
    }
    // Of nothing that no report has is there a row, and the column of words is no column of labels.
    assert!(!out.contains("Fracture"), "{out}");
    let file: Value =
        serde_json::from_str(&pefomed(folder.path(), &format!("{line} --json")).ok()).unwrap();
    let sets = file["findings"]["sets"].as_array().unwrap();
    let sources: Vec<_> = sets.iter().map(|set| (set["a"].clone(), set["b"].clone())).collect();
    let pair = |a: &str, b: &str| (Value::from(a), Value::from(b));
    assert_eq!(
        sources,
        [pair("text", "reference"), pair("text", "given"), pair("reference", "given")]
    );
    assert_eq!(sets.iter().map(|set| set["findings"].as_array().unwrap().len()).sum::<usize>(), 16);
    let row = |set: usize| {
        let rows = sets[set]["findings"].as_array().unwrap();
        rows.iter().find(|row| row["finding"] == "Pleural Effusion").unwrap().clone()
    };
    let counts = |set: usize| ["n", "both", "only_a", "only_b"].map(|key| row(set)[key].clone());
    assert_eq!(counts(0), [8, 3, 1, 2].map(Value::from));
    // What is uncertain counts as there, an empty cell as not.
    assert_eq!(counts(2), [8, 4, 1, 0].map(Value::from));
    let own = row(0);
    let value = |key: &str| own[key]["value"].as_f64().unwrap();
    assert_eq!(value("equal"), 5.0 / 8.0);
    assert_eq!((value("present"), value("absent")), (6.0 / 9.0, 4.0 / 7.0));
    // 4 of 8 texts and 5 of 8 references have it: chance agrees half of the time.
    assert!((value("kappa") - 0.25).abs() < 1e-12, "{own}");
    let grades = &own["grades"][0];
    assert_eq!(grades["side"]["name"], "people");
    // One of the three that are right was not judged.
    assert_eq!((&grades["right_n"], &grades["wrong_n"]), (&2.into(), &3.into()));
    assert_eq!((&grades["right"]["value"], &grades["wrong"]["value"]), (&4.0.into(), &1.0.into()));
    assert_eq!(grades["difference"]["value"], 3.0);
    assert_eq!(row(1)["grades"], Value::Null);
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.contains("Finding by finding") && page.contains("r: text against reference"));
}
