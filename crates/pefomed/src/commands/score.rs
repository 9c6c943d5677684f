//! `pefomed score`: from predictions to numbers with intervals.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use pefomed_data::Split;
use pefomed_data::prediction::read_predictions;
use pefomed_eval::{ScoreOptions, score};
use pefomed_train::RunFolder;

use crate::context::Context;
use crate::failure::Usage;
use crate::{metrics_table, scoring, tuning};

/// Score predictions: a run folder, or files that anything may have written.
#[derive(Args, Debug)]
#[command(
    after_help = "A run folder is scored with what its recipe knows: the majority answers of \
its training split as a baseline, and how many test images were trained on. Its scores are also \
written to metrics-<split>.json.

Examples:
  pefomed score runs/vqa-rad
  pefomed score predictions-test.jsonl predictions-test.blank.jsonl --out metrics.json"
)]
pub(crate) struct Arguments {
    /// A run folder, or prediction files.
    #[arg(required = true, value_name = "RUN|FILE")]
    what: Vec<PathBuf>,
    /// The split of a run: train, val or test; that of the recipe's evaluation by default.
    #[arg(long)]
    split: Option<Split>,
    /// A data set of a run's recipe; those of its evaluation by default.
    #[arg(long, value_name = "NAME")]
    data: Option<String>,
    /// Also write the scores to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let metrics = match &arguments.what[..] {
        [folder] if folder.is_dir() => {
            let run = RunFolder::new(folder);
            let recipe = tuning::recipe_of(&run)?;
            let data = arguments.data.as_deref();
            let (data, split) = tuning::evaluated(&recipe, data, arguments.split)?;
            let options = scoring::options(&recipe, &data, split)?;
            scoring::score_run(&run, &options, split)?.0
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
            let mut predictions = Vec::new();
            for file in files {
                predictions.extend(read_predictions(file)?);
            }
            let named = arguments.split.map(|split| split.to_string());
            let split = named.or_else(|| split_of(&files[0])).unwrap_or_else(|| "test".to_owned());
            score(&predictions, &ScoreOptions { split, ..ScoreOptions::default() })?
        }
    };
    if let Some(out) = &arguments.out {
        metrics.write(out)?;
    }
    context.output.result(&metrics_table::text(&metrics), &metrics)?;
    Ok(ExitCode::SUCCESS)
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
}
