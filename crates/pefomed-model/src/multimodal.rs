//! The whole model: vision encoder → joined tokens → projector → decoder with its adapter.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor, TensorData};
use pefomed_data::image::PixelValues;
use pefomed_data::{Item, PackedBatch, pack};
use pefomed_kernels::dropout::{Dropout, PositionKey};

use crate::adapter::LoraAdapter;
use crate::decoder::{DecodeCache, KnownPrompt, LlamaDecoder};
use crate::error::ModelError;
use crate::parameters::{Parameter, Trainable, read};
use crate::projector::Projector;
use crate::vision::{VisionEncoder, merge_tokens};

/// Joined visual tokens of one image, before the projector: `[N, C]` in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct VisualFeatures {
    /// Number of visual tokens `N`.
    pub tokens: usize,
    /// Width `C` of each.
    pub width: usize,
    /// `N · C` values.
    pub values: Vec<f32>,
}

/// Features by the image numbers that a batch uses.
pub type FeatureMap = BTreeMap<u32, VisualFeatures>;

/// Encodes images with frozen weights.
#[derive(Clone, Debug)]
pub struct VisionTower {
    /// The encoder.
    pub encoder: VisionEncoder,
    /// Adjacent tokens joined into one.
    pub merge: usize,
}

impl VisionTower {
    /// Visual tokens of an image of `size × size` pixels.
    ///
    /// # Errors
    /// As [`VisionConfig::visual_tokens`](crate::config::VisionConfig::visual_tokens).
    pub fn tokens(&self, size: usize) -> Result<usize, ModelError> {
        self.encoder.config().visual_tokens(size, self.merge, self.encoder.selection())
    }

    /// Width of a joined token.
    pub fn width(&self) -> usize {
        self.encoder.config().width() * self.merge
    }

    /// Encodes one image.
    ///
    /// # Errors
    /// As [`VisionEncoder::forward`].
    pub fn encode(&self, pixels: &PixelValues) -> Result<VisualFeatures, ModelError> {
        let merged = merge_tokens(self.encoder.features(pixels)?, self.merge);
        let [tokens, width] = merged.dims();
        Ok(VisualFeatures { tokens, width, values: read(merged) })
    }
}

/// The decoder, with the parts that tuning changes.
#[derive(Clone, Debug)]
pub struct TunedDecoder {
    /// Frozen.
    pub decoder: LlamaDecoder,
    /// Trained: visual tokens to the decoder's width.
    pub projector: Projector,
    /// Trained: low-rank updates of the decoder.
    pub adapter: LoraAdapter,
}

impl TunedDecoder {
    /// Embeddings `[T, C]` of a packed batch. Every image that the batch refers to must be in
    /// `features`.
    ///
    /// # Errors
    /// [`ModelError::FeaturesMissing`] when an image is absent, [`ModelError::TokenRange`] when a
    /// token is not in the vocabulary or a visual token not in its image.
    pub fn embed(
        &self,
        batch: &PackedBatch,
        features: &FeatureMap,
    ) -> Result<Tensor<2>, ModelError> {
        self.embed_with(&batch.items, features, |images| self.project(Tensor::cat(images, 0)))
    }

    fn project(&self, visual: Tensor<2>) -> Tensor<2> {
        self.projector.forward_in(visual, self.decoder.rounds_to())
    }

    /// As [`embed`](Self::embed), for `items` of a batch; `project` maps the visual tokens of their images.
    fn embed_with(
        &self,
        items: &[Item],
        features: &FeatureMap,
        project: impl FnOnce(Vec<Tensor<2>>) -> Tensor<2>,
    ) -> Result<Tensor<2>, ModelError> {
        let vocabulary = self.decoder.config().vocab_size as u32;
        let mut tokens = Vec::new();
        let mut images: BTreeMap<u32, usize> = BTreeMap::new();
        let mut parts = Vec::new();
        let mut visual_rows = 0;
        for image in pack::images(items) {
            let found = features.get(&image).ok_or(ModelError::FeaturesMissing { image })?;
            images.insert(image, visual_rows);
            visual_rows += found.tokens;
            let place = self.decoder.place();
            parts.push(place.tensor(found.values.clone(), [found.tokens, found.width]));
        }
        // Rows of [token embeddings; projected visual tokens], visual ones counted from the end of
        // the tokens once their number is known.
        let mut rows: Vec<(bool, usize)> = Vec::with_capacity(items.len());
        for item in items {
            match *item {
                Item::Token(token) if token < vocabulary => {
                    rows.push((false, tokens.len()));
                    tokens.push(token);
                }
                Item::Token(token) => return Err(ModelError::TokenRange { token, vocabulary }),
                Item::Visual { image, index } => {
                    let missing = ModelError::FeaturesMissing { image };
                    let start = *images.get(&image).ok_or(missing)?;
                    let count = features.get(&image).map_or(0, |found| found.tokens) as u32;
                    if index >= count {
                        return Err(ModelError::TokenRange { token: index, vocabulary: count });
                    }
                    rows.push((true, start + index as usize));
                }
            }
        }
        if parts.is_empty() {
            return Ok(self.decoder.embed(&tokens));
        }
        let visual = project(parts);
        let offset = tokens.len();
        let table = if tokens.is_empty() {
            visual
        } else {
            Tensor::cat(vec![self.decoder.embed(&tokens), visual], 0)
        };
        let index =
            |&(is_visual, row): &(bool, usize)| (row + usize::from(is_visual) * offset) as i64;
        let ids: Vec<i64> = rows.iter().map(index).collect();
        let data = TensorData::new(ids, [items.len()]);
        Ok(table.select(0, Tensor::<1, Int>::from_data(data, &self.decoder.place().device)))
    }

