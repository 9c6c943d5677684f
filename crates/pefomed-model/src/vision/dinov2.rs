//! The DINOv2 vision transformer (arXiv 2304.07193) in Hugging Face layout.

use burn::tensor::activation::gelu;
use burn::tensor::{Tensor, TensorData};
use pefomed_data::image::PixelValues;
use pefomed_kernels::attention::full_attention;
use pefomed_kernels::norm::layer_norm;

use super::position::resize_table;
use crate::config::Dinov2Config;
use crate::error::ModelError;
use crate::parameters::{Parameter, Placement, Trainable};
use crate::random::Normal;
use crate::weights::Loader;

/// `y = x·Wᵀ + b`
#[derive(Clone, Debug)]
struct Linear {
    weight: Tensor<2>,
    bias: Tensor<1>,
}

impl Linear {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.clone().transpose()) + self.bias.clone().unsqueeze()
    }
}

#[derive(Clone, Debug)]
struct Norm {
    weight: Tensor<1>,
    bias: Tensor<1>,
}

#[derive(Clone, Debug)]
struct Block {
    norm1: Norm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    scale1: Tensor<1>,
    norm2: Norm,
    fc1: Linear,
    fc2: Linear,
    scale2: Tensor<1>,
}

/// A DINOv2 encoder.
#[derive(Clone, Debug)]
pub struct Dinov2 {
    config: Dinov2Config,
    place: Placement,
    /// `[1, C]`
    cls: Tensor<2>,
    /// `[1 + G·G, C]`, the class token's row first.
    positions: Tensor<2>,
    /// `[C, 3·P·P]`
    patch: Linear,
    blocks: Vec<Block>,
    norm: Norm,
}

/// Draws or takes the tensors of an encoder; shapes are as in Hugging Face files.
trait TensorGiver {
    fn give(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError>;
}

impl TensorGiver for Loader<'_> {
    fn give(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        self.take(name, shape)
    }
}

impl TensorGiver for Normal {
    fn give(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let count = shape.iter().product();
        let is_norm = name.contains("norm") && name.ends_with("weight");
        Ok(if is_norm || name.ends_with("lambda1") {
            vec![1.0; count]
        } else if name.ends_with("bias") {
            vec![0.0; count]
        } else if name.starts_with("embeddings.patch") {
            self.draw(count, (shape[1..].iter().product::<usize>() as f64).powf(-0.5))
        } else {
            self.draw(count, 0.02)
        })
    }
}

impl Dinov2 {
    /// Takes the weights under Hugging Face names.
    ///
    /// # Errors
    /// As [`Loader::take`].
    pub fn from_hugging_face(
        config: Dinov2Config,
        loader: &mut Loader<'_>,
        place: &Placement,
    ) -> Result<Self, ModelError> {
        Self::build(config, loader, place)
    }

    /// Random weights, for training an encoder from nothing.
    ///
    /// # Errors
    /// None: drawing cannot fail, taking from a file can, and both build the same way.
    pub fn random(config: Dinov2Config, seed: u64, place: &Placement) -> Result<Self, ModelError> {
        Self::build(config, &mut Normal::new(seed), place)
    }

    /// Whether a left-over tensor may be ignored: the mask token of self-supervised training.
    pub fn ignorable(name: &str) -> bool {
        name == "embeddings.mask_token"
    }

