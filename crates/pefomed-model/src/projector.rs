//! The projector: joined visual tokens to the decoder's width.
//!
//! PeFoMed and MiniGPT-v2 join four horizontally adjacent patches, `[N, C] → [N/4, 4C]` in row-major
//! order, and map them with one `Linear(4C → hidden)`. LLaVA-1.5 (arXiv 2310.03744) joins none and
//! maps with two layers, a GELU between them. Each is saved beside the adapter under the names that
//! its own project gives to the tensors.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::activation::gelu;
use pefomed_kernels::frozen::Precision;
use pefomed_kernels::fused::Affine;
use pefomed_kernels::host_function::apply;
use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::parameters::{Parameter, Placement, Trainable};
use crate::random::Normal;
use crate::weights::{Loader, SafetensorsFile, TensorSource, TensorValues, write_safetensors};

/// File name within an adapter folder.
pub const FILE: &str = "projector.safetensors";

/// How visual tokens are mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProjectorKind {
    /// `W·x + b`: PeFoMed and MiniGPT-v2.
    #[default]
    Linear,
    /// `W₂·gelu(W₁·x + b₁) + b₂` with the decoder's width between: LLaVA-1.5.
    Mlp,
}

impl ProjectorKind {
    /// Number of values of a projector with these widths.
    pub fn count(self, input: usize, output: usize) -> usize {
        self.shapes(input, output).iter().map(|[out, input]| out * input + out).sum()
    }

    /// Output and input width of each layer.
    fn shapes(self, input: usize, output: usize) -> Vec<[usize; 2]> {
        match self {
            Self::Linear => vec![[output, input]],
            Self::Mlp => vec![[output, input], [output, output]],
        }
    }

    /// Names of the layers when written.
    fn names(self) -> &'static [&'static str] {
        self.spellings()[0]
    }

    /// Names of the layers in files of various origins: this project's own spelling (MiniGPT-v2's,
    /// LLaVA's), then LLaVA's without its prefix, that of Hugging Face's conversion, and none.
    fn spellings(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Linear => &[&["llama_proj"], &["model.mm_projector"], &["mm_projector"]],
            Self::Mlp => &[
                &["model.mm_projector.0", "model.mm_projector.2"],
                &["mm_projector.0", "mm_projector.2"],
                &["multi_modal_projector.linear_1", "multi_modal_projector.linear_2"],
                &["0", "2"],
            ],
        }
    }
}

/// `y = x·Wᵀ + b`.
#[derive(Clone, Debug)]
struct Layer {
    /// `[out, in]`
    weight: Tensor<2>,
    /// `[out]`
    bias: Tensor<1>,
}

/// A projector of either kind.
#[derive(Clone, Debug)]
pub struct Projector {
    kind: ProjectorKind,
    layers: Vec<Layer>,
}

impl Projector {
    /// A new linear projector; as [`draw`](Self::draw).
    pub fn new(input: usize, output: usize, seed: u64, place: &Placement) -> Self {
        Self::draw(ProjectorKind::Linear, input, output, seed, place)
    }

    /// A new projector, each layer drawn uniformly within `1/√in` as PyTorch's `Linear` is.
    pub fn draw(
        kind: ProjectorKind,
        input: usize,
        output: usize,
        seed: u64,
        place: &Placement,
    ) -> Self {
        let mut normal = Normal::new(seed);
        let layer = |[output, input]: [usize; 2]| {
            let bound = (input as f64).powf(-0.5);
            let weight = normal.draw_uniform(output * input, bound);
            let bias = normal.draw_uniform(output, bound);
            Layer {
                weight: place.tensor(weight, [output, input]),
                bias: place.tensor(bias, [output]),
            }
        };
        Self { kind, layers: kind.shapes(input, output).into_iter().map(layer).collect() }
    }

    /// Its kind.
    pub fn kind(&self) -> ProjectorKind {
        self.kind
    }

