//! Steps a second of a random block stack: hidden 512, 8 layers, MLP 1376, vocabulary 32000; four
//! sequences of 256 tokens, loss on 64 of them, LoRA r 64 on q and v. `tools/peers/train_blocks.py` is the
//! same in PyTorch, and `tools/bench.sh` runs both by turns.
//!
//! ```console
//! $ cargo run --release -p pefomed-train --example block_stack            # the fastest precision
//! $ cargo run --release -p pefomed-train --example block_stack float32 2   # 2 threads
//! ```
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::time::Instant;

use pefomed_data::tree::Branch;
use pefomed_data::{Item, MessageTree, PackedBatch};
use pefomed_kernels::frozen::Precision;
use pefomed_model::adapter::{LoraAdapter, LoraConfig, Site};
use pefomed_model::config::LlamaConfig;
use pefomed_model::decoder::LlamaDecoder;
use pefomed_model::multimodal::{FeatureMap, TunedDecoder};
use pefomed_model::parameters::{Placement, Trainable as _};
use pefomed_model::projector::Projector;
use pefomed_train::adamw::{AdamW, Moments};
use pefomed_train::run_folder::peak_memory_bytes;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEQUENCES: u64 = 4;
const PROMPT: u32 = 240;
const ANSWER: u32 = 16;
const WARM: usize = 3;
const STEPS: usize = 10;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    pefomed_kernels::memory::keep_freed_memory();
    let mut arguments = std::env::args().skip(1);
    let precision = match arguments.next().as_deref() {
        None | Some("auto") => Precision::fastest(),
        Some(name) => name.parse()?,
    };
    if let Some(threads) = arguments.next() {
        rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    }
    let mut model = model(precision)?;
    model.adapter.set_trainable(true);
    let trees: Vec<MessageTree> = (0..SEQUENCES).map(sequence).collect();
    let batch = PackedBatch::new(&trees);
    let targets: usize = trees.iter().map(MessageTree::targets).sum();
    let adamw = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };
    let mut moments: Vec<Moments> = Vec::new();
    let mut seconds = Vec::new();
    for step in 1..=WARM + STEPS {
        let start = Instant::now();
        let (sum, _) = model.loss_sum(&batch, &FeatureMap::new(), None)?;
        let mut found = sum.mul_scalar(1.0 / targets as f64).backward();
        for (index, (name, mut parameter)) in model.adapter.parameters().into_iter().enumerate() {
            let gradient = parameter.take_gradient(&mut found);
            let gradient = gradient.ok_or_else(|| format!("`{name}` got no gradient"))?;
            if moments.len() == index {
                moments.push(Moments::zeros(gradient.len()));
            }
            let (mut values, decays) = (parameter.values(), parameter.decays());
            adamw.update(step as u64, 1e-4, decays, &mut values, &gradient, &mut moments[index]);
            parameter.set(values, true);
        }
        if step > WARM {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let result = serde_json::json!({
        "work": "block_stack",
        "dtype": precision.name(),
        "threads": rayon::current_num_threads(),
        "steps_per_second": 1.0 / median,
        "median_seconds": median,
        "peak_mib": peak_memory_bytes().unwrap_or_default() as f64 / 1024.0 / 1024.0,
    });
    println!("{result}");
    Ok(())
}

fn model(precision: Precision) -> Result<TunedDecoder, Error> {
    let place = Placement::cpu();
    let config: LlamaConfig = serde_json::from_value(serde_json::json!({
        "model_type": "llama",
        "hidden_size": 512,
        "intermediate_size": 1376,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "vocab_size": 32000,
        "rms_norm_eps": 1e-6,
    }))?;
    let decoder = LlamaDecoder::random(config, 1, &place).freeze(precision)?;
    let lora = LoraConfig { rank: 64, alpha: 16.0, dropout: 0.0, targets: vec![Site::Q, Site::V] };
    let adapter = LoraAdapter::new(lora, decoder.config(), 2, &place);
    // There are no images; a projector belongs to the model all the same.
    let projector = Projector::new(4, decoder.config().hidden_size, 4, &place);
    Ok(TunedDecoder { decoder, projector, adapter })
}

/// A sequence of its own, with the loss on its last tokens.
fn sequence(key: u64) -> MessageTree {
    let token = |index: u32| (7919 * (key as u32 + 1) * (index + 3)) % 32_000;
    let prompt = (0..PROMPT).map(|index| Item::Token(token(index))).collect();
    let answer = (0..ANSWER).map(|index| token(PROMPT + index)).collect();
    MessageTree { key, root: Vec::new(), branches: vec![Branch { key, prompt, answer }] }
}
