//! The decoder and its adapter against `transformers` and `peft`: logits, loss, every gradient,
//! and the files. The expected results are float64, computed without any step in float32.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Tensor;
use common::{Golden, assert_close, fixture, gradients, hidden_states, single, text, values};
use pefomed_data::{Item, MessageTree, PackedBatch};
use pefomed_kernels::cross_entropy::cross_entropy_sum;
use pefomed_model::ModelError;
use pefomed_model::adapter::LoraAdapter;
use pefomed_model::config::LlamaConfig;
use pefomed_model::decoder::LlamaDecoder;
use pefomed_model::multimodal::{FeatureMap, TunedDecoder, VisualFeatures};
use pefomed_model::parameters::{Placement, Trainable as _};
use pefomed_model::projector::Projector;
use pefomed_model::weights::{
    Loader, SafetensorsFile, TensorSource as _, TensorValues, write_safetensors,
};
use serde_json::{Value, json};

const PREFIX: &str = "base_model.model.";
const WEIGHTS: &str = "adapter_model.safetensors";
const CONFIG: &str = "adapter_config.json";

/// Both precisions, with the relative difference that each may show.
fn precisions() -> [(Placement, f64); 2] {
    [(Placement::cpu_f64(), 1e-9), (Placement::cpu(), 1e-5)]
}

fn golden() -> Golden {
    Golden::open(&fixture("llama-lora.safetensors"))
}

fn adapter(decoder: &LlamaConfig, place: &Placement) -> LoraAdapter {
    LoraAdapter::read_peft(&fixture("llama-lora-adapter"), decoder, place).unwrap()
}

/// The mean of a sum. (The framework's gradient of a division by a number is float32's.)
fn mean(sum: Tensor<1>, count: usize) -> Tensor<1> {
    sum.mul_scalar(1.0 / count as f64)
}

/// A projector that leaves features as they are.
fn identity_projector(width: usize, place: &Placement) -> Projector {
    let folder = tempfile::tempdir().unwrap();
    let mut weight = vec![0.0; width * width];
    weight.iter_mut().step_by(width + 1).for_each(|diagonal| *diagonal = 1.0);
    let tensors = [
        ("llama_proj.weight".to_owned(), vec![width, width], TensorValues::F32(weight)),
        ("llama_proj.bias".to_owned(), vec![width], TensorValues::F32(vec![0.0; width])),
    ];
    let path = folder.path().join("projector.safetensors");
    write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap();
    Projector::read(folder.path(), width, width, place).unwrap()
}

fn tuned(golden: &Golden, place: &Placement) -> TunedDecoder {
    let decoder = golden.decoder(place);
    let adapter = adapter(decoder.config(), place);
    let projector = identity_projector(decoder.config().hidden_size, place);
    TunedDecoder { decoder, projector, adapter }
}

/// Number of leading positions whose label is to be ignored.
fn prompt_length(labels: &[i64]) -> usize {
    let length = labels.iter().take_while(|&&label| label == -100).count();
    assert!(labels[length..].iter().all(|&label| label >= 0));
    length
}

/// Logits of all positions of a sequence that holds no answer.
fn logits(decoder: &LlamaDecoder, tokens: &[u32], adapter: Option<&LoraAdapter>) -> Vec<f64> {
    let batch = PackedBatch::new([&single(1, text(tokens), &[])]);
    let layout = decoder.batch(&batch, None);
    let hidden = decoder.forward(decoder.embed(tokens), &layout, adapter, None);
    values(decoder.logits(hidden))
}

#[test]
fn logits_with_and_without_adapter_are_those_of_peft() {
    let golden = golden();
    for (place, tolerance) in precisions() {
        let model = tuned(&golden, &place);
        for sequence in 0..2 {
            let tokens = golden.tokens(&format!("golden.{sequence}.input_ids"));
            let cases = [("base_logits", None), ("adapter_logits", Some(&model.adapter))];
            for (name, adapter) in cases {
                let name = format!("golden.{sequence}.{name}");
                let found = logits(&model.decoder, &tokens, adapter);
                assert_close(&name, &found, &golden.reals(&name), tolerance);
            }
        }
    }
}

