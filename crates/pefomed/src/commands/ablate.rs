//! `pefomed ablate`: what each stage of a recipe is worth.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pefomed_data::{Split, files};
use pefomed_eval::{Ablation, write_report};
use pefomed_train::recipe::Stage;
use pefomed_train::train::Training;
use pefomed_train::{Recipe, RunFolder, start};
use serde_json::json;

use crate::ablation::{Study, variants};
use crate::context::Context;
use crate::failure::Usage;
use crate::table::table;
use crate::{tuning, way_on};

/// Train a recipe whole and with stages left out, ask and score all variants.
#[derive(Args, Debug)]
#[command(
    after_help = "A recipe of two stages is compared untuned, after stage 1, with stage 2 alone \
and after both; with one stage, untuned and tuned; with more, after each stage and with the last \
alone. Every variant answers the split with true, blank and exchanged images. Nothing is trained \
twice: \"after stage 1\" is a moment of the run of both.

The folder is the run of all stages, as `pefomed train` makes it, with the variants in ablation/, \
the tables in ablation.md and ablation.json, and the report. With --seeds there is such a folder for \
each seed, and the tables hold mean and standard deviation.

Examples:
  pefomed ablate recipes/vqa-rad-small.toml --out runs/ablation
  pefomed ablate recipe.toml --seeds 1,2,3 --out runs/ablation
  pefomed ablate recipe.toml --seeds 1,2,3 --out runs/ablation --resume"
)]
pub(crate) struct Arguments {
    /// The recipe.
    recipe: PathBuf,
    /// Changes to it, as in `seed=3` or `stage.vqa.batch=32`.
    #[arg(value_name = "KEY=VALUE")]
    changes: Vec<String>,
    /// The folder; the recipe's `output` by default.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Repeat everything with each of these seeds; the recipe's alone by default.
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    seeds: Vec<u64>,
    /// The split to ask about: train, val or test; that of the recipe's evaluation by default.
    #[arg(long)]
    split: Option<Split>,
    /// A data set of the recipe to ask about; those of its evaluation by default.
    #[arg(long, value_name = "NAME")]
    data: Option<String>,
    /// Go on with the ablation in the folder; without one there, start it.
    #[arg(long)]
    resume: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let mut recipe = Recipe::read(&arguments.recipe, &arguments.changes)?;
    recipe.settle(context.device)?;
    let out = tuning::out_folder(arguments.out.as_deref(), &recipe, "the folder with --out DIR")?;
    if recipe.stages.is_empty() {
        let problem = "the recipe has no [[stage]]: there is nothing to leave out";
        return Err(Usage(problem.to_owned()).into());
    }
    let distinct: BTreeSet<u64> = arguments.seeds.iter().copied().collect();
    if distinct.len() < arguments.seeds.len() {
        let problem = "--seeds names a seed twice: the second training would be the first again";
        return Err(Usage(problem.to_owned()).into());
    }
    let runs: Vec<(u64, RunFolder)> = if arguments.seeds.is_empty() {
        vec![(recipe.seed, RunFolder::new(&out))]
    } else {
        let folder = |seed| RunFolder::new(out.join(format!("seed-{seed}")));
        arguments.seeds.iter().map(|&seed| (seed, folder(seed))).collect()
    };
    for (_, run) in &runs {
        tuning::refuse_existing(run, arguments.resume)?;
    }
    let (data, split) = tuning::evaluated(&recipe, arguments.data.as_deref(), arguments.split)?;
    start::check(&recipe)?;

    let stages = recipe.stages.clone();
    let cache = RunFolder::new(&out);
    recipe.seed = runs[0].0;
    let parts = tuning::load_parts(context, &recipe)?;
    let (training, encoding) = tuning::prepare(context, recipe, parts, &cache)?;
    let study = Study::new(context, &training, (&data, split), &cache, arguments.resume)?;
    let scored = all_seeds(&study, context, training, &stages, &runs, encoding)
        .map_err(|error| with_way_on(error, arguments, &out))?;

    let names = stages.iter().map(|stage| stage.name.clone()).collect();
    let seeds = runs.iter().map(|(seed, _)| *seed).collect();
    let ablation = Ablation::new(&study.split().to_string(), seeds, names, &variants(scored));
    files::write_json(&out.join(Ablation::FILE), &ablation)?;
    let markdown = out.join(Ablation::TEXT_FILE);
    files::write_bytes(&markdown, ablation.to_markdown().as_bytes())?;
    let mut reports = Vec::new();
    for (_, run) in &runs {
        reports.push(write_report(run.root())?);
    }
    let mut written = vec![format!("tables: {}", markdown.display())];
    written.extend(reports.iter().map(|report| format!("report: {}", report.display())));
    let text = format!("{}\n{}", tables(&ablation), written.join("\n"));
    let result = json!({ "ablation": ablation, "out": out, "reports": reports });
    context.output.result(&text, &result)?;
    Ok(ExitCode::SUCCESS)
}

/// The tables of an ablation for the terminal, with what their numbers are.
pub(crate) fn tables(ablation: &Ablation) -> String {
    let tables: Vec<String> = ablation.tables.iter().map(|it| table(&it.text_rows())).collect();
    format!("{}\n{}\n", tables.join("\n"), ablation.legend())
}

/// Every seed in its folder.
fn all_seeds(
    study: &Study<'_>,
    context: &Context,
    mut training: Training,
    stages: &[Stage],
    runs: &[(u64, RunFolder)],
    encoding: f64,
) -> anyhow::Result<Vec<Vec<crate::ablation::Scored>>> {
    let mut all = Vec::new();
    for (index, (seed, run)) in runs.iter().enumerate() {
        if runs.len() > 1 {
            context.progress.note(&format!("seed {seed}, {} of {}", index + 1, runs.len()));
        }
        if index > 0 {
            training = training.again(*seed, stages.to_vec(), run, &|_, _| ())?;
        }
        let (given_back, scored) = study.run(training, run, encoding)?;
        training = given_back;
        all.push(scored);
    }
    Ok(all)
}

fn with_way_on(
    error: anyhow::Error,
    arguments: &Arguments,
    out: &std::path::Path,
) -> anyhow::Error {
    let mut options = Vec::new();
    if !arguments.seeds.is_empty() {
        let seeds: Vec<String> = arguments.seeds.iter().map(u64::to_string).collect();
        options.extend(["--seeds".to_owned(), seeds.join(",")]);
    }
    options.extend(arguments.split.iter().flat_map(|it| ["--split".to_owned(), it.to_string()]));
    options.extend(arguments.data.iter().flat_map(|it| ["--data".to_owned(), it.clone()]));
    way_on::told(error, "ablate", &arguments.recipe, &arguments.changes, out, &options)
}
