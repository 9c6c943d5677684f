//! A training with everything around it: the run folder, observers, signals, resume.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use pefomed_data::Split;
use pefomed_data::readable::{bytes, thousands};
use pefomed_model::multimodal::TunedDecoder;
use pefomed_train::checkpoint::{self, Position};
use pefomed_train::events::{self, JsonLines, Observers};
use pefomed_train::features::bytes_of;
use pefomed_train::parts::Parts;
use pefomed_train::plan::training_images;
use pefomed_train::questions::read_split;
use pefomed_train::run_folder::peak_memory_bytes;
use pefomed_train::start;
use pefomed_train::tensorboard::TensorBoard;
use pefomed_train::train::Training;
use pefomed_train::{Event, Recipe, RunFolder, RunInfo, TrainError};

use crate::context::Context;
use crate::failure::Usage;
use crate::signals;

/// Rows that are named when some are left out.
const SHOWN_ROWS: usize = 8;

/// Whether a folder holds what a training writes.
pub(crate) fn holds_a_run(run: &RunFolder) -> bool {
    [run.recipe(), run.events(), run.checkpoints(), run.adapter()].iter().any(|path| path.exists())
}

/// The folder to write to: the one that is named, or the recipe's. `remedy` says how to name it.
pub(crate) fn out_folder(
    out: Option<&Path>,
    recipe: &Recipe,
    remedy: &str,
) -> Result<PathBuf, Usage> {
    let named = out.or(recipe.output.as_deref()).map(Path::to_owned);
    named.ok_or_else(|| Usage(format!("the recipe names no `output`: name {remedy}")))
}

/// Refuses a folder that holds a run, unless it is to be resumed.
pub(crate) fn refuse_existing(run: &RunFolder, resume: bool) -> Result<(), TrainError> {
    if !resume && holds_a_run(run) {
        return Err(TrainError::RunExists { path: run.root().to_owned() });
    }
    Ok(())
}

/// Loads the frozen parts, saying so.
pub(crate) fn load_parts(context: &Context, recipe: &Recipe) -> anyhow::Result<Parts> {
    let (model, place) = (&recipe.model, context.placement()?);
    context.progress.note(&format!("loading {} and {}", model.vision, model.decoder));
    Ok(Parts::load(recipe, &place)?)
}

/// Reads the questions and encodes the images. Also tells the seconds that took.
pub(crate) fn prepare(
    context: &Context,
    recipe: Recipe,
    parts: Parts,
    run: &RunFolder,
) -> anyhow::Result<(Training, f64)> {
    let images = training_images(&recipe)?;
    if images > 0 {
        context.progress.note(&format!(
            "encoding {} images once, into {} of features",
            thousands(images),
            bytes(bytes_of(&parts, images))
        ));
    }
    for stage in recipe.stages.iter().filter(|stage| !stage.augment.is_neutral()) {
        context.progress.note(&format!(
            "stage `{}` changes its images anew in every step (crop {}, flip {}): they are encoded \
             in the step, and the cache of features is not used",
            stage.name, stage.augment.crop, stage.augment.flip
        ));
    }
    let started = Instant::now();
    let counter = context.progress.counter("encoding");
    let tick = |done, total| counter.tick(done, total);
    let training = Training::prepare(recipe, parts, run, &tick)?;
    let left_out = &training.left_out.skipped;
    if !left_out.is_empty() {
        context.progress.warn(&format!("{} rows cannot be used and are left out:", left_out.len()));
        for error in left_out.iter().take(SHOWN_ROWS) {
            context.progress.warn(&format!("  {error}"));
        }
        if left_out.len() > SHOWN_ROWS {
            let more = left_out.len() - SHOWN_ROWS;
            context.progress.warn(&format!("  … and {more} more; `pefomed data check` lists all"));
        }
    }
    Ok((training, started.elapsed().as_secs_f64()))
}

/// Runs all stages of a prepared training into its folder, from the newest checkpoint if `resume`.
pub(crate) fn tune(
    context: &Context,
    training: &Training,
    run: &RunFolder,
    resume: bool,
    encoding_seconds: f64,
) -> anyhow::Result<(TunedDecoder, RunInfo)> {
    let recipe = &training.recipe;
    let mut model = start::model(&training.parts, recipe)?;
    let from =
        if resume { checkpoint::restore(run, &training.identity()?, &mut model)? } else { None };
    let mut info = describe(context, training, &mut model, run)?;
    info.encoding_seconds = Some(encoding_seconds);
    let complete = from.as_ref().is_some_and(|(at, _)| at.stage == recipe.stages.len());
    // What a complete run took is what it took when it ran.
    let earlier = if complete { RunInfo::read(run).ok() } else { None };
    info.write_recipe(recipe, run)?;
    info.write(run)?;

    let position = from.as_ref().map(|(position, _)| position.clone());
    let mut observers = observers(context, recipe, run, position.as_ref())?;
    let trained =
        signals::with_stop_flag(|stop| training.run(model, from, run, &mut observers, stop))??;
    info.seconds = Some(step_seconds(run)?);
    info.peak_memory_bytes = peak_memory_bytes();
    if let Some(earlier) = earlier {
        info.encoding_seconds = earlier.encoding_seconds.or(info.encoding_seconds);
        info.peak_memory_bytes = earlier.peak_memory_bytes.or(info.peak_memory_bytes);
    }
    info.write(run)?;
    Ok((trained.model, info))
}

