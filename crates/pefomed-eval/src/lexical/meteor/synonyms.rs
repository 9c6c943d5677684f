//! Synonyms: words of a common WordNet synset.

use rustc_hash::FxHashMap;

use super::data::Source;
use crate::EvalError;

/// Endings that are taken off until WordNet knows the word, with what takes their place: the rules
/// of WordNet's own morphology (`morph.c`), in its order of nouns, verbs, adjectives.
const ENDINGS: [(&str, &str); 20] = [
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
    ("s", ""),
    ("ies", "y"),
    ("es", "e"),
    ("es", ""),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
    ("er", ""),
    ("est", ""),
    ("er", "e"),
    ("est", "e"),
];

/// Synsets of words and of the words they are inflected from.
pub(super) struct Synonyms {
    synsets: FxHashMap<Box<str>, Box<[u32]>>,
    bases: FxHashMap<Box<str>, Vec<Box<str>>>,
}

impl Synonyms {
    /// Reads the lists.
    pub(super) fn read(source: &mut Source) -> Result<Self, EvalError> {
        let mut synsets = FxHashMap::default();
        let list = source.list("synonym/english.synsets")?;
        let mut lines = list.lines();
        while let (Some(word), Some(numbers)) = (lines.next(), lines.next()) {
            let numbers = numbers.split_whitespace().filter_map(|number| number.parse().ok());
            synsets.insert(word.into(), numbers.collect());
        }
        let mut bases: FxHashMap<Box<str>, Vec<Box<str>>> = FxHashMap::default();
        let list = source.list("synonym/english.exceptions")?;
        let mut lines = list.lines();
        while let (Some(base), Some(forms)) = (lines.next(), lines.next()) {
            for form in forms.split_whitespace() {
                bases.entry(form.into()).or_default().push(base.into());
            }
        }
        Ok(Self { synsets, bases })
    }

    /// The synsets a word belongs to, as it stands or by its base form, sorted.
    pub(super) fn of(&self, word: &str) -> Vec<u32> {
        let mut found: Vec<u32> = self.direct(word).to_vec();
        match self.bases.get(word) {
            Some(bases) => found.extend(bases.iter().flat_map(|base| self.direct(base))),
            None => found.extend(self.base(word).iter().flat_map(|base| self.direct(base))),
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn direct(&self, word: &str) -> &[u32] {
        self.synsets.get(word).map_or(&[], |numbers| numbers)
    }

    fn base(&self, word: &str) -> Option<String> {
        if word.ends_with("ss") || word.chars().count() <= 2 {
            return Some(word.to_owned());
        }
        ENDINGS
            .iter()
            .filter_map(|(ending, with)| Some(word.strip_suffix(ending)?.to_owned() + with))
            .find(|base| self.synsets.contains_key(base.as_str()))
    }
}
