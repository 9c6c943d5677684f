//! Checkpoints of PeFoMed and MiniGPT-v2: in, out, and what is wrong with them.

use std::fs;
use std::path::{Path, PathBuf};

use pefomed_model::ModelError;
use pefomed_model::convert::{ConvertOptions, Spelling, convert};
use pefomed_model::weights::{
    SafetensorsFile, TensorSource as _, TensorValues, TorchFile, write_torch,
};
use tempfile::{TempDir, tempdir};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch").join(name)
}

fn options(spelling: Spelling) -> ConvertOptions {
    ConvertOptions { alpha: None, spelling, base: "llama".to_owned() }
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn checkpoints_of_both_spellings_become_the_same_adapter() {
    let folder = tempdir().unwrap();
    let mut written = Vec::new();
    for (name, spelling) in [("default", Spelling::Default), ("plain", Spelling::Plain)] {
        let out = folder.path().join(name);
        let source = fixture(&format!("minigpt-{name}.pth"));
        let report = convert(&source, &out, &options(Spelling::Default)).unwrap();
        assert_eq!((report.layers, report.rank, report.tensors.len()), (2, 2, 10));
        assert_eq!(
            (report.projector, report.targets.as_slice()),
            ([6, 8], ["q_proj", "v_proj"].as_slice())
        );
        assert_eq!(report.values, 6 * 8 + 6 + 2 * (2 * 6 + 6 * 2 + 2 * 6 + 4 * 2));
        assert_eq!(report.spelling, spelling);
        assert!(report.alpha_assumed);
        let beside: Vec<_> = report.beside.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(beside, ["optimizer", "config", "scaler", "epoch"]);
        let text = report.to_text();
        assert!(text.contains("10 tensors used, none missing, none left over"), "{text}");
        assert!(text.contains("alpha 16 (the paper's, since none was given)"), "{text}");
        assert!(text.contains("not converted: `epoch`, the integer 49"), "{text}");

        let config = json(&out.join("adapter_config.json"));
        assert_eq!((&config["r"], &config["lora_alpha"]), (&2.into(), &16.0.into()));
        let checkpoint = TorchFile::open(&source).unwrap();
        let adapter = SafetensorsFile::open(&out.join("adapter_model.safetensors")).unwrap();
        let key = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";
        let from = report.tensors.iter().find(|tensor| tensor.to == key).unwrap();
        assert_eq!(adapter.shape(key), Some([4, 2].as_slice()));
        let expected = checkpoint.read_f32(&from.from).unwrap();
        assert_eq!(adapter.read_f32(key).unwrap(), expected);
        let projector = SafetensorsFile::open(&out.join("projector.safetensors")).unwrap();
        let expected = checkpoint.read_f32("llama_proj.weight").unwrap();
        assert_eq!(projector.read_f32("llama_proj.weight").unwrap(), expected);
        written.push(
            ["adapter_model.safetensors", "projector.safetensors", "adapter_config.json"]
                .map(|file| fs::read(out.join(file)).unwrap()),
        );
    }
    assert_eq!(written[0], written[1]);
}

#[test]
fn an_adapter_goes_out_and_comes_back() {
    let folder = tempdir().unwrap();
    let adapter = folder.path().join("adapter");
    let given = ConvertOptions { alpha: Some(4.0), ..options(Spelling::Default) };
    let report = convert(&fixture("minigpt-default.pth"), &adapter, &given).unwrap();
    assert!(!report.alpha_assumed);
    for (spelling, name) in [
        (Spelling::Default, "model.layers.0.self_attn.q_proj.lora_A.default.weight"),
        (Spelling::Plain, "model.layers.0.self_attn.q_proj.lora_A.weight"),
    ] {
        let out = folder.path().join(format!("{spelling}.pth"));
        let report = convert(&adapter, &out, &options(spelling)).unwrap();
        assert_eq!((report.alpha, report.written), (4.0, "checkpoint"));
        let file = TorchFile::open(&out).unwrap();
        assert_eq!(file.part(), Some("model"));
        assert!(file.names().contains(&format!("llama_model.base_model.model.{name}").as_str()));
        let back = folder.path().join(format!("back-{spelling}"));
        convert(&out, &back, &given).unwrap();
        for file in ["adapter_model.safetensors", "projector.safetensors", "adapter_config.json"] {
            assert_eq!(fs::read(back.join(file)).unwrap(), fs::read(adapter.join(file)).unwrap());
        }
        // Nothing is overwritten.
        let again = convert(&adapter, &out, &options(spelling)).unwrap_err();
        assert!(matches!(again, ModelError::Exists { .. }), "{again}");
        let again = convert(&out, &back, &given).unwrap_err();
        assert!(matches!(again, ModelError::Exists { .. }), "{again}");
    }
}

/// The tensors of the golden checkpoint, changed, converted; and the error.
fn refused(change: impl Fn(&mut Vec<(String, Vec<usize>, TensorValues)>)) -> String {
    let folder: TempDir = tempdir().unwrap();
    let golden = TorchFile::open(&fixture("minigpt-plain.pth")).unwrap();
    let mut tensors: Vec<_> = golden
        .names()
        .into_iter()
        .map(|name| {
            let values = TensorValues::F32(golden.read_f32(name).unwrap());
            (name.to_owned(), golden.shape(name).unwrap().to_vec(), values)
        })
        .collect();
    change(&mut tensors);
    let path = folder.path().join("changed.pth");
    write_torch(&path, "model", &tensors).unwrap();
    let out = folder.path().join("out");
    let error = convert(&path, &out, &options(Spelling::Default)).unwrap_err();
    assert!(!out.exists(), "nothing is written of a checkpoint that is refused");
    error.to_string()
}

#[test]
fn whatever_is_missing_left_over_or_misshapen_is_named() {
    const B: &str = "llama_model.base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";
    let at = |tensors: &[(String, Vec<usize>, TensorValues)], name: &str| {
        tensors.iter().position(|(found, ..)| found == name).unwrap()
    };
    let missing = refused(|tensors| drop(tensors.remove(at(tensors, B))));
    assert!(missing.contains("1 missing: base_model.model.model.layers.1"), "{missing}");
    let bias = refused(|tensors| drop(tensors.remove(at(tensors, "llama_proj.bias"))));
    assert!(bias.contains("missing: llama_proj.bias"), "{bias}");
    let typed = refused(|tensors| {
        let index = at(tensors, B);
        tensors[index].0 = B.replace("lora_B", "lora_b");
    });
    assert!(typed.contains("1 missing") && typed.contains("1 without a place here"), "{typed}");
    let vision = refused(|tensors| {
        tensors.push(("ln_vision.weight".to_owned(), vec![1], TensorValues::F32(vec![1.0])));
    });
    assert!(vision.contains("1 without a place here: ln_vision.weight"), "{vision}");
    let twice = refused(|tensors| {
        let copy = tensors[at(tensors, B)].clone();
        tensors.push((B.replace("lora_B", "lora_B.default"), copy.1, copy.2));
    });
    assert!(twice.contains("1 without a place here"), "{twice}");
    let far = refused(|tensors| {
        let copy = tensors[at(tensors, B)].clone();
        tensors.push((B.replace("layers.1", "layers.4000000000"), copy.1, copy.2));
    });
    assert!(far.contains("layers.4000000000"), "{far}");
    let turned = refused(|tensors| {
        let index = at(tensors, B);
        tensors[index].1 = vec![2, 4];
    });
    assert!(turned.contains("has shape [2, 4], but [4, 2] is needed"), "{turned}");
    let wide = refused(|tensors| {
        let weight = at(tensors, "llama_proj.weight");
        tensors[weight].1 = vec![8, 6];
    });
    assert!(wide.contains("llama_proj.bias") && wide.contains("[8] is needed"), "{wide}");
    let none = refused(|tensors| tensors.retain(|(name, ..)| name.starts_with("llama_proj")));
    assert!(none.contains("4 missing"), "{none}");
}

/// `torch.load(…, weights_only=True)` was seen to read this file; the same bytes must come out.
#[test]
fn written_checkpoints_are_those_that_torch_was_seen_to_load() {
    // Stays there, to be looked at when it differs.
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("written.pth");
    let tensors = [
        ("b".to_owned(), vec![2, 3], TensorValues::F32(vec![0.5, -1.0, 2.0, 0.0, 1e-3, 4.0])),
        ("a".to_owned(), vec![], TensorValues::I64(vec![1 << 40])),
        ("empty".to_owned(), vec![0, 2], TensorValues::F32(vec![])),
        ("bytes".to_owned(), vec![3], TensorValues::U8(vec![0, 127, 255])),
    ];
    write_torch(&path, "model", &tensors).unwrap();
    assert_eq!(fs::read(&path).unwrap(), fs::read(fixture("written.pth")).unwrap());
    let file = TorchFile::open(&path).unwrap();
    assert_eq!(file.names(), ["a", "b", "bytes", "empty"]);
    assert_eq!(file.shape("empty"), Some([0, 2].as_slice()));
    assert_eq!(file.read_f32("b").unwrap()[1], -1.0);
    let wrong = [("b".to_owned(), vec![2, 3], TensorValues::F32(vec![0.5]))];
    assert!(matches!(
        write_torch(&path, "model", &wrong),
        Err(ModelError::WriteShape { values: 1, .. })
    ));
}
