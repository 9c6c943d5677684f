//! `pefomed score`: from predictions to numbers with intervals.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use pefomed_data::prediction::read_results;
use pefomed_data::{Prediction, Split, Task};
use pefomed_eval::clinical::write_labels;
use pefomed_eval::grade::write_grades;
use pefomed_eval::{ScoreOptions, Scoring};
use pefomed_train::RunFolder;

use crate::context::Context;
use crate::failure::Usage;
use crate::metric_options::MetricOptions;
use crate::{metrics_table, scoring, system, tuning};

/// Score predictions: a run folder, or files that anything may have written.
#[derive(Args, Debug)]
#[command(
    after_help = "A run folder is scored with what its recipe knows: the majority answers of \
its training split as a baseline, and how many test images were trained on. Its scores are also \
written to metrics-<split>.json.

Files are prediction lines (.jsonl), or a table (.csv, .tsv) or JSON lines with a reference and a \
prediction and, where there are any, id, group (patient), image, question, task, condition (true, \
blank, shuffled) and labels. Rows without a question are taken for reports.

Reports and captions get BLEU, ROUGE-L, METEOR and CIDEr as in the COCO caption evaluation; METEOR \
in full with --meteor-data. Reports of chest images also get the F1 of 14 clinical findings, by rules \
in the manner of the CheXpert labeler; any other metric comes in with --external. docs/metrics.md defines \
every number.

Examples:
  pefomed score runs/vqa-rad
  pefomed score predictions-test.jsonl predictions-test.blank.jsonl --out metrics.json
  pefomed score reports.csv --meteor-data site-packages/pycocoevalcap/meteor
  pefomed score r2gen=r2gen.csv --items r2gen-items.jsonl --labels r2gen-findings.jsonl
  pefomed score reports.csv --external 'radgraph=python radgraph_lines.py'"
)]
pub(crate) struct Arguments {
    /// A run folder, or files of one system, all image conditions together; NAME= before a file or
    /// folder names the system.
    #[arg(required = true, value_name = "[NAME=]RUN|FILE")]
    what: Vec<String>,
    /// The split of a run: train, val or test; that of the recipe's evaluation by default.
    #[arg(long)]
    split: Option<Split>,
    /// A data set of a run's recipe; those of its evaluation by default.
    #[arg(long, value_name = "NAME")]
    data: Option<String>,
    /// What the rows of files are: vqa, caption or report; else what they say themselves.
    #[arg(long)]
    task: Option<Task>,
    #[command(flatten)]
    metrics: MetricOptions,
    /// Also write the scores to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write every metric of every item to this file, as lines that `pefomed agree` reads.
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
    /// Also write the clinical findings of every text and reference to this file.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let (system, what) = named(&arguments.what)?;
    let chosen = &arguments.metrics;
    let externals = chosen.externals()?;
    let (predictions, options, own) = match &what[..] {
        [folder] if folder.is_dir() => {
            if arguments.task.is_some() {
                let problem = "--task says what files hold: a run folder knows it";
                return Err(Usage(problem.to_owned()).into());
            }
            let run = RunFolder::new(folder);
            let recipe = tuning::recipe_of(&run)?;
            let data = arguments.data.as_deref();
            let (data, split) = tuning::evaluated(&recipe, data, arguments.split)?;
            let options = scoring::options(&recipe, &data, split)?;
            let predictions = scoring::predictions(&run, split)?;
            (predictions, options, Some(run.metrics(split)))
        }
        files => {
            if let Some(folder) = files.iter().find(|file| file.is_dir()) {
                let folder = folder.display();
                return Err(Usage(format!("score `{folder}` on its own: it is a folder")).into());
            }
            if arguments.data.is_some() {
                let problem = "--data names a data set of a run's recipe: score a run folder";
                return Err(Usage(problem.to_owned()).into());
            }
            let mut predictions: Vec<Prediction> = Vec::new();
            for file in files {
                predictions.extend(read_results(file, arguments.task)?);
            }
            let named = arguments.split.map(|split| split.to_string());
            let split = named.or_else(|| split_of(files.first()?)).unwrap_or_else(|| "test".into());
            (predictions, ScoreOptions { split, ..ScoreOptions::default() }, None)
        }
    };
    let options = ScoreOptions {
        meteor_data: chosen.meteor_data.clone(),
        clinical: chosen.clinical,
        uncertain: chosen.uncertain,
        externals,
        ..options
    };
    let scoring = Scoring::new(&predictions, &options)?;
    let metrics = scoring.metrics();
    for out in own.iter().chain(&arguments.out) {
        metrics.write(out)?;
    }
    if let Some(items) = &arguments.items {
        write_grades(items, &scoring.grades(&system))?;
    }
    if let Some(labels) = &arguments.labels {
        let lines = scoring.labels(&system);
        if lines.is_empty() {
            let problem = "--labels: no text is labelled; only reports and captions are, captions with \
                           --clinical";
            return Err(Usage(problem.to_owned()).into());
        }
        write_labels(labels, &lines)?;
    }
    context.output.result(&metrics_table::text(&metrics), &metrics)?;
    Ok(ExitCode::SUCCESS)
}

/// Takes `NAME=` off the paths: the system's name, or what the first path calls it.
fn named(what: &[String]) -> anyhow::Result<(String, Vec<PathBuf>)> {
    let mut name: Option<String> = None;
    let mut paths = Vec::new();
    for argument in what {
        let (given, path) = system::named(argument);
        if let (Some(name), Some(given)) = (&name, &given)
            && name != given
        {
            let problem = format!("`{name}` and `{given}` are two systems: score one at a time");
            return Err(Usage(problem).into());
        }
        name = name.or(given);
        paths.push(path);
    }
    let own = || paths.first().map(|path| system::name_of(path));
    let name = name.or_else(own).unwrap_or_else(|| "predictions".to_owned());
    Ok((name, paths))
}

/// The split in `predictions-<split>[.<condition>].jsonl`.
fn split_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_prefix("predictions-")?;
    let name = name.strip_suffix(".jsonl")?;
    Some(name.split_once('.').map_or(name, |(split, _)| split).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_is_read_from_the_name() {
        let of = |name: &str| split_of(Path::new(name));
        assert_eq!(of("a/predictions-val.jsonl").as_deref(), Some("val"));
        assert_eq!(of("predictions-test.blank.jsonl").as_deref(), Some("test"));
        assert_eq!(of("answers.jsonl"), None);
    }

    #[test]
    fn a_system_is_named_by_hand_or_by_its_file() {
        let of = |what: &[&str]| {
            let what: Vec<String> = what.iter().map(|what| (*what).to_owned()).collect();
            named(&what).map(|(name, paths)| (name, paths.len()))
        };
        assert_eq!(of(&["a/r2gen.csv"]).unwrap(), ("r2gen".to_owned(), 1));
        assert_eq!(of(&["x.blank.jsonl", "x.jsonl"]).unwrap(), ("x".to_owned(), 2));
        assert_eq!(of(&["mine=a.csv", "mine=b.csv"]).unwrap(), ("mine".to_owned(), 2));
        assert!(of(&["mine=a.csv", "yours=b.csv"]).is_err());
    }
}
