//! F1 of findings, F1-14 and F1-5: from labels to sums, and from sums to scores.
//!
//! A finding counts as found when its label is positive; what is denied and what is not mentioned are
//! alike. Over a set of reports everything follows from three sums a finding, which is what intervals
//! resample.

use serde::{Deserialize, Serialize};

use super::finding::{FINDINGS, Finding, Label, Labels};

/// Number of sums: right, only said, only missed, for each finding.
pub(crate) const SUMS: usize = 3 * FINDINGS;
/// Number of scores over findings: micro and macro, of 14 and of 5.
pub(crate) const OVER_FINDINGS: usize = 4;
/// Number of scores: those over findings, then precision, recall and F1 of each.
pub(crate) const SCORES: usize = OVER_FINDINGS + 3 * FINDINGS;

/// What an uncertain finding counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Uncertain {
    /// As found: what doubt there is has to be said too. This is how the F1 that report generation
    /// reports is made (F1CheXbert), and the default.
    #[default]
    Positive,
    /// As not found.
    Negative,
}

impl Uncertain {
    /// Its word in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Positive => Self::Negative,
            Self::Negative => Self::Positive,
        }
    }

    /// Whether a finding with this label counts as found.
    pub fn finds(self, label: Option<Label>) -> bool {
        match label {
            Some(Label::Positive) => true,
            Some(Label::Uncertain) => self == Self::Positive,
            Some(Label::Negative) | None => false,
        }
    }
}

/// The sums of one report: for each finding whether both texts have it, only the candidate, or only the
/// reference.
pub(crate) fn sums(candidate: &Labels, reference: &Labels, uncertain: Uncertain) -> [f64; SUMS] {
    let mut sums = [0.0; SUMS];
    for (finding, counts) in Finding::ALL.into_iter().zip(sums.chunks_exact_mut(3)) {
        let said = uncertain.finds(candidate.of(finding));
        let wanted = uncertain.finds(reference.of(finding));
        let place = match (said, wanted) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => continue,
        };
        counts[place] = 1.0;
    }
    sums
}

/// Right, only said, only missed.
fn counts(sums: &[f64; SUMS], finding: Finding) -> [f64; 3] {
    let at = 3 * finding as usize;
    [sums[at], sums[at + 1], sums[at + 2]]
}

/// Reports whose reference, and whose candidate, has a finding.
pub(super) fn occurrences(sums: &[f64; SUMS], finding: Finding) -> (usize, usize) {
    let [right, said, missed] = counts(sums, finding);
    ((right + missed) as usize, (right + said) as usize)
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn f1([right, said, missed]: [f64; 3]) -> Option<f64> {
    ratio(2.0 * right, 2.0 * right + said + missed)
}

/// F1 of the counts of some findings together.
fn micro(sums: &[f64; SUMS], findings: &[Finding]) -> Option<f64> {
    let mut all = [0.0; 3];
    for finding in findings {
        for (all, count) in all.iter_mut().zip(counts(sums, *finding)) {
            *all += count;
        }
    }
    f1(all)
}

/// Mean F1 of those findings that at least one text has.
fn macro_average(sums: &[f64; SUMS], findings: &[Finding]) -> Option<f64> {
    let all = findings.iter().filter_map(|finding| f1(counts(sums, *finding)));
    let (sum, count) = all.fold((0.0, 0.0), |(sum, count), f1| (sum + f1, count + 1.0));
    ratio(sum, count)
}

/// F1-14 micro and macro, F1-5 micro and macro; none where no text has any of the findings.
pub(crate) fn over_findings(sums: &[f64; SUMS]) -> [Option<f64>; OVER_FINDINGS] {
    let (all, five) = (&Finding::ALL, &Finding::FIVE);
    [micro(sums, all), macro_average(sums, all), micro(sums, five), macro_average(sums, five)]
}

/// [`over_findings`], then precision, recall and F1 of each finding.
pub(super) fn scores(sums: &[f64; SUMS]) -> [Option<f64>; SCORES] {
    let mut scores = [None; SCORES];
    scores[..OVER_FINDINGS].copy_from_slice(&over_findings(sums));
    for (finding, scores) in
        Finding::ALL.into_iter().zip(scores[OVER_FINDINGS..].chunks_exact_mut(3))
    {
        let [right, said, missed] = counts(sums, finding);
        scores[0] = ratio(right, right + said);
        scores[1] = ratio(right, right + missed);
        scores[2] = f1([right, said, missed]);
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::super::label;
    use super::*;

    fn of(pairs: &[(&str, &str)], uncertain: Uncertain) -> [f64; SUMS] {
        let mut all = [0.0; SUMS];
        for (candidate, reference) in pairs {
            let one = sums(&label(candidate), &label(reference), uncertain);
            for (all, one) in all.iter_mut().zip(one) {
                *all += one;
            }
        }
        all
    }

    #[test]
    fn scores_are_those_worked_out_by_hand() {
        // Effusion: one right, one only said. Edema: one missed. Atelectasis: one right.
        let pairs = [
            ("Effusion. Atelectasis.", "Effusion. Atelectasis. Edema."),
            ("Effusion.", "No effusion. Fracture."),
        ];
        let sums = of(&pairs, Uncertain::Positive);
        let [micro_14, macro_14, micro_5, macro_5] = over_findings(&sums).map(Option::unwrap);
        // Over 14: 2 right, 1 only said, 2 missed (edema, fracture).
        assert!((micro_14 - 4.0 / 7.0).abs() < 1e-12, "{micro_14}");
        // Effusion 2/3, atelectasis 1, edema 0, fracture 0; no other finding is in any text.
        assert!((macro_14 - (2.0 / 3.0 + 1.0) / 4.0).abs() < 1e-12, "{macro_14}");
        assert!((micro_5 - 4.0 / 6.0).abs() < 1e-12, "{micro_5}");
        assert!((macro_5 - (2.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12, "{macro_5}");
        let all = scores(&sums);
        let of_finding = |finding: Finding| {
            let at = OVER_FINDINGS + 3 * finding as usize;
            (all[at], all[at + 1], all[at + 2])
        };
        assert_eq!(of_finding(Finding::PleuralEffusion), (Some(0.5), Some(1.0), Some(2.0 / 3.0)));
        assert_eq!(of_finding(Finding::Edema), (None, Some(0.0), Some(0.0)));
        assert_eq!(of_finding(Finding::Pneumothorax), (None, None, None));
        assert_eq!(occurrences(&sums, Finding::PleuralEffusion), (1, 2));
    }

    #[test]
    fn doubt_counts_as_it_is_told_to() {
        let pairs = [("Possible effusion.", "Effusion."), ("No effusion.", "Possible effusion.")];
        let f1_5 = |uncertain| over_findings(&of(&pairs, uncertain))[2];
        assert_eq!(f1_5(Uncertain::Positive), Some(2.0 / 3.0));
        assert_eq!(f1_5(Uncertain::Negative), Some(0.0));
        let doubts = [("Possible effusion.", "Possible edema.")];
        assert_eq!(over_findings(&of(&doubts, Uncertain::Negative)), [None; OVER_FINDINGS]);
    }
}
