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
use pefomed_data::readable::{bytes, clock, thousands};
use pefomed_data::split::split_digest;
use pefomed_data::{DataError, ImageCondition, Split, Task, files, phantom};
use pefomed_eval::{Metrics, ScoreOptions, write_report};
use pefomed_model::multimodal::TunedDecoder;
use pefomed_train::predict::Asked;
use pefomed_train::questions::read_split;
use pefomed_train::run_folder::peak_memory_bytes;
use pefomed_train::train::Training;
use pefomed_train::{Recipe, RunFolder, RunInfo, TrainError};
use serde::Serialize;
use serde_json::json;

use super::predict::predict;
use crate::context::Context;
use crate::table::{row, table};
use crate::{metrics_table, scoring, tuning};

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

/// One row of the ablation.
#[derive(Serialize)]
struct Variant {
    name: &'static str,
    trainable: usize,
    metrics: Metrics,
}

/// Asks every variant the same questions.
struct Ablation<'a> {
    context: &'a Context,
    run: RunFolder,
    asked: Asked,
    conditions: Vec<ImageCondition>,
    split: Split,
    options: ScoreOptions,
    variants: Vec<Variant>,
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
    let mut ablation = Ablation::new(context, &both, &run)?;

    let mut untuned = both.parts.untuned(&both.recipe)?;
    let mut info = tuning::describe(context, &both, &mut untuned, &run)?;
    info.trainable_parameters.clear();
    ablation.add("00-untuned", &both, &untuned, info)?;

    let (model, info) = tuned(tuning::tune(context, &both, &run, false, encoding))?;
    let first = &both.recipe.stages[0];
    let after_first = both.parts.tuned(&run.stage_adapter(&first.name))?;
    let mut info_first = RunInfo { seconds: None, ..info.clone() };
    if !first.train_adapter {
        info_first.trainable_parameters.remove("lora");
    }
    ablation.add("01-stage-1-only", &both, &after_first, info_first)?;

    ablation.ask(&run, &both, &model)?;
    let both_metrics = scoring::score_run(&run, &ablation.options, ablation.split)?.0;

    let second = last_stage_alone(both)?;
    let folder = ablation.folder("02-stage-2-only");
    let (model, info_second) = tuned(tuning::tune(context, &second, &folder, false, encoding))?;
    ablation.add("02-stage-2-only", &second, &model, info_second)?;
    ablation.note("03-both", both_metrics, info)?;

    let mut info = RunInfo::read(&run)?;
    info.peak_memory_bytes = peak_memory_bytes();
    info.write(&run)?;
    let report = write_report(out)?;
    let seconds = started.elapsed().as_secs_f64();
    let text = format!(
        "{}\nThe pictures are drawn, not taken: these scores say that the machinery works, and \
         nothing about medicine.\n\nrun in {}, {} of memory at most\nreport: {}",
        ablation.text(),
        clock(seconds),
        peak_memory_bytes().map_or_else(|| "?".to_owned(), |peak| bytes(peak as usize)),
        report.display()
    );
    let result = json!({
        "report": report, "run": out, "seconds": seconds,
        "peak_memory_bytes": peak_memory_bytes(), "ablation": ablation.variants,
    });
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

/// The same training with its last stage only: parts, tokens and features are not made again.
fn last_stage_alone(training: Training) -> anyhow::Result<Training> {
    let Training { mut recipe, parts, mut stages, features, changing, left_out, .. } = training;
    let (Some(stage), Some(questions)) = (recipe.stages.pop(), stages.pop()) else {
        anyhow::bail!("the demo's recipe has no stage");
    };
    recipe.stages = vec![stage];
    let data_digest = files::digest([split_digest(&questions.examples)]);
    let start_digest = None;
    Ok(Training {
        recipe,
        parts,
        stages: vec![questions],
        features,
        changing,
        data_digest,
        start_digest,
        left_out,
    })
}

