//! What the tensors of each family's files are called.

use crate::config::VisionConfig;

/// Names of an encoder's tensors. Those of layers end in `.weight` and `.bias`, which are left off;
/// names within a block start at the block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    /// What stands before all of them.
    root: &'static str,
    /// The class token, and its shape before the width: a file may have it as `[1, 1, C]`.
    pub(super) class: &'static str,
    pub(super) class_shape: &'static [usize],
    pub(super) registers: &'static str,
    /// The position table, likewise.
    pub(super) positions: &'static str,
    pub(super) positions_shape: &'static [usize],
    pub(super) patch: &'static str,
    pub(super) first_norm: &'static str,
    pub(super) last_norm: &'static str,
    /// The list of blocks.
    pub(super) blocks: &'static str,
    pub(super) norm1: &'static str,
    pub(super) projections: Projections,
    pub(super) output: &'static str,
    pub(super) scale1: &'static str,
    pub(super) norm2: &'static str,
    /// Into the feed-forward network.
    pub(super) fc1: &'static str,
    /// Out of it.
    pub(super) fc2: &'static str,
    pub(super) scale2: &'static str,
}

/// How queries, keys and values are stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Projections {
    /// Each with weight and bias.
    Apart([&'static str; 3]),
    /// One weight `[3·C, C]`; biases of queries and values by names of their own, and none for keys.
    Joined { weight: &'static str, q_bias: &'static str, v_bias: &'static str },
}

const DINOV2: Names = Names {
    root: "",
    class: "embeddings.cls_token",
    class_shape: &[1, 1],
    registers: "embeddings.register_tokens",
    positions: "embeddings.position_embeddings",
    positions_shape: &[1],
    patch: "embeddings.patch_embeddings.projection",
    first_norm: "",
    last_norm: "layernorm",
    blocks: "encoder.layer",
    norm1: "norm1",
    projections: Projections::Apart([
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
    ]),
    output: "attention.output.dense",
    scale1: "layer_scale1.lambda1",
    norm2: "norm2",
    fc1: "mlp.fc1",
    fc2: "mlp.fc2",
    scale2: "layer_scale2.lambda1",
};

/// What stands before a name in most files of CLIP and SigLIP, and in all that hold a pair of encoders.
const PAIRED: &str = "vision_model.";

/// CLIP and SigLIP differ in what they have, not in what it is called.
const CLIP: Names = Names {
    root: PAIRED,
    class: "embeddings.class_embedding",
    class_shape: &[],
    registers: "",
    positions: "embeddings.position_embedding.weight",
    positions_shape: &[],
    patch: "embeddings.patch_embedding",
    // Misspelt in every published file.
    first_norm: "pre_layrnorm",
    last_norm: "post_layernorm",
    blocks: "encoder.layers",
    norm1: "layer_norm1",
    projections: Projections::Apart(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    output: "self_attn.out_proj",
    scale1: "",
    norm2: "layer_norm2",
    fc1: "mlp.fc1",
    fc2: "mlp.fc2",
    scale2: "",
};

const EVA: Names = Names {
    root: "",
    class: "cls_token",
    class_shape: &[1, 1],
    registers: "",
    positions: "pos_embed",
    positions_shape: &[1],
    patch: "patch_embed.proj",
    first_norm: "",
    last_norm: "ln_vision",
    blocks: "blocks",
    norm1: "norm1",
    projections: Projections::Joined {
        weight: "attn.qkv.weight",
        q_bias: "attn.q_bias",
        v_bias: "attn.v_bias",
    },
    output: "attn.proj",
    scale1: "",
    norm2: "norm2",
    fc1: "mlp.fc1",
    fc2: "mlp.fc2",
    scale2: "",
};

impl Names {
    /// The names in a file; `has` tells whether it holds a tensor.
    pub(super) fn of(config: &VisionConfig, has: impl Fn(&str) -> bool) -> Self {
        match config {
            VisionConfig::Dinov2(config) if config.use_swiglu_ffn => {
                Self { fc1: "mlp.weights_in", fc2: "mlp.weights_out", ..DINOV2 }
            }
            VisionConfig::Dinov2(_) => DINOV2,
            // Newer files of a vision half alone leave the word off.
            VisionConfig::Clip(_) | VisionConfig::Siglip(_) => {
                let is_alone = has(&format!("{}.weight", CLIP.patch));
                Self { root: if is_alone { "" } else { PAIRED }, ..CLIP }
            }
            VisionConfig::Eva(_) => EVA,
        }
    }

    /// The whole name.
    pub(super) fn full(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    /// Name of a tensor or layer within a block.
    pub(super) fn in_block(&self, index: usize, name: &str) -> String {
        format!("{}{}.{index}.{name}", self.root, self.blocks)
    }

    /// Whether a file may hold the tensor although the encoder has no place for it.
    pub(super) fn ignorable(&self, config: &VisionConfig, name: &str) -> bool {
        let own = name.strip_prefix(self.root);
        let starts =
            |parts: &[&str]| own.is_some_and(|own| parts.iter().any(|part| own.starts_with(part)));
        // The other half of a pair, and what joins the two.
        let is_of_pair = || {
            name.starts_with("text_model.")
                || matches!(
                    name,
                    "logit_scale"
                        | "logit_bias"
                        | "visual_projection.weight"
                        | "text_projection.weight"
                )
        };
        let positions = "embeddings.position_ids";
        match config {
            // For self-supervised training.
            VisionConfig::Dinov2(_) => name == "embeddings.mask_token",
            // What is left is for the pooled class token.
            VisionConfig::Clip(_) => is_of_pair() || starts(&[positions, "post_layernorm."]),
            VisionConfig::Siglip(_) => is_of_pair() || starts(&[positions, "head."]),
            // The last block of EVA-g, its norm and its head, which PeFoMed leaves out.
            VisionConfig::Eva(config) => {
                let next = format!("{}.{}.", self.blocks, config.num_hidden_layers);
                starts(&[&next, "norm.", "fc_norm.", "head."])
            }
        }
    }
}
