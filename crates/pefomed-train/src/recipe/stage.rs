//! One stage of a recipe: its data, how long it lasts, and how the optimizer is driven.

use std::fmt;

use pefomed_data::image::Augmentation;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::adamw::AdamW;
use crate::schedule::Schedule;

/// How long a stage lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// Passes over the data; fractions of a pass are allowed.
    Epochs(f64),
    /// Optimizer steps.
    Steps(usize),
}

/// `[[stage]]`, with the defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Stage {
    /// Letters, digits, `-` and `_`; names the stage's folder and its lines in the log.
    pub name: String,
    /// Names of the data sets whose training examples it reads.
    pub data: Vec<String>,
    /// How much is drawn of each of them in relation to the others. When not given, a pass has every
    /// row once.
    pub weights: Option<Vec<f64>>,
    /// How long it lasts.
    pub length: Length,
    /// Questions of one optimizer step: part of the objective.
    pub batch: usize,
    /// Positions of one micro-batch at most: memory, not the objective.
    pub token_budget: usize,
    /// Questions about one image that are answered in one tree at most.
    pub max_questions_per_tree: usize,
    /// Trees that are looked at for one that fits into the rest of a step before one is split.
    pub trees_ahead: usize,
    /// Whether questions about one image share it.
    pub share_images: bool,
    /// Peak of the schedule.
    pub learning_rate: f64,
    /// Where the cosine ends; a tenth of the peak when not given.
    pub final_learning_rate: f64,
    /// Where the warm-up starts; a hundredth of the peak when not given.
    pub warmup_learning_rate: f64,
    /// Steps of the warm-up.
    pub warmup_steps: usize,
    /// Steps for which the cosine keeps its value; 1 when not given.
    pub cosine_every: usize,
    /// Decoupled weight decay, applied to matrices only.
    pub weight_decay: f64,
    /// Decay of the gradient's running mean.
    pub beta1: f64,
    /// Decay of the squared gradient's running mean.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Whether the projector learns.
    pub train_projector: bool,
    /// Whether the adapter learns.
    pub train_adapter: bool,
    /// Steps between checkpoints; 0 for one at the end of the stage only.
    pub checkpoint_every: usize,
    /// How its images are changed, each step anew; not at all when not given.
    pub augment: Augmentation,
}

impl Stage {
    /// Optimizer steps for so many training questions, at least one. A pass has
    /// ⌈questions / batch⌉ steps; a fraction of passes is rounded to the nearest step.
    pub fn steps(&self, questions: usize) -> usize {
        match self.length {
            Length::Steps(steps) => steps,
            Length::Epochs(epochs) => {
                let pass = questions.div_ceil(self.batch.max(1));
                ((epochs * pass as f64).round() as usize).max(1)
            }
        }
    }

    /// The learning rate over `steps` optimizer steps.
    pub fn schedule(&self, steps: usize) -> Schedule {
        Schedule {
            peak: self.learning_rate,
            last: self.final_learning_rate,
            first: self.warmup_learning_rate,
            warmup_steps: self.warmup_steps,
            steps,
            hold: self.cosine_every,
        }
    }

    /// The optimizer.
    pub fn adamw(&self) -> AdamW {
        AdamW {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
        }
    }
}

