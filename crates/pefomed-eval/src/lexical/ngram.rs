//! N-grams of one to four words, counted exactly: an n-gram's number stands for the number of what
//! precedes its last word, and that word.

use rustc_hash::FxHashMap;

use super::text::Text;

/// Longest n-gram.
pub(super) const ORDERS: usize = 4;

/// Numbers of n-grams of a collection of texts, each order for itself.
#[derive(Clone, Debug, Default)]
pub(super) struct NgramNumbers {
    /// For two, three and four words: (number of all but the last word, last word) to number.
    longer: [FxHashMap<u64, u32>; ORDERS - 1],
}

/// How often each n-gram of a text occurs, by order, sorted by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ngrams {
    pub(super) words: usize,
    pub(super) counts: [Vec<(u32, u32)>; ORDERS],
}

impl NgramNumbers {
    /// Counts the n-grams of a text.
    pub(super) fn count(&mut self, text: &Text) -> Ngrams {
        let mut numbers = text.words.clone();
        let mut counts: [Vec<(u32, u32)>; ORDERS] = Default::default();
        for (order, counts) in counts.iter_mut().enumerate() {
            if let Some(known) = order.checked_sub(1).map(|shorter| &mut self.longer[shorter]) {
                numbers.truncate(text.words.len().saturating_sub(order));
                for (number, last) in numbers.iter_mut().zip(text.words.iter().skip(order)) {
                    let next = known.len() as u32;
                    let key = u64::from(*number) << 32 | u64::from(*last);
                    *number = *known.entry(key).or_insert(next);
                }
            }
            *counts = counted(&numbers);
        }
        Ngrams { words: text.words.len(), counts }
    }
}

fn counted(numbers: &[u32]) -> Vec<(u32, u32)> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let mut counts: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
    for number in sorted {
        match counts.last_mut() {
            Some((last, count)) if *last == number => *count += 1,
            _ => counts.push((number, 1)),
        }
    }
    counts
}

/// Walks through two sorted lists and gives both counts of every n-gram that both have.
pub(super) fn shared(a: &[(u32, u32)], b: &[(u32, u32)], mut give: impl FnMut(u32, u32, u32)) {
    let mut rest = b.iter().peekable();
    for (number, count) in a {
        while rest.next_if(|(other, _)| other < number).is_some() {}
        if let Some((_, other)) = rest.next_if(|(other, _)| other == number) {
            give(*number, *count, *other);
        }
    }
}

/// For every n-gram the most often that one of the references has it.
pub(super) fn most(references: &[Ngrams], order: usize) -> Vec<(u32, u32)> {
    let mut all: Vec<(u32, u32)> =
        references.iter().flat_map(|reference| &reference.counts[order]).copied().collect();
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    all.dedup_by_key(|(number, _)| *number);
    all
}
