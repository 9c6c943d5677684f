//! Orders that follow from a few words: the same words, the same order, on every machine and in
//! every version.

use pefomed_data::files;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

/// A generator whose stream depends on all of `words` and on nothing else.
pub(super) fn generator<'a>(words: impl IntoIterator<Item = &'a str>) -> ChaCha8Rng {
    let digits = files::digest(words);
    let mut key = [0_u8; 32];
    for (byte, two) in key.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
        *byte = value(two[0]) << 4 | value(two[1]);
    }
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use pefomed_data::random::shuffle;

    use super::*;

    #[test]
    fn words_decide_the_order_and_their_borders_count() {
        let order = |words: &[&str]| {
            let mut items: Vec<usize> = (0..50).collect();
            shuffle(&mut items, &mut generator(words.iter().copied()));
            items
        };
        assert_eq!(order(&["a", "bc"]), order(&["a", "bc"]));
        assert_ne!(order(&["a", "bc"]), order(&["ab", "c"]));
        let mut sorted = order(&["x"]);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    /// Each of the six orders of three things comes up about as often: 600 ± 110 of 3,600 is five
    /// standard deviations.
    #[test]
    fn no_order_is_favoured() {
        let mut random = generator(["even"]);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..3600 {
            let mut items = [0, 1, 2];
            shuffle(&mut items, &mut random);
            *counts.entry(items).or_insert(0_i32) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (count - 600).abs() < 110), "{counts:?}");
    }
}
