//! Clinical scores of a set of reports, and what they lose without the right image, with intervals.

use serde::{Deserialize, Serialize};

use super::f1::{self, OVER_FINDINGS, SCORES, SUMS, Uncertain};
use super::finding::{FINDINGS, Finding, Labels};
use super::{LABELLER, label};
use crate::bootstrap::{BootstrapOptions, ClusterTotals, Estimate};

/// Labels of a report and of its reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelledPair {
    /// Labels of what was written.
    pub candidate: Labels,
    /// Labels of the reference.
    pub reference: Labels,
}

impl LabelledPair {
    /// Labels both texts.
    pub fn new(candidate: &str, reference: &str) -> Self {
        Self { candidate: label(candidate), reference: label(reference) }
    }

    /// F1 of this report alone: of the findings that either text has, *No Finding* among them. None when
    /// neither has any.
    pub fn f1(&self, uncertain: Uncertain) -> Option<f64> {
        f1::over_findings(&self.sums(uncertain))[0]
    }

    pub(crate) fn sums(&self, uncertain: Uncertain) -> [f64; SUMS] {
        f1::sums(&self.candidate, &self.reference, uncertain)
    }
}

/// F1 over findings, between 0 and 1, or differences of it; absent where no text has any of the
/// findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClinicalF1 {
    /// F1 of the counts of all 14 findings together.
    pub micro_14: Option<Estimate>,
    /// Mean of the F1 of those of the 14 that at least one text has.
    pub macro_14: Option<Estimate>,
    /// F1 of the counts of the five together.
    pub micro_5: Option<Estimate>,
    /// Mean of the F1 of those of the five that at least one text has.
    pub macro_5: Option<Estimate>,
}

/// Names of the scores over findings, in their order.
pub(crate) const NAMES: [&str; OVER_FINDINGS] =
    ["F1-14 micro", "F1-14 macro", "F1-5 micro", "F1-5 macro"];

impl ClinicalF1 {
    fn new(all: &[Option<Estimate>]) -> Self {
        let at = |index: usize| all.get(index).copied().flatten();
        Self { micro_14: at(0), macro_14: at(1), micro_5: at(2), macro_5: at(3) }
    }

    /// Every score with its name, in the order of tables.
    pub fn named(&self) -> [(&'static str, Option<Estimate>); OVER_FINDINGS] {
        let [a, b, c, d] = NAMES;
        [(a, self.micro_14), (b, self.macro_14), (c, self.micro_5), (d, self.macro_5)]
    }
}

/// Scores of one finding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingScores {
    /// The finding.
    pub finding: Finding,
    /// References that have it.
    pub support: usize,
    /// Candidates that have it.
    pub predicted: usize,
    /// Share of the candidates with it whose references have it; absent when no candidate has it.
    pub precision: Option<Estimate>,
    /// Share of the references with it whose candidates have it; absent when no reference has it.
    pub recall: Option<Estimate>,
    /// Their harmonic mean; absent when no text has it.
    pub f1: Option<Estimate>,
}

/// Clinical scores of some reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClinicalScores {
    /// What made the labels, with its version.
    pub labeller: String,
    /// What an uncertain finding counts as in `f1` and `findings`.
    pub uncertain: Uncertain,
    /// Over findings.
    pub f1: ClinicalF1,
    /// The same with uncertain findings counted the other way.
    pub f1_otherwise: ClinicalF1,
    /// One by one, in CheXpert's order.
    pub findings: Vec<FindingScores>,
}

/// Clinical scores under the true image less those under a control, over the same reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClinicalDifferences {
    /// Over findings.
    pub f1: ClinicalF1,
    /// The same with uncertain findings counted the other way.
    pub f1_otherwise: ClinicalF1,
    /// F1 of every finding; absent where either side has none.
    pub findings: Vec<(Finding, Option<Estimate>)>,
}