    /// Output and input width.
    pub fn shape(&self) -> [usize; 2] {
        let widths = self.layers.iter().map(|layer| layer.weight.dims());
        widths.reduce(|[_, input], [output, _]| [output, input]).unwrap_or_default()
    }

    /// `[N, in] → [N, out]`.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.forward_in(features, None)
    }

    /// As [`forward`](Self::forward), with this project's kernels in a precision if there is one. They are for
    /// float32 tensors on a processor that has the instructions.
    pub fn forward_in(&self, features: Tensor<2>, precision: Option<Precision>) -> Tensor<2> {
        let mut x = features;
        for (index, Layer { weight, bias }) in self.layers.iter().enumerate() {
            if index > 0 {
                x = gelu(x);
            }
            let (weight, bias) = (weight.clone(), bias.clone().unsqueeze());
            x = match precision {
                Some(precision) => apply(Arc::new(Affine { precision }), x, vec![weight, bias]),
                None => x.matmul(weight.transpose()) + bias,
            };
        }
        x
    }

    /// Writes it into an adapter folder.
    ///
    /// # Errors
    /// [`ModelError::Data`] when the file cannot be written.
    pub fn write(&mut self, folder: &Path) -> Result<(), ModelError> {
        let tensors: Vec<(String, Vec<usize>, TensorValues)> = self
            .parameters()
            .into_iter()
            .map(|(name, p)| (name, p.shape(), TensorValues::F32(p.values())))
            .collect();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        write_safetensors(&folder.join(FILE), &tensors, &metadata)
    }

    /// Reads it from an adapter folder; its kind is told from the names in the file.
    ///
    /// # Errors
    /// As [`Loader`] reports them.
    pub fn read(
        folder: &Path,
        input: usize,
        output: usize,
        place: &Placement,
    ) -> Result<Self, ModelError> {
        Self::take(&SafetensorsFile::open(&folder.join(FILE))?, input, output, place)
    }

    /// Takes it from a file that holds nothing else, under any of the names that LLaVA's and
    /// MiniGPT-v2's files have. A file that is none of them lacks the names of a linear one.
    ///
    /// # Errors
    /// As [`Loader`] reports them.
    pub fn take(
        source: &dyn TensorSource,
        input: usize,
        output: usize,
        place: &Placement,
    ) -> Result<Self, ModelError> {
        let known = [ProjectorKind::Linear, ProjectorKind::Mlp]
            .into_iter()
            .flat_map(|kind| kind.spellings().iter().map(move |names| (kind, *names)));
        let is_there =
            |names: &[&str]| names.iter().any(|name| has(source, &format!("{name}.weight")));
        let linear = (ProjectorKind::Linear, ProjectorKind::Linear.names());
        let (kind, names) = known.into_iter().find(|(_, names)| is_there(names)).unwrap_or(linear);
        let mut loader = Loader::new(source);
        let mut layers = Vec::with_capacity(names.len());
        for (name, shape) in names.iter().zip(kind.shapes(input, output)) {
            let weight = loader.take(&format!("{name}.weight"), &shape)?;
            let bias = loader.take(&format!("{name}.bias"), &shape[..1])?;
            layers.push(Layer {
                weight: place.tensor(weight, shape),
                bias: place.tensor(bias, [shape[0]]),
            });
        }
        loader.finish(&|_| false)?;
        Ok(Self { kind, layers })
    }
}

fn has(source: &dyn TensorSource, name: &str) -> bool {
    source.shape(name).is_some()
}

impl Trainable for Projector {
    fn parameters(&mut self) -> Vec<(String, Parameter<'_>)> {
        let mut all = Vec::new();
        for (name, layer) in self.kind.names().iter().zip(&mut self.layers) {
            all.push((format!("{name}.weight"), Parameter::Matrix(&mut layer.weight)));
            all.push((format!("{name}.bias"), Parameter::Vector(&mut layer.bias)));
        }
        all
    }
}
