//! `pefomed demo`: the whole way, from pictures to a report, on what is inside the program.
//!
//! The demo is PeFoMed's own experiment in small: captions first, questions second, and the
//! ablation that tells what each stage is worth. It needs no network and no files. Its pictures are
//! cartoons drawn from random facts: its scores say that the machinery works, and nothing about
//! medicine.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, value_parser};
use pefomed_data::readable::{bytes, clock};
use pefomed_data::{DataError, files, phantom};
use pefomed_eval::{Ablation, write_report};
use pefomed_train::run_folder::peak_memory_bytes;
use pefomed_train::{Recipe, RunFolder, RunInfo, TrainError};
use serde_json::json;

use super::ablate::tables;
use crate::ablation::{Study, variants};
use crate::context::Context;
use crate::tuning;

const RECIPE: &str = include_str!("../../../../recipes/demo.toml");
/// Marks a folder as a demo's, which another demo may replace.
const MARK: &str = ".pefomed-demo";

/// Run the whole pipeline on generated pictures and a tiny model: no network, no files.
#[derive(Args, Debug)]
#[command(after_help = "Draws chest, head and abdomen phantoms, tunes the embedded model in two \
stages, answers the questions about unseen phantoms with true, blank and exchanged images, and \
writes a report with the ablation. Takes about three minutes on two cores.

Examples:
  pefomed demo
  pefomed demo --out demos/2 --seed 2")]
pub(crate) struct Arguments {
    /// The folder for everything the demo makes.
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    out: PathBuf,
    /// Decides the pictures and the training.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Pictures to learn from.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = value_parser!(u32).range(1..))]
    train_images: u32,
    /// Pictures to be asked about.
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = value_parser!(u32).range(1..))]
    test_images: u32,
    /// Replace an earlier demo in the folder.
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let out = &arguments.out;
    make_room(out, arguments.force)?;
    let run = RunFolder::new(out);

    let (train, test) = (arguments.train_images as usize, arguments.test_images as usize);
    context
        .progress
        .note(&format!("drawing {train} phantoms to learn from and {test} to ask about"));
    phantom::data_set(arguments.seed, train, test).write(&out.join("data"))?;
    let seed = [format!("seed={}", arguments.seed)];
    let mut recipe = Recipe::parse(RECIPE, "recipes/demo.toml", out, &seed)?;
    recipe.settle(context.device)?;
    let parts = tuning::load_parts(context, &recipe)?;
    let (both, encoding) = tuning::prepare(context, recipe, parts, &run)?;
    let stages = both.recipe.stages.iter().map(|stage| stage.name.clone()).collect();
    let (data, split) = tuning::evaluated(&both.recipe, None, None)?;
    let study = Study::new(context, &both, (&data, split), &run, false)?;
    let (_, scored) = tuned(study.run(both, &run, encoding))?;

    let mut info = RunInfo::read(&run)?;
    info.peak_memory_bytes = peak_memory_bytes();
    info.write(&run)?;
    let report = write_report(out)?;
    let seconds = started.elapsed().as_secs_f64();
    let result = json!({
        "report": report, "run": out, "seconds": seconds,
        "peak_memory_bytes": peak_memory_bytes(), "ablation": scored,
    });
    let seeds = vec![arguments.seed];
    let ablation = Ablation::new(&split.to_string(), seeds, stages, &variants(vec![scored]));
    let text = format!(
        "{}\n\nThe pictures are drawn, not taken: these scores say that the machinery works, and \
         nothing about medicine.\n\nrun in {}, {} of memory at most\nreport: {}",
        tables(&ablation).trim_end(),
        clock(seconds),
        peak_memory_bytes().map_or_else(|| "?".to_owned(), |peak| bytes(peak as usize)),
        report.display()
    );
    context.output.result(&text, &result)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes sure that the folder is empty or an earlier demo's that may go.
fn make_room(out: &Path, force: bool) -> anyhow::Result<()> {
    let failed = |source| DataError::Write { path: out.to_owned(), source };
    let is_empty = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(source) => return Err(failed(source).into()),
    };
    if !is_empty {
        if !out.join(MARK).is_file() {
            anyhow::bail!(
                "`{}` holds something else than a demo: choose another folder with --out",
                out.display()
            );
        }
        if !force {
            anyhow::bail!(
                "`{}` already holds a demo: pass --force to replace it, or choose another folder \
                 with --out",
                out.display()
            );
        }
        fs::remove_dir_all(out).map_err(failed)?;
    }
    files::write_bytes(&out.join(MARK), b"")?;
    Ok(())
}

/// A demo that was stopped cannot be resumed, which the loop does not know.
fn tuned<T>(result: anyhow::Result<T>) -> anyhow::Result<T> {
    result.map_err(|error| match error.downcast_ref() {
        Some(TrainError::Stopped { .. }) => {
            anyhow::anyhow!("the demo was stopped; `pefomed demo --force` starts it again")
        }
        _ => error,
    })
}