/// Scores of labelled reports, given with the group of each.
pub(crate) fn clinical_scores<'a>(
    items: impl Iterator<Item = (&'a str, LabelledPair)> + Clone,
    uncertain: Uncertain,
    options: &BootstrapOptions,
) -> ClinicalScores {
    let totals = |uncertain: Uncertain| {
        ClusterTotals::new(items.clone().map(|(group, pair)| (group, pair.sums(uncertain))))
    };
    let own = totals(uncertain);
    let sums = own.sums();
    let all = own.defined_estimates_of(options, |_, sums| f1::scores(sums));
    let otherwise =
        totals(uncertain.other()).defined_estimates_of(options, |_, sums| f1::over_findings(sums));
    let findings = Finding::ALL.into_iter().zip(all[OVER_FINDINGS..].chunks_exact(3));
    ClinicalScores {
        labeller: LABELLER.to_owned(),
        uncertain,
        f1: ClinicalF1::new(&all),
        f1_otherwise: ClinicalF1::new(&otherwise),
        findings: findings
            .map(|(finding, scores)| {
                let (support, predicted) = f1::occurrences(&sums, finding);
                let [precision, recall, f1] = [scores[0], scores[1], scores[2]];
                FindingScores { finding, support, predicted, precision, recall, f1 }
            })
            .collect(),
    }
}

/// Scores of the first of each pair of labelled reports less those of the second.
pub(crate) fn clinical_differences<'a>(
    pairs: impl Iterator<Item = (&'a str, LabelledPair, LabelledPair)> + Clone,
    uncertain: Uncertain,
    options: &BootstrapOptions,
) -> ClinicalDifferences {
    let of = |uncertain: Uncertain| {
        let totals = ClusterTotals::new(pairs.clone().map(|(group, ours, other)| {
            let mut both = [0.0; 2 * SUMS];
            both[..SUMS].copy_from_slice(&ours.sums(uncertain));
            both[SUMS..].copy_from_slice(&other.sums(uncertain));
            (group, both)
        }));
        totals.defined_estimates_of(options, |_, both: &[f64; 2 * SUMS]| {
            let part = |from: usize| f1::scores(&std::array::from_fn(|k| both[from + k]));
            let (ours, other) = (part(0), part(SUMS));
            std::array::from_fn::<_, SCORES, _>(|k| Some(ours[k]? - other[k]?))
        })
    };
    let all = of(uncertain);
    let f1_of = |finding: Finding| all[OVER_FINDINGS + 3 * finding as usize + 2];
    ClinicalDifferences {
        f1: ClinicalF1::new(&all),
        f1_otherwise: ClinicalF1::new(&of(uncertain.other())),
        findings: Finding::ALL.map(|finding| (finding, f1_of(finding))).to_vec(),
    }
}

/// A table of findings: name, references and candidates that have it, precision, recall and F1, and what
/// F1 loses under each control. The first row is the head.
pub fn finding_rows(
    scores: &ClinicalScores,
    drops: &[(&'static str, &ClinicalDifferences)],
) -> Vec<Vec<String>> {
    let cell = |estimate: Option<Estimate>, write: fn(&Estimate) -> String| {
        estimate.as_ref().map_or_else(|| "–".to_owned(), write)
    };
    let head = ["", "in references", "in texts", "precision", "recall", "F1"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows[0].extend(drops.iter().map(|(control, _)| format!("F1, true less {control}")));
    for (at, one) in scores.findings.iter().enumerate().take(FINDINGS) {
        let mut row = vec![
            one.finding.name().to_owned(),
            pefomed_data::readable::thousands(one.support as u64),
            pefomed_data::readable::thousands(one.predicted as u64),
        ];
        let estimates = [one.precision, one.recall, one.f1];
        row.extend(estimates.map(|estimate| cell(estimate, crate::number::with_interval)));
        row.extend(drops.iter().map(|(_, drop)| {
            let difference = drop.findings.get(at).and_then(|(_, estimate)| *estimate);
            cell(difference, crate::number::difference)
        }));
        rows.push(row);
    }
    rows
}
