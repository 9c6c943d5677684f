//! How many words two answers share: token F1 and token recall.

use std::collections::BTreeMap;

use super::comparable;

/// Shared words of one prediction and its reference, each score between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Share of the reference's words that the prediction has: what LLaVA-Med reports as the
    /// score of open questions.
    pub recall: f64,
}

/// Counts shared words of the normal forms as a multiset: a word said twice counts twice only if
/// the reference has it twice.
///
/// With no word on one side both scores are 0.
///
/// ```
/// use pefomed_eval::vqa::overlap;
/// // Two of the prediction's three words are right, and both of the reference's are found.
/// let shared = overlap("left lower lobe", "lower lobe");
/// assert!((shared.f1 - 0.8).abs() < 1e-12);
/// assert_eq!(shared.recall, 1.0);
/// ```
pub fn overlap(prediction: &str, reference: &str) -> Overlap {
    let (prediction, reference) = (comparable(prediction), comparable(reference));
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    let mut said = 0_usize;
    for word in prediction.split_whitespace() {
        *left.entry(word).or_default() += 1;
        said += 1;
    }
    let (mut wanted, mut shared) = (0_usize, 0_usize);
    for word in reference.split_whitespace() {
        wanted += 1;
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    if shared == 0 {
        return Overlap { f1: 0.0, recall: 0.0 };
    }
    // 2PR/(P+R) with P = shared/said and R = shared/wanted.
    Overlap {
        f1: 2.0 * shared as f64 / (said + wanted) as f64,
        recall: shared as f64 / wanted as f64,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vqa::exact_match;

    #[test]
    fn repeated_words_count_as_often_as_the_reference_has_them() {
        let shared = overlap("mass mass mass", "mass effect");
        assert_eq!(shared.recall, 0.5);
        assert_eq!(shared.f1, 0.4);
        assert_eq!(overlap("", "mass"), Overlap { f1: 0.0, recall: 0.0 });
        assert_eq!(overlap("a", "A"), Overlap { f1: 1.0, recall: 1.0 });
    }

    proptest! {
        #[test]
        fn scores_are_fractions_and_an_exact_match_has_all(
            a in "(the |no |left |x ray |two ){0,5}", b in "(the |no |left |x ray |2 ){1,5}"
        ) {
            let shared = overlap(&a, &b);
            prop_assert!((0.0..=1.0).contains(&shared.f1) && (0.0..=1.0).contains(&shared.recall));
            if exact_match(&a, &b) {
                prop_assert_eq!(shared, Overlap { f1: 1.0, recall: 1.0 });
            }
            prop_assert!((overlap(&b, &a).f1 - shared.f1).abs() < 1e-12, "F1 is symmetric");
        }
    }
}
