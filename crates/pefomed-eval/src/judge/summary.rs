//! What verdicts add up to, and what is missing from them.

use std::collections::BTreeMap;

use pefomed_data::ImageCondition;
use serde::Serialize;

use super::kind::{ErrorCounts, Kind};
use super::parse::Outcome;
use super::plan::{ItemName, Judge, Plan};
use super::run::{FailedItem, Halt, Judged};
use super::sampling::Sampling;
use super::verdict::Verdict;
use crate::agreement::LikertRange;
use crate::bootstrap::ClusterTotals;
use crate::{BootstrapOptions, Estimate, EvalError};

/// Everything that one call of a judge came to.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The judge.
    pub model: String,
    /// Where it was asked.
    pub endpoint: String,
    /// SHA-256 of the prompt of each kind.
    pub prompts: BTreeMap<Kind, String>,
    /// Sampling parameters of the first repeat.
    pub sampling: Sampling,
    /// How often each question was to be asked.
    pub repeats: u32,
    /// How intervals were made.
    pub bootstrap: BootstrapOptions,
    /// Results by system, image condition and kind.
    pub results: Vec<Results>,
    /// Questions whose reply, also the second, could not be read.
    pub unparsable: Vec<Unread>,
    /// Questions that the judge said it cannot judge.
    pub cannot_judge: Vec<ItemName>,
    /// Questions that have no reply.
    pub failed: Vec<FailedItem>,
    /// Number of questions that were not asked.
    pub not_asked: usize,
    /// Why those were not asked.
    pub halt: Option<Halt>,
    /// Items without a reference, which cannot be judged: system, image condition, id.
    pub without_reference: Vec<(String, ImageCondition, String)>,
    /// Items whose task fits none of the kinds that were asked.
    pub other_task: usize,
}

/// A question whose reply could not be read.
#[derive(Clone, Debug, Serialize)]
pub struct Unread {
    /// Which one.
    #[serde(flatten)]
    pub name: ItemName,
    /// Why.
    pub reason: String,
}

/// What a judge says of one system under one image condition.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Whose texts.
    pub system: String,
    /// Which image the system was shown.
    pub condition: ImageCondition,
    /// What was asked.
    pub kind: Kind,
    /// Items with at least one verdict.
    pub items: usize,
    /// Groups (images or patients) of those items.
    pub groups: usize,
    /// Verdicts, repeats included: what the numbers below are over.
    pub verdicts: usize,
    /// The numbers; none without a single verdict.
    pub numbers: Option<Numbers>,
    /// Agreement of the judge with itself; none when no item has two verdicts.
    pub stability: Option<Stability>,
}

/// Numbers of one kind.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Numbers {
    /// Share of verdicts that say the answer is right.
    Vqa {
        /// With its interval.
        accuracy: Estimate,
    },
    /// Levels of reports.
    Likert {
        /// Verdicts of level 0, 1, 2, 3 and 4.
        counts: [usize; 5],
        /// Which scale the average is on.
        scale: LikertRange,
        /// Σ s·n_s / Σ n_s over the levels s with their counts n_s, on that scale.
        weighted_average: Estimate,
    },
    /// Errors of reports.
    Errors {
        /// Mean number of significant errors a verdict.
        significant: Estimate,
        /// Mean number of all errors a verdict.
        all: Estimate,
        /// Sums over all verdicts by type: significant, insignificant.
        by_type: BTreeMap<&'static str, [u64; 2]>,
    },
}

/// How far a judge agrees with itself when it is asked again.
#[derive(Clone, Debug, Serialize)]
pub struct Stability {
    /// Items with at least two verdicts.
    pub items: usize,
    /// Those of them whose verdicts are not all the same.
    pub varying: usize,
    /// Share of all pairs of verdicts on the same item that are the same.
    pub agreement: f64,
    /// Mean over items of the largest less the smallest value.
    pub mean_spread: f64,
    /// The items that vary, most flips first.
    pub unstable: Vec<ItemStability>,
}

