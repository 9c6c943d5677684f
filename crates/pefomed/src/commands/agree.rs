//! `pefomed agree`: how far metrics, judges and raters agree.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pefomed_data::Prediction;
use pefomed_data::prediction::read_results;
use pefomed_eval::agreement::LikertRange;
use pefomed_eval::grade::read_grade_file;
use pefomed_eval::{AgreeOptions, BootstrapOptions, agree, write_agreement_report};

use crate::agreement_table;
use crate::context::Context;
use crate::failure::Usage;

/// Tell how far metrics, model judges and human raters agree, from their grades.
#[derive(Args, Debug)]
#[command(
    after_help = "Grades are JSON lines, or a table that ends in .csv, with system, id, grader, \
kind (metric, judge, human or synthetic), scale (correct, likert, errors or score), value, and \
where there are such, repeat and group. Synthetic graders stand in for people in a trial: they are \
shown by themselves and never counted among people. docs/agreement.md explains every statistic.

Examples:
  pefomed agree metrics.jsonl judge.jsonl ratings.csv
  pefomed agree grades/*.jsonl --predictions tuned=predictions-test.jsonl --images images \\
    --report agreement.html
  pefomed agree grades.jsonl --out runs/vqa-rad/agreement.json   # then: pefomed report runs/vqa-rad"
)]
pub(crate) struct Arguments {
    /// Files with grades.
    #[arg(required = true, value_name = "GRADES")]
    grades: Vec<PathBuf>,
    /// Predictions that were graded, for the texts of items and for groups that grades lack: the
    /// name of the system, and the file. May be repeated.
    #[arg(long, value_name = "NAME=FILE", value_parser = named)]
    predictions: Vec<(String, PathBuf)>,
    /// Folder or parquet file with the images that predictions name, for the page. May be repeated.
    #[arg(long, value_name = "DIR")]
    images: Vec<PathBuf>,
    /// Also write everything to this file; in a run folder, agreement.json is in its report.
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Write one self-contained HTML page.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// How Likert averages are shown: 0-4, 1-5 or 0-100.
    #[arg(long, value_name = "RANGE", default_value = "0-4")]
    likert: LikertRange,
    /// Items shown for each kind of disagreement.
    #[arg(long, value_name = "N", default_value_t = AgreeOptions::default().examples)]
    examples: usize,
    /// Bootstrap resamples behind the intervals.
    #[arg(long, value_name = "N", default_value_t = BootstrapOptions::default().resamples)]
    resamples: usize,
    /// Random swaps behind the p-values of differences between systems.
    #[arg(long, value_name = "N", default_value_t = AgreeOptions::default().permutations)]
    permutations: usize,
    /// Seed of intervals and p-values.
    #[arg(long, value_name = "N", default_value_t = BootstrapOptions::default().seed)]
    seed: u64,
}

/// `NAME=FILE`.
fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(file)))
        }
        _ => Err("write the system's name, an equals sign and the file".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let mut grades = Vec::new();
    for file in &arguments.grades {
        grades.extend(read_grade_file(file)?);
    }
    let mut predictions: BTreeMap<String, Vec<Prediction>> = BTreeMap::new();
    for (name, file) in &arguments.predictions {
        predictions.entry(name.clone()).or_default().extend(read_results(file, None)?);
    }
    if let Some(folder) = arguments.images.iter().find(|place| !place.exists()) {
        let problem = format!("--images `{}` is neither folder nor file", folder.display());
        return Err(Usage(problem).into());
    }
    let options = AgreeOptions {
        bootstrap: BootstrapOptions {
            resamples: arguments.resamples,
            seed: arguments.seed,
            ..BootstrapOptions::default()
        },
        permutations: arguments.permutations,
        likert: arguments.likert,
        examples: arguments.examples,
    };
    let counter = context.progress.counter("relating");
    let agreement =
        agree(&grades, &predictions, &options, &|done, total| counter.tick(done, total))?;
    drop(counter);
    if let Some(out) = &arguments.out {
        agreement.write(out)?;
    }
    if let Some(report) = &arguments.report {
        write_agreement_report(report, &agreement, &arguments.images)?;
    }
    context.output.result(&agreement_table::text(&agreement), &agreement)?;
    Ok(ExitCode::SUCCESS)
}
