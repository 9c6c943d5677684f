//! Data set layouts: rows as they should be, as they are, and as they must not be.

mod data_common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use data_common::shared;
use pefomed_data::files::write_bytes;
use pefomed_data::formats::{Format, read, write_jsonl};
use pefomed_data::{Example, ImageSource, Split, Task};
use proptest::prelude::*;
use tempfile::TempDir;

fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write_bytes(&folder.path().join(name), text.as_bytes()).unwrap();
    }
    folder
}

fn read_one(format: Format, name: &str, text: &str) -> Result<Vec<Example>, String> {
    let folder = folder_with(&[(name, text)]);
    read(format, &folder.path().join(name), None).map_err(|error| error.to_string())
}

fn counts<'a>(examples: &'a [Example], label: &str) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for value in examples.iter().filter_map(|example| example.labels.get(label)) {
        *counts.entry(value.as_str()).or_insert(0) += 1;
    }
    counts
}

fn is_unique_and_complete(examples: &[Example]) -> bool {
    let mut ids: Vec<&str> = examples.iter().map(|example| example.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len() == examples.len()
        && examples.iter().all(|example| {
            !example.instruction.is_empty()
                && !example.answer.is_empty()
                && example.images.len() == 1
                && example.images[0].path().is_file()
                && example.group == example.images[0].name
        })
}

#[test]
fn the_usual_vqa_rad_split_is_read_whole() {
    let Some(path) = shared("data/vqa-rad") else {
        return;
    };
    let examples = read(Format::VqaRad, &path, None).unwrap();
    let (train, test) = examples.split_at(3064);
    assert_eq!(test.len(), 451);
    assert!(train.iter().all(|example| example.split == Split::Train));
    assert!(test.iter().all(|example| example.split == Split::Test));
    assert!(is_unique_and_complete(&examples));
    assert_eq!((train[0].id.as_str(), train[0].row), ("train-1", 1));
    assert_eq!((test[0].id.as_str(), test[450].row), ("test-11", 451));
    // Two `CLOSED ` are trimmed; counts were taken from the files with another program.
    assert_eq!(counts(train, "answer_type"), [("CLOSED", 1823), ("OPEN", 1241)].into());
    assert_eq!(counts(test, "answer_type"), [("CLOSED", 272), ("OPEN", 179)].into());
    // 1214 and 2 `PRSE`, 140 and 2 `ATRIB`, 169 and 2 `Other`.
    let types = counts(train, "question_type");
    assert_eq!((types["PRES"], types["ATTRIB"], types["OTHER"]), (1216, 142, 171));
    assert_eq!((types["PRES, ATTRIB"], types["ATTRIB, PRES"]), (10, 6));
    assert_eq!(types.len(), 22);
    assert_eq!(counts(test, "organ"), [("ABD", 158), ("CHEST", 174), ("HEAD", 119)].into());
    assert_eq!(counts(test, "modality"), [("CT", 179), ("MRI", 98), ("X-Ray", 174)].into());
    let numbers = train.iter().filter(|example| example.answer.parse::<u32>().is_ok()).count();
    assert!(numbers >= 10, "{numbers}");

    let alone = read(Format::VqaRad, &path.join("testset.json"), None).unwrap();
    assert_eq!(alone, test);
}

#[test]
fn the_official_vqa_rad_release_is_read_whole() {
    let Some(path) = shared("data/vqa-rad/vqa_rad_public.json") else {
        return;
    };
    let examples = read(Format::VqaRad, &path, None).unwrap();
    assert_eq!(examples.len(), 2248);
    assert!(is_unique_and_complete(&examples));
    assert_eq!((examples[0].id.as_str(), examples[1].id.as_str()), ("0", "1"));
    let test: Vec<Example> =
        examples.iter().filter(|example| example.split == Split::Test).cloned().collect();
    assert_eq!(counts(&test, "phrase_type"), [("test_freeform", 308), ("test_para", 143)].into());
    assert_eq!(test.len(), 451);
    let types = counts(&examples, "answer_type");
    assert_eq!(types, [("CLOSED", 1299), ("OPEN", 949)].into());
    assert!(counts(&examples, "modality").is_empty());
}

const ROW: &str = r#"{"qid": 1, "image_name": "a.jpg", "question": "q?", "answer": "yes"}"#;

#[test]
fn repeated_vqa_rad_ids_are_told_apart_and_no_row_is_lost() {
    let with_id = |qid: &str| ROW.replace("\"qid\": 1", &format!("\"qid\": {qid}"));
    let rows = ["1", "\"1\"", "\"1#2\"", "1", "null"].map(with_id).join(",");
    let examples = read_one(Format::VqaRad, "list.json", &format!("[{rows}]")).unwrap();
    let ids: Vec<&str> = examples.iter().map(|example| example.id.as_str()).collect();
    assert_eq!(ids, ["1", "1#2", "1#2#2", "1#3", "row5"]);
}

#[test]
fn vqa_rad_values_are_read_as_meant() {
    let text = r#"[{"qid": "7 ", "image_name": " a.jpg", "image_organ": "HEAD ",
        "question": " How many?\n", "answer": 3, "answer_type": "open ", "question_type": "PRSE,Other",
        "phrase_type": "test_para", "modality": "NULL", "evaluation": "given"}]"#;
    let text = format!("\u{feff}{text}");
    let folder = folder_with(&[("list.json", &text)]);
    let images = Path::new("elsewhere");
    let examples = read(Format::VqaRad, &folder.path().join("list.json"), Some(images)).unwrap();
    let labels = [
        ("answer_type", "OPEN"),
        ("organ", "HEAD"),
        ("phrase_type", "test_para"),
        ("question_type", "PRES, OTHER"),
    ];
    let expected = Example {
        id: "7".to_owned(),
        images: vec![ImageSource::file("a.jpg", images.join("a.jpg"))],
        task: Task::Vqa,
        instruction: "How many?".to_owned(),
        answer: "3".to_owned(),
        other_answers: Vec::new(),
        group: "a.jpg".to_owned(),
        split: Split::Test,
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        row: 1,
    };
    assert_eq!(examples, [expected]);
}

