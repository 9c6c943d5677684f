use pefomed_kernels::frozen::Precision;
use pefomed_model::adapter::Site;
use serde_json::json;

use super::*;

/// PeFoMed itself, by its published sizes.
fn pefomed() -> Sizes {
    let decoder = json!({
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32000,
    });
    let vision = json!({"model_type": "eva_vit_g"});
    Sizes {
        vision: VisionConfig::from_value(std::path::Path::new(""), vision).unwrap(),
        decoder: serde_json::from_value(decoder).unwrap(),
        projector: ProjectorKind::Linear,
        lora: LoraConfig { rank: 64, alpha: 16.0, dropout: 0.05, targets: vec![Site::Q, Site::V] },
        image_size: 448,
        merge: 4,
        visual_tokens: 256,
        precision: BasePrecision::Float32,
        checkpointing: false,
    }
}

fn stage(text: &str) -> Stage {
    let text = format!("name = 'a'\ndata = ['a']\nsteps = 1\nlearning_rate = 1e-3\n{text}");
    toml::from_str(&text).unwrap()
}

#[test]
fn pefomed_trains_56_million_numbers() {
    let sizes = pefomed();
    let lora = sizes.lora.parameter_count(&sizes.decoder);
    assert_eq!((sizes.projector_count(), lora), (23_072_768, 33_554_432));
    assert_eq!(sizes.projector_count() + lora, 56_627_200);
    // 256 tokens of 5,632 numbers.
    assert_eq!(sizes.feature_bytes(1), 256 * 5632 * 4);
}

/// Worked by hand for a decoder of one layer.
#[test]
fn the_list_of_what_a_layer_keeps_adds_up() {
    let decoder = json!({
        "model_type": "llama", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "vocab_size": 10,
    });
    let mut sizes = pefomed();
    sizes.decoder = serde_json::from_value(decoder).unwrap();
    sizes.lora.rank = 3;
    let batch = MicroBatch { positions: 5, pairs: 13, visual: 0, targets: 2 };
    // A position: 2·(8 + 1) + 2·(8 + 4) + 2 + 2·16 = 76, and 3 for each of two adapted projections;
    // last norm 5·8; loss 2·10. Then the larger of 4·2·10 and the layer's own 5·(48 + 24).
    assert_eq!(batch.activation_bytes(&sizes), (5 * (76 + 2 * 3) + 40 + 20 + 360) * 4);
}

#[test]
fn seven_billion_parameters_take_four_operations_a_position() {
    let sizes = pefomed();
    let batch = MicroBatch { positions: 100, pairs: 0, visual: 0, targets: 0 };
    let frozen = decoder_flop(&sizes, &stage("train_adapter = false"), &batch);
    // 32 layers of 4·4096² + 3·4096·11008 numbers, and 4 operations for the adapter as well.
    let body = 32.0 * (4.0 * 4096.0 * 4096.0 + 3.0 * 4096.0 * 11008.0);
    assert_eq!(frozen, 4.0 * 100.0 * (body + 33_554_432.0));
    let answer = MicroBatch { targets: 1, ..MicroBatch::default() };
    assert_eq!(decoder_flop(&sizes, &stage(""), &answer), 4.0 * 4096.0 * 32000.0);
    // The encoder of this size needs about 2.2 T operations an image.
    let vision = vision_flop(&sizes);
    assert!((2.0e12..2.6e12).contains(&vision), "{vision:e}");
}

#[test]
fn seven_billion_parameters_take_half_in_bf16_and_a_seventh_in_4_bits() {
    let sizes = pefomed();
    let stages = [assumed_plan(&sizes, &stage("token_budget = 512"))];
    assert_eq!(stages[0].largest_micro_batch, 512);
    let memory = Memory::new(&sizes, &stages, 0, 1, 32_000, 0);
    let choices = weights::choices(&sizes, &stages, &memory);
    // 32 layers of 4·4096² + 3·4096·11008 numbers, head and embedding table; the rest is in float32.
    let matrices = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008) + 2 * 32_000 * 4096;
    let rest = 4 * ((2 * 32 + 1) * 4096 + sizes.vision.parameter_count());
    // A layer in float32, and gate and up once more, are left by packing.
    let layer = 4 * (4 * 4096 * 4096 + 5 * 4096 * 11008);
    assert_eq!(memory.loading, layer);
    assert_eq!(memory.peak, choices[0].peak);
    let kept = matrices * 2;
    // Beside a decoder that is multiplied in bf16 the encoder's 39 blocks of 4·1408² + 2·1408·6144 numbers are
    // so too.
    let blocks = 2 * 39 * (4 * 1408 * 1408 + 2 * 1408 * 6144);
    let less = if Precision::fastest() == Precision::Bf16 { blocks } else { 0 };
    let saved = kept + layer + less;
    assert_eq!(choices[0].peak - choices[4].peak, saved, "stored weights are not packed");
    let weights: Vec<usize> = choices.iter().map(|choice| choice.frozen_weights).collect();
    let [float, half, four] = [matrices * 4, matrices * 2, matrices * 5 / 8].map(|m| m + rest);
    let (packed, half, four) = (float - blocks, half - less, four - less);
    assert_eq!(weights, [float, float, packed, packed, half, half, four, four]);
    for pair in choices.chunks(2) {
        assert!(pair[1].activations < pair[0].activations / 4, "{pair:?}");
        // A twentieth of what comes and goes is lost between blocks.
        let less = pair[0].activations - pair[1].activations;
        assert!((pair[0].peak - pair[1].peak).abs_diff(less + less / 20) <= 1, "{pair:?}");
    }
}

