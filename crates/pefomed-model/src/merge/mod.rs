//! An adapter merged into its base: `W + (α/r)·B·A`, in Hugging Face layout, for programs that know
//! nothing of adapters.
//!
//! Sums are made in float32, one tensor at a time, and rounded once to the type that is asked for.
//! A base of block-quantized weights is unpacked first. What merging changes is measured: the base
//! with its adapter and the merged model, both read from their files, answer the same text.

mod files;
mod tensors;

use std::path::{Path, PathBuf};

use half::{bf16, f16};
use pefomed_data::{Item, Message, MessageTree, PackedBatch, Tokenizer};
use safetensors::Dtype;
use serde::Serialize;

use self::tensors::Tensors;
use crate::adapter::LoraAdapter;
use crate::base::{self, ModelFiles};
use crate::config::LlamaConfig;
use crate::decoder::LlamaDecoder;
use crate::error::ModelError;
use crate::parameters::{Placement, read};

/// What is measured on when no text is given.
const TEXT: &str = "[INST] [vqa] Is there a pleural effusion on the left side? [/INST] No. The heart \
                    is normal in size and both lungs are clear.";
/// Tokens of the measurement at most: logits of a large vocabulary are kept twice.
const MEASURED_TOKENS: usize = 256;

/// The type that merged weights are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MergedType {
    /// Half precision; the usual choice, with the least rounding of the two small ones.
    Float16,
    /// The range of single precision with 8 bits of it.
    BFloat16,
    /// Single precision: nothing is rounded after the sum.
    Float32,
}

impl MergedType {
    /// Its name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float16 => "float16",
            Self::BFloat16 => "bfloat16",
            Self::Float32 => "float32",
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::Float16 => Dtype::F16,
            Self::BFloat16 => Dtype::BF16,
            Self::Float32 => Dtype::F32,
        }
    }

    /// Rounded values as bytes; none when one of them is too large for the type.
    fn encode(self, values: &[f32]) -> Option<Vec<u8>> {
        let lost = |value: f32, rounded: f32| value.is_finite() && !rounded.is_finite();
        let mut bytes = Vec::with_capacity(values.len() * self.dtype().bitsize() / 8);
        for &value in values {
            match self {
                Self::Float16 => {
                    let rounded = f16::from_f32(value);
                    if lost(value, rounded.to_f32()) {
                        return None;
                    }
                    bytes.extend(rounded.to_le_bytes());
                }
                Self::BFloat16 => {
                    let rounded = bf16::from_f32(value);
                    if lost(value, rounded.to_f32()) {
                        return None;
                    }
                    bytes.extend(rounded.to_le_bytes());
                }
                Self::Float32 => bytes.extend(value.to_le_bytes()),
            }
        }
        Some(bytes)
    }
}

/// How to merge.
#[derive(Clone, Debug)]
pub struct MergeOptions {
    /// The type of the weights.
    pub dtype: MergedType,
    /// Bytes of a weight file at most, as long as no single tensor is larger.
    pub shard_bytes: u64,
    /// The text to measure on; a built-in one if none.
    pub text: Option<String>,
}

/// What was merged.
#[derive(Clone, Debug, Serialize)]
pub struct Merged {
    /// The folder.
    pub out: PathBuf,
    /// The files in it.
    pub files: Vec<String>,
    /// The type of the weights.
    pub dtype: MergedType,
    /// Tensors in all.
    pub tensors: usize,
    /// Tensors that the adapter changed.
    pub changed: usize,
    /// Number of values.
    pub values: usize,
    /// Factor of the update, `α / r`.
    pub scale: f64,
    /// What the measurement found.
    pub measured: Measured,
}

/// The merged model against the base with its adapter, on one text.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Tokens of the text.
    pub tokens: usize,
    /// Largest difference of a logit.
    pub largest_difference: f32,
    /// Largest logit, to judge the difference by.
    pub largest_logit: f32,
    /// How far the adapter moves any logit of the base: a small difference means something only if
    /// this is larger.
    pub adapter_effect: f32,
    /// Tokens after which both predict the same next one.
    pub same_prediction: usize,
}

/// Merges the adapter in the folder `adapter` into `base` and writes the folder `out`, which must
/// not be there yet or be empty.
///
/// # Errors
/// [`ModelError::Exists`]; [`ModelError::TooLarge`] when a value does not fit the type; whatever is
/// wrong with the files of base and adapter, with the name of the file, key or tensor.
pub fn merge(
    base: &ModelFiles,
    adapter: &Path,
    out: &Path,
    options: &MergeOptions,
) -> Result<Merged, ModelError> {
    let is_empty = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    if out.exists() && !is_empty {
        return Err(ModelError::Exists { path: out.to_owned() });
    }
    // Half a model is none.
    merge_into(base, adapter, out, options).inspect_err(|_| {
        let _ = std::fs::remove_dir_all(out);
    })
}

