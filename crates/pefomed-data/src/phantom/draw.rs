//! Random numbers whose every bit is this project's own doing.
//!
//! A phantom must look the same next year. Generators in the ChaCha family keep their stream from
//! version to version, but the step from their words to "a float between a and b" is a library's
//! private matter and has changed before; so that step is made here.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;

use crate::random::keyed;

/// What a stream of random numbers is for. Each purpose has its own stream, so that taking a
/// finding out of a phantom leaves its anatomy and its noise as they were.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// Order of the regions within a block of three images.
    Region = 1,
    /// Modality, findings and devices.
    Facts = 2,
    /// Shapes and places of organs.
    Anatomy = 3,
    /// Exact shapes and places of findings.
    Findings = 4,
    /// Exact shapes and places of devices.
    Devices = 5,
    /// View, brightness, noise.
    Look = 6,
    /// Wording of captions, questions and reports.
    Wording = 7,
    /// Scenes without anatomy.
    Soup = 8,
}

/// The generator of one purpose for one image.
pub(super) fn stream(seed: u64, index: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut name = [0; 16];
    name[0] = purpose as u8;
    keyed(seed, index, name)
}

/// Draws from a generator.
pub(super) trait Draw {
    /// Uniform in `[0, 1)`, with 24 random bits.
    fn unit(&mut self) -> f32;
    /// Uniform in `0..count`; `count` must not be zero.
    fn below(&mut self, count: usize) -> usize;

    /// Uniform in `[low, high)`.
    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `[-reach, reach)`.
    fn about(&mut self, reach: f32) -> f32 {
        self.between(-reach, reach)
    }

    /// True with probability `p`.
    fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// One of the choices, all equally likely; `choices` must not be empty.
    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

impl Draw for ChaCha8Rng {
    fn unit(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 / 16_777_216.0
    }

    fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.next_u32()) * count as u64) >> 32) as usize
    }
}

/// A hash of three words with good avalanche: noise that needs no state, so any pixel can be
/// computed by any thread. The finaliser is that of MurmurHash3.
pub(super) fn hash(a: u32, b: u32, c: u32) -> u32 {
    let mut h = a.wrapping_mul(0x9E37_79B1) ^ b.wrapping_mul(0x85EB_CA77).rotate_left(13);
    h = (h ^ c.wrapping_mul(0xC2B2_AE3D)).rotate_left(17);
    h ^= h >> 16;
    h = h.wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

/// Noise of mean zero and standard deviation one, close to normal: the sum of the four bytes of
/// a hash.
pub(super) fn grain(x: u32, y: u32, key: u32) -> f32 {
    let h = hash(x, y, key);
    let sum = (h & 255) + ((h >> 8) & 255) + ((h >> 16) & 255) + (h >> 24);
    // Four uniform bytes: mean 510, variance 4 * (256^2 - 1) / 12.
    (sum as f32 - 510.0) / 147.8
}

/// Smooth noise in about `[-1, 1]`: lattice values with smooth interpolation between them, one
/// lattice cell a unit. It is a function of the scene, not of the pixels, so that a scene has the
/// same texture at every size.
pub(super) fn smooth_noise(x: f32, y: f32, key: u32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    let (ix, iy) = (fx as i32 as u32, fy as i32 as u32);
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (ease(x - fx), ease(y - fy));
    let corner = |dx: u32, dy: u32| {
        (hash(ix.wrapping_add(dx), iy.wrapping_add(dy), key) >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let top = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * u;
    let bottom = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * u;
    top + (bottom - top) * v
}
