//! Random weights: for training a base from nothing, and for tests on real shapes.

use burn::tensor::Tensor;

use super::llama::{Biases, LlamaDecoder, LlamaLayer};
use crate::config::LlamaConfig;
use crate::parameters::Placement;
use crate::random::Normal;

impl LlamaDecoder {
    /// Draws weights: normal with standard deviation 0.02 for the embedding and `1/√in` for the
    /// projections; those that write to the residual stream are smaller by `√(2·layers)`, as GPT-2
    /// has it. Norms start at 1, biases at 0.
    pub fn random(config: LlamaConfig, seed: u64, place: &Placement) -> Self {
        let mut normal = Normal::new(seed);
        let (c, m) = (config.hidden_size, config.intermediate_size);
        let q = config.num_attention_heads * config.head_dim();
        let kv = config.key_heads() * config.head_dim();
        let residual = (2.0 * config.num_hidden_layers as f64).powf(-0.5);
        let mut matrix = |out: usize, inputs: usize, scale: f64| -> Tensor<2> {
            place.tensor(normal.draw(out * inputs, scale), [out, inputs])
        };
        let fan = |inputs: usize| (inputs as f64).powf(-0.5);
        let embedding = matrix(config.vocab_size, c, 0.02);
        let ones = || place.tensor(vec![1.0; c], [c]);
        let layers = (0..config.num_hidden_layers)
            .map(|_| LlamaLayer {
                input_norm: ones(),
                q: matrix(q, c, fan(c)),
                k: matrix(kv, c, fan(c)),
                v: matrix(kv, c, fan(c)),
                o: matrix(c, q, fan(q) * residual),
                post_norm: ones(),
                gate: matrix(m, c, fan(c)),
                up: matrix(m, c, fan(c)),
                down: matrix(c, m, fan(m) * residual),
                biases: Biases::zeros(&config, place),
            })
            .collect();
        let head = (!config.tie_word_embeddings).then(|| matrix(config.vocab_size, c, 0.02));
        Self::from_parts(config, place.clone(), embedding, layers, ones(), head)
    }
}
