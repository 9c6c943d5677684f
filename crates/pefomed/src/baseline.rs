//! `pefomed predict --endpoint`: an untuned general model answers the same questions.

use std::path::{Path, PathBuf};

use pefomed_data::formats::Format;
use pefomed_data::prediction::write_predictions;
use pefomed_data::prompt::instruction;
use pefomed_data::readable::thousands;
use pefomed_data::{Example, Finish, ImageCondition, Prediction, Split};
use pefomed_eval::judge::answer::{Answer, Answerer, ImageQuestion, Picture, default_instruction};
use pefomed_eval::judge::journal::Journal;
use pefomed_train::features::BLANK_IMAGE;
use pefomed_train::predict::shown;
use pefomed_train::questions::{ImageTable, read, read_split};
use pefomed_train::recipe::DataSet;
use pefomed_train::{Recipe, RunFolder, TrainError};
use serde_json::{Value, json};

use crate::context::Context;
use crate::endpoint::{EndpointArguments, Load, incomplete};
use crate::failure::Usage;
use crate::tuning;

/// Tokens of an answer at most, when no recipe says otherwise.
const MAX_TOKENS: u32 = 256;

/// What is asked: a split of a recipe or of a data set.
pub(crate) struct Questions {
    pub(crate) examples: Vec<Example>,
    pub(crate) split: Split,
    pub(crate) recipe: Option<Recipe>,
    /// The run folder, where there is one.
    pub(crate) run: Option<RunFolder>,
}

impl Questions {
    /// Of a recipe file or a run folder.
    pub(crate) fn of_recipe(
        path: &Path,
        data: Option<&str>,
        split: Option<Split>,
    ) -> anyhow::Result<Self> {
        let (recipe, run) = if path.is_file() {
            let recipe = Recipe::read(path, &[])?;
            let run = recipe.output.as_ref().map(RunFolder::new);
            (recipe, run)
        } else {
            let run = RunFolder::new(path);
            (tuning::recipe_of(&run)?, Some(run))
        };
        let (data, split) = tuning::evaluated(&recipe, data, split)?;
        let examples = read_split(&recipe, &data, split)?;
        Ok(Self { examples, split, recipe: Some(recipe), run })
    }

    /// Of a data set as its authors split it.
    pub(crate) fn of_data(
        path: &Path,
        format: Format,
        images: Option<&Path>,
        split: Split,
    ) -> anyhow::Result<Self> {
        let mut data = DataSet::new(format, path.to_owned());
        data.images = images.map(Path::to_owned);
        let examples: Vec<Example> =
            read(&data)?.into_iter().filter(|example| example.split == split).collect();
        if examples.is_empty() {
            return Err(TrainError::EmptySplit { data: path.display().to_string(), split }.into());
        }
        Ok(Self { examples, split, recipe: None, run: None })
    }

    fn max_tokens(&self) -> u32 {
        let evaluation = self.recipe.as_ref().and_then(|recipe| recipe.evaluation.as_ref());
        evaluation
            .and_then(|evaluation| u32::try_from(evaluation.max_new_tokens).ok())
            .unwrap_or(MAX_TOKENS)
    }

    /// All questions under one condition, in the order of the examples.
    fn asked(
        &self,
        condition: ImageCondition,
        before: Option<&str>,
    ) -> anyhow::Result<Vec<ImageQuestion>> {
        let mut table = ImageTable::default();
        let own: Vec<Vec<u32>> = self
            .examples
            .iter()
            .map(|example| example.images.iter().map(|image| table.number(image)).collect())
            .collect();
        let blank = Picture::blank()?;
        let picture = |number: u32| match table.sources().get(number as usize) {
            Some(source) if number != BLANK_IMAGE => source
                .own_file()
                .map_or_else(|| Picture::Inside(source.clone()), |file| Picture::File(file.into())),
            _ => blank.clone(),
        };
        let question = |(example, images): (&Example, Vec<u32>)| {
            let before = before.unwrap_or_else(|| default_instruction(example.task)).trim();
            let text = instruction(example);
            let text =
                if before.is_empty() { text.to_owned() } else { format!("{before}\n{text}") };
            ImageQuestion {
                line: Prediction {
                    id: example.id.clone(),
                    image: example.images.first().map(|image| image.name.clone()),
                    group: example.group.clone(),
                    task: example.task,
                    question: example.instruction.clone(),
                    prompt: String::new(),
                    prediction: String::new(),
                    reference: example.answer.clone(),
                    other_references: example.other_answers.clone(),
                    labels: example.labels.clone(),
                    tokens: 0,
                    finish: Finish::Stop,
                    condition,
                },
                text,
                pictures: images.into_iter().map(picture).collect(),
            }
        };
        Ok(self.examples.iter().zip(shown(&own, condition)).map(question).collect())
    }
}