    fn build(
        config: Dinov2Config,
        giver: &mut dyn TensorGiver,
        place: &Placement,
    ) -> Result<Self, ModelError> {
        let c = config.hidden_size;
        let (hidden, patch) = (c * config.mlp_ratio, config.patch_size);
        let grid = config.image_size / patch;
        let vector = |giver: &mut dyn TensorGiver, name: &str, width: usize| {
            Ok::<_, ModelError>(place.tensor(giver.give(name, &[width])?, [width]))
        };
        let linear = |giver: &mut dyn TensorGiver, name: &str, out: usize, input: usize| {
            let weight = giver.give(&format!("{name}.weight"), &[out, input])?;
            let weight = place.tensor(weight, [out, input]);
            let bias = vector(giver, &format!("{name}.bias"), out)?;
            Ok::<_, ModelError>(Linear { weight, bias })
        };
        let norm = |giver: &mut dyn TensorGiver, name: &str| {
            let weight = vector(giver, &format!("{name}.weight"), c)?;
            let bias = vector(giver, &format!("{name}.bias"), c)?;
            Ok::<_, ModelError>(Norm { weight, bias })
        };
        let cls = place.tensor(giver.give("embeddings.cls_token", &[1, 1, c])?, [1, c]);
        let rows = grid * grid + 1;
        let positions = giver.give("embeddings.position_embeddings", &[1, rows, c])?;
        let positions = place.tensor(positions, [rows, c]);
        let name = "embeddings.patch_embeddings.projection";
        let weight = giver.give(&format!("{name}.weight"), &[c, 3, patch, patch])?;
        let weight = place.tensor(weight, [c, 3 * patch * patch]);
        let patch = Linear { weight, bias: vector(giver, &format!("{name}.bias"), c)? };
        let mut blocks = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let at = |name: &str| format!("encoder.layer.{index}.{name}");
            blocks.push(Block {
                norm1: norm(giver, &at("norm1"))?,
                query: linear(giver, &at("attention.attention.query"), c, c)?,
                key: linear(giver, &at("attention.attention.key"), c, c)?,
                value: linear(giver, &at("attention.attention.value"), c, c)?,
                output: linear(giver, &at("attention.output.dense"), c, c)?,
                scale1: vector(giver, &at("layer_scale1.lambda1"), c)?,
                norm2: norm(giver, &at("norm2"))?,
                fc1: linear(giver, &at("mlp.fc1"), hidden, c)?,
                fc2: linear(giver, &at("mlp.fc2"), c, hidden)?,
                scale2: vector(giver, &at("layer_scale2.lambda1"), c)?,
            });
        }
        let norm = norm(giver, "layernorm")?;
        Ok(Self { config, place: place.clone(), cls, positions, patch, blocks, norm })
    }

    /// The configuration.
    pub fn config(&self) -> &Dinov2Config {
        &self.config
    }

    /// Last hidden state after the final norm, `[1 + N, C]`, the class token first.
    ///
    /// # Errors
    /// [`ModelError::ImageSize`] when the sides are no multiples of the patch.
    pub fn forward(&self, pixels: &PixelValues) -> Result<Tensor<2>, ModelError> {
        let size = self.config.patch_size;
        let (height, width) = (pixels.height, pixels.width);
        if !height.is_multiple_of(size) || !width.is_multiple_of(size) || height == 0 || width == 0
        {
            return Err(ModelError::ImageSize { height, width, patch: size });
        }
        let grid = (height / size, width / size);
        let patches = self.place.tensor(cut(pixels, size), [grid.0 * grid.1, 3 * size * size]);
        let tokens = Tensor::cat(vec![self.cls.clone(), self.patch.forward(patches)], 0);
        let mut x = tokens + self.positions_for(grid);
        for block in &self.blocks {
            x = self.block(block, x);
        }
        Ok(self.normed(&self.norm, x))
    }

    /// Patch tokens only, `[N, C]`, row-major over the image.
    ///
    /// # Errors
    /// As [`Dinov2::forward`].
    pub fn patch_tokens(&self, pixels: &PixelValues) -> Result<Tensor<2>, ModelError> {
        let all = self.forward(pixels)?;
        let [count, _] = all.dims();
        Ok(all.narrow(0, 1, count - 1))
    }

    fn positions_for(&self, grid: (usize, usize)) -> Tensor<2> {
        let own = self.config.image_size / self.config.patch_size;
        if grid == (own, own) {
            return self.positions.clone();
        }
        let width = self.config.hidden_size;
        let table = crate::parameters::read(self.positions.clone());
        let mut resized: Vec<f64> = table[..width].iter().map(|&value| value.into()).collect();
        resized.extend(resize_table(&table[width..], (own, own), grid, width));
        let data = TensorData::new(resized, [grid.0 * grid.1 + 1, width]);
        let (device, dtype) = (&self.place.device, self.place.dtype);
        Tensor::from_data(data.convert_dtype(dtype), (device, dtype))
    }

    fn normed(&self, norm: &Norm, x: Tensor<2>) -> Tensor<2> {
        layer_norm(x, norm.weight.clone(), norm.bias.clone(), self.config.layer_norm_eps)
    }

    fn block(&self, block: &Block, x: Tensor<2>) -> Tensor<2> {
        let [count, width] = x.dims();
        let heads = self.config.num_attention_heads;
        let normed = self.normed(&block.norm1, x.clone());
        let by_head =
            |linear: &Linear| linear.forward(normed.clone()).reshape([count, heads, width / heads]);
        let mixed =
            full_attention(by_head(&block.query), by_head(&block.key), by_head(&block.value));
        let x = x + block.output.forward(mixed) * block.scale1.clone().unsqueeze();
        let hidden = gelu(block.fc1.forward(self.normed(&block.norm2, x.clone())));
        x + block.fc2.forward(hidden) * block.scale2.clone().unsqueeze()
    }
}

