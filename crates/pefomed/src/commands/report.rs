//! `pefomed report`: one page with everything a run folder holds.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pefomed_eval::write_report;
use serde_json::json;

use crate::context::Context;

/// Write one self-contained HTML page about a run.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  pefomed report runs/vqa-rad")]
pub(crate) struct Arguments {
    /// The run folder.
    run: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let path = write_report(&arguments.run)?;
    context.output.result(&path.display().to_string(), &json!({ "report": path }))?;
    Ok(ExitCode::SUCCESS)
}
