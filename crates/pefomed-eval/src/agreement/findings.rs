//! Agreement finding by finding: what a report says against its reference, against labels that came
//! with the data, and what judges and people think of reports that get a finding wrong.
//!
//! One F1 over fourteen findings hides which of them a system gets wrong, and whether anybody minds.
//! Labels are those of [`crate::clinical`]; two labels agree when both say that the finding is there,
//! or neither does.

use std::collections::{BTreeMap, BTreeSet};

use pefomed_data::readable::thousands;
use pefomed_data::{ImageCondition, Prediction, Task};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::likert::LikertRange;
use super::measure::{Measure, Undefined};
use super::resample::Clusters;
use super::side::{Graded, Side};
use super::table::{ItemKey, Table};
use super::words::{Shown, share, statistic};
use crate::bootstrap::BootstrapOptions;
use crate::clinical::{Finding, LABELLER, Labels, Uncertain, label};
use crate::grade::GraderKind;

/// Agreement on every finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingAgreement {
    /// What made the labels, with its version.
    pub labeller: String,
    /// What an uncertain finding counts as.
    pub uncertain: Uncertain,
    /// One for each system and each two sources of labels.
    pub sets: Vec<FindingSet>,
}

/// Where labels are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelSource {
    /// The rules, reading what the system wrote.
    Text,
    /// The rules, reading the reference.
    Reference,
    /// Label columns of the predictions that are named as findings.
    Given,
}

impl LabelSource {
    /// Words for a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Reference => "reference",
            Self::Given => "given labels",
        }
    }
}

/// Two sources of labels for the reports of one system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingSet {
    /// The system.
    pub system: String,
    /// The source that is tested.
    pub a: LabelSource,
    /// What it is tested against.
    pub b: LabelSource,
    /// One for each finding, in CheXpert's order; with given labels, those that have a column.
    pub findings: Vec<FindingRow>,
}

/// Agreement on one finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingRow {
    /// The finding.
    pub finding: Finding,
    /// Reports that both sources have a label for or leave out.
    pub n: usize,
    /// Reports in which both have it.
    pub both: usize,
    /// Those in which only the first has it.
    pub only_a: usize,
    /// Those in which only the second has it.
    pub only_b: usize,
    /// Share of reports on which they agree.
    pub equal: Measure,
    /// Cohen's κ.
    pub kappa: Measure,
    /// Agreement on presence, 2·both / (2·both + only a + only b): the finding's F1.
    pub present: Measure,
    /// Agreement on absence, 2·neither / (2·neither + only a + only b).
    pub absent: Measure,
    /// What judges and people gave to reports that get the finding right and wrong; only between text
    /// and reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grades: Vec<FindingGrades>,
}

/// Mean grades of the reports that a finding occurs in, in the text or the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingGrades {
    /// Who graded.
    pub side: Side,
    /// Graded reports in which both have the finding.
    pub right_n: usize,
    /// Graded reports in which only one has it.
    pub wrong_n: usize,
    /// Mean grade where both have it.
    pub right: Measure,
    /// Mean grade where only one has it.
    pub wrong: Measure,
    /// The first less the second.
    pub difference: Measure,
}

impl FindingSet {
    /// `tuned: text against reference`.
    pub fn title(&self) -> String {
        format!("{}: {} against {}", self.system, self.a.name(), self.b.name())
    }

    /// Heads of the columns of [`text_rows`](Self::text_rows): finding, counts, agreement, and for
    /// each judge or panel the mean grade where the finding is right and where it is wrong.
    pub fn columns(&self, wanted: impl Fn(GraderKind) -> bool) -> Vec<String> {
        let (a, b) = (self.a.name(), self.b.name());
        let mut head = vec!["both".to_owned(), format!("{a} only"), format!("{b} only")];
        head.extend(["equal, %", "κ", "present", "absent"].map(str::to_owned));
        for side in self.sides(wanted) {
            head.extend([format!("{side}: right"), "wrong".to_owned(), "difference".to_owned()]);
        }
        head
    }

