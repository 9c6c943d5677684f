//! SentencePiece vocabularies: the ids and texts of the library itself, and broken files.
#![cfg(feature = "tokenizers")]

mod data_common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use data_common::shared;
use pefomed_data::compat::Compat;
use pefomed_data::prompt::Prompt;
use pefomed_data::sentencepiece::SentencePieceVocabulary;
use pefomed_data::{Example, ImageSource, Item, Split, Task, Tokenizer};
use proptest::prelude::*;
use serde::Deserialize;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn tokenizer(path: &Path) -> Tokenizer {
    Tokenizer::from_file(path, Some("<s>"), "</s>").unwrap()
}

#[derive(Deserialize)]
struct Golden {
    pieces: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    decoded: String,
}

fn golden() -> Golden {
    serde_json::from_str(&fs::read_to_string(fixture("sentencepiece.json")).unwrap()).unwrap()
}

#[test]
fn ids_and_texts_are_those_of_the_library() {
    let tokenizer = tokenizer(&fixture("sentencepiece.model"));
    let golden = golden();
    assert_eq!(tokenizer.len(), golden.pieces);
    assert_eq!((tokenizer.begin, tokenizer.end), (Some(1), 2));
    assert!(golden.cases.len() > 10);
    for case in golden.cases {
        assert_eq!(tokenizer.encode(&case.text).unwrap(), case.ids, "{:?}", case.text);
        assert_eq!(tokenizer.decode(&case.ids).unwrap(), case.decoded.trim(), "{:?}", case.text);
    }
}

/// LLaMA-2's own vocabulary and the tokenizations that llama.cpp is tested with.
#[test]
fn llama_2_gives_its_46_reference_tokenizations() {
    let Some(folder) = shared("parity/llama2-tokenizer") else { return };
    let tokenizer = tokenizer(&folder.join("tokenizer.model"));
    assert_eq!(tokenizer.len(), 32_000);
    let texts = fs::read_to_string(folder.join("vectors.inp")).unwrap();
    let ids = fs::read_to_string(folder.join("vectors.out")).unwrap();
    let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
    let mut compared = 0;
    // What follows the last separator is no text.
    for (text, line) in texts[..texts.len() - 1].iter().zip(ids.lines()) {
        let expected: Vec<u32> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert_eq!(tokenizer.encode(text).unwrap(), expected, "{text:?}");
        assert_eq!(tokenizer.decode(&expected).unwrap(), text.trim(), "{text:?}");
        compared += 1;
    }
    assert_eq!(compared, 46);
}

/// As the reference does: every segment of text by itself, each with a blank before it.
#[test]
fn segments_around_an_image_are_tokenized_on_their_own() {
    let tokenizer = tokenizer(&fixture("sentencepiece.model"));
    let segments = ["[INST] <Img>", "</Img> [vqa] Is there a mass in the left lobe? [/INST]"];
    let by_library = |text: &str| {
        let case = golden().cases.into_iter().find(|case| case.text == text).unwrap();
        case.ids.into_iter().map(Item::Token).collect::<Vec<_>>()
    };
    let prompt =
        Prompt { segments: segments.map(str::to_owned).to_vec(), answer: String::new(), begins: 1 };
    let message = tokenizer.message(&prompt, &[7], 3, 0, true).unwrap();
    let mut expected = vec![Item::Token(1)];
    expected.extend(by_library(segments[0]));
    expected.extend((0..3).map(|index| Item::Visual { image: 7, index }));
    expected.extend(by_library(segments[1]));
    assert_eq!(message.prompt, expected);
}

