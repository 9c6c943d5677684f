//! `pefomed score` on the files of other models.

mod common;

use std::fs;

use common::{pefomed, pefomed_with};
use serde_json::Value;

const REPORTS: &str = "\
study,ground truth,generated report,sex
a,The heart is normal in size. The lungs are clear.,Heart size is normal. Lungs are clear.,f
a,No pleural effusion or pneumothorax.,There is no pleural effusion.,m
b,Stable 3-mm nodule in the right lower lobe.,No nodule.,f
";

#[test]
fn a_table_of_reports_gets_the_lexical_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("mine.csv"), REPORTS).unwrap();
    let out = pefomed(at, "score mine.csv --items items.jsonl").ok();
    for said in ["BLEU-4", "ROUGE-L", "METEOR (exact and stem only)", "CIDEr", "token F1"] {
        assert!(out.contains(said), "{out}");
    }
    assert!(!out.contains("exact match  "), "{out}");
    let json: Value = serde_json::from_str(&pefomed(at, "score mine.csv --json").ok()).unwrap();
    let overall = &json["tasks"][0]["conditions"][0]["overall"];
    assert_eq!((&overall["n"], &overall["groups"]), (&3.into(), &2.into()));
    assert_eq!(overall["lexical"]["meteor_kind"], "exact_and_stem");
    // By hand: 7 of 7, 3 of 5 and 1 of 2 words are right; the references have 10, 5 and 8.
    let expected = 11.0 / 14.0 * (1.0_f64 - 23.0 / 14.0).exp();
    let bleu = overall["lexical"]["bleu_1"]["value"].as_f64().unwrap();
    assert!((bleu - expected).abs() < 1e-6, "{bleu}, expected {expected}");
    assert!(json["definitions"]["meteor"].as_str().unwrap().contains("stem only"));

    let items = fs::read_to_string(at.join("items.jsonl")).unwrap();
    assert_eq!(items.lines().count(), 3 * 11);
    let first: Value = serde_json::from_str(items.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["system"], &first["id"], &first["group"], &first["kind"], &first["scale"]),
        (&"mine".into(), &"1".into(), &"a".into(), &"metric".into(), &"correct".into())
    );
    pefomed(at, "score ours=mine.csv --items items.jsonl").ok();
    assert!(fs::read_to_string(at.join("items.jsonl")).unwrap().contains("\"system\":\"ours\""));
}

#[test]
fn reports_get_clinical_scores_and_labels() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("mine.csv"), REPORTS).unwrap();
    let out = pefomed(at, "score mine.csv --labels labels.jsonl").ok();
    for said in ["F1-14 micro", "F1-5 macro", "Pneumothorax", "in references", "pefomed-findings-1"]
    {
        assert!(out.contains(said), "{out}");
    }
    let labels = fs::read_to_string(at.join("labels.jsonl")).unwrap();
    let last: Value = serde_json::from_str(labels.lines().last().unwrap()).unwrap();
    assert_eq!((&last["system"], &last["id"]), (&"mine".into(), &"3".into()));
    assert_eq!(last["reference"]["Lung Lesion"], "positive");
    assert_eq!(last["prediction"]["Lung Lesion"], "negative");
    let out = pefomed(at, "score mine.csv --clinical=no").ok();
    assert!(!out.contains("F1-14"), "{out}");
    let error = pefomed(at, "score mine.csv --clinical=no --labels labels.jsonl").fails(2);
    assert!(error.contains("no text is labelled"), "{error}");
    let json = pefomed(at, "score mine.csv --uncertain negative --json").ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["tasks"][0]["conditions"][0]["clinical"]["uncertain"], "negative");
    pefomed(at, "score mine.csv --uncertain maybe").fails(2);
}

#[cfg(unix)]
#[test]
fn a_scorer_of_ones_own_stands_among_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("mine.csv"), REPORTS).unwrap();
    let script = "sed 's/.*\"id\":\"\\([^\"]*\\)\".*/{\"id\":\"\\1\",\"score\":2.5}/'\n";
    fs::write(at.join("own.sh"), script).unwrap();
    let arguments = ["score", "mine.csv", "--external", "own=sh own.sh", "--json"];
    let json: Value = serde_json::from_str(&pefomed_with(at, &arguments).ok()).unwrap();
    assert_eq!(json["externals"][0]["command"], serde_json::json!(["sh", "own.sh"]));
    let score = &json["tasks"][0]["conditions"][0]["external"][0];
    assert_eq!((&score["name"], &score["value"]), (&"own".into(), &2.5.into()));
    fs::write(at.join("own.sh"), "exit 7\n").unwrap();
    let error = pefomed_with(at, &arguments).fails(1);
    assert!(error.contains("external scorer `own` failed (exit status: 7)"), "{error}");
    pefomed_with(at, &["score", "mine.csv", "--external", "own"]).fails(2);
}

#[test]
fn controls_stand_beside_the_lexical_scores() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let rows = |condition: &str, said: &str| {
        let row = |id: u8| format!("{id},Clear lungs {id} and heart.,{said},{condition}");
        (0..6).map(row).collect::<Vec<_>>().join("\n")
    };
    let head = "id,reference,prediction,condition\n";
    let text =
        format!("{head}{}\n{}\n", rows("true", "Clear lungs."), rows("blank", "Normal heart."));
    fs::write(at.join("r.csv"), text).unwrap();
    let out = pefomed(at, "score r.csv --task caption").ok();
    assert!(out.contains("caption") && out.contains("true less blank"), "{out}");
    let json: Value = serde_json::from_str(&pefomed(at, "score r.csv --json").ok()).unwrap();
    let drop = &json["tasks"][0]["image_dependence"][0];
    assert_eq!(drop["control"], "blank");
    // Two of two words against one of two, under the same penalty for length.
    let value = drop["lexical"]["bleu_1"]["value"].as_f64().unwrap();
    assert!((value - 0.5 * (1.0_f64 - 5.0 / 2.0).exp()).abs() < 1e-6, "{value}");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("r.csv"), "reference,prediction\na,b\na,b,c\n").unwrap();
    let error = pefomed(at, "score r.csv").fails(1);
    assert!(error.contains("r.csv`, row 3: 3 fields"), "{error}");
    fs::write(at.join("r.csv"), "reference,prediction\na,b\n").unwrap();
    let error = pefomed(at, "score r.csv --meteor-data nowhere.jar").fails(1);
    assert!(error.contains("nowhere.jar") && error.contains("pycocoevalcap"), "{error}");
    let error = pefomed(at, "score a=r.csv b=r.csv").fails(2);
    assert!(error.contains("two systems"), "{error}");
    pefomed(at, "score r.csv --task essay").fails(2);
}
