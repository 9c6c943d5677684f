//! `pefomed predict`: answers to every question of a split.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, ValueEnum};
use pefomed_data::formats::Format;
use pefomed_data::prediction::write_predictions;
use pefomed_data::readable::{clock, thousands};
use pefomed_data::{ImageCondition, Split};
use pefomed_model::multimodal::TunedDecoder;
use pefomed_train::parts::Parts;
use pefomed_train::predict::{Asked, Generation};
use pefomed_train::questions::read_split;
use pefomed_train::{Recipe, RunFolder, TrainError};
use serde_json::json;

use crate::baseline::{self, Questions};
use crate::context::Context;
use crate::endpoint::EndpointArguments;
use crate::failure::Usage;
use crate::tuning;

/// Tokens of an answer at most, when the recipe says nothing of evaluation.
const MAX_NEW_TOKENS: usize = 32;
/// Questions decoded at a time, when the recipe says nothing of evaluation.
const ROWS: usize = 16;

/// Answer every question of a split, with the true images and with control images.
#[derive(Args, Debug)]
#[command(after_help = "Generation is greedy: the same run gives the same file.

With --endpoint a general model answers instead, as a baseline: the same questions with the same \
images, through an OpenAI-compatible API. Its answers go to RUN/baselines/MODEL, or to --out FILE. \
Every reply is kept beside them, so the same command goes on where it was stopped; the exit code is \
1, and no prediction file is written, while a question has no answer. Nothing is sent to another \
machine without --allow-remote.

Examples:
  pefomed predict runs/vqa-rad
  pefomed predict runs/vqa-rad --split val --condition true --out val.jsonl
  pefomed predict runs/vqa-rad --stage none
  pefomed predict runs/vqa-rad --endpoint http://127.0.0.1:8000/v1 --model qwen3-vl-8b
  pefomed predict --data data/vqa-rad --format vqa-rad --endpoint http://127.0.0.1:8000/v1 \
--model qwen3-vl-8b --out untuned.jsonl")]
pub(crate) struct Arguments {
    /// The run folder; with --endpoint also a recipe, or nothing but --data and --format.
    #[arg(value_name = "RUN|RECIPE", required_unless_present = "format")]
    run: Option<PathBuf>,
    /// The split: train, val or test; that of the recipe's evaluation by default.
    #[arg(long)]
    split: Option<Split>,
    /// The data set of the recipe, that of its evaluation by default; with --format, the path of a
    /// data set.
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// With --endpoint and no recipe: the layout of the data set, vqa-rad or jsonl.
    #[arg(
        long,
        value_name = "NAME",
        requires = "endpoint",
        requires = "data",
        conflicts_with = "run"
    )]
    format: Option<Format>,
    /// With --format: the folder that image names are relative to.
    #[arg(long, value_name = "DIR", requires = "format")]
    images: Option<PathBuf>,
    /// The adapter as it was after this stage, or `none` for the untuned model.
    #[arg(long, value_name = "NAME", conflicts_with = "endpoint")]
    stage: Option<String>,
    /// Which image is shown; by default the true one and the recipe's controls.
    #[arg(long, value_enum)]
    condition: Option<Condition>,
    /// The file for predictions under one condition; in the run folder by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// With --endpoint: what is said before each question; for questions with short answers "Answer
    /// with as few words as possible." by default, for reports and captions nothing.
    #[arg(long, value_name = "TEXT", requires = "endpoint")]
    instruction: Option<String>,
    #[command(flatten)]
    endpoint: EndpointArguments,
}

/// Which images are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Condition {
    /// The image the question is about.
    True,
    /// A uniform image.
    Blank,
    /// The image of another group.
    Shuffled,
    /// All three, one after the other.
    All,
}

