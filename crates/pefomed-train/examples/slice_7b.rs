//! One layer of LLaMA-2-7B at full width with PeFoMed's projector and adapter: random weights, real
//! sizes. It trains the same questions packed as one tree and one by one, and says what the time and
//! memory of one layer imply for 32.
//!
//! ```console
//! $ cargo run --release -p pefomed-train --example slice_7b            # the fastest precision
//! $ cargo run --release -p pefomed-train --example slice_7b float32 2   # 2 threads
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::time::Instant;

use pefomed_data::tree::Branch;
use pefomed_data::{Item, MessageTree, PackedBatch};
use pefomed_kernels::frozen::Precision;
use pefomed_model::adapter::{LoraAdapter, LoraConfig, Site};
use pefomed_model::config::LlamaConfig;
use pefomed_model::decoder::LlamaDecoder;
use pefomed_model::multimodal::{FeatureMap, TunedDecoder, VisualFeatures};
use pefomed_model::parameters::{Placement, Trainable as _, read};
use pefomed_model::projector::Projector;
use pefomed_model::random::Normal;
use pefomed_train::adamw::{AdamW, Moments};
use pefomed_train::run_folder::peak_memory_bytes;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Layers of the whole decoder.
const LAYERS: usize = 32;
const VISUAL_TOKENS: usize = 256;
/// Four EVA-CLIP tokens of 1,408 numbers.
const VISUAL_WIDTH: usize = 4 * 1408;
/// Questions about the image, each of so many tokens with an answer of so many.
const QUESTIONS: u64 = 4;
const PROMPT: u32 = 32;
const ANSWER: u32 = 8;
/// The limit that the slice has to stay below.
const LIMIT: f64 = 24.0;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let precision = match arguments.next().as_deref() {
        None | Some("auto") => Precision::fastest(),
        Some("float32") => Precision::Float32,
        Some("bf16") => Precision::Bf16,
        Some(other) => return Err(format!("`{other}` is none of auto, float32, bf16").into()),
    };
    if let Some(threads) = arguments.next() {
        rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    }
    println!("frozen weights in {}, {} threads", precision.name(), rayon::current_num_threads());
    let before = resident();
    let start = Instant::now();
    let mut model = model(precision)?;
    let packed = model.decoder.packed_bytes().unwrap_or_default();
    println!(
        "drawn in {:.1} s: {} trainable numbers, {} packed in layer and head, {} resident",
        start.elapsed().as_secs_f64(),
        model.parameter_count(),
        gibibytes(packed as u64),
        gibibytes(resident().saturating_sub(before)),
    );
    model.set_trainable(true);

    let tree = tree();
    let mut normal = Normal::new(5);
    let values = normal.draw(VISUAL_TOKENS * VISUAL_WIDTH, 1.0);
    let features = FeatureMap::from([(
        0,
        VisualFeatures { tokens: VISUAL_TOKENS, width: VISUAL_WIDTH, values },
    )]);
    let packed_tree = std::slice::from_ref(&tree);
    let warm = step(&model, packed_tree, &features)?;
    let together = step(&model, packed_tree, &features)?;
    let alone = step(&model, &tree.split(), &features)?;
    let difference = (together.loss - alone.loss).abs() / alone.loss;
    let gradients = distance(&together.gradients, &alone.gradients);
    println!(
        "\n{QUESTIONS} questions about one image, forward and backward (first call {:.2} s)",
        warm.seconds
    );
    for (name, step) in [("packed", &together), ("one by one", &alone)] {
        println!(
            "  {name:<10} {:>6} positions   loss {:.6}   {:.2} s",
            step.positions, step.loss, step.seconds
        );
    }
    println!(
        "  relative difference of the losses {difference:.1e}, of the gradients {gradients:.1e}; packed is {:.1} times as fast",
        alone.seconds / together.seconds
    );
    let start = Instant::now();
    update(&mut model, &together.gradients);
    let seconds = start.elapsed().as_secs_f64();
    let after = step(&model, packed_tree, &features)?.loss;
    println!("  after one step of AdamW ({seconds:.2} s) the loss is {after:.6}");
    let peak = peak_memory_bytes().unwrap_or_default();
    println!("  peak memory {} (limit {LIMIT} GiB)", gibibytes(peak));
    let layer = whole_layer(&model, &tree, &features)?;
    implied(&mut model, &together, layer);
    // Rounding to bfloat16 depends on nothing but the number rounded; sums differ in their order.
    if difference > 1e-4 {
        return Err(format!("packed and unpacked losses differ by {difference:e}").into());
    }
    if after >= together.loss {
        return Err("the step did not lower the loss".into());
    }
    if peak as f64 > LIMIT * 1024.0_f64.powi(3) {
        return Err("more memory than the limit".into());
    }
    Ok(())
}

