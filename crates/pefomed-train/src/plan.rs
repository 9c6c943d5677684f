//! What a recipe will cost, before anything is loaded: parameters, memory, tokens, arithmetic.
//!
//! Only configurations, the tokenizer and the data are read. Tokens are counted on the very trees
//! that the first pass will train on; memory is worked out from the list of tensors that a backward
//! pass needs (see [`memory`]). Without a tokenizer or data, as before anything was fetched, the plan
//! says what is missing and takes one full micro-batch of each stage instead.

pub mod memory;
mod text;
pub mod weights;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pefomed_data::formats::Problems;
use pefomed_data::pack::group_by_budget;
use pefomed_data::{MessageTree, Split};
use pefomed_model::adapter::LoraConfig;
use pefomed_model::base::{self, ModelFiles};
use pefomed_model::config::{LlamaConfig, VisionConfig};
use pefomed_model::projector::ProjectorKind;
use serde::Serialize;

use crate::TrainError;
use crate::augmented;
use crate::mix;
use crate::parts::{decoder_files, lora_config, vision_files};
use crate::questions::{Asking, Questions, StageImages, read_split};
use crate::recipe::{Length, Recipe, Stage};
use crate::sampler::Sampler;
use crate::start;
use crate::step::Cores;

use memory::{Memory, MicroBatch};
use weights::{BaseChoice, BasePrecision};

/// Sizes of the parts of a recipe, from their configurations alone.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// The vision encoder.
    pub vision: VisionConfig,
    /// The decoder.
    pub decoder: LlamaConfig,
    /// The projector.
    pub projector: ProjectorKind,
    /// The adapter.
    pub lora: LoraConfig,
    /// Side of an image in pixels.
    pub image_size: usize,
    /// Adjacent tokens joined into one.
    pub merge: usize,
    /// Visual tokens of an image, after joining.
    pub visual_tokens: usize,
    /// How the frozen decoder is held.
    pub precision: BasePrecision,
    /// Whether layers keep their inputs alone.
    pub checkpointing: bool,
}

impl Sizes {
    /// Reads the configurations that a recipe names.
    ///
    /// # Errors
    /// A model that is not there or not supported, by name; an image size that the encoder cannot
    /// cut into patches.
    pub fn read(recipe: &Recipe) -> Result<Self, TrainError> {
        Self::of(
            recipe,
            &vision_files(&recipe.model.vision)?,
            &decoder_files(&recipe.model.decoder)?,
        )
    }

    fn of(recipe: &Recipe, vision: &ModelFiles, decoder: &ModelFiles) -> Result<Self, TrainError> {
        let vision = base::vision_config(vision)?;
        let precision = BasePrecision::of(recipe.model.precision, decoder);
        let decoder = base::decoder_config(decoder)?;
        let (size, merge) = (recipe.model.image_size as usize, recipe.model.merge);
        let selection = recipe.model.selection();
        vision.depth(selection)?;
        let visual_tokens = vision.visual_tokens(size, merge, selection)?;
        let projector = recipe.model.projector;
        let lora = lora_config(&recipe.adapter)?;
        Ok(Self {
            vision,
            decoder,
            projector,
            lora,
            image_size: size,
            merge,
            visual_tokens,
            precision,
            checkpointing: recipe.model.activation_checkpointing,
        })
    }

    /// Width of a joined visual token.
    pub fn visual_width(&self) -> usize {
        self.vision.width() * self.merge
    }

    /// Patches of an image.
    fn patches(&self) -> usize {
        (self.image_size / self.vision.patch_size()).pow(2)
    }

    /// Numbers in the projector.
    pub fn projector_count(&self) -> usize {
        self.projector.count(self.visual_width(), self.decoder.hidden_size)
    }

    /// Bytes of the features of so many images.
    pub fn feature_bytes(&self, images: usize) -> usize {
        images * self.visual_tokens * self.visual_width() * size_of::<f32>()
    }
}

