//! A whole run on a small base: train, predict, score, report; killed, stopped and resumed.

mod common;

use std::fs;
use std::process::Command;

use common::{
    adapter_bytes, json, losses, pefomed, start, wait_for_steps, with_recipe, without_folder,
    write_recipe,
};
use serde_json::Value;

#[test]
fn from_a_recipe_to_a_report() {
    let folder = with_recipe(4);
    let at = folder.path();
    let plan = pefomed(at, "plan recipe.toml --json --threads 2").ok();
    let plan: Value = serde_json::from_str(&plan).unwrap();

    let out = pefomed(at, "train recipe.toml --out run --json").ok();
    let trained: Value = serde_json::from_str(&out).unwrap();
    let run = at.join("run");
    let info = json(&run.join("run.json"));
    assert_eq!(trained["info"], info);
    assert_eq!((&info["title"], &info["seed"]), (&"Two halves".into(), &5.into()));
    // 4 tokens of 16 numbers to 32, and 2 layers of rank 4 on q (32 → 32) and v (32 → 16).
    let (projector, lora) = (64 * 32 + 32, 2 * 4 * (64 + 48));
    assert_eq!(info["trainable_parameters"]["projector"], projector);
    assert_eq!(info["trainable_parameters"]["lora"], lora);
    assert_eq!(info["images_dir"], serde_json::json!([at.join("images")]));
    assert_eq!(info["digests"].as_object().unwrap().len(), 5);
    assert!(info["seconds"].as_f64().unwrap() > 0.0);
    // The plan knew all of this before.
    assert_eq!(plan["parameters"][2]["trainable"], projector);
    assert_eq!(plan["parameters"][3]["trainable"], lora);
    assert_eq!(plan["parameters"][1]["frozen"], info["frozen_parameters"]["decoder"]);
    let log = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let first: Value = serde_json::from_str(log.lines().nth(1).unwrap()).unwrap();
    assert!(plan["stages"][0]["tokens_per_pass"].as_u64() >= first["tokens"].as_u64());
    assert_eq!(losses(&run).len(), 8);
    let recipe = fs::read_to_string(run.join("recipe.toml")).unwrap();
    assert!(recipe.starts_with("# Resolved by pefomed"), "{recipe}");
    assert!(recipe.contains("#   data split") && recipe.contains("max_questions_per_tree = 6"));
    assert_eq!(fs::read_dir(run.join("tensorboard")).unwrap().count(), 1);

    let out = pefomed(at, "predict run").ok();
    assert_eq!(out.lines().count(), 3, "{out}");
    for name in ["predictions-test", "predictions-test.blank", "predictions-test.shuffled"] {
        let lines = fs::read_to_string(run.join(format!("{name}.jsonl"))).unwrap();
        assert_eq!(lines.lines().count(), 9, "{name}");
    }
    let out = pefomed(at, "score run").ok();
    assert!(out.contains("0 of its 3 images were also trained on"), "{out}");
    for row in ["true image", "blank image", "majority, one answer", "true less blank"] {
        assert!(out.contains(row), "{row} is missing:\n{out}");
    }
    let metrics = json(&run.join("metrics-test.json"));
    assert_eq!(metrics["tasks"][0]["conditions"][0]["overall"]["n"], 9);
    // Of 18 training answers "two halves" has 6; it answers 3 of 9 test questions.
    let majority = &metrics["tasks"][0]["baselines"][0];
    assert_eq!(majority["answers"]["(any)"], "2 halves");
    assert_eq!(majority["overall"]["value"], 1.0 / 3.0);
    let out = pefomed(at, "report run").ok();
    assert_eq!(out.trim(), "run/report.html");
    let html = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(html.contains("Two halves") && html.contains("data:image/"));

    // Files alone are scored as well, to the same numbers.
    let files = "run/predictions-test.jsonl run/predictions-test.blank.jsonl";
    let out = pefomed(at, &format!("score {files} --json")).ok();
    let alone: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(alone["split"], "test");
    let overall = |metrics: &Value| metrics["tasks"][0]["conditions"][1]["overall"].clone();
    assert_eq!(overall(&alone), overall(&metrics));
}

