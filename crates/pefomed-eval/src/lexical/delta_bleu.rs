//! deltaBLEU (Galley et al. 2015): BLEU against references that people have rated.
//!
//! A reference counts as much as its rating, from −1 (a bad answer) to 1 (the best): an n-gram is
//! worth the highest rated count it gets, and words of a badly rated reference cost.

use super::ngram::{NgramNumbers, Ngrams, ORDERS};
use super::text::Text;

/// A reference with its rating.
#[derive(Clone, Debug, PartialEq)]
pub struct RatedReference {
    /// The text.
    pub text: Text,
    /// Its rating, from −1 to 1.
    pub rating: f64,
}

/// A candidate with its rated references, at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct RatedPair {
    /// What was written.
    pub candidate: Text,
    /// What could have been written.
    pub references: Vec<RatedReference>,
}

/// deltaBLEU of a collection, for n-grams of up to `orders` words (1 to 4); none when it is not
/// defined, because no n-gram could have earned anything or because what was earned is negative.
///
/// Precision of order n is Σ max_j r_j·min(h_g, c_gj) / Σ max_j r_j·h_g over the n-grams g of all
/// candidates, with h_g and c_gj their counts in the candidate and in reference j (the maximum above
/// over the references that have g), r_j the ratings; the score is the geometric mean of the
/// precisions times BLEU's brevity penalty (equations 3 and 4 of the paper).
pub fn delta_bleu(pairs: &[RatedPair], orders: usize) -> Option<f64> {
    let orders = orders.clamp(1, ORDERS);
    let mut numbers = NgramNumbers::default();
    let (mut earned, mut possible) = ([0.0; ORDERS], [0.0; ORDERS]);
    let (mut length, mut wanted_length) = (0_usize, 0_usize);
    for pair in pairs {
        let said = numbers.count(&pair.candidate);
        let references: Vec<(Ngrams, f64)> = pair
            .references
            .iter()
            .map(|reference| (numbers.count(&reference.text), reference.rating))
            .collect();
        length += said.words;
        wanted_length += references
            .iter()
            .map(|(reference, _)| (reference.words.abs_diff(said.words), reference.words))
            .min()
            .map_or(0, |(_, words)| words);
        let best = references.iter().map(|(_, rating)| *rating).reduce(f64::max)?;
        for order in 0..orders {
            for (number, count) in &said.counts[order] {
                let matched = references.iter().filter_map(|(reference, rating)| {
                    let counts = &reference.counts[order];
                    let at = counts.binary_search_by_key(number, |(number, _)| *number).ok()?;
                    Some(rating * f64::from(counts[at].1.min(*count)))
                });
                earned[order] += matched.reduce(f64::max).unwrap_or(0.0);
                possible[order] += best * f64::from(*count);
            }
        }
    }
    let mut logarithms = 0.0;
    for order in 0..orders {
        let precision = earned[order] / possible[order];
        if !(precision.is_finite() && precision >= 0.0 && possible[order] > 0.0) {
            return None;
        }
        logarithms += precision.ln();
    }
    let penalty = if length < wanted_length {
        (1.0 - wanted_length as f64 / length as f64).exp()
    } else {
        1.0
    };
    Some(penalty * (logarithms / orders as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::super::text::Reader;
    use super::*;

    #[test]
    fn ratings_weigh_as_in_the_worked_example() {
        // By hand. Candidate "no acute disease"; references "no disease" rated 1, "acute disease
        // seen" rated -0.5, "no acute finding" rated 0.5.
        // Words: no max(1, 0.5) = 1, acute max(-0.5, 0.5) = 0.5, disease max(1, -0.5) = 1, of 3.
        // Pairs: "no acute" 0.5, "acute disease" -0.5, of 2: nothing is earned.
        let mut reader = Reader::new();
        let mut rated =
            |text: &str, rating: f64| RatedReference { text: reader.text(text), rating };
        let references = vec![
            rated("no disease", 1.0),
            rated("acute disease seen", -0.5),
            rated("no acute finding", 0.5),
        ];
        let pair = RatedPair { candidate: reader.text("No acute disease."), references };
        let one = delta_bleu(std::slice::from_ref(&pair), 1).unwrap();
        assert!((one - 2.5 / 3.0).abs() < 1e-12, "{one}");
        assert_eq!(delta_bleu(std::slice::from_ref(&pair), 2), Some(0.0));

        // Rated 1 alone it is BLEU: 2 of 3 words and 1 of 2 pairs are right, and a word is missing.
        let pair = RatedPair {
            candidate: reader.text("no acute fracture"),
            references: vec![RatedReference {
                text: reader.text("no acute disease seen"),
                rating: 1.0,
            }],
        };
        let two = delta_bleu(std::slice::from_ref(&pair), 2).unwrap();
        let expected = (2.0_f64 / 3.0 * 0.5).sqrt() * (1.0_f64 - 4.0 / 3.0).exp();
        assert!((two - expected).abs() < 1e-12, "{two}");
    }

    #[test]
    fn what_is_not_defined_is_none() {
        let mut reader = Reader::new();
        let pair = |candidate: Text, text: Text, rating: f64| RatedPair {
            candidate,
            references: vec![RatedReference { text, rating }],
        };
        let (said, wanted) = (reader.text("no mass"), reader.text("no mass"));
        // Only a bad reference: there is nothing to earn.
        assert_eq!(delta_bleu(&[pair(said, wanted.clone(), -1.0)], 1), None);
        // No words, no precision.
        assert_eq!(delta_bleu(&[pair(reader.text(""), wanted, 1.0)], 1), None);
        assert_eq!(delta_bleu(&[], 4), None);
    }
}
