//! METEOR 1.5 (Denkowski & Lavie 2014), default English parameters.
//!
//! Candidate and reference are aligned word by word: equal words, equal stems, words of a common
//! synset, paraphrases. The score weighs recall over precision, content words over function words,
//! and takes off for words in another order. Synonyms and paraphrases come from METEOR's own data;
//! without it only the first two are left, and the number is named so, for it is another metric.

mod align;
mod data;
mod normalise;
mod paraphrases;
mod score;
mod stem;
mod synonyms;

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::align::{Candidates, Match, Search};
use self::data::Source;
use self::paraphrases::Paraphrases;
use self::synonyms::Synonyms;
use super::text::{Pair, Reader, Text};
use super::vocabulary::Vocabulary;
use crate::EvalError;

pub use self::score::MeteorStatistics;

/// METEOR's function words (English): they weigh a third of the others.
const FUNCTION_WORDS: &str = "the , . of to and a in that for \" is on 's it with was as said at he \
    by be from have has are his but an this not i will \u{2019} they ) -rrb- ( -lrb- who their had we \
    which were been more or s its would about new one after you : also up when there than $ all out \
    her people she year two - can if last first \u{201c} over other \u{201d} into some what so -- no \
    time years could ? 't \u{2014} '";

/// Which of METEOR's matchers were used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeteorKind {
    /// All four: exact, stem, synonym, paraphrase. This is the published metric.
    Full,
    /// Exact and stem only, for want of METEOR's data.
    ExactAndStem,
}

impl MeteorKind {
    /// The metric's name, which says what it is not.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "METEOR",
            Self::ExactAndStem => "METEOR (exact and stem only)",
        }
    }
}

/// METEOR's statistics of every pair; of several references the one with the highest score counts.
///
/// `data` is METEOR's archive or the folder that holds it; without it only exact words and stems
/// match ([`MeteorKind::ExactAndStem`]).
///
/// # Errors
/// [`EvalError::MeteorData`] when the data cannot be read, with the file and what is missing.
pub fn meteor(
    reader: &Reader,
    pairs: &[Pair],
    data: Option<&Path>,
) -> Result<Vec<MeteorStatistics>, EvalError> {
    let mut words = Words::new(reader);
    let texts: Vec<(Vec<u32>, Vec<Vec<u32>>)> = pairs
        .iter()
        .map(|pair| {
            let references = pair.references.iter().map(|text| words.of(text)).collect();
            (words.of(&pair.candidate), references)
        })
        .collect();
    let knowledge = Knowledge::new(words.vocabulary, data)?;
    let statistics = texts.par_chunks(64).map_init(Default::default, |memory, texts| {
        let score = |(candidate, references): &(Vec<u32>, Vec<Vec<u32>>)| {
            let mut best: Option<MeteorStatistics> = None;
            for reference in references {
                let found = knowledge.statistics(candidate, reference, memory);
                if best.is_none_or(|best| found.score() > best.score()) {
                    best = Some(found);
                }
            }
            best.unwrap_or_default()
        };
        texts.iter().map(score).collect::<Vec<_>>()
    });
    Ok(statistics.flatten().collect())
}

/// Splits tokens into METEOR's words, each distinct token once.
struct Words<'a> {
    reader: &'a Reader,
    split: Vec<Option<Vec<String>>>,
    vocabulary: Vocabulary,
}

impl<'a> Words<'a> {
    fn new(reader: &'a Reader) -> Self {
        let split = vec![None; reader.vocabulary.words().len()];
        Self { reader, split, vocabulary: Vocabulary::default() }
    }

    fn of(&mut self, text: &Text) -> Vec<u32> {
        for token in &text.tokens {
            let token = *token as usize;
            if self.split[token].is_none() {
                self.split[token] = Some(normalise::split(&self.reader.vocabulary.words()[token]));
            }
        }
        let words: Vec<&str> = text
            .tokens
            .iter()
            .filter_map(|token| self.split[*token as usize].as_ref())
            .flatten()
            .map(String::as_str)
            .collect();
        normalise::finish(&words, &mut self.vocabulary)
    }
}

/// What is known of every word: its stem, whether it is a function word, its synsets.
struct Knowledge {
    stems: Vec<u32>,
    is_function: Vec<bool>,
    synsets: Option<Vec<Vec<u32>>>,
    paraphrases: Option<Paraphrases>,
}

