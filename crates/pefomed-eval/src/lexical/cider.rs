//! CIDEr (Vedantam et al. 2015) as the COCO caption evaluation computes it: despite its name there,
//! the variant with clipped counts and a penalty on the difference in length (CIDEr-D).
//!
//! An n-gram weighs how often it occurs times log(N / number of items whose references have it):
//! what every report says counts nothing. The weights come from the references of the very items
//! that are scored, so a CIDEr compares only with one over the same items.

use super::ngram::{Ngrams, ORDERS, shared};

/// Standard deviation of the penalty on the difference in length, in words.
const SIGMA: f64 = 6.0;

/// In how many items' references each n-gram occurs.
#[derive(Clone, Debug)]
pub(super) struct DocumentFrequencies {
    items: usize,
    /// log(items / frequency) by order and number; log(items) for an n-gram no reference has.
    weights: [Vec<f64>; ORDERS],
}

impl DocumentFrequencies {
    /// Counts over the references of all items.
    pub(super) fn new<'a>(references: impl Iterator<Item = &'a [Ngrams]>) -> Self {
        let mut counts: [Vec<u32>; ORDERS] = Default::default();
        // The item that was last counted for an n-gram, so that two references count once.
        let mut last: [Vec<u32>; ORDERS] = Default::default();
        let mut items = 0;
        for references in references {
            items += 1;
            for reference in references {
                for (order, ngrams) in reference.counts.iter().enumerate() {
                    for (number, _) in ngrams {
                        let number = *number as usize;
                        if number >= counts[order].len() {
                            counts[order].resize(number + 1, 0);
                            last[order].resize(number + 1, 0);
                        }
                        if last[order][number] != items {
                            last[order][number] = items;
                            counts[order][number] += 1;
                        }
                    }
                }
            }
        }
        let whole = f64::from(items).ln();
        let weights = counts.map(|counts| {
            counts.into_iter().map(|count| whole - f64::from(count.max(1)).ln()).collect()
        });
        Self { items: items as usize, weights }
    }

    fn weight(&self, order: usize, number: u32) -> f64 {
        let known = self.weights[order].get(number as usize).copied();
        known.unwrap_or_else(|| (self.items as f64).ln())
    }

    /// CIDEr of one item, from 0 to 10.
    pub(super) fn score(&self, candidate: &Ngrams, references: &[Ngrams]) -> f64 {
        let said = Vector::new(self, candidate);
        let mut sum = 0.0;
        for reference in references {
            let wanted = Vector::new(self, reference);
            let difference = said.length - wanted.length;
            let penalty = (-difference * difference / (2.0 * SIGMA * SIGMA)).exp();
            for order in 0..ORDERS {
                let mut product = 0.0;
                shared(&candidate.counts[order], &reference.counts[order], |number, a, b| {
                    let weight = self.weight(order, number);
                    product += f64::from(a.min(b)) * weight * (f64::from(b) * weight);
                });
                let norms = said.norms[order] * wanted.norms[order];
                sum += penalty * if norms == 0.0 { product } else { product / norms };
            }
        }
        10.0 * sum / ORDERS as f64 / references.len() as f64
    }
}

/// Lengths of a text's weighted n-gram vectors.
struct Vector {
    norms: [f64; ORDERS],
    /// Number of word pairs, which stands for the length.
    length: f64,
}

impl Vector {
    fn new(frequencies: &DocumentFrequencies, ngrams: &Ngrams) -> Self {
        let norm = |order: usize| {
            let squares = ngrams.counts[order].iter().map(|(number, count)| {
                (f64::from(*count) * frequencies.weight(order, *number)).powi(2)
            });
            squares.sum::<f64>().sqrt()
        };
        Self { norms: std::array::from_fn(norm), length: ngrams.words.saturating_sub(1) as f64 }
    }
}
