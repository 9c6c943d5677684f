//! SentencePiece's `tokenizer.model`, up to the merges made of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pefomed_data::sentencepiece::SentencePieceVocabulary;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(vocabulary) = SentencePieceVocabulary::from_model("tokenizer.model", bytes) {
        let _ = vocabulary.to_tokenizer_json("tokenizer.model");
    }
});
