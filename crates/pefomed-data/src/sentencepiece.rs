//! SentencePiece vocabularies of LLaMA's kind, from `tokenizer.model` or a GGUF file.
//!
//! SentencePiece's byte-pair model holds no list of merges: of all neighbours whose union is a piece,
//! those with the highest score are joined first. A `tokenizer.json` says the same with merges in
//! order of rank, so every way to cut a piece into two others becomes a merge, ranked by the score
//! of the whole. Blanks are written `▁`, one more is put before the text, and a character that no
//! piece has is spelled in bytes.
//!
//! `tokenizer.model` is a message in protocol-buffer encoding, of which a dozen fields matter here.
//! Rules that LLaMA does not have (Unicode normalization, joined blanks, the unigram model) are
//! refused by name rather than followed half.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::DataError;

/// Longer pieces would make the number of merges grow with the square; LLaMA's have 16 characters.
const LONGEST_PIECE: usize = 256;

/// Pieces with their scores.
#[derive(Clone, Debug, Default)]
pub struct SentencePieceVocabulary {
    /// Texts by id, blanks written `▁`.
    pub pieces: Vec<String>,
    /// Scores by id; the union of two pieces with the highest one is made first.
    pub scores: Vec<f32>,
    /// Kind of each: 1 normal, 2 unknown, 3 control, 4 defined by the user, 5 unused, 6 a byte.
    pub kinds: Vec<i32>,
    /// Whether a blank is put before the text.
    pub dummy_prefix: bool,
}

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

