//! `pefomed convert`: tuned models of PeFoMed and MiniGPT-v2, in and out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pefomed_model::convert::{ConvertOptions, Spelling, convert};

use crate::context::Context;

/// Convert a PeFoMed or MiniGPT-v2 checkpoint (.pth) to an adapter folder, or back.
#[derive(Args, Debug)]
#[command(
    after_help = "A missing, misshapen or left-over tensor is an error that names it. Nothing \
in the checkpoint is run. docs/checkpoints.md lists every name.

Examples:
  pefomed convert checkpoint_49.pth runs/pefomed-vqa-rad/adapter --alpha 16
  pefomed convert runs/vqa-rad/adapter checkpoint.pth --spelling plain"
)]
pub(crate) struct Arguments {
    /// A checkpoint, or an adapter folder.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The adapter folder or checkpoint to be written.
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Alpha of the adapter, which a checkpoint does not hold; 16, as in the paper, by default.
    #[arg(long, value_name = "ALPHA")]
    alpha: Option<f64>,
    /// Names in a written checkpoint: `default` for `lora_A.default.weight`, which PEFT has had
    /// since 0.3, or `plain` for `lora_A.weight`.
    #[arg(long, value_name = "NAME", default_value_t)]
    spelling: Spelling,
    /// The decoder that a written adapter is said to belong to.
    #[arg(long, value_name = "NAME", default_value = "meta-llama/Llama-2-7b-chat-hf")]
    base: String,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let options = ConvertOptions {
        alpha: arguments.alpha,
        spelling: arguments.spelling,
        base: arguments.base.clone(),
    };
    let converted = convert(&arguments.input, &arguments.output, &options)?;
    context.output.result(&converted.to_text(), &converted)?;
    Ok(ExitCode::SUCCESS)
}
