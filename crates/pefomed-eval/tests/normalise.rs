//! The normal form against an independent writing of its rules
//! (`tools/goldens/vqa_normalise.py`).

use pefomed_eval::vqa::normalise;

#[test]
fn normal_forms_are_those_of_the_independent_script() {
    let text = include_str!("fixtures/vqa_normalise.json");
    let rows: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    assert!(rows.len() >= 60, "{} rows", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let (text, expected) = (row["text"].as_str().unwrap(), row["normal"].as_str().unwrap());
            let found = normalise(text);
            (found != expected).then(|| format!("{text:?}: {found:?}, expected {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