#[test]
fn a_recipe_without_data_and_tokenizer_is_planned_and_says_so() {
    let recipe =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes/pefomed-llama2-7b-vqa-rad.toml");
    let nowhere = "data.vqa-rad.path=/nowhere/vqa-rad".to_owned();
    let recipe = Recipe::read(std::path::Path::new(recipe), &[nowhere]).unwrap();
    let plan = Plan::new(&recipe, 1).unwrap();
    let trainable: usize = plan.parameters.iter().map(|part| part.trainable).sum();
    assert_eq!(trainable, 56_627_200);
    assert_eq!(plan.visual_tokens, 256);
    assert_eq!(plan.missing.len(), 2, "{:?}", plan.missing);
    assert!(plan.missing_start.is_some());
    let text = plan.to_text();
    for part in [
        "56,627,200",
        "/nowhere/vqa-rad",
        "the tokenizer of",
        "tokens not counted",
        "to start from",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

/// Steps, batch, and the learning rate's peak, end and start of every stage that the paper has.
#[test]
fn the_recipes_of_the_paper_have_its_numbers_and_are_planned_without_weights_and_data() {
    let vqa = (5000, 1, [1e-5, 1e-6, 1e-6], 100);
    let paper = [
        ("alignment", (5000, 100, [1e-5, 1e-6, 1e-6], 1000)),
        ("vqa-rad", vqa),
        ("slake", vqa),
        ("path-vqa", vqa),
        ("iu-xray", (400, 1, [3e-5, 1e-5, 1e-6], 100)),
    ];
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes"));
    for (name, (steps, batch, rates, warmup)) in paper {
        let path = folder.join(format!("pefomed-llama2-7b-{name}.toml"));
        let mut recipe = Recipe::read(&path, &[]).unwrap();
        let [stage] = &recipe.stages[..] else { panic!("{name}: {:?}", recipe.stages) };
        assert_eq!((stage.length, stage.batch), (Length::Steps(steps), batch), "{name}");
        let own = [stage.learning_rate, stage.final_learning_rate, stage.warmup_learning_rate];
        assert_eq!((own, stage.warmup_steps), (rates, warmup), "{name}");
        assert_eq!((stage.weight_decay, stage.beta1, stage.beta2), (0.05, 0.9, 0.999), "{name}");
        // Only the alignment starts from nothing; every other one from it.
        assert_eq!(recipe.adapter.start.is_none(), name == "alignment");
        for data in recipe.data.values_mut() {
            data.path = "/nowhere".into();
        }
        let plan = Plan::new(&recipe, 1).unwrap();
        assert_eq!(plan.parameters[2].trainable + plan.parameters[3].trainable, 56_627_200);
        assert_eq!(plan.missing.len(), recipe.data.len() + 1, "{name}: {:?}", plan.missing);
        assert_eq!(plan.stages[0].steps, steps);
    }
}

#[test]
fn every_shipped_recipe_can_be_read() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes"));
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What makes the tiny base is a recipe of another kind.
        let is_recipe = path.extension().is_some_and(|extension| extension == "toml");
        if !is_recipe || path.ends_with("tiny-base.toml") {
            continue;
        }
        let recipe = Recipe::read(&path, &[]).unwrap();
        let again = Recipe::from_str(&recipe.to_toml().unwrap(), folder).unwrap();
        assert_eq!(again, recipe, "{}", path.display());
        read += 1;
    }
    assert!(read >= 8, "{read}");
}

/// A stage that changes its images has no cache, and encodes in its steps.
#[test]
fn a_stage_that_changes_its_images_encodes_them_in_its_steps() {
    let sizes = pefomed();
    let kept = assumed_plan(&sizes, &stage("token_budget = 300"));
    let changed = assumed_plan(&sizes, &stage("token_budget = 300\naugment = { crop = 0.8 }"));
    assert_eq!((kept.encoded_in_a_step, changed.encoded_in_a_step), (0, 1));
    assert_eq!(changed.flop_per_step - kept.flop_per_step, vision_flop(&sizes));
    let memory = |plan: StagePlan, images| Memory::new(&sizes, &[plan], images, 2, 0, 0);
    let (kept, changed) = (memory(kept, 1000), memory(changed, 0));
    assert!(kept.features_on_disk > 0);
    assert_eq!((changed.features_in_memory, changed.features_on_disk), (0, 0));
    assert!(changed.encoding > 0);
    assert_eq!(changed.peak - kept.peak, sizes.feature_bytes(1));
}
