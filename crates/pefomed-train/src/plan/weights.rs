//! Memory with the frozen decoder in other precisions.
//!
//! # What is held
//! The decoder's matrices (projections of its layers, and its head) are kept in the precision named;
//! norms and vision encoder in float32, but the encoder's matrices in 2 bytes a number where the decoder is
//! multiplied in bf16: there is one product with them. The embedding table is in float32 too, except where weights are
//! left as they are stored: there a head that is the table is the same bytes.
//!
//! | precision | bytes a number |
//! |---|---|
//! | float32 | 4 |
//! | bf16 | 4: 2 in the layout of each of the two products, forward and for the gradient |
//! | bf16, stored once | 2: turned into a layout while it is multiplied |
//! | 4-bit, stored once | 0.625: 4 bits, and a 16-bit scale and minimum for every 32 numbers |
//!
//! With checkpointing a layer keeps its input alone, and the backward pass computes the rest once
//! more, one layer at a time: about a third more arithmetic for a fraction of the activations.

use pefomed_kernels::frozen::Precision;
use pefomed_model::base::ModelFiles;
use serde::Serialize;

use super::memory::{Memory, MicroBatch, loading_bytes};
use super::{Sizes, StagePlan};
use crate::recipe::WeightPrecision;

/// How the frozen matrices are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum BasePrecision {
    /// Nothing rounded.
    #[serde(rename = "float32")]
    Float32,
    /// Rounded to bfloat16, in both layouts.
    #[serde(rename = "bf16")]
    Bf16,
    /// Rounded to bfloat16, once.
    #[serde(rename = "bf16-stored")]
    Bf16Stored,
    /// Rounded to 4 bits in blocks, once.
    #[serde(rename = "4-bit")]
    FourBit,
}

impl BasePrecision {
    const ALL: [Self; 4] = [Self::Float32, Self::Bf16, Self::Bf16Stored, Self::FourBit];

    /// The words for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Bf16 => "bf16",
            Self::Bf16Stored => "bf16, stored once",
            Self::FourBit => "4-bit, stored once",
        }
    }

    /// Bytes of so many numbers.
    fn bytes(self, numbers: usize) -> usize {
        match self {
            Self::Float32 | Self::Bf16 => numbers * 4,
            Self::Bf16Stored => numbers * 2,
            Self::FourBit => numbers * 5 / 8,
        }
    }

    /// Whether this build, on this processor, can train on it.
    fn runs(self, sizes: &Sizes) -> bool {
        match self {
            Self::Float32 => true,
            Self::Bf16 => sizes.decoder.has_fused_layers() && Precision::Bf16.is_available(),
            Self::Bf16Stored | Self::FourBit => sizes.decoder.has_fused_layers(),
        }
    }

    /// What the encoder's matrices are multiplied in beside it, as [`Parts::load`](crate::parts::Parts::load)
    /// has it.
    pub(super) fn of_encoder(self) -> Precision {
        match self {
            Self::Float32 => Precision::Float32,
            Self::Bf16 => Precision::Bf16,
            Self::Bf16Stored | Self::FourBit => Precision::fastest(),
        }
    }

    /// Whether weights stay in one form, from which products are made.
    pub(super) fn is_stored(self) -> bool {
        matches!(self, Self::Bf16Stored | Self::FourBit)
    }

    /// What a recipe asks for. A GGUF file is taken to hold four bits a number, a folder two bytes.
    pub(super) fn of(precision: WeightPrecision, decoder: &ModelFiles) -> Self {
        match (precision.kernel(), decoder) {
            (Some(Precision::Bf16), _) => Self::Bf16,
            (Some(Precision::Float32), _) => Self::Float32,
            (None, ModelFiles::Gguf(_)) => Self::FourBit,
            (None, _) => Self::Bf16Stored,
        }
    }
}

