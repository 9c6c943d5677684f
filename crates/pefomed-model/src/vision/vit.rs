//! The vision transformer (arXiv 2010.11929) that all families are made of.
//!
//! Patches are projected, get a position each, and pass through pre-norm blocks of attention and
//! feed-forward network. Which of the optional parts there are is the family's
//! [`VitShape`](crate::config::VitShape).

use std::sync::Arc;

use burn::tensor::activation::{gelu, gelu_approximate, sigmoid, silu};
use burn::tensor::{Tensor, TensorData};
use pefomed_data::image::PixelValues;
use pefomed_kernels::attention::full_attention;
use pefomed_kernels::frozen::Precision;
use pefomed_kernels::fused::{Activation, EncoderBlock, FrozenAffine, FrozenLayerNorm};
use pefomed_kernels::norm::layer_norm;

use super::names::{Names, Projections};
use super::position::resize_table;
use crate::config::VitShape;
use crate::error::ModelError;
use crate::parameters::{Parameter, Placement, read};

/// `y = x·Wᵀ + b`
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub(super) weight: Tensor<2>,
    pub(super) bias: Option<Tensor<1>>,
}

impl Linear {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = x.matmul(self.weight.clone().transpose());
        match &self.bias {
            Some(bias) => y + bias.clone().unsqueeze(),
            None => y,
        }
    }
}

/// Packs maps of the same input as one.
fn freeze(linears: &[Linear], precision: Precision) -> FrozenAffine {
    let weights: Vec<Vec<f32>> = linears.iter().map(|linear| read(linear.weight.clone())).collect();
    let [_, inputs] = linears[0].weight.dims();
    // Of three projections, the keys may be the one that has no bias.
    let biased = linears.iter().any(|linear| linear.bias.is_some());
    let bias = |linear: &Linear| match &linear.bias {
        Some(bias) => read(bias.clone()),
        None => vec![0.0; linear.weight.dims()[0]],
    };
    let bias = biased.then(|| linears.iter().flat_map(bias).collect());
    FrozenAffine::new(&weights.concat(), inputs, bias, precision)
}

#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub(super) weight: Tensor<1>,
    pub(super) bias: Tensor<1>,
    pub(super) eps: f64,
}

impl Norm {
    fn freeze(&self) -> FrozenLayerNorm {
        let [weight, bias] = [&self.weight, &self.bias].map(|values| read(values.clone()));
        FrozenLayerNorm { weight, bias, eps: self.eps as f32 }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        layer_norm(x, self.weight.clone(), self.bias.clone(), self.eps)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) norm1: Norm,
    /// Queries, keys and values.
    pub(super) projections: [Linear; 3],
    pub(super) output: Linear,
    pub(super) scale1: Option<Tensor<1>>,
    pub(super) norm2: Norm,
    pub(super) fc1: Linear,
    pub(super) fc2: Linear,
    pub(super) scale2: Option<Tensor<1>>,
}

impl Block {
    fn freeze(self, shape: &VitShape, precision: Precision) -> EncoderBlock {
        EncoderBlock {
            norm1: self.norm1.freeze(),
            qkv: freeze(&self.projections, precision),
            output: freeze(&[self.output], precision),
            scale1: self.scale1.map(read),
            norm2: self.norm2.freeze(),
            fc1: freeze(&[self.fc1], precision),
            activation: shape.activation,
            fc2: freeze(&[self.fc2], precision),
            scale2: self.scale2.map(read),
            heads: shape.heads,
        }
    }
}

/// A vision transformer, maybe cut after some block.
#[derive(Clone, Debug)]
pub(super) struct Vit {
    pub(super) shape: VitShape,
    pub(super) place: Placement,
    /// `[1, C]`
    pub(super) class: Option<Tensor<2>>,
    /// `[R, C]`
    pub(super) registers: Option<Tensor<2>>,
    /// `[G·G, C]`, the class token's row before them if there is one.
    pub(super) positions: Tensor<2>,
    /// `[C, 3·P·P]`
    pub(super) patch: Linear,
    pub(super) first_norm: Option<Norm>,
    pub(super) blocks: Blocks,
    pub(super) last_norm: Option<Norm>,
}

