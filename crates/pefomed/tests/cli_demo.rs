//! `pefomed demo` on a few pictures: everything is there, and nothing depends on the threads.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{adapter_bytes, files_below, json, losses, pefomed};
use serde_json::Value;

const SMALL: &str = "demo --train-images 24 --test-images 6 -q";
const VARIANTS: [&str; 4] = ["00-untuned", "01-stage-1-only", "02-stage-2-only", "03-both"];

/// All predictions and metrics below a folder, by their paths.
fn results(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let wanted = |name: &str| name.starts_with("predictions-") || name.starts_with("metrics-");
    let files = files_below(folder, wanted).into_iter();
    files.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

#[test]
fn the_demo_goes_from_pictures_to_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let out = pefomed(at, &format!("{SMALL} --json --threads 1")).ok();
    let said: Value = serde_json::from_str(&out).unwrap();
    let run = at.join("runs/demo");
    assert_eq!(said["report"], "runs/demo/report.html");
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    for text in ["stage 1 only", "stage 2 only", "What the image is worth", "data:image/"] {
        assert!(report.contains(text), "`{text}` is not in the report");
    }
    let info = |name: &str| json(&run.join("ablation").join(name).join("run.json"));
    let trained = VARIANTS.map(|name| {
        let parts = info(name)["trainable_parameters"].clone();
        parts.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>()
    });
    assert_eq!(trained[0], 0);
    assert!(trained[1] > 0 && trained[1] <= trained[3], "{trained:?}");
    assert_eq!(trained[2], trained[3]);
    for (name, variant) in VARIANTS.iter().zip(said["ablation"].as_array().unwrap()) {
        assert_eq!(variant["name"], *name);
        let metrics = json(&run.join("ablation").join(name).join("metrics-test.json"));
        assert_eq!(variant["metrics"], metrics);
        let conditions = metrics["tasks"][0]["conditions"].as_array().unwrap().len();
        assert_eq!((conditions, &metrics["leakage"]["also_in_train"]), (3, &0.into()));
    }
    // Both stages together are the run itself.
    let both = json(&run.join("ablation/03-both/metrics-test.json"));
    assert_eq!(json(&run.join("metrics-test.json")), both);

    // Again in the same place: refused, then replaced, on another number of threads.
    let error = pefomed(at, SMALL).fails(1);
    assert!(error.contains("already holds a demo: pass --force to replace it"), "{error}");
    let first = (results(&run), adapter_bytes(&run.join("adapter")), losses(&run));
    assert!(first.0.len() == 17, "{:?}", first.0.keys());
    pefomed(at, &format!("{SMALL} --force --threads 2")).ok();
    let second = (results(&run), adapter_bytes(&run.join("adapter")), losses(&run));
    assert!(first == second, "one thread and two do not give the same");

    // The run that is left is one like any other.
    pefomed(at, "train runs/demo/recipe.toml --out again -q").ok();
    assert_eq!(adapter_bytes(&at.join("again/adapter")), first.1);
    let out = pefomed(at, "score runs/demo").ok();
    assert!(out.contains("majority, by question type"), "{out}");
    pefomed(at, "demo --train-images 24 --test-images 6 --seed 2 --out other -q").ok();
    assert_ne!(adapter_bytes(&at.join("other/adapter")), first.1);
}