#[test]
fn loss_and_every_adapter_gradient_are_those_of_peft() {
    let golden = golden();
    let trees: Vec<MessageTree> = (0..2)
        .map(|sequence| {
            let tokens = golden.tokens(&format!("golden.{sequence}.input_ids"));
            let labels = golden.integers(&format!("golden.{sequence}.labels"));
            let (prompt, answer) = tokens.split_at(prompt_length(&labels));
            single(sequence, text(prompt), answer)
        })
        .collect();
    for (place, tolerance) in precisions() {
        let mut model = tuned(&golden, &place);
        model.set_trainable(true);
        let batch = PackedBatch::new(&trees);
        let (sum, count) = model.loss_sum(&batch, &FeatureMap::new(), None).unwrap();
        assert_eq!(count, 15);
        let loss = mean(sum, count);
        assert_close("loss", &values(loss.clone()), &golden.reals("golden.loss"), tolerance);
        let found = gradients(&mut model, &loss.backward());
        // Two matrices on two projections of three layers; no image, so none of the projector.
        assert_eq!(found.len(), 12);
        for (name, gradient) in &found {
            let expected = golden.reals(&format!("golden.grad.{PREFIX}{name}"));
            assert_close(name, gradient, &expected, tolerance);
        }
    }
}

/// The spliced sequence: its items, its answer, and the features of its image.
fn spliced(golden: &Golden) -> (Vec<Item>, Vec<u32>, FeatureMap) {
    let tokens = golden.tokens("splice.input_ids");
    let positions = golden.integers("splice.positions");
    assert_eq!(positions, [2, 3, 4, 5, 6]);
    let (prompt, answer) = tokens.split_at(prompt_length(&golden.integers("splice.labels")));
    let mut items = text(prompt);
    for (index, &position) in positions.iter().enumerate() {
        items[position as usize] = Item::Visual { image: 7, index: index as u32 };
    }
    let values = golden.file.read_f32("splice.image_embeds").unwrap();
    let features = VisualFeatures { tokens: 5, width: 48, values };
    (items, answer.to_vec(), FeatureMap::from([(7, features)]))
}

#[test]
fn image_embeddings_take_the_place_of_tokens_and_pass_their_gradient_on() {
    let golden = golden();
    let (items, answer, features) = spliced(&golden);
    for (place, tolerance) in precisions() {
        let mut model = tuned(&golden, &place);
        model.set_trainable(true);

        let mut all = items.clone();
        all.extend(text(&answer));
        let open = PackedBatch::new([&single(1, all, &[])]);
        let embedded = values(model.embed(&open, &features).unwrap());
        assert_close("embeddings", &embedded, &golden.reals("splice.inputs_embeds"), tolerance);
        let hidden = hidden_states(&model, &open, &features);
        let logits = values(model.decoder.logits(hidden));
        assert_close("logits", &logits, &golden.reals("splice.logits"), tolerance);

        let batch = PackedBatch::new([&single(1, items.clone(), &answer)]);
        let (sum, count) = model.loss_sum(&batch, &features, None).unwrap();
        assert_eq!(count, answer.len());
        let loss = mean(sum, count);
        assert_close("loss", &values(loss.clone()), &golden.reals("splice.loss"), tolerance);
        let mut found = gradients(&mut model, &loss.backward());

        // With the identity as projector, y = x·Wᵀ + b passes on Σ gᵗxᵗ to W and Σ gᵗ to b, over
        // the positions of the image.
        let width = 48;
        let by_embedding = golden.reals("splice.grad.inputs_embeds");
        let image = golden.reals("splice.image_embeds");
        let (mut weight, mut bias) = (vec![0.0; width * width], vec![0.0; width]);
        for (g, x) in by_embedding[2 * width..7 * width].chunks(width).zip(image.chunks(width)) {
            for (out, g) in g.iter().enumerate() {
                bias[out] += g;
                for (input, x) in x.iter().enumerate() {
                    weight[out * width + input] += g * x;
                }
            }
        }
        let mut projector = |name: &str| found.remove(name).unwrap();
        assert_close("projector weight", &projector("llama_proj.weight"), &weight, tolerance);
        assert_close("projector bias", &projector("llama_proj.bias"), &bias, tolerance);
        assert_eq!(found.len(), 12);
        for (name, gradient) in &found {
            let expected = golden.reals(&format!("splice.grad.{PREFIX}{name}"));
            assert_close(name, gradient, &expected, tolerance);
        }
    }
}

