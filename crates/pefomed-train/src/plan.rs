//! What a recipe will cost, before anything is loaded: parameters, memory, tokens, arithmetic.
//!
//! Only configurations, the tokenizer and the data are read. Tokens are counted on the very trees
//! that the first pass will train on; memory is worked out from the list of tensors that a backward
//! pass needs (see [`memory`]).

pub mod memory;
mod text;

use std::collections::BTreeSet;

use pefomed_data::pack::group_by_budget;
use pefomed_data::{MessageTree, Split};
use pefomed_model::ModelError;
use pefomed_model::adapter::LoraConfig;
use pefomed_model::base::{self, ModelFiles};
use pefomed_model::config::{Dinov2Config, LlamaConfig};
use pefomed_model::projector::Projector;
use serde::Serialize;

use crate::TrainError;
use crate::parts::{decoder_files, lora_config, vision_files};
use crate::questions::{Asking, ImageTable, Questions, read_split};
use crate::recipe::{Recipe, Stage};
use crate::sampler::Sampler;

use memory::{Memory, MicroBatch};

/// Sizes of the parts of a recipe, from their configurations alone.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// The vision encoder.
    pub vision: Dinov2Config,
    /// The decoder.
    pub decoder: LlamaConfig,
    /// The adapter.
    pub lora: LoraConfig,
    /// Side of an image in pixels.
    pub image_size: usize,
    /// Adjacent tokens joined into one.
    pub merge: usize,
    /// Visual tokens of an image, after joining.
    pub visual_tokens: usize,
}

impl Sizes {
    /// Reads the configurations that a recipe names.
    ///
    /// # Errors
    /// A model that is not there or not supported, by name; an image size that the encoder cannot
    /// cut into patches.
    pub fn read(recipe: &Recipe) -> Result<Self, TrainError> {
        Self::of(recipe, &vision_files(&recipe.model)?, &decoder_files(&recipe.model)?)
    }

    fn of(recipe: &Recipe, vision: &ModelFiles, decoder: &ModelFiles) -> Result<Self, TrainError> {
        let vision = base::vision_config(vision)?;
        let decoder = base::decoder_config(decoder)?;
        let (size, merge) = (recipe.model.image_size as usize, recipe.model.merge);
        let patch = vision.patch_size;
        if size == 0 || size % patch != 0 {
            return Err(ModelError::ImageSize { height: size, width: size, patch }.into());
        }
        let row = size / patch;
        if merge == 0 || row % merge != 0 {
            return Err(ModelError::MergeWidth { patches: row, merge }.into());
        }
        let visual_tokens = vision.patches(size) / merge;
        let lora = lora_config(&recipe.adapter)?;
        Ok(Self { vision, decoder, lora, image_size: size, merge, visual_tokens })
    }

    /// Width of a joined visual token.
    pub fn visual_width(&self) -> usize {
        self.vision.hidden_size * self.merge
    }

    /// Numbers in the projector.
    pub fn projector_count(&self) -> usize {
        Projector::count(self.visual_width(), self.decoder.hidden_size)
    }

    /// Bytes of the features of so many images.
    pub fn feature_bytes(&self, images: usize) -> usize {
        images * self.visual_tokens * self.visual_width() * size_of::<f32>()
    }
}

/// Distinct images that the stages of a recipe train on: what the encoding pass will encode.
///
/// # Errors
/// As [`read_split`].
pub fn training_images(recipe: &Recipe) -> Result<usize, TrainError> {
    let mut places = BTreeSet::new();
    for stage in &recipe.stages {
        for example in read_split(recipe, &stage.data, Split::Train)? {
            places.extend(example.images.into_iter().map(|image| image.place));
        }
    }
    Ok(places.len())
}

/// Parameters of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartParameters {
    /// `vision`, `decoder`, `projector` or `lora`.
    pub part: &'static str,
    /// Numbers that some stage trains: each has a gradient and two moments.
    pub trainable: usize,
    /// Numbers that no stage trains: they have neither.
    pub frozen: usize,
}

