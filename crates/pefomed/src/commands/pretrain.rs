//! `pefomed pretrain`: remakes the tiny base that is inside the program.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pefomed_train::pretrain::{BaseRecipe, pretrain};
use serde_json::json;

use crate::context::Context;

/// Train a tiny base from nothing, as the one inside the program was.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  pefomed pretrain recipes/tiny-base.toml --out assets/tiny-base")]
pub(crate) struct Arguments {
    /// The recipe of the base.
    recipe: PathBuf,
    /// The folder for `vision/` and `decoder/`.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let recipe = BaseRecipe::read(&arguments.recipe)?;
    pretrain(&recipe, &arguments.out, &mut context.progress.stages())?;
    let text = arguments.out.display().to_string();
    context.output.result(&text, &json!({ "base": arguments.out }))?;
    Ok(ExitCode::SUCCESS)
}
