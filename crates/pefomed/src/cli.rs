//! What can be typed.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use pefomed_train::DeviceKind;

use crate::commands::{
    ablate, agree, compare, convert, data_check, data_deidentify, demo, judge, merge, plan,
    predict, pretrain, rate, report, score, serve, train,
};
use crate::context::Context;

/// Fine-tune, evaluate and serve multimodal language models for medical images.
#[derive(Debug, Parser)]
#[command(
    name = "pefomed",
    version,
    max_term_width = 100,
    after_help = "Examples:
  pefomed demo
  pefomed data check data/vqa-rad --format vqa-rad
  pefomed plan recipes/vqa-rad-small.toml
  pefomed train recipes/vqa-rad-small.toml --out runs/vqa-rad
  pefomed predict runs/vqa-rad
  pefomed score runs/vqa-rad
  pefomed judge runs/vqa-rad/predictions-test.jsonl --endpoint http://127.0.0.1:8000/v1 --model NAME
  pefomed agree metrics.jsonl judge.jsonl ratings.csv --report agreement.html
  pefomed report runs/vqa-rad
  pefomed serve runs/vqa-rad"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Print the result as JSON, for scripts.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show no progress.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Threads to compute on; all cores by default. They change the time and not the result.
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Where to compute: cpu, wgpu, vulkan or cuda. A GPU needs a build with that feature.
    #[arg(long, global = true, value_name = "DEVICE", default_value_t)]
    pub(crate) device: DeviceKind,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Arguments),
    /// Look a data set over before anything is trained on it.
    #[command(subcommand)]
    Data(DataCommand),
    Plan(plan::Arguments),
    Train(train::Arguments),
    Ablate(ablate::Arguments),
    Predict(predict::Arguments),
    Serve(serve::Arguments),
    Score(score::Arguments),
    Compare(compare::Arguments),
    Judge(judge::Arguments),
    // By far the largest; the others need not carry its size.
    Rate(Box<rate::Arguments>),
    Agree(agree::Arguments),
    Report(report::Arguments),
    Convert(convert::Arguments),
    Merge(merge::Arguments),
    Pretrain(pretrain::Arguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    Check(data_check::Arguments),
    Deidentify(data_deidentify::Arguments),
}

impl Command {
    /// Runs the command; the exit code is that of a command which ran to its end.
    pub(crate) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Demo(arguments) => demo::run(arguments, context),
            Self::Data(DataCommand::Check(arguments)) => data_check::run(arguments, context),
            Self::Data(DataCommand::Deidentify(arguments)) => {
                data_deidentify::run(arguments, context)
            }
            Self::Plan(arguments) => plan::run(arguments, context),
            Self::Train(arguments) => train::run(arguments, context),
            Self::Ablate(arguments) => ablate::run(arguments, context),
            Self::Predict(arguments) => predict::run(arguments, context),
            Self::Serve(arguments) => serve::run(arguments, context),
            Self::Score(arguments) => score::run(arguments, context),
            Self::Compare(arguments) => compare::run(arguments, context),
            Self::Judge(arguments) => judge::run(arguments, context),
            Self::Rate(arguments) => rate::run(arguments, context),
            Self::Agree(arguments) => agree::run(arguments, context),
            Self::Report(arguments) => report::run(arguments, context),
            Self::Convert(arguments) => convert::run(arguments, context),
            Self::Merge(arguments) => merge::run(arguments, context),
            Self::Pretrain(arguments) => pretrain::run(arguments, context),
        }
    }
}
