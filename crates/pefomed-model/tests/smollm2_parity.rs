//! A published language model out of its GGUF file: logits against `transformers`, token ids
//! against the tokenizer library and a second reading by hand.

mod common;

use std::path::PathBuf;

use common::{Golden, distance, fixture, shared, single, text, values};
use pefomed_data::tokenizer::{BpeVocabulary, Tokenizer};
use pefomed_data::{PackedBatch, files};
use pefomed_model::config::LlamaConfig;
use pefomed_model::decoder::LlamaDecoder;
use pefomed_model::parameters::{Placement, Trainable as _};
use pefomed_model::weights::{GgufFile, Loader, TensorSource as _};
use serde::Deserialize;

fn model() -> Option<PathBuf> {
    shared("models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf")
}

#[test]
#[allow(clippy::print_stdout)]
fn logits_of_two_texts_are_those_of_transformers() {
    let Some(path) = model() else { return };
    let golden = Golden::open(&fixture("smollm2-logits.safetensors"));
    let file = GgufFile::open(&path).unwrap();
    let mut loader = Loader::new(&file);
    let tied = !loader.has("output.weight");
    assert_eq!(tied, golden.fact::<bool>("tie_word_embeddings"));
    let config = LlamaConfig::from_gguf(&file, file.origin(), tied).unwrap();
    assert_eq!(config.rope_base(), golden.fact::<f64>("rope_theta"));
    assert_eq!(config.rms_norm_eps, golden.fact::<f64>("rms_norm_eps"));
    let (count, vocabulary) = (config.parameter_count(), config.vocab_size);
    let mut decoder = LlamaDecoder::from_gguf(config, &mut loader, &Placement::cpu()).unwrap();
    loader.finish(&LlamaDecoder::ignorable).unwrap();
    assert_eq!(decoder.parameter_count(), count);

    let mut worst: f64 = 0.0;
    for sequence in 0..2 {
        let named = |name: &str| format!("golden.{sequence}.{name}");
        let tokens = golden.tokens(&named("input_ids"));
        let batch = PackedBatch::new([&single(1, text(&tokens), &[])]);
        let layout = decoder.batch(&batch, None);
        let hidden = decoder.forward(decoder.embed(&tokens), &layout, None, None);
        let logits = values(decoder.logits(hidden));
        let rows: Vec<&[f64]> = logits.chunks(vocabulary).collect();
        assert_eq!(rows.len(), tokens.len());
        let expected = golden.reals(&named("last_logits"));
        worst = worst.max(distance(rows[tokens.len() - 1], &expected));
        let tops = golden.tokens(&named("top_ids"));
        let expected = golden.reals(&named("top_logits"));
        let positions = golden.integers(&named("positions"));
        for ((at, ids), expected) in positions.iter().zip(tops.chunks(64)).zip(expected.chunks(64))
        {
            let row = rows[*at as usize];
            let found: Vec<f64> = ids.iter().map(|&id| row[id as usize]).collect();
            worst = worst.max(distance(&found, expected));
            // No other token is more likely than the 64 that should be.
            let above = row.iter().filter(|&&logit| logit > found[63] + 1e-3).count();
            assert!(above <= 63, "{above} tokens before the 64th");
        }
    }
    println!("largest difference of a logit: {worst:.2e}");
    assert!(worst < 1e-3, "{worst:e}");
}

#[derive(Deserialize)]
struct Tokens {
    cases: Vec<Case>,
    chat: Chat,
    tokenizer: Facts,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    specials: bool,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Chat {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Facts {
    absent_bytes: Vec<u8>,
    bos: u32,
    eos: u32,
    vocabulary: usize,
}

#[test]
fn texts_become_the_tokens_of_the_reference() {
    let Some(path) = model() else { return };
    let expected: Tokens = files::read_json(&fixture("smollm2-tokens.json")).unwrap();
    let file = GgufFile::open(&path).unwrap();
    let strings = |key: &str| -> Vec<String> {
        file.string_array(key).unwrap().into_iter().map(str::to_owned).collect()
    };
    let vocabulary = BpeVocabulary {
        tokens: strings("tokenizer.ggml.tokens"),
        merges: strings("tokenizer.ggml.merges"),
        kinds: file.i32_array("tokenizer.ggml.token_type").unwrap(),
        pre_tokenizer: file.str("tokenizer.ggml.pre").unwrap().to_owned(),
    };
    let json = vocabulary.to_tokenizer_json(file.origin()).unwrap().to_string();
    let begin = Some("<|im_start|>");
    let tokenizer =
        Tokenizer::from_json(file.origin(), json.as_bytes(), begin, "<|im_end|>").unwrap();
    assert_eq!(tokenizer.len(), expected.tokenizer.vocabulary);
    assert_eq!(tokenizer.begin, Some(expected.tokenizer.bos));
    assert_eq!(tokenizer.end, expected.tokenizer.eos);

    // Names of special tokens in a text always become the token here, so the cases where they are
    // plain text do not apply.
    let (cases, plain): (Vec<_>, Vec<_>) = expected.cases.iter().partition(|case| case.specials);
    assert_eq!((cases.len(), plain.len()), (56, 3));
    for case in cases {
        assert_eq!(tokenizer.encode(&case.text).unwrap(), case.ids, "{:?}", case.text);
    }
    for case in plain {
        assert_ne!(tokenizer.encode(&case.text).unwrap(), case.ids, "{:?}", case.text);
    }
    assert_eq!(tokenizer.encode(&expected.chat.text).unwrap(), expected.chat.ids);

    // A byte that the vocabulary lacks leaves no token, and its neighbours then touch.
    for byte in expected.tokenizer.absent_bytes.into_iter().filter(u8::is_ascii) {
        let alone = char::from(byte).to_string();
        assert_eq!(tokenizer.encode(&alone).unwrap(), Vec::<u32>::new(), "byte {byte}");
        let around = tokenizer.encode(&format!("yes{alone}")).unwrap();
        assert_eq!(around, tokenizer.encode("yes").unwrap(), "byte {byte}");
    }
}
