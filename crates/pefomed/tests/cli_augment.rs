//! Stages that change their images: same bytes from the same seed, and no sides mistaught.

mod common;

use std::fs;

use common::{adapter_bytes, command, losses, pefomed, start, wait_for_steps, with_recipe};

const CROP: &str = "stage.alignment.augment.crop=0.4 stage.vqa.augment.crop=0.4";

#[test]
fn the_seed_decides_on_any_number_of_threads_and_across_a_resume() {
    let folder = with_recipe(30);
    let at = folder.path();
    let train = |out: &str, rest: &str| {
        pefomed(at, &format!("train recipe.toml {CROP} --out {out} {rest}"))
    };
    let done = train("one", "--threads 1");
    let notice = "stage `vqa` changes its images anew in every step (crop 0.4, flip 0): they are \
                  encoded in the step, and the cache of features is not used";
    assert!(done.err.contains(notice), "{}", done.err);
    assert!(!done.err.contains("images once"), "{}", done.err);
    done.ok();
    train("two", "--threads 2 -q").ok();
    let bytes = |run: &str| adapter_bytes(&at.join(run).join("adapter"));
    assert_eq!(bytes("one"), bytes("two"));

    // Killed once inside each stage, away from a checkpoint, with no warning.
    let killed = at.join("killed");
    for steps in [5, 35] {
        let mut child = start(at, &format!("train recipe.toml {CROP} --out killed --resume -q"));
        wait_for_steps(&killed, steps, &mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!killed.join("adapter").exists(), "the run was over before it was killed");
    }
    train("killed", "--resume -q").ok();
    assert_eq!(bytes("killed"), bytes("one"));
    assert_eq!(losses(&killed), losses(&at.join("one")));

    // Prediction never changes an image.
    pefomed(at, "predict one --condition true -q").ok();
    pefomed(at, "predict two --condition true -q").ok();
    let read = |run: &str| fs::read_to_string(at.join(run).join("predictions-test.jsonl")).unwrap();
    assert_eq!(read("one"), read("two"));
}

#[test]
fn a_neutral_table_is_none_and_a_crop_is_one() {
    let folder = with_recipe(2);
    let at = folder.path();
    pefomed(at, "train recipe.toml --out plain -q").ok();
    let neutral = "stage.vqa.augment.crop=1.0 stage.vqa.augment.flip=0";
    let done = pefomed(at, &format!("train recipe.toml {neutral} --out neutral"));
    assert!(!done.err.contains("changes its images"), "{}", done.err);
    done.ok();
    pefomed(at, &format!("train recipe.toml {CROP} --out cropped -q")).ok();
    let bytes = |run: &str| adapter_bytes(&at.join(run).join("adapter"));
    assert_eq!(bytes("neutral"), bytes("plain"));
    assert_ne!(bytes("cropped"), bytes("plain"));
}

#[test]
fn flipping_is_refused_where_a_text_names_a_side() {
    let folder = with_recipe(1);
    let at = folder.path();
    for what in ["plan recipe.toml", "train recipe.toml --out run"] {
        let error = pefomed(at, &format!("{what} stage.vqa.augment.flip=0.5")).fails(1);
        let expected = "stage `vqa` flips images, and [data.vqa], row 1 (`0-a`), says “left” in \
                        its answer: it would be taught the wrong side. Set `augment.flip = 0`";
        assert!(error.contains(expected), "{error}");
    }
    assert!(!at.join("run/events.jsonl").exists());
    let error = pefomed(at, "plan recipe.toml stage.alignment.augment.flip=1").fails(1);
    assert!(error.contains("[data.captions], row 1 (`0-d`), says “left”"), "{error}");

    // Texts without a side are taken, and pictures are mirrored: the upper half stays above.
    let keep = |file: &str| {
        let text = fs::read_to_string(at.join(file)).unwrap();
        let rows: Vec<&str> = text.lines().filter(|row| !row.contains("left")).collect();
        fs::write(at.join(file), rows.join("\n")).unwrap();
    };
    keep("vqa.jsonl");
    let plan = command(at, "plan recipe.toml stage.vqa.augment.flip=0.5").output().unwrap();
    let plan = String::from_utf8(plan.stdout).unwrap();
    assert!(plan.contains("images at most, changed anew; no features are kept"), "{plan}");
    pefomed(at, "train recipe.toml stage.vqa.augment.flip=0.5 --out run -q").ok();
}
