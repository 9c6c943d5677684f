//! What each stage of a recipe is worth: the same questions for the model before training, after each
//! stage, with the last stage alone, and after all of them.
//!
//! Nothing is trained twice. The stages are one run, whose own files hold the adapter after each; only
//! the last stage alone is a run of its own, in `ablation/`. Both go on where they were stopped, and
//! answers are asked for once: a note beside them says what they are answers of.

use std::fs;
use std::path::Path;

use pefomed_data::readable::thousands;
use pefomed_data::split::split_digest;
use pefomed_data::{DataError, ImageCondition, Split, Task, files};
use pefomed_eval::{AblationVariant, Metrics, ScoreOptions};
use pefomed_model::multimodal::TunedDecoder;
use pefomed_train::predict::Asked;
use pefomed_train::questions::read_split;
use pefomed_train::recipe::Stage;
use pefomed_train::train::Training;
use pefomed_train::{RunFolder, RunInfo, start};
use serde::{Deserialize, Serialize};

use crate::commands::predict::predict;
use crate::context::Context;
use crate::{metrics_table, scoring, tuning};

/// Says beside the answers of a variant what they are answers of.
const NOTE: &str = "asked.json";

/// A split that every variant is asked about.
pub(crate) struct Study<'a> {
    context: &'a Context,
    asked: Asked,
    split: Split,
    options: ScoreOptions,
    resume: bool,
}

/// A variant with its scores.
#[derive(Serialize)]
pub(crate) struct Scored {
    /// Name of its folder.
    pub(crate) name: String,
    pub(crate) trainable: usize,
    pub(crate) metrics: Metrics,
}

/// The contents of [`NOTE`].
#[derive(PartialEq, Serialize, Deserialize)]
struct Note {
    /// Digest of recipe, data, frozen weights, variant, questions and the length of answers.
    answers: String,
}

/// What a recipe with so many stages is compared with, by folder name: the untrained model first, all
/// stages last.
fn names(stages: usize) -> Vec<String> {
    let mut names = vec!["untuned".to_owned()];
    names.extend((1..stages).map(|last| match last {
        1 => "stage-1-only".to_owned(),
        last => format!("stages-1-to-{last}"),
    }));
    if stages > 1 {
        names.push(format!("stage-{stages}-only"));
    }
    names.push(match stages {
        1 => "tuned".to_owned(),
        2 => "both".to_owned(),
        _ => "all-stages".to_owned(),
    });
    names.iter().enumerate().map(|(index, name)| format!("{index:02}-{name}")).collect()
}

/// `02-stage-2-only` → `stage 2 only`.
fn readable(name: &str) -> String {
    name.split_once('-').map_or(name, |(_, name)| name).replace('-', " ")
}

impl<'a> Study<'a> {
    /// Encodes the images of the questions. With `resume`, answers and trainings that are there are
    /// gone on with.
    pub(crate) fn new(
        context: &'a Context,
        training: &Training,
        (data, split): (&[String], Split),
        cache: &RunFolder,
        resume: bool,
    ) -> anyhow::Result<Self> {
        let recipe = &training.recipe;
        let options = scoring::options(recipe, data, split)?;
        let examples = read_split(recipe, data, split)?;
        let counter = context.progress.counter("encoding");
        let tick = |done, total| counter.tick(done, total);
        let asked = Asked::prepare(&training.parts, examples, &cache.features(), &tick)?;
        drop(counter);
        Ok(Self { context, asked, split, options, resume })
    }

    /// Trains, asks and scores every variant. The run of all stages is in `run`, the variants in its
    /// `ablation/`. The training that is given back has its last stage alone.
    pub(crate) fn run(
        &self,
        training: Training,
        run: &RunFolder,
        encoding_seconds: f64,
    ) -> anyhow::Result<(Training, Vec<Scored>)> {
        let recipe = &training.recipe;
        let stages = recipe.stages.clone();
        let names = names(stages.len());
        let (before, rest) = names.split_at(stages.len());
        let mut scored = Vec::new();

        let mut untuned = start::model(&training.parts, recipe)?;
        let info = tuning::describe(self.context, &training, &mut untuned, run)?;
        let none = trained_by(info, &[]);
        scored.push(self.variant(run, &before[0], &training, &untuned, none)?);

        let (model, info) =
            tuning::tune(self.context, &training, run, self.resume, encoding_seconds)?;
        for (done, name) in before.iter().enumerate().skip(1) {
            let adapter = run.stage_adapter(&stages[done - 1].name);
            let model = training.parts.tuned(&adapter)?;
            let info = trained_by(RunInfo { seconds: None, ..info.clone() }, &stages[..done]);
            scored.push(self.variant(run, name, &training, &model, info)?);
        }
        let whole = &names[names.len() - 1];
        self.ask(whole, run, run, &training, &model)?;
        let (metrics, _) = scoring::score_run(run, &self.options, self.split)?;
        let all = self.noted(run, whole, metrics, info)?;

        let mut training = training;
        if let [alone, _] = rest {
            let (seed, last) = (training.recipe.seed, stages[stages.len() - 1..].to_vec());
            let counter = self.context.progress.counter("encoding");
            training = training.again(seed, last, run, &|done, all| counter.tick(done, all))?;
            drop(counter);
            let folder = variant_folder(run, alone);
            let (model, info) =
                tuning::tune(self.context, &training, &folder, self.resume, encoding_seconds)?;
            scored.push(self.variant(run, alone, &training, &model, info)?);
        }
        scored.push(all);
        Ok((training, scored))
    }