/// The facts of a run before its first step.
pub(crate) fn describe(
    context: &Context,
    training: &Training,
    model: &mut TunedDecoder,
    run: &RunFolder,
) -> anyhow::Result<RunInfo> {
    let recipe = &training.recipe;
    let device = &context.device.description();
    let mut info = RunInfo::new(recipe, &training.parts, model, &training.data_digest, device);
    if let Some(digest) = &training.start_digest {
        info.digests.insert("start adapter".to_owned(), digest.clone());
    }
    info.add_images(run, training.images());
    if let Some(evaluation) = &recipe.evaluation {
        let examples = read_split(recipe, &evaluation.data, evaluation.split)?;
        info.add_images(run, examples.iter().flat_map(|example| &example.images));
    }
    Ok(info)
}

/// Log, TensorBoard and progress. A resumed run goes on with its log from the checkpoint; a run
/// that was complete adds nothing to it.
fn observers(
    context: &Context,
    recipe: &Recipe,
    run: &RunFolder,
    from: Option<&Position>,
) -> anyhow::Result<Observers> {
    let progress = Box::new(context.progress.stages());
    let mut history = Vec::new();
    let log = match from.map(|position| (position, recipe.stages.get(position.stage))) {
        None => JsonLines::create(&run.events())?,
        Some((position, Some(stage))) => {
            let log = JsonLines::resume(&run.events(), &stage.name, position.step)?;
            history = events::read(&run.events())?;
            log
        }
        Some((_, None)) => {
            context.progress.note("all stages were complete already");
            return Ok(Observers(vec![progress]));
        }
    };
    let board = TensorBoard::create(&run.tensorboard(), &history)?;
    Ok(Observers(vec![Box::new(log), Box::new(board), progress]))
}

/// Seconds of all steps in the log, whenever they were taken.
fn step_seconds(run: &RunFolder) -> anyhow::Result<f64> {
    let events = events::read(&run.events())?;
    let seconds = |event: &Event| match event {
        Event::Step { seconds, .. } => *seconds,
        _ => 0.0,
    };
    Ok(events.iter().map(seconds).sum())
}

/// Reads the recipe of a run folder.
pub(crate) fn recipe_of(run: &RunFolder) -> anyhow::Result<Recipe> {
    if !run.recipe().is_file() {
        anyhow::bail!(
            "`{}` is not a run folder, it has no `recipe.toml`: name the folder that `pefomed \
             train --out` made",
            run.root().display()
        );
    }
    let wrong = || format!("the recipe of the run `{}` cannot be used", run.root().display());
    Recipe::read(&run.recipe(), &[]).with_context(wrong)
}

/// The data sets and split that a run is evaluated on, unless the command line says otherwise.
pub(crate) fn evaluated(
    recipe: &Recipe,
    data: Option<&str>,
    split: Option<Split>,
) -> anyhow::Result<(Vec<String>, Split)> {
    let evaluation = recipe.evaluation.as_ref();
    let split = split.or(evaluation.map(|e| e.split)).unwrap_or(Split::Test);
    let known = || recipe.data.keys().cloned().collect::<Vec<_>>().join(", ");
    let named = data.map(|name| vec![name.to_owned()]).or(evaluation.map(|e| e.data.clone()));
    let chosen = match named {
        Some(chosen) => chosen,
        None if recipe.data.len() == 1 => vec![known()],
        None => {
            return Err(crate::failure::Usage(format!(
                "the recipe has no [evaluation]: say which data set with --data; it has {}",
                known()
            ))
            .into());
        }
    };
    match chosen.iter().find(|name| !recipe.data.contains_key(*name)) {
        None => Ok((chosen, split)),
        Some(name) => {
            let names = recipe.data.keys().map(String::as_str);
            let suggestion = pefomed_data::names::suggestion(name, names);
            Err(crate::failure::Usage(format!(
                "the recipe has no data set `{name}`: it has {}{suggestion}",
                known()
            ))
            .into())
        }
    }
}
