//! Tokenizers, from `tokenizer.json`, SentencePiece's `tokenizer.model`, or the vocabulary that a
//! GGUF file carries.
//!
//! The other vocabularies are first written as a `tokenizer.json` and then read like any other, so
//! there is one way in, and a run can keep the tokenizer it used beside its weights.

use std::path::Path;

use serde_json::{Value, json};

use crate::prompt::Prompt;
use crate::sentencepiece::SentencePieceVocabulary;
use crate::tree::{Item, Message};
use crate::{DataError, files};

/// A byte-pair vocabulary as GGUF stores it under `tokenizer.ggml.*`.
#[derive(Clone, Debug, Default)]
pub struct BpeVocabulary {
    /// Token texts by id, in the byte-level alphabet.
    pub tokens: Vec<String>,
    /// Merges in order of rank: two parts with a blank between them.
    pub merges: Vec<String>,
    /// Kind of each token: 1 normal, 3 control, 4 defined by the user.
    pub kinds: Vec<i32>,
    /// How text is cut before merging: the value of `tokenizer.ggml.pre`.
    pub pre_tokenizer: String,
}

impl BpeVocabulary {
    const CONTROL: i32 = 3;
    const USER_DEFINED: i32 = 4;

    /// The same vocabulary as the contents of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] for a way of cutting text that is not known here, or lists whose
    /// lengths do not fit.
    pub fn to_tokenizer_json(&self, origin: &str) -> Result<Value, DataError> {
        let failed = |problem: String| DataError::Tokenizer { origin: origin.to_owned(), problem };
        if !self.kinds.is_empty() && self.kinds.len() != self.tokens.len() {
            let (kinds, tokens) = (self.kinds.len(), self.tokens.len());
            return Err(failed(format!("{kinds} token kinds for {tokens} tokens")));
        }
        let byte_level = json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
        });
        let pre_tokenizer = match self.pre_tokenizer.as_str() {
            "smollm" => json!({
                "type": "Sequence",
                "pretokenizers": [{"type": "Digits", "individual_digits": true}, byte_level],
            }),
            "default" | "gpt-2" | "gpt2" => byte_level.clone(),
            other => {
                return Err(failed(format!(
                    "pre-tokenizer `{other}` is not known: put the model's tokenizer.json beside \
                     the weights and name it in the recipe"
                )));
            }
        };
        let vocabulary: serde_json::Map<String, Value> =
            self.tokens.iter().enumerate().map(|(id, text)| (text.clone(), json!(id))).collect();
        if vocabulary.len() != self.tokens.len() {
            return Err(failed("two tokens have the same text".to_owned()));
        }
        let mut merges = Vec::with_capacity(self.merges.len());
        for merge in &self.merges {
            let pair = merge.split_once(' ').ok_or_else(|| {
                failed(format!("merge `{merge}` is not two parts with a blank between them"))
            })?;
            merges.push(json!([pair.0, pair.1]));
        }
        let special = self
            .kinds
            .iter()
            .enumerate()
            .filter(|(_, kind)| matches!(**kind, Self::CONTROL | Self::USER_DEFINED));
        let added: Vec<Value> = special
            .map(|(id, kind)| {
                json!({
                    "id": id, "content": self.tokens[id], "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": *kind == Self::CONTROL,
                })
            })
            .collect();
        Ok(json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": null, "pre_tokenizer": pre_tokenizer, "post_processor": null,
            "decoder": byte_level,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "fuse_unk": false,
                "byte_fallback": false, "vocab": vocabulary, "merges": merges,
            },
        }))
    }
}

/// A tokenizer with the tokens that begin a sequence and end an answer.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Put before the prompt, if the decoder was trained with such a token.
    pub begin: Option<u32>,
    /// Ends an answer.
    pub end: u32,
    origin: String,
    digest: String,
}