    /// The cells of each finding that at least one report has, in words.
    pub fn text_rows(
        &self,
        likert: LikertRange,
        wanted: impl Fn(GraderKind) -> bool,
        write: impl Fn(&Measure, &dyn Fn(&Measure) -> String) -> String,
    ) -> Vec<(Finding, Vec<String>)> {
        let sides = self.sides(wanted);
        let occurs = |row: &&FindingRow| row.both + row.only_a + row.only_b > 0;
        let cells = |row: &FindingRow| {
            let mut cells = [row.both, row.only_a, row.only_b].map(thousands).to_vec();
            cells.push(write(&row.equal, &share));
            cells.extend([&row.kappa, &row.present, &row.absent].map(|it| write(it, &statistic)));
            for side in &sides {
                let shown = Shown::new(side.scale, likert);
                match row.grades.iter().find(|grades| grades.side == **side) {
                    Some(grades) => cells.extend([
                        write(&grades.right, &|it| shown.average(it)),
                        write(&grades.wrong, &|it| shown.average(it)),
                        write(&grades.difference, &|it| shown.difference(it)),
                    ]),
                    None => cells.extend(["–"; 3].map(str::to_owned)),
                }
            }
            (row.finding, cells)
        };
        self.findings.iter().filter(occurs).map(cells).collect()
    }

    /// Who graded reports of this set.
    fn sides(&self, wanted: impl Fn(GraderKind) -> bool) -> Vec<&Side> {
        let mut sides: Vec<&Side> = Vec::new();
        for grades in self.findings.iter().flat_map(|row| &row.grades) {
            if wanted(grades.side.kind) && !sides.contains(&&grades.side) {
                sides.push(&grades.side);
            }
        }
        sides
    }
}

/// One report with all its labels.
struct Report<'a> {
    id: &'a str,
    cluster: String,
    text: Labels,
    reference: Labels,
    given: BTreeMap<Finding, bool>,
}