    /// Sum of the loss over the answer tokens of a batch, `[1]`, and how many there are.
    ///
    /// The caller divides by the number of answer tokens of the whole optimizer step. `seed` draws
    /// the adapter's dropout and is fixed by the run's seed and the step.
    ///
    /// # Errors
    /// As [`TunedDecoder::embed`], and [`ModelError::NoTargets`] for a batch without answers.
    pub fn loss_sum(
        &self,
        batch: &PackedBatch,
        features: &FeatureMap,
        dropout: Option<(f64, u64)>,
    ) -> Result<(Tensor<1>, usize), ModelError> {
        if batch.targets.is_empty() {
            return Err(ModelError::NoTargets);
        }
        let embedded = self.embed(batch, features)?;
        let dropout = dropout
            .filter(|(probability, _)| *probability > 0.0)
            .map(|(probability, seed)| Dropout::new(probability, seed, position_keys(batch)));
        let layout = self.decoder.batch(batch, dropout).only_targets(batch);
        let hidden = self.decoder.forward(embedded, &layout, Some(&self.adapter), None);
        Ok((self.decoder.target_loss(hidden, batch), batch.targets.len()))
    }

    /// Hidden states `[B, C]` of the last position of every branch, and what decoding goes on from. What is
    /// `known` of a prompt is taken for the only one of the batch, and leaves the cache with all of it.
    ///
    /// # Errors
    /// As [`TunedDecoder::embed`].
    pub(crate) fn prefill(
        &self,
        batch: &PackedBatch,
        features: &FeatureMap,
        known: Option<KnownPrompt>,
    ) -> Result<(Tensor<2>, DecodeCache), ModelError> {
        let mut known = known.filter(|_| self.decoder.takes_known());
        let first = known.as_mut().map_or(0, |known| known.begin(&batch.items));
        // Image by image: how the framework rounds a product depends on its number of rows, and an answer
        // must not depend on what else is asked.
        let project = |images: Vec<Tensor<2>>| {
            let each = images.into_iter().map(|image| self.project(image));
            Tensor::cat(each.collect(), 0)
        };
        let embedded = self.embed_with(&batch.items[first..], features, project)?;
        let branches = batch.trees.iter().flat_map(|tree| &tree.branches);
        let last = branches.map(|branch| branch.range.end - 1 - first).collect();
        let layout = self.decoder.batch_after(first, batch, None).only(last);
        let mut cache = DecodeCache::new(batch, known, self.decoder.place());
        let hidden = self.decoder.forward(embedded, &layout, Some(&self.adapter), Some(&mut cache));
        Ok((hidden, cache))
    }
}

impl Trainable for TunedDecoder {
    /// Projector first, then adapter; the decoder is frozen.
    fn parameters(&mut self) -> Vec<(String, Parameter<'_>)> {
        let mut all = self.projector.parameters();
        all.extend(self.adapter.parameters());
        all
    }
}

/// What each position of a batch is, independently of the batch.
fn position_keys(batch: &PackedBatch) -> Vec<PositionKey> {
    let mut keys = Vec::with_capacity(batch.len());
    for tree in &batch.trees {
        let spans = std::iter::once((tree.key, tree.root.clone()))
            .chain(tree.branches.iter().map(|branch| (branch.key, branch.range.clone())));
        for (owner, range) in spans {
            keys.extend(
                batch.positions[range].iter().map(|&position| PositionKey { owner, position }),
            );
        }
    }
    keys
}