#[test]
fn broken_vqa_rad_files_say_where_and_what_to_do() {
    let after = |row: &str| format!("[{ROW},\n{row}]");
    let without = |field: &str, value: &str| after(&ROW.replace(field, value));
    for (text, parts) in [
        ("{\"rows\": []}".to_owned(), ["top level is an object", "list of rows"]),
        (format!("[{ROW}, {{\"qid\": 2, \"ima"), ["not valid JSON", "line 1"]),
        (String::new(), ["not valid JSON", "EOF"]),
        ("[]".to_owned(), ["no examples", "check that"]),
        (after("3"), ["row 2", "is a number: write a JSON object"]),
        (without("\"yes\"", "[\"yes\"]"), ["row 2", "`answer` is a list: give a text"]),
        (without("\"yes\"", "true"), ["row 2", "`answer` is true or false: give a text"]),
        (without("\"yes\"", "null"), ["row 2", "`answer` is null: give"]),
        (without("\"question\": \"q?\", ", ""), ["row 2", "`question` is missing"]),
        (without("\"a.jpg\"", "\"../a.jpg\""), ["row 2", "name of a file in the image folder"]),
        (without("\"a.jpg\"", "\"\""), ["row 2", "name of a file in the image folder"]),
        (without("\"qid\": 1", "\"qid\": {}"), ["row 2", "`qid` is an object"]),
        ("[".repeat(100_000), ["not valid JSON", "recursion limit"]),
    ] {
        let message = read_one(Format::VqaRad, "list.json", &text).unwrap_err();
        assert!(message.contains("list.json"), "{message}");
        for part in parts {
            assert!(message.contains(part), "{message}\nhas no `{part}`");
        }
    }
    let folder = folder_with(&[("trainset.json", "[]")]);
    let message = read(Format::VqaRad, folder.path(), None).unwrap_err().to_string();
    assert!(message.contains("no `testset.json`"), "{message}");
    let message = read(Format::VqaRad, Path::new("no/file.json"), None).unwrap_err().to_string();
    assert!(message.contains("cannot read `no/file.json`"), "{message}");
}