fn merge_into(
    base: &ModelFiles,
    adapter: &Path,
    out: &Path,
    options: &MergeOptions,
) -> Result<Merged, ModelError> {
    let place = Placement::cpu();
    let config = base::decoder_config(base)?;
    let lora = LoraAdapter::read_peft(adapter, &config, &place)?;
    let tokenizer = files::tokenizer(base)?;
    let tokens = measured_tokens(base, &tokenizer, &config, options.text.as_deref())?;

    let source = base.tensors()?;
    let tensors = Tensors::of(base, source.as_ref(), &config)?;
    let written = tensors.write(out, &lora, options)?;
    let mut names = files::write_settings(base, &config, out, options.dtype)?;
    names.extend(files::copy_projector(adapter, out)?);
    names.extend(written.files);
    names.sort();

    let measured = measure(base, &config, &lora, out, &tokens)?;
    Ok(Merged {
        out: out.to_owned(),
        files: names,
        dtype: options.dtype,
        tensors: tensors.len(),
        changed: written.changed,
        values: tensors.values(),
        scale: lora.config().scale(),
        measured,
    })
}

fn measured_tokens(
    base: &ModelFiles,
    tokenizer: &Tokenizer,
    config: &LlamaConfig,
    text: Option<&str>,
) -> Result<Vec<u32>, ModelError> {
    let mut tokens: Vec<u32> = tokenizer.begin.into_iter().collect();
    tokens.extend(tokenizer.encode(text.unwrap_or(TEXT))?);
    tokens.truncate(MEASURED_TOKENS);
    if tokens.is_empty() {
        return Err(ModelError::Unsupported {
            origin: base.origin(),
            what: "a measurement on a text without tokens; give another one".to_owned(),
        });
    }
    let vocabulary = config.vocab_size as u32;
    match tokens.iter().find(|&&token| token >= vocabulary) {
        Some(&token) => Err(ModelError::TokenRange { token, vocabulary }),
        None => Ok(tokens),
    }
}

/// Reads both models one after the other, so that only one is in memory.
fn measure(
    base: &ModelFiles,
    config: &LlamaConfig,
    lora: &LoraAdapter,
    out: &Path,
    tokens: &[u32],
) -> Result<Measured, ModelError> {
    let decoder = decoder(base, config)?;
    let expected = logits(&decoder, Some(lora), tokens);
    let untuned = logits(&decoder, None, tokens);
    drop(decoder);
    let merged = ModelFiles::Folder(out.to_owned());
    let decoder = self::decoder(&merged, &base::decoder_config(&merged)?)?;
    let found = logits(&decoder, None, tokens);
    let predictions = |logits: &[f32]| {
        let rows = logits.chunks(config.vocab_size);
        rows.map(|row| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]))).collect()
    };
    let (a, b): (Vec<_>, Vec<_>) = (predictions(&expected), predictions(&found));
    Ok(Measured {
        tokens: tokens.len(),
        largest_difference: distance(&expected, &found),
        largest_logit: distance(&expected, &vec![0.0; expected.len()]),
        adapter_effect: distance(&expected, &untuned),
        same_prediction: a.iter().zip(&b).filter(|(a, b)| a == b).count(),
    })
}

fn decoder(files: &ModelFiles, config: &LlamaConfig) -> Result<LlamaDecoder, ModelError> {
    let source = files.tensors()?;
    base::take_decoder(files, source.as_ref(), |loader, style| {
        LlamaDecoder::plain(config.clone(), loader, &Placement::cpu(), style)
    })
}

/// Logits `[T · V]` after each token.
fn logits(decoder: &LlamaDecoder, adapter: Option<&LoraAdapter>, tokens: &[u32]) -> Vec<f32> {
    let prompt = tokens.iter().map(|&token| Item::Token(token)).collect();
    let tree = MessageTree::new(vec![Message { key: 0, prompt, answer: Vec::new() }]);
    let batch = PackedBatch::new(tree.iter());
    let layout = decoder.batch(&batch, None);
    let hidden = decoder.forward(decoder.embed(tokens), &layout, adapter, None);
    read(decoder.logits(hidden))
}

/// The largest difference; not a number if any value is none, for that must not look like zero.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |largest, difference| {
        if difference.is_nan() || difference > largest { difference } else { largest }
    })
}

impl Merged {
    /// The report in words.
    pub fn to_text(&self) -> String {
        let Measured { tokens, largest_difference, largest_logit, adapter_effect, same_prediction } =
            &self.measured;
        format!(
            "{} of {} tensors changed by {} · B · A, {} values as {}\n\
             {}: {}\n\
             on {tokens} tokens, merged against base with adapter: largest difference of a logit \
             {largest_difference:.2e} (largest logit {largest_logit:.2}; the adapter moves logits by \
             up to {adapter_effect:.2}); the next token is the same after {same_prediction} of \
             {tokens}",
            self.changed,
            self.tensors,
            self.scale,
            self.values,
            self.dtype.name(),
            self.out.display(),
            self.files.join(", "),
        )
    }
}
