//! What a check of a data set finds, in one made for it and in VQA-RAD.

mod data_common;

use std::sync::atomic::{AtomicUsize, Ordering};

use data_common::shared;
use pefomed_data::check::{CheckOptions, CheckReport, ProblemKind, Severity, check};
use pefomed_data::files::write_bytes;
use pefomed_data::formats::{Format, read};
use pefomed_data::{Split, Task};

fn rows(report: &CheckReport, kind: ProblemKind) -> Vec<Vec<usize>> {
    let of_kind = report.problems.iter().filter(|problem| problem.kind == kind);
    of_kind.map(|problem| problem.rows.iter().map(|row| row.row).collect()).collect()
}

/// One of everything that can be wrong.
fn troubled() -> CheckReport {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let grey16 = |value: u16| {
        image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(4, 3, image::Luma([value]))
    };
    image::GrayImage::new(8, 6).save(root.join("ok.png")).unwrap();
    grey16(4095).save(root.join("dim.png")).unwrap();
    grey16(60_000).save(root.join("deep.png")).unwrap();
    image::RgbaImage::new(2, 2).save(root.join("clear.png")).unwrap();
    write_bytes(&root.join("page.png"), b"<html>not found</html>").unwrap();
    let lines = [
        r#"{"id": "1", "image": "ok.png", "question": "Normal?", "answer": "yes", "labels": {"answer_type": "CLOSED"}}"#,
        r#"{"id": "2", "image": "ok.png", "question": "normal", "answer": "No.", "split": "test", "labels": {"answer_type": "CLOSED"}}"#,
        r#"{"id": "3", "image": "gone.png", "question": "Side?", "answer": "left", "labels": {"answer_type": "OPEN"}}"#,
        r#"{"id": "4", "image": "gone.png", "question": "Side?", "answer": "Left", "labels": {"answer_type": "OPEN"}}"#,
        r#"{"id": "5", "image": "page.png", "question": "Organ?", "answer": "heart", "split": "val"}"#,
        r#"{"id": "6", "image": "dim.png", "question": "", "answer": "yes"}"#,
        r#"{"id": "7", "image": "deep.png", "question": "Plane?", "answer": " "}"#,
        r#"{"id": "8", "image": "clear.png", "task": "caption", "answer": "A film."}"#,
        r#"{"id": "9", "image": "clear.png", "task": "caption", "answer": "A chest film."}"#,
    ];
    write_bytes(&root.join("d.jsonl"), lines.join("\n").as_bytes()).unwrap();
    let examples = read(Format::Jsonl, &root.join("d.jsonl"), None).unwrap();
    let (calls, last) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let progress = |done: usize, all: usize| {
        assert_eq!(all, 6);
        calls.fetch_add(1, Ordering::Relaxed);
        last.fetch_max(done, Ordering::Relaxed);
    };
    let report =
        check(&examples, &CheckOptions { progress: Some(&progress), ..Default::default() });
    assert_eq!((calls.into_inner(), last.into_inner()), (6, 6));
    let quick = check(&examples, &CheckOptions { decode_images: false, ..Default::default() });
    assert_eq!((quick.images.decoded, quick.images.missing, quick.images.unreadable), (0, 1, 0));
    report
}

#[test]
fn every_problem_is_found_with_its_rows() {
    let report = troubled();
    assert_eq!(rows(&report, ProblemKind::MissingImage), [[3, 4]]);
    assert_eq!(rows(&report, ProblemKind::UnreadableImage), [[5]]);
    assert_eq!(rows(&report, ProblemKind::EmptyQuestion), [[6]]);
    assert_eq!(rows(&report, ProblemKind::EmptyAnswer), [[7]]);
    assert_eq!(rows(&report, ProblemKind::ConflictingAnswers), [[1, 2]]);
    assert_eq!(rows(&report, ProblemKind::RepeatedQuestion), [[3, 4]]);
    assert_eq!(rows(&report, ProblemKind::DimImage), [[6]]);
    assert_eq!(rows(&report, ProblemKind::ConvertedImage), [vec![8, 9], vec![7]]);
    assert_eq!(report.problems.len(), 9);
    let counts =
        [Severity::Error, Severity::Warning, Severity::Note].map(|severity| report.count(severity));
    assert_eq!(counts, [4, 2, 3]);
    assert!(report.has_errors());
    assert!(report.problems.is_sorted_by_key(|problem| problem.severity));
}

