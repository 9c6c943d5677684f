//! Rating studies: what is shown to whom, what is kept, what comes out.
#![cfg(feature = "rating")]

mod common;

use std::path::{Path, PathBuf};

use common::{line, shared};
use pefomed_data::prediction::{read_predictions, write_predictions};
use pefomed_data::{ImageCondition, Prediction, Task};
use pefomed_eval::grade::read_grades;
use pefomed_eval::rating::export::{self, CountedErrors, Format};
use pefomed_eval::rating::{
    ErrorKind, ErrorMarks, Items, MarkCount, Rating, RatingError, RatingKind, Store, StudyRequest,
    System,
};
use pefomed_eval::{GraderKind, Scale};
use rusqlite::Connection;
use tempfile::TempDir;

fn system(folder: &Path, name: &str, lines: &[Prediction]) -> System {
    let path = folder.join(format!("{name}.jsonl"));
    write_predictions(&path, lines).unwrap();
    System { name: name.to_owned(), path }
}

/// Two systems on four questions, of which they answer two alike.
fn two_systems(folder: &Path) -> [System; 2] {
    let first = [
        line("q1", "a", "yes", "yes", &[]),
        line("q2", "a", "the liver", "liver", &[]),
        line("q3", "b", "no", "yes", &[]),
        line("q4", "c", "two", "2", &[]),
    ];
    let second = [
        line("q1", "a", " yes ", "yes", &[]),
        line("q2", "a", "the spleen", "liver", &[]),
        line("q3", "b", "yes", "yes", &[]),
        line("q4", "c", "two", "2", &[]),
    ];
    [system(folder, "tuned", &first), system(folder, "base", &second)]
}

fn raters(names: &[&str]) -> StudyRequest {
    let raters = names.iter().map(|name| ((*name).to_owned(), false)).collect();
    StudyRequest { raters, ..StudyRequest::default() }
}

fn grade(value: u8) -> Rating {
    Rating { value: Some(value), ..Rating::default() }
}

/// A store of two raters over two systems.
fn study() -> (TempDir, PathBuf, Store) {
    let folder = tempfile::tempdir().unwrap();
    let items = Items::read(&two_systems(folder.path())).unwrap();
    let path = folder.path().join("ratings.sqlite");
    let store = Store::prepare(&path, Some(&items), &raters(&["Ada", "Bo"])).unwrap();
    (folder, path, store)
}

#[test]
fn equal_texts_are_one_candidate_whatever_the_order_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let [tuned, base] = two_systems(folder.path());
    let items = Items::read(&[tuned.clone(), base.clone()]).unwrap();
    assert_eq!(items.systems(), ["base", "tuned"]);
    let shown: Vec<(usize, &str, usize)> = items
        .candidates
        .iter()
        .map(|candidate| (candidate.case, candidate.text.as_str(), candidate.systems.len()))
        .collect();
    let expected = [
        (0, "yes", 2),
        (1, "the spleen", 1),
        (1, "the liver", 1),
        (2, "yes", 1),
        (2, "no", 1),
        (3, "two", 2),
    ];
    assert_eq!(shown, expected);
    let turned = Items::read(&[base, tuned]).unwrap();
    assert_eq!(turned, items);
    assert_eq!(turned.digest(), items.digest());
}

#[test]
fn files_that_do_not_fit_together_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let [tuned, base] = two_systems(folder.path());
    let fails = |systems: &[System]| Items::read(systems).unwrap_err().to_string();
    assert!(fails(&[tuned.clone(), tuned.clone()]).contains("are called `tuned`"));
    let other = system(folder.path(), "other", &[line("q1", "a", "yes", "no", &[])]);
    let text = fails(&[tuned.clone(), other]);
    assert!(text.contains("id `q1` has another reference in `other` than in `tuned`"), "{text}");
    let mut lines = read_predictions(&base.path).unwrap();
    lines[3].condition = ImageCondition::Blank;
    let text = fails(&[system(folder.path(), "mixed", &lines)]);
    assert!(text.contains("mixed.jsonl` has predictions under the true image and"), "{text}");
    assert!(matches!(Items::read(&[]), Err(RatingError::NoItems)));
    let path = folder.path().join("lists.jsonl");
    let plain = std::fs::read_to_string(&tuned.path).unwrap();
    let listed = plain.replacen("\"id\":", "\"images\":[\"a.png\",\"b.png\"],\"id\":", 1);
    std::fs::write(&path, &listed).unwrap();
    let name = "lists".to_owned();
    let items = Items::read(&[System { name: name.clone(), path: path.clone() }]).unwrap();
    assert_eq!(items.cases[0].images, ["a.png", "b.png"]);
    assert_eq!(items.cases[2].images, ["b.png"]);
    std::fs::write(&path, listed.replace("[\"a.png\",\"b.png\"]", "3")).unwrap();
    let text = fails(&[System { name, path }]);
    assert!(text.contains("lists.jsonl`, row 1: `images` is not a list of names"), "{text}");
}

