//! Examples as tokenized questions, with their images numbered.

use std::collections::{BTreeMap, BTreeSet};

use pefomed_data::compat::Compat;
use pefomed_data::formats::{self, Problems};
use pefomed_data::laterality::side_word;
use pefomed_data::prompt::{Prompt, Template};
use pefomed_data::split::{self, SplitRule};
use pefomed_data::{
    Example, ImagePlace, ImageSource, Message, MessageTree, Split, Tokenizer, files,
};

use crate::TrainError;
use crate::error::NamedSide;
use crate::mix::Mix;
use crate::recipe::{DataSet, Recipe, Stage};
use crate::sampler::Sampler;

/// Reads a data set of a recipe, assigns its splits and keeps as many training groups as it asks for.
///
/// # Errors
/// As [`formats::visit`] and [`split::assign`].
pub fn read(data: &DataSet) -> Result<Vec<Example>, TrainError> {
    read_noting(data, None, &mut Problems::default())
}

/// Like [`read`]; `problems` receives what a reading that is not strict leaves out. With a split,
/// only its examples are kept, and where the data set publishes it the others take no memory.
///
/// # Errors
/// As [`read`].
pub fn read_noting(
    data: &DataSet,
    wanted: Option<Split>,
    problems: &mut Problems,
) -> Result<Vec<Example>, TrainError> {
    let mut own = if data.strict { Problems::strict() } else { Problems::lenient() };
    let mut examples = Vec::new();
    let dropped = wanted.filter(|_| data.split == SplitRule::Published);
    let mut groups = BTreeSet::new();
    formats::visit(data.format, &data.path, &data.options(), &mut own, &mut |example| {
        if dropped.is_none_or(|wanted| example.split == wanted) {
            examples.push(example);
        }
        Ok(())
    })?;
    problems.skipped.append(&mut own.skipped);
    problems.notes.append(&mut own.notes);
    if data.split != SplitRule::Published {
        split::assign(&mut examples, &data.split)?;
    }
    examples.retain(|example| {
        let is_wanted = wanted.is_none_or(|wanted| example.split == wanted);
        let is_kept = match data.train_groups {
            Some(limit) if example.split == Split::Train => {
                groups.contains(&example.group)
                    || (groups.len() < limit && groups.insert(example.group.clone()))
            }
            _ => true,
        };
        is_wanted && is_kept
    });
    Ok(examples)
}

/// Reads data sets by name and keeps one split of them, in the order given.
///
/// # Errors
/// As [`read`]; [`TrainError::EmptySplit`] when nothing is left.
pub fn read_split(
    recipe: &Recipe,
    names: &[String],
    wanted: Split,
) -> Result<Vec<Example>, TrainError> {
    read_split_noting(recipe, names, wanted, &mut Problems::default())
}

/// Like [`read_split`]; `problems` receives what readings that are not strict leave out.
///
/// # Errors
/// As [`read_split`].
pub fn read_split_noting(
    recipe: &Recipe,
    names: &[String],
    wanted: Split,
    problems: &mut Problems,
) -> Result<Vec<Example>, TrainError> {
    let (kept, _) = read_each(recipe, names, wanted, problems)?;
    Ok(kept)
}

/// Like [`read_split_noting`]; also tells how many examples are from each data set.
fn read_each(
    recipe: &Recipe,
    names: &[String],
    wanted: Split,
    problems: &mut Problems,
) -> Result<(Vec<Example>, Vec<usize>), TrainError> {
    let mut kept = Vec::new();
    let mut sizes = Vec::with_capacity(names.len());
    for name in names {
        let data = recipe.data.get(name).ok_or_else(|| TrainError::RecipeValue {
            origin: "recipe".to_owned(),
            line: None,
            problem: format!("no data set is called `{name}`"),
        })?;
        let mut read = read_noting(data, Some(wanted), problems)?;
        sizes.push(read.len());
        kept.append(&mut read);
    }
    if kept.is_empty() {
        return Err(TrainError::EmptySplit { data: names.join(", "), split: wanted });
    }
    Ok((kept, sizes))
}

/// Numbers images by their places, so that an image that several data sets or stages share is
/// encoded once.
#[derive(Clone, Debug, Default)]
pub struct ImageTable {
    numbers: BTreeMap<ImagePlace, u32>,
    sources: Vec<ImageSource>,
}

