//! What each number means, in the words that stand beside it in files and reports.

use std::collections::BTreeMap;

use crate::bootstrap::BootstrapOptions;

/// Exact match.
pub const EXACT_MATCH: &str = "Share of items whose answer equals the reference after both are \
    normalised as in the VQA-v2 evaluation: punctuation removed, lower case, number words to \
    digits, articles dropped, contractions restored, and \u{201c}x ray\u{201d} written \
    \u{201c}xray\u{201d}. This is the accuracy that is reported first.";

/// Token F1.
pub const TOKEN_F1: &str = "Mean over items of the harmonic mean of precision and recall of the \
    words of the normalised answer against those of the normalised reference, counted as a \
    multiset.";

/// Token recall.
pub const TOKEN_RECALL: &str = "Mean over items of the share of the normalised reference\u{2019}s \
    words that the normalised answer contains; LLaVA-Med reports it for open questions. A long \
    answer is not punished, so it is not an accuracy.";

/// Open and closed.
pub const ANSWER_TYPE: &str = "A question is open or closed as its answer_type label says; \
    without such a label it is closed when the reference is yes or no, and open otherwise.";

/// Labels.
pub const LABELS: &str = "Items are counted under the label the data set gives them; labels that \
    differ only in case are one. A question with several question types (\u{201c}PRES, \
    ATTRIB\u{201d}) counts once under each, so those rows add up to more than the whole.";

/// Majority baselines.
pub const BASELINE: &str = "Exact match of giving every question the most frequent answer of the \
    training split: the same for all, or the one of its answer type or question type. No image \
    and no model is needed for it.";

/// Image dependence.
pub const IMAGE_DEPENDENCE: &str = "Exact match under the true image less that under a control, \
    over the same questions. Blank: a uniform image. Shuffled: the image of another group of the \
    same split. A model that does not look at the image loses nothing.";

/// Leakage.
pub const LEAKAGE: &str = "Images of the scored split that the training split has too. Scores on \
    them say how well a seen image is remembered as much as how well a new one is read.";

/// How intervals are made, with the numbers that were used.
pub fn interval(options: &BootstrapOptions) -> String {
    format!(
        "Square brackets hold {} % percentile bootstrap intervals: {} resamples of whole groups \
         (images, or patients where the data set names them) with replacement, seed {}. Where all \
         items are right or all are wrong the interval has no width, which does not mean certainty.",
        crate::number::trimmed(options.level * 100.0, 2),
        pefomed_data::readable::thousands(options.resamples as u64),
        options.seed,
    )
}

/// All definitions by the name that metrics files use.
pub(crate) fn all(options: &BootstrapOptions) -> BTreeMap<String, String> {
    [
        ("exact_match", EXACT_MATCH.to_owned()),
        ("token_f1", TOKEN_F1.to_owned()),
        ("token_recall", TOKEN_RECALL.to_owned()),
        ("answer_type", ANSWER_TYPE.to_owned()),
        ("labels", LABELS.to_owned()),
        ("baseline", BASELINE.to_owned()),
        ("image_dependence", IMAGE_DEPENDENCE.to_owned()),
        ("leakage", LEAKAGE.to_owned()),
        ("interval", interval(options)),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text))
    .collect()
}