#[test]
fn everything_is_counted() {
    let report = troubled();
    assert_eq!((report.examples, report.groups, report.text_only), (9, 6, 0));
    let train = report.splits[&Split::Train];
    assert_eq!((train.examples, train.groups, train.images), (7, 5, 5));
    assert_eq!((report.tasks[&Task::Vqa], report.tasks[&Task::Caption]), (7, 2));
    let column = &report.labels["answer_type"];
    assert_eq!((column.values["CLOSED"], column.values["OPEN"], column.absent), (2, 2, 5));
    let images = &report.images;
    assert_eq!((images.files, images.missing, images.unreadable, images.decoded), (6, 1, 1, 4));
    assert_eq!((images.grey, images.sixteen_bit, images.transparent), (3, 2, 1));
    assert_eq!((images.smallest, images.largest), (Some((2, 2)), Some((8, 6))));
    let closed = report.answers.by_label["CLOSED"];
    assert_eq!((closed.yes_no, closed.other), (2, 0));
    let unlabelled = report.answers.by_label["unlabelled"];
    assert_eq!((unlabelled.yes_no, unlabelled.other), (1, 2));
    assert_eq!(report.answers.most_frequent[..2], [("left".into(), 2), ("yes".into(), 2)]);
    let repeats = report.repeats;
    assert_eq!((repeats.within_splits, repeats.between_splits, repeats.conflicting), (1, 1, 1));
    let pairs: Vec<(Split, Split)> =
        report.leakage.iter().map(|leakage| (leakage.tested, leakage.trained)).collect();
    let (train, val, test) = (Split::Train, Split::Val, Split::Test);
    assert_eq!(pairs, [(test, train), (val, train), (test, val)]);
    assert_eq!(report.leakage[0].test_questions_repeated, 1);
}

#[test]
fn the_text_says_it_all_in_few_lines() {
    let text = troubled().to_text();
    for part in [
        "9 examples about 6 images in 6 groups (vqa 7, caption 2)",
        "  train           7         5         5",
        "Images: 4 decoded, 2×2 to 8×6, 3 grey, 2 of 16 bits, 1 transparent, 1 missing, 1 unreadable",
        "1 of 1 test images and 1 of 1 groups are in train too",
        "val and train share no image and no group",
        "error: 1 image file not found",
        "gone.png  [train rows 3, 4]",
        "it looks like a web page",
        "warning: 1 repeated question with different answers",
        "ok.png: Normal? → yes | No.  [train row 1; test row 2]",
        "4 errors, 2 warnings, 3 notes",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    assert!(text.lines().count() < 60, "{text}");
}

#[test]
fn the_report_is_json_for_scripts() {
    let value = serde_json::to_value(troubled()).unwrap();
    assert_eq!(value["splits"]["test"]["examples"], 1);
    assert_eq!(value["problems"][0]["kind"], "missing-image");
    assert_eq!(value["problems"][0]["severity"], "error");
    assert_eq!(value["problems"][0]["rows"][1]["row"], 4);
}

#[test]
fn vqa_rad_is_sound_but_leaks() {
    let Some(path) = shared("data/vqa-rad") else {
        return;
    };
    let examples = read(Format::VqaRad, &path, None).unwrap();
    let report = check(&examples, &CheckOptions::default());
    assert!(!report.has_errors());
    // The release comes with one more image, which no question is about.
    assert_eq!((report.examples, report.images.files), (3515, 314));
    assert_eq!(report.images.decoded, 314);
    let train = report.splits[&Split::Train];
    assert_eq!((train.examples, train.groups, train.images), (3064, 314, 314));
    assert_eq!(report.leakage.len(), 1);
    assert_eq!(report.leakage[0].shared_with_train, 203);
    let closed = report.answers.by_label["CLOSED"];
    let open = report.answers.by_label["OPEN"];
    assert_eq!((closed.yes_no, closed.other, open.yes_no, open.other), (1964, 131, 0, 1420));
    assert!(report.to_text().contains("203 of 203 test images"));
}