#[test]
fn what_is_not_llamas_is_refused() {
    let error = Tokenizer::from_file(&fixture("sentencepiece-unigram.model"), None, "</s>");
    let message = error.err().unwrap().to_string();
    assert!(message.contains("asks for the unigram model"), "{message}");
    assert!(message.contains("tokenizer.json beside"), "{message}");

    let bytes = fs::read(fixture("sentencepiece.model")).unwrap();
    let good = SentencePieceVocabulary::from_model("m", &bytes).unwrap();
    let refused = |change: &dyn Fn(&mut SentencePieceVocabulary)| {
        let mut vocabulary = good.clone();
        change(&mut vocabulary);
        vocabulary.to_tokenizer_json("m").unwrap_err().to_string()
    };
    assert!(refused(&|v| v.pieces[300] = v.pieces[301].clone()).contains("300 and 301"));
    assert!(refused(&|v| v.kinds[300] = 5).contains("piece 300 is of kind 5"));
    assert!(refused(&|v| v.kinds[0] = 3).contains("no unknown piece"));
    assert!(refused(&|v| v.pieces[300] = "a".repeat(300)).contains("longer than 256"));
    assert!(refused(&|v| v.scores.truncate(9)).contains("scores"));
    for nothing in [b"".as_slice(), b"\x0a", b"<html>", &[0xff; 64]] {
        assert!(SentencePieceVocabulary::from_model("m", nothing).is_err());
    }
    // Normalization rules, and joined blanks, that are put behind: the last field of a kind counts.
    let mut rules = bytes.clone();
    rules.extend(b"\x1a\x03\x12\x01x");
    let message = SentencePieceVocabulary::from_model("m", &rules).unwrap_err().to_string();
    assert!(message.contains("Unicode normalization"), "{message}");
    let mut joined = bytes;
    joined.extend(b"\x1a\x02\x20\x01");
    let message = SentencePieceVocabulary::from_model("m", &joined).unwrap_err().to_string();
    assert!(message.contains("runs of blanks"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn broken_models_never_panic(
        end in 0_usize..8000,
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..6),
    ) {
        let mut bytes = fs::read(fixture("sentencepiece.model")).unwrap();
        bytes.truncate(end);
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
        }
        if let Ok(vocabulary) = SentencePieceVocabulary::from_model("m", &bytes) {
            let _ = vocabulary.to_tokenizer_json("m");
        }
    }
}

/// The prompts of PeFoMed's public code on LLaMA-2's own vocabulary; the ids are those that the
/// sentencepiece library 0.2.3 gives each segment.
#[test]
fn prompts_of_the_public_code_have_its_tokens() {
    let Some(folder) = shared("parity/llama2-tokenizer") else { return };
    let tokenizer = tokenizer(&folder.join("tokenizer.model"));
    let example = Example {
        id: "1".to_owned(),
        images: vec![ImageSource::file("a.png", "a.png")],
        task: Task::Report,
        instruction: "What is  shown?".to_owned(),
        answer: "No acute disease.".to_owned(),
        other_answers: Vec::new(),
        group: "a.png".to_owned(),
        split: Split::Train,
        labels: BTreeMap::new(),
        row: 1,
    };
    let tokens = |ids: &[u32]| ids.iter().copied().map(Item::Token).collect::<Vec<_>>();
    let before = |img: u32| [518, 25580, 29962, 529, img, 29958];
    let after = |img: u32, tag: u32| {
        let rest = [29962, 825, 338, 4318, 29973, 518, 29914, 25580, 29962];
        [&[1533, img, 29958, 518, tag][..], &rest].concat()
    };
    // `img` and `report` in training; `Img` and `caption`, after two tokens of beginning, at evaluation.
    let cases = [(false, &[1][..], 2492, 12276), (true, &[1, 1], 25518, 6671)];
    for (to_generate, begin, img, tag) in cases {
        let prompt = Compat::Pefomed.prompt(&example, 1, to_generate);
        let message = tokenizer.message(&prompt, &[0], 2, 0, to_generate).unwrap();
        let mut expected = tokens(begin);
        expected.extend(tokens(&before(img)));
        expected.extend((0..2).map(|index| Item::Visual { image: 0, index }));
        expected.extend(tokens(&after(img, tag)));
        assert_eq!(message.prompt, expected);
        let answer: &[u32] = if to_generate { &[] } else { &[694, 1274, 1082, 17135, 2] };
        assert_eq!(message.answer, answer);
    }
}