/// Asks all questions under some conditions. Each condition has a file of its own, written once all
/// its questions have answers; replies are kept beside it.
pub(crate) fn predict(
    context: &Context,
    arguments: &EndpointArguments,
    questions: &Questions,
    conditions: &[ImageCondition],
    before: Option<&str>,
    out: Option<&Path>,
) -> anyhow::Result<()> {
    let named = arguments.named(questions.max_tokens())?;
    let path = |condition| -> anyhow::Result<PathBuf> {
        match (out, &questions.run) {
            (Some(out), _) => Ok(out.to_owned()),
            (None, Some(run)) => {
                let folder = run.root().join("baselines").join(folder_name(&named.model));
                Ok(RunFolder::new(folder).predictions(questions.split, condition))
            }
            (None, None) => {
                let problem = "there is no run folder to write to: name a file with --out FILE";
                Err(Usage(problem.to_owned()).into())
            }
        }
    };
    let answerer = Answerer {
        model: named.model.clone(),
        endpoint: named.endpoint.shown(),
        sampling: named.sampling.clone(),
    };
    // Everything is looked at before anything is sent.
    let mut load = Load {
        what: "questions",
        questions: 0,
        answered_before: 0,
        tokens: 0,
        images: Some((0, 0)),
    };
    for condition in conditions {
        let journal = path(*condition)?.with_extension("answers.jsonl");
        let asked = questions.asked(*condition, before)?;
        let plan = answerer.plan(asked, Journal::read(&journal)?)?;
        load.questions += plan.questions();
        load.answered_before += plan.questions() - plan.to_ask();
        load.tokens += plan.tokens();
        if let Some((images, bytes)) = &mut load.images {
            *images += plan.images;
            *bytes += plan.image_bytes;
        }
    }
    if !arguments.announce(context, &named, &load)? {
        return Ok(());
    }
    let mut lines = Vec::new();
    let mut files: Vec<Value> = Vec::new();
    let mut problem = None;
    for condition in conditions {
        let path = path(*condition)?;
        let kept = path.with_extension("answers.jsonl");
        let (journal, earlier) = Journal::<Answer>::open(&kept)?;
        let plan = answerer.plan(questions.asked(*condition, before)?, earlier)?;
        let what = format!("{} image", condition.name());
        let answered = arguments
            .ask(context, &named, &what, |asking| answerer.run(&plan, &journal, asking))?;
        let predictions = answered.predictions(&plan);
        let withheld = answered.withheld(&plan);
        if let Some(predictions) = &predictions {
            write_predictions(&path, predictions)?;
            lines.push(format!("{}: {} answers", path.display(), thousands(predictions.len())));
        } else {
            lines.push(format!(
                "{}: not written, {} of {} questions have no answer",
                path.display(),
                thousands(answered.failed.len() + answered.not_asked),
                thousands(plan.questions())
            ));
        }
        for (id, why) in &answered.failed {
            lines.push(format!("  {id}: {why}"));
        }
        if !withheld.is_empty() {
            let ids = withheld.join(", ");
            lines.push(format!("  answers withheld by the endpoint, empty here: {ids}"));
        }
        files.push(json!({
            "condition": condition, "path": path, "replies": kept,
            "answers": predictions.map(|predictions| predictions.len()),
            "failed": answered.failed, "not_asked": answered.not_asked, "withheld": withheld,
        }));
        problem = incomplete(answered.failed.len(), answered.not_asked, answered.halt.as_ref())
            .or(problem);
        if answered.halt.is_some() {
            break;
        }
    }
    let value = json!({
        "split": questions.split, "model": named.model, "endpoint": named.endpoint.shown(),
        "sampling": named.sampling, "files": files,
    });
    context.output.result(&lines.join("\n"), &value)?;
    match problem {
        None => Ok(()),
        Some(problem) => Err(anyhow::Error::msg(problem)),
    }
}

/// A model's name as the name of a folder.
fn folder_name(model: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = model.chars().map(kept).collect();
    if name.chars().all(|c| c == '.') { "_".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_stays_inside_its_folder() {
        assert_eq!(folder_name("meta/llama-3.1:8b"), "meta_llama-3.1_8b");
        assert_eq!(folder_name(".."), "_");
        assert_eq!(folder_name("../../etc"), ".._.._etc");
    }
}
