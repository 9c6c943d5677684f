//! Putting an encoder together from a file, or from random numbers.

use burn::tensor::Tensor;

use super::names::{Names, Projections};
use super::vit::{Block, Blocks, Linear, Norm, Vit};
use crate::config::VitShape;
use crate::error::ModelError;
use crate::parameters::Placement;
use crate::random::Normal;
use crate::weights::Loader;

/// Takes or draws the tensors of an encoder; shapes are as in published files.
pub(super) trait TensorGiver {
    fn give(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError>;

    /// Whether a tensor that may be absent is there.
    fn has(&self, name: &str) -> bool;
}

impl TensorGiver for Loader<'_> {
    fn give(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        self.take(name, shape)
    }

    fn has(&self, name: &str) -> bool {
        Loader::has(self, name)
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
        } else if shape.len() == 4 {
            // The patch projection, by the number of its inputs.
            self.draw(count, (shape[1..].iter().product::<usize>() as f64).powf(-0.5))
        } else {
            self.draw(count, 0.02)
        })
    }

    fn has(&self, _name: &str) -> bool {
        false
    }
}

impl Vit {
    pub(super) fn build(
        shape: VitShape,
        names: &Names,
        giver: &mut dyn TensorGiver,
        place: &Placement,
    ) -> Result<Self, ModelError> {
        let c = shape.width;
        let mut parts = Parts { c, giver, place };
        let table = |prefix: &[usize], last: &[usize]| [prefix, last].concat();
        let class = if shape.class_token {
            let class =
                parts.giver.give(&names.full(names.class), &table(names.class_shape, &[c]))?;
            Some(place.tensor(class, [1, c]))
        } else {
            None
        };
        let registers = if shape.registers > 0 {
            let registers =
                parts.giver.give(&names.full(names.registers), &[1, shape.registers, c])?;
            Some(place.tensor(registers, [shape.registers, c]))
        } else {
            None
        };
        let rows = shape.table_side().pow(2) + usize::from(shape.class_token);
        let positions = table(names.positions_shape, &[rows, c]);
        let positions =
            place.tensor(parts.giver.give(&names.full(names.positions), &positions)?, [rows, c]);
        let (side, name) = (shape.patch, names.full(names.patch));
        let weight = parts.giver.give(&format!("{name}.weight"), &[c, 3, side, side])?;
        let weight = place.tensor(weight, [c, 3 * side * side]);
        let bias =
            if shape.patch_bias { Some(parts.vector(&format!("{name}.bias"), c)?) } else { None };
        let patch = Linear { weight, bias };
        let first_norm = if shape.first_norm {
            Some(parts.norm(&names.full(names.first_norm), shape.eps)?)
        } else {
            None
        };
        // No allocation by a number in a file: the blocks themselves are taken from it.
        let mut blocks = Vec::new();
        for index in 0..shape.layers {
            blocks.push(parts.block(&shape, names, index)?);
        }
        let last_norm = if shape.last_norm { Some(parts.last_norm(&shape, names)?) } else { None };
        Ok(Self {
            shape,
            place: place.clone(),
            class,
            registers,
            positions,
            patch,
            first_norm,
            blocks: Blocks::Plain(blocks),
            last_norm,
        })
    }
}

/// Makes layers of width `c`.
struct Parts<'a> {
    c: usize,
    giver: &'a mut dyn TensorGiver,
    place: &'a Placement,
}

impl Parts<'_> {
    fn vector(&mut self, name: &str, width: usize) -> Result<Tensor<1>, ModelError> {
        Ok(self.place.tensor(self.giver.give(name, &[width])?, [width]))
    }

    fn linear(&mut self, name: &str, out: usize, input: usize) -> Result<Linear, ModelError> {
        let weight = self.giver.give(&format!("{name}.weight"), &[out, input])?;
        let weight = self.place.tensor(weight, [out, input]);
        Ok(Linear { weight, bias: Some(self.vector(&format!("{name}.bias"), out)?) })
    }

    fn norm(&mut self, name: &str, eps: f64) -> Result<Norm, ModelError> {
        let weight = self.vector(&format!("{name}.weight"), self.c)?;
        let bias = self.vector(&format!("{name}.bias"), self.c)?;
        Ok(Norm { weight, bias, eps })
    }

    /// EVA-CLIP's file lacks `ln_vision`, which then starts and stays at 1 and 0, unless a checkpoint
    /// brings one.
    fn last_norm(&mut self, shape: &VitShape, names: &Names) -> Result<Norm, ModelError> {
        let is_optional = matches!(names.projections, Projections::Joined { .. });
        let name = names.full(names.last_norm);
        if is_optional && !self.giver.has(&format!("{name}.weight")) {
            let fill = |value| self.place.tensor(vec![value; self.c], [self.c]);
            return Ok(Norm { weight: fill(1.0), bias: fill(0.0), eps: shape.last_eps });
        }
        self.norm(&name, shape.last_eps)
    }

    fn block(
        &mut self,
        shape: &VitShape,
        names: &Names,
        index: usize,
    ) -> Result<Block, ModelError> {
        let (c, hidden) = (self.c, shape.hidden);
        let at = |name: &str| names.in_block(index, name);
        let inner = shape.inner_width();
        let norm1 = self.norm(&at(names.norm1), shape.eps)?;
        let projections = match names.projections {
            Projections::Apart([query, key, value]) => [
                self.linear(&at(query), c, c)?,
                self.linear(&at(key), c, c)?,
                self.linear(&at(value), c, c)?,
            ],
            Projections::Joined { weight, q_bias, v_bias } => {
                let weight = self.giver.give(&at(weight), &[3 * c, c])?;
                let part = |index: usize| {
                    let rows = weight[index * c * c..(index + 1) * c * c].to_vec();
                    self.place.tensor(rows, [c, c])
                };
                let weights = [part(0), part(1), part(2)];
                let biases =
                    [Some(self.vector(&at(q_bias), c)?), None, Some(self.vector(&at(v_bias), c)?)];
                let [q, k, v] = weights;
                let [q_bias, k_bias, v_bias] = biases;
                [
                    Linear { weight: q, bias: q_bias },
                    Linear { weight: k, bias: k_bias },
                    Linear { weight: v, bias: v_bias },
                ]
            }
        };
        let output = self.linear(&at(names.output), c, c)?;
        let scale1 = self.scale(shape, &at(names.scale1))?;
        let norm2 = self.norm(&at(names.norm2), shape.eps)?;
        let fc1 = self.linear(&at(names.fc1), inner, c)?;
        let fc2 = self.linear(&at(names.fc2), c, hidden)?;
        let scale2 = self.scale(shape, &at(names.scale2))?;
        Ok(Block { norm1, projections, output, scale1, norm2, fc1, fc2, scale2 })
    }

    fn scale(&mut self, shape: &VitShape, name: &str) -> Result<Option<Tensor<1>>, ModelError> {
        if shape.layer_scale { self.vector(name, self.c).map(Some) } else { Ok(None) }
    }
}
