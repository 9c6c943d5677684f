//! The training loop, from the first step of the first stage to the adapter.
//!
//! One optimizer step: the sampler names the questions; trees of questions about the same images
//! are packed into micro-batches; each gives a sum of losses and its gradients; the gradients are
//! added in a fixed order and divided by the number of answer tokens of the whole step; AdamW takes
//! the step. Micro-batches run on all cores at once, and how they are cut depends on the recipe
//! alone, so the number of cores changes the time and not one bit of the result.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use pefomed_data::formats::Problems;
use pefomed_data::pack::group_by_budget;
use pefomed_data::{ImageSource, MessageTree, PackedBatch, files, split};
use pefomed_model::multimodal::TunedDecoder;
use pefomed_model::parameters::Trainable as _;

use crate::TrainError;
use crate::adamw::Moments;
use crate::augmented::{self, Round};
use crate::checkpoint::{self, Position};
use crate::events::{Event, Observer};
use crate::features::Features;
use crate::parts::Parts;
use crate::questions::{Asking, Questions, StageImages};
use crate::recipe::{Recipe, Stage};
use crate::run_folder::{RunFolder, peak_memory_bytes};
use crate::start;
use crate::step::{self, Cores, Pass};

/// A recipe made ready: parts loaded, questions tokenized, images encoded.
pub struct Training {
    /// The recipe.
    pub recipe: Recipe,
    /// The frozen parts.
    pub parts: Parts,
    /// The questions of each stage.
    pub stages: Vec<Questions>,
    /// Features of the images of stages that take them as they are.
    pub features: Features,
    /// Digest of what is trained on.
    pub data_digest: String,
    /// Digest of the adapter that the first stage starts from, unless it is drawn.
    pub start_digest: Option<String>,
    /// Rows that were left out, of data sets that are not read strictly.
    pub left_out: Problems,
    /// The images of all stages.
    images: StageImages,
}

/// Trained weights, and how they came about.
pub struct Trained {
    /// The model with its adapter and projector.
    pub model: TunedDecoder,
    /// Wall seconds of all stages, without what came before a resume.
    pub seconds: f64,
}