/// What one stage will do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StagePlan {
    /// Its name.
    pub name: String,
    /// Training questions.
    pub questions: usize,
    /// Distinct sets of images they are about.
    pub image_groups: usize,
    /// Optimizer steps.
    pub steps: usize,
    /// Optimizer steps of one pass over the data.
    pub steps_per_pass: usize,
    /// Numbers it trains.
    pub trainable: usize,
    /// Positions that the first pass sends through the decoder.
    pub tokens_per_pass: usize,
    /// Positions that the same pass would send without sharing images between questions.
    pub tokens_per_pass_unshared: usize,
    /// Answer tokens of a pass, over which the loss is taken.
    pub answer_tokens_per_pass: usize,
    /// Micro-batches of the step that has most.
    pub micro_batches: usize,
    /// Positions of the largest micro-batch.
    pub largest_micro_batch: usize,
    /// Mean floating-point operations of a step, forward and backward.
    pub flop_per_step: f64,
    /// Bytes that the micro-batches of a step hold for their backward passes at one time, in the
    /// step where it is most.
    pub activations: usize,
}

/// What a recipe will cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The recipe's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Threads the plan is for: so many micro-batches are computed at a time.
    pub threads: usize,
    /// Parameters by part.
    pub parameters: Vec<PartParameters>,
    /// Visual tokens of an image.
    pub visual_tokens: usize,
    /// Distinct training images; each is encoded once.
    pub images: usize,
    /// Floating-point operations to encode all of them, once.
    pub encoding_flop: f64,
    /// Memory by component.
    pub memory: Memory,
    /// The stages in their order.
    pub stages: Vec<StagePlan>,
}

impl Plan {
    /// Plans a recipe for so many threads. Loads no weights.
    ///
    /// # Errors
    /// What [`Sizes::read`] and reading the data report, and
    /// [`TrainError::ReservedText`] for an example that cannot become a prompt.
    pub fn new(recipe: &Recipe, threads: usize) -> Result<Self, TrainError> {
        let sizes = Sizes::read(recipe)?;
        let files = decoder_files(&recipe.model)?;
        let (template, own) = (recipe.model.template, recipe.model.tokenizer.as_deref());
        let tokenizer = base::load_tokenizer(&files, own, template)?;
        let asking = Asking {
            template,
            tokenizer: &tokenizer,
            visual_tokens: sizes.visual_tokens,
            to_generate: false,
        };
        let mut table = ImageTable::default();
        let mut stages = Vec::with_capacity(recipe.stages.len());
        let mut largest_text = 0;
        for (index, stage) in recipe.stages.iter().enumerate() {
            let examples = read_split(recipe, &stage.data, Split::Train)?;
            let questions = Questions::new(examples, asking, |_, example| {
                example.images.iter().map(|image| table.number(image)).collect()
            })?;
            let held: usize = questions.messages.iter().map(|message| message.prompt.len()).sum();
            largest_text += held * size_of::<pefomed_data::Item>();
            // As the training loop draws it.
            let seed = recipe.seed.wrapping_add(1000 * (index as u64 + 1));
            stages.push(stage_plan(&sizes, stage, &questions, seed, threads));
        }
        let trains = |which: fn(&Stage) -> bool| recipe.stages.iter().any(which);
        let part = |part, count, trained: bool| PartParameters {
            part,
            trainable: if trained { count } else { 0 },
            frozen: if trained { 0 } else { count },
        };
        let lora = sizes.lora.parameter_count(&sizes.decoder);
        let parameters = vec![
            part("vision", sizes.vision.parameter_count(), false),
            part("decoder", sizes.decoder.parameter_count(), false),
            part("projector", sizes.projector_count(), trains(|stage| stage.train_projector)),
            part("lora", lora, trains(|stage| stage.train_adapter)),
        ];
        let images = table.sources().len();
        let memory = Memory::new(&sizes, &stages, images, threads, tokenizer.len(), largest_text);
        Ok(Self {
            title: recipe.title.clone(),
            threads,
            parameters,
            visual_tokens: sizes.visual_tokens,
            images,
            encoding_flop: images as f64 * vision_flop(&sizes),
            memory,
            stages,
        })
    }
}

