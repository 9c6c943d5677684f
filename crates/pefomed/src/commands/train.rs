//! `pefomed train`: the stages of a recipe, into a run folder.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pefomed_data::readable::{bytes, clock, thousands};
use pefomed_train::{Recipe, RunFolder, start};
use serde_json::json;

use crate::context::Context;
use crate::{tuning, way_on};

/// Train the stages of a recipe into a run folder.
#[derive(Args, Debug)]
#[command(after_help = "Ctrl-C or SIGTERM saves a checkpoint after the current step and leaves; \
--resume goes on from the newest checkpoint, also after a crash, and ends with the same adapter.

Examples:
  pefomed train recipes/vqa-rad-small.toml --out runs/vqa-rad
  pefomed train recipes/vqa-rad-small.toml seed=2 stage.vqa.epochs=3 --out runs/seed-2
  pefomed train recipes/vqa-rad-small.toml --out runs/vqa-rad --resume")]
pub(crate) struct Arguments {
    /// The recipe.
    recipe: PathBuf,
    /// Changes to it, as in `seed=3` or `stage.vqa.batch=32`.
    #[arg(value_name = "KEY=VALUE")]
    changes: Vec<String>,
    /// The run folder; the recipe's `output` by default.
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Go on with the run in the folder; without one there, start it.
    #[arg(long)]
    resume: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let mut recipe = Recipe::read(&arguments.recipe, &arguments.changes)?;
    recipe.settle(context.device)?;
    let out =
        tuning::out_folder(arguments.out.as_deref(), &recipe, "the run folder with --out RUN")?;
    let run = RunFolder::new(out);
    tuning::refuse_existing(&run, arguments.resume)?;
    // A start that is missing is told before a decoder is loaded.
    start::check(&recipe)?;
    let parts = tuning::load_parts(context, &recipe)?;
    let (training, encoding) = tuning::prepare(context, recipe, parts, &run)?;
    let (_, info) =
        tuning::tune(context, &training, &run, arguments.resume, encoding).map_err(|error| {
            let (recipe, changes) = (&arguments.recipe, &arguments.changes);
            way_on::told(error, "train", recipe, changes, run.root(), &[])
        })?;

    let adapter = run.adapter();
    let trained: usize = info.trainable_parameters.values().sum();
    let mut facts = vec![format!("{} trained parameters", thousands(trained))];
    facts.extend(info.seconds.map(|seconds| format!("{} of training", clock(seconds))));
    let peak = info.peak_memory_bytes.map(|peak| bytes(peak as usize));
    facts.extend(peak.map(|peak| format!("{peak} of memory at most")));
    let text = format!("{}\n{}", adapter.display(), facts.join(", "));
    context
        .output
        .result(&text, &json!({ "run": run.root(), "adapter": adapter, "info": info }))?;
    Ok(ExitCode::SUCCESS)
}
