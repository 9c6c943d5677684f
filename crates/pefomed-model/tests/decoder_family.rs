//! LLaMA's kin against `transformers`: scaled rotary angles, biases, sliding windows. Each decoder's
//! logits, its greedy answers, and the same answers as branches of one tree.

mod common;

use std::collections::BTreeMap;

use common::{Golden, assert_close, fixture, hidden_states, single, text, values};
use pefomed_data::tree::Branch;
use pefomed_data::{Item, MessageTree, PackedBatch};
use pefomed_kernels::frozen::Precision;
use pefomed_model::ModelError;
use pefomed_model::adapter::{LoraAdapter, LoraConfig, Site};
use pefomed_model::config::{LlamaConfig, RopeScaling};
use pefomed_model::decoder::LlamaDecoder;
use pefomed_model::generate::{Generated, generate};
use pefomed_model::multimodal::{FeatureMap, TunedDecoder};
use pefomed_model::parameters::Placement;
use pefomed_model::projector::Projector;
use pefomed_model::weights::{
    Loader, SafetensorsFile, TensorSource as _, TensorValues, write_safetensors,
};

/// Name, and whether its layers can be packed.
const CASES: [(&str, bool); 7] = [
    ("llama3", true),
    ("linear", true),
    ("biased", false),
    ("smollm2", true),
    ("mistral", false),
    ("mistral-whole", true),
    ("qwen2", false),
];
/// No token: answers go on to the limit.
const NO_END: u32 = u32::MAX;

fn golden(name: &str) -> Golden {
    Golden::open(&fixture(&format!("decoder-{name}.safetensors")))
}

fn logits(decoder: &LlamaDecoder, tokens: &[u32]) -> Vec<f64> {
    let batch = PackedBatch::new([&single(1, text(tokens), &[])]);
    let layout = decoder.batch(&batch, None);
    let hidden = decoder.forward(decoder.embed(tokens), &layout, None, None);
    values(decoder.logits(hidden))
}

#[test]
fn logits_are_those_of_transformers() {
    for (name, _) in CASES {
        let golden = golden(name);
        let tokens = golden.tokens("golden.input_ids");
        let expected = golden.reals("golden.logits");
        for place in [Placement::cpu(), Placement::cpu_f64()] {
            let found = logits(&golden.decoder(&place), &tokens);
            assert_close(name, &found, &expected, 1e-5);
        }
    }
}

#[test]
fn only_layers_without_biases_and_windows_are_packed_and_they_compute_the_same() {
    for (name, packs) in CASES {
        let golden = golden(name);
        let decoder = golden.decoder(&Placement::cpu()).freeze(Precision::Float32).unwrap();
        assert_eq!(decoder.packed_bytes().is_some(), packs, "{name}");
        let found = logits(&decoder, &golden.tokens("golden.input_ids"));
        assert_close(name, &found, &golden.reals("golden.logits"), 1e-5);
    }
}

/// The decoder with an adapter that changes nothing, as a new one does.
fn tuned(decoder: LlamaDecoder) -> TunedDecoder {
    let place = decoder.place().clone();
    let config = decoder.config();
    let lora = LoraConfig { rank: 2, alpha: 2.0, dropout: 0.0, targets: vec![Site::Q, Site::V] };
    let adapter = LoraAdapter::new(lora, config, 1, &place);
    let projector = Projector::new(4, config.hidden_size, 2, &place);
    TunedDecoder { decoder, projector, adapter }
}

/// The prompts of a file, and what follows each.
fn questions(golden: &Golden) -> Vec<(Vec<Item>, Vec<u32>)> {
    (0..3)
        .map(|index| {
            let prompt = golden.tokens(&format!("golden.{index}.prompt"));
            (text(&prompt), golden.tokens(&format!("golden.{index}.answer")))
        })
        .collect()
}

/// All prompts as branches of one tree, the first `root` tokens of each as its root.
fn tree(questions: &[(Vec<Item>, Vec<u32>)], root: usize) -> MessageTree {
    let branches = questions.iter().zip(0..).map(|((prompt, answer), key)| Branch {
        key,
        prompt: prompt[root..].to_vec(),
        answer: answer.clone(),
    });
    MessageTree { key: 0, root: questions[0].0[..root].to_vec(), branches: branches.collect() }
}

