//! AdamW on flat buffers (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization").
//!
//! The few million trained numbers live in plain `f32` buffers outside the tensor framework: a
//! checkpoint is then a copy of two slices, and a resumed run goes on bit by bit. The order of the
//! operations is that of PyTorch's `torch.optim.AdamW` for a single tensor, so that a run can be
//! held against one of the original implementation.

use rayon::prelude::*;

/// Numbers a thread works on at a time. Every number is updated on its own, so neither this nor
/// the count of threads changes a result.
const CHUNK: usize = 1 << 14;

/// The optimizer's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Decay of the gradient's running mean.
    pub beta1: f64,
    /// Decay of the squared gradient's running mean.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Share of a parameter, times the learning rate, taken away at each step.
    pub weight_decay: f64,
}

/// Running means of one buffer of parameters, of the same length as the buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Of the gradient.
    pub first: Vec<f32>,
    /// Of its square.
    pub second: Vec<f32>,
}

impl Moments {
    /// The state before the first step, for so many parameters.
    pub fn zeros(length: usize) -> Self {
        Self { first: vec![0.0; length], second: vec![0.0; length] }
    }
}

impl AdamW {
    /// Takes one step: `step` is counted from 1, `lr` is the learning rate of this step, `decay`
    /// says whether these parameters are decayed (matrices are, biases and norms are not).
    ///
    /// p ← p − lr·λ·p, m ← m + (1−β₁)(g − m), v ← β₂v + (1−β₂)g²,
    /// p ← p − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε).
    ///
    /// # Panics
    /// When the buffers differ in length.
    pub fn update(
        &self,
        step: u64,
        lr: f64,
        decay: bool,
        parameters: &mut [f32],
        gradients: &[f32],
        moments: &mut Moments,
    ) {
        let length = parameters.len();
        assert_eq!(gradients.len(), length, "one gradient for each parameter");
        assert_eq!(moments.first.len(), length, "one first moment for each parameter");
        assert_eq!(moments.second.len(), length, "one second moment for each parameter");

        // Scalars are worked out in float64 and rounded once, as PyTorch does.
        let power = i32::try_from(step).unwrap_or(i32::MAX);
        let correction1 = 1.0 - self.beta1.powi(power);
        let correction2 = 1.0 - self.beta2.powi(power);
        let shrink = if decay { (1.0 - lr * self.weight_decay) as f32 } else { 1.0 };
        let toward = (1.0 - self.beta1) as f32;
        let keep = self.beta2 as f32;
        let add = (1.0 - self.beta2) as f32;
        let root = correction2.sqrt() as f32;
        let epsilon = self.epsilon as f32;
        let stride = (-lr / correction1) as f32;

        parameters
            .par_chunks_mut(CHUNK)
            .zip(gradients.par_chunks(CHUNK))
            .zip(moments.first.par_chunks_mut(CHUNK))
            .zip(moments.second.par_chunks_mut(CHUNK))
            .for_each(|(((parameters, gradients), first), second)| {
                let numbers = parameters.iter_mut().zip(gradients).zip(first).zip(second);
                for (((parameter, gradient), first), second) in numbers {
                    let decayed = *parameter * shrink;
                    *first += toward * (gradient - *first);
                    *second = *second * keep + add * gradient * gradient;
                    let denominator = second.sqrt() / root + epsilon;
                    *parameter = decayed + stride * *first / denominator;
                }
            });
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// What `tools/goldens/adamw.py` writes.
    #[derive(Deserialize)]
    struct Golden {
        beta1: f64,
        beta2: f64,
        epsilon: f64,
        weight_decay: f64,
        learning_rates: Vec<f64>,
        start: Vec<f32>,
        gradients: Vec<Vec<f32>>,
        decayed: Vec<Vec<f32>>,
        plain: Vec<Vec<f32>>,
    }

    #[test]
    fn twenty_steps_are_those_of_pytorch() {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/adamw.json"));
        let golden: Golden = serde_json::from_str(text).unwrap();
        let adamw = AdamW {
            beta1: golden.beta1,
            beta2: golden.beta2,
            epsilon: golden.epsilon,
            weight_decay: golden.weight_decay,
        };
        assert_eq!((golden.start.len(), golden.gradients.len()), (7, 20));
        for (decay, expected) in [(true, &golden.decayed), (false, &golden.plain)] {
            let mut parameters = golden.start.clone();
            let mut moments = Moments::zeros(parameters.len());
            for (index, gradients) in golden.gradients.iter().enumerate() {
                let lr = golden.learning_rates[index];
                let step = index as u64 + 1;
                adamw.update(step, lr, decay, &mut parameters, gradients, &mut moments);
                for (actual, expected) in parameters.iter().zip(&expected[index]) {
                    let error = (actual - expected).abs() / expected.abs();
                    assert!(error <= 1e-6, "step {step}: {actual} is not {expected}");
                }
            }
        }
    }

    /// Worked by hand: after the first step m/(1−β₁) = g and √(v/(1−β₂)) = |g|, so a parameter
    /// moves by the learning rate against the gradient's sign, whatever its size.
    #[test]
    fn the_first_step_has_the_length_of_the_learning_rate() {
        let adamw = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.5 };
        let mut parameters = [1.0, 1.0, 2.0];
        let mut moments = Moments::zeros(3);
        adamw.update(1, 0.1, false, &mut parameters, &[1000.0, -0.01, 0.0], &mut moments);
        for (actual, expected) in parameters.iter().zip([0.9_f32, 1.1, 2.0]) {
            assert!((actual - expected).abs() < 1e-5, "{actual} is not {expected}");
        }
        // Decay is not scaled by the gradient: 2 · (1 − 0.1 · 0.5).
        adamw.update(2, 0.1, true, &mut parameters[2..], &[0.0], &mut Moments::zeros(1));
        assert!((parameters[2] - 1.9).abs() < 1e-6);
    }

    #[test]
    fn long_buffers_are_updated_like_short_ones() {
        let adamw = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.05 };
        let length = 3 * CHUNK + 5;
        let gradients: Vec<f32> =
            (0..length).map(|i| ((i * 37 % 101) as f32 - 50.0) / 7.0).collect();
        let mut whole = vec![0.5; length];
        let mut moments = Moments::zeros(length);
        for step in 1..=3 {
            adamw.update(step, 1e-2, true, &mut whole, &gradients, &mut moments);
        }
        for index in [0, 1, CHUNK, length - 1] {
            let mut one = [0.5];
            let mut moments = Moments::zeros(1);
            for step in 1..=3 {
                adamw.update(step, 1e-2, true, &mut one, &gradients[index..=index], &mut moments);
            }
            assert_eq!(one[0].to_bits(), whole[index].to_bits(), "parameter {index}");
        }
    }
}
