//! English contractions, and the spellings that lost one of their apostrophes.
//!
//! The VQA evaluation lists misspelt contractions one by one. The list follows a rule, which is
//! written down here instead: take a contraction, drop exactly one apostrophe, and the result is
//! restored, unless it is a word of its own ("were", "well", "its", "shed").

/// Contractions whose spelling with one apostrophe dropped is restored.
const CONTRACTIONS: &[&str] = &[
    // not
    "ain't",
    "aren't",
    "can't",
    "couldn't",
    "couldn't've",
    "didn't",
    "doesn't",
    "don't",
    "hadn't",
    "hadn't've",
    "hasn't",
    "haven't",
    "isn't",
    "mightn't",
    "mightn't've",
    "mustn't",
    "needn't",
    "oughtn't",
    "shan't",
    "shouldn't",
    "shouldn't've",
    "wasn't",
    "weren't",
    "won't",
    "wouldn't",
    "wouldn't've",
    // have
    "could've",
    "might've",
    "must've",
    "not've",
    "should've",
    "they've",
    "we've",
    "what've",
    "where've",
    "who've",
    "would've",
    "you've",
    // would, had
    "he'd",
    "he'd've",
    "how'd",
    "it'd",
    "it'd've",
    "she'd've",
    "somebody'd",
    "somebody'd've",
    "someone'd",
    "someone'd've",
    "something'd",
    "something'd've",
    "there'd",
    "there'd've",
    "they'd",
    "they'd've",
    "we'd've",
    "where'd",
    "who'd",
    "who'd've",
    "y'all'd've",
    "you'd",
    "you'd've",
    // will
    "how'll",
    "it'll",
    "somebody'll",
    "someone'll",
    "something'll",
    "they'll",
    "what'll",
    "who'll",
    "why'll",
    "y'all'll",
    "you'll",
    // is, are
    "he's",
    "how's",
    "somebody's",
    "someone's",
    "that's",
    "there're",
    "there's",
    "they're",
    "what're",
    "what's",
    "when's",
    "where's",
    "who's",
    "why're",
    "why's",
    "you're",
    // others
    "ma'am",
    "o'clock",
    "'ow's'at",
    "'twas",
    "y'all",
];

/// The contraction that `word` (lower case) is when it lacks exactly one apostrophe.
pub(super) fn restore(word: &str) -> Option<&'static str> {
    CONTRACTIONS.iter().copied().find(|contraction| lacks_one_apostrophe(word, contraction))
}

fn lacks_one_apostrophe(word: &str, contraction: &str) -> bool {
    word.len() + 1 == contraction.len()
        && contraction.match_indices('\'').any(|(at, _)| {
            word.starts_with(&contraction[..at]) && word.ends_with(&contraction[at + 1..])
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_apostrophe_is_restored_and_words_of_their_own_are_left() {
        assert_eq!(restore("isnt"), Some("isn't"));
        assert_eq!(restore("couldnt've"), Some("couldn't've"));
        assert_eq!(restore("couldn'tve"), Some("couldn't've"));
        assert_eq!(restore("ow's'at"), Some("'ow's'at"));
        for word in ["its", "were", "well", "shed", "ill", "couldntve", "isn't", "", "'"] {
            assert_eq!(restore(word), None, "{word}");
        }
    }
}