impl Knowledge {
    fn new(words: Vocabulary, data: Option<&Path>) -> Result<Self, EvalError> {
        let mut stems = Vocabulary::default();
        let function: Vec<&str> = FUNCTION_WORDS.split_ascii_whitespace().collect();
        let (mut synsets, mut paraphrases) = (None, None);
        if let Some(path) = data {
            let mut source = Source::open(path)?;
            let synonyms = Synonyms::read(&mut source)?;
            synsets = Some(words.words().iter().map(|word| synonyms.of(word)).collect());
            paraphrases = Some(Paraphrases::read(&source, &words)?);
        }
        Ok(Self {
            stems: words.words().iter().map(|word| stems.number(&stem::stem(word))).collect(),
            is_function: words.words().iter().map(|word| function.contains(&&**word)).collect(),
            synsets,
            paraphrases,
        })
    }

    fn statistics(
        &self,
        candidate: &[u32],
        reference: &[u32],
        (found, search): &mut (Candidates, Search),
    ) -> MeteorStatistics {
        self.find(candidate, reference, found);
        let matches = search.best(found);
        let is_function = |word: u32| self.is_function[word as usize];
        MeteorStatistics::new(candidate, reference, &matches, is_function)
    }

    /// Finds all matches, module by module.
    fn find(&self, candidate: &[u32], reference: &[u32], found: &mut Candidates) {
        found.begin(candidate.len(), reference.len());
        each_pair(0, candidate, reference, found, |wanted, said| wanted == said);
        // Equal texts need nothing but equal words.
        if candidate != reference {
            let stem = |word: u32| self.stems[word as usize];
            let stems = |text: &[u32]| text.iter().map(|word| stem(*word)).collect::<Vec<u32>>();
            let (said, wanted) = (stems(candidate), stems(reference));
            for (place, stem) in wanted.iter().enumerate() {
                for (other, _) in said.iter().enumerate().filter(|(_, said)| *said == stem) {
                    if reference[place] != candidate[other] {
                        found.add(Match {
                            module: 1,
                            reference: (place as u32, 1),
                            candidate: (other as u32, 1),
                        });
                    }
                }
            }
            if let Some(synsets) = &self.synsets {
                each_pair(2, candidate, reference, found, |wanted, said| {
                    wanted != said && intersect(&synsets[wanted as usize], &synsets[said as usize])
                });
            }
            if let Some(paraphrases) = &self.paraphrases {
                add_paraphrases(paraphrases, candidate, reference, found);
            }
        }
        found.finish();
    }
}

/// Matches of single words.
fn each_pair(
    module: u8,
    candidate: &[u32],
    reference: &[u32],
    found: &mut Candidates,
    same: impl Fn(u32, u32) -> bool,
) {
    for (place, wanted) in reference.iter().enumerate() {
        for (other, said) in candidate.iter().enumerate() {
            if same(*wanted, *said) {
                found.add(Match {
                    module,
                    reference: (place as u32, 1),
                    candidate: (other as u32, 1),
                });
            }
        }
    }
}

fn intersect(a: &[u32], b: &[u32]) -> bool {
    let mut b = b.iter().peekable();
    a.iter().any(|number| {
        while b.next_if(|other| *other < number).is_some() {}
        b.peek() == Some(&number)
    })
}

/// Phrases of the reference whose paraphrase the candidate has, then the other way round. A pair that
/// the table has in both directions is found twice, as METEOR finds it.
fn add_paraphrases(
    paraphrases: &Paraphrases,
    candidate: &[u32],
    reference: &[u32],
    found: &mut Candidates,
) {
    let places = |text: &[u32], phrase: &[u32]| -> Vec<u32> {
        let length = phrase.len().max(1);
        let windows = text.windows(length).enumerate();
        windows.filter(|(_, window)| *window == phrase).map(|(at, _)| at as u32).collect()
    };
    for place in 0..reference.len() {
        for (length, paraphrase) in paraphrases.starting(&reference[place..]) {
            for other in places(candidate, paraphrase) {
                found.add(Match {
                    module: 3,
                    reference: (place as u32, length),
                    candidate: (other, paraphrase.len() as u32),
                });
            }
        }
    }
    for place in 0..candidate.len() {
        for (length, paraphrase) in paraphrases.starting(&candidate[place..]) {
            for other in places(reference, paraphrase) {
                found.add(Match {
                    module: 3,
                    reference: (other, paraphrase.len() as u32),
                    candidate: (place as u32, length),
                });
            }
        }
    }
}
