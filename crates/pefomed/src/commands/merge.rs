//! `pefomed merge`: an adapter into its base, verified.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use pefomed_model::merge::{MergeOptions, MergedType, merge};
use pefomed_train::parts::decoder_files;
use pefomed_train::recipe::ModelSource;

use crate::context::Context;

/// Merge an adapter into its base, for programs without adapters.
#[derive(Args, Debug)]
#[command(after_help = "Writes a folder in Hugging Face layout that transformers loads, and the \
projector beside it. Then base with adapter and merged model answer the same text, and the largest \
difference of a logit is printed.

Examples:
  pefomed merge models/llama-2-7b-chat-hf runs/vqa-rad/adapter --out merged
  pefomed merge models/smollm2.gguf runs/vqa-rad/adapter --out merged --dtype float32
  pefomed merge embedded:tiny runs/demo/adapter --out merged")]
pub(crate) struct Arguments {
    /// The decoder: a folder in Hugging Face layout, a GGUF file, `hub:owner/name`, or `embedded:tiny`.
    base: ModelSource,
    /// The adapter folder.
    adapter: PathBuf,
    /// The folder to be written; it must not be there yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The type of the weights.
    #[arg(long, value_enum, default_value = "float16")]
    dtype: Type,
    /// Gigabytes of a weight file at most.
    #[arg(long, value_name = "GB", default_value = "5")]
    shard_size: f64,
    /// The text to measure the difference on; a built-in one by default.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Type {
    Float16,
    Bfloat16,
    Float32,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let options = MergeOptions {
        dtype: match arguments.dtype {
            Type::Float16 => MergedType::Float16,
            Type::Bfloat16 => MergedType::BFloat16,
            Type::Float32 => MergedType::Float32,
        },
        shard_bytes: (arguments.shard_size * 1e9) as u64,
        text: arguments.text.clone(),
    };
    let base = decoder_files(&arguments.base)?;
    let merged = merge(&base, &arguments.adapter, &arguments.out, &options)?;
    context.output.result(&merged.to_text(), &merged)?;
    Ok(ExitCode::SUCCESS)
}