impl<'a> Ablation<'a> {
    fn new(context: &'a Context, training: &Training, run: &RunFolder) -> anyhow::Result<Self> {
        let recipe = &training.recipe;
        let (data, split) = tuning::evaluated(recipe, None, None)?;
        let options = scoring::options(recipe, &data, split)?;
        let examples = read_split(recipe, &data, split)?;
        let counter = context.progress.counter("encoding");
        let tick = |done, total| counter.tick(done, total);
        let asked = Asked::prepare(&training.parts, examples, &run.features(), &tick)?;
        drop(counter);
        let controls = recipe.evaluation.iter().flat_map(|evaluation| &evaluation.controls);
        let conditions = [ImageCondition::True].into_iter().chain(controls.copied()).collect();
        let (run, variants) = (run.clone(), Vec::new());
        Ok(Self { context, run, asked, conditions, split, options, variants })
    }

    fn folder(&self, name: &str) -> RunFolder {
        RunFolder::new(self.run.root().join("ablation").join(name))
    }

    /// Writes a model's answers under all conditions.
    fn ask(&self, to: &RunFolder, training: &Training, model: &TunedDecoder) -> anyhow::Result<()> {
        let (recipe, parts) = (&training.recipe, &training.parts);
        for &condition in &self.conditions {
            let path = to.predictions(self.split, condition);
            predict(self.context, recipe, parts, model, &self.asked, condition, &path)?;
        }
        Ok(())
    }

    /// Asks a variant, scores it and notes it.
    fn add(
        &mut self,
        name: &'static str,
        training: &Training,
        model: &TunedDecoder,
        info: RunInfo,
    ) -> anyhow::Result<()> {
        let folder = self.folder(name);
        self.ask(&folder, training, model)?;
        let (metrics, _) = scoring::score_run(&folder, &self.options, self.split)?;
        self.note(name, metrics, info)
    }

    /// Notes a variant in its folder and in the table.
    fn note(
        &mut self,
        name: &'static str,
        metrics: Metrics,
        mut info: RunInfo,
    ) -> anyhow::Result<()> {
        let folder = self.folder(name);
        metrics.write(&folder.metrics(self.split))?;
        info.title = None;
        info.images_dir.clear();
        info.add_images(&folder, self.asked.examples());
        info.write(&folder)?;
        let trainable = info.trainable_parameters.values().sum();
        self.context.progress.note(&format!("{name}: {}", headline(&metrics)));
        self.variants.push(Variant { name, trainable, metrics });
        Ok(())
    }

    /// Exact match by variant and condition.
    fn text(&self) -> String {
        let mut head = row(["exact match, %", "trained"]);
        head.extend(self.conditions.iter().map(|condition| format!("{} image", condition.name())));
        head.push("captions, token F1".to_owned());
        let mut rows = vec![head];
        for variant in &self.variants {
            let name = variant.name.split_once('-').map_or(variant.name, |(_, name)| name);
            let mut cells = vec![name.replace('-', " "), thousands(variant.trainable)];
            let task = variant.metrics.task(Task::Vqa);
            for &condition in &self.conditions {
                let scores = task.and_then(|task| task.condition(condition));
                cells.push(scores.map_or_else(
                    || "–".to_owned(),
                    |scores| metrics_table::percent(&scores.overall.exact_match),
                ));
            }
            let task = variant.metrics.task(Task::Caption);
            let captions = task.and_then(|task| task.condition(ImageCondition::True));
            cells.push(captions.map_or_else(
                || "–".to_owned(),
                |scores| metrics_table::percent(&scores.overall.token_f1),
            ));
            rows.push(cells);
        }
        let baseline = self
            .variants
            .first()
            .and_then(|variant| variant.metrics.task(Task::Vqa))
            .and_then(|task| task.baselines.last());
        if let Some(baseline) = baseline {
            let name = format!("majority, {}", baseline.rule.name());
            rows.push(vec![name, "–".to_owned(), metrics_table::percent(&baseline.overall)]);
        }
        table(&rows)
    }
}

fn headline(metrics: &Metrics) -> String {
    let scores = metrics.task(Task::Vqa).and_then(|task| task.condition(ImageCondition::True));
    scores.map_or_else(
        || "no question was answered".to_owned(),
        |scores| format!("exact match {} %", metrics_table::percent(&scores.overall.exact_match)),
    )
}