impl ImageTable {
    /// The number of an image, given it if it has none.
    pub fn number(&mut self, image: &ImageSource) -> u32 {
        let next = self.sources.len() as u32;
        *self.numbers.entry(image.place.clone()).or_insert_with(|| {
            self.sources.push(image.clone());
            next
        })
    }

    /// Images in the order of their numbers.
    pub fn sources(&self) -> &[ImageSource] {
        &self.sources
    }
}

/// Images by their numbers in the questions of stages.
#[derive(Clone, Debug, Default)]
pub struct StageImages {
    /// Those of stages that take them as they are, in the order of their features.
    pub kept: ImageTable,
    /// Those of stages that change them, which have numbers of their own: they are not encoded
    /// beforehand.
    pub changing: ImageTable,
}

/// Tokenized questions of one stage or one prediction.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    /// The examples they come from, unless they were [left out](Self::without_texts).
    pub examples: Vec<Example>,
    /// One for each example.
    pub messages: Vec<Message>,
    /// Questions with the same number are about the same images.
    pub groups: Vec<usize>,
    /// The prompts as text, likewise.
    pub prompts: Vec<String>,
    /// How many are from each data set of a stage, in their order.
    pub sizes: Vec<usize>,
}

/// How examples become questions.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The turns around an instruction.
    pub template: Template,
    /// Whose prompts are written, if not this project's.
    pub compat: Option<Compat>,
    /// Decides what such prompts draw.
    pub seed: u64,
    /// The decoder's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Visual tokens of an image.
    pub visual_tokens: usize,
    /// Whether the answers are left out, to be generated.
    pub to_generate: bool,
}

impl<'a> Asking<'a> {
    /// As a recipe asks for training, with a decoder's tokenizer.
    pub fn new(recipe: &Recipe, tokenizer: &'a Tokenizer, visual_tokens: usize) -> Self {
        Self {
            template: recipe.model.template,
            compat: recipe.model.compat,
            seed: recipe.seed,
            tokenizer,
            visual_tokens,
            to_generate: false,
        }
    }

    fn prompt(&self, example: &Example) -> Prompt {
        match self.compat {
            None => self.template.prompt(example),
            Some(compat) => compat.prompt(example, self.seed, self.to_generate),
        }
    }
}

impl Questions {
    /// Tokenizes examples; `image` numbers the images of each.
    ///
    /// # Errors
    /// [`TrainError::ReservedText`] for an example that contains text the template reserves.
    pub fn new(
        examples: Vec<Example>,
        asking: Asking<'_>,
        mut images: impl FnMut(usize, &Example) -> Vec<u32>,
    ) -> Result<Self, TrainError> {
        let mut questions = Self::default();
        let mut groups: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
        for (index, example) in examples.iter().enumerate() {
            if let Some(text) = asking.template.reserved_in(example) {
                let (id, row) = (example.id.clone(), example.row);
                return Err(TrainError::ReservedText { id, row, text });
            }
            let numbers = images(index, example);
            let prompt = asking.prompt(example);
            let key = key(&example.id);
            questions.messages.push(asking.tokenizer.message(
                &prompt,
                &numbers,
                asking.visual_tokens,
                key,
                asking.to_generate,
            )?);
            questions.prompts.push(prompt.text());
            // Without images there is nothing to share: each question is a group of its own.
            let next = groups.len();
            let group = if numbers.is_empty() { vec![u32::MAX, index as u32] } else { numbers };
            questions.groups.push(*groups.entry(group).or_insert(next));
        }
        questions.examples = examples;
        Ok(questions)
    }

    /// The training questions of a stage; `table` numbers their images, and `problems` receives what
    /// readings that are not strict leave out.
    ///
    /// # Errors
    /// As [`read_split`] and [`Questions::new`]; [`TrainError::EmptySplit`] also for a data set that
    /// has a weight and nothing to draw; [`TrainError::FlipsSides`].
    pub fn of_stage(
        recipe: &Recipe,
        stage: &Stage,
        asking: Asking<'_>,
        images: &mut StageImages,
        problems: &mut Problems,
    ) -> Result<Self, TrainError> {
        let StageImages { kept, changing } = images;
        let table = if stage.augment.is_neutral() { kept } else { changing };
        let (examples, sizes) = read_each(recipe, &stage.data, Split::Train, problems)?;
        if stage.weights.is_some()
            && let Some((name, _)) = stage.data.iter().zip(&sizes).find(|(_, size)| **size == 0)
        {
            return Err(TrainError::EmptySplit { data: name.clone(), split: Split::Train });
        }
        if stage.augment.flip > 0.0 {
            refuse_sides(stage, &examples, &sizes)?;
        }
        let questions = Self::new(examples, asking, |_, example| {
            example.images.iter().map(|image| table.number(image)).collect()
        })?;
        Ok(Self { sizes, ..questions })
    }