/// Cuts `[3, H, W]` into rows `[N, 3·P·P]`, patches row-major, each ordered channel, row, column.
fn cut(pixels: &PixelValues, size: usize) -> Vec<f32> {
    let (height, width) = (pixels.height, pixels.width);
    let mut patches = Vec::with_capacity(pixels.data.len());
    for top in (0..height).step_by(size) {
        for left in (0..width).step_by(size) {
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

impl Trainable for Dinov2 {
    fn parameters(&mut self) -> Vec<(String, Parameter<'_>)> {
        fn linear<'a>(
            all: &mut Vec<(String, Parameter<'a>)>,
            name: String,
            linear: &'a mut Linear,
        ) {
            all.push((format!("{name}.weight"), Parameter::Matrix(&mut linear.weight)));
            all.push((format!("{name}.bias"), Parameter::Vector(&mut linear.bias)));
        }
        fn norm<'a>(all: &mut Vec<(String, Parameter<'a>)>, name: String, norm: &'a mut Norm) {
            all.push((format!("{name}.weight"), Parameter::Vector(&mut norm.weight)));
            all.push((format!("{name}.bias"), Parameter::Vector(&mut norm.bias)));
        }
        let mut all = vec![
            ("embeddings.cls_token".to_owned(), Parameter::Matrix(&mut self.cls)),
            ("embeddings.position_embeddings".to_owned(), Parameter::Matrix(&mut self.positions)),
        ];
        linear(&mut all, "embeddings.patch_embeddings.projection".to_owned(), &mut self.patch);
        for (index, block) in self.blocks.iter_mut().enumerate() {
            let at = |name: &str| format!("encoder.layer.{index}.{name}");
            norm(&mut all, at("norm1"), &mut block.norm1);
            linear(&mut all, at("attention.attention.query"), &mut block.query);
            linear(&mut all, at("attention.attention.key"), &mut block.key);
            linear(&mut all, at("attention.attention.value"), &mut block.value);
            linear(&mut all, at("attention.output.dense"), &mut block.output);
            all.push((at("layer_scale1.lambda1"), Parameter::Vector(&mut block.scale1)));
            norm(&mut all, at("norm2"), &mut block.norm2);
            linear(&mut all, at("mlp.fc1"), &mut block.fc1);
            linear(&mut all, at("mlp.fc2"), &mut block.fc2);
            all.push((at("layer_scale2.lambda1"), Parameter::Vector(&mut block.scale2)));
        }
        norm(&mut all, "layernorm".to_owned(), &mut self.norm);
        all
    }
}