#[test]
fn greedy_answers_are_those_of_transformers_alone_and_as_branches() {
    for (name, _) in CASES {
        let golden = golden(name);
        let questions = questions(&golden);
        let root: usize = golden.fact("root");
        for place in [Placement::cpu(), Placement::cpu_f64()] {
            let model = tuned(golden.decoder(&place));
            // With the common tokens as root, with some of them, and without a root.
            for root in [root, 3, 0] {
                let trees = [tree(&questions, root)];
                let limit = questions[0].1.len();
                let found = generate(&model, &trees, &FeatureMap::new(), NO_END, limit).unwrap();
                for (Generated { tokens, .. }, (_, answer)) in found[0].iter().zip(&questions) {
                    assert_eq!(tokens, answer, "{name}, root of {root}");
                }
            }
        }
    }
}

/// Rows of a query or key projection from the half-split layout to that of GGUF files.
fn interleaved(values: &[f32], rows: usize, head_dim: usize) -> Vec<f32> {
    let width = values.len() / rows;
    let row = |row: usize| {
        let (head, inside) = (row / head_dim, row % head_dim);
        let from = head * head_dim + inside / 2 + inside % 2 * head_dim / 2;
        &values[from * width..(from + 1) * width]
    };
    (0..rows).flat_map(row).copied().collect()
}

#[test]
fn the_divisors_in_a_gguf_file_are_the_rule_of_llama_3() {
    let golden = golden("llama3");
    let mut config: LlamaConfig = golden.fact("config");
    let (dim, base) = (config.head_dim(), config.rope_base());
    let scaled = config.rope_scaling().frequencies(dim, base, false);
    let plain = RopeScaling::None.frequencies(dim, base, false);
    let divisors: Vec<f32> = plain.iter().zip(&scaled).map(|(a, b)| (a / b) as f32).collect();
    assert!(divisors.iter().any(|&divisor| divisor > 1.5), "{divisors:?}");
    config.rope_theta = Some(base);
    config.rope_parameters = None;

    let names = [
        ("model.layers.", "blk."),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
    ];
    let weights = golden.file.names().into_iter().filter(|name| !common::is_result(name));
    let mut tensors: Vec<(String, Vec<usize>, TensorValues)> = weights
        .map(|name| {
            let shape = golden.file.shape(name).unwrap().to_vec();
            let mut values = golden.file.read_f32(name).unwrap();
            if name.contains("q_proj") || name.contains("k_proj") {
                values = interleaved(&values, shape[0], dim);
            }
            let renamed =
                names.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to));
            (renamed, shape, TensorValues::F32(values))
        })
        .collect();
    let mut load = |divisors: Vec<f32>| {
        tensors.retain(|(name, ..)| name != "rope_freqs.weight");
        let shape = vec![divisors.len()];
        tensors.push(("rope_freqs.weight".to_owned(), shape, TensorValues::F32(divisors)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap();
        let file = SafetensorsFile::open(&path).unwrap();
        let mut loader = Loader::new(&file);
        let decoder = LlamaDecoder::from_gguf(config.clone(), &mut loader, &Placement::cpu())?;
        loader.finish(&LlamaDecoder::ignorable)?;
        Ok::<_, ModelError>(decoder)
    };
    let decoder = load(divisors.clone()).unwrap();
    let tokens = golden.tokens("golden.input_ids");
    let expected = golden.reals("golden.logits");
    assert_close("plain", &logits(&decoder, &tokens), &expected, 1e-5);
    let packed = decoder.freeze(Precision::Float32).unwrap();
    assert_close("packed", &logits(&packed, &tokens), &expected, 1e-5);

    let mut wrong = divisors.clone();
    wrong[1] = 0.0;
    let message = load(wrong).unwrap_err().to_string();
    assert!(message.contains("rope_freqs.weight") && message.contains("above 0"), "{message}");
    assert!(matches!(load(divisors[1..].to_vec()), Err(ModelError::TensorShape { .. })));
}

#[test]
fn a_window_is_measured_along_the_question_and_not_along_the_batch() {
    for (name, _) in CASES {
        let golden = golden(name);
        let questions = questions(&golden);
        let model = tuned(golden.decoder(&Placement::cpu_f64()));
        let hidden = |tree: &MessageTree| {
            values(hidden_states(&model, &PackedBatch::new([tree]), &FeatureMap::new()))
        };
        let width = model.decoder.config().hidden_size;
        let root: usize = golden.fact("root");
        let packed = hidden(&tree(&questions, root));
        let mut start = root;
        for (prompt, answer) in &questions {
            // The last answer token takes no position.
            let alone = hidden(&single(1, prompt.clone(), answer));
            let own = &alone[root * width..];
            let found = &packed[start * width..start * width + own.len()];
            assert_close(name, found, own, 1e-12);
            start += own.len() / width;
        }
        assert_eq!(start * width, packed.len());
    }
}
