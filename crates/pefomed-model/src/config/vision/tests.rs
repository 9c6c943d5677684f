use serde_json::json;

use super::*;

fn read(value: Value) -> Result<VisionConfig, ModelError> {
    VisionConfig::from_value(Path::new("config.json"), value)
}

fn eva() -> VisionConfig {
    read(json!({"model_type": "eva_vit_g"})).unwrap()
}

#[test]
fn eva_has_a_billion_parameters_and_256_tokens() {
    let eva = eva();
    // Embeddings 1408·(257 + 1 + 588 + 1); a block 4·1408² + 3·1408 + 2·1408·6144 + 6144 + 1408 +
    // 4·1408; ln_vision 2·1408.
    let block = 4 * 1408 * 1408 + 3 * 1408 + 2 * 1408 * 6144 + 6144 + 1408 + 4 * 1408;
    assert_eq!(eva.parameter_count(), 1408 * (257 + 1 + 588 + 1) + 39 * block + 2 * 1408);
    let tokens = |merge, keep_class| {
        eva.visual_tokens(448, merge, FeatureSelection { layer: None, keep_class })
    };
    assert_eq!(tokens(4, false).unwrap(), 256);
    assert_eq!(tokens(1, true).unwrap(), 1025);
    let message = tokens(4, true).unwrap_err().to_string();
    assert!(message.contains("class token") && message.contains("merge = 1"), "{message}");
    assert!(tokens(3, false).is_err() && tokens(0, false).is_err());
}

#[test]
fn the_vision_half_of_a_pair_is_found() {
    let large = json!({"model_type": "clip", "text_config": {}, "vision_config": {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
        "num_attention_heads": 16, "image_size": 336, "patch_size": 14}});
    let clip = read(large).unwrap();
    let tokens = clip.visual_tokens(336, 1, FeatureSelection::default());
    assert_eq!((clip.width(), tokens.unwrap()), (1024, 576));
    // SigLIP's base leaves everything to the defaults.
    let base = read(json!({"model_type": "siglip", "vision_config": {}})).unwrap();
    assert_eq!((base.width(), base.layers(), base.patch_size()), (768, 12, 16));
    let so400m = json!({"model_type": "siglip_vision_model", "image_size": 384, "patch_size": 14,
        "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
        "num_attention_heads": 16});
    assert_eq!(read(so400m).unwrap().grid(384).unwrap(), 27);
}

#[test]
fn layers_are_counted_from_either_end() {
    let depth =
        |config: &VisionConfig, layer| config.depth(FeatureSelection { layer, keep_class: false });
    let clip = VisionConfig::Clip(ClipConfig::default());
    assert_eq!(depth(&clip, None).unwrap(), (11, false));
    assert_eq!(depth(&clip, Some(-2)).unwrap(), (11, false));
    assert_eq!(depth(&clip, Some(-1)).unwrap(), (12, false));
    assert_eq!(depth(&clip, Some(12)).unwrap(), (12, false));
    assert_eq!(depth(&clip, Some(0)).unwrap(), (0, false));
    assert_eq!(depth(&eva(), None).unwrap(), (39, true));
    assert_eq!(depth(&eva(), Some(-2)).unwrap(), (38, true));
    let siglip = VisionConfig::Siglip(SiglipConfig::default());
    assert_eq!(depth(&siglip, None).unwrap(), (12, true));
    for layer in [13, -14, i32::MIN, i32::MAX] {
        let message = depth(&clip, Some(layer)).unwrap_err().to_string();
        assert!(message.contains("12 layers"), "{message}");
    }
    let kept = FeatureSelection { layer: None, keep_class: true };
    assert!(siglip.depth(kept).unwrap_err().to_string().contains("class token"));
}

#[test]
fn what_would_change_the_features_is_refused_by_name() {
    let giant = json!({"model_type": "dinov2", "hidden_size": 1536, "num_hidden_layers": 40,
        "num_attention_heads": 24, "image_size": 518, "patch_size": 14, "use_swiglu_ffn": true});
    assert_eq!(read(giant).unwrap().feed_forward_width(), 4096);
    for (value, part) in [
        (json!({"model_type": "vit"}), "`vit`"),
        (json!({"model_type": "clip"}), "`vision_config`"),
        (json!({"model_type": "clip_vision_model", "hidden_act": "relu"}), "`relu`"),
        (json!({"model_type": "clip_vision_model", "num_channels": 1}), "3 channels"),
        (json!({"model_type": "siglip_vision_model", "hidden_act": "quick_gelu"}), "`quick_gelu`"),
        (json!({"model_type": "eva_vit_g", "num_attention_heads": 7}), "over 7 heads"),
        (json!({"model_type": "eva_vit_g", "patch_size": 0}), "patch 0"),
        (json!({"model_type": "eva_vit_g", "mlp_ratio": 4}), "`mlp_ratio`"),
        (json!({"model_type": "clip_vision_model", "num_hidden_layers": 0}), "without layers"),
        (json!({}), "`model_type`"),
    ] {
        let message = read(value).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("config.json"), "{message}");
    }
}
