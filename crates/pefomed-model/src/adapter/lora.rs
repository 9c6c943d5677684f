//! Low-rank adaptation (arXiv 2106.09685): `y = x·Wᵀ + (α/r) · dropout(x)·Aᵀ·Bᵀ`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use burn::tensor::Tensor;
use pefomed_kernels::dropout::Dropout;
use serde::{Deserialize, Serialize};

use crate::config::LlamaConfig;
use crate::parameters::{Parameter, Placement, Trainable};
use crate::random::Normal;

/// A projection of a decoder layer that an adapter can sit on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Site {
    /// Query.
    #[serde(rename = "q_proj")]
    Q,
    /// Key.
    #[serde(rename = "k_proj")]
    K,
    /// Value.
    #[serde(rename = "v_proj")]
    V,
    /// Output of attention.
    #[serde(rename = "o_proj")]
    O,
    /// Gate of the feed-forward network.
    #[serde(rename = "gate_proj")]
    Gate,
    /// Its other input projection.
    #[serde(rename = "up_proj")]
    Up,
    /// Its output projection.
    #[serde(rename = "down_proj")]
    Down,
}

impl Site {
    /// All sites.
    pub const ALL: [Self; 7] =
        [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// The name PEFT's configuration uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q => "q_proj",
            Self::K => "k_proj",
            Self::V => "v_proj",
            Self::O => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The module within a layer, as in `model.layers.0.self_attn.q_proj`.
    pub fn module(self) -> String {
        let block = match self {
            Self::Q | Self::K | Self::V | Self::O => "self_attn",
            Self::Gate | Self::Up | Self::Down => "mlp",
        };
        format!("{block}.{}", self.name())
    }

    /// Width of input and output.
    pub fn widths(self, config: &LlamaConfig) -> (usize, usize) {
        let (c, m) = (config.hidden_size, config.intermediate_size);
        let q = config.num_attention_heads * config.head_dim();
        let kv = config.key_heads() * config.head_dim();
        match self {
            Self::Q => (c, q),
            Self::K | Self::V => (c, kv),
            Self::O => (q, c),
            Self::Gate | Self::Up => (c, m),
            Self::Down => (m, c),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Site {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|site| site.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|site| site.name()).collect();
            format!("no projection is called `{name}`; known are {}", known.join(", "))
        })
    }
}

/// Settings of a low-rank adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Rank `r`.
    pub rank: usize,
    /// `α`; the update is scaled by `α / r`.
    pub alpha: f64,
    /// Probability that a channel of the input is dropped in training.
    pub dropout: f64,
    /// Which projections of every layer are adapted.
    pub targets: Vec<Site>,
}

impl LoraConfig {
    /// Factor of the update, `α / r`.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// Number of trained values for a decoder.
    pub fn parameter_count(&self, decoder: &LlamaConfig) -> usize {
        let widths = self.targets.iter().map(|site| site.widths(decoder));
        let layer: usize = widths.map(|(input, output)| self.rank * (input + output)).sum();
        layer * decoder.num_hidden_layers
    }
}

/// One low-rank pair.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// `[r, in]`
    pub(super) a: Tensor<2>,
    /// `[out, r]`
    pub(super) b: Tensor<2>,
}

/// A low-rank pair for every target of every layer.
#[derive(Clone, Debug)]
pub struct LoraAdapter {
    config: LoraConfig,
    pub(super) layers: Vec<BTreeMap<Site, Pair>>,
}

impl LoraAdapter {
    /// A new adapter: `A` drawn uniformly within `1/√in` (Kaiming with `a = √5`, as PEFT draws it),
    /// `B` zero, so that the decoder starts unchanged.
    pub fn new(config: LoraConfig, decoder: &LlamaConfig, seed: u64, place: &Placement) -> Self {
        let mut normal = Normal::new(seed);
        let rank = config.rank;
        let mut sites = config.targets.clone();
        sites.sort();
        sites.dedup();
        let layers = (0..decoder.num_hidden_layers)
            .map(|_| {
                let pairs = sites.iter().map(|&site| {
                    let (input, output) = site.widths(decoder);
                    let a = normal.draw_uniform(rank * input, (input as f64).powf(-0.5));
                    let b = vec![0.0; output * rank];
                    let pair = Pair {
                        a: place.tensor(a, [rank, input]),
                        b: place.tensor(b, [output, rank]),
                    };
                    (site, pair)
                });
                pairs.collect()
            })
            .collect();
        Self { config, layers }
    }

    pub(super) fn from_layers(config: LoraConfig, layers: Vec<BTreeMap<Site, Pair>>) -> Self {
        Self { config, layers }
    }

    /// The settings.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// The same weights, to be trained on with another dropout.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.config.dropout = dropout;
        self
    }

    /// `A` `[r, in]` and `B` `[out, r]` of a site, if it has them.
    pub(crate) fn matrices(&self, layer: usize, site: Site) -> Option<[Tensor<2>; 2]> {
        let pair = self.layers.get(layer)?.get(&site)?;
        Some([pair.a.clone(), pair.b.clone()])
    }

    /// The number that tells dropout which place in the model it is at.
    pub(crate) fn place(layer: usize, site: Site) -> u64 {
        (layer * Site::ALL.len() + site as usize) as u64
    }

    /// `base` plus the update of this site for the input `x`.
    pub(crate) fn apply(
        &self,
        base: Tensor<2>,
        x: Tensor<2>,
        layer: usize,
        site: Site,
        dropout: Option<&Dropout>,
    ) -> Tensor<2> {
        let Some(pair) = self.layers.get(layer).and_then(|sites| sites.get(&site)) else {
            return base;
        };
        let x = match dropout {
            Some(dropout) => dropout.apply(x, Self::place(layer, site)),
            None => x,
        };
        let scale = self.config.scale();
        let update = x.matmul(pair.a.clone().transpose()).matmul(pair.b.clone().transpose());
        base + update.mul_scalar(scale)
    }

    /// PEFT's name of a tensor without its prefix: `model.layers.0.self_attn.q_proj.lora_A.weight`.
    pub(crate) fn key(layer: usize, site: Site, matrix: &str) -> String {
        format!("model.layers.{layer}.{}.lora_{matrix}.weight", site.module())
    }
}

impl Trainable for LoraAdapter {
    fn parameters(&mut self) -> Vec<(String, Parameter<'_>)> {
        let mut all = Vec::new();
        for (layer, sites) in self.layers.iter_mut().enumerate() {
            for (&site, pair) in sites {
                all.push((Self::key(layer, site, "A"), Parameter::Matrix(&mut pair.a)));
                all.push((Self::key(layer, site, "B"), Parameter::Matrix(&mut pair.b)));
            }
        }
        all
    }
}
