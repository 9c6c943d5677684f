use pefomed_model::adapter::Site;
use serde_json::json;

use super::*;

/// PeFoMed itself, by its published sizes; DINOv2's shape stands in for EVA's width and depth.
fn pefomed() -> Sizes {
    let decoder = json!({
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32000,
    });
    let vision = json!({
        "model_type": "dinov2", "hidden_size": 1408, "num_hidden_layers": 39,
        "num_attention_heads": 16, "image_size": 448, "patch_size": 14,
    });
    Sizes {
        vision: serde_json::from_value(vision).unwrap(),
        decoder: serde_json::from_value(decoder).unwrap(),
        lora: LoraConfig { rank: 64, alpha: 16.0, dropout: 0.05, targets: vec![Site::Q, Site::V] },
        image_size: 448,
        merge: 4,
        visual_tokens: 256,
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
