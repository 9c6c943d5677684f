//! What the tensors of a decoder are called, and how their rotary layout differs.

use std::sync::Arc;

use pefomed_kernels::frozen::StoredRows;

use crate::adapter::Site;
use crate::error::ModelError;
use crate::weights::{Loader, Reordered, Widened, rotary_pairs_to_halves, rotary_row};

/// Tensor of a GGUF file that rotary frequencies are divided by.
const ROPE_DIVISORS: &str = "rope_freqs.weight";

/// The names of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyStyle {
    /// `model.layers.0.self_attn.q_proj.weight`; rotary pairs lie half a head apart.
    HuggingFace,
    /// `blk.0.attn_q.weight`; rotary pairs lie next to each other.
    Gguf,
}

impl KeyStyle {
    pub(crate) fn embedding(self) -> &'static str {
        match self {
            Self::HuggingFace => "model.embed_tokens.weight",
            Self::Gguf => "token_embd.weight",
        }
    }

    pub(crate) fn norm(self) -> &'static str {
        match self {
            Self::HuggingFace => "model.norm.weight",
            Self::Gguf => "output_norm.weight",
        }
    }

    pub(crate) fn head(self) -> &'static str {
        match self {
            Self::HuggingFace => "lm_head.weight",
            Self::Gguf => "output.weight",
        }
    }

    /// Name of a layer's tensor, given as Hugging Face calls it.
    pub(crate) fn layer(self, layer: usize, name: &str) -> String {
        match self {
            Self::HuggingFace => format!("model.layers.{layer}.{name}.weight"),
            Self::Gguf => {
                let short = match name {
                    "self_attn.q_proj" => "attn_q",
                    "self_attn.k_proj" => "attn_k",
                    "self_attn.v_proj" => "attn_v",
                    "self_attn.o_proj" => "attn_output",
                    "mlp.gate_proj" => "ffn_gate",
                    "mlp.up_proj" => "ffn_up",
                    "mlp.down_proj" => "ffn_down",
                    "input_layernorm" => "attn_norm",
                    _ => "ffn_norm",
                };
                format!("blk.{layer}.{short}.weight")
            }
        }
    }

    /// Name of a projection's bias. Only files in Hugging Face layout have any.
    pub(crate) fn bias(layer: usize, site: Site) -> String {
        format!("model.layers.{layer}.{}.bias", site.module())
    }

    /// Takes the divisors of the rotary frequencies, `[head_dim / 2]`, that a GGUF file of a LLaMA 3
    /// stores in place of the rule behind them.
    pub(crate) fn take_rotary_divisors(
        self,
        loader: &mut Loader<'_>,
        head_dim: usize,
    ) -> Result<Option<Vec<f32>>, ModelError> {
        if self == Self::HuggingFace || !loader.has(ROPE_DIVISORS) {
            return Ok(None);
        }
        let divisors = loader.take(ROPE_DIVISORS, &[head_dim / 2])?;
        if divisors.iter().all(|divisor| divisor.is_finite() && *divisor > 0.0) {
            return Ok(Some(divisors));
        }
        Err(ModelError::Unsupported {
            origin: loader.source().origin().to_owned(),
            what: format!("divisors of rotary angles (`{ROPE_DIVISORS}`) that are not above 0"),
        })
    }

    /// Takes a matrix, with `heads` a query or key projection in the half-split layout: in the bytes of
    /// its file where these keep rows together, else as numbers.
    pub(crate) fn take_rows(
        self,
        loader: &mut Loader<'_>,
        name: &str,
        shape: [usize; 2],
        heads: Option<usize>,
    ) -> Result<Arc<dyn StoredRows>, ModelError> {
        let is_stored = loader.source().stored(name).is_some();
        Ok(match (heads, is_stored) {
            (Some(heads), true) => self.take_rotary_stored(loader, name, shape, heads)?,
            (None, true) => loader.take_stored(name, shape)?,
            (heads, false) => {
                let values = match heads {
                    Some(heads) => self.take_rotary(loader, name, shape, heads)?,
                    None => loader.take(name, &shape)?,
                };
                Arc::new(Widened { values, columns: shape[1] })
            }
        })
    }

    /// Takes a query or key projection in the half-split layout.
    pub(crate) fn take_rotary(
        self,
        loader: &mut Loader<'_>,
        name: &str,
        shape: [usize; 2],
        heads: usize,
    ) -> Result<Vec<f32>, ModelError> {
        let values = loader.take(name, &shape)?;
        match self {
            Self::HuggingFace => Ok(values),
            Self::Gguf => rotary_pairs_to_halves(&values, shape[0], heads)
                .ok_or_else(|| uneven_heads(loader, name, shape[0], heads)),
        }
    }

    /// As [`take_rotary`](Self::take_rotary), left as it is stored.
    pub(crate) fn take_rotary_stored(
        self,
        loader: &mut Loader<'_>,
        name: &str,
        shape: [usize; 2],
        heads: usize,
    ) -> Result<Arc<dyn StoredRows>, ModelError> {
        let matrix = loader.take_stored(name, shape)?;
        if self == Self::HuggingFace {
            return Ok(matrix);
        }
        let order: Option<Vec<usize>> =
            (0..shape[0]).map(|row| rotary_row(row, shape[0], heads)).collect();
        let order = order.ok_or_else(|| uneven_heads(loader, name, shape[0], heads))?;
        Ok(Arc::new(Reordered { matrix, order }))
    }

    /// Tensors that a file may hold and that nothing is lost without: frequencies that follow from
    /// the configuration.
    pub(crate) fn ignorable(name: &str) -> bool {
        name.ends_with("rotary_emb.inv_freq")
    }
}

fn uneven_heads(loader: &Loader<'_>, name: &str, rows: usize, heads: usize) -> ModelError {
    ModelError::Unsupported {
        origin: loader.source().origin().to_owned(),
        what: format!("`{name}` of {rows} rows over {heads} heads"),
    }
}