#[test]
fn every_position_of_the_input_gets_its_gradient() {
    let golden = golden();
    let (items, answer, features) = spliced(&golden);
    let batch = PackedBatch::new([&single(1, items, &answer)]);
    for (place, tolerance) in precisions() {
        let model = tuned(&golden, &place);
        let embedded = model.embed(&batch, &features).unwrap().autodiff().require_grad();
        let layout = model.decoder.batch(&batch, None);
        let hidden = model.decoder.forward(embedded.clone(), &layout, Some(&model.adapter), None);
        let first = batch.targets[0].position;
        let hidden: Tensor<2> = hidden.narrow(0, first, answer.len());
        let loss = cross_entropy_sum(hidden, model.decoder.head(), &answer);
        let gradients = mean(loss, answer.len()).backward();
        let mut found = values(embedded.grad(&gradients).unwrap());
        // The last answer token takes no position here: nothing is predicted from it.
        found.extend([0.0; 48]);
        let expected = golden.reals("splice.grad.inputs_embeds");
        assert_close("inputs", &found, &expected, tolerance);
    }
}

#[test]
fn an_untied_head_and_ungrouped_heads_are_those_of_transformers() {
    let golden = Golden::open(&fixture("llama-untied.safetensors"));
    let tokens = golden.tokens("golden.0.input_ids");
    for (place, tolerance) in precisions() {
        let found = logits(&golden.decoder(&place), &tokens, None);
        assert_close("untied", &found, &golden.reals("golden.0.base_logits"), tolerance);
    }
    // A tied model's file has no head: read as an untied one, it lacks a tensor.
    let tied = Golden::open(&fixture("llama-lora.safetensors"));
    let mut untied: LlamaConfig = tied.fact("config");
    untied.tie_word_embeddings = false;
    let mut loader = Loader::new(&tied.file);
    let error = LlamaDecoder::from_hugging_face(untied, &mut loader, &Placement::cpu());
    let message = error.unwrap_err().to_string();
    assert!(message.contains("no tensor `lm_head.weight`"), "{message}");
}

#[test]
fn a_decoder_with_fewer_layers_than_its_file_is_refused() {
    let golden = golden();
    let mut config: LlamaConfig = golden.fact("config");
    config.num_hidden_layers = 2;
    let mut loader = Loader::new(&golden.file);
    LlamaDecoder::from_hugging_face(config, &mut loader, &Placement::cpu()).unwrap();
    let message = loader.finish(&common::is_result).unwrap_err().to_string();
    assert!(message.contains("9 tensor(s)"), "{message}");
    assert!(message.contains("model.layers.2.self_attn.q_proj.weight"), "{message}");
}

/// Names, shapes and values of an adapter's file.
fn tensors(folder: &Path) -> Vec<(String, Vec<usize>, TensorValues)> {
    let file = SafetensorsFile::open(&folder.join(WEIGHTS)).unwrap();
    let tensor = |name: &&str| {
        let values = TensorValues::F32(file.read_f32(name).unwrap());
        ((*name).to_owned(), file.shape(name).unwrap().to_vec(), values)
    };
    file.names().iter().map(tensor).collect()
}

#[test]
fn a_written_adapter_is_the_one_that_peft_wrote() {
    let config: LlamaConfig = golden().fact("config");
    let place = Placement::cpu();
    let mut read = adapter(&config, &place);
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    read.write_peft(first.path(), "base").unwrap();
    assert_eq!(tensors(first.path()), tensors(&fixture("llama-lora-adapter")));

    let mut again = LoraAdapter::read_peft(first.path(), &config, &place).unwrap();
    assert_eq!(again.config(), read.config());
    let values = |adapter: &mut LoraAdapter| -> Vec<(String, Vec<f32>)> {
        adapter.parameters().into_iter().map(|(name, p)| (name, p.values())).collect()
    };
    assert_eq!(values(&mut again), values(&mut read));
    again.write_peft(second.path(), "base").unwrap();
    for name in [WEIGHTS, CONFIG] {
        let bytes = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
        assert_eq!(bytes(first.path()), bytes(second.path()), "{name}");
    }

    // What decides the computation stands in the configuration as PEFT has it.
    let json = |folder: &Path| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join(CONFIG)).unwrap()).unwrap()
    };
    let (ours, theirs) = (json(first.path()), json(&fixture("llama-lora-adapter")));
    for key in ["peft_type", "task_type", "r", "target_modules", "bias", "use_dora", "use_rslora"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    for key in ["lora_alpha", "lora_dropout"] {
        assert_eq!(ours[key].as_f64(), theirs[key].as_f64(), "{key}");
    }
    assert_eq!(ours["base_model_name_or_path"], "base");
}

