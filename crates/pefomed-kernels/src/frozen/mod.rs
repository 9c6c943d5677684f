//! Linear maps whose weights never change: packed once, in the layout each product wants.
//!
//! Tuning an adapter on a frozen base needs two products with every weight: `x · Wᵀ` forward, and
//! `g · W` for the gradient of the input. There is none for the weight, so nothing ties the weight to
//! the framework's layout, and it need not be kept in float32.

mod stored;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::bf16::{Kernel, Panels};
use crate::matmul::{Matrix, MatrixMut, Multiplier};

use stored::Stored;
pub use stored::{StoredRows, gather};

/// What frozen weights are kept and multiplied in. Sums are float32 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Weights and inputs of each product rounded to bfloat16.
    Bf16,
    /// Nothing rounded.
    Float32,
}

impl Precision {
    /// The fastest this processor has: bfloat16 with its instructions, otherwise float32.
    pub fn fastest() -> Self {
        if Kernel::best().is_some() { Self::Bf16 } else { Self::Float32 }
    }

    /// Whether this processor has kernels for it.
    pub fn is_available(self) -> bool {
        self == Self::Float32 || Kernel::best().is_some()
    }

    /// How factors are multiplied in it.
    ///
    /// # Panics
    /// When it is not available.
    pub(crate) fn multiplier(self) -> Multiplier {
        match self {
            Self::Bf16 => Multiplier::Bf16(Kernel::best().expect("bfloat16 instructions")),
            Self::Float32 => Multiplier::Float32,
        }
    }

    /// The word in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Float32 => "float32",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Bf16, Self::Float32]
            .into_iter()
            .find(|precision| precision.name() == name)
            .ok_or_else(|| format!("no precision is called `{name}`; known are bf16, float32"))
    }
}

/// A frozen weight `[N, K]` for `y = x · Wᵀ` and `dx = g · W`.
#[derive(Clone)]
pub struct FrozenLinear {
    inputs: usize,
    outputs: usize,
    weight: Weight,
}

#[derive(Clone)]
enum Weight {
    /// `Wᵀ` and `W`, each in its panels.
    Bf16 { forward: Panels, backward: Panels },
    /// `W` row by row.
    Float32(Vec<f32>),
    /// `W` as a file has it.
    Stored(Stored),
}

impl fmt::Debug for FrozenLinear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrozenLinear({} → {}, {})", self.inputs, self.outputs, self.precision())
    }
}

impl FrozenLinear {
    /// Packs some weights `[Nᵢ, K]`, row by row, that read the same input, into one map with
    /// `ΣNᵢ` outputs.
    ///
    /// # Panics
    /// When a weight is not a whole number of rows, or the precision is not
    /// [available](Precision::is_available).
    pub fn new(weights: &[&[f32]], inputs: usize, precision: Precision) -> Self {
        assert!(weights.iter().all(|weight| weight.len().is_multiple_of(inputs)));
        let outputs = weights.iter().map(|weight| weight.len()).sum::<usize>() / inputs;
        let weight = match precision.multiplier() {
            Multiplier::Bf16(kernel) => {
                // A single weight, which may be a large table, is not copied.
                match weights {
                    [weight] => Self::bf16(kernel, weight, inputs, outputs),
                    _ => Self::bf16(kernel, &weights.concat(), inputs, outputs),
                }
            }
            Multiplier::Float32 => Weight::Float32(weights.concat()),
        };
        Self { inputs, outputs, weight }
    }

    /// Packs some weights `[Nᵢ, K]` that read the same input from where they are stored, by way of
    /// `scratch`. One that is used for weight after weight leaves no gaps between what is kept.
    ///
    /// # Panics
    /// When there is none, their widths differ, or the precision is not available.
    pub fn packed(
        parts: &[Arc<dyn StoredRows>],
        precision: Precision,
        scratch: &mut Vec<f32>,
    ) -> Self {
        let inputs = parts[0].columns();
        assert!(parts.iter().all(|part| part.columns() == inputs), "weights of one input");
        scratch.clear();
        scratch.reserve_exact(parts.iter().map(|part| part.rows() * inputs).sum());
        for part in parts {
            gather(&**part, scratch);
        }
        Self::new(&[scratch], inputs, precision)
    }

