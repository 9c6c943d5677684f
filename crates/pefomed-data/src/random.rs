//! A shuffle that no new version of a library changes, and streams of their own for every use: orders
//! are part of results.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// ChaCha8 under the key (seed, round, name of the use): no other draw of a run with the same seed is
/// the same stream, and any round can be drawn without those before it.
pub fn keyed(seed: u64, round: u64, purpose: [u8; 16]) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&round.to_le_bytes());
    key[16..].copy_from_slice(&purpose);
    ChaCha8Rng::from_seed(key)
}

/// Fisher and Yates's shuffle, from the end. An index below n is the high word of n times a random
/// word: for any n that fits in memory the bias is below 2⁻²⁴.
pub fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        let bound = last as u128 + 1;
        let index = (u128::from(random.next_u64()) * bound) >> 64;
        items.swap(last, index as usize);
    }
}