impl Tokenizer {
    /// Reads the contents of a `tokenizer.json`. `begin` and `end` are token texts.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] when the bytes are no tokenizer or it lacks one of the tokens.
    pub fn from_json(
        origin: &str,
        json: &[u8],
        begin: Option<&str>,
        end: &str,
    ) -> Result<Self, DataError> {
        let failed = |problem: String| DataError::Tokenizer { origin: origin.to_owned(), problem };
        let inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| failed(format!("not a tokenizer.json: {error}")))?;
        let id = |text: &str| {
            inner.token_to_id(text).ok_or_else(|| failed(format!("it has no token `{text}`")))
        };
        let begin = begin.map(id).transpose()?;
        let end = id(end)?;
        Ok(Self { inner, begin, end, origin: origin.to_owned(), digest: files::digest([json]) })
    }

    /// Reads the contents of a `tokenizer.json` or a `tokenizer.model`, told by the first byte.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`], as [`Tokenizer::from_json`] and
    /// [`SentencePieceVocabulary::from_model`].
    pub fn from_bytes(
        origin: &str,
        bytes: &[u8],
        begin: Option<&str>,
        end: &str,
    ) -> Result<Self, DataError> {
        if bytes.trim_ascii_start().starts_with(b"{") {
            return Self::from_json(origin, bytes, begin, end);
        }
        let vocabulary = SentencePieceVocabulary::from_model(origin, bytes)?;
        let json = vocabulary.to_tokenizer_json(origin)?.to_string();
        Self::from_json(origin, json.as_bytes(), begin, end)
    }

    /// Reads a `tokenizer.json` or `tokenizer.model` file.
    ///
    /// # Errors
    /// [`DataError::Read`] or [`DataError::Tokenizer`].
    pub fn from_file(path: &Path, begin: Option<&str>, end: &str) -> Result<Self, DataError> {
        let bytes = files::read_bytes(path)?;
        Self::from_bytes(&path.display().to_string(), &bytes, begin, end)
    }

    /// Token ids of one text segment, nothing added at either side.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] when the text cannot be encoded.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = self.inner.encode_fast(text, false).map_err(|error| {
            DataError::Tokenizer { origin: self.origin.clone(), problem: error.to_string() }
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Text of some tokens; special tokens are left out and blanks at either end trimmed.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] when an id is not in the vocabulary.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, DataError> {
        let text = self.inner.decode(tokens, true).map_err(|error| DataError::Tokenizer {
            origin: self.origin.clone(),
            problem: error.to_string(),
        })?;
        Ok(text.trim().to_owned())
    }

    /// Number of tokens, special ones included.
    pub fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether the vocabulary is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names the vocabulary and its rules.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Tokenizes a prompt. Between its segments stand the images, `visual_tokens` items each, named
    /// by `images`. The answer follows with the end token unless `to_generate`.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] when a segment cannot be encoded.
    pub fn message(
        &self,
        prompt: &Prompt,
        images: &[u32],
        visual_tokens: usize,
        key: u64,
        to_generate: bool,
    ) -> Result<Message, DataError> {
        let begin = self.begin.map(Item::Token);
        let mut items: Vec<Item> = begin.into_iter().flat_map(|b| vec![b; prompt.begins]).collect();
        for (index, segment) in prompt.segments.iter().enumerate() {
            if index > 0
                && let Some(&image) = images.get(index - 1)
            {
                items.extend((0..visual_tokens as u32).map(|index| Item::Visual { image, index }));
            }
            items.extend(self.encode(segment)?.into_iter().map(Item::Token));
        }
        let mut answer = Vec::new();
        if !to_generate {
            answer = self.encode(&prompt.answer)?;
            answer.push(self.end);
        }
        Ok(Message { key, prompt: items, answer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes `a`, `b`, the blank (`Ġ`), digits, one merge and two control tokens.
    fn vocabulary() -> BpeVocabulary {
        let tokens = ["a", "b", "Ġ", "1", "2", "ab", "12", "<s>", "</s>"];
        BpeVocabulary {
            tokens: tokens.iter().map(ToString::to_string).collect(),
            merges: vec!["a b".to_owned(), "1 2".to_owned()],
            kinds: vec![1, 1, 1, 1, 1, 1, 1, 3, 3],
            pre_tokenizer: "smollm".to_owned(),
        }
    }

    fn tokenizer() -> Tokenizer {
        let json = vocabulary().to_tokenizer_json("test").unwrap().to_string();
        Tokenizer::from_json("test", json.as_bytes(), Some("<s>"), "</s>").unwrap()
    }

    #[test]
    fn digits_stand_alone_and_special_tokens_are_whole() {
        let tokenizer = tokenizer();
        assert_eq!(tokenizer.encode("ab 12").unwrap(), [5, 2, 3, 4]);
        assert_eq!(tokenizer.encode("</s>ab").unwrap(), [8, 5]);
        assert_eq!(tokenizer.decode(&[2, 5, 8]).unwrap(), "ab");
    }

    #[test]
    fn a_message_is_begin_segments_images_answer_end() {
        let prompt =
            Prompt { segments: vec!["a".into(), "b".into()], answer: "ab".into(), begins: 1 };
        let message = tokenizer().message(&prompt, &[4], 2, 9, false).unwrap();
        let visual = |index| Item::Visual { image: 4, index };
        let expected = [Item::Token(7), Item::Token(0), visual(0), visual(1), Item::Token(1)];
        assert_eq!(message.prompt, expected);
        assert_eq!(message.answer, [5, 8]);
    }

    #[test]
    fn unfit_vocabularies_are_refused() {
        let mut unknown = vocabulary();
        unknown.pre_tokenizer = "llama-bpe".to_owned();
        let message = unknown.to_tokenizer_json("x.gguf").unwrap_err().to_string();
        assert!(message.contains("x.gguf") && message.contains("llama-bpe"), "{message}");
        let mut broken = vocabulary();
        broken.merges.push("ab".to_owned());
        assert!(broken.to_tokenizer_json("x.gguf").is_err());
        let mut uneven = vocabulary();
        uneven.kinds.pop();
        assert!(uneven.to_tokenizer_json("x.gguf").is_err());
        let json = vocabulary().to_tokenizer_json("test").unwrap().to_string();
        let error = Tokenizer::from_json("t", json.as_bytes(), None, "<end>").err().unwrap();
        assert!(error.to_string().contains("<end>"));
    }
}