/// A data set of a stage: its name, or `{ name = "roco", weight = 2.0 }`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Source {
    Name(String),
    Weighted(Weighted),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weighted {
    name: String,
    weight: f64,
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Source;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a data set, or { name = \"…\", weight = 2.0 }")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Source, E> {
                Ok(Source::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
                Weighted::deserialize(MapAccessDeserializer::new(map)).map(Source::Weighted)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// Names and weights of data sets; weights for all or for none.
fn names_and_weights(
    stage: &str,
    sources: Vec<Source>,
) -> Result<(Vec<String>, Option<Vec<f64>>), String> {
    let count = sources.len();
    let (mut names, mut weights) = (Vec::with_capacity(count), Vec::new());
    for source in sources {
        match source {
            Source::Name(name) => names.push(name),
            Source::Weighted(Weighted { name, weight }) => {
                names.push(name);
                weights.push(weight);
            }
        }
    }
    match weights.len() {
        0 => Ok((names, None)),
        given if given == count => Ok((names, Some(weights))),
        _ => Err(format!(
            "[[stage]] `{stage}`: some of `data` have a weight and some have none: give one to \
             each, or to none"
        )),
    }
}

/// The table as a recipe writes it: two ways to give the length, and defaults that depend on
/// other keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    data: Vec<Source>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epochs: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    #[serde(default = "default_batch")]
    batch: usize,
    #[serde(default = "default_token_budget")]
    token_budget: usize,
    max_questions_per_tree: Option<usize>,
    #[serde(default = "default_trees_ahead")]
    trees_ahead: usize,
    #[serde(default = "default_true")]
    share_images: bool,
    learning_rate: f64,
    final_learning_rate: Option<f64>,
    warmup_learning_rate: Option<f64>,
    #[serde(default)]
    warmup_steps: usize,
    #[serde(default = "default_cosine_every")]
    cosine_every: usize,
    #[serde(default = "default_weight_decay")]
    weight_decay: f64,
    #[serde(default = "default_beta1")]
    beta1: f64,
    #[serde(default = "default_beta2")]
    beta2: f64,
    #[serde(default = "default_epsilon")]
    epsilon: f64,
    #[serde(default = "default_true")]
    train_projector: bool,
    #[serde(default = "default_true")]
    train_adapter: bool,
    #[serde(default = "default_checkpoint_every")]
    checkpoint_every: usize,
    #[serde(default)]
    augment: Augmentation,
}

fn default_batch() -> usize {
    8
}

fn default_token_budget() -> usize {
    2048
}

fn default_trees_ahead() -> usize {
    64
}

fn default_checkpoint_every() -> usize {
    200
}

fn default_true() -> bool {
    true
}

fn default_cosine_every() -> usize {
    1
}

fn default_weight_decay() -> f64 {
    0.05
}

fn default_beta1() -> f64 {
    0.9
}

fn default_beta2() -> f64 {
    0.999
}

fn default_epsilon() -> f64 {
    1e-8
}

impl TryFrom<Written> for Stage {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let length = match (written.epochs, written.steps) {
            (Some(epochs), None) => Length::Epochs(epochs),
            (None, Some(steps)) => Length::Steps(steps),
            (given, _) => {
                let problem = if given.is_some() { "both are given" } else { "neither is given" };
                return Err(format!(
                    "[[stage]] `{}` needs exactly one of `epochs` and `steps`: {problem}",
                    written.name
                ));
            }
        };
        let (data, weights) = names_and_weights(&written.name, written.data)?;
        Ok(Self {
            name: written.name,
            data,
            weights,
            length,
            batch: written.batch,
            token_budget: written.token_budget,
            max_questions_per_tree: written.max_questions_per_tree.unwrap_or(written.batch),
            trees_ahead: written.trees_ahead,
            share_images: written.share_images,
            learning_rate: written.learning_rate,
            final_learning_rate: written
                .final_learning_rate
                .unwrap_or(written.learning_rate / 10.0),
            warmup_learning_rate: written
                .warmup_learning_rate
                .unwrap_or(written.learning_rate / 100.0),
            warmup_steps: written.warmup_steps,
            cosine_every: written.cosine_every,
            weight_decay: written.weight_decay,
            beta1: written.beta1,
            beta2: written.beta2,
            epsilon: written.epsilon,
            train_projector: written.train_projector,
            train_adapter: written.train_adapter,
            checkpoint_every: written.checkpoint_every,
            augment: written.augment,
        })
    }
}

impl From<Stage> for Written {
    fn from(stage: Stage) -> Self {
        let (epochs, steps) = match stage.length {
            Length::Epochs(epochs) => (Some(epochs), None),
            Length::Steps(steps) => (None, Some(steps)),
        };
        let data = match stage.weights {
            None => stage.data.into_iter().map(Source::Name).collect(),
            Some(weights) => {
                let both = stage.data.into_iter().zip(weights);
                both.map(|(name, weight)| Source::Weighted(Weighted { name, weight })).collect()
            }
        };
        Self {
            name: stage.name,
            data,
            epochs,
            steps,
            batch: stage.batch,
            token_budget: stage.token_budget,
            max_questions_per_tree: Some(stage.max_questions_per_tree),
            trees_ahead: stage.trees_ahead,
            share_images: stage.share_images,
            learning_rate: stage.learning_rate,
            final_learning_rate: Some(stage.final_learning_rate),
            warmup_learning_rate: Some(stage.warmup_learning_rate),
            warmup_steps: stage.warmup_steps,
            cosine_every: stage.cosine_every,
            weight_decay: stage.weight_decay,
            beta1: stage.beta1,
            beta2: stage.beta2,
            epsilon: stage.epsilon,
            train_projector: stage.train_projector,
            train_adapter: stage.train_adapter,
            checkpoint_every: stage.checkpoint_every,
            augment: stage.augment,
        }
    }
}
