//! Results of other people's models: tables and short JSON lines.

use std::fs;
use std::path::PathBuf;

use pefomed_data::prediction::{read_results, write_predictions};
use pefomed_data::{DataError, ImageCondition, Prediction, Task};

fn read_as(name: &str, bytes: &[u8], task: Option<Task>) -> Result<Vec<Prediction>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    read_results(&path, task)
}

fn read(name: &str, text: &str) -> Vec<Prediction> {
    read_as(name, text.as_bytes(), None).unwrap()
}

fn fails(name: &str, bytes: &[u8], said: &[&str]) {
    let error = read_as(name, bytes, None).unwrap_err().to_string();
    for part in said.iter().chain(&[name]) {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn a_table_of_two_columns_is_enough() {
    let lines = read("r.csv", "Ground Truth,Candidate\nclear lungs,\"lungs, clear\"\n,x\n");
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (lines[0].id.as_str(), lines[0].group.as_str(), lines[0].task),
        ("1", "1", Task::Report)
    );
    assert_eq!(
        (lines[0].reference.as_str(), lines[0].prediction.as_str()),
        ("clear lungs", "lungs, clear")
    );
    assert_eq!((lines[1].id.as_str(), lines[1].reference.as_str()), ("2", ""));
}

#[test]
fn every_column_has_its_meaning() {
    let text = "id\tquestion\timage\tanswer\tprediction\tanswer_type\torgan\tcondition\n\
                q1\tWhere?\ti.png\tleft\tright\tOPEN\tlung\t\n\
                q1\tWhere?\ti.png\tleft\tleft\tOPEN\t\tblank\n";
    let lines = read("r.tsv", text);
    assert_eq!((lines[0].task, lines[0].group.as_str()), (Task::Vqa, "i.png"));
    assert_eq!(lines[0].labels["answer_type"], "OPEN");
    assert_eq!(lines[0].labels["organ"], "lung");
    assert!(!lines[1].labels.contains_key("organ"));
    assert_eq!(lines[1].condition, ImageCondition::Blank);
    // The proper name wins over another that could be meant, which is a label then.
    let lines = read("r.csv", "reference,answer,prediction,patient_id\na,b,c,p7\n");
    assert_eq!((lines[0].reference.as_str(), lines[0].labels["answer"].as_str()), ("a", "b"));
    assert_eq!(lines[0].group, "p7");
    let forced = read_as("r.csv", b"reference,prediction\na,b\n", Some(Task::Caption)).unwrap();
    assert_eq!(forced[0].task, Task::Caption);
    assert_eq!(read("r.csv", "task,ref,pred\ncaption,a,b\n")[0].task, Task::Caption);
}

#[test]
fn further_accepted_answers_are_a_list_in_json_lines() {
    let text = r#"{"reference":"lung","prediction":"left lung","other_references":["left lung",""]}
{"reference":"a","prediction":"b","other_references":null}
"#;
    let lines = read("r.jsonl", text);
    assert_eq!(lines[0].references().collect::<Vec<_>>(), ["lung", "left lung"]);
    assert_eq!(lines[1].references().count(), 1);
    assert!(!lines[0].labels.contains_key("other_references"));
    let wrong = br#"{"reference":"a","prediction":"b","other_references":"c"}"#;
    fails("r.jsonl", wrong, &["row 1", "`other_references` is not a list of texts"]);
}

#[test]
fn files_of_spreadsheets_are_read() {
    let expected =
        read("r.csv", "id,reference,prediction\n1,\"two\nlines, \"\"quoted\"\"\",x\n2,a,b\n");
    assert_eq!(expected[0].reference, "two\nlines, \"quoted\"");
    let text =
        "\u{FEFF}id;reference;prediction\r\n1;\"two\nlines, \"\"quoted\"\"\";x\r\n\r\n2;a;b;\r\n";
    assert_eq!(read("r.csv", text), expected);
}

#[test]
fn what_is_wrong_is_named_with_line_column_and_remedy() {
    fails(
        "r.csv",
        b"id,text,prediction\n1,a,b\n",
        &["no column is the reference", "`text`", "call it `reference`"],
    );
    fails("r.csv", b"refrence,prediction\na,b\n", &["did you mean `reference`?"]);
    fails("r.csv", b"answer,gold,prediction\na,b,c\n", &["`answer` and column `gold`", "rename"]);
    fails(
        "r.csv",
        b"reference,prediction\na,b\n\nc,d,e\n",
        &["row 4", "3 fields", "double quotes"],
    );
    fails(
        "r.csv",
        b"id,reference,prediction\n7,a,b\n8,a,b\n7,c,d\n",
        &["row 4", "`7` occurs twice (first in row 2)"],
    );
    fails(
        "r.csv",
        b"reference,prediction\na,caf\xe9 au lait\n",
        &["row 2", "column `prediction`", "after \u{201c}caf\u{201d}", "UTF-8"],
    );
    fails("r.csv", b"reference,prediction\r\na,b\r\n\r\nc,d,e\r\n", &["row 4"]);
    fails("r.csv", b"\xff\xfer\0e\0f\0", &["UTF-16", "save it as"]);
    fails("r.csv", b"PK\x03\x04\x14\0", &["a spreadsheet file"]);
    fails("r.csv", b"reference,prediction\na,\"b\nc,d\ne,f\n", &["row 2", "never closed"]);
    fails(
        "r.csv",
        b"reference,prediction,task\na,b,vqa\na,b,essay\n",
        &["row 3", "column `task`: `essay`", "caption"],
    );
    fails("r.csv", b"reference,prediction,condition\na,b,dark\n", &["row 2", "`dark`", "shuffled"]);
    fails("r.csv", b"reference,prediction\n", &["holds no examples"]);
    fails("r.csv", b"", &["holds no examples"]);
    fails("r.jsonl", b"{\"reference\": \"a\"}\n", &["row 1", "no field is the prediction"]);
    fails(
        "r.jsonl",
        b"{\"ref\": \"a\", \"pred\": [\"b\"]}\n",
        &["row 1", "field `pred` is not a text"],
    );
    fails("r.jsonl", b"[1]\n", &["row 1", "not a JSON object"]);
}

#[test]
fn short_json_lines_and_whole_ones_are_read() {
    let text = "{\"gt\": \"two\", \"response\": 2, \"question\": \"How many?\", \"labels\": {\"organ\": \"lung\"}}\n\n\
                {\"gt\": \"yes\", \"response\": true, \"question\": null}\n";
    let lines = read("r.jsonl", text);
    assert_eq!((lines[0].prediction.as_str(), lines[0].task), ("2", Task::Vqa));
    assert_eq!(lines[0].labels["organ"], "lung");
    assert_eq!((lines[1].prediction.as_str(), lines[1].id.as_str()), ("true", "2"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.jsonl");
    write_predictions(&path, &lines).unwrap();
    assert_eq!(read_results(&path, None).unwrap(), lines);
}