/// Seconds of the layer where every position's output is read, as in all layers but the last, forward
/// and backward.
fn whole_layer(
    model: &TunedDecoder,
    tree: &MessageTree,
    features: &FeatureMap,
) -> Result<f64, Error> {
    let mut model = model.clone();
    model.renew_leaves();
    let batch = PackedBatch::new([tree]);
    let embedded = model.embed(&batch, features)?;
    let layout = model.decoder.batch(&batch, None);
    let start = Instant::now();
    let hidden = model.decoder.forward(embedded, &layout, Some(&model.adapter), None);
    let _ = hidden.sum().backward();
    Ok(start.elapsed().as_secs_f64())
}

/// Prints what the seconds of one `layer` and of a step of the last imply for all of them.
fn implied(model: &mut TunedDecoder, step: &Step, layer_seconds: f64) {
    let config = model.decoder.config().clone();
    let (c, m) = (config.hidden_size, config.intermediate_size);
    let layer = 4 * c * c + 3 * c * m;
    let head = config.vocab_size * c;
    let before = LAYERS - 1;
    println!("\nwhat this implies for {LAYERS} layers");
    println!(
        "  time    {:.2} s projector, last layer and head + {before} · {layer_seconds:.2} s layer = {:.1} s a step",
        step.seconds,
        step.seconds + before as f64 * layer_seconds
    );
    // As the packed layer and head take it: bfloat16 is there in two layouts.
    let packed = model.decoder.packed_bytes().unwrap_or_default();
    let bytes = packed as f64 / (layer + head) as f64;
    let frozen = (bytes * (LAYERS * layer + head) as f64) as usize + 4 * 2 * head;
    println!(
        "  frozen  {bytes:.2} B · ({LAYERS} · {layer} layers + {head} head) + 4 B · 2 · {head} tables = {}",
        gibibytes(frozen as u64)
    );
    let adapter = model.adapter.parameter_count();
    let trained = model.projector.parameter_count() + LAYERS * adapter;
    println!(
        "  trained {} projector + {LAYERS} · {adapter} adapter = {trained}; · 16 B (weight, gradient, two moments) = {}",
        model.projector.parameter_count(),
        gibibytes(16 * trained as u64)
    );
    let heads = config.num_attention_heads;
    let kept = 2 * (c + 1) + 4 * c + heads + 2 * m + 2 * 64;
    let activations = 4 * LAYERS * step.positions * kept;
    println!(
        "  kept    4 B · {LAYERS} · {} positions · {kept} numbers = {}",
        step.positions,
        gibibytes(activations as u64)
    );
    let sum = frozen + 16 * trained + activations;
    println!("  sum     {}", gibibytes(sum as u64));
}