/// Verdicts on one item; the value of counted errors is their number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ItemStability {
    /// Id of the item.
    pub id: String,
    /// Values in the order of asking.
    pub values: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// The largest less the smallest.
    pub spread: f64,
    /// How often a value differs from the one before it.
    pub flips: usize,
}

/// System, image condition and kind: what results are grouped by.
type Cell<'a> = (&'a str, ImageCondition, Kind);

impl Summary {
    /// Adds up what was judged. Intervals are percentile bootstrap intervals over resampled groups;
    /// repeats of an item stay together with it.
    ///
    /// # Errors
    /// [`EvalError::Option`] for bootstrap options that make no sense.
    pub fn new(
        judge: &Judge,
        plan: &Plan,
        judged: &Judged,
        scale: LikertRange,
        bootstrap: &BootstrapOptions,
    ) -> Result<Self, EvalError> {
        bootstrap.check()?;
        let mut cells: Vec<(Cell<'_>, Vec<&Verdict>)> = Vec::new();
        let mut places = BTreeMap::new();
        let (mut unparsable, mut cannot_judge) = (Vec::new(), Vec::new());
        for (number, question) in plan.questions.iter().enumerate() {
            let item = &plan.items[question.item];
            let cell: Cell<'_> = (item.system.as_str(), item.condition, question.kind);
            let place = *places.entry(cell).or_insert_with(|| {
                cells.push((cell, Vec::new()));
                cells.len() - 1
            });
            let Some(verdict) = judged.verdicts.get(&number) else { continue };
            match &verdict.outcome {
                Outcome::Score(_) | Outcome::Errors(_) => cells[place].1.push(verdict),
                Outcome::CannotJudge => cannot_judge.push(plan.name(question)),
                Outcome::Unparsable(reason) => {
                    unparsable.push(Unread { name: plan.name(question), reason: reason.clone() });
                }
            }
        }
        let results = cells
            .into_iter()
            .map(|((system, condition, kind), verdicts)| {
                let totals = totals(&verdicts, |verdict| [verdict.outcome.value().unwrap_or(0.0)]);
                let by_item = by_item(&verdicts);
                Results {
                    system: system.to_owned(),
                    condition,
                    kind,
                    items: by_item.len(),
                    groups: totals.groups(),
                    verdicts: verdicts.len(),
                    numbers: numbers(kind, &verdicts, scale, bootstrap),
                    stability: stability(&by_item),
                }
            })
            .collect();
        Ok(Self {
            model: judge.model.clone(),
            endpoint: judge.endpoint.clone(),
            prompts: plan
                .kinds()
                .into_iter()
                .map(|kind| (kind, judge.prompt(kind).sha256().to_owned()))
                .collect(),
            sampling: judge.sampling.clone(),
            repeats: judge.repeats,
            bootstrap: *bootstrap,
            results,
            unparsable,
            cannot_judge,
            failed: judged.failed.clone(),
            not_asked: judged.not_asked,
            halt: judged.halt.clone(),
            without_reference: plan.without_reference.clone(),
            other_task: plan.other_task,
        })
    }
}

/// An item without a group stands for itself.
fn totals<const K: usize>(
    verdicts: &[&Verdict],
    values: impl Fn(&Verdict) -> [f64; K],
) -> ClusterTotals<K> {
    let group = |verdict: &Verdict| match verdict.group.as_str() {
        "" => format!("i{}", verdict.id),
        group => format!("g{group}"),
    };
    let rows: Vec<(String, [f64; K])> =
        verdicts.iter().map(|verdict| (group(verdict), values(verdict))).collect();
    ClusterTotals::new(rows.iter().map(|(group, values)| (group.as_str(), *values)))
}

fn numbers(
    kind: Kind,
    verdicts: &[&Verdict],
    scale: LikertRange,
    bootstrap: &BootstrapOptions,
) -> Option<Numbers> {
    if verdicts.is_empty() {
        return None;
    }
    let value = |verdict: &Verdict| verdict.outcome.value().unwrap_or(0.0);
    Some(match kind {
        Kind::Vqa => {
            let [accuracy] = totals(verdicts, |verdict| [value(verdict)]).estimates(bootstrap);
            Numbers::Vqa { accuracy }
        }
        Kind::Likert => {
            let mut counts = [0; 5];
            for verdict in verdicts {
                if let Outcome::Score(level) = verdict.outcome
                    && let Some(count) = counts.get_mut(usize::from(level))
                {
                    *count += 1;
                }
            }
            let [weighted_average] =
                totals(verdicts, |verdict| [scale.show(value(verdict))]).estimates(bootstrap);
            Numbers::Likert { counts, scale, weighted_average }
        }
        Kind::Errors => {
            let mut by_type = BTreeMap::from(ErrorCounts::TYPES.map(|name| (name, [0; 2])));
            for verdict in verdicts {
                let Outcome::Errors(counts) = &verdict.outcome else { continue };
                for (name, count) in ErrorCounts::TYPES.into_iter().zip(counts.counts()) {
                    let [significant, insignificant] = by_type.entry(name).or_default();
                    *significant += u64::from(count.significant);
                    *insignificant += u64::from(count.insignificant);
                }
            }
            let both = |verdict: &Verdict| match &verdict.outcome {
                Outcome::Errors(counts) => {
                    [f64::from(counts.significant()), f64::from(counts.total())]
                }
                _ => [0.0; 2],
            };
            let [significant, all] = totals(verdicts, both).estimates(bootstrap);
            Numbers::Errors { significant, all, by_type }
        }
    })
}

/// Values of each item in the order of asking; items in the order they are first seen.
fn by_item<'a>(verdicts: &[&'a Verdict]) -> Vec<(&'a str, Vec<&'a Verdict>)> {
    let mut items: Vec<(&str, Vec<&Verdict>)> = Vec::new();
    let mut places = BTreeMap::new();
    for verdict in verdicts {
        let place = *places.entry(verdict.id.as_str()).or_insert_with(|| {
            items.push((verdict.id.as_str(), Vec::new()));
            items.len() - 1
        });
        items[place].1.push(verdict);
    }
    for (_, verdicts) in &mut items {
        verdicts.sort_by_key(|verdict| verdict.repeat);
    }
    items
}