impl Condition {
    fn images(self) -> Vec<ImageCondition> {
        match self {
            Self::True => vec![ImageCondition::True],
            Self::Blank => vec![ImageCondition::Blank],
            Self::Shuffled => vec![ImageCondition::Shuffled],
            Self::All => ImageCondition::ALL.to_vec(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    if arguments.endpoint.endpoint.is_some() {
        return through_endpoint(arguments, context);
    }
    if arguments.endpoint.model.is_some() || arguments.endpoint.dry_run {
        let problem = "--model and --dry-run are for a model behind an API: add --endpoint URL";
        return Err(Usage(problem.to_owned()).into());
    }
    let Some(run) = &arguments.run else {
        return Err(Usage("name a run folder".to_owned()).into());
    };
    let run = RunFolder::new(run);
    let recipe = tuning::recipe_of(&run)?;
    let (data, split) = tuning::evaluated(&recipe, arguments.data.as_deref(), arguments.split)?;
    let conditions = conditions(arguments, Some(&recipe))?;
    let adapter = adapter(&recipe, &run, arguments.stage.as_deref())?;
    let examples = read_split(&recipe, &data, split)?;
    let parts = tuning::load_parts(context, &recipe)?;
    let model = model(&parts, &recipe, adapter.as_deref())?;
    let counter = context.progress.counter("encoding");
    let tick = |done, total| counter.tick(done, total);
    let asked = Asked::prepare(&parts, examples, &run.features(), &tick)?;
    drop(counter);

    let folder = match arguments.stage.as_deref() {
        None => run.clone(),
        Some("none") => RunFolder::new(run.root().join("untuned")),
        Some(stage) => RunFolder::new(run.root().join("stages").join(stage)),
    };
    let mut lines = Vec::new();
    let mut files = Vec::new();
    for condition in conditions {
        let path = arguments.out.clone().unwrap_or_else(|| folder.predictions(split, condition));
        let made = predict(context, &recipe, &parts, &model, &asked, condition, &path)?;
        lines.push(format!(
            "{}: {} answers, {} tokens, {}",
            path.display(),
            thousands(made.answers),
            thousands(made.tokens),
            clock(made.seconds)
        ));
        files.push(json!({
            "condition": condition, "path": path, "answers": made.answers, "tokens": made.tokens,
            "seconds": made.seconds,
        }));
    }
    context.output.result(&lines.join("\n"), &json!({ "split": split, "files": files }))?;
    Ok(ExitCode::SUCCESS)
}

fn through_endpoint(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let (data, split) = (arguments.data.as_deref(), arguments.split);
    let questions = match (&arguments.run, arguments.format, data) {
        (None, Some(format), Some(path)) => {
            let split = split.unwrap_or(Split::Test);
            Questions::of_data(Path::new(path), format, arguments.images.as_deref(), split)?
        }
        (Some(path), _, _) => Questions::of_recipe(path, data, split)?,
        _ => {
            let problem = "name a run folder or recipe, or a data set with --data and --format";
            return Err(Usage(problem.to_owned()).into());
        }
    };
    let conditions = conditions(arguments, questions.recipe.as_ref())?;
    baseline::predict(
        context,
        &arguments.endpoint,
        &questions,
        &conditions,
        arguments.instruction.as_deref(),
        arguments.out.as_deref(),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn conditions(
    arguments: &Arguments,
    recipe: Option<&Recipe>,
) -> anyhow::Result<Vec<ImageCondition>> {
    let conditions = if let Some(condition) = arguments.condition {
        condition.images()
    } else {
        let mut all = vec![ImageCondition::True];
        let evaluation = recipe.and_then(|recipe| recipe.evaluation.as_ref());
        if let Some(evaluation) = evaluation.filter(|_| arguments.out.is_none()) {
            for control in &evaluation.controls {
                if !all.contains(control) {
                    all.push(*control);
                }
            }
        }
        all
    };
    if arguments.out.is_some() && conditions.len() > 1 {
        let problem = "--out takes the predictions of one condition: add --condition true";
        return Err(Usage(problem.to_owned()).into());
    }
    Ok(conditions)
}

/// The folder of the adapter; none for the untuned model.
pub(crate) fn adapter(
    recipe: &Recipe,
    run: &RunFolder,
    stage: Option<&str>,
) -> anyhow::Result<Option<PathBuf>> {
    let folder = match stage {
        Some("none") => return Ok(None),
        None => run.adapter(),
        Some(stage) => {
            if !recipe.stages.iter().any(|known| known.name == stage) {
                let known: Vec<&str> = recipe.stages.iter().map(|s| s.name.as_str()).collect();
                let known = format!("{}, and `none` for the untuned model", known.join(", "));
                return Err(TrainError::UnknownStage { stage: stage.to_owned(), known }.into());
            }
            run.stage_adapter(stage)
        }
    };
    if !folder.is_dir() {
        anyhow::bail!(
            "`{}` is not there: the run has not come that far; go on with it with `pefomed train … \
             --resume`, or choose an earlier stage with --stage",
            folder.display()
        );
    }
    Ok(Some(folder))
}

/// The model with that adapter, or untuned.
pub(crate) fn model(
    parts: &Parts,
    recipe: &Recipe,
    adapter: Option<&Path>,
) -> Result<TunedDecoder, TrainError> {
    adapter.map_or_else(|| parts.untuned(recipe), |folder| parts.tuned(folder))
}

/// How a recipe's evaluation generates answers.
pub(crate) fn generation(recipe: &Recipe) -> Generation {
    recipe.evaluation.as_ref().map_or(
        Generation { max_new_tokens: MAX_NEW_TOKENS, rows: ROWS },
        |evaluation| Generation {
            max_new_tokens: evaluation.max_new_tokens,
            rows: evaluation.rows,
        },
    )
}

/// What a prediction pass made.
pub(crate) struct Made {
    pub(crate) answers: usize,
    pub(crate) tokens: usize,
    pub(crate) seconds: f64,
}

/// Answers all questions under one condition, as the recipe's evaluation says, into a file.
pub(crate) fn predict(
    context: &Context,
    recipe: &Recipe,
    parts: &Parts,
    model: &TunedDecoder,
    asked: &Asked,
    condition: ImageCondition,
    path: &Path,
) -> anyhow::Result<Made> {
    let started = Instant::now();
    let counter = context.progress.counter(&format!("{} image", condition.name()));
    let tick = |done, total| counter.tick(done, total);
    let predictions = asked.predict(recipe, parts, model, condition, generation(recipe), &tick)?;
    write_predictions(path, &predictions)?;
    Ok(Made {
        answers: predictions.len(),
        tokens: predictions.iter().map(|prediction| prediction.tokens).sum(),
        seconds: started.elapsed().as_secs_f64(),
    })
}