impl SentencePieceVocabulary {
    /// Reads the contents of a `tokenizer.model`; `origin` names it in messages.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] for bytes that are no such model, or rules that LLaMA's has not.
    pub fn from_model(origin: &str, bytes: &[u8]) -> Result<Self, DataError> {
        let failed = |problem: String| DataError::Tokenizer { origin: origin.to_owned(), problem };
        let broken = || failed("not a SentencePiece model, or cut short".to_owned());
        let mut vocabulary = Self { dummy_prefix: true, ..Self::default() };
        // What a message leaves out has the format's default.
        let (mut kind, mut suffix) = (1, 0);
        let (mut rules, mut joins_blanks, mut escapes) = (Vec::new(), 1, 1);
        for field in fields(bytes) {
            match field.ok_or_else(broken)? {
                (1, Field::Bytes(piece)) => vocabulary.push(piece).ok_or_else(broken)?,
                (2, Field::Bytes(trainer)) => {
                    for field in fields(trainer) {
                        match field.ok_or_else(broken)? {
                            (3, Field::Number(value)) => kind = value,
                            (24, Field::Number(value)) => suffix = value,
                            _ => {}
                        }
                    }
                }
                (3, Field::Bytes(normalizer)) => {
                    for field in fields(normalizer) {
                        match field.ok_or_else(broken)? {
                            (2, Field::Bytes(map)) => rules = map.to_vec(),
                            (3, Field::Number(value)) => vocabulary.dummy_prefix = value != 0,
                            (4, Field::Number(value)) => joins_blanks = value,
                            (5, Field::Number(value)) => escapes = value,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        let refused = match (kind, suffix, joins_blanks, escapes) {
            _ if vocabulary.pieces.is_empty() => return Err(broken()),
            (2, 0, 0, 1) if rules.is_empty() => return Ok(vocabulary),
            (2, 0, 0, 1) => "Unicode normalization",
            (2, 0, 0, _) => "blanks that stay blanks",
            (2, 0, ..) => "runs of blanks joined into one",
            (2, ..) => "blanks after words instead of before them",
            (1, ..) => "the unigram model",
            _ => "a model of words or characters",
        };
        Err(failed(format!(
            "it asks for {refused}, which is not supported: put the model's tokenizer.json beside \
             the weights, or name one in the recipe"
        )))
    }

    /// Adds a piece; none when it is broken.
    fn push(&mut self, piece: &[u8]) -> Option<()> {
        let (mut text, mut score, mut kind) = ("", 0.0, NORMAL);
        for field in fields(piece) {
            match field? {
                (1, Field::Bytes(bytes)) => text = std::str::from_utf8(bytes).ok()?,
                (2, Field::Four(bytes)) => score = f32::from_le_bytes(bytes),
                (3, Field::Number(value)) => kind = i32::try_from(value).ok()?,
                _ => {}
            }
        }
        self.pieces.push(text.to_owned());
        self.scores.push(score);
        self.kinds.push(kind);
        Some(())
    }

    /// The same vocabulary as the contents of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] for lists whose lengths do not fit, pieces that occur twice or are
    /// of an unknown kind, and a vocabulary without an unknown piece.
    pub fn to_tokenizer_json(&self, origin: &str) -> Result<Value, DataError> {
        let failed = |problem: String| DataError::Tokenizer { origin: origin.to_owned(), problem };
        let count = self.pieces.len();
        if self.scores.len() != count || self.kinds.len() != count {
            let (scores, kinds) = (self.scores.len(), self.kinds.len());
            return Err(failed(format!("{count} pieces with {scores} scores and {kinds} kinds")));
        }
        let mut ids = HashMap::with_capacity(count);
        for (id, piece) in self.pieces.iter().enumerate() {
            if piece.len() > LONGEST_PIECE {
                return Err(failed(format!("piece {id} is longer than {LONGEST_PIECE} bytes")));
            }
            if let Some(first) = ids.insert(piece.as_str(), id) {
                return Err(failed(format!("pieces {first} and {id} are the same")));
            }
            if !(NORMAL..=BYTE).contains(&self.kinds[id]) || self.kinds[id] == UNUSED {
                return Err(failed(format!("piece {id} is of kind {}", self.kinds[id])));
            }
        }
        let unknown = self.kinds.iter().position(|&kind| kind == UNKNOWN);
        let unknown = unknown.ok_or_else(|| failed("it has no unknown piece".to_owned()))?;
        let spelled = self.kinds.contains(&BYTE);
        let added: Vec<Value> = (0..count)
            .filter(|&id| matches!(self.kinds[id], UNKNOWN | CONTROL | USER_DEFINED))
            .map(|id| {
                json!({
                    "id": id, "content": self.pieces[id], "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false,
                    "special": self.kinds[id] != USER_DEFINED,
                })
            })
            .collect();
        let vocabulary: serde_json::Map<String, Value> =
            self.pieces.iter().enumerate().map(|(id, text)| (text.clone(), json!(id))).collect();
        let blank = json!({"String": " "});
        let mut normalizers = vec![json!({"type": "Replace", "pattern": blank, "content": "▁"})];
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if self.dummy_prefix {
            normalizers.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        Ok(json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": {"type": "Sequence", "normalizers": normalizers},
            "pre_tokenizer": null, "post_processor": null,
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": {
                "type": "BPE", "dropout": null, "unk_token": self.pieces[unknown],
                "fuse_unk": true, "byte_fallback": spelled, "ignore_merges": false,
                "vocab": vocabulary, "merges": self.merges(&ids),
            },
        }))
    }

    /// Every pair of pieces whose union is a piece, the highest score of the union first; equal
    /// scores in the order of ids.
    fn merges(&self, ids: &HashMap<&str, usize>) -> Vec<[&str; 2]> {
        let joins = |id: usize| matches!(self.kinds[id], NORMAL | USER_DEFINED);
        let mut merges = Vec::new();
        for (id, piece) in self.pieces.iter().enumerate().filter(|(id, _)| joins(*id)) {
            for (at, _) in piece.char_indices().skip(1) {
                let (left, right) = piece.split_at(at);
                if let (Some(&a), Some(&b)) = (ids.get(left), ids.get(right))
                    && joins(a)
                    && joins(b)
                {
                    merges.push((self.scores[id], id, (a, b), [left, right]));
                }
            }
        }
        merges.sort_by(|x, y| y.0.total_cmp(&x.0).then((x.1, x.2).cmp(&(y.1, y.2))));
        merges.into_iter().map(|(.., pair)| pair).collect()
    }
}

/// A value in protocol-buffer encoding.
enum Field<'a> {
    Number(u64),
    Eight,
    Bytes(&'a [u8]),
    Four([u8; 4]),
}

/// The fields of a message with their numbers; none where it is broken, which ends it.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u64, Field<'_>)>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let found = field(&mut bytes);
        if found.is_none() {
            bytes = &[];
        }
        Some(found)
    })
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let tag = number(bytes)?;
    let value = match tag & 7 {
        0 => Field::Number(number(bytes)?),
        1 => {
            bytes.split_off(..8)?;
            Field::Eight
        }
        2 => {
            let length = usize::try_from(number(bytes)?).ok()?;
            Field::Bytes(bytes.split_off(..length)?)
        }
        5 => Field::Four(*bytes.split_off(..4)?.first_chunk()?),
        _ => return None,
    };
    Some((tag >> 3, value))
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
