//! Scores of one short answer against one reference: exact match, token F1 and token recall.
//!
//! All three look at the *normal form* of both sides ([`normalise`]), so that "The X-ray." and
//! "x ray" are the same answer. Exact match is the primary score; the other two forgive a longer
//! answer, and recall forgives it entirely, which is why neither is called accuracy here.

mod contractions;
mod normalise;
mod overlap;

pub use normalise::normalise;
pub use overlap::{Overlap, overlap};

/// Whether two answers have the same normal form.
///
/// A side whose normal form is empty (an option letter "A", the word "the", a lone dash) is
/// compared as it was written instead, trimmed and in lower case: otherwise "A" would equal any
/// other text that normalises to nothing, an empty answer included.
///
/// ```
/// use pefomed_eval::vqa::exact_match;
/// assert!(exact_match("Chest X-ray.", "the chest x ray"));
/// assert!(exact_match("two", "2"));
/// assert!(!exact_match("", "A"));
/// ```
pub fn exact_match(prediction: &str, reference: &str) -> bool {
    comparable(prediction) == comparable(reference)
}

/// The normal form, or the trimmed lower-case text where the normal form is empty.
pub(crate) fn comparable(text: &str) -> String {
    let normal = normalise(text);
    if normal.is_empty() { text.trim().to_lowercase() } else { normal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_normalise_to_nothing_are_compared_as_written() {
        assert!(exact_match("a", "A"));
        assert!(!exact_match("a", "the"));
        assert!(!exact_match("", "A"));
        assert!(!exact_match(" - ", "A"));
        assert!(exact_match("-", " - "));
    }
}
