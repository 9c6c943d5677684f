//! The names of a tuned model's tensors: in checkpoints of MiniGPT-v2 and PeFoMed, and in an adapter
//! folder.
//!
//! | here | in a checkpoint |
//! |---|---|
//! | `llama_proj.weight`, `llama_proj.bias` in `projector.safetensors` | the same |
//! | `base_model.model.model.layers.N.MODULE.lora_A.weight` | `llama_model.` before it, and in newer files `.lora_A.default.weight` |
//!
//! Users of the public code lost every low-rank weight to the two spellings of that last name, and
//! measured the untuned model. So a set of names is whole or an error that lists what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapter::{LoraAdapter, Site};
use crate::error::ModelError;
use crate::weights::TensorSource;

/// What all low-rank tensors of an adapter folder begin with.
pub(super) const PEFT: &str = "base_model.model.";
/// What a checkpoint puts before that.
pub(super) const WRAPPED: &str = "llama_model.";

/// What a tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    ProjectorWeight,
    ProjectorBias,
    /// `A` of a site of a layer.
    A(usize, Site),
    /// `B` of a site of a layer.
    B(usize, Site),
}

impl Part {
    /// The tensor of this name without the prefixes of file and wrapper; the second value says
    /// whether it is spelled with `.default`.
    pub(super) fn parse(name: &str) -> Option<(Self, bool)> {
        match name {
            "llama_proj.weight" => return Some((Self::ProjectorWeight, false)),
            "llama_proj.bias" => return Some((Self::ProjectorBias, false)),
            _ => {}
        }
        let rest = name.strip_prefix("model.layers.")?;
        let (layer, rest) = rest.split_once('.')?;
        let number: usize = layer.parse().ok()?;
        let (module, matrix) = rest.split_once(".lora_")?;
        let site = Site::ALL.into_iter().find(|site| site.module() == module)?;
        let (matrix, live) = match matrix.strip_suffix(".default.weight") {
            Some(matrix) => (matrix, true),
            None => (matrix.strip_suffix(".weight")?, false),
        };
        let part = match matrix {
            "A" => Self::A(number, site),
            "B" => Self::B(number, site),
            _ => return None,
        };
        // One way to write a number: `007` would be another name for the same tensor.
        (number.to_string() == layer).then_some((part, live))
    }

    /// The name in an adapter folder; `.default` is in it if `live`.
    pub(super) fn name(self, live: bool) -> String {
        let (layer, site, matrix) = match self {
            Self::ProjectorWeight => return "llama_proj.weight".to_owned(),
            Self::ProjectorBias => return "llama_proj.bias".to_owned(),
            Self::A(layer, site) => (layer, site, "A"),
            Self::B(layer, site) => (layer, site, "B"),
        };
        let name = LoraAdapter::key(layer, site, matrix);
        let name = if live { name.replace(".weight", ".default.weight") } else { name };
        format!("{PEFT}{name}")
    }

    /// Whether it belongs to the projector.
    pub(super) fn is_projector(self) -> bool {
        matches!(self, Self::ProjectorWeight | Self::ProjectorBias)
    }
}

/// A whole set of tensors: names and shapes by what they are.
pub(super) struct Tensors {
    pub(super) names: BTreeMap<Part, String>,
    pub(super) shapes: BTreeMap<Part, Vec<usize>>,
    pub(super) layers: usize,
    pub(super) sites: Vec<Site>,
    pub(super) rank: usize,
    /// Whether any name is spelled with `.default`.
    pub(super) live: bool,
}

