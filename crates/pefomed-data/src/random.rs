//! A shuffle that no new version of a library changes: orders are part of results.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;

/// Fisher and Yates's shuffle, from the end. An index below n is the high word of n times a random
/// word: for any n that fits in memory the bias is below 2⁻²⁴.
pub fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        let bound = last as u128 + 1;
        let index = (u128::from(random.next_u64()) * bound) >> 64;
        items.swap(last, index as usize);
    }
}
