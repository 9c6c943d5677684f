//! The ablation: the same data with parts of the training left out.

use std::collections::BTreeSet;

use pefomed_data::{ImageCondition, Task};

use super::charts::{Bar, bars};
use super::html::{Page, escape, escape_short, head, row};
use super::results::{condition_class, condition_name, legend};
use super::run::{Run, Variant};
use crate::metrics::TaskMetrics;
use crate::number::with_interval;
use pefomed_data::readable::thousands;

/// Appends a table and a chart for each split that an ablation scored.
pub(super) fn section(page: &mut Page, run: &Run) {
    let splits: BTreeSet<&String> =
        run.ablation.iter().flat_map(|variant| variant.metrics.keys()).collect();
    let splits: Vec<&String> = splits
        .into_iter()
        .filter(|split| run.ablation.iter().any(|variant| vqa(variant, split).is_some()))
        .collect();
    if splits.is_empty() {
        page.left_out
            .push("Ablation: the folder has no <code>ablation/*/metrics-*.json</code>.".into());
        return;
    }
    page.push("<section><h2>Ablation</h2>");
    for split in splits {
        table(page, run, split);
        chart(page, run, split);
        captions(page, run, split);
    }
    page.push("</section>");
}

fn vqa<'a>(variant: &'a Variant, split: &str) -> Option<&'a TaskMetrics> {
    variant.metrics.get(split)?.task(Task::Vqa)
}

fn trainable(variant: &Variant) -> Option<u64> {
    let counts = variant.info.as_ref()?.counts("trainable_parameters");
    // A variant that trained nothing says so with an empty map or zeros.
    let stated = variant.info.as_ref()?.has("trainable_parameters");
    stated.then(|| counts.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count)))
}

fn table(page: &mut Page, run: &Run, split: &str) {
    let mut body = String::new();
    for variant in &run.ablation {
        let task = vqa(variant, split);
        let overall = |condition| {
            let scores = task?.condition(condition)?;
            Some(with_interval(&scores.overall.exact_match))
        };
        let part = |closed: bool| {
            let scores = task?.condition(ImageCondition::True)?;
            let scores = if closed { scores.closed } else { scores.open };
            Some(with_interval(&scores?.exact_match))
        };
        let cells = [
            trainable(variant).map(thousands),
            overall(ImageCondition::True),
            part(false),
            part(true),
            overall(ImageCondition::Blank),
            overall(ImageCondition::Shuffled),
        ];
        let cells: Vec<String> =
            cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned())).collect();
        body.push_str(&row(&escape_short(&variant.name, 60), &cells));
    }
    page.table(
        "scores dense",
        &format!(
            "Exact match in per cent on the questions of split {}, by what was trained. All, open and \
             closed are under the true image.",
            escape(split)
        ),
        &head(&["", "Trainable", "All", "Open", "Closed", "Blank image", "Shuffled image"]),
        &body,
    );
}

/// What the first stage teaches is measured on its own task too: an answer of one word says little
/// about what a projector lets through.
fn captions(page: &mut Page, run: &Run, split: &str) {
    let mut body = String::new();
    for variant in &run.ablation {
        let Some(task) = variant.metrics.get(split).and_then(|metrics| metrics.task(Task::Caption))
        else {
            continue;
        };
        let cells = ImageCondition::ALL.map(|condition| {
            task.condition(condition)
                .map_or_else(|| "–".to_owned(), |it| with_interval(&it.overall.token_f1))
        });
        body.push_str(&row(&escape_short(&variant.name, 60), &cells));
    }
    if body.is_empty() {
        return;
    }
    page.table(
        "scores dense",
        &format!(
            "Token F1 in per cent of the captions of split {}, the first stage\u{2019}s own task.",
            escape(split)
        ),
        &head(&["", "True image", "Blank image", "Shuffled image"]),
        &body,
    );
}

fn chart(page: &mut Page, run: &Run, split: &str) {
    let mut seen = BTreeSet::new();
    let mut groups = Vec::new();
    for variant in &run.ablation {
        let Some(task) = vqa(variant, split) else { continue };
        let mut group = Vec::new();
        for condition in &task.conditions {
            seen.insert(condition.condition);
            group.push(Bar {
                class: condition_class(condition.condition),
                name: condition_name(condition.condition),
                estimate: condition.overall.exact_match,
            });
        }
        groups.push((variant.name.clone(), group));
    }
    let conditions: Vec<ImageCondition> = seen.into_iter().collect();
    page.figure(
        "bars",
        &format!("{}{}", bars("Exact match by training variant", &groups), legend(&conditions)),
        &format!("Exact match over all questions of split {}, in per cent.", escape(split)),
    );
}
