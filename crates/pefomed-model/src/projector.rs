//! The projector: joined visual tokens to the decoder's width, one trained linear map.
//!
//! PeFoMed joins four horizontally adjacent patches, `[N, C] → [N/4, 4C]` in row-major order, and
//! maps them with `Linear(4C → hidden)`. It is saved beside the adapter under MiniGPT-v2's name.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Tensor;

use crate::error::ModelError;
use crate::parameters::{Parameter, Placement, Trainable};
use crate::random::Normal;
use crate::weights::{Loader, SafetensorsFile, TensorValues, write_safetensors};

const WEIGHT: &str = "llama_proj.weight";
const BIAS: &str = "llama_proj.bias";
/// File name within an adapter folder.
const FILE: &str = "projector.safetensors";

/// `y = x·Wᵀ + b`.
#[derive(Clone, Debug)]
pub struct Projector {
    /// `[out, in]`
    weight: Tensor<2>,
    /// `[out]`
    bias: Tensor<1>,
}

impl Projector {
    /// A new projector, drawn uniformly within `1/√in` as PyTorch's `Linear` is.
    pub fn new(input: usize, output: usize, seed: u64, place: &Placement) -> Self {
        let mut normal = Normal::new(seed);
        let bound = (input as f64).powf(-0.5);
        Self {
            weight: place.tensor(normal.draw_uniform(output * input, bound), [output, input]),
            bias: place.tensor(normal.draw_uniform(output, bound), [output]),
        }
    }

    /// Number of values of a projector with these widths.
    pub fn count(input: usize, output: usize) -> usize {
        input * output + output
    }

    /// Output and input width.
    pub fn shape(&self) -> [usize; 2] {
        self.weight.dims()
    }

    /// `[N, in] → [N, out]`.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        features.matmul(self.weight.clone().transpose()) + self.bias.clone().unsqueeze()
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

    /// Reads it from an adapter folder.
    ///
    /// # Errors
    /// As [`Loader`] reports them.
    pub fn read(
        folder: &Path,
        input: usize,
        output: usize,
        place: &Placement,
    ) -> Result<Self, ModelError> {
        let file = SafetensorsFile::open(&folder.join(FILE))?;
        let mut loader = Loader::new(&file);
        let projector = Self {
            weight: place.tensor(loader.take(WEIGHT, &[output, input])?, [output, input]),
            bias: place.tensor(loader.take(BIAS, &[output])?, [output]),
        };
        loader.finish(&|_| false)?;
        Ok(projector)
    }
}

impl Trainable for Projector {
    fn parameters(&mut self) -> Vec<(String, Parameter<'_>)> {
        vec![
            (WEIGHT.to_owned(), Parameter::Matrix(&mut self.weight)),
            (BIAS.to_owned(), Parameter::Vector(&mut self.bias)),
        ]
    }
}