/// The blocks, as tensors of the framework or packed.
#[derive(Clone, Debug)]
pub(super) enum Blocks {
    /// For every device, and for training the encoder itself.
    Plain(Vec<Block>),
    /// For the processor, frozen.
    Frozen(Arc<Vec<EncoderBlock>>),
}

impl Vit {
    /// Leaves off what follows the first `depth` blocks, and the last norm unless it is wanted.
    pub(super) fn cut(mut self, depth: usize, is_normed: bool) -> Self {
        if let Blocks::Plain(blocks) = &mut self.blocks {
            blocks.truncate(depth);
        }
        self.last_norm = self.last_norm.filter(|_| is_normed);
        self
    }

    /// Packs the blocks for good.
    pub(super) fn freeze(mut self, precision: Precision) -> Self {
        if let Blocks::Plain(blocks) = self.blocks {
            let pack = |block: Block| block.freeze(&self.shape, precision);
            self.blocks = Blocks::Frozen(Arc::new(blocks.into_iter().map(pack).collect()));
        }
        self
    }

    /// Hidden states of all tokens, `[T, C]`: class token, registers, patches row-major.
    pub(super) fn forward(&self, pixels: &PixelValues) -> Result<Tensor<2>, ModelError> {
        let size = self.shape.patch;
        let grid = self.shape.grid(pixels.height, pixels.width)?;
        let patches = cut_patches(pixels, size, grid);
        let patches = self.place.tensor(patches, [grid.0 * grid.1, 3 * size * size]);
        let mut tokens = self.patch.forward(patches);
        if let Some(class) = &self.class {
            tokens = Tensor::cat(vec![class.clone(), tokens], 0);
        }
        let mut x = tokens + self.positions_for(grid);
        if let Some(registers) = &self.registers {
            let [count, _] = x.dims();
            let class = usize::from(self.shape.class_token);
            let patches = x.clone().narrow(0, class, count - class);
            x = Tensor::cat(vec![x.narrow(0, 0, class), registers.clone(), patches], 0);
        }
        if let Some(norm) = &self.first_norm {
            x = norm.forward(x);
        }
        match &self.blocks {
            Blocks::Plain(blocks) => {
                for block in blocks {
                    x = self.block(block, x);
                }
            }
            Blocks::Frozen(blocks) => {
                let shape = x.dims();
                let mut values = read(x);
                blocks.iter().for_each(|block| block.forward(&mut values));
                x = self.place.tensor(values, shape);
            }
        }
        Ok(self.last_norm.as_ref().map_or_else(|| x.clone(), |norm| norm.forward(x.clone())))
    }

    fn positions_for(&self, grid: (usize, usize)) -> Tensor<2> {
        let own = self.shape.table_side();
        if grid == (own, own) {
            return self.positions.clone();
        }
        let width = self.shape.width;
        let class = usize::from(self.shape.class_token);
        let table = read(self.positions.clone());
        let (first, patches) = table.split_at(class * width);
        let mut resized: Vec<f64> = first.iter().map(|&value| value.into()).collect();
        resized.extend(resize_table(patches, (own, own), grid, width, self.shape.antialias));
        let data = TensorData::new(resized, [grid.0 * grid.1 + class, width]);
        let (device, dtype) = (&self.place.device, self.place.dtype);
        Tensor::from_data(data.convert_dtype(dtype), (device, dtype))
    }

    fn block(&self, block: &Block, x: Tensor<2>) -> Tensor<2> {
        let [count, width] = x.dims();
        let heads = self.shape.heads;
        let normed = block.norm1.forward(x.clone());
        let [q, k, v] = &block.projections;
        let by_head =
            |linear: &Linear| linear.forward(normed.clone()).reshape([count, heads, width / heads]);
        let mixed = full_attention(by_head(q), by_head(k), by_head(v));
        let x = x + scaled(block.output.forward(mixed), block.scale1.as_ref());
        let hidden = block.fc1.forward(block.norm2.forward(x.clone()));
        let hidden = self.activate(hidden);
        x + scaled(block.fc2.forward(hidden), block.scale2.as_ref())
    }

