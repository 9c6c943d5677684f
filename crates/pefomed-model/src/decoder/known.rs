//! Keys and values of a prompt that was computed, for the next one that begins like it.

use pefomed_data::Item;

/// A prompt with the keys and values of every layer. What another prompt shares with its beginning is not
/// computed again. What comes after is the same: to the bit where factors are rounded to bfloat16, as sums of
/// float32 depend in their last bits on the number of rows.
#[derive(Clone, Debug, Default)]
pub struct KnownPrompt {
    items: Vec<Item>,
    /// `[T, 2·K·D]` each, keys turned to their positions.
    layers: Vec<Vec<f32>>,
}

impl KnownPrompt {
    /// Positions that need not be computed of another prompt, in which the same image numbers mean the same
    /// images.
    pub fn shared(&self, prompt: &[Item]) -> usize {
        // The last position of a prompt is computed as a branch: it is what the answer follows from, and sums
        // of branches are made in another order than those of roots.
        let most = self.items.len().min(prompt.len()).saturating_sub(1);
        self.items.iter().zip(prompt).take(most).take_while(|(known, item)| known == item).count()
    }

    /// Bytes of the keys and values.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(|layer| size_of_val(&layer[..])).sum()
    }

    /// Whether there are keys and values at all: layers made of the framework's operations leave none.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Makes it what is known of a prompt before it is computed: the beginning that both share. Returns how
    /// many positions that is.
    pub(crate) fn begin(&mut self, prompt: &[Item]) -> usize {
        let shared = self.shared(prompt);
        for layer in &mut self.layers {
            layer.truncate(layer.len() / self.items.len().max(1) * shared);
        }
        self.items = prompt.to_vec();
        shared
    }

    /// Keys and values of a layer.
    pub(super) fn layer(&mut self, layer: usize) -> &mut Vec<f32> {
        if layer >= self.layers.len() {
            self.layers.resize_with(layer + 1, Vec::new);
        }
        &mut self.layers[layer]
    }
}
