//! Help, wrong usage and errors, as a person at a terminal meets them.

mod common;

use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use common::{command, pefomed, with_data};
use tempfile::tempdir;

#[test]
fn help_lists_the_commands() {
    let folder = tempdir().unwrap();
    insta::assert_snapshot!(pefomed(folder.path(), "--help").ok());
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let folder = tempdir().unwrap();
    for command in [
        "demo",
        "data check",
        "plan",
        "train",
        "ablate",
        "predict",
        "score",
        "compare",
        "judge",
        "rate",
        "agree",
        "report",
        "serve",
        "convert",
        "merge",
    ] {
        let help = pefomed(folder.path(), &format!("{command} --help")).ok();
        assert!(help.contains(&format!("Usage: pefomed {command} [OPTIONS]")), "{help}");
        assert!(help.contains(&format!("  pefomed {command}")), "{help}");
        assert!(help.contains("--json"), "{help}");
    }
    insta::assert_snapshot!("train", pefomed(folder.path(), "train -h").ok());
    insta::assert_snapshot!("predict", pefomed(folder.path(), "predict -h").ok());
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let folder = tempdir().unwrap();
    let none = pefomed(folder.path(), "");
    assert_eq!(none.code, Some(2));
    assert!(none.err.contains("Usage: pefomed"), "{}", none.err);
    insta::assert_snapshot!(pefomed(folder.path(), "trian recipe.toml").fails(2), @r"
    error: unrecognized subcommand 'trian'

      tip: a similar subcommand exists: 'train'

    Usage: pefomed [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(pefomed(folder.path(), "data check x --format vqarad").fails(2), @r"
    error: invalid value 'vqarad' for '--format <NAME>': unknown format `vqarad`: known are vqa-rad, slake, pathvqa, iu-xray, openi-xml, roco, imageclef, medicat, mimic-cxr, medexpqa, mediqa-m3g, parquet, llava, sharegpt, messages, csv, jsonl; did you mean `vqa-rad`?

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(pefomed(folder.path(), "plan a.toml --device vulcan").fails(2), @r"
    error: invalid value 'vulcan' for '--device <DEVICE>': no device is called `vulcan`: there are cpu, wgpu, vulkan, cuda; did you mean `vulkan`?

    For more information, try '--help'.
    ");
    for line in ["score", "plan a.toml --threads 0", "predict", "report a b"] {
        pefomed(folder.path(), line).fails(2);
    }
}

const RECIPE: &str = "\
[model]
vision = \"vision\"
decoder = \"decoder\"

[data.vqa]
format = \"jsonl\"
path = \"vqa.jsonl\"

[[stage]]
name = \"vqa\"
data = [\"vqa\"]
steps = 3
learning_rat = 1e-3
";

#[test]
fn a_mistyped_recipe_key_is_told_with_its_line() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("r.toml"), RECIPE).unwrap();
    insta::assert_snapshot!(pefomed(folder.path(), "plan r.toml").fails(1), @"error: `r.toml`: unknown key `learning_rat` in [[stage]] (line 13): did you mean `learning_rate`?");
    fs::write(folder.path().join("r.toml"), RECIPE.replace("learning_rat ", "learning_rate "))
        .unwrap();
    insta::assert_snapshot!(pefomed(folder.path(), "plan r.toml stage.vqa.bach=4").fails(2), @"error: cannot apply `stage.vqa.bach=4`: `stage.0` has no key `bach`: did you mean `batch`?");
    insta::assert_snapshot!(pefomed(folder.path(), "train r.toml").fails(2), @"error: the recipe names no `output`: name the run folder with --out RUN");
    let error = pefomed(folder.path(), "train r.toml --out run").fails(1);
    assert!(error.contains("/vision`: name a folder in Hugging Face layout"), "{error}");
    assert!(!folder.path().join("run").exists(), "nothing is left of a run that did not begin");
}

#[test]
fn a_missing_file_is_told_once() {
    let folder = tempdir().unwrap();
    insta::assert_snapshot!(pefomed(folder.path(), "plan nowhere.toml").fails(1), @"error: cannot read `nowhere.toml`: No such file or directory (os error 2)");
    insta::assert_snapshot!(pefomed(folder.path(), "predict nowhere").fails(1), @"error: `nowhere` is not a run folder, it has no `recipe.toml`: name the folder that `pefomed train --out` made");
    insta::assert_snapshot!(pefomed(folder.path(), "report nowhere").fails(1), @"error: `nowhere` is not a folder: name the run folder that `pefomed train --out` made");
}

#[test]
fn the_demo_leaves_other_peoples_folders_alone() {
    let folder = with_data();
    let error = pefomed(folder.path(), "demo --out . --force").fails(1);
    assert_eq!(
        error.trim(),
        "error: `.` holds something else than a demo: choose another folder with --out"
    );
    assert!(folder.path().join("vqa.jsonl").is_file());
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_that_is_not_built_in_is_wrong_usage() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("r.toml"), RECIPE.replace("learning_rat ", "learning_rate "))
        .unwrap();
    insta::assert_snapshot!(pefomed(folder.path(), "train r.toml --out run --device cuda").fails(2), @"error: this build cannot compute on `cuda`: build it with `--features cuda`, or choose `--device cpu`");
}

/// `pefomed … | head -1`: a reader that has seen enough is no failure.
#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let folder = with_data();
    let mut child = command(folder.path(), "data check vqa.jsonl --format jsonl --images images")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}
