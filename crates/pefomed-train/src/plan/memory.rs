//! Memory by component, from what a backward pass holds on to.
//!
//! # Activations
//! A frozen weight keeps its input out of the graph: `x·Wᵀ` needs `W` alone to send a gradient to
//! `x`. What a decoder layer keeps on the processor, in numbers a position, with `C` its width, `Q`
//! and `KV` the widths of queries and keys, `H` its heads, `M` the width of the feed-forward network:
//!
//! | kept | numbers |
//! |---|---|
//! | inputs of the two halves, and the scales of their norms | 2·C + 2 |
//! | queries, keys, values | Q + 2·KV |
//! | mixed values, and the logarithm of each head's sum | Q + H |
//! | gate and up | 2·M |
//! | at each adapted projection, the input of its second matrix | r |
//!
//! Scores are computed tile by tile and never kept. Beside the layers stand the last norm's input
//! `C`, the visual features of the batch, and `V` numbers for each answer token in the loss. On top
//! come the temporaries of the place where most is alive: at the begin of the backward pass four
//! more `V` for each answer token of a chunk, or within it a layer's own.
//!
//! As many micro-batches are in flight as there are threads, or one when a step has no more of them
//! than that and they are large.
//!
//! # What is left behind
//! The allocator keeps what was freed for the next that asks, and not all of it fits: the float32 form of
//! a layer that was packed, and a twentieth of what comes and goes with every step. A tokenizer costs
//! more to read than to keep. These are measured; `docs/speed.md` holds the sum against the peak that the
//! system reports, setting by setting.

use pefomed_data::MessageTree;
use pefomed_data::tree::Item;
use serde::Serialize;

use super::weights::{BasePrecision, frozen_bytes};
use super::{Sizes, StagePlan};
use crate::features::MEMORY_LIMIT;

const F32: usize = size_of::<f32>();
/// Answer tokens whose logits exist at one time.
const LOSS_CHUNK: usize = 256;
/// Code, threads and allocator of the program itself, as measured with nothing loaded.
const PROGRAM: usize = 32 << 20;
/// What a thread keeps for itself, packed factors and pages of the allocator, and what a micro-batch on a
/// thread of its own takes beside others, as measured with a model that weighs nothing.
const THREAD: usize = 8 << 20;
const WORKER: usize = 34 << 20;
/// What reading an example leaves behind, as measured.
pub(super) const EXAMPLE: usize = 7 << 9;
/// Text, merges and tables of a tokenizer, and what reading them took, for each of its tokens, as
/// measured.
const TOKENIZER_ENTRY: usize = 7 << 8;
/// One part in so many of what comes and goes with a step is lost between blocks of other sizes.
const LOST_BETWEEN_BLOCKS: usize = 20;

/// What matters of a micro-batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MicroBatch {
    /// Positions.
    pub positions: usize,
    /// Pairs of a position and one that it attends to.
    pub pairs: usize,
    /// Visual tokens.
    pub visual: usize,
    /// Answer tokens.
    pub targets: usize,
}

impl MicroBatch {
    /// Measures some trees.
    pub fn of(trees: &[MessageTree]) -> Self {
        let mut batch = Self::default();
        for tree in trees {
            batch.positions += tree.positions();
            let root = tree.root.len();
            batch.pairs += root * (root + 1) / 2;
            for branch in &tree.branches {
                let own = branch.positions();
                batch.pairs += own * root + own * (own + 1) / 2;
            }
            batch.targets += tree.targets();
            let branches = tree.branches.iter().flat_map(|branch| &branch.prompt);
            let visual = |item: &&Item| matches!(item, Item::Visual { .. });
            batch.visual += tree.root.iter().chain(branches).filter(visual).count();
        }
        batch
    }

    /// A batch of so many positions, as it may be: one image, and an answer token for every eight
    /// positions of text.
    pub(super) fn assumed(sizes: &Sizes, positions: usize) -> Self {
        let visual = sizes.visual_tokens.min(positions);
        let targets = (positions - visual).div_ceil(8).max(1);
        Self { positions, pairs: positions * (positions + 1) / 2, visual, targets }
    }

    /// Bytes it holds at the beginning of its backward pass; see [the list](self). With checkpointing,
    /// each layer's input alone and the whole of one layer, in which the backward pass is.
    pub fn activation_bytes(&self, sizes: &Sizes) -> usize {
        let layers = sizes.decoder.num_hidden_layers;
        if !sizes.checkpointing {
            return self.kept_bytes(sizes, layers);
        }
        layers * self.positions * sizes.decoder.hidden_size * F32 + self.kept_bytes(sizes, 1)
    }

    /// With everything kept of so many layers.
    fn kept_bytes(&self, sizes: &Sizes, layers: usize) -> usize {
        let decoder = &sizes.decoder;
        let (c, m, heads) =
            (decoder.hidden_size, decoder.intermediate_size, decoder.num_attention_heads);
        let q = heads * decoder.head_dim();
        let kv = decoder.key_heads() * decoder.head_dim();
        let lora = sizes.lora.targets.len() * sizes.lora.rank;
        let position = 2 * (c + 1) + 2 * (q + kv) + heads + 2 * m + lora;
        let layer = self.positions * position;
        let vocabulary = decoder.vocab_size;
        let kept = layers * layer
            + self.positions * c
            + self.visual * sizes.visual_width()
            + self.targets * vocabulary;
        let loss = 4 * self.targets.min(LOSS_CHUNK) * vocabulary;
        // Gradients of gate, up and their product, of the norm's input and output.
        let backward = self.positions * (3 * m + 3 * c);
        (kept + loss.max(backward)) * F32
    }
}