#[test]
fn what_was_said_last_counts_and_everything_stays() {
    let (_folder, path, mut store) = study();
    let ada = store.rater("Ada").unwrap().clone();
    let first = store.grade(&ada, 0, "request-1", &grade(1)).unwrap();
    let second = store.grade(&ada, 1, "request-2", &Rating::default()).unwrap();
    let changed = store.grade(&ada, 0, "request-3", &grade(0)).unwrap();
    assert_eq!((first.answer, second.answer, changed.answer), (1, 2, 3));
    let values = |store: &Store| -> Vec<Option<Option<u8>>> {
        let answers = store.answers(&ada).unwrap();
        answers.iter().map(|given| given.as_ref().map(|given| given.rating.value)).collect()
    };
    assert_eq!(values(&store)[..3], [Some(Some(0)), Some(None), None]);

    // Three undos lead back to the beginning, the fourth finds nothing.
    let undone = store.undo(&ada, "undo-0001").unwrap().unwrap();
    assert_eq!((undone.answer, undone.position), (3, 0));
    assert_eq!(values(&store)[..2], [Some(Some(1)), Some(None)]);
    let undone = store.undo(&ada, "undo-0002").unwrap().unwrap();
    assert_eq!((undone.answer, undone.position), (2, 1));
    assert_eq!(values(&store)[..2], [Some(Some(1)), None]);
    assert_eq!(store.undo(&ada, "undo-0003").unwrap().unwrap().answer, 1);
    assert_eq!(store.undo(&ada, "undo-0004").unwrap(), None);
    assert!(values(&store).iter().all(Option::is_none));

    // Another rater is not touched, and a second process sees the same.
    let bo = store.rater("Bo").unwrap().clone();
    store.grade(&bo, 2, "request-1", &grade(1)).unwrap();
    let again = Store::open(&path).unwrap();
    assert_eq!(again.answers(&bo).unwrap()[2].as_ref().unwrap().rating.value, Some(1));
    let history = export::rows(&again, true).unwrap();
    let told: Vec<(i64, Option<i64>, bool)> = history
        .chunk_by(|a, b| a.answer == b.answer)
        .map(|rows| (rows[0].answer, rows[0].undoes, rows[0].counts))
        .collect();
    let expected = [
        (1, None, false),
        (2, None, false),
        (3, None, false),
        (4, Some(3), false),
        (5, Some(2), false),
        (6, Some(1), false),
        (7, None, true),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_request_that_comes_twice_counts_once() {
    let (_folder, _, mut store) = study();
    let ada = store.rater("Ada").unwrap().clone();
    let first = store.grade(&ada, 0, "request-1", &grade(1)).unwrap();
    assert_eq!(store.grade(&ada, 0, "request-1", &grade(1)).unwrap(), first);
    // What was acknowledged stands, also against a request that reuses its name.
    assert_eq!(store.grade(&ada, 3, "request-1", &grade(0)).unwrap(), first);
    store.grade(&ada, 1, "request-2", &grade(0)).unwrap();
    let undone = store.undo(&ada, "undo-0001").unwrap();
    assert_eq!(store.undo(&ada, "undo-0001").unwrap(), undone);
    assert_eq!(store.answers(&ada).unwrap().iter().flatten().count(), 1);
    assert_eq!(export::rows(&store, true).unwrap().iter().map(|row| row.answer).max(), Some(3));
}

#[test]
fn answers_that_make_no_sense_are_refused_and_leave_nothing() {
    let (_folder, _, mut store) = study();
    let ada = store.rater("Ada").unwrap().clone();
    let count = store.answers(&ada).unwrap().len();
    let marks = Some(ErrorMarks::default());
    let long = "ä".repeat(4001);
    let refused = [
        (0, "request-1", grade(2), "2 does not lie on the scale correct"),
        (count, "request-1", grade(1), "this rater has"),
        (0, "short", grade(1), "8 to 64"),
        (0, "not ' or 1=1", grade(1), "8 to 64"),
        (0, "request-1", Rating { comment: long, ..grade(1) }, "4001 characters"),
        (0, "request-1", Rating { marks, ..grade(1) }, "asks for no error marks"),
    ];
    for (position, request, rating, reason) in refused {
        let error = store.grade(&ada, position, request, &rating).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(export::rows(&store, true).unwrap().is_empty());
}

#[test]
fn nobody_can_change_an_answer() {
    let (_folder, path, mut store) = study();
    let ada = store.rater("Ada").unwrap().clone();
    store.grade(&ada, 0, "request-1", &grade(1)).unwrap();
    let other = Connection::open(&path).unwrap();
    for (sql, reason) in [
        ("UPDATE answers SET value = 0", "never changed"),
        ("DELETE FROM answers", "never removed"),
        ("INSERT INTO answers (rater, candidate, request) VALUES (1, 99, 'r')", "FOREIGN KEY"),
    ] {
        other.pragma_update(None, "foreign_keys", true).unwrap();
        let error = other.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(store.answers(&ada).unwrap()[0].as_ref().unwrap().rating.value, Some(1));
    let synchronous: i64 = Connection::open(&path)
        .and_then(|connection| {
            connection.query_row("PRAGMA journal_mode", [], |row| {
                Ok(i64::from(row.get::<_, String>(0)? == "wal"))
            })
        })
        .unwrap();
    assert_eq!(synchronous, 1);
}

#[test]
fn a_store_for_something_else_is_refused_with_the_way_out() {
    let (folder, path, store) = study();
    drop(store);
    let fails = |items: Option<&Items>, request: &StudyRequest| {
        Store::prepare(&path, items, request).unwrap_err().to_string()
    };
    let [tuned, base] = two_systems(folder.path());
    let items = Items::read(std::slice::from_ref(&tuned)).unwrap();
    let error = fails(Some(&items), &StudyRequest::default());
    assert!(error.contains("was made for other predictions (base, tuned; 4 items, 6"), "{error}");
    assert!(error.contains("than these (tuned; 4 items, 4"), "{error}");
    assert!(error.contains("name another file with --store"), "{error}");
    let seed = StudyRequest { seed: Some(3), ..StudyRequest::default() };
    assert!(fails(None, &seed).contains("was made with --seed 1, not 3"));
    let kind = StudyRequest { kind: Some(RatingKind::Likert), ..StudyRequest::default() };
    assert!(fails(None, &kind).contains("--kind correct, not likert"));
    let marks = StudyRequest { error_marks: Some(true), ..StudyRequest::default() };
    assert!(fails(None, &marks).contains("--error-marks off, not on"));

    // The same predictions, or none, go on with it; a new rater joins.
    let items = Items::read(&[base, tuned]).unwrap();
    assert_eq!(Store::prepare(&path, Some(&items), &raters(&["Bo"])).unwrap().raters().len(), 2);
    let mut store = Store::prepare(&path, None, &raters(&["Cy"])).unwrap();
    let cy = store.rater("Cy").unwrap().clone();
    assert_eq!((cy.number, store.answers(&cy).unwrap().len()), (3, 6));
    store.grade(&cy, 5, "request-1", &grade(1)).unwrap();
    let again = Store::open(&path).unwrap();
    assert_eq!(again.plan(), store.plan());
    let error = again.rater("Di").unwrap_err().to_string();
    assert!(error.contains("there are Ada, Bo, Cy"), "{error}");
    let stand_in = [("Ada".to_owned(), true)].to_vec();
    let error = fails(None, &StudyRequest { raters: stand_in, ..StudyRequest::default() });
    assert!(error.contains("knows this rater as a person"), "{error}");
}

#[test]
fn files_that_are_no_store_are_refused() {
    let (folder, path, store) = study();
    drop(store);
    let open = |path: &Path| Store::open(path).unwrap_err();
    assert!(matches!(open(&folder.path().join("none")), RatingError::NoStore { .. }));
    let text = folder.path().join("text.sqlite");
    std::fs::write(&text, "not a database at all ".repeat(100)).unwrap();
    assert!(matches!(open(&text), RatingError::NotAStore { .. }));
    let other = folder.path().join("other.sqlite");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(open(&other), RatingError::NotAStore { .. }));

    let change = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    change("PRAGMA user_version = 2");
    let error = open(&path).to_string();
    assert!(error.contains("schema 2, this version knows schema 1: use the newer"), "{error}");
    change("PRAGMA user_version = 1; UPDATE cases SET reference = 'no' WHERE number = 0");
    let error = open(&path).to_string();
    assert!(error.contains("another digest than was noted"), "{error}");
    change("UPDATE cases SET reference = 'yes' WHERE number = 0");
    Store::open(&path).unwrap();
    change("PRAGMA foreign_keys = OFF; DELETE FROM assignments WHERE position = 1");
    assert!(open(&path).to_string().contains("its plan has a gap"));
}

#[test]
fn a_start_that_was_cut_short_leaves_nothing_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ratings.sqlite");
    std::fs::write(&path, b"").unwrap();
    let items = Items::read(&two_systems(folder.path())).unwrap();
    assert!(matches!(
        Store::prepare(&path, None, &StudyRequest::default()),
        Err(RatingError::NoStore { .. })
    ));
    let store = Store::prepare(&path, Some(&items), &StudyRequest::default()).unwrap();
    assert_eq!(store.raters()[0].name, "rater 1");
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_the_store() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, path, mut store) = study();
    let ada = store.rater("Ada").unwrap().clone();
    store.grade(&ada, 0, "request-1", &grade(1)).unwrap();
    for name in [path, folder.path().join("ratings.sqlite-wal")] {
        assert_eq!(name.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", name.display());
    }
}

#[test]
fn grades_name_the_systems_again() {
    let (folder, _, mut store) = study();
    for name in ["Ada", "Bo"] {
        let rater = store.rater(name).unwrap().clone();
        let order = store.plan().orders[rater.number - 1].clone();
        for (position, candidate) in order.into_iter().enumerate() {
            // Bo cannot judge the third item; otherwise the text decides.
            let candidate = &store.items().candidates[candidate];
            let right = ["yes", "the liver", "two"].contains(&candidate.text.as_str());
            let unsure = name == "Bo" && candidate.case == 2;
            let value = (!unsure).then_some(u8::from(right));
            let request = format!("{name}-request-{position}");
            store.grade(&rater, position, &request, &Rating { value, ..grade(0) }).unwrap();
        }
    }
    let rows = export::rows(&store, false).unwrap();
    assert_eq!(rows.len(), 2 * 8);
    let out = folder.path().join("grades.jsonl");
    export::write_file(&out, &store, &rows, Format::Grades(CountedErrors::All)).unwrap();
    let grades = read_grades(&out).unwrap();
    let of = |grader: &str, system: &str| -> Vec<Option<f64>> {
        ["q1", "q2", "q3", "q4"]
            .iter()
            .map(|id| {
                let mut found = grades.iter().filter(|grade| {
                    (grade.grader.as_str(), grade.system.as_str(), grade.id.as_str())
                        == (grader, system, id)
                });
                let grade = found.next().unwrap();
                assert!(found.next().is_none());
                assert_eq!((grade.kind, grade.scale), (GraderKind::Human, Scale::Correct));
                grade.value
            })
            .collect()
    };
    assert_eq!(of("Ada", "tuned"), [Some(1.0), Some(1.0), Some(0.0), Some(1.0)]);
    assert_eq!(of("Ada", "base"), [Some(1.0), Some(0.0), Some(1.0), Some(1.0)]);
    assert_eq!(of("Bo", "base"), [Some(1.0), Some(0.0), None, Some(1.0)]);
}

#[test]
fn reports_with_marked_errors_come_out_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let report = |id: &str, text: &str| Prediction {
        task: Task::Report,
        ..line(id, "p1", text, "No effusion.", &[])
    };
    let lines = [report("r1", "Effusion, \"large\""), report("r2", "No effusion.")];
    let items = Items::read(&[system(folder.path(), "m", &lines)]).unwrap();
    let request = StudyRequest {
        error_marks: Some(true),
        raters: vec![("machine".to_owned(), true)],
        ..StudyRequest::default()
    };
    let path = folder.path().join("r.sqlite");
    let mut store = Store::prepare(&path, Some(&items), &request).unwrap();
    assert_eq!(store.settings().kind, RatingKind::Likert);
    let machine = store.raters()[0].clone();
    let position = store.plan().orders[0].iter().position(|candidate| *candidate == 0).unwrap();
    let mut marks = ErrorMarks::default();
    marks.0.insert(ErrorKind::FalseFinding, MarkCount { significant: 2, insignificant: 0 });
    marks.0.insert(ErrorKind::WrongSeverity, MarkCount { significant: 0, insignificant: 3 });
    assert!(store.grade(&machine, position, "request-1", &grade(1)).is_err(), "marks are missing");
    let comment = "said \"large\",\nnot seen".to_owned();
    let rating = Rating { marks: Some(marks.clone()), comment: comment.clone(), ..grade(1) };
    store.grade(&machine, position, "request-1", &rating).unwrap();
    let unsure = Rating { marks: Some(ErrorMarks::default()), ..Rating::default() };
    store.grade(&machine, 1 - position, "request-2", &unsure).unwrap();

    let mut rows = export::rows(&store, false).unwrap();
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    let values = |errors| -> Vec<(String, Scale, Option<f64>, GraderKind)> {
        export::grades(&rows, errors)
            .into_iter()
            .map(|grade| (grade.id, grade.scale, grade.value, grade.kind))
            .collect()
    };
    let row = |id: &str, scale, value| (id.to_owned(), scale, value, GraderKind::Synthetic);
    let expected = [
        row("r1", Scale::Likert, Some(1.0)),
        row("r1", Scale::Errors, Some(5.0)),
        row("r2", Scale::Likert, None),
        row("r2", Scale::Errors, None),
    ];
    assert_eq!(values(CountedErrors::All), expected);
    assert_eq!(values(CountedErrors::Significant)[1], row("r1", Scale::Errors, Some(2.0)));

    let written = |format| {
        let mut out = Vec::new();
        export::write(&mut out, &store, &rows, format).unwrap();
        String::from_utf8(out).unwrap()
    };
    let jsonl = written(Format::Jsonl);
    let first: serde_json::Value = serde_json::from_str(jsonl.lines().next().unwrap()).unwrap();
    assert_eq!(first["errors"]["false_finding"]["significant"], 2);
    assert_eq!((&first["comment"], &first["kind"]), (&comment.into(), &"synthetic".into()));
    let text = written(Format::Csv);
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let heading = csv.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    let cell = |record: usize, name: &str| {
        let column = heading.iter().position(|known| known == name).unwrap();
        records[record].get(column).unwrap().to_owned()
    };
    assert_eq!(cell(0, "comment"), "said \"large\",\nnot seen");
    assert_eq!((cell(0, "value").as_str(), cell(1, "value").as_str()), ("1", ""));
    assert_eq!(
        (cell(0, "cannot_judge").as_str(), cell(1, "cannot_judge").as_str()),
        ("false", "true")
    );
    assert_eq!(cell(0, "wrong_severity_insignificant"), "3");
    assert_eq!(cell(0, "missed_finding_significant"), "0");
}

/// The predictions of a real run, when they are at hand, as two systems.
#[test]
fn a_real_data_set_makes_a_study() {
    let Some(path) = shared("data/vqa-rad/testset.json") else { return };
    let rows: Vec<serde_json::Value> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let text = |row: &serde_json::Value, key: &str| match &row[key] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let lines = |answer: &dyn Fn(&str) -> String| -> Vec<Prediction> {
        let of = |row: &serde_json::Value| {
            let reference = text(row, "answer");
            let image = text(row, "image_name");
            Prediction {
                question: text(row, "question"),
                ..line(&text(row, "qid"), &image, &answer(&reference), &reference, &[])
            }
        };
        rows.iter().map(of).collect()
    };
    let folder = tempfile::tempdir().unwrap();
    let systems = [
        system(folder.path(), "oracle", &lines(&str::to_owned)),
        system(folder.path(), "yes-man", &lines(&|_| "Yes".to_owned())),
    ];
    let items = Items::read(&systems).unwrap();
    assert_eq!((items.cases.len(), items.candidates.len() > 600), (451, true));
    let request = StudyRequest { per_item: Some(2), core: Some(50), ..raters(&["A", "B", "C"]) };
    let store = Store::prepare(&folder.path().join("s.sqlite"), Some(&items), &request).unwrap();
    let summary = store.summary().unwrap();
    assert_eq!((summary.fewest_raters, summary.most_raters, summary.core), (2, 3, 50));
    assert!(summary.fewest_shared.unwrap() > 50 + 100, "{summary:?}");
}