    /// Takes some weights `[Nᵢ, K]` that read the same input as one map, in the form in which they are
    /// stored. Products are computed in the fastest precision of this processor.
    ///
    /// # Panics
    /// When there is none, or their widths differ.
    pub fn stored(parts: Vec<Arc<dyn StoredRows>>) -> Self {
        let inputs = parts[0].columns();
        assert!(parts.iter().all(|part| part.columns() == inputs), "weights of one input");
        let outputs = parts.iter().map(|part| part.rows()).sum();
        let multiplier = Precision::fastest().multiplier();
        Self { inputs, outputs, weight: Weight::Stored(Stored::new(parts, multiplier)) }
    }

    fn bf16(kernel: Kernel, all: &[f32], inputs: usize, outputs: usize) -> Weight {
        let weight = Matrix::new(all, outputs, inputs);
        Weight::Bf16 {
            forward: Panels::new(kernel, weight.transposed(), 1.0),
            backward: Panels::new(kernel, weight, 1.0),
        }
    }

    /// Width `K` of the input.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Width `N` of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// What factors are rounded to.
    pub fn precision(&self) -> Precision {
        self.multiplier().precision()
    }

    /// Bytes of the packed weight.
    pub fn bytes(&self) -> usize {
        match &self.weight {
            Weight::Bf16 { forward, backward } => forward.bytes() + backward.bytes(),
            Weight::Float32(weight) => size_of_val(&weight[..]),
            Weight::Stored(weight) => weight.bytes(),
        }
    }

    /// How factors that go with this weight are multiplied.
    pub(crate) fn multiplier(&self) -> Multiplier {
        match &self.weight {
            Weight::Bf16 { forward, .. } => Multiplier::Bf16(forward.kernel()),
            Weight::Float32(_) => Multiplier::Float32,
            Weight::Stored(weight) => weight.multiplier(),
        }
    }

    /// `Wᵀ` and `W` in their panels, if they are packed.
    pub(crate) fn panels(&self) -> Option<[&Panels; 2]> {
        match &self.weight {
            Weight::Bf16 { forward, backward } => Some([forward, backward]),
            _ => None,
        }
    }

    /// `y = x · Wᵀ` for `x` `[M, K]` and `y` `[M, N]`, or `y += …`.
    pub fn forward(&self, x: &[f32], y: &mut [f32], add: bool) {
        let rows = x.len() / self.inputs;
        let x = Matrix::new(x, rows, self.inputs);
        let y = MatrixMut::new(y, rows, self.outputs);
        match &self.weight {
            Weight::Bf16 { forward, .. } => forward.multiply_rows(y, x, add),
            Weight::Float32(weight) => {
                let w = Matrix::new(weight, self.outputs, self.inputs);
                Multiplier::Float32.multiply_rows(y, x, w.transposed(), 1.0, add);
            }
            Weight::Stored(weight) => weight.forward(x, y, add),
        }
    }

    /// `dx = g · W` for `g` `[M, N]` and `dx` `[M, K]`, or `dx += …`.
    pub fn backward(&self, g: &[f32], dx: &mut [f32], add: bool) {
        let rows = g.len() / self.outputs;
        let g = Matrix::new(g, rows, self.outputs);
        let dx = MatrixMut::new(dx, rows, self.inputs);
        match &self.weight {
            Weight::Bf16 { backward, .. } => backward.multiply_rows(dx, g, add),
            Weight::Float32(weight) => {
                let w = Matrix::new(weight, self.outputs, self.inputs);
                Multiplier::Float32.multiply_rows(dx, g, w, 1.0, add);
            }
            Weight::Stored(weight) => weight.backward(g, dx, add),
        }
    }
}

#[cfg(test)]
mod tests;