/// Reads the fixture's adapter after a change to its tensors and to its configuration.
fn read_changed(
    change: impl FnOnce(&mut Vec<(String, Vec<usize>, TensorValues)>),
    settings: &[(&str, Value)],
) -> Result<LoraAdapter, ModelError> {
    let original = fixture("llama-lora-adapter");
    let folder = tempfile::tempdir().unwrap();
    let mut all = tensors(&original);
    change(&mut all);
    write_safetensors(&folder.path().join(WEIGHTS), &all, &BTreeMap::new()).unwrap();
    let bytes = std::fs::read(original.join(CONFIG)).unwrap();
    let mut config: Value = serde_json::from_slice(&bytes).unwrap();
    for (key, value) in settings {
        config[*key] = value.clone();
    }
    std::fs::write(folder.path().join(CONFIG), config.to_string()).unwrap();
    LoraAdapter::read_peft(folder.path(), &golden().fact("config"), &Placement::cpu())
}

/// The message of the error; reading must not have worked.
fn refused(result: Result<LoraAdapter, ModelError>) -> String {
    result.expect_err("the adapter must be refused").to_string()
}

#[test]
fn names_of_a_live_model_are_accepted() {
    let live = read_changed(
        |all| {
            for (name, _, _) in all {
                *name = name.replace(".weight", ".default.weight");
            }
        },
        &[],
    );
    let config: LlamaConfig = golden().fact("config");
    let mut saved = adapter(&config, &Placement::cpu());
    let mut live = live.unwrap();
    for ((name, live), (_, saved)) in live.parameters().iter().zip(saved.parameters()) {
        assert_eq!(live.values(), saved.values(), "{name}");
    }
}

#[test]
fn missing_extra_and_misshapen_tensors_are_named() {
    let gone = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";
    let message = refused(read_changed(|all| all.retain(|(name, _, _)| name != gone), &[]));
    assert!(message.contains(&format!("no tensor `{gone}`")), "{message}");

    let extra = "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight";
    let add = |all: &mut Vec<_>| {
        all.push((extra.to_owned(), vec![4, 48], TensorValues::F32(vec![0.5; 4 * 48])));
    };
    let message = refused(read_changed(add, &[]));
    assert!(message.contains("1 tensor(s)") && message.contains(extra), "{message}");

    // One target fewer leaves its tensors without a place, one rank more asks for other shapes.
    let message = refused(read_changed(|_| {}, &[("target_modules", json!(["q_proj"]))]));
    assert!(message.contains("6 tensor(s)") && message.contains("v_proj.lora_A"), "{message}");
    let message = refused(read_changed(|_| {}, &[("r", json!(5))]));
    assert!(message.contains("[4, 48]") && message.contains("[5, 48]"), "{message}");
}

#[test]
fn kinds_of_adapters_that_compute_something_else_are_refused() {
    let cases = [
        ("peft_type", json!("IA3"), "IA3"),
        ("use_rslora", json!(true), "rank-stabilised"),
        ("use_dora", json!(true), "weight-decomposed"),
        ("bias", json!("all"), "biases"),
        ("rank_pattern", json!({"q_proj": 8}), "layer to layer"),
        ("alpha_pattern", json!({"q_proj": 8}), "layer to layer"),
        ("target_modules", json!(["q_proj", "c_attn"]), "c_attn"),
        ("r", json!(0), "rank 0"),
        ("alora_invocation_tokens", json!([5, 6]), "invocation"),
    ];
    for (key, value, expected) in cases {
        let message = refused(read_changed(|_| {}, &[(key, value)]));
        let names_file = message.contains(CONFIG);
        assert!(names_file && message.contains(expected), "{key}: {message}");
    }
}
