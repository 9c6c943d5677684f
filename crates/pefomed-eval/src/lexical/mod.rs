//! Lexical metrics of captions and reports: BLEU, ROUGE-L, CIDEr, METEOR.
//!
//! They say how alike two texts are worded. They are here because the field reports them, equal to
//! the numbers of the COCO caption evaluation (pycocoevalcap 1.2) that everybody reports, and with
//! what that one lacks: intervals, and the same number with a blank and with a wrong image.
//!
//! ```
//! use pefomed_eval::lexical::{Reader, bleu, cider, rouge_l};
//! let mut reader = Reader::new();
//! let pairs = [
//!     reader.pair("The heart is normal.", "Heart size is normal."),
//!     reader.pair("No pleural effusion.", "There is no pleural effusion."),
//! ];
//! let items = bleu(&pairs);
//! let mut all = items[0];
//! all += items[1];
//! // Six of the seven words are right; the references have nine.
//! assert!((all.scores()[0] - 6.0 / 7.0 * (1.0_f64 - 9.0 / 7.0).exp()).abs() < 1e-6);
//! assert_eq!(rouge_l(&pairs[1].candidate, &pairs[1].references), 2.44 * 0.6 / (0.6 + 1.44));
//! assert_eq!(cider(&pairs).len(), 2);
//! ```

mod bleu;
mod cider;
mod delta_bleu;
mod meteor;
mod ngram;
mod ptb;
mod rouge;
mod scores;
mod text;
mod vocabulary;

use self::cider::DocumentFrequencies;
use self::ngram::{NgramNumbers, Ngrams};

pub use self::bleu::BleuStatistics;
pub use self::delta_bleu::{RatedPair, RatedReference, delta_bleu};
pub use self::meteor::{MeteorKind, MeteorStatistics, meteor};
pub use self::ptb::Tokenizer;
pub use self::rouge::rouge_l;
pub use self::scores::{ItemScores, measure};
pub use self::text::{Pair, Reader, Text};

pub(crate) use self::scores::{METRICS, SUMS, of_sums};

/// N-grams of the texts of all pairs.
struct Counted {
    candidates: Vec<Ngrams>,
    references: Vec<Vec<Ngrams>>,
}

impl Counted {
    fn new(pairs: &[Pair]) -> Self {
        let mut numbers = NgramNumbers::default();
        let mut counted = Self { candidates: Vec::new(), references: Vec::new() };
        for pair in pairs {
            let references = pair.references.iter().map(|text| numbers.count(text)).collect();
            counted.references.push(references);
            counted.candidates.push(numbers.count(&pair.candidate));
        }
        counted
    }

    fn bleu(&self) -> Vec<BleuStatistics> {
        let items = self.candidates.iter().zip(&self.references);
        items.map(|(candidate, references)| BleuStatistics::new(candidate, references)).collect()
    }

    fn cider(&self) -> Vec<f64> {
        let frequencies = DocumentFrequencies::new(self.references.iter().map(Vec::as_slice));
        let items = self.candidates.iter().zip(&self.references);
        items.map(|(candidate, references)| frequencies.score(candidate, references)).collect()
    }
}

/// BLEU's statistics of every pair; their sum gives the BLEU of all.
pub fn bleu(pairs: &[Pair]) -> Vec<BleuStatistics> {
    Counted::new(pairs).bleu()
}

/// CIDEr of every pair, from 0 to 10, with document frequencies of the references of all of them;
/// their mean is the CIDEr of all. With one pair every score is 0: nothing is rare.
pub fn cider(pairs: &[Pair]) -> Vec<f64> {
    Counted::new(pairs).cider()
}
