//! `pefomed data check` on a small data set, whole and damaged.

mod common;

use std::fs;

use common::{pefomed, with_data, without_folder};

const CHECK: &str = "data check vqa.jsonl --format jsonl --images images";

#[test]
fn a_sound_data_set_is_counted() {
    let folder = with_data();
    insta::assert_snapshot!(pefomed(folder.path(), CHECK).ok());
}

#[test]
fn json_has_the_same_numbers() {
    let folder = with_data();
    let out = pefomed(folder.path(), &format!("{CHECK} --json")).ok();
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["examples"], 27);
    assert_eq!(report["splits"]["train"]["images"], 6);
    assert_eq!(report["splits"]["test"]["examples"], 9);
    assert_eq!(report["images"]["decoded"], 9);
    assert_eq!(report["leakage"][0]["images_shared_with_train"], 0);
    assert_eq!(report["problems"], serde_json::json!([]));
}

#[test]
fn a_missing_and_a_broken_image_are_named() {
    let folder = with_data();
    let images = folder.path().join("images");
    fs::remove_file(images.join("p3.png")).unwrap();
    let whole = fs::read(images.join("p7.png")).unwrap();
    fs::write(images.join("p7.png"), &whole[..whole.len() / 2]).unwrap();
    let done = pefomed(folder.path(), CHECK);
    assert_eq!(done.code, Some(1));
    let out = without_folder(&done.out, folder.path());
    assert!(out.contains("7 decoded, 1 missing, 1 unreadable"), "{out}");
    let rows = "train row 10 (3-a), train row 11 (3-b), train row 12 (3-c): images/p3.png";
    assert!(out.contains(rows), "{out}");
    assert!(out.contains("test row 22 (7-a)") && out.contains("p7.png"), "{out}");
}

#[test]
fn shared_images_fail_a_strict_check_and_a_hashed_split_has_none() {
    let folder = with_data();
    let file = folder.path().join("vqa.jsonl");
    // Question c of every picture goes to the test split.
    let text = fs::read_to_string(&file).unwrap();
    let mixed: Vec<String> = text
        .lines()
        .map(|line| {
            if line.contains("-c\"") { line.replace("\"train\"", "\"test\"") } else { line.into() }
        })
        .collect();
    fs::write(&file, mixed.join("\n")).unwrap();
    let out = pefomed(folder.path(), CHECK).ok();
    assert!(out.contains("6 of 9 images and 6 of 9 groups of test are in train too"), "{out}");
    assert_eq!(pefomed(folder.path(), &format!("{CHECK} --strict")).code, Some(1));
    let hashed = "--split group-hash --test-percent 30 --strict";
    let out = pefomed(folder.path(), &format!("{CHECK} {hashed}")).ok();
    assert!(out.contains(" 0 of ") && out.contains("images"), "{out}");
    let error = pefomed(folder.path(), &format!("{CHECK} --split group-hash --test-percent 120"));
    assert!(error.fails(1).contains("must stay below 100"));
}

#[test]
fn rows_that_cannot_be_read_are_listed_and_the_others_counted() {
    let folder = with_data();
    let file = folder.path().join("vqa.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}{{\"id\": 99\n")).unwrap();
    let done = pefomed(folder.path(), CHECK);
    assert_eq!(done.code, Some(1));
    for part in [
        "all      27       9       9",
        "left out, because they cannot be read: 1",
        "1 unusable-row (error):",
        "row 28: not valid JSON",
    ] {
        assert!(done.out.contains(part), "no `{part}` in\n{}", done.out);
    }
}

#[test]
fn options_reach_the_reader_and_folds_the_split() {
    let folder = with_data();
    let table = "picture,question,answer\np0.png,Side?,left\np1.png,Side?,top\n";
    fs::write(folder.path().join("t.csv"), table).unwrap();
    let check = "data check t.csv --format csv --images images";
    let out = pefomed(folder.path(), &format!("{check} --column image=picture --fold 1/2")).ok();
    assert!(out.contains("images: 2 decoded"), "{out}");
    let error = pefomed(folder.path(), &format!("{check} --column image=pictures")).fails(1);
    assert!(error.contains("did you mean `picture`?"), "{error}");
    let error = pefomed(folder.path(), &format!("{check} --language en")).fails(1);
    assert!(error.contains("format `csv` does not take `language`"), "{error}");
    pefomed(folder.path(), &format!("{check} --split fold --fold half")).fails(2);
}

#[test]
fn a_mistyped_field_is_an_error_with_its_row() {
    let folder = with_data();
    fs::write(
        folder.path().join("vqa.jsonl"),
        "{\"id\": 1, \"image\": \"p0.png\", \"qestion\": \"x\", \"answer\": \"y\"}\n",
    )
    .unwrap();
    let error = pefomed(folder.path(), CHECK).fails(1);
    assert!(error.contains("`vqa.jsonl`, row 1: unknown field `qestion`"), "{error}");
    assert!(error.contains("did you mean `question`?"), "{error}");
}
