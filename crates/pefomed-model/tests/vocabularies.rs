//! A decoder's own tokenizer, wherever it is: `tokenizer.json`, `tokenizer.model`, or a GGUF file.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::fixture;
use pefomed_data::prompt::Template;
use pefomed_data::sentencepiece::SentencePieceVocabulary;
use pefomed_model::base::{ModelFiles, gguf_tokenizer_json, load_tokenizer};
use pefomed_model::weights::GgufFile;

const TEXT: &str = "Is there a mass in the left lobe?  肺 12";

/// The small model of the tokenizer's own tests, whose ids are held against the library there.
fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pefomed-data/tests/fixtures/sentencepiece.model")
}

#[test]
fn a_gguf_file_of_kind_llama_carries_the_same_vocabulary() {
    let file = GgufFile::open(&fixture("llama-vocabulary.gguf")).unwrap();
    let found = gguf_tokenizer_json(&file).unwrap();
    let bytes = fs::read(model()).unwrap();
    let vocabulary = SentencePieceVocabulary::from_model("model", &bytes).unwrap();
    let expected = vocabulary.to_tokenizer_json("model").unwrap();
    assert_eq!(found, expected);
    assert!(found["model"]["merges"].as_array().unwrap().len() > 100);
}

#[test]
fn a_folder_with_only_tokenizer_model_has_a_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(model(), folder.path().join("tokenizer.model")).unwrap();
    let files = ModelFiles::at(folder.path()).unwrap();
    let from_model = load_tokenizer(&files, None, Template::Inst).unwrap();
    assert_eq!((from_model.begin, from_model.end), (Some(1), 2));
    let named = load_tokenizer(&files, Some(&model()), Template::Inst).unwrap();
    assert_eq!(named.encode(TEXT).unwrap(), from_model.encode(TEXT).unwrap());
    let gguf = ModelFiles::at(&fixture("llama-vocabulary.gguf")).unwrap();
    let from_gguf = load_tokenizer(&gguf, None, Template::Inst).unwrap();
    assert_eq!(from_gguf.encode(TEXT).unwrap(), from_model.encode(TEXT).unwrap());
    assert_eq!(from_gguf.digest(), from_model.digest());
    // A `tokenizer.json` comes first.
    fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    let error = load_tokenizer(&files, None, Template::Inst).err().unwrap().to_string();
    assert!(error.contains("not a tokenizer.json"), "{error}");
    // Without either the file that is looked for is named.
    let empty = tempfile::tempdir().unwrap();
    let files = ModelFiles::at(empty.path()).unwrap();
    let error = load_tokenizer(&files, None, Template::Inst).err().unwrap().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
}