#[test]
fn a_projector_of_two_layers_and_a_class_token_go_the_whole_way() {
    let folder = with_recipe(2);
    let at = folder.path();
    let changes = "model.projector=mlp model.merge=1 model.vision_cls=true model.vision_layer=-1";
    let plan = pefomed(at, &format!("plan recipe.toml {changes} --json")).ok();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    // A grid of 4 × 4 patches, and the class token.
    assert_eq!(plan["visual_tokens"], 17);
    pefomed(at, &format!("train recipe.toml {changes} --out run")).ok();
    let info = json(&at.join("run/run.json"));
    // Tokens of 16 numbers to 32, and once more.
    let projector = 16 * 32 + 32 + 32 * 32 + 32;
    assert_eq!(info["trainable_parameters"]["projector"], projector);
    assert_eq!(plan["parameters"][2]["trainable"], projector);
    let written = fs::read(at.join("run/adapter/projector.safetensors")).unwrap();
    let header = String::from_utf8_lossy(&written[..600]).into_owned();
    assert!(header.contains("model.mm_projector.2.weight"), "{header}");
    pefomed(at, "predict run").ok();
    let lines = fs::read_to_string(at.join("run/predictions-test.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 9);
    let message = pefomed(at, "plan recipe.toml model.vision_layer=-3").fails(1);
    assert!(message.contains("`vision_layer` -3 of an encoder of 1 layers"), "{message}");
}

#[test]
fn a_run_is_not_overwritten() {
    let folder = with_recipe(1);
    let at = folder.path();
    pefomed(at, "train recipe.toml --out run -q").ok();
    let before = adapter_bytes(&at.join("run/adapter"));
    insta::assert_snapshot!(pefomed(at, "train recipe.toml seed=6 --out run").fails(1), @"error: `run` already holds a run: pass --resume to go on with it, or choose another folder");
    // Resuming a complete run changes nothing, resuming it as another run is refused.
    pefomed(at, "train recipe.toml --out run --resume -q").ok();
    assert_eq!(adapter_bytes(&at.join("run/adapter")), before);
    let error = pefomed(at, "train recipe.toml seed=6 --out run --resume -q").fails(1);
    assert!(error.contains("belongs to a run with another recipe"), "{error}");
}

#[test]
fn stages_are_predicted_on_their_own() {
    let folder = with_recipe(2);
    let at = folder.path();
    pefomed(at, "train recipe.toml --out run -q").ok();
    pefomed(at, "predict run --condition true -q").ok();
    pefomed(at, "predict run --condition true --stage alignment -q").ok();
    pefomed(at, "predict run --condition true --stage none --out none.jsonl -q").ok();
    pefomed(at, "predict run --condition true --stage vqa --out vqa-stage.jsonl -q").ok();
    let read = |path: &str| fs::read_to_string(at.join(path)).unwrap();
    assert_eq!(read("run/predictions-test.jsonl"), read("vqa-stage.jsonl"));
    assert_eq!(read("run/stages/alignment/predictions-test.jsonl").lines().count(), 9);
    assert_eq!(read("none.jsonl").lines().count(), 9);
    let error = pefomed(at, "predict run --stage aligment").fails(2);
    assert!(error.contains("it has alignment, vqa, and `none`"), "{error}");
    let error = pefomed(at, "predict run --data vqq").fails(2);
    assert!(error.contains("did you mean `vqa`?"), "{error}");
    let error = pefomed(at, "predict run --condition all --out x.jsonl").fails(2);
    assert!(error.contains("add --condition true"), "{error}");
    let error = pefomed(at, "score run --split val").fails(1);
    assert!(error.contains("no example in the split `val`"), "{error}");
}

#[test]
fn threads_and_rows_change_no_bit() {
    let folder = with_recipe(6);
    let at = folder.path();
    pefomed(at, "train recipe.toml --out one --threads 1 -q").ok();
    pefomed(at, "train recipe.toml --out two --threads 2 -q").ok();
    assert_eq!(adapter_bytes(&at.join("one/adapter")), adapter_bytes(&at.join("two/adapter")));
    assert_eq!(losses(&at.join("one")), losses(&at.join("two")));

    pefomed(at, "predict one --threads 1 -q").ok();
    let recipe = at.join("two/recipe.toml");
    let resolved = fs::read_to_string(&recipe).unwrap();
    assert!(resolved.contains("\nrows = 64\n"));
    for rows in [64, 1, 4] {
        let changed = resolved.replace("\nrows = 64\n", &format!("\nrows = {rows}\n"));
        fs::write(&recipe, changed).unwrap();
        pefomed(at, "predict two --threads 2 -q").ok();
        for condition in ["", ".blank", ".shuffled"] {
            let name = format!("predictions-test{condition}.jsonl");
            let read = |run: &str| fs::read_to_string(at.join(run).join(&name)).unwrap();
            assert_eq!(read("one"), read("two"), "{name} with rows = {rows}");
            let said = |line: &str| !line.contains("\"prediction\":\"\"");
            assert!(read("one").lines().any(said), "{name} says nothing");
        }
    }
}

#[test]
fn a_killed_run_ends_as_if_it_had_not_been() {
    let folder = with_recipe(60);
    let at = folder.path();
    pefomed(at, "train recipe.toml --out whole -q").ok();
    let run = at.join("killed");
    // Once inside each stage, away from a checkpoint, with no warning.
    for steps in [8, 73] {
        let mut child = start(at, "train recipe.toml --out killed --resume -q");
        wait_for_steps(&run, steps, &mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!run.join("adapter").exists(), "the run was over before it was killed");
    }
    pefomed(at, "train recipe.toml --out killed --resume -q").ok();
    assert_eq!(adapter_bytes(&run.join("adapter")), adapter_bytes(&at.join("whole/adapter")));
    assert_eq!(losses(&run), losses(&at.join("whole")));
    assert_eq!(losses(&run).len(), 120);
}

#[cfg(unix)]
#[test]
fn sigterm_saves_a_checkpoint_and_says_how_to_go_on() {
    let folder = with_recipe(60);
    let at = folder.path();
    let run = at.join("run");
    let mut child = start(at, "train recipe.toml seed=9 --out run");
    wait_for_steps(&run, 5, &mut child);
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let done = child.wait_with_output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{err}");
    assert!(err.contains("error: stopped at step "), "{err}");
    assert!(err.contains("to go on: pefomed train recipe.toml seed=9 --out run --resume"), "{err}");
    let taken = losses(&run).len();
    let saved = run.join(format!("checkpoints/step-{taken:06}"));
    assert!(saved.join("position.json").is_file(), "{taken} steps, but no checkpoint");
    pefomed(at, "train recipe.toml seed=9 --out run --resume -q").ok();
    pefomed(at, "train recipe.toml seed=9 --out whole -q").ok();
    assert_eq!(adapter_bytes(&run.join("adapter")), adapter_bytes(&at.join("whole/adapter")));
}

#[test]
fn images_that_cannot_be_read_are_named() {
    let folder = with_recipe(1);
    let at = folder.path();
    fs::write(at.join("images/p2.png"), b"not a picture").unwrap();
    let error = pefomed(at, "train recipe.toml --out run -q").fails(1);
    let error = without_folder(&error, at);
    assert!(error.contains("DIR/images/p2.png` is neither PNG nor JPEG"), "{error}");
    fs::remove_file(at.join("images/p2.png")).unwrap();
    let error = pefomed(at, "train recipe.toml --out run -q").fails(1);
    assert!(error.contains("p2.png") && error.contains("No such file"), "{error}");
    // Nothing stands in the way of a second try.
    write_recipe(at, 1);
    fs::copy(at.join("images/p1.png"), at.join("images/p2.png")).unwrap();
    pefomed(at, "train recipe.toml --out run -q").ok();
}

#[test]
fn questions_without_an_image_or_about_two_are_ordinary_questions() {
    let folder = with_recipe(3);
    let path = folder.path().join("vqa.jsonl");
    let mut data = fs::read_to_string(&path).unwrap();
    for (split, first, second) in [("train", 0, 1), ("test", 6, 7)] {
        let none = serde_json::json!({
            "id": format!("{split}-none"), "question": "What is a half?", "answer": "a part",
            "split": split,
        });
        let two = serde_json::json!({
            "id": format!("{split}-two"), "images": [format!("p{first}.png"), format!("p{second}.png")],
            "question": "Are both alike?", "answer": "no", "split": split,
        });
        data += &[none, two].map(|row| format!("{row}\n")).concat();
    }
    fs::write(&path, data).unwrap();
    pefomed(folder.path(), "train recipe.toml --out run").ok();
    pefomed(folder.path(), "predict run").ok();
    for condition in ["", ".blank", ".shuffled"] {
        let file = folder.path().join(format!("run/predictions-test{condition}.jsonl"));
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (id, images) in [("test-none", 0), ("test-two", 2), ("6-a", 1)] {
            let line = lines.iter().find(|line| line["id"] == id).unwrap();
            let prompt = line["prompt"].as_str().unwrap();
            assert_eq!(prompt.matches("<ImageHere>").count(), images, "{prompt}");
        }
    }
    let scores = pefomed(folder.path(), "score run").ok();
    assert!(scores.contains("true image"), "{scores}");
    pefomed(folder.path(), "report run").ok();
}

#[test]
fn checkpointing_gives_the_same_bytes_and_stored_weights_the_same_losses_to_rounding() {
    let folder = with_recipe(3);
    let at = folder.path();
    pefomed(at, "train recipe.toml --out plain").ok();
    pefomed(at, "train recipe.toml model.activation_checkpointing=true --out again").ok();
    let bytes = |run: &str| adapter_bytes(&at.join(run).join("adapter"));
    assert_eq!(bytes("plain"), bytes("again"));

    pefomed(at, "train recipe.toml model.precision=stored --out stored").ok();
    // The same parameters have the same loss, and one update moves it alike: by 5e-3. From then on Adam, which
    // divides what rounding leaves of small gradients by itself, drives them apart.
    let pairs = losses(&at.join("plain")).into_iter().zip(losses(&at.join("stored")));
    for (step, (plain, stored)) in pairs.enumerate() {
        let [plain, stored] = [plain.2, stored.2].map(|loss| loss.parse::<f64>().unwrap());
        let most = [1e-6, 2e-5].get(step).copied().unwrap_or(1e-3);
        let far = (plain - stored).abs() / plain;
        assert!(far < most, "{step}: {plain} {stored}, {far:e}");
    }
    pefomed(at, "predict stored").ok();
}

#[test]
fn a_run_starts_from_the_adapter_of_another() {
    let folder = with_recipe(3);
    let at = folder.path();
    pefomed(at, "train recipe.toml --out first").ok();
    // Steps too small to change a number in float32 leave what they started from.
    let still = "stage.alignment.learning_rate=1e-30 stage.vqa.learning_rate=1e-30";
    pefomed(at, &format!("train recipe.toml --out second adapter.start=first/adapter {still}"))
        .ok();
    assert_eq!(adapter_bytes(&at.join("second/adapter")), adapter_bytes(&at.join("first/adapter")));
    let info = json(&at.join("second/run.json"));
    assert_eq!(info["digests"]["start adapter"].as_str().unwrap().len(), 64);
    let recipe = fs::read_to_string(at.join("second/recipe.toml")).unwrap();
    assert!(recipe.contains("#   start adapter"), "{recipe}");

    let error = pefomed(at, "train recipe.toml --out third adapter.start=first").fails(1);
    assert!(error.contains("is a run; name its adapter"), "{error}");
    let error =
        pefomed(at, "train recipe.toml --out third adapter.start=first/adapter adapter.rank=8")
            .fails(1);
    assert!(error.contains("its rank is 4") && error.contains("`rank` is 8"), "{error}");
    let plan = pefomed(at, "plan recipe.toml adapter.start=nowhere").ok();
    assert!(plan.contains("not there: the adapter to start from"), "{plan}");
}