#[test]
fn json_lines_have_their_defaults() {
    let text = concat!(
        r#"{"id": 7, "image": "a.png", "question": "Which side?", "answer": 2.5}"#,
        "\r\n\n",
        r#"{"id": "8", "images": ["a.png", "b.png"], "task": "report", "answer": "Clear.","#,
        r#" "split": "test", "group": "patient 3", "labels": {"organ": " chest ", "age": 61,"#,
        r#" "portable": true, "side": null, "view": ""}}"#,
        "\n",
        r#"{"id": "9", "question": "What is a pneumothorax?", "answer": "Air."}"#,
    );
    let folder = folder_with(&[("d.jsonl", text), ("images/a.png", ""), ("b.png", "")]);
    let examples = read(Format::Jsonl, &folder.path().join("d.jsonl"), None).unwrap();
    let [vqa, report, text_only] = examples.as_slice() else { panic!("three rows") };
    assert_eq!((vqa.id.as_str(), vqa.answer.as_str(), vqa.row), ("7", "2.5", 1));
    assert_eq!((vqa.task, vqa.split, vqa.group.as_str()), (Task::Vqa, Split::Train, "a.png"));
    assert_eq!(vqa.images[0].path(), folder.path().join("images/a.png"));
    assert_eq!((report.row, report.group.as_str()), (3, "patient 3"));
    assert_eq!((report.task, report.split), (Task::Report, Split::Test));
    assert_eq!((report.instruction.as_str(), report.images.len()), ("", 2));
    assert_eq!(report.images[1].path(), folder.path().join("b.png"));
    let labels = [("age", "61"), ("organ", "chest"), ("portable", "true")];
    assert_eq!(report.labels, labels.map(|(key, value)| (key.into(), value.into())).into());
    assert_eq!((text_only.group.as_str(), text_only.images.len()), ("9", 0));

    let images = Path::new("elsewhere");
    let examples = read(Format::Jsonl, &folder.path().join("d.jsonl"), Some(images)).unwrap();
    assert_eq!(examples[0].images[0].path(), images.join("a.png"));
}

