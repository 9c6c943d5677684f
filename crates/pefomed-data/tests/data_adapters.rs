//! One small data set for each layout, with the keys and quirks of the published files.
//!
//! `tools/goldens/data_sets.py` remakes them; the contents are made up.

use std::path::{Path, PathBuf};

use pefomed_data::check::{CheckOptions, ProblemKind, check};
use pefomed_data::formats::{
    Columns, Format, Language, Problems, ReadOptions, Sections, Views, read_with,
};
use pefomed_data::{DataError, Example, ImagePlace, Split, Task};

fn fixture(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/datasets").join(part)
}

/// Reads leniently: the examples, the errors of rows that were left out, and the notes.
fn read(
    format: Format,
    part: &str,
    options: &ReadOptions,
) -> (Vec<Example>, Vec<String>, Vec<String>) {
    let mut problems = Problems::lenient();
    let examples = read_with(format, &fixture(part), options, &mut problems).unwrap();
    let texts = |errors: &[DataError]| errors.iter().map(ToString::to_string).collect();
    (examples, texts(&problems.skipped), texts(&problems.notes))
}

fn plain(format: Format, part: &str) -> (Vec<Example>, Vec<String>, Vec<String>) {
    read(format, part, &ReadOptions::default())
}

fn fails(format: Format, part: &str, options: &ReadOptions) -> String {
    read_with(format, &fixture(part), options, &mut Problems::strict()).unwrap_err().to_string()
}

fn ids(examples: &[Example]) -> Vec<&str> {
    examples.iter().map(|example| example.id.as_str()).collect()
}

fn of_split(examples: &[Example], split: Split) -> usize {
    examples.iter().filter(|example| example.split == split).count()
}

/// How many of the examples' images are there.
fn found(examples: &[Example]) -> usize {
    examples.iter().flat_map(|example| &example.images).filter(|image| image.read().is_ok()).count()
}

#[test]
fn slake_is_read_in_both_languages_or_one() {
    let (examples, skipped, notes) = plain(Format::Slake, "slake");
    assert_eq!(ids(&examples), ["0", "1", "2", "2#2", "5", "6"]);
    assert_eq!([Split::Train, Split::Val, Split::Test].map(|s| of_split(&examples, s)), [4, 1, 1]);
    assert!(skipped.is_empty());
    assert!(notes[0].contains("train.json`, row 4: id `2` was used in row 3: it is `2#2` here"));
    let first = &examples[0];
    assert_eq!((first.answer.as_str(), first.group.as_str()), ("Left lobe", "xmlab1/source.jpg"));
    assert_eq!(first.labels["content_type"], "Position");
    assert_eq!(
        (examples[2].answer.as_str(), examples[2].labels["answer_type"].as_str()),
        ("2", "OPEN")
    );
    assert!(!examples[3].labels.contains_key("modality"));
    assert_eq!(found(&examples), 5);

    let english = ReadOptions { language: Some(Language::En), ..ReadOptions::default() };
    let (examples, ..) = read(Format::Slake, "slake", &english);
    assert!(examples.len() == 5 && examples.iter().all(|e| e.labels["language"] == "en"));
    let (alone, ..) = plain(Format::Slake, "slake/test.json");
    assert_eq!((ids(&alone), alone[0].split), (vec!["6"], Split::Test));
    assert!(fails(Format::Slake, "parquet", &ReadOptions::default()).contains("no `train.json`"));
}

