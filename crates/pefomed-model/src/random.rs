//! Normal random numbers that are the same on every machine.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stream of normal numbers, by the polar method of Marsaglia and Bray (1964) over a
/// counter-based generator.
pub struct Normal {
    generator: ChaCha8Rng,
}

impl Normal {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self { generator: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// `count` numbers of mean 0 and the given standard deviation.
    pub fn draw(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        let mut values = Vec::with_capacity(count + 1);
        while values.len() < count {
            let (u, v) = (self.symmetric(), self.symmetric());
            let square = u * u + v * v;
            if square >= 1.0 || square == 0.0 {
                continue;
            }
            let scale = deviation * (-2.0 * square.ln() / square).sqrt();
            values.push((u * scale) as f32);
            values.push((v * scale) as f32);
        }
        values.truncate(count);
        values
    }

    /// `count` numbers uniform in `[-bound, bound)`.
    pub fn draw_uniform(&mut self, count: usize, bound: f64) -> Vec<f32> {
        (0..count).map(|_| (self.symmetric() * bound) as f32).collect()
    }

    /// Uniform in `[-1, 1)`, from the upper 53 bits of a draw.
    fn symmetric(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * 2_f64.powi(-52) - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_deviation_are_as_asked() {
        let values = Normal::new(3).draw(100_001, 0.5);
        assert_eq!(values.len(), 100_001);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let square =
            values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.005, "{mean}");
        assert!((square.sqrt() - 0.5).abs() < 0.005, "{square}");
        assert_eq!(values, Normal::new(3).draw(100_001, 0.5));
    }
}
