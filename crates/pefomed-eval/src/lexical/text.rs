//! Texts as numbered tokens: what every lexical metric starts from.

use pefomed_data::Prediction;

use super::Tokenizer;
use super::vocabulary::Vocabulary;

/// One text, tokenized.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Tokens, as ROUGE-L sees them: at least one, for a text without tokens is one empty token to
    /// the COCO caption evaluation.
    pub(super) tokens: Vec<u32>,
    /// Words, as n-grams are made of: tokens, those with no-break spaces inside split there.
    pub(super) words: Vec<u32>,
}

impl Text {
    /// Number of words.
    pub fn words(&self) -> usize {
        self.words.len()
    }
}

/// A candidate and what it should have said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What was written.
    pub candidate: Text,
    /// What a person wrote: one text or more.
    pub references: Vec<Text>,
}

/// Tokenizes texts of one collection, whose tokens share numbers.
#[derive(Default)]
pub struct Reader {
    tokenizer: Tokenizer,
    pub(super) vocabulary: Vocabulary,
}

impl Reader {
    /// A reader without any words yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tokenizes one text.
    pub fn text(&mut self, text: &str) -> Text {
        let vocabulary = &mut self.vocabulary;
        let mut read = Text::default();
        self.tokenizer.each(text, |token| read.push(token, vocabulary));
        if read.tokens.is_empty() {
            read.tokens.push(vocabulary.number(""));
        }
        read
    }

    /// Takes tokens that were made elsewhere.
    pub fn tokens<'a>(&mut self, tokens: impl IntoIterator<Item = &'a str>) -> Text {
        let mut read = Text::default();
        for token in tokens {
            read.push(token, &mut self.vocabulary);
        }
        if read.tokens.is_empty() {
            read.tokens.push(self.vocabulary.number(""));
        }
        read
    }

    /// Tokenizes what was predicted, with every accepted answer.
    pub(crate) fn prediction(&mut self, line: &Prediction) -> Pair {
        let candidate = self.text(&line.prediction);
        Pair { candidate, references: line.references().map(|text| self.text(text)).collect() }
    }

    /// Tokenizes a candidate with one reference.
    pub fn pair(&mut self, candidate: &str, reference: &str) -> Pair {
        Pair { candidate: self.text(candidate), references: vec![self.text(reference)] }
    }
}

impl Text {
    fn push(&mut self, token: &str, vocabulary: &mut Vocabulary) {
        let number = vocabulary.number(token);
        self.tokens.push(number);
        if token.is_ascii() || !token.contains(char::is_whitespace) {
            self.words.push(number);
        } else {
            self.words.extend(token.split_whitespace().map(|word| vocabulary.number(word)));
        }
    }
}
