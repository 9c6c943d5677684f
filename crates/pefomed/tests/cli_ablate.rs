//! `pefomed ablate`: every variant is what it says, nothing is trained twice, and a killed ablation
//! ends as if it had not been.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use common::{
    adapter_bytes, files_below, json, losses, pefomed, start, wait_for_steps, with_recipe,
};
use serde_json::Value;

const VARIANTS: [&str; 4] = ["00-untuned", "01-stage-1-only", "02-stage-2-only", "03-both"];

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// Bytes and age of all predictions, logs and adapters below a folder.
fn made(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let wanted = |name: &str| name.starts_with("predictions-") || name == "events.jsonl";
    let bytes_and_age = |path: PathBuf| {
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        (fs::read(path).unwrap(), changed)
    };
    let files = files_below(folder, wanted).into_iter();
    files.map(|(name, path)| (name, bytes_and_age(path))).collect()
}

#[test]
fn every_variant_is_what_it_says_and_is_made_once() {
    let folder = with_recipe(4);
    let at = folder.path();
    let out = pefomed(at, "ablate recipe.toml --out out --json -q").ok();
    let said: Value = serde_json::from_str(&out).unwrap();
    let run = at.join("out");
    assert_eq!(said["ablation"], json(&run.join("ablation.json")));

    // The run of both stages is the one that `train` makes, and its moments are `predict --stage`'s.
    pefomed(at, "train recipe.toml --out plain -q").ok();
    assert_eq!(adapter_bytes(&run.join("adapter")), adapter_bytes(&at.join("plain/adapter")));
    pefomed(at, "predict plain -q").ok();
    pefomed(at, "predict plain --stage alignment -q").ok();
    pefomed(at, "predict plain --stage none -q").ok();
    for (ours, plain) in [
        ("predictions-test", "predictions-test"),
        ("ablation/01-stage-1-only/predictions-test", "stages/alignment/predictions-test"),
        ("ablation/00-untuned/predictions-test", "untuned/predictions-test"),
    ] {
        for condition in ["", ".blank", ".shuffled"] {
            let of = |run: &Path, name: &str| text(&run.join(format!("{name}{condition}.jsonl")));
            assert_eq!(of(&run, ours), of(&at.join("plain"), plain), "{ours}{condition}");
        }
    }
    // The last stage alone has trained that stage only, from the seed.
    let alone = run.join("ablation/02-stage-2-only");
    assert_eq!(losses(&run).len(), 8);
    assert!(losses(&alone).iter().all(|(stage, _, _)| stage == "vqa"));
    assert_eq!(losses(&alone).len(), 4);
    let first = |run: &Path| losses(run).into_iter().find(|(stage, _, _)| stage == "vqa").unwrap();
    assert_ne!(first(&alone).2, first(&run).2);
    assert!(!run.join("ablation/01-stage-1-only/events.jsonl").exists());

    // The table has the scores of the folders.
    let table = &said["ablation"]["tables"][0];
    assert_eq!(table["task"], "vqa");
    let columns: Vec<(&str, &str)> = table["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["metric"].as_str().unwrap(), it["condition"].as_str().unwrap()))
        .collect();
    let exact = |condition| ("exact match", condition);
    assert_eq!(columns[..3], [exact("true"), exact("blank"), exact("shuffled")]);
    for (index, variant) in VARIANTS.iter().enumerate() {
        let metrics = json(&run.join("ablation").join(variant).join("metrics-test.json"));
        for condition in 0..3 {
            let own = &metrics["tasks"][0]["conditions"][condition]["overall"]["exact_match"];
            assert_eq!(&table["rows"][index]["cells"][condition]["seeds"][0], own, "{variant}");
        }
    }
    let (projector, lora) = (64 * 32 + 32, 2 * 4 * (64 + 48));
    let trained = |index: usize| table["rows"][index]["trainable"].as_u64().unwrap();
    let all = projector + lora;
    assert_eq!([0, 1, 2, 3].map(trained), [0, projector, all, all]);
    let markdown = text(&run.join("ablation.md"));
    assert!(markdown.contains("| stage 1 only | 2,080 |"), "{markdown}");
    assert!(markdown.contains("stage 1: alignment; stage 2: vqa. Split test."), "{markdown}");
    let report = text(&run.join("report.html"));
    assert!(report.contains("stage 2 only") && report.contains("<h2>Ablation</h2>"));

    // Again: refused, and with --resume nothing is trained or asked a second time.
    let error = pefomed(at, "ablate recipe.toml --out out -q").fails(1);
    assert!(error.contains("already holds a run: pass --resume"), "{error}");
    let before = made(&run);
    pefomed(at, "ablate recipe.toml --out out --resume -q").ok();
    assert_eq!(made(&run), before);
    // Answers of another length are asked for anew, with the same adapters.
    pefomed(at, "ablate recipe.toml evaluation.max_new_tokens=2 --out out --resume -q").ok();
    let after = made(&run);
    for (path, (bytes, changed)) in &before {
        let (now, then) = &after[path];
        let is_log = path.ends_with("events.jsonl");
        assert_eq!(is_log, changed == then, "{}", path.display());
        assert!(!is_log || bytes == now);
    }
    // Another recipe is another ablation.
    let error = pefomed(at, "ablate recipe.toml adapter.alpha=2 --out out --resume -q").fails(1);
    assert!(error.contains("belongs to a run with another recipe"), "{error}");
}

#[test]
fn a_killed_ablation_ends_as_if_it_had_not_been() {
    let folder = with_recipe(80);
    let at = folder.path();
    pefomed(at, "ablate recipe.toml --out whole -q").ok();
    let killed = at.join("killed");
    let alone = killed.join("ablation/02-stage-2-only");
    // Once in the second stage of both, once in the second stage alone.
    for (run, steps) in [(&killed, 90), (&alone, 8)] {
        let mut child = start(at, "ablate recipe.toml --out killed --resume -q");
        wait_for_steps(run, steps, &mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!run.join("adapter").exists(), "the run was over before it was killed");
    }
    let answered = killed.join("ablation/01-stage-1-only/predictions-test.blank.jsonl");
    let age = fs::metadata(&answered).unwrap().modified().unwrap();
    pefomed(at, "ablate recipe.toml --out killed --resume -q").ok();
    assert_eq!(fs::metadata(&answered).unwrap().modified().unwrap(), age);
    let whole = at.join("whole");
    assert_eq!(text(&killed.join("ablation.json")), text(&whole.join("ablation.json")));
    for run in ["", "ablation/02-stage-2-only"] {
        assert_eq!(losses(&killed.join(run)), losses(&whole.join(run)));
        let adapter = |root: &Path| adapter_bytes(&root.join(run).join("adapter"));
        assert_eq!(adapter(&killed), adapter(&whole));
    }
}

#[cfg(unix)]
#[test]
fn a_stopped_ablation_says_how_to_go_on() {
    let folder = with_recipe(60);
    let at = folder.path();
    let child = {
        let mut child =
            start(at, "ablate recipe.toml model.precision=float32 --seeds 3,4 --out out");
        wait_for_steps(&at.join("out/seed-3"), 5, &mut child);
        let id = child.id().to_string();
        std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap();
        child
    };
    let done = child.wait_with_output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{err}");
    let way = "to go on: pefomed ablate recipe.toml model.precision=float32 --out out --seeds 3,4 --resume";
    assert!(err.contains(way), "{err}");
}

#[test]
fn several_seeds_give_mean_and_spread() {
    let folder = with_recipe(3);
    let at = folder.path();
    let error = pefomed(at, "ablate recipe.toml --seeds 5,6,5 --out out -q").fails(2);
    assert!(error.contains("names a seed twice"), "{error}");
    let out = pefomed(at, "ablate recipe.toml --seeds 5,6,7 --out out -q").ok();
    assert!(
        out.contains("mean ± standard deviation (n − 1) of 3 trainings, seeds 5, 6, 7"),
        "{out}"
    );
    let ablation = json(&at.join("out/ablation.json"));
    assert_eq!(ablation["seeds"], serde_json::json!([5, 6, 7]));
    for (row, variant) in VARIANTS.iter().enumerate() {
        let values = [5, 6, 7].map(|seed| {
            let run = at.join(format!("out/seed-{seed}/ablation")).join(variant);
            let metrics = json(&run.join("metrics-test.json"));
            metrics["tasks"][0]["conditions"][0]["overall"]["exact_match"]["value"]
                .as_f64()
                .unwrap()
        });
        let mean = values.iter().sum::<f64>() / 3.0;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let cell = &ablation["tables"][0]["rows"][row]["cells"][0];
        assert!((cell["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{variant}");
        assert!((cell["sd"].as_f64().unwrap() - (squares / 2.0).sqrt()).abs() < 1e-12, "{variant}");
        assert_eq!(cell["seeds"].as_array().unwrap().len(), 3);
    }
    // Each seed is the run that it would be alone, and has its report.
    for seed in [5, 7] {
        pefomed(at, &format!("train recipe.toml seed={seed} --out alone-{seed} -q")).ok();
        let run = at.join(format!("out/seed-{seed}"));
        let alone = at.join(format!("alone-{seed}"));
        assert_eq!(adapter_bytes(&run.join("adapter")), adapter_bytes(&alone.join("adapter")));
        assert!(run.join("report.html").is_file());
    }
    let different = adapter_bytes(&at.join("out/seed-5/adapter"));
    assert_ne!(adapter_bytes(&at.join("out/seed-6/adapter")), different);
}

#[test]
fn a_recipe_of_one_stage_is_untuned_and_tuned() {
    let folder = with_recipe(2);
    let at = folder.path();
    let recipe = text(&at.join("recipe.toml"));
    let (head, rest) = recipe.split_once("[[stage]]\n").unwrap();
    let (_, rest) = rest.split_once("[[stage]]\n").unwrap();
    fs::write(at.join("one.toml"), format!("{head}[[stage]]\n{rest}")).unwrap();
    pefomed(at, "ablate one.toml --out out -q").ok();
    let names: Vec<String> = json(&at.join("out/ablation.json"))["tables"][0]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["trainable"].is_u64())
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["untuned", "tuned"]);
    assert_eq!(fs::read_dir(at.join("out/ablation")).unwrap().count(), 2);
}