#[test]
fn broken_json_lines_say_where_and_what_to_do() {
    let good = r#"{"id": "1", "image": "a.png", "question": "q?", "answer": "yes"}"#;
    for (field, replacement, problem) in [
        ("\"answer\"", "\"anwser\"", "unknown field `anwser`: known are id, image"),
        ("\"answer\"", "\"anwser\"", "did you mean `answer`?"),
        ("\"a.png\"", "[\"a.png\"]", "an image path is a list"),
        ("\"image\": \"a.png\"", "\"images\": \"a.png\"", "`images` is a text: give a list"),
        ("\"a.png\"", "\"a.png\", \"images\": []", "both `image` and `images`: keep one"),
        ("\"q?\"", "\"q?\", \"instruction\": \"q\"", "both `question` and `instruction`"),
        ("\"yes\"", "\"yes\", \"split\": \"trian\"", "unknown split `trian`: use train, val"),
        ("\"yes\"", "\"yes\", \"task\": \"qa\"", "unknown task `qa`: use vqa, caption or report"),
        ("\"yes\"", "\"yes\", \"labels\": []", "`labels` is a list: give an object"),
        ("\"yes\"", "\"yes\", \"labels\": {\"x\": []}", "`labels.x` is a list: give a text"),
        ("\"yes\"", "\"yes\", \"group\": \"\"", "`group` is empty"),
        ("\"id\": \"1\", ", "", "`id` is missing"),
        ("\"question\": \"q?\", ", "", "`question` is missing: a row of task vqa needs it"),
        ("\"answer\": \"yes\"", "\"answer\": null", "`answer` is null"),
        ("\"a.png\"", "\"\"", "an image path is empty"),
        ("\"yes\"}", "\"yes", "not valid JSON, EOF while parsing a string at column"),
        ("\"yes\"}", "\"yes", "the file seems to be cut short"),
        ("{", "[{", "without a list around them"),
    ] {
        let first = good.replace("\"1\"", "\"0\"");
        let text = format!("{first}\n{}", good.replacen(field, replacement, 1));
        let message = read_one(Format::Jsonl, "d.jsonl", &text).unwrap_err();
        assert!(message.contains("d.jsonl`, row 2: ") && message.contains(problem), "{message}");
    }
    let message = read_one(Format::Jsonl, "d.jsonl", &format!("{good}\n\n{good}")).unwrap_err();
    assert!(message.contains("row 3: id `1` was used in row 1"), "{message}");
    let message = read_one(Format::Jsonl, "d.jsonl", "\n\n").unwrap_err();
    assert!(message.contains("no examples"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin.jsonl");
    write_bytes(&path, b"{\"id\": \"\xE9\"}").unwrap();
    let message = read(Format::Jsonl, &path, None).unwrap_err().to_string();
    assert!(message.contains("latin.jsonl") && message.contains("UTF-8"), "{message}");
}

#[test]
fn written_paths_are_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let image = |path: PathBuf| ImageSource::file("shown", path);
    let example = Example {
        id: "1".to_owned(),
        images: vec![image(root.join("set/images/a.png")), image(root.join("b.png"))],
        task: Task::Caption,
        instruction: String::new(),
        answer: "A chest film.".to_owned(),
        other_answers: Vec::new(),
        group: "shown".to_owned(),
        split: Split::Val,
        labels: BTreeMap::new(),
        row: 1,
    };
    let path = root.join("set/d.jsonl");
    write_jsonl(&path, std::slice::from_ref(&example)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""images":["images/a.png","../b.png"]"#), "{text}");
    let back = read(Format::Jsonl, &path, None).unwrap();
    assert_eq!(back[0].images[0].path(), root.join("set/images/a.png"));
    assert_eq!((back[0].group.as_str(), back[0].split), ("shown", Split::Val));
}

prop_compose! {
    /// An example as a data set beside its images would have it.
    fn example(row: usize)(
        names in prop::collection::vec("[a-z]{1,3}/[a-zé ]{1,4}\\.png", 0..3),
        task in prop::sample::select(vec![Task::Vqa, Task::Caption, Task::Report]),
        // Texts with quotes, newlines and anything else, but without outer blanks.
        texts in prop::array::uniform3(any::<String>().prop_map(|text| text.trim().to_owned())),
        group in prop::option::of("[a-z]{1,3}"),
        split in prop::sample::select(vec![Split::Train, Split::Val, Split::Test]),
        label in "[A-Z]{1,5}",
    ) -> Example {
        let id = format!("{row}{}", texts[2]);
        let images: Vec<ImageSource> = names
            .into_iter()
            .map(|name| ImageSource::file(name.clone(), Path::new("set").join(name)))
            .collect();
        let default_group = images.first().map_or(id.clone(), |image| image.name.clone());
        Example {
            id,
            task,
            instruction: texts[0].clone(),
            answer: texts[1].clone(),
            other_answers: Vec::new(),
            group: group.unwrap_or(default_group),
            split,
            labels: [("organ".to_owned(), label)].into(),
            images,
            row,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_is_read_back(first in example(1), second in example(2)) {
        let folder = tempfile::tempdir().unwrap();
        let mut examples = vec![first, second];
        for image in examples.iter_mut().flat_map(|example| &mut example.images) {
            *image = ImageSource::file(image.name.clone(), folder.path().join(image.path()));
        }
        let path = folder.path().join("set/d.jsonl");
        write_jsonl(&path, &examples).unwrap();
        prop_assert_eq!(read(Format::Jsonl, &path, None).unwrap(), examples);
    }

    #[test]
    fn arbitrary_text_is_an_error_with_the_file_name(text in ".{0,80}") {
        for format in Format::ALL {
            match read_one(format, "d.json", &text) {
                Err(message) => prop_assert!(message.contains("d.json"), "{message}"),
                // A tab makes a line of ROCO's captions of any text.
                Ok(_) => prop_assert!(text.contains('\t'), "{format} reads {text:?}"),
            }
        }
    }
}

#[test]
fn slices_of_one_volume_are_one_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slices.jsonl");
    let row = |slice: u32| {
        format!(
            "{{\"id\":\"{slice}\",\"image\":\"ct.nii.gz#slice={slice}\",\"question\":\"q\",\"answer\":\"a\"}}\n"
        )
    };
    std::fs::write(&path, [row(1), row(2)].concat()).unwrap();
    let examples = read(Format::Jsonl, &path, None).unwrap();
    let groups: Vec<&str> = examples.iter().map(|example| example.group.as_str()).collect();
    assert_eq!(groups, ["ct.nii.gz", "ct.nii.gz"]);
}