    fn activate(&self, x: Tensor<2>) -> Tensor<2> {
        match self.shape.activation {
            Activation::Gelu => gelu(x),
            Activation::GeluTanh => gelu_approximate(x),
            Activation::QuickGelu => sigmoid(x.clone().mul_scalar(1.702)) * x,
            Activation::SwiGlu => {
                let hidden = self.shape.hidden;
                let gate = silu(x.clone().narrow(1, 0, hidden));
                gate * x.narrow(1, hidden, hidden)
            }
        }
    }

    /// Every tensor with its name.
    pub(super) fn named(&mut self, names: &Names) -> Vec<(String, Parameter<'_>)> {
        let mut all = Named(Vec::new());
        if let Some(class) = &mut self.class {
            all.0.push((names.full(names.class), Parameter::Matrix(class)));
        }
        if let Some(registers) = &mut self.registers {
            all.0.push((names.full(names.registers), Parameter::Matrix(registers)));
        }
        all.0.push((names.full(names.positions), Parameter::Matrix(&mut self.positions)));
        all.linear(names.full(names.patch), &mut self.patch);
        if let Some(norm) = &mut self.first_norm {
            all.norm(names.full(names.first_norm), norm);
        }
        let projections = match names.projections {
            Projections::Apart(names) => names,
            Projections::Joined { .. } => ["attn.q", "attn.k", "attn.v"],
        };
        // Packed blocks have nothing that could be trained.
        let blocks = match &mut self.blocks {
            Blocks::Plain(blocks) => &mut blocks[..],
            Blocks::Frozen(_) => &mut [],
        };
        for (index, block) in blocks.iter_mut().enumerate() {
            let at = |name: &str| names.in_block(index, name);
            all.norm(at(names.norm1), &mut block.norm1);
            for (name, linear) in projections.into_iter().zip(&mut block.projections) {
                all.linear(at(name), linear);
            }
            all.linear(at(names.output), &mut block.output);
            all.scale(at(names.scale1), block.scale1.as_mut());
            all.norm(at(names.norm2), &mut block.norm2);
            all.linear(at(names.fc1), &mut block.fc1);
            all.linear(at(names.fc2), &mut block.fc2);
            all.scale(at(names.scale2), block.scale2.as_mut());
        }
        if let Some(norm) = &mut self.last_norm {
            all.norm(names.full(names.last_norm), norm);
        }
        all.0
    }
}

/// Parameters by their names, in the making.
struct Named<'a>(Vec<(String, Parameter<'a>)>);

impl<'a> Named<'a> {
    fn linear(&mut self, name: String, linear: &'a mut Linear) {
        self.0.push((format!("{name}.weight"), Parameter::Matrix(&mut linear.weight)));
        if let Some(bias) = &mut linear.bias {
            self.0.push((format!("{name}.bias"), Parameter::Vector(bias)));
        }
    }

    fn norm(&mut self, name: String, norm: &'a mut Norm) {
        self.0.push((format!("{name}.weight"), Parameter::Vector(&mut norm.weight)));
        self.0.push((format!("{name}.bias"), Parameter::Vector(&mut norm.bias)));
    }

    fn scale(&mut self, name: String, scale: Option<&'a mut Tensor<1>>) {
        self.0.extend(scale.map(|scale| (name, Parameter::Vector(scale))));
    }
}

fn scaled(x: Tensor<2>, scale: Option<&Tensor<1>>) -> Tensor<2> {
    match scale {
        Some(scale) => x * scale.clone().unsqueeze(),
        None => x,
    }
}

/// Cuts `[3, H, W]` into rows `[N, 3·P·P]`, patches row-major, each ordered channel, row, column.
/// Pixels beyond the last whole patch are left off.
fn cut_patches(pixels: &PixelValues, size: usize, grid: (usize, usize)) -> Vec<f32> {
    let (height, width) = (pixels.height, pixels.width);
    let mut patches = Vec::with_capacity(grid.0 * grid.1 * 3 * size * size);
    for top in (0..grid.0).map(|row| row * size) {
        for left in (0..grid.1).map(|column| column * size) {
            for plane in pixels.data.chunks(height * width) {
                for row in top..top + size {
                    let start = row * width + left;
                    patches.extend_from_slice(&plane[start..start + size]);
                }
            }
        }
    }
    patches
}