    /// Asks and scores a variant.
    fn variant(
        &self,
        run: &RunFolder,
        name: &str,
        training: &Training,
        model: &TunedDecoder,
        info: RunInfo,
    ) -> anyhow::Result<Scored> {
        let folder = variant_folder(run, name);
        self.ask(name, run, &folder, training, model)?;
        let (metrics, _) = scoring::score_run(&folder, &self.options, self.split)?;
        self.noted(run, name, metrics, info)
    }

    /// Writes a model's answers under all conditions, those that are not there yet.
    fn ask(
        &self,
        name: &str,
        run: &RunFolder,
        to: &RunFolder,
        training: &Training,
        model: &TunedDecoder,
    ) -> anyhow::Result<()> {
        let recipe = &training.recipe;
        let length = recipe.evaluation.as_ref().map(|evaluation| evaluation.max_new_tokens);
        let questions = split_digest(self.asked.examples());
        let parts = [training.identity()?, name.to_owned(), questions, format!("{length:?}")];
        let note = Note { answers: files::digest(parts) };
        let path = variant_folder(run, name).root().join(NOTE);
        let known = path.is_file().then(|| files::read_json::<Note>(&path)).and_then(Result::ok);
        if known.as_ref() != Some(&note) {
            for condition in ImageCondition::ALL {
                remove(&to.predictions(self.split, condition))?;
            }
            files::write_json(&path, &note)?;
        }
        for condition in ImageCondition::ALL {
            let path = to.predictions(self.split, condition);
            if !path.is_file() {
                let parts = &training.parts;
                predict(self.context, recipe, parts, model, &self.asked, condition, &path)?;
            }
        }
        Ok(())
    }

    /// Writes a variant's scores and facts into its folder.
    fn noted(
        &self,
        run: &RunFolder,
        name: &str,
        metrics: Metrics,
        mut info: RunInfo,
    ) -> anyhow::Result<Scored> {
        let folder = variant_folder(run, name);
        metrics.write(&folder.metrics(self.split))?;
        info.title = None;
        info.images_dir.clear();
        info.add_images(&folder, self.asked.examples().iter().flat_map(|example| &example.images));
        info.write(&folder)?;
        let trainable = info.trainable_parameters.values().sum();
        self.context.progress.note(&format!("{name}: {}", headline(&metrics)));
        Ok(Scored { name: name.to_owned(), trainable, metrics })
    }

    /// The split that is asked about.
    pub(crate) fn split(&self) -> Split {
        self.split
    }
}

/// Variants as the tables want them, from the scores of each seed.
pub(crate) fn variants(seeds: Vec<Vec<Scored>>) -> Vec<AblationVariant> {
    let mut variants: Vec<AblationVariant> = Vec::new();
    for scored in seeds {
        for (index, Scored { name, trainable, metrics }) in scored.into_iter().enumerate() {
            match variants.get_mut(index) {
                Some(variant) => variant.metrics.push(metrics),
                None => variants.push(AblationVariant {
                    name: readable(&name),
                    trainable,
                    metrics: vec![metrics],
                }),
            }
        }
    }
    variants
}

fn variant_folder(run: &RunFolder, name: &str) -> RunFolder {
    RunFolder::new(run.root().join("ablation").join(name))
}

/// The facts of a run when only these stages have trained.
fn trained_by(mut info: RunInfo, stages: &[Stage]) -> RunInfo {
    info.trainable_parameters.retain(|part, _| {
        stages.iter().any(|stage| match part.as_str() {
            "projector" => stage.train_projector,
            _ => stage.train_adapter,
        })
    });
    info
}

fn remove(path: &Path) -> Result<(), DataError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(DataError::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn headline(metrics: &Metrics) -> String {
    let scores = metrics.task(Task::Vqa).and_then(|task| task.condition(ImageCondition::True));
    scores.map_or_else(
        || format!("{} answers", thousands(metrics.rows)),
        |scores| format!("exact match {} %", metrics_table::percent(&scores.overall.exact_match)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_named_by_what_was_trained() {
        assert_eq!(names(1), ["00-untuned", "01-tuned"]);
        assert_eq!(names(2), ["00-untuned", "01-stage-1-only", "02-stage-2-only", "03-both"]);
        assert_eq!(
            names(3),
            [
                "00-untuned",
                "01-stage-1-only",
                "02-stages-1-to-2",
                "03-stage-3-only",
                "04-all-stages"
            ]
        );
        assert_eq!(readable("02-stages-1-to-2"), "stages 1 to 2");
    }
}
