//! Words as numbers: every distinct token once, so that texts are compared without their letters.

use rustc_hash::FxHashMap;

/// Distinct words in order of appearance.
#[derive(Clone, Debug, Default)]
pub(super) struct Vocabulary {
    numbers: FxHashMap<Box<str>, u32>,
    words: Vec<Box<str>>,
}

impl Vocabulary {
    /// The number of a word, a new one if it has not been seen.
    pub(super) fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = self.words.len() as u32;
        self.numbers.insert(word.into(), number);
        self.words.push(word.into());
        number
    }

    /// The number of a word that has been seen.
    pub(super) fn find(&self, word: &str) -> Option<u32> {
        self.numbers.get(word).copied()
    }

    /// All words, by number.
    pub(super) fn words(&self) -> &[Box<str>] {
        &self.words
    }
}
