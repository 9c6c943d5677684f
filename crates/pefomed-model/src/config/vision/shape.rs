//! What the vision transformers of all families have in common, in numbers and switches.

use pefomed_kernels::fused::Activation;

use crate::error::ModelError;

/// An activation by its name in `config.json`; only some are known to each family.
pub(super) fn activation(name: &str, known: &[(&str, Activation)]) -> Result<Activation, String> {
    let found = known.iter().find(|(known, _)| *known == name);
    found.map(|(_, activation)| *activation).ok_or_else(|| {
        let names: Vec<String> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
        format!("activation `{name}`; {} can be had", names.join(", "))
    })
}

/// A vision transformer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each family is a set of independent switches")]
pub(crate) struct VitShape {
    /// Width `C` of a token.
    pub(crate) width: usize,
    /// Number of blocks.
    pub(crate) layers: usize,
    /// Attention heads.
    pub(crate) heads: usize,
    /// Width of the feed-forward network, between its two projections.
    pub(crate) hidden: usize,
    /// Side of a patch in pixels.
    pub(crate) patch: usize,
    /// Side in pixels of the images that the position table was made for.
    pub(crate) side: usize,
    /// Epsilon of the norms in and before the blocks.
    pub(crate) eps: f64,
    /// Epsilon of the norm after the last block.
    pub(crate) last_eps: f64,
    pub(crate) activation: Activation,
    /// Whether a learned token stands before the patches, with a position of its own.
    pub(crate) class_token: bool,
    /// Learned tokens without a position, between class token and patches.
    pub(crate) registers: usize,
    /// Whether the patch projection has a bias.
    pub(crate) patch_bias: bool,
    /// Whether keys have a bias; queries and values always do.
    pub(crate) key_bias: bool,
    /// Whether a norm stands before the first block.
    pub(crate) first_norm: bool,
    /// Whether one stands after the last block.
    pub(crate) last_norm: bool,
    /// Whether what a block adds is scaled channel by channel.
    pub(crate) layer_scale: bool,
    /// Whether pixels that do not fill a patch are cut off instead of refused.
    pub(crate) cuts_rest: bool,
    /// Whether the position table is resized with antialiasing.
    pub(crate) antialias: bool,
}

impl VitShape {
    /// Rows and columns of patches of an image.
    ///
    /// # Errors
    /// [`ModelError::ImageSize`].
    pub(crate) fn grid(&self, height: usize, width: usize) -> Result<(usize, usize), ModelError> {
        let patch = self.patch;
        let exact = height.is_multiple_of(patch) && width.is_multiple_of(patch);
        if height < patch || width < patch || !(exact || self.cuts_rest) {
            return Err(ModelError::ImageSize { height, width, patch });
        }
        Ok((height / patch, width / patch))
    }

    /// Rows and columns of the position table.
    pub(crate) fn table_side(&self) -> usize {
        self.side / self.patch
    }

    /// Number of values.
    pub(crate) fn parameter_count(&self) -> usize {
        let (c, h) = (self.width, self.hidden);
        let norm = |there: bool| if there { 2 * c } else { 0 };
        let bias = |there: bool| if there { c } else { 0 };
        let class = usize::from(self.class_token);
        let positions = self.table_side().pow(2) + class;
        let embedding = c * (positions + class + self.registers)
            + c * 3 * self.patch.pow(2)
            + bias(self.patch_bias);
        let attention = 4 * c * c + 3 * c + bias(self.key_bias);
        let inner = self.inner_width();
        let network = c * inner + inner + h * c + c;
        let scales = if self.layer_scale { 2 * c } else { 0 };
        let block = attention + network + 2 * norm(true) + scales;
        embedding + self.layers * block + norm(self.first_norm) + norm(self.last_norm)
    }

    /// Outputs of the first map of a feed-forward network.
    pub(crate) fn inner_width(&self) -> usize {
        if self.activation == Activation::SwiGlu { 2 * self.hidden } else { self.hidden }
    }

    /// Numbers in the matrices of the blocks.
    pub(crate) fn block_matrices(&self) -> usize {
        let (c, h) = (self.width, self.hidden);
        self.layers * (4 * c * c + c * self.inner_width() + h * c)
    }

    /// What cannot be.
    pub(super) fn fault(&self) -> Option<String> {
        let Self { width, heads, patch, side, .. } = *self;
        if heads == 0 || width == 0 || !width.is_multiple_of(heads) {
            return Some(format!("width {width} over {heads} heads"));
        }
        if patch == 0 || side < patch || !(side.is_multiple_of(patch) || self.cuts_rest) {
            return Some(format!("image side {side} that is no multiple of the patch {patch}"));
        }
        if self.layers == 0 || self.hidden == 0 {
            return Some("an encoder without layers or feed-forward width".to_owned());
        }
        None
    }
}