/// Bytes of all frozen weights: see [what is held](self).
pub(super) fn frozen_bytes(sizes: &Sizes, precision: BasePrecision) -> usize {
    let decoder = &sizes.decoder;
    let (c, m) = (decoder.hidden_size, decoder.intermediate_size);
    let q = decoder.num_attention_heads * decoder.head_dim();
    let kv = decoder.key_heads() * decoder.head_dim();
    let layers = decoder.num_hidden_layers * (2 * c * q + 2 * c * kv + 3 * c * m);
    let table = decoder.vocab_size * c;
    let tables = if decoder.tie_word_embeddings { 1 } else { 2 };
    let norms = decoder.parameter_count() - layers - tables * table;
    let encoder = 4 * sizes.vision.parameter_count();
    let encoder = match precision.of_encoder() {
        Precision::Bf16 => encoder - 2 * sizes.vision.block_matrices(),
        Precision::Float32 => encoder,
    };
    let rest = 4 * norms + encoder;
    if precision.is_stored() {
        precision.bytes(layers + tables * table) + rest
    } else {
        // The head is packed with the layers, also where it is the table.
        precision.bytes(layers + table) + 4 * table + rest
    }
}

/// Memory in one way to hold the frozen decoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BaseChoice {
    /// How the frozen matrices are held.
    pub precision: BasePrecision,
    /// Whether layers keep their inputs alone.
    pub checkpointing: bool,
    /// Bytes of all frozen weights.
    pub frozen_weights: usize,
    /// Bytes of activations.
    pub activations: usize,
    /// The most that is resident at one time in training.
    pub peak: usize,
    /// Whether this build can do it on this processor.
    pub runs: bool,
}

/// All of them; everything but frozen weights, activations and what they leave behind is as in `memory`.
pub(super) fn choices(sizes: &Sizes, stages: &[StagePlan], memory: &Memory) -> Vec<BaseChoice> {
    let mut all = Vec::new();
    for precision in BasePrecision::ALL {
        for checkpointing in [false, true] {
            let frozen_weights = frozen_bytes(sizes, precision);
            let activations = match (checkpointing, sizes.checkpointing) {
                (false, false) | (true, true) => memory.activations,
                _ => of_largest(sizes, stages, checkpointing),
            };
            all.push(BaseChoice {
                precision,
                checkpointing,
                frozen_weights,
                activations,
                peak: memory.in_training(
                    frozen_weights,
                    loading_bytes(sizes, precision),
                    activations,
                ),
                runs: precision.runs(sizes) && (!checkpointing || sizes.decoder.has_fused_layers()),
            });
        }
    }
    all
}

/// Activations of the largest micro-batch that any stage has.
fn of_largest(sizes: &Sizes, stages: &[StagePlan], checkpointing: bool) -> usize {
    let sizes = Sizes { checkpointing, ..sizes.clone() };
    let of = |stage: &StagePlan| {
        MicroBatch::assumed(&sizes, stage.largest_micro_batch).activation_bytes(&sizes)
    };
    stages.iter().map(of).max().unwrap_or(0)
}

/// Memory that the system could give now, in bytes, where `/proc/meminfo` tells it.
pub(super) fn available_memory() -> Option<u64> {
    available_of(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

/// `MemAvailable:   12345 kB`, where kB are 1,024 bytes.
fn available_of(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_from_its_line() {
        let text = "MemTotal: 24 kB\nMemFree:   1 kB\nMemAvailable:   12 kB\n";
        assert_eq!(available_of(text), Some(12 * 1024));
        assert_eq!(available_of("MemAvailable: many kB"), None);
        assert_eq!(available_of(""), None);
    }

    #[test]
    fn four_bits_have_a_scale_and_a_minimum_for_every_32() {
        assert_eq!(BasePrecision::FourBit.bytes(32), 16 + 4);
        assert_eq!(BasePrecision::Bf16Stored.bytes(32), 64);
        assert_eq!(BasePrecision::Bf16.bytes(32), 2 * 64);
    }
}