    /// What training needs of them: tokens and groups. Examples and prompts, which predictions name, take
    /// more memory than those.
    #[must_use = "the questions are returned"]
    pub fn without_texts(self) -> Self {
        Self { examples: Vec::new(), prompts: Vec::new(), ..self }
    }

    /// Bytes of the tokenized questions.
    pub fn token_bytes(&self) -> usize {
        let own = size_of::<Message>() + size_of::<usize>();
        let tokens =
            |message: &Message| size_of_val(&message.prompt[..]) + size_of_val(&message.answer[..]);
        self.messages.iter().map(|message| own + tokens(message)).sum()
    }

    /// Deals the questions of a recipe's stage, counted from 0, into its steps.
    ///
    /// # Panics
    /// When there is no such stage.
    pub fn sampler(&self, recipe: &Recipe, stage: usize) -> Sampler {
        let seed = recipe.seed.wrapping_add(1000 * (stage as u64 + 1));
        let stage = &recipe.stages[stage];
        let (tree, share) = (stage.max_questions_per_tree, stage.share_images);
        let weights = stage.weights.as_ref();
        Sampler::new(&self.groups, seed, stage.batch, tree, share)
            .looking_ahead(stage.trees_ahead)
            .mixed(weights.map(|weights| Mix::new(&self.groups, &self.sizes, weights)))
    }

    /// A tree of some questions of one group.
    pub fn tree(&self, questions: &[usize]) -> Option<MessageTree> {
        MessageTree::new(questions.iter().map(|&index| self.messages[index].clone()).collect())
    }
}

/// Refuses a text that names a side in a stage that mirrors images.
fn refuse_sides(stage: &Stage, examples: &[Example], sizes: &[usize]) -> Result<(), TrainError> {
    let mut rest = examples;
    for (data, size) in stage.data.iter().zip(sizes) {
        let (own, later) = rest.split_at(*size);
        rest = later;
        for example in own.iter().filter(|example| !example.images.is_empty()) {
            let texts = [("question", &example.instruction), ("answer", &example.answer)];
            let others = example.other_answers.iter().map(|answer| ("other answer", answer));
            for (part, text) in texts.into_iter().chain(others) {
                if let Some(word) = side_word(text) {
                    return Err(TrainError::FlipsSides(Box::new(NamedSide {
                        stage: stage.name.clone(),
                        data: data.clone(),
                        row: example.row,
                        id: example.id.clone(),
                        word: word.to_owned(),
                        part,
                    })));
                }
            }
        }
    }
    Ok(())
}

/// A number from an id, for random draws that belong to the example and not to its place.
fn key(id: &str) -> u64 {
    let digest = files::digest([id]);
    u64::from_str_radix(&digest[..16], 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use pefomed_data::formats::Format;

    use super::*;

    #[test]
    fn training_groups_are_limited_and_test_groups_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vqa.jsonl");
        let row = |id: usize, split: &str| {
            let image = id / 2;
            format!(
                r#"{{"id":"{id}","image":"{image}.png","question":"q","answer":"a","split":"{split}"}}"#
            )
        };
        let rows: Vec<String> = (0..8).map(|id| row(id, "train")).collect();
        let asked: Vec<String> = (8..12).map(|id| row(id, "test")).collect();
        std::fs::write(&path, [rows, asked].concat().join("\n")).unwrap();
        let mut data = DataSet::new(Format::Jsonl, path);
        assert_eq!(read(&data).unwrap().len(), 12);
        data.train_groups = Some(3);
        let kept: Vec<String> = read(&data).unwrap().into_iter().map(|e| e.id).collect();
        assert_eq!(kept, ["0", "1", "2", "3", "4", "5", "8", "9", "10", "11"]);
    }
}