/// Agreement on the reports among the predictions, each shown its true image; none without any.
pub(crate) fn findings(
    table: &Table,
    sides: &[Graded<'_>],
    predictions: &BTreeMap<String, Vec<Prediction>>,
    options: &BootstrapOptions,
) -> Option<FindingAgreement> {
    let uncertain = Uncertain::default();
    let mut sets = Vec::new();
    for (system, lines) in predictions {
        let shown = |line: &&Prediction| {
            line.task == Task::Report && line.condition == ImageCondition::True
        };
        let reports: Vec<Report<'_>> =
            lines.par_iter().filter(shown).map(|line| Report::new(line, uncertain)).collect();
        if reports.is_empty() {
            continue;
        }
        let graded = graded(table, sides, system, &reports);
        let columns: BTreeSet<Finding> =
            reports.iter().flat_map(|report| report.given.keys().copied()).collect();
        for (a, b) in [
            (LabelSource::Text, LabelSource::Reference),
            (LabelSource::Text, LabelSource::Given),
            (LabelSource::Reference, LabelSource::Given),
        ] {
            let with_given = b == LabelSource::Given;
            let rows: Vec<FindingRow> = Finding::ALL
                .into_par_iter()
                .filter(|finding| !with_given || columns.contains(finding))
                .map(|finding| {
                    let pairs = pairs(&reports, finding, (a, b), uncertain);
                    let grades = if with_given { &[][..] } else { &graded };
                    row(finding, &pairs, &reports, grades, options)
                })
                .collect();
            if !rows.is_empty() {
                sets.push(FindingSet { system: system.clone(), a, b, findings: rows });
            }
        }
    }
    let labeller = LABELLER.to_owned();
    (!sets.is_empty()).then_some(FindingAgreement { labeller, uncertain, sets })
}

impl<'a> Report<'a> {
    fn new(line: &'a Prediction, uncertain: Uncertain) -> Self {
        let key = ItemKey { system: 0, id: line.id.clone(), group: line.group.clone() };
        let given = line.labels.iter().filter_map(|(name, value)| {
            let finding = Finding::named(&name.replace('_', " "))?;
            Some((finding, said(value, uncertain)?))
        });
        Self {
            id: &line.id,
            cluster: key.cluster(),
            text: label(&line.prediction),
            reference: label(&line.reference),
            given: given.collect(),
        }
    }

    fn has(&self, finding: Finding, source: LabelSource, uncertain: Uncertain) -> Option<bool> {
        match source {
            LabelSource::Text => Some(uncertain.finds(self.text.of(finding))),
            LabelSource::Reference => Some(uncertain.finds(self.reference.of(finding))),
            LabelSource::Given => self.given.get(&finding).copied(),
        }
    }
}

/// What a cell of a label column says: CheXpert's 1, 0, −1 and empty, or words; none for anything
/// else, which is no label.
fn said(value: &str, uncertain: Uncertain) -> Option<bool> {
    match value.trim().to_lowercase().as_str() {
        "1" | "1.0" | "positive" | "present" | "yes" | "true" => Some(true),
        "-1" | "-1.0" | "uncertain" => Some(uncertain == Uncertain::Positive),
        "0" | "0.0" | "negative" | "absent" | "no" | "false" | "" => Some(false),
        _ => None,
    }
}

/// Reports by number with what both sources say.
fn pairs(
    reports: &[Report<'_>],
    finding: Finding,
    (a, b): (LabelSource, LabelSource),
    uncertain: Uncertain,
) -> Vec<(usize, bool, bool)> {
    let both = |(index, report): (usize, &Report<'_>)| {
        let of = |source| report.has(finding, source, uncertain);
        Some((index, of(a)?, of(b)?))
    };
    reports.iter().enumerate().filter_map(both).collect()
}

/// Grades of a system's reports, by report, of every judge and panel.
fn graded(
    table: &Table,
    sides: &[Graded<'_>],
    system: &str,
    reports: &[Report<'_>],
) -> Vec<(Side, Vec<Option<f64>>)> {
    let items: BTreeMap<&str, usize> = (table.items.iter().enumerate())
        .filter(|(_, item)| table.systems[item.system] == system)
        .map(|(index, item)| (item.id.as_str(), index))
        .collect();
    let of = |side: &Graded<'_>| {
        let grade = |report: &Report<'_>| side.values[*items.get(report.id)?];
        (side.side.clone(), reports.iter().map(grade).collect())
    };
    sides.iter().filter(|side| side.side.kind != GraderKind::Metric).map(of).collect()
}

fn row(
    finding: Finding,
    pairs: &[(usize, bool, bool)],
    reports: &[Report<'_>],
    graded: &[(Side, Vec<Option<f64>>)],
    options: &BootstrapOptions,
) -> FindingRow {
    let clusters = |of: &[(usize, bool, bool)]| {
        Clusters::new(of.iter().map(|(report, ..)| reports[*report].cluster.as_str()))
    };
    let own = clusters(pairs);
    let count = |weights: &[u32]| {
        let mut counts = [0.0; 4];
        for ((_, a, b), weight) in pairs.iter().zip(weights) {
            counts[2 * usize::from(*a) + usize::from(*b)] += f64::from(*weight);
        }
        counts
    };
    let counts = count(&own.once());
    let [neither, only_b, only_a, both] = counts;
    let of = |weights: &[u32]| agreements(count(weights)).map(Result::ok);
    let intervals = own.intervals(options, of);
    let measures: Vec<Measure> = agreements(counts)
        .into_iter()
        .zip(intervals)
        .map(|(value, interval)| Measure::new(value, pairs.len(), interval))
        .collect();
    let [equal, kappa, present, absent] = measures
        .try_into()
        .unwrap_or_else(|_| std::array::from_fn(|_| Undefined::TooFewItems.into()));
    let occurs: Vec<(usize, bool, bool)> =
        pairs.iter().copied().filter(|(_, a, b)| *a || *b).collect();
    let grades = graded.iter().filter_map(|(side, values)| {
        let graded: Vec<_> =
            occurs.iter().copied().filter(|(report, ..)| values[*report].is_some()).collect();
        (!graded.is_empty()).then(|| of_side(side, &graded, values, &clusters(&graded), options))
    });
    FindingRow {
        finding,
        n: (neither + only_a + only_b + both) as usize,
        both: both as usize,
        only_a: only_a as usize,
        only_b: only_b as usize,
        equal,
        kappa,
        present,
        absent,
        grades: grades.collect(),
    }
}

/// Share that is equal, κ, agreement on presence and on absence, from how many reports neither, only
/// the second, only the first and both have the finding.
fn agreements([neither, only_b, only_a, both]: [f64; 4]) -> [Result<f64, Undefined>; 4] {
    let n = neither + only_b + only_a + both;
    let ratio =
        |part: f64, whole: f64, reason| if whole > 0.0 { Ok(part / whole) } else { Err(reason) };
    let equal = ratio(neither + both, n, Undefined::NoCommonItems);
    let (a, b) = ((only_a + both) / n, (only_b + both) / n);
    let chance = a * b + (1.0 - a) * (1.0 - b);
    let kappa = equal.and_then(|equal| {
        // Sources that say the same of every report agree by chance alone.
        if (a + b) * (2.0 - a - b) > 0.0 {
            Ok((equal - chance) / (1.0 - chance))
        } else {
            Err(Undefined::NoVariation)
        }
    });
    let specific =
        |agreed: f64| ratio(2.0 * agreed, 2.0 * agreed + only_a + only_b, Undefined::TooFewItems);
    [equal, kappa, specific(both), specific(neither)]
}

/// Mean grades of reports that have the finding in the text or the reference.
fn of_side(
    side: &Side,
    reports: &[(usize, bool, bool)],
    values: &[Option<f64>],
    clusters: &Clusters,
    options: &BootstrapOptions,
) -> FindingGrades {
    let graded: Vec<(bool, f64)> = reports
        .iter()
        .map(|(report, a, b)| (a == b, values[*report].unwrap_or_default()))
        .collect();
    let means = |weights: &[u32]| {
        let mean = |wanted: bool| {
            let (mut sum, mut count) = (0.0, 0.0);
            for ((right, value), weight) in graded.iter().zip(weights) {
                if *right == wanted {
                    sum += value * f64::from(*weight);
                    count += f64::from(*weight);
                }
            }
            if count > 0.0 { Ok(sum / count) } else { Err(Undefined::TooFewItems) }
        };
        let (right, wrong) = (mean(true), mean(false));
        [right, wrong, right.and_then(|right| Ok(right - wrong?))]
    };
    let values = means(&clusters.once());
    let intervals = clusters.intervals(options, |weights| means(weights).map(Result::ok));
    let right_n = graded.iter().filter(|(right, _)| *right).count();
    let wrong_n = graded.len() - right_n;
    let [right, wrong, difference] = values;
    let [of_right, of_wrong, of_difference] = intervals;
    FindingGrades {
        side: side.clone(),
        right_n,
        wrong_n,
        right: Measure::new(right, right_n, of_right),
        wrong: Measure::new(wrong, wrong_n, of_wrong),
        difference: Measure::new(difference, graded.len(), of_difference),
    }
}

#[cfg(test)]
mod tests {
    use super::super::kappa::{Weighting, cohen};
    use super::*;

    #[test]
    fn a_table_of_two_by_two_gives_what_the_books_give() {
        // Cohen's κ of the same table by the general formula; specific agreement by hand
        // (Cicchetti & Feinstein 1990).
        let counts = [50.0, 7.0, 3.0, 20.0];
        let [equal, kappa, present, absent] = agreements(counts).map(Result::unwrap);
        let cells = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)];
        let pairs: Vec<(f64, f64)> = cells
            .into_iter()
            .zip(counts)
            .flat_map(|(cell, count)| std::iter::repeat_n(cell, count as usize))
            .collect();
        assert!((kappa - cohen(&pairs, Weighting::Equal).unwrap()).abs() < 1e-12);
        assert_eq!(equal, 70.0 / 80.0);
        assert_eq!((present, absent), (40.0 / 50.0, 100.0 / 110.0));
    }

    #[test]
    fn what_no_report_has_has_no_agreement_on_presence() {
        let [equal, kappa, present, absent] = agreements([9.0, 0.0, 0.0, 0.0]);
        assert_eq!((equal, absent), (Ok(1.0), Ok(1.0)));
        assert_eq!((kappa, present), (Err(Undefined::NoVariation), Err(Undefined::TooFewItems)));
        // One source says always, the other never: no chance agreement, and none observed.
        assert_eq!(agreements([0.0, 0.0, 5.0, 0.0])[1], Ok(0.0));
        assert_eq!(agreements([0.0; 4])[1], Err(Undefined::NoCommonItems));
    }

    #[test]
    fn label_columns_are_read_as_chexpert_writes_them() {
        let of = |value| said(value, Uncertain::Positive);
        assert_eq!(["1.0", "-1.0", "0.0", ""].map(of), [true, true, false, false].map(Some));
        assert_eq!(said("-1", Uncertain::Negative), Some(false));
        assert_eq!(["Present", "no"].map(of), [Some(true), Some(false)]);
        assert_eq!(of("left lower lobe"), None);
    }
}
