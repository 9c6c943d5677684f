//! Taking tensors with an account, and two published models as they are distributed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use pefomed_kernels::mapped::MappedFile;
use pefomed_model::ModelError;
use pefomed_model::weights::{
    self, GgufFile, Loader, SafetensorsFile, TensorSource, TensorValues, write_safetensors,
};

/// `layers.0` … `layers.N`, each a weight of 2 × 3 and a bias of 2.
fn layers(count: usize) -> SafetensorsFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layers.safetensors");
    let values = |count| TensorValues::F32((0..count).map(|i| i as f32).collect());
    let tensors: Vec<_> = (0..count)
        .flat_map(|n| {
            [
                (format!("layers.{n}.weight"), vec![2, 3], values(6)),
                (format!("layers.{n}.bias"), vec![2], values(2)),
            ]
        })
        .collect();
    write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    SafetensorsFile::from_mapped("layers.safetensors".into(), MappedFile::from_vec(bytes)).unwrap()
}

#[test]
fn a_model_that_takes_everything_is_loaded() {
    let file = layers(2);
    let mut loader = Loader::new(&file);
    for n in 0..2 {
        let weight = loader.take(&format!("layers.{n}.weight"), &[2, 3]).unwrap();
        assert_eq!(weight, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(loader.take(&format!("layers.{n}.bias"), &[2]).unwrap(), [0.0, 1.0]);
    }
    assert!(loader.has("layers.1.bias") && !loader.has("layers.2.bias"));
    loader.finish(&|_| false).unwrap();
}

#[test]
fn a_missing_tensor_is_named_with_its_neighbours() {
    let file = layers(3);
    let error = Loader::new(&file).take("layers.1.wieght", &[2, 3]).unwrap_err();
    let ModelError::TensorMissing { ref nearest, .. } = error else { panic!("{error}") };
    assert_eq!(nearest, &["layers.1.weight", "layers.0.weight", "layers.2.weight"]);
    let message = error.to_string();
    assert!(
        message.starts_with("`layers.safetensors` has no tensor `layers.1.wieght`"),
        "{message}"
    );
    let message = Loader::new(&layers(0)).take("x", &[]).unwrap_err().to_string();
    assert!(message.ends_with("has no tensor `x`, nor any other"), "{message}");
}

#[test]
fn a_wrong_shape_is_shown_with_the_right_one() {
    let file = layers(1);
    let mut loader = Loader::new(&file);
    let message = loader.take("layers.0.weight", &[3, 2]).unwrap_err().to_string();
    assert!(
        message.contains("has shape [2, 3], but the configuration asks for [3, 2]"),
        "{message}"
    );
    // A tensor that was refused is still left over.
    assert!(loader.finish(&|name| name.ends_with("bias")).is_err());
}

#[test]
fn left_over_tensors_are_counted_and_ten_of_them_named() {
    let file = layers(8);
    let mut loader = Loader::new(&file);
    loader.take("layers.0.bias", &[2]).unwrap();
    let error = loader.finish(&|name| name.starts_with("layers.7.")).unwrap_err();
    let ModelError::TensorsLeftOver { count, ref names, .. } = error else { panic!("{error}") };
    assert_eq!((count, names.len()), (13, 10));
    assert_eq!(names[0], "layers.0.weight");
    let message = error.to_string();
    assert!(message.contains("13 tensor(s)") && message.contains("layers.5.bias, …"), "{message}");
    assert!(!message.contains("layers.6"), "{message}");
}

#[test]
fn formats_are_told_apart_by_their_bytes() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folder = tempfile::tempdir().unwrap();
    let disguised = folder.path().join("model.bin");
    std::fs::copy(fixtures.join("dequant.gguf"), &disguised).unwrap();
    assert_eq!(weights::open(&disguised).unwrap().names().len(), 12);
    std::fs::copy(fixtures.join("mixed.safetensors"), folder.path().join("model.safetensors"))
        .unwrap();
    assert_eq!(weights::open(folder.path()).unwrap().names().len(), 5);
    std::fs::write(&disguised, "<html>not found</html>").unwrap();
    let message = weights::open(&disguised).err().unwrap().to_string();
    assert!(message.contains("model.bin` is not a valid safetensors file"), "{message}");
}

/// A published model, if this machine has it.
fn published(model: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("PEFOMED_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = shared.join("models").join(model);
    if path.exists() {
        return Some(path);
    }
    // Past the test harness, which would swallow a print.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {} absent", path.display());
    None
}

/// Compares a file with the sums that the reference readers computed.
fn compare(source: &dyn TensorSource, model: &str) {
    let fixture = include_str!("fixtures/published_weights.json");
    let expected: serde_json::Value = serde_json::from_str(fixture).unwrap();
    let expected = &expected[model];
    assert_eq!(source.names().len() as u64, expected["tensors"].as_u64().unwrap());
    for (name, expected) in expected["values"].as_object().unwrap() {
        let shape: Vec<usize> = serde_json::from_value(expected["shape"].clone()).unwrap();
        let mut loader = Loader::new(source);
        let values = loader.take(name, &shape).unwrap();
        let first: Vec<f32> = serde_json::from_value(expected["first"].clone()).unwrap();
        assert_eq!(values[..first.len()], first, "{name}");
        let (mut sum, mut squares) = (0.0, 0.0);
        for value in values {
            sum += f64::from(value);
            squares += f64::from(value).powi(2);
        }
        let wanted = |key: &str| expected[key].as_f64().unwrap();
        // The order of summation differs; cancellation is measured against the squares.
        assert!((squares / wanted("squares") - 1.0).abs() < 1e-10, "{name}: {squares}");
        assert!((sum - wanted("sum")).abs() < 1e-9 * wanted("squares"), "{name}: {sum}");
    }
}

#[test]
fn a_published_language_model_is_read() {
    let Some(folder) = published("smollm2-135m-instruct") else {
        return;
    };
    let file = GgufFile::open(&folder.join("SmolLM2-135M-Instruct.Q4_1.gguf")).unwrap();
    assert_eq!(file.str("general.architecture").unwrap(), "llama");
    assert_eq!(file.u64("llama.block_count").unwrap(), 30);
    assert_eq!(file.u64("llama.attention.head_count_kv").unwrap(), 3);
    assert_eq!(file.f64("llama.rope.freq_base").unwrap(), 100_000.0);
    assert!(!file.bool("tokenizer.ggml.add_bos_token").unwrap());
    let tokens = file.string_array("tokenizer.ggml.tokens").unwrap();
    assert_eq!((tokens.len(), tokens[1]), (49152, "<|im_start|>"));
    assert_eq!(file.string_array("tokenizer.ggml.merges").unwrap()[1], "Ġ a");
    assert_eq!(file.i32_array("tokenizer.ggml.token_type").unwrap()[0], 3);
    compare(&file, "smollm2");
}

#[test]
fn a_published_vision_encoder_is_read() {
    let Some(folder) = published("dinov2-small") else {
        return;
    };
    compare(&*weights::open(&folder).unwrap(), "dinov2");
}