/// Bytes by component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Encoder and decoder, as they are held. They have no gradient and no moments.
    pub frozen_weights: usize,
    /// Projector and adapter in float32.
    pub trainable_weights: usize,
    /// Gradients: each micro-batch of a step gives its own, and they are added in a fixed order.
    pub gradients: usize,
    /// Two moments for each number of projector and adapter.
    pub adam_moments: usize,
    /// What the micro-batches in flight hold for their backward passes.
    pub activations: usize,
    /// Image features kept in memory; 0 when they are on disk.
    pub features_in_memory: usize,
    /// Image features on disk; 0 when they are in memory.
    pub features_on_disk: usize,
    /// Images in flight in the encoding pass before training, or in a step that encodes its own.
    pub encoding: usize,
    /// The program, its threads and the tokenized questions.
    pub program: usize,
    /// The decoder's tokenizer.
    pub tokenizer: usize,
    /// What packing the decoder layer by layer left behind; 0 for weights that stay as they are stored.
    pub loading: usize,
    /// What the allocator loses between blocks of other sizes.
    pub allocator: usize,
    /// The most that is resident at one time: in the encoding pass or in training.
    pub peak: usize,
    /// Images in flight in a step of a stage that changes its images.
    #[serde(skip)]
    encoding_in_a_step: usize,
    /// Features of the images of such a step.
    #[serde(skip)]
    features_in_a_step: usize,
}

impl Memory {
    pub(super) fn new(
        sizes: &Sizes,
        stages: &[StagePlan],
        images: usize,
        threads: usize,
        tokens: usize,
        questions: usize,
    ) -> Self {
        let frozen_weights = frozen_bytes(sizes, sizes.precision);
        let trained = sizes.projector_count() + sizes.lora.parameter_count(&sizes.decoder);
        let most = |of: fn(&StagePlan) -> usize| stages.iter().map(of).max().unwrap_or(0);
        let gradients = most(|stage| stage.micro_batches * stage.trainable) * F32;
        let activations = most(|stage| stage.activations);
        let workers = match most(|stage| stage.micro_batches_at_a_time) {
            0 | 1 => 0,
            several => several,
        };
        let features = sizes.feature_bytes(images);
        let in_memory = features <= MEMORY_LIMIT;
        // Stages that change their images encode those of a step before its micro-batches.
        let in_a_step = most(|stage| stage.encoded_in_a_step);
        let encoding = |images: usize| threads.min(images) * encoding_bytes(sizes);
        let mut memory = Self {
            frozen_weights,
            trainable_weights: trained * F32,
            gradients,
            adam_moments: 2 * trained * F32,
            activations,
            features_in_memory: if in_memory { features } else { 0 },
            features_on_disk: if in_memory { 0 } else { features },
            encoding: encoding(images.max(in_a_step)),
            program: PROGRAM + threads * THREAD + workers * WORKER + questions,
            tokenizer: tokens * TOKENIZER_ENTRY,
            loading: loading_bytes(sizes, sizes.precision),
            allocator: 0,
            peak: 0,
            encoding_in_a_step: encoding(in_a_step),
            features_in_a_step: sizes.feature_bytes(in_a_step),
        };
        memory.allocator = memory.lost(activations);
        let (before, training) = (
            memory.always(frozen_weights, memory.loading) + memory.encoding,
            memory.in_training(frozen_weights, memory.loading, activations),
        );
        memory.peak = before.max(training);
        memory
    }

    /// What is resident from the loading of the weights on.
    fn always(&self, frozen_weights: usize, loading: usize) -> usize {
        let others =
            self.trainable_weights + self.features_in_memory + self.program + self.tokenizer;
        frozen_weights + loading + others
    }

    /// What the allocator loses when so much comes and goes with a step.
    fn lost(&self, activations: usize) -> usize {
        (self.gradients + self.adam_moments + activations) / LOST_BETWEEN_BLOCKS
    }

    /// The most that is resident in training with other weights and activations than planned here.
    pub(super) fn in_training(
        &self,
        frozen_weights: usize,
        loading: usize,
        activations: usize,
    ) -> usize {
        // A step's own images are encoded before its micro-batches run.
        let step = (self.gradients + activations).max(self.encoding_in_a_step);
        let comes_and_goes = self.adam_moments + self.features_in_a_step + step;
        self.always(frozen_weights, loading) + comes_and_goes + self.lost(activations)
    }
}

/// Bytes that packing the decoder leaves behind: a layer in float32, and gate and up once more, which
/// are packed as one.
pub(super) fn loading_bytes(sizes: &Sizes, precision: BasePrecision) -> usize {
    if precision.is_stored() {
        return 0;
    }
    let decoder = &sizes.decoder;
    let (c, m) = (decoder.hidden_size, decoder.intermediate_size);
    let q = decoder.num_attention_heads * decoder.head_dim();
    let kv = decoder.key_heads() * decoder.head_dim();
    (2 * c * q + 2 * c * kv + 5 * c * m) * F32
}

/// Bytes one image takes while it is encoded: three copies of the scores of a block, or its
/// feed-forward network, and the decoded pixels.
fn encoding_bytes(sizes: &Sizes) -> usize {
    let vision = &sizes.vision;
    let tokens = sizes.patches() + vision.extra_tokens();
    let scores = 3 * vision.heads() * tokens * tokens;
    let network = (3 * vision.feed_forward_width() + 3 * vision.width()) * tokens;
    (scores.max(network) + 6 * vision.width() * tokens + 6 * sizes.image_size.pow(2)) * F32
}
