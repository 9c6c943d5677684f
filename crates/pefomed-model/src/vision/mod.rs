//! Vision encoders: from pixels to merged visual tokens, always frozen in tuning.

mod build;
mod names;
mod position;
mod vit;

use burn::tensor::Tensor;
use pefomed_data::image::PixelValues;
use pefomed_kernels::frozen::Precision;
use pefomed_kernels::fused::EncoderBlock;

use self::names::Names;
use self::vit::{Blocks, Vit};
use crate::config::{FeatureSelection, VisionConfig};
use crate::error::ModelError;
use crate::parameters::{Parameter, Placement, Trainable};
use crate::random::Normal;
use crate::weights::Loader;

/// A vision encoder of any known kind, and which of its hidden states become visual tokens.
#[derive(Clone, Debug)]
pub struct VisionEncoder {
    config: VisionConfig,
    selection: FeatureSelection,
    names: Names,
    vit: Vit,
}

impl VisionEncoder {
    /// Takes the weights under the names that published files have. All of the model's tensors are
    /// taken, also those of blocks after the selected one, which are then dropped.
    ///
    /// # Errors
    /// As [`Loader::take`]; [`ModelError::Unsupported`] for a selection that the encoder does not
    /// have. Left-over tensors are for the caller's [`Loader::finish`], with
    /// [`ignorable`](Self::ignorable).
    pub fn load(
        config: VisionConfig,
        selection: FeatureSelection,
        loader: &mut Loader<'_>,
        place: &Placement,
    ) -> Result<Self, ModelError> {
        config.check(loader.source().origin())?;
        let (depth, is_normed) = config.depth(selection)?;
        let names = Names::of(&config, |name| loader.has(name));
        let vit = Vit::build(config.shape(), &names, loader, place)?;
        Ok(Self { config, selection, names, vit: vit.cut(depth, is_normed) })
    }

    /// Random weights, for training an encoder from nothing.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for a configuration that makes no sense.
    pub fn random(config: VisionConfig, seed: u64, place: &Placement) -> Result<Self, ModelError> {
        config.check("the encoder to be drawn")?;
        let selection = FeatureSelection::default();
        let (depth, is_normed) = config.depth(selection)?;
        let names = Names::of(&config, |_| false);
        let vit = Vit::build(config.shape(), &names, &mut Normal::new(seed), place)?;
        Ok(Self { config, selection, names, vit: vit.cut(depth, is_normed) })
    }

    /// Packs the blocks for good: they are computed faster, and are no longer among the
    /// [parameters](Trainable::parameters). Only the processor has kernels for this, so that an encoder
    /// elsewhere, or in double precision, stays as it is.
    ///
    /// # Errors
    /// [`ModelError::Precision`] when this processor lacks the instructions.
    pub fn freeze(self, precision: Precision) -> Result<Self, ModelError> {
        ModelError::unless_available(precision)?;
        if !self.vit.place.has_kernels() {
            return Ok(self);
        }
        Ok(Self { vit: self.vit.freeze(precision), ..self })
    }

    /// What the packed blocks are multiplied in; none when they are not packed.
    pub fn precision(&self) -> Option<Precision> {
        match &self.vit.blocks {
            Blocks::Plain(_) => None,
            Blocks::Frozen(blocks) => blocks.first().map(EncoderBlock::precision),
        }
    }

    /// Whether a left-over tensor of the file may be ignored: what the published model has beside
    /// the encoder, and what follows from the configuration.
    pub fn ignorable(&self, name: &str) -> bool {
        self.names.ignorable(&self.config, name)
    }

    /// The configuration.
    pub fn config(&self) -> &VisionConfig {
        &self.config
    }

    /// Which hidden states become visual tokens.
    pub fn selection(&self) -> FeatureSelection {
        self.selection
    }

    /// The selected hidden states of all tokens, `[T, C]`: class token and registers first, if there
    /// are any.
    ///
    /// # Errors
    /// [`ModelError::ImageSize`] when the sides are no multiples of the patch.
    pub fn forward(&self, pixels: &PixelValues) -> Result<Tensor<2>, ModelError> {
        self.vit.forward(pixels)
    }

    /// The visual tokens, `[N, C]`: patches row-major over the image, after the class token if it is
    /// kept.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn features(&self, pixels: &PixelValues) -> Result<Tensor<2>, ModelError> {
        let all = self.forward(pixels)?;
        let ([count, _], extra) = (all.dims(), self.config.extra_tokens());
        let patches = all.clone().narrow(0, extra, count - extra);
        if !self.selection.keep_class {
            return Ok(patches);
        }
        Ok(Tensor::cat(vec![all.narrow(0, 0, 1), patches], 0))
    }
}

impl Trainable for VisionEncoder {
    /// Under the names of published files, in whose place EVA-CLIP's joined projections stand apart.
    fn parameters(&mut self) -> Vec<(String, Parameter<'_>)> {
        self.vit.named(&self.names)
    }
}

/// Joins `merge` neighbouring tokens of a row: `[N, C] → [N / merge, merge · C]`, row-major.
/// `N` must be a multiple of `merge`.
pub fn merge_tokens(tokens: Tensor<2>, merge: usize) -> Tensor<2> {
    let [count, width] = tokens.dims();
    tokens.reshape([count / merge, merge * width])
}
