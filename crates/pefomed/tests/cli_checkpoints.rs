//! Checkpoints out and in again, and adapters merged into their base.

mod common;

use std::fs;
use std::path::Path;

use common::{base, pefomed, with_recipe, without_folder};
use serde_json::Value;

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

#[test]
fn an_adapter_goes_out_as_a_checkpoint_and_comes_back() {
    let folder = with_recipe(2);
    let at = folder.path();
    pefomed(at, "train recipe.toml --out run -q").ok();
    let out = pefomed(at, "convert run/adapter tuned.pth --spelling plain").ok();
    assert!(out.contains("10 tensors used, none missing, none left over"), "{out}");
    assert!(out.contains("names in the checkpoint: `….lora_A.weight`"), "{out}");
    let config: Value =
        serde_json::from_slice(&read(&at.join("run/adapter/adapter_config.json"))).unwrap();
    let alpha = config["lora_alpha"].as_f64().unwrap();
    let json = pefomed(at, &format!("convert tuned.pth back --alpha {alpha} --json")).ok();
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&report["rank"], &report["layers"]), (&4.into(), &2.into()));
    assert_eq!(report["alpha_assumed"], false);
    for file in ["adapter_model.safetensors", "projector.safetensors"] {
        assert_eq!(read(&at.join("back").join(file)), read(&at.join("run/adapter").join(file)));
    }
    let error = pefomed(at, "convert run/adapter tuned.pth").fails(1);
    insta::assert_snapshot!(error, @"error: `tuned.pth` is there already: remove it, or choose another name");
    fs::write(at.join("not.pth"), b"\x80\x02cposix\nsystem\n.").unwrap();
    let error = pefomed(at, "convert not.pth out").fails(1);
    insta::assert_snapshot!(error, @"error: `not.pth` cannot be read as weights that PyTorch saved: it is in the format of PyTorch before 1.6; load it with a newer one and save it again");
    pefomed(at, "convert run/adapter out.pth --spelling other").fails(2);
}

#[test]
fn a_merged_model_answers_as_base_with_adapter() {
    let folder = with_recipe(6);
    let at = folder.path();
    pefomed(at, "train recipe.toml --out run -q").ok();
    let base = base().join("decoder");
    let base = base.display();
    let merge = |options: &str| -> Value {
        let line = format!("merge {base} run/adapter {options} --json");
        serde_json::from_str(&pefomed(at, &line).ok()).unwrap()
    };
    let exact = merge("--out exact --dtype float32");
    // Two layers, q and v of each.
    assert_eq!(exact["changed"], 4);
    let number = |merged: &Value, key: &str| merged["measured"][key].as_f64().unwrap();
    assert!(number(&exact, "adapter_effect") > 1e-2, "{exact}");
    assert!(number(&exact, "largest_difference") < 1e-4, "{exact}");
    assert_eq!(exact["measured"]["same_prediction"], exact["measured"]["tokens"]);
    assert_eq!(
        exact["files"],
        serde_json::json!([
            "config.json",
            "model.safetensors",
            "projector.safetensors",
            "tokenizer.json"
        ])
    );
    let config: Value = serde_json::from_slice(&read(&at.join("exact/config.json"))).unwrap();
    assert_eq!(config["torch_dtype"], "float32");
    assert_eq!(config["architectures"][0], "LlamaForCausalLM");

    let half = merge("--out half --text words");
    assert_eq!(half["dtype"], "float16");
    assert!(number(&half, "largest_difference") < 0.05, "{half}");
    assert!(number(&half, "largest_difference") > number(&exact, "largest_difference"), "{half}");
    let brain = merge("--out brain --dtype bfloat16 --shard-size 0.00001");
    assert!(number(&brain, "largest_difference") < 0.5, "{brain}");
    let index: Value =
        serde_json::from_slice(&read(&at.join("brain/model.safetensors.index.json"))).unwrap();
    let shards = brain["files"].as_array().unwrap();
    assert!(shards.len() > 6, "{brain}");
    assert_eq!(
        index["weight_map"].as_object().unwrap().len(),
        brain["tensors"].as_u64().unwrap() as usize
    );

    let error = pefomed(at, &format!("merge {base} run/adapter --out half")).fails(1);
    insta::assert_snapshot!(error, @"error: `half` is there already: remove it, or choose another name");
    // An adapter of another decoder leaves nothing behind.
    let error = pefomed(at, "merge embedded:tiny run/adapter --out wrong").fails(1);
    assert!(
        without_folder(&error, at).contains("run/adapter/adapter_model.safetensors"),
        "{error}"
    );
    assert!(!at.join("wrong").exists());
}