fn stage_plan(
    sizes: &Sizes,
    stage: &Stage,
    questions: &Questions,
    seed: u64,
    threads: usize,
) -> StagePlan {
    let mut plan = StagePlan {
        name: stage.name.clone(),
        questions: questions.messages.len(),
        image_groups: questions.groups.iter().collect::<BTreeSet<_>>().len(),
        steps: stage.steps(questions.messages.len()),
        steps_per_pass: 0,
        trainable: if stage.train_projector { sizes.projector_count() } else { 0 }
            + if stage.train_adapter { sizes.lora.parameter_count(&sizes.decoder) } else { 0 },
        tokens_per_pass: 0,
        tokens_per_pass_unshared: 0,
        answer_tokens_per_pass: 0,
        micro_batches: 0,
        largest_micro_batch: 0,
        flop_per_step: 0.0,
        activations: 0,
    };
    let (tree, share) = (stage.max_questions_per_tree, stage.share_images);
    let pass = Sampler::new(&questions.groups, seed, stage.batch, tree, share).pass(0);
    plan.steps_per_pass = pass.len();
    let mut flop = 0.0;
    for (index, step) in pass.iter().enumerate() {
        let trees: Vec<MessageTree> =
            step.trees.iter().filter_map(|tree| questions.tree(tree)).collect();
        let positions: Vec<usize> = trees.iter().map(MessageTree::positions).collect();
        let groups = group_by_budget(&positions, stage.token_budget);
        plan.micro_batches = plan.micro_batches.max(groups.len());
        let mut held = Vec::with_capacity(groups.len());
        for range in groups {
            let batch = MicroBatch::of(&trees[range]);
            plan.largest_micro_batch = plan.largest_micro_batch.max(batch.positions);
            held.push(batch.activation_bytes(sizes));
            flop += decoder_flop(sizes, stage, &batch);
        }
        // A stage shorter than a pass does not come to the later steps.
        if index < plan.steps {
            // No more of them than threads are computed one after the other.
            let at_a_time = if held.len() <= threads { 1 } else { threads.max(1) };
            held.sort_unstable_by(|a, b| b.cmp(a));
            plan.activations = plan.activations.max(held.iter().take(at_a_time).sum());
        }
        plan.tokens_per_pass += positions.iter().sum::<usize>();
        plan.tokens_per_pass_unshared +=
            trees.iter().map(MessageTree::positions_unshared).sum::<usize>();
        plan.answer_tokens_per_pass += trees.iter().map(MessageTree::targets).sum::<usize>();
    }
    plan.flop_per_step = flop / pass.len().max(1) as f64;
    plan
}

/// Floating-point operations of one micro-batch, a multiplication with an addition counted as two.
///
/// Frozen weights take 2 a position and parameter forward and 2 for the gradient to their input;
/// trained ones 2 more for their own gradient. Each pair of a position and one that it attends to
/// takes 4·(heads · width) forward and twice that backward; the head is computed at the positions
/// that have a target.
fn decoder_flop(sizes: &Sizes, stage: &Stage, batch: &MicroBatch) -> f64 {
    let decoder = &sizes.decoder;
    let (c, layers) = (decoder.hidden_size as f64, decoder.num_hidden_layers as f64);
    let q = (decoder.num_attention_heads * decoder.head_dim()) as f64;
    let kv = (decoder.key_heads() * decoder.head_dim()) as f64;
    let matrices = 2.0 * c * q + 2.0 * c * kv + 3.0 * c * decoder.intermediate_size as f64;
    let positions = batch.positions as f64;
    let body = 4.0 * layers * matrices * positions;
    let attention = 12.0 * layers * q * batch.pairs as f64;
    let passes = if stage.train_adapter { 6.0 } else { 4.0 };
    let lora = passes * sizes.lora.parameter_count(decoder) as f64 * positions;
    let head = 4.0 * c * decoder.vocab_size as f64 * batch.targets as f64;
    let passes = if stage.train_projector { 4.0 } else { 2.0 };
    let projector = passes * sizes.visual_width() as f64 * c * batch.visual as f64;
    body + attention + lora + head + projector
}

/// Floating-point operations to encode one image.
fn vision_flop(sizes: &Sizes) -> f64 {
    let vision = &sizes.vision;
    let (c, layers) = (vision.hidden_size as f64, vision.num_hidden_layers as f64);
    let patches = vision.patches(sizes.image_size) as f64;
    let tokens = patches + 1.0;
    let block = (4.0 + 2.0 * vision.mlp_ratio as f64) * c * c;
    let patch = (vision.num_channels * vision.patch_size.pow(2)) as f64;
    2.0 * layers * block * tokens + 4.0 * layers * c * tokens * tokens + 2.0 * patch * c * patches
}

#[cfg(test)]
mod tests;
