//! `pefomed compare`: two prediction files on the same items.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use pefomed_data::prediction::read_results;
use pefomed_data::readable::thousands;
use pefomed_data::{ImageCondition, Prediction, Split};
use pefomed_eval::compare::{Difference, MetricDifference};
use pefomed_eval::{BootstrapOptions, CompareOptions, Comparison, compare};
use pefomed_train::RunFolder;

use crate::context::Context;
use crate::failure::Usage;
use crate::metric_options::MetricOptions;
use crate::table::{row, table};

/// Compare two sets of predictions item by item: is the difference more than chance?
#[derive(Args, Debug)]
#[command(
    after_help = "Items are paired by id. Intervals resample images or patients, p-values swap the \
two sets within them at random; BLEU, METEOR and F1 are computed anew each time. p-values are not \
corrected for their number. Grades of judges and raters are compared by `pefomed agree`.

Examples:
  pefomed compare runs/stage-2-only runs/both
  pefomed compare a/predictions-test.jsonl b/predictions-test.jsonl --out comparison.json
  pefomed compare r2gen.csv mine.csv --external 'radgraph=python radgraph_lines.py'"
)]
pub(crate) struct Arguments {
    /// The first: a run folder or a prediction file.
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The second.
    #[arg(value_name = "B")]
    b: PathBuf,
    /// The split of run folders: train, val or test.
    #[arg(long, default_value_t = Split::Test)]
    split: Split,
    /// Which image was shown: true, blank or shuffled.
    #[arg(long, value_name = "CONDITION", default_value = "true", value_parser = condition)]
    condition: ImageCondition,
    #[command(flatten)]
    metrics: MetricOptions,
    /// Also write the comparison to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Bootstrap resamples behind the intervals.
    #[arg(long, value_name = "N", default_value_t = BootstrapOptions::default().resamples)]
    resamples: usize,
    /// Random swaps behind the p-values.
    #[arg(long, value_name = "N", default_value_t = CompareOptions::default().permutations)]
    permutations: usize,
    /// Seed of intervals and p-values.
    #[arg(long, value_name = "N", default_value_t = BootstrapOptions::default().seed)]
    seed: u64,
}

fn condition(text: &str) -> Result<ImageCondition, String> {
    let found = ImageCondition::ALL.into_iter().find(|condition| condition.name() == text);
    found.ok_or_else(|| "there are true, blank and shuffled".to_owned())
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let read = |path: &Path| -> anyhow::Result<Vec<Prediction>> {
        let file = if path.is_dir() {
            RunFolder::new(path).predictions(arguments.split, arguments.condition)
        } else {
            path.to_owned()
        };
        Ok(read_results(&file, None)?)
    };
    if arguments.a == arguments.b {
        return Err(Usage("A and B are the same".to_owned()).into());
    }
    let options = CompareOptions {
        a: arguments.a.display().to_string(),
        b: arguments.b.display().to_string(),
        condition: arguments.condition,
        bootstrap: BootstrapOptions {
            resamples: arguments.resamples,
            seed: arguments.seed,
            ..BootstrapOptions::default()
        },
        permutations: arguments.permutations,
        meteor_data: arguments.metrics.meteor_data.clone(),
        clinical: arguments.metrics.clinical,
        uncertain: arguments.metrics.uncertain,
        externals: arguments.metrics.externals()?,
    };
    let comparison = compare(&read(&arguments.a)?, &read(&arguments.b)?, &options)?;
    if let Some(out) = &arguments.out {
        pefomed_data::files::write_json(out, &comparison)?;
    }
    context.output.result(&text(&comparison), &comparison)?;
    Ok(ExitCode::SUCCESS)
}

fn text(comparison: &Comparison) -> String {
    let mut out = format!("A: {}\nB: {}\n", comparison.a, comparison.b);
    for task in &comparison.tasks {
        let mut rows = vec![row([task.task.tag(), "A", "B", "B less A", "p"])];
        for (name, one) in [
            ("exact match", &task.exact_match),
            ("token F1", &task.token_f1),
            ("token recall", &task.token_recall),
        ] {
            rows.push(difference(name, one, 100.0, 1));
        }
        for MetricDifference { name, own_unit, difference: one } in &task.others {
            let (factor, decimals) = if *own_unit { (1.0, 4) } else { (100.0, 1) };
            rows.push(difference(name, one, factor, decimals));
        }
        let _ = write!(
            out,
            "\n{} items in {} groups; only A is right on {}, only B on {}\n{}",
            thousands(task.n),
            thousands(task.groups),
            thousands(task.only_a_right),
            thousands(task.only_b_right),
            table(&rows)
        );
    }
    let alone = [("A", &comparison.only_in_a), ("B", &comparison.only_in_b)];
    for (name, ids) in alone.iter().filter(|(_, ids)| !ids.is_empty()) {
        let _ = writeln!(out, "\n{} items are only in {name} and left out", thousands(ids.len()));
    }
    if !comparison.unscored.is_empty() {
        let _ = writeln!(out, "\n{} items could not be scored", comparison.unscored.len());
    }
    let _ = writeln!(
        out,
        "\nIn per cent and points{}, under the {} image. Brackets: {} % intervals from {} resamples \
         of groups. p: {} random swaps of A and B within groups.",
        if comparison.externals.is_empty() { "" } else { ", external scores in their own units" },
        comparison.condition.name(),
        comparison.bootstrap.level * 100.0,
        thousands(comparison.bootstrap.resamples),
        thousands(comparison.permutations)
    );
    out
}

/// A row; numbers are multiplied by `factor` and shown with `decimals`.
fn difference(name: &str, one: &Difference, factor: f64, decimals: usize) -> Vec<String> {
    let points = |value: f64| format!("{:+.decimals$}", value * factor);
    let estimate = &one.difference;
    let difference = match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => {
            format!("{} [{}, {}]", points(estimate.value), points(low), points(high))
        }
        _ => points(estimate.value),
    };
    let p = if one.p_value < 0.001 { "< 0.001".to_owned() } else { format!("{:.3}", one.p_value) };
    let mean = |value: f64| format!("{:.decimals$}", value * factor);
    row([name.to_owned(), mean(one.a), mean(one.b), difference, p])
}