#[test]
fn options_that_a_layout_cannot_hear_are_refused() {
    let options = ReadOptions { language: Some(Language::En), ..ReadOptions::default() };
    let message = fails(Format::Roco, "roco", &options);
    assert_eq!(message, "format `roco` does not take `language` (it takes: none): leave it out");
    let options = ReadOptions { task: Some(Task::Vqa), ..ReadOptions::default() };
    let message = fails(Format::MimicCxr, "mimic-cxr", &options);
    assert!(
        message.contains("does not take `task` (it takes: views, sections, columns)"),
        "{message}"
    );
    assert!("de".parse::<Language>().is_err() && "some".parse::<Views>().is_err());
    let mut columns = Columns::default();
    columns.set("labels=organ, age").unwrap();
    columns.set("question = q").unwrap();
    assert_eq!(columns.labels.as_deref(), Some(&["organ".to_owned(), "age".to_owned()][..]));
    assert_eq!(columns.question.as_deref(), Some("q"));
    for wrong in ["question", "question=", "colour=q"] {
        assert!(columns.set(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn pathvqa_is_read_from_its_pickles_and_from_parquet() {
    let (examples, skipped, _) = plain(Format::Pathvqa, "pathvqa");
    assert_eq!(ids(&examples), ["train-1", "train-2", "train-3", "val-1", "test-1"]);
    assert!(skipped.is_empty());
    let types: Vec<&str> = examples.iter().map(|e| e.labels["answer_type"].as_str()).collect();
    assert_eq!(types, ["OPEN", "CLOSED", "OPEN", "CLOSED", "OPEN"]);
    assert_eq!((examples[2].answer.as_str(), examples[2].group.as_str()), ("2", "train_0001"));
    assert_eq!(found(&examples[..2]), 2);
    let (examples, ..) = plain(Format::Pathvqa, "parquet");
    assert_eq!(examples[1].labels["answer_type"], "CLOSED");
    let (alone, ..) = plain(Format::Pathvqa, "pathvqa/qas/val/val_qa.pkl");
    assert_eq!((alone.len(), alone[0].split), (1, Split::Val));
}

#[test]
fn iu_xray_has_two_views_and_the_patient_as_group() {
    let (examples, ..) = plain(Format::IuXray, "iu-xray");
    assert_eq!([Split::Train, Split::Val, Split::Test].map(|s| of_split(&examples, s)), [2, 1, 1]);
    let first = &examples[0];
    assert_eq!(
        (first.task, first.images.len(), first.group.as_str()),
        (Task::Report, 2, "CXR2384")
    );
    assert_eq!(first.images[1].name, "CXR2384_IM-0942/1.png");
    assert_eq!((found(&examples), found(&examples[..1])), (2, 2));
    let options = ReadOptions { views: Some(Views::First), ..ReadOptions::default() };
    let (examples, ..) = read(Format::IuXray, "iu-xray/annotation.json", &options);
    assert!(examples.iter().all(|example| example.images.len() == 1));
}

#[test]
fn openi_reports_are_read_by_section_and_what_is_left_out_is_noted() {
    let (examples, skipped, notes) = plain(Format::OpeniXml, "openi-xml");
    assert_eq!(ids(&examples), ["CXR1", "CXR10"]);
    assert!(skipped.is_empty());
    assert!(notes[0].contains("2.xml`, row 2: left out: it has no section for `findings`"));
    assert!(notes[1].contains("3.xml`, row 3: left out: it names no image"), "{notes:?}");
    assert_eq!(examples[0].answer, "Lungs are clear. No effusion < 1 cm.");
    assert_eq!(
        (examples[1].answer.as_str(), examples[0].labels["mesh"].as_str()),
        ("Sjögren.", "normal")
    );
    assert_eq!(examples[0].images[0].name, "CXR1_1_IM-0001-3001");
    assert_eq!((examples[0].images.len(), found(&examples)), (2, 1));
    let options = ReadOptions {
        sections: Some(Sections::Both),
        views: Some(Views::First),
        ..ReadOptions::default()
    };
    let (examples, ..) = read(Format::OpeniXml, "openi-xml", &options);
    assert!(examples[0].answer.ends_with("1 cm.\nNormal chest.") && examples[0].images.len() == 1);
    let options = ReadOptions { sections: Some(Sections::Impression), ..ReadOptions::default() };
    assert_eq!(read(Format::OpeniXml, "openi-xml", &options).0.len(), 3);
}

#[test]
fn captions_of_roco_and_imageclef_are_read() {
    let (examples, skipped, _) = plain(Format::Roco, "roco");
    assert_eq!(ids(&examples), ["ROCO_00002", "ROCO_00003", "ROCO_00008", "ROCO_00009"]);
    assert_eq!([Split::Train, Split::Val, Split::Test].map(|s| of_split(&examples, s)), [2, 1, 1]);
    assert!(skipped.is_empty());
    assert_eq!(examples[0].images[0].name, "PMC408372_AMHSR-4-14-g002.jpg");
    assert_eq!(examples[1].answer, "A \"ring\" sign");
    assert_eq!(examples[2].answer, "Axial CT, with contrast.");
    // One image is named by its id, as in some copies.
    assert_eq!((found(&examples), examples[1].images[0].name.as_str()), (4, "ROCO_00003"));

    let (examples, skipped, _) = plain(Format::Roco, "rocov2");
    assert_eq!([Split::Train, Split::Val, Split::Test].map(|s| of_split(&examples, s)), [1, 1, 1]);
    assert!(skipped[0].contains("row 3: the caption of `ROCOv2_2023_train_000002` is empty"));
    assert_eq!(found(&examples), 1);

    let (examples, ..) = plain(Format::Imageclef, "imageclef");
    assert_eq!([Split::Train, Split::Val].map(|s| of_split(&examples, s)), [2, 1]);
    assert_eq!(
        (examples[0].answer.as_str(), examples[0].task),
        ("CT, axial; arrow", Task::Caption)
    );
    assert_eq!(found(&examples), 1);
    assert!(fails(Format::Imageclef, "slake", &ReadOptions::default()).contains("no CSV file"));
}

#[test]
fn medicat_is_read_out_of_gzip() {
    let (examples, _, notes) = plain(Format::Medicat, "medicat");
    assert_eq!(ids(&examples), ["a1b2_2-Figure1-1.png", "a1b2_3-Figure2-1.png"]);
    assert!(notes[0].contains("row 3: left out: the figure has no caption"));
    assert_eq!(
        (examples[0].group.as_str(), examples[1].answer.as_str()),
        ("a1b2", "A nodule (arrow).")
    );
    assert_eq!((examples[1].labels["radiology"].as_str(), found(&examples)), ("false", 1));
}

#[test]
fn mimic_cxr_is_read_as_released_and_as_a_table() {
    let (examples, skipped, notes) = plain(Format::MimicCxr, "mimic-cxr");
    assert_eq!(ids(&examples), ["s50414267", "s53911762"]);
    assert!(skipped[0].contains("row 6: there is no report `files/p10/p10000935/s56699142.txt`"));
    assert!(notes[0].contains("row 4: left out: the report of study 53189527 has no section"));
    let first = &examples[0];
    assert_eq!((first.images.len(), first.group.as_str()), (2, "p10000032"));
    assert_eq!(
        (first.answer.as_str(), examples[1].split),
        ("Clear lungs. No effusion.", Split::Val)
    );
    assert_eq!(found(&examples), 1);
    let options = ReadOptions { sections: Some(Sections::Impression), ..ReadOptions::default() };
    let (examples, ..) = read(Format::MimicCxr, "mimic-cxr", &options);
    assert_eq!((examples.len(), examples[1].answer.as_str()), (3, "No change."));

    let (examples, ..) = plain(Format::MimicCxr, "mimic-cxr/reports.csv");
    let groups: Vec<&str> = examples.iter().map(|example| example.group.as_str()).collect();
    assert_eq!(groups, ["p10000032", "other/x.jpg"]);
    assert_eq!((examples[0].task, found(&examples)), (Task::Report, 1));
    let (examples, ..) = plain(Format::MimicCxr, "iu-xray/annotation.json");
    assert_eq!(examples.len(), 4);
}

#[test]
fn medexpqa_asks_for_the_letter() {
    let (examples, skipped, _) = plain(Format::Medexpqa, "medexpqa");
    assert_eq!(ids(&examples), ["en-train-1", "en-train-2", "en-test-4", "es-train-1"]);
    assert!(skipped[0].contains("row 1: `correct_option` is 5, which is none of its options"));
    let first = &examples[0];
    assert_eq!((first.answer.as_str(), first.images.len()), ("B", 0));
    let options = "What next?\nA. Aspirin\nB. Heparin\nC. Surgery\nD. Nothing";
    assert!(first.instruction.ends_with(options), "{}", first.instruction);
    assert_eq!(
        (first.labels["type"].as_str(), first.labels["language"].as_str()),
        ("CARDIOLOGY", "en")
    );
    assert_eq!((examples[1].answer.as_str(), &examples[3].group), ("D", &first.group));
    let options = ReadOptions { language: Some(Language::Es), ..ReadOptions::default() };
    assert_eq!(ids(&read(Format::Medexpqa, "medexpqa", &options).0), ["es-train-1"]);
}

#[test]
fn mediqa_m3g_has_several_images_and_answers() {
    let (examples, skipped, _) = plain(Format::MediqaM3g, "mediqa-m3g");
    assert!(skipped[0].contains("row 2: no response has `content_en`"), "{skipped:?}");
    let [case] = examples.as_slice() else { panic!("one case") };
    assert_eq!(case.instruction, "Rash on the hand\nWhat is it?");
    assert_eq!(
        (case.answer.as_str(), case.other_answers.as_slice()),
        ("Chronic eczema of the hand.", &["Eczema.".to_owned()][..])
    );
    assert_eq!((case.images.len(), found(&examples)), (2, 1));
    let options = ReadOptions { language: Some(Language::Zh), ..ReadOptions::default() };
    let (examples, ..) = read(Format::MediqaM3g, "mediqa-m3g/train.json", &options);
    assert_eq!(
        (examples[0].instruction.as_str(), examples[0].answer.as_str()),
        ("这是什么？", "慢性湿疹。")
    );
}

#[test]
fn conversations_become_questions_about_their_images() {
    let (examples, skipped, notes) = plain(Format::Llava, "llava/llava_med_train.json");
    assert_eq!(ids(&examples), ["27_1/1", "27_1/2", "27_1"]);
    assert_eq!(
        (examples[0].instruction.as_str(), examples[0].answer.as_str()),
        ("What is shown?", "A chest film.")
    );
    assert_eq!(
        (examples[1].instruction.as_str(), examples[1].images[0].name.as_str()),
        ("Which side?", "a.png")
    );
    assert!(skipped[0].contains("row 3: has 1 times `<image>` and 0 images"), "{skipped:?}");
    assert!(notes.is_empty() && found(&examples) == 2);

    let (examples, ..) = plain(Format::Sharegpt, "sharegpt/data.jsonl");
    assert_eq!((examples[0].images.len(), examples[0].instruction.as_str()), (2, "Compare."));
    assert_eq!((examples[1].answer.as_str(), examples[1].id.as_str()), ("Right.", "row2"));

    let (examples, skipped, _) = plain(Format::Messages, "messages/data.jsonl");
    assert_eq!(
        (examples[0].instruction.as_str(), examples[0].split),
        ("What\norgan?", Split::Test)
    );
    assert_eq!(examples[0].images[0].name, "a.png");
    assert!(skipped[0].contains("row 2: an image is `data:image/png;base64,AAAA…`: save it"));
}

#[test]
fn tables_have_their_columns_found_or_named() {
    let (examples, skipped, _) = plain(Format::Csv, "csv/train.csv");
    assert_eq!(ids(&examples), ["train-1", "train-2"]);
    assert_eq!(
        (examples[0].instruction.as_str(), examples[0].group.as_str()),
        ("Is it normal, or not?", "p1")
    );
    assert_eq!(
        (examples[1].images.len(), examples[1].instruction.as_str(), examples[1].row),
        (2, "Two\nlines", 4)
    );
    assert_eq!((examples[0].labels["organ"].as_str(), examples[1].labels.len()), ("chest", 0));
    assert!(skipped[0].contains("train.csv`, row 6: `Answer` is empty"), "{skipped:?}");
    // The folder's other table is not UTF-8 in one row.
    let (examples, skipped, _) = plain(Format::Csv, "csv");
    assert_eq!(ids(&examples), ["test-2", "train-1", "train-2"]);
    assert!(skipped[0].contains("test.csv`, row 2: column `answer`: not UTF-8 after “caf”"));
    assert_eq!(found(&examples), 2);
    let mut columns = Columns::default();
    columns.set("answer=Organ").unwrap();
    columns.set("labels=Answer").unwrap();
    let options = ReadOptions { columns: Some(columns), ..ReadOptions::default() };
    let (examples, ..) = read(Format::Csv, "csv/train.csv", &options);
    assert_eq!(
        (examples[0].answer.as_str(), examples[0].labels["answer"].as_str()),
        ("chest", "yes")
    );
    let mut columns = Columns::default();
    columns.set("answer=Antwort").unwrap();
    let options = ReadOptions { columns: Some(columns), ..ReadOptions::default() };
    let message = fails(Format::Csv, "csv/train.csv", &options);
    assert!(message.contains("no column is called `Antwort` (there are `Image Name`"), "{message}");
}

#[test]
fn images_inside_parquet_are_named_by_their_bytes_and_read_when_needed() {
    let (examples, skipped, _) = plain(Format::Parquet, "parquet");
    assert_eq!(of_split(&examples, Split::Test), 1);
    let train: Vec<&Example> = examples.iter().filter(|e| e.split == Split::Train).collect();
    assert_eq!(train.len(), 3);
    assert!(
        skipped[0].contains("train-00000-of-00001.parquet`, row 4: `answer` is empty"),
        "{skipped:?}"
    );
    // Rows 1 and 3 show one picture, and the test set shows that of row 2.
    assert_eq!(train[0].images, train[2].images);
    assert_eq!(train[1].images[0].name, examples[0].images[0].name);
    assert_eq!((train[0].labels["age"].as_str(), train[0].answer.as_str()), ("61", "yes"));
    assert!(!train[1].labels.contains_key("age"));
    for example in &examples {
        let image = &example.images[0];
        assert!(matches!(image.place, ImagePlace::Parquet(_)) && image.own_file().is_none());
        let decoded = image.decode().unwrap();
        assert_eq!((decoded.width, decoded.height), (6, 4));
    }
    let report = check(&examples, &CheckOptions::default());
    assert_eq!((report.images.files, report.images.decoded), (2, 2));
    assert_eq!(report.leakage[0].images_shared_with_train, 1);

    let (examples, ..) = plain(Format::Parquet, "parquet-more/several.parquet");
    assert_eq!((examples[0].images.len(), examples[1].images.len()), (2, 0));
    assert_eq!((examples[0].task, examples[1].group.as_str()), (Task::Caption, "2"));
    let pixels: Vec<Vec<u8>> =
        examples[0].images.iter().map(|image| image.decode().unwrap().rgb).collect();
    assert_eq!((pixels[0][0], pixels[1][0]), (100, 150));
    let names: Vec<&str> = examples[0].images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, [train[0].images[0].name.as_str(), train[1].images[0].name.as_str()]);
    let mut gone = examples[0].images[0].clone();
    if let ImagePlace::Parquet(cell) = &mut gone.place {
        cell.row = 9;
    }
    assert!(gone.decode().unwrap_err().to_string().contains("has the file changed"));
    let message = fails(Format::Parquet, "parquet-more/gzip.parquet", &ReadOptions::default());
    assert!(message.contains("snappy or zstd"), "{message}");
    let mut columns = Columns::default();
    columns.set("image=file").unwrap();
    let options = ReadOptions { columns: Some(columns), ..ReadOptions::default() };
    let (examples, ..) = read(Format::Parquet, "parquet-more/paths.parquet", &options);
    assert_eq!(examples[1].images[0].own_file(), Some(&*fixture("parquet-more/b.png")));
    assert_eq!((examples[0].labels["score"].as_str(), examples[0].task), ("0.5", Task::Caption));
    let message = fails(Format::Parquet, "csv/a.png", &ReadOptions::default());
    assert!(message.contains("is no parquet file that can be read"), "{message}");
}

#[test]
fn left_out_rows_are_part_of_the_check() {
    let mut problems = Problems::lenient();
    let options = ReadOptions::default();
    let examples =
        read_with(Format::MimicCxr, &fixture("mimic-cxr"), &options, &mut problems).unwrap();
    let report =
        check(&examples, &CheckOptions { reading: Some(&problems), ..CheckOptions::default() });
    assert_eq!((report.skipped, report.noted), (1, 1));
    assert_eq!(report.problems[0].kind, ProblemKind::UnusableRow);
    assert!(report.problems[0].detail.contains("row 6: there is no report"));
    assert!(report.has_errors());
    let text = report.to_text();
    assert!(text.contains("error: 1 unusable row left out"), "{text}");
    assert!(text.contains("note: 1 row mended, or left out by the layout's rules"), "{text}");
    // Strictly, the first of them ends the reading.
    assert!(fails(Format::MimicCxr, "mimic-cxr", &options).contains("row 6"));
}
