//! Clinical labels: which of CheXpert's 14 findings a report asserts, doubts or denies.
//!
//! The labels are found by rules, **in the manner of the CheXpert labeler** (Irvin et al. 2019,
//! arXiv 1901.07031) and with phrase lists and rules of this project's own. It is not that program, and
//! a learned labeler such as CheXbert is another one again: numbers made with [`LABELLER`] compare with
//! numbers made with [`LABELLER`] only, whose name changes whenever a list or a rule does.
//!
//! How a report is read:
//!
//! 1. Sections that say why the image was taken or what it is compared with are left out, up to the next
//!    heading (`headings.txt`).
//! 2. In each sentence the phrases of `findings.txt` are found, all at once.
//! 3. The cues of `cues.txt` decide whether a mention is asserted, doubted or denied, or is no statement
//!    about this image ("rule out pneumonia", "history of fracture").
//! 4. Over the report, positive outweighs uncertain, uncertain negative, negative no mention.
//! 5. *No Finding* is positive when no other finding is positive or uncertain, *Support Devices* apart;
//!    it is never uncertain or negative. A text without any word has no label at all.
//!
//! A finding raises no other: a consolidation is not counted as an opacity as well, nor a large heart as
//! an enlarged cardiomediastinum.
//!
//! ```
//! use pefomed_eval::clinical::{Finding, Label, label};
//! let labels = label("Heart size is normal. Small left effusion; pneumonia cannot be excluded.");
//! assert_eq!(labels.of(Finding::Cardiomegaly), Some(Label::Negative));
//! assert_eq!(labels.of(Finding::PleuralEffusion), Some(Label::Positive));
//! assert_eq!(labels.of(Finding::Pneumonia), Some(Label::Uncertain));
//! assert_eq!(labels.of(Finding::Fracture), None);
//! ```

mod f1;
mod finding;
mod lexicon;
mod lines;
mod lists;
mod reading;
mod scores;
mod words;

use std::ops::Range;

use self::lists::{LISTS, Lists};
use self::words::{Mark, Token};

pub use self::f1::Uncertain;
pub use self::finding::{FINDINGS, Finding, Label, Labels};
pub use self::lines::{LabelLine, write_labels};
pub use self::scores::{
    ClinicalDifferences, ClinicalF1, ClinicalScores, FindingScores, LabelledPair, finding_rows,
};

pub(crate) use self::f1::over_findings;
pub(crate) use self::scores::{NAMES, clinical_differences, clinical_scores};

/// Name of these rules and lists, with the version that numbers made by them depend on.
pub const LABELLER: &str = "pefomed-findings-1";

/// Labels a report in English.
pub fn label(report: &str) -> Labels {
    let lists = &*LISTS;
    let mut labels = Labels::default();
    let mut tokens: Vec<Token> = Vec::new();
    let mut sentences: Vec<Sentence> = Vec::new();
    words::sentences(report, &lists.words, |sentence, ends_in_colon| {
        let (heading, length) = headed(lists, sentence, ends_in_colon);
        let start = tokens.len() + length;
        tokens.extend_from_slice(sentence);
        sentences.push(Sentence { heading, body: start..tokens.len() });
    });
    let last_heading = sentences.iter().rposition(|sentence| sentence.heading.is_some());
    let mut is_read = true;
    for (at, sentence) in sentences.iter().enumerate() {
        is_read = match sentence.heading {
            Some(is_read) => is_read,
            // Without a heading that ends it, a section to be left out is one sentence long.
            None => is_read || last_heading.is_some_and(|last| last < at),
        };
        if is_read {
            let body = &tokens[sentence.body.clone()];
            reading::read(lists, body, |finding, label| labels.mention(finding, label));
        }
    }
    let is_abnormal = labels
        .mentioned()
        .any(|(finding, label)| label >= Label::Uncertain && finding != Finding::SupportDevices);
    if !tokens.is_empty() && !is_abnormal {
        labels.mention(Finding::NoFinding, Label::Positive);
    }
    labels
}

/// A sentence of a report, without the heading it may begin with.
struct Sentence {
    /// Whether what the heading begins is read; none without a heading.
    heading: Option<bool>,
    body: Range<usize>,
}

/// The heading that a sentence begins with, and its length: one of the lists, or up to three words
/// before a colon, which begin something to be read ("Lungs: clear") and stay part of the sentence.
fn headed(lists: &Lists, sentence: &[Token], ends_in_colon: bool) -> (Option<bool>, usize) {
    let is_colon = |at: usize| match sentence.get(at) {
        Some(next) => next.mark == Mark::Colon,
        None => ends_in_colon,
    };
    match lists.headings.longest(sentence, 0) {
        Some((end, kinds)) if is_colon(end) || end == sentence.len() => {
            (Some(kinds.contains(&true)), end)
        }
        _ => ((1..=3).any(is_colon).then_some(true), 0),
    }
}