fn stability(items: &[(&str, Vec<&Verdict>)]) -> Option<Stability> {
    let (mut count, mut same, mut pairs, mut spreads) = (0, 0_usize, 0_usize, 0.0);
    let mut unstable = Vec::new();
    for (id, verdicts) in items.iter().filter(|(_, verdicts)| verdicts.len() > 1) {
        count += 1;
        for (index, one) in verdicts.iter().enumerate() {
            pairs += verdicts.len() - index - 1;
            same += verdicts[index + 1..].iter().filter(|o| o.outcome == one.outcome).count();
        }
        let values: Vec<f64> =
            verdicts.iter().filter_map(|verdict| verdict.outcome.value()).collect();
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let spread = largest - smallest;
        spreads += spread;
        let flips = verdicts.windows(2).filter(|two| two[0].outcome != two[1].outcome).count();
        if flips > 0 {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            unstable.push(ItemStability { id: (*id).to_owned(), values, mean, spread, flips });
        }
    }
    unstable.sort_by(|a, b| {
        b.flips.cmp(&a.flips).then(b.spread.total_cmp(&a.spread)).then(a.id.cmp(&b.id))
    });
    (count > 0).then(|| Stability {
        items: count,
        varying: unstable.len(),
        agreement: same as f64 / pairs as f64,
        mean_spread: spreads / count as f64,
        unstable,
    })
}