/// Distinct images that the stages of a recipe train on as they are: what the encoding pass will
/// encode. Those of stages that change them are encoded in the steps.
///
/// # Errors
/// As [`read_split`].
pub fn training_images(recipe: &Recipe) -> Result<usize, TrainError> {
    let mut places = BTreeSet::new();
    for stage in recipe.stages.iter().filter(|stage| stage.augment.is_neutral()) {
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

/// The part of a data set in a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataShare {
    /// Its name.
    pub name: String,
    /// Training questions it has.
    pub questions: usize,
    /// Questions of a pass that are drawn from it.
    pub drawn: usize,
}

/// What one stage will do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StagePlan {
    /// Its name.
    pub name: String,
    /// Whether its data or the tokenizer is missing, so that its questions and tokens are not known
    /// and a single micro-batch of its `token_budget` stands for all.
    pub is_assumed: bool,
    /// Training questions.
    pub questions: usize,
    /// The data sets they are from, and how often these are drawn.
    pub data: Vec<DataShare>,
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
    /// Images that the largest step encodes itself, because the stage changes them; 0 when their
    /// features are kept.
    pub encoded_in_a_step: usize,
    /// Mean floating-point operations of a step, forward and backward, and to encode its images when
    /// the stage changes them.
    pub flop_per_step: f64,
    /// Micro-batches of a step that run at one time.
    pub micro_batches_at_a_time: usize,
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
    /// What the plan would need to know and is not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// The adapter that the first stage is to start from, when it is not there: its sizes are taken
    /// from the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_start: Option<PathBuf>,
    /// Threads the plan is for: so many micro-batches are computed at a time.
    pub threads: usize,
    /// Parameters by part.
    pub parameters: Vec<PartParameters>,
    /// Visual tokens of an image.
    pub visual_tokens: usize,
    /// Distinct training images that are encoded once: those of stages that do not change them.
    pub images: usize,
    /// Floating-point operations to encode all of them, once.
    pub encoding_flop: f64,
    /// Memory by component.
    pub memory: Memory,
    /// Memory with the frozen decoder in other precisions, with and without checkpointing.
    pub choices: Vec<BaseChoice>,
    /// Memory that the system has left now, in bytes; none where it does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_memory: Option<u64>,
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
        let files = decoder_files(&recipe.model.decoder)?;
        let (template, own) = (recipe.model.template, recipe.model.tokenizer.as_deref());
        let mut missing = missing_data(recipe);
        let tokenizer = if own.is_none() && lacks_tokenizer(&files) {
            missing.push(format!("the tokenizer of `{}`", files.origin()));
            None
        } else {
            Some(base::load_tokenizer(&files, own, template)?)
        };
        let mut images = StageImages::default();
        let mut stages = Vec::with_capacity(recipe.stages.len());
        let mut held = 0;
        for (index, stage) in recipe.stages.iter().enumerate() {
            let Some(tokenizer) = tokenizer.as_ref().filter(|_| has_data(recipe, stage)) else {
                stages.push(assumed_plan(&sizes, stage));
                continue;
            };
            let asking = Asking::new(recipe, tokenizer, sizes.visual_tokens);
            let left_out = &mut Problems::default();
            let questions = Questions::of_stage(recipe, stage, asking, &mut images, left_out)?;
            held += questions.token_bytes() + questions.examples.len() * memory::EXAMPLE;
            // As the training loop draws it.
            let sampler = questions.sampler(recipe, index);
            stages.push(stage_plan(&sizes, stage, &questions, &sampler, threads));
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
        let images = images.kept.sources().len();
        let tokens = tokenizer.map_or(sizes.decoder.vocab_size, |tokenizer| tokenizer.len());
        let memory = Memory::new(&sizes, &stages, images, threads, tokens, held);
        Ok(Self {
            title: recipe.title.clone(),
            missing,
            missing_start: start::missing(recipe).map(Path::to_owned),
            choices: weights::choices(&sizes, &stages, &memory),
            available_memory: weights::available_memory(),
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

/// Data sets that the stages name and that are not there.
fn missing_data(recipe: &Recipe) -> Vec<String> {
    let named: BTreeSet<&String> = recipe.stages.iter().flat_map(|stage| &stage.data).collect();
    let absent = named.into_iter().filter_map(|name| Some((name, recipe.data.get(name)?)));
    absent
        .filter(|(_, data)| !data.path.exists())
        .map(|(name, data)| format!("the data of [data.{name}], `{}`", data.path.display()))
        .collect()
}

fn has_data(recipe: &Recipe, stage: &Stage) -> bool {
    stage.data.iter().filter_map(|name| recipe.data.get(name)).all(|data| data.path.exists())
}

/// Whether a folder of a decoder holds no vocabulary, as one with a configuration alone.
fn lacks_tokenizer(files: &ModelFiles) -> bool {
    let known = ["tokenizer.json", "tokenizer.model"];
    matches!(files, ModelFiles::Folder(_)) && !known.iter().any(|name| files.has(name))
}

impl StagePlan {
    /// A stage of which nothing is counted yet.
    fn of(sizes: &Sizes, stage: &Stage) -> Self {
        Self {
            name: stage.name.clone(),
            is_assumed: false,
            questions: 0,
            data: Vec::new(),
            image_groups: 0,
            steps: 0,
            steps_per_pass: 0,
            trainable: if stage.train_projector { sizes.projector_count() } else { 0 }
                + if stage.train_adapter { sizes.lora.parameter_count(&sizes.decoder) } else { 0 },
            tokens_per_pass: 0,
            tokens_per_pass_unshared: 0,
            answer_tokens_per_pass: 0,
            micro_batches: 0,
            largest_micro_batch: 0,
            encoded_in_a_step: 0,
            flop_per_step: 0.0,
            micro_batches_at_a_time: 1,
            activations: 0,
        }
    }
}

/// A stage whose questions are not known: one micro-batch of its `token_budget`.
fn assumed_plan(sizes: &Sizes, stage: &Stage) -> StagePlan {
    let batch = MicroBatch::assumed(sizes, stage.token_budget);
    let encoded = usize::from(!stage.augment.is_neutral());
    StagePlan {
        is_assumed: true,
        steps: match stage.length {
            Length::Steps(steps) => steps,
            // Becomes a number of steps with the data.
            Length::Epochs(_) => 0,
        },
        micro_batches: 1,
        largest_micro_batch: batch.positions,
        encoded_in_a_step: encoded,
        flop_per_step: decoder_flop(sizes, stage, &batch) + encoded as f64 * vision_flop(sizes),
        activations: batch.activation_bytes(sizes),
        ..StagePlan::of(sizes, stage)
    }
}

fn stage_plan(
    sizes: &Sizes,
    stage: &Stage,
    questions: &Questions,
    sampler: &Sampler,
    threads: usize,
) -> StagePlan {
    let mut plan = StagePlan {
        questions: questions.messages.len(),
        image_groups: questions.groups.iter().collect::<BTreeSet<_>>().len(),
        steps: stage.steps(questions.messages.len()),
        ..StagePlan::of(sizes, stage)
    };
    let drawn = match &stage.weights {
        Some(weights) => mix::quotas(&questions.sizes, weights),
        None => questions.sizes.clone(),
    };
    let sets = stage.data.iter().zip(questions.sizes.iter().zip(drawn));
    plan.data = sets
        .map(|(name, (&questions, drawn))| DataShare { name: name.clone(), questions, drawn })
        .collect();
    let pass = sampler.pass(0);
    plan.steps_per_pass = pass.len();
    let mut flop = 0.0;
    for (index, step) in pass.iter().enumerate() {
        let trees: Vec<MessageTree> =
            step.trees.iter().filter_map(|tree| questions.tree(tree)).collect();
        if !stage.augment.is_neutral() {
            let encoded = augmented::images(&trees).len();
            plan.encoded_in_a_step = plan.encoded_in_a_step.max(encoded);
            flop += encoded as f64 * vision_flop(sizes);
        }
        let positions: Vec<usize> = trees.iter().map(MessageTree::positions).collect();
        let groups = group_by_budget(&positions, stage.token_budget);
        plan.micro_batches = plan.micro_batches.max(groups.len());
        let mut held = Vec::with_capacity(groups.len());
        let mut sums = Vec::with_capacity(groups.len());
        for range in groups {
            let batch = MicroBatch::of(&trees[range]);
            plan.largest_micro_batch = plan.largest_micro_batch.max(batch.positions);
            sums.push(batch.positions);
            held.push(batch.activation_bytes(sizes));
            flop += decoder_flop(sizes, stage, &batch);
        }
        // A stage shorter than a pass does not come to the later steps.
        if index < plan.steps {
            let decoder = &sizes.decoder;
            let packed = decoder.has_fused_layers();
            let cores = Cores::of(&sums, decoder.hidden_size, packed, threads);
            let at_a_time = cores.jobs_at_a_time(threads);
            held.sort_unstable_by(|a, b| b.cmp(a));
            plan.activations = plan.activations.max(held.iter().take(at_a_time).sum());
            let running = at_a_time.min(held.len());
            plan.micro_batches_at_a_time = plan.micro_batches_at_a_time.max(running);
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
/// trained ones 2 more for their own gradient. What packed layers leave out, the last feed-forward network
/// where nothing is predicted, is counted too. Each pair of a position and one that it attends to
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
    let projector = passes * sizes.projector_count() as f64 * batch.visual as f64;
    body + attention + lora + head + projector
}

/// Floating-point operations to encode one image.
fn vision_flop(sizes: &Sizes) -> f64 {
    let vision = &sizes.vision;
    let c = vision.width() as f64;
    let layers = vision.layers() as f64;
    let patches = sizes.patches() as f64;
    let tokens = patches + vision.extra_tokens() as f64;
    let block = (4.0 * c + 2.0 * vision.feed_forward_width() as f64) * c;
    let patch = (3 * vision.patch_size().pow(2)) as f64;
    2.0 * layers * block * tokens + 4.0 * layers * c * tokens * tokens + 2.0 * patch * c * patches
}

#[cfg(test)]
mod tests;
