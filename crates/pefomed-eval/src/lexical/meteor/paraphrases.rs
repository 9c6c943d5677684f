//! Paraphrases: phrases that parallel corpora translate alike.
//!
//! The table has five million entries; kept are those whose words all occur in the texts that are
//! scored, which is all that can ever match.

use rustc_hash::FxHashMap;

use super::super::vocabulary::Vocabulary;
use super::data::Source;
use crate::EvalError;

/// Phrases as word numbers, with their paraphrases in the order of the table.
#[derive(Debug, Default)]
pub(super) struct Paraphrases {
    table: FxHashMap<Box<[u32]>, Vec<Box<[u32]>>>,
    longest: usize,
}

impl Paraphrases {
    /// Reads what the words of a vocabulary can need.
    pub(super) fn read(source: &Source, words: &Vocabulary) -> Result<Self, EvalError> {
        let mut found = Self::default();
        let numbers = |phrase: &str| -> Option<Box<[u32]>> {
            phrase.split_ascii_whitespace().map(|word| words.find(word)).collect()
        };
        source.paraphrases(|phrase, paraphrase| {
            if let Some(phrase) = numbers(phrase)
                && let Some(paraphrase) = numbers(paraphrase)
                && !phrase.is_empty()
            {
                found.longest = found.longest.max(phrase.len());
                found.table.entry(phrase).or_default().push(paraphrase);
            }
        })?;
        Ok(found)
    }

    /// Phrases that begin a text, short ones first, each with one paraphrase.
    pub(super) fn starting<'a>(
        &'a self,
        text: &'a [u32],
    ) -> impl Iterator<Item = (u32, &'a [u32])> + 'a {
        (1..=self.longest.min(text.len())).flat_map(move |length| {
            let known = self.table.get(&text[..length]).map_or(&[][..], Vec::as_slice);
            known.iter().map(move |paraphrase| (length as u32, &**paraphrase))
        })
    }
}
