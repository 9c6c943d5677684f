//! Predictions of a tuned model over a split, with the true images or with control images.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use pefomed_data::{Example, ImageCondition, MessageTree, Prediction};
use pefomed_model::generate::generate;
use pefomed_model::multimodal::TunedDecoder;

use crate::TrainError;
use crate::features::{BLANK_IMAGE, Features};
use crate::parts::Parts;
use crate::questions::{Asking, ImageTable, Questions};
use crate::recipe::Recipe;
use crate::threads;

/// How answers are generated.
#[derive(Clone, Copy, Debug)]
pub struct Generation {
    /// Tokens of an answer at most.
    pub max_new_tokens: usize,
    /// Questions decoded at a time: speed for memory. A group with more is cut, which may round its sums
    /// differently.
    pub rows: usize,
}

/// A split made ready: its images are encoded.
pub struct Asked {
    examples: Vec<Example>,
    /// Numbers of each example's own images.
    images: Vec<Vec<u32>>,
    features: Features,
}

impl Asked {
    /// Encodes the images of some examples. `progress` hears how many of how many are done.
    ///
    /// # Errors
    /// An image that cannot be read, by name.
    pub fn prepare(
        parts: &Parts,
        examples: Vec<Example>,
        cache: &std::path::Path,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self, TrainError> {
        let mut table = ImageTable::default();
        let images = examples
            .iter()
            .map(|example| example.images.iter().map(|image| table.number(image)).collect())
            .collect();
        let features = Features::compute(parts, table.sources(), cache, progress)?;
        Ok(Self { examples, images, features })
    }

    /// The examples, in the order of their predictions.
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// Answers every example under a condition. `progress` hears how many of how many are done.
    ///
    /// # Errors
    /// Whatever fails in tokenizing or computing.
    pub fn predict(
        &self,
        recipe: &Recipe,
        parts: &Parts,
        model: &TunedDecoder,
        condition: ImageCondition,
        generation: Generation,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Vec<Prediction>, TrainError> {
        let shown = shown(&self.images, condition);
        let asking = Asking::new(recipe, &parts.tokenizer, parts.visual_tokens);
        let asking = Asking { to_generate: true, ..asking };
        let questions =
            Questions::new(self.examples.clone(), asking, |index, _| shown[index].clone())?;
        let batches = batches(&questions.groups, generation.rows.max(1));
        let done = AtomicUsize::new(0);
        let total = questions.messages.len();
        let jobs: Vec<(Vec<Vec<usize>>, TunedDecoder)> =
            batches.into_iter().map(|batch| (batch, model.clone())).collect();
        let answer = |(batch, model): (Vec<Vec<usize>>, TunedDecoder)| {
            let trees: Vec<MessageTree> =
                batch.iter().filter_map(|tree| questions.tree(tree)).collect();
            let mut images: Vec<u32> =
                batch.iter().flat_map(|tree| &shown[tree[0]]).copied().collect();
            images.dedup();
            let features = self.features.get(parts, &images)?;
            let end = parts.tokenizer.end;
            let answers = generate(&model, &trees, &features, end, generation.max_new_tokens)?;
            let count: usize = batch.iter().map(Vec::len).sum();
            progress(done.fetch_add(count, Ordering::Relaxed) + count, total);
            let mut predictions = Vec::with_capacity(count);
            for (index, answer) in batch.into_iter().flatten().zip(answers.into_iter().flatten()) {
                let example = &questions.examples[index];
                predictions.push((
                    index,
                    Prediction {
                        id: example.id.clone(),
                        image: example.images.first().map(|image| image.name.clone()),
                        group: example.group.clone(),
                        task: example.task,
                        question: example.instruction.clone(),
                        prompt: questions.prompts[index].clone(),
                        prediction: parts.tokenizer.decode(&answer.tokens)?,
                        reference: example.answer.clone(),
                        other_references: example.other_answers.clone(),
                        labels: example.labels.clone(),
                        tokens: answer.tokens.len(),
                        finish: answer.finish,
                        condition,
                    },
                ));
            }
            Ok::<_, TrainError>(predictions)
        };
        let parts = threads::in_order(jobs, answer)?;
        let mut all: Vec<(usize, Prediction)> = parts.into_iter().flatten().collect();
        all.sort_by_key(|(index, _)| *index);
        Ok(all.into_iter().map(|(_, prediction)| prediction).collect())
    }
}

/// Numbers of the images that each example is shown under a condition, from the numbers of its own.
///
/// Under [`ImageCondition::Shuffled`] every group is shown the images of the group half the list of
/// groups further on, so that all questions about an image get the same wrong one, and no group its
/// own.
pub fn shown(images: &[Vec<u32>], condition: ImageCondition) -> Vec<Vec<u32>> {
    match condition {
        ImageCondition::True => images.to_vec(),
        ImageCondition::Blank => {
            images.iter().map(|images| vec![BLANK_IMAGE; images.len()]).collect()
        }
        ImageCondition::Shuffled => shuffled(images),
    }
}

fn shuffled(images: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let mut groups: Vec<&[u32]> = Vec::new();
    let mut places: BTreeMap<&[u32], usize> = BTreeMap::new();
    for images in images {
        places.entry(images).or_insert_with(|| {
            groups.push(images);
            groups.len() - 1
        });
    }
    let half = (groups.len() / 2).max(1);
    let other = |images: &Vec<u32>| {
        let own = places.get(images.as_slice()).copied().unwrap_or_default();
        let mut wrong = groups[(own + half) % groups.len()].to_vec();
        // A prompt keeps its number of images.
        wrong.resize(images.len(), *wrong.first().unwrap_or(&BLANK_IMAGE));
        wrong
    };
    images.iter().map(other).collect()
}

/// Trees of questions of one group, at most `rows` questions each, packed into batches of at most
/// `rows` questions.
fn batches(groups: &[usize], rows: usize) -> Vec<Vec<Vec<usize>>> {
    let mut by_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, &group) in groups.iter().enumerate() {
        by_group.entry(group).or_default().push(index);
    }
    let trees: Vec<Vec<usize>> =
        by_group.values().flat_map(|group| group.chunks(rows)).map(<[usize]>::to_vec).collect();
    let sizes: Vec<usize> = trees.iter().map(Vec::len).collect();
    pefomed_data::pack::group_by_budget(&sizes, rows)
        .into_iter()
        .map(|range| trees[range].to_vec())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_every_question_once_and_no_more_than_they_may() {
        let groups = [0, 1, 0, 2, 1, 1, 1, 1];
        let made = batches(&groups, 3);
        let mut all: Vec<usize> = made.iter().flatten().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..8).collect::<Vec<_>>());
        for batch in &made {
            assert!(batch.iter().map(Vec::len).sum::<usize>() <= 3);
            for tree in batch {
                assert!(tree.iter().all(|&index| groups[index] == groups[tree[0]]));
            }
        }
    }
}