impl Training {
    /// Loads and prepares everything. `progress` hears how many of how many images are encoded.
    ///
    /// # Errors
    /// Whatever is wrong with models, data or images, by name.
    pub fn prepare(
        recipe: Recipe,
        parts: Parts,
        run: &RunFolder,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self, TrainError> {
        let start_digest = start::digest(&recipe)?;
        if start_digest.is_some() {
            // An adapter that does not fit is told before images are encoded.
            start::model(&parts, &recipe)?;
        }
        let mut images = StageImages::default();
        let mut left_out = Problems::default();
        let (stages, data_digest) = questions(&recipe, &parts, &mut images, &mut left_out)?;
        let features = Features::compute(&parts, images.kept.sources(), &run.features(), progress)?;
        Ok(Self { recipe, parts, stages, features, data_digest, start_digest, left_out, images })
    }

    /// The same training with another seed, or with some of its stages: parts and features are kept,
    /// questions are asked anew.
    ///
    /// # Errors
    /// As [`Training::prepare`].
    pub fn again(
        self,
        seed: u64,
        stages: Vec<Stage>,
        run: &RunFolder,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self, TrainError> {
        let Self { recipe, parts, mut features, mut images, start_digest, .. } = self;
        let recipe = Recipe { seed, stages, ..recipe };
        let (mut left_out, known) = (Problems::default(), images.kept.sources().len());
        let (stages, data_digest) = questions(&recipe, &parts, &mut images, &mut left_out)?;
        // Only data that changed in the meantime has images that were not there before.
        if images.kept.sources().len() > known {
            features = Features::compute(&parts, images.kept.sources(), &run.features(), progress)?;
        }
        Ok(Self { recipe, parts, stages, features, data_digest, start_digest, left_out, images })
    }

    /// The images of all stages.
    pub fn images(&self) -> impl Iterator<Item = &ImageSource> {
        let StageImages { kept, changing } = &self.images;
        kept.sources().iter().chain(changing.sources())
    }

    /// Names everything that decides the result of a run.
    ///
    /// # Errors
    /// [`TrainError::RecipeWrite`].
    pub fn identity(&self) -> Result<String, TrainError> {
        let mut recipe = self.recipe.clone();
        recipe.output = None;
        recipe.evaluation = None;
        let mut digests: Vec<String> = self.parts.digests(&self.recipe).into_values().collect();
        digests.extend(self.start_digest.clone());
        Ok(files::digest([recipe.to_toml()?, self.data_digest.clone()].iter().chain(&digests)))
    }

    /// Steps of a stage.
    pub fn steps(&self, stage: usize) -> usize {
        self.recipe.stages[stage].steps(self.stages[stage].messages.len())
    }

    /// Runs all stages. With `from`, goes on where that checkpoint stood. `stop` asks the loop to
    /// save a checkpoint and leave.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] when the loss is no number any more, [`TrainError::Stopped`] when
    /// asked to stop, and whatever fails in writing or computing.
    pub fn run(
        &self,
        mut model: TunedDecoder,
        from: Option<(Position, Vec<Moments>)>,
        run: &RunFolder,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Trained, TrainError> {
        let started = Instant::now();
        let identity = self.identity()?;
        let decoder_name = self.recipe.model.decoder.to_string();
        let (mut position, mut restored) = match from {
            Some((position, moments)) => (position, Some(moments)),
            None => (Position { stage: 0, step: 0, total: 0, identity }, None),
        };
        while position.stage < self.recipe.stages.len() {
            let stage = &self.recipe.stages[position.stage];
            let questions = &self.stages[position.stage];
            let stage_started = Instant::now();
            let steps = self.steps(position.stage);
            let schedule = stage.schedule(steps);
            let adamw = stage.adamw();
            let mut sampler = questions.sampler(&self.recipe, position.stage);
            model.projector.set_trainable(stage.train_projector);
            model.adapter.set_trainable(stage.train_adapter);
            let mut moments = restored.take().unwrap_or_else(|| step::fresh_moments(&mut model));
            observer.event(&if position.step == 0 {
                Event::StageStarted {
                    stage: stage.name.clone(),
                    steps,
                    examples: questions.messages.len(),
                    trainable: trained_count(&mut model, stage),
                }
            } else {
                Event::Resumed { stage: stage.name.clone(), step: position.step }
            })?;

            for index in position.step..steps {
                let step_started = Instant::now();
                let Some(drawn) = sampler.step(index) else { break };
                let trees: Vec<MessageTree> =
                    drawn.trees.iter().filter_map(|tree| questions.tree(tree)).collect();
                let seed = dropout_seed(self.recipe.seed, position.stage, index);
                let changed = if stage.augment.is_neutral() {
                    None
                } else {
                    let (stage_number, step) = (position.stage, index);
                    let round = Round { seed: self.recipe.seed, stage: stage_number, step };
                    let (parts, sources) = (&self.parts, self.images.changing.sources());
                    Some(augmented::features(parts, sources, &trees, &stage.augment, round)?)
                };
                let features = changed.as_ref().unwrap_or(&self.features);
                let pass = self.gradients(&model, &trees, features, stage, seed)?;
                if !pass.loss.is_finite() {
                    return Err(TrainError::Diverged {
                        stage: stage.name.clone(),
                        step: index + 1,
                    });
                }
                let rate = schedule.at(index);
                step::update(&mut model, &adamw, index + 1, rate, &pass.gradients, &mut moments);
                position.step = index + 1;
                position.total += 1;
                observer.event(&Event::Step {
                    stage: stage.name.clone(),
                    step: index + 1,
                    steps,
                    loss: pass.loss,
                    learning_rate: rate,
                    tokens: pass.tokens,
                    questions: drawn.questions(),
                    seconds: step_started.elapsed().as_secs_f64(),
                })?;
                let asked = stop.load(Ordering::Relaxed);
                let due = stage.checkpoint_every > 0 && (index + 1) % stage.checkpoint_every == 0;
                if (asked || due) && index + 1 < steps {
                    let path =
                        checkpoint::write(run, &position, &mut model, &moments, &decoder_name)?;
                    observer.event(&Event::Checkpoint {
                        stage: stage.name.clone(),
                        step: index + 1,
                        path,
                    })?;
                }
                if asked && index + 1 < steps {
                    let stage = stage.name.clone();
                    return Err(TrainError::Stopped { stage, step: index + 1 });
                }
            }

            model.set_trainable(false);
            let folder = run.stage_adapter(&stage.name);
            checkpoint::write_adapter(&folder, &mut model, &decoder_name)?;
            observer.event(&Event::StageFinished {
                stage: stage.name.clone(),
                seconds: stage_started.elapsed().as_secs_f64(),
                peak_memory_bytes: peak_memory_bytes(),
            })?;
            position.stage += 1;
            position.step = 0;
            let moments = step::fresh_moments(&mut model);
            checkpoint::write(run, &position, &mut model, &moments, &decoder_name)?;
        }
        checkpoint::write_adapter(&run.adapter(), &mut model, &decoder_name)?;
        Ok(Trained { model, seconds: started.elapsed().as_secs_f64() })
    }

    /// Mean loss of a step and the gradients of all parameters.
    fn gradients(
        &self,
        model: &TunedDecoder,
        trees: &[MessageTree],
        features: &Features,
        stage: &Stage,
        seed: u64,
    ) -> Result<Pass, TrainError> {
        let sizes: Vec<usize> = trees.iter().map(MessageTree::positions).collect();
        let targets: usize = trees.iter().map(MessageTree::targets).sum();
        let dropout = stage.train_adapter.then_some((self.recipe.adapter.dropout, seed));
        let groups = group_by_budget(&sizes, stage.token_budget);
        let positions: Vec<usize> =
            groups.iter().map(|range| sizes[range.clone()].iter().sum()).collect();
        let decoder = &self.parts.decoder;
        let (width, packed) = (decoder.config().hidden_size, decoder.packed_bytes().is_some());
        let cores = Cores::of(&positions, width, packed, rayon::current_num_threads());
        let jobs: Vec<&[MessageTree]> = groups.into_iter().map(|range| &trees[range]).collect();
        step::gradients(model, jobs, cores, |model: &TunedDecoder, trees: &[MessageTree]| {
            let batch = PackedBatch::new(trees);
            let features = features.get(&self.parts, &batch.images())?;
            let (loss, _) = model.loss_sum(&batch, &features, dropout)?;
            Ok((loss.mul_scalar(1.0 / targets as f64), batch.len()))
        })
    }
}

/// The questions of every stage, without their texts, and a name for what is trained on. Images get numbers
/// in `images`.
fn questions(
    recipe: &Recipe,
    parts: &Parts,
    images: &mut StageImages,
    left_out: &mut Problems,
) -> Result<(Vec<Questions>, String), TrainError> {
    let asking = Asking::new(recipe, &parts.tokenizer, parts.visual_tokens);
    let (mut stages, mut digests) = (Vec::new(), Vec::new());
    for stage in &recipe.stages {
        let questions = Questions::of_stage(recipe, stage, asking, images, left_out)?;
        digests.push(split::split_digest(&questions.examples));
        stages.push(questions.without_texts());
    }
    Ok((stages, files::digest(&digests)))
}

/// Values that a stage trains.
fn trained_count(model: &mut TunedDecoder, stage: &Stage) -> usize {
    let projector = if stage.train_projector { model.projector.parameter_count() } else { 0 };
    let adapter = if stage.train_adapter { model.adapter.parameter_count() } else { 0 };
    projector + adapter
}

/// A seed for each step that no other step of the run has.
fn dropout_seed(seed: u64, stage: usize, step: usize) -> u64 {
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((stage as u64) << 48) ^ step as u64
}