/// LLaMA-2-7B of one layer, PeFoMed's projector and its adapter with updates that are not zero.
fn model(precision: Precision) -> Result<TunedDecoder, Error> {
    let place = Placement::cpu();
    let config: LlamaConfig = serde_json::from_value(serde_json::json!({
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 1,
        "num_attention_heads": 32,
        "vocab_size": 32000,
        "rms_norm_eps": 1e-5,
    }))?;
    let decoder = LlamaDecoder::random(config, 1, &place).freeze(precision)?;
    let config = decoder.config();
    let lora = LoraConfig { rank: 64, alpha: 16.0, dropout: 0.0, targets: vec![Site::Q, Site::V] };
    let mut adapter = LoraAdapter::new(lora, config, 2, &place);
    let mut normal = Normal::new(3);
    for (name, mut parameter) in adapter.parameters() {
        if name.ends_with("lora_B.weight") {
            parameter.set(normal.draw(parameter.len(), 0.02), false);
        }
    }
    let projector = Projector::new(VISUAL_WIDTH, config.hidden_size, 4, &place);
    Ok(TunedDecoder { decoder, projector, adapter })
}

/// Questions about one image.
fn tree() -> MessageTree {
    let mut root = vec![Item::Token(1)];
    root.extend((0..VISUAL_TOKENS as u32).map(|index| Item::Visual { image: 0, index }));
    let branch = |key: u64| {
        let token =
            |index: u32| (7919 * (u32::try_from(key).unwrap_or(0) + 1) * (index + 3)) % 32_000;
        Branch {
            key,
            prompt: (0..PROMPT).map(|index| Item::Token(token(index))).collect(),
            answer: (0..ANSWER).map(|index| token(PROMPT + index)).collect(),
        }
    };
    MessageTree { key: 0, root, branches: (0..QUESTIONS).map(branch).collect() }
}

/// What a forward and backward pass gave.
struct Step {
    loss: f64,
    positions: usize,
    seconds: f64,
    /// One for each parameter of the model.
    gradients: Vec<Vec<f32>>,
}

/// The mean loss over all answers of trees that are run one after the other, with gradients of every
/// trained number.
fn step(model: &TunedDecoder, trees: &[MessageTree], features: &FeatureMap) -> Result<Step, Error> {
    let targets: usize = trees.iter().map(MessageTree::targets).sum();
    let mut step = Step { loss: 0.0, positions: 0, seconds: 0.0, gradients: Vec::new() };
    let start = Instant::now();
    for tree in trees {
        let mut model = model.clone();
        model.renew_leaves();
        let batch = PackedBatch::new([tree]);
        let (sum, _) = model.loss_sum(&batch, features, None)?;
        let loss = sum.mul_scalar(1.0 / targets as f64);
        let mut found = loss.backward();
        for (index, (name, parameter)) in model.parameters().iter().enumerate() {
            let gradient = parameter.take_gradient(&mut found);
            let gradient = gradient.ok_or_else(|| format!("`{name}` got no gradient"))?;
            match step.gradients.get_mut(index) {
                Some(sum) => sum.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value),
                None => step.gradients.push(gradient),
            }
        }
        step.loss += f64::from(read(loss).first().copied().unwrap_or(f32::NAN));
        step.positions += batch.len();
    }
    step.seconds = start.elapsed().as_secs_f64();
    Ok(step)
}

/// The largest difference of gradients, each in relation to the largest of its parameter.
fn distance(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f32 {
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, f32::max);
    let pairs = found.iter().zip(expected).map(|(found, expected)| {
        let apart = largest(&mut found.iter().zip(expected).map(|(a, b)| (a - b).abs()));
        apart / largest(&mut expected.iter().map(|value| value.abs()))
    });
    pairs.fold(0.0, f32::max)
}

/// One step of AdamW from its beginning.
fn update(model: &mut TunedDecoder, gradients: &[Vec<f32>]) {
    let adamw = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.05 };
    for ((_, mut parameter), gradient) in model.parameters().into_iter().zip(gradients) {
        let (mut values, decays) = (parameter.values(), parameter.decays());
        let mut moments = Moments::zeros(values.len());
        adamw.update(1, 1e-4, decays, &mut values, gradient, &mut moments);
        parameter.set(values, true);
    }
}

/// Memory of this process now, in bytes; 0 where the system does not tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: Option<u64> =
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kibibytes.unwrap_or(0) * 1024
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / 1024.0_f64.powi(3))
}