impl Tensors {
    /// Sorts the tensors of some sources; every name is what `strip` leaves of it.
    ///
    /// # Errors
    /// [`ModelError::AdapterKeys`] with everything that is missing or has no place, or
    /// [`ModelError::AdapterShape`] for matrices that do not belong together.
    pub(super) fn of<'a>(
        origin: &str,
        sources: &[&'a dyn TensorSource],
        strip: impl Fn(&'a str) -> Option<&'a str>,
    ) -> Result<Self, ModelError> {
        let mut all = Self {
            names: BTreeMap::new(),
            shapes: BTreeMap::new(),
            layers: 0,
            sites: Vec::new(),
            rank: 0,
            live: false,
        };
        let held: usize = sources.iter().map(|source| source.names().len()).sum();
        let (mut unknown, mut sites) = (Vec::new(), BTreeSet::new());
        for source in sources {
            for name in source.names() {
                let found = strip(name).and_then(Part::parse).filter(|(part, _)| match part {
                    // More layers than there are tensors: the missing ones could not be listed.
                    Part::A(layer, _) | Part::B(layer, _) => *layer < held,
                    _ => true,
                });
                let Some((part, live)) = found.filter(|(part, _)| !all.names.contains_key(part))
                else {
                    unknown.push(name.to_owned());
                    continue;
                };
                if let Part::A(layer, site) | Part::B(layer, site) = part {
                    sites.insert(site);
                    all.layers = all.layers.max(layer + 1);
                    all.live |= live;
                }
                all.names.insert(part, name.to_owned());
                all.shapes.insert(part, source.shape(name).unwrap_or_default().to_vec());
            }
        }
        all.sites = sites.into_iter().collect();
        let mut expected = vec![Part::ProjectorWeight, Part::ProjectorBias];
        for layer in 0..all.layers.max(1) {
            let sites = if all.sites.is_empty() { &[Site::Q, Site::V][..] } else { &all.sites };
            expected.extend(sites.iter().flat_map(|&s| [Part::A(layer, s), Part::B(layer, s)]));
        }
        let missing: Vec<String> = expected
            .into_iter()
            .filter(|part| !all.names.contains_key(part))
            .map(|part| part.name(all.live))
            .collect();
        if !missing.is_empty() || !unknown.is_empty() {
            return Err(ModelError::AdapterKeys { origin: origin.to_owned(), missing, unknown });
        }
        all.check_shapes(origin)?;
        Ok(all)
    }

    fn check_shapes(&mut self, origin: &str) -> Result<(), ModelError> {
        let wrong = |part: Part, problem: String| ModelError::AdapterShape {
            origin: origin.to_owned(),
            name: self.names.get(&part).cloned().unwrap_or_default(),
            found: self.shapes.get(&part).cloned().unwrap_or_default(),
            problem,
        };
        let matrix = |part: Part| match self.shapes.get(&part).map(Vec::as_slice) {
            Some(&[rows, columns]) if rows > 0 && columns > 0 => Ok((rows, columns)),
            _ => Err(wrong(part, "a matrix is needed".to_owned())),
        };
        let (hidden, _) = matrix(Part::ProjectorWeight)?;
        if self.shapes.get(&Part::ProjectorBias).is_some_and(|shape| *shape != [hidden]) {
            return Err(wrong(Part::ProjectorBias, format!("[{hidden}] is needed")));
        }
        let mut rank = 0;
        for &site in &self.sites {
            let (mut input, mut output) = (0, 0);
            for layer in 0..self.layers {
                let (a, b) = (Part::A(layer, site), Part::B(layer, site));
                let ((a_rows, a_columns), (b_rows, b_columns)) = (matrix(a)?, matrix(b)?);
                if layer == 0 {
                    (input, output) = (a_columns, b_rows);
                    // The projector writes what these projections read.
                    let reads = matches!(site, Site::Q | Site::K | Site::V | Site::Gate | Site::Up);
                    if reads && input != hidden {
                        let problem = format!("the projector's width is {hidden}");
                        return Err(wrong(a, problem));
                    }
                }
                rank = if rank == 0 { a_rows } else { rank };
                if (a_rows, a_columns) != (rank, input) {
                    return Err(wrong(a, format!("[{rank}, {input}] is needed")));
                }
                if (b_rows, b_columns) != (output, rank) {
                    return Err(wrong(b, format!("[{output}, {rank}] is needed")));
                }
            }
        }
        self.rank = rank;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_written() {
        for (name, part, live) in [
            ("llama_proj.bias", Part::ProjectorBias, false),
            ("model.layers.0.self_attn.q_proj.lora_A.weight", Part::A(0, Site::Q), false),
            ("model.layers.31.mlp.up_proj.lora_B.default.weight", Part::B(31, Site::Up), true),
        ] {
            assert_eq!(Part::parse(name), Some((part, live)), "{name}");
            assert!(part.name(live).ends_with(name), "{name}");
        }
        for name in [
            "model.layers.00.self_attn.q_proj.lora_A.weight",
            "model.layers.0.mlp.q_proj.lora_A.weight",
            "model.layers.0.self_attn.q_proj.lora_C.weight",
            "model.layers.0.self_attn.q_proj.weight",
            "model.layers.-1.self_attn.q_proj.lora_A.weight",
            "llama_proj.weights",
            "",
        ] {
            assert_eq!(Part::parse(name), None, "{name}");
        }
    }
}
