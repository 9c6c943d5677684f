//! The tiny decoder and its tokenizer.

use std::collections::HashSet;

use pefomed_data::{Item, Message, MessageTree, PackedBatch, Tokenizer};
use pefomed_model::config::{LlamaConfig, UnlikelyKeys, Window};
use pefomed_model::decoder::LlamaDecoder;
use pefomed_model::parameters::Placement;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerBuilder};

use super::BaseRecipe;
use super::corpus::Corpus;
use super::learn::learn;
use crate::TrainError;
use crate::events::Observer;

/// Documents that the vocabulary is learned from.
const VOCABULARY_DOCUMENTS: usize = 6000;
/// Documents of one micro-batch.
const MICRO_BATCH: usize = 6;

pub(super) fn train(
    recipe: &BaseRecipe,
    observer: &mut dyn Observer,
) -> Result<(LlamaDecoder, String), TrainError> {
    let shape = &recipe.decoder;
    let json = vocabulary(shape.vocabulary, recipe.seed)?;
    let tokenizer = Tokenizer::from_json("tiny base", json.as_bytes(), Some("<s>"), "</s>")?;
    let config = LlamaConfig {
        model_type: "llama".to_owned(),
        hidden_size: shape.hidden_size,
        intermediate_size: shape.intermediate_size,
        num_hidden_layers: shape.layers,
        num_attention_heads: shape.heads,
        num_key_value_heads: Some(shape.key_value_heads),
        head_dim: None,
        vocab_size: tokenizer.len(),
        rms_norm_eps: 1e-5,
        rope_theta: Some(10_000.0),
        rope_parameters: None,
        rope_scaling: None,
        sliding_window: Window::Absent,
        use_sliding_window: None,
        max_window_layers: None,
        layer_types: None,
        tie_word_embeddings: true,
        attention_bias: false,
        mlp_bias: false,
        hidden_act: "silu".to_owned(),
        others: UnlikelyKeys::default(),
    };
    let mut decoder = LlamaDecoder::random(config, recipe.seed + 11, &Placement::cpu());
    let mut corpus = Corpus::new(recipe.seed + 12);
    let draw = |_| {
        let trees = (0..shape.training.batch)
            .filter_map(|_| tree(&mut corpus, &tokenizer).transpose())
            .collect::<Result<Vec<MessageTree>, TrainError>>()?;
        let targets: usize = trees.iter().map(MessageTree::targets).sum();
        Ok(trees.chunks(MICRO_BATCH).map(|trees| (PackedBatch::new(trees), targets)).collect())
    };
    let loss = |decoder: &LlamaDecoder, (packed, targets): (PackedBatch, usize)| {
        Ok((loss_sum(decoder, &packed).mul_scalar(1.0 / targets as f64), packed.len()))
    };
    learn("decoder", &mut decoder, &shape.training, observer, draw, loss)?;
    Ok((decoder, json))
}

fn loss_sum(decoder: &LlamaDecoder, batch: &PackedBatch) -> burn::tensor::Tensor<1> {
    let tokens: Vec<u32> = batch
        .items
        .iter()
        .map(|item| match item {
            Item::Token(token) => *token,
            Item::Visual { .. } => 0,
        })
        .collect();
    let layout = decoder.batch(batch, None).only_targets(batch);
    let hidden = decoder.forward(decoder.embed(&tokens), &layout, None, None);
    decoder.target_loss(hidden, batch)
}

/// A document as a tree; the answers and the end token after each are learned.
fn tree(corpus: &mut Corpus, tokenizer: &Tokenizer) -> Result<Option<MessageTree>, TrainError> {
    let document = corpus.document();
    let mut root: Vec<u32> = tokenizer.begin.into_iter().collect();
    root.extend(tokenizer.encode(&document.root)?);
    let mut messages = Vec::with_capacity(document.branches.len());
    for (prompt, answer) in &document.branches {
        let mut tokens = root.clone();
        tokens.extend(tokenizer.encode(prompt)?);
        let mut answer = tokenizer.encode(answer)?;
        answer.push(tokenizer.end);
        let prompt = tokens.into_iter().map(Item::Token).collect();
        messages.push(Message { key: 0, prompt, answer });
    }
    Ok(MessageTree::new(messages))
}

/// Learns a byte-level vocabulary from documents; returns a `tokenizer.json`.
fn vocabulary(size: usize, seed: u64) -> Result<String, TrainError> {
    let failed = |error: tokenizers::Error| {
        TrainError::Data(pefomed_data::DataError::Tokenizer {
            origin: "tiny base".to_owned(),
            problem: error.to_string(),
        })
    };
    let special = ["<s>", "</s>"].map(|text| AddedToken::from(text, true));
    let byte_level = ByteLevel::new(false, true, true);
    let alphabet: HashSet<char> = ByteLevel::alphabet().into_iter().collect();
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(size)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(special.to_vec())
        .initial_alphabet(alphabet)
        .build();
    let mut tokenizer = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(None::<tokenizers::NormalizerWrapper>)
        .with_pre_tokenizer(Some(byte_level))
        .with_post_processor(None::<tokenizers::PostProcessorWrapper>)
        .with_decoder(Some(byte_level))
        .build()
        .map_err(failed)?;
    let mut corpus = Corpus::new(seed + 13);
    let texts = (0..VOCABULARY_DOCUMENTS).flat_map(|_| {
        let document = corpus.document();
        let branches = document.branches.into_iter().flat_map(|(a, b)| [a, b]);
        std::iter::once(document.root).chain(branches).collect::<Vec<_>>()
    });
    tokenizer.train(&mut trainer, texts).map_err(failed)?;
    tokenizer.to_string(true).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vocabulary_is_the_same_every_time_and_keeps_frequent_words_whole() {
        let json = vocabulary(700, 3).unwrap();
        assert_eq!(json, vocabulary(700, 3).unwrap());
        let tokenizer = Tokenizer::from_json("t", json.as_bytes(), Some("<s>"), "</s>").unwrap();
        assert!(tokenizer.len() <= 700);
        assert_eq!(tokenizer.encode(" left").unwrap().len(), 1);
        let text = "[INST] Ünïted 12 mass";
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text);
    }
}
