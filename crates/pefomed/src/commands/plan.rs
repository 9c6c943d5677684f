//! `pefomed plan`: what a recipe will cost.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pefomed_train::Recipe;
use pefomed_train::plan::Plan;

use crate::context::Context;

/// Show parameters, memory, tokens and arithmetic of a recipe; loads no weights.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pefomed plan recipes/vqa-rad-small.toml
  pefomed plan recipes/vqa-rad-small.toml stage.vqa.token_budget=512 --threads 8")]
pub(crate) struct Arguments {
    /// The recipe.
    recipe: PathBuf,
    /// Changes to it, as in `seed=3` or `stage.vqa.batch=32`.
    #[arg(value_name = "KEY=VALUE")]
    changes: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let recipe = Recipe::read(&arguments.recipe, &arguments.changes)?;
    let plan = Plan::new(&recipe, rayon::current_num_threads())?;
    context.output.result(&plan.to_text(), &plan)?;
    Ok(ExitCode::SUCCESS)
}
