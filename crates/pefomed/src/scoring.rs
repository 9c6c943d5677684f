//! Scores of a run: its predictions, with what its recipe knows of their data.

use std::collections::BTreeSet;
use std::path::PathBuf;

use pefomed_data::prediction::read_predictions;
use pefomed_data::split::split_digest;
use pefomed_data::{Example, ImageCondition, ImagePlace, Prediction, Split, Task};
use pefomed_eval::{Leakage, Metrics, ScoreOptions, TrainAnswer, score};
use pefomed_train::questions::{read, read_split};
use pefomed_train::{Recipe, RunFolder};

/// What scoring needs to know of a recipe's data: training answers for the majority baselines, the
/// digest of the scored rows, and how many of their images were trained on.
pub(crate) fn options(
    recipe: &Recipe,
    data: &[String],
    split: Split,
) -> anyhow::Result<ScoreOptions> {
    let tested = read_split(recipe, data, split)?;
    let mut train = Vec::new();
    for name in data {
        train.extend(
            read(&recipe.data[name])?
                .into_iter()
                .filter(|example| example.split == Split::Train && example.task == Task::Vqa)
                .map(|example| TrainAnswer { answer: example.answer, labels: example.labels }),
        );
    }
    let mut seen = BTreeSet::new();
    for stage in &recipe.stages {
        seen.extend(images(&read_split(recipe, &stage.data, Split::Train)?));
    }
    let own = images(&tested);
    Ok(ScoreOptions {
        split: split.to_string(),
        split_digest: Some(split_digest(&tested)),
        leakage: Some(Leakage {
            images: own.len(),
            also_in_train: own.intersection(&seen).count(),
        }),
        train,
        ..ScoreOptions::default()
    })
}

fn images(examples: &[Example]) -> BTreeSet<ImagePlace> {
    examples.iter().flat_map(|example| &example.images).map(|image| image.place.clone()).collect()
}

/// Scores the prediction files of a run folder, all conditions that are there, and writes
/// `metrics-<split>.json`. Also returns its path.
pub(crate) fn score_run(
    run: &RunFolder,
    options: &ScoreOptions,
    split: Split,
) -> anyhow::Result<(Metrics, PathBuf)> {
    let metrics = score(&predictions(run, split)?, options)?;
    let path = run.metrics(split);
    metrics.write(&path)?;
    Ok((metrics, path))
}

/// The predictions of a run folder, all conditions that are there.
pub(crate) fn predictions(run: &RunFolder, split: Split) -> anyhow::Result<Vec<Prediction>> {
    let mut predictions: Vec<Prediction> = Vec::new();
    for condition in ImageCondition::ALL {
        let path = run.predictions(split, condition);
        if path.is_file() {
            predictions.extend(read_predictions(&path)?);
        }
    }
    if predictions.is_empty() {
        anyhow::bail!(
            "`{}` has no predictions of the split `{split}`: run `pefomed predict {} --split \
             {split}` first",
            run.root().display(),
            run.root().display()
        );
    }
    Ok(predictions)
}
