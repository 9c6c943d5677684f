//! A decoder whose weights stay in the bytes of their file answers as one that unpacked them.

mod common;

use std::fs;
use std::path::Path;

use common::{distance, shared, single, text, values};
use pefomed_data::PackedBatch;
use pefomed_data::prompt::Template;
use pefomed_kernels::frozen::Precision;
use pefomed_model::base::{self, ModelFiles};
use pefomed_model::parameters::Placement;

/// Logits of a few tokens, with the weights packed and with the weights as they are stored; and the
/// bytes that each holds.
fn both(files: &ModelFiles, template: Template) -> ([Vec<f64>; 2], [usize; 2]) {
    let place = Placement::cpu();
    let precision = Precision::fastest();
    let packed = base::load_packed_decoder(files, None, template, &place, precision);
    let packed = packed.unwrap().decoder;
    let stored = base::load_stored_decoder(files, None, template, &place).unwrap().decoder;
    let bytes = [&packed, &stored].map(|decoder| decoder.packed_bytes().unwrap());
    let tokens: Vec<u32> = (0..40).map(|i| (i * 37 + 11) % 500).collect();
    let logits = [packed, stored].map(|decoder| {
        let batch = PackedBatch::new([&single(1, text(&tokens), &[])]);
        let layout = decoder.batch(&batch, None);
        let hidden = decoder.forward(decoder.embed(&tokens), &layout, None, None);
        values(decoder.logits(hidden))
    });
    (logits, bytes)
}

#[test]
fn half_precision_weights_of_the_embedded_base() {
    let files = ModelFiles::embedded_decoder("tiny").unwrap();
    let ([packed, stored], [packed_bytes, stored_bytes]) = both(&files, Template::Inst);
    let largest = packed.iter().fold(0.0_f64, |most, logit| most.max(logit.abs()));
    // The same products; sums over slabs of a weight come in another order.
    assert!(distance(&packed, &stored) <= 1e-5 * largest, "{}", distance(&packed, &stored));
    assert!(stored_bytes * 2 <= packed_bytes, "{stored_bytes} {packed_bytes}");
}

#[test]
fn quantized_weights_of_a_gguf_file() {
    let Some(path) = shared("models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf") else {
        return;
    };
    let files = ModelFiles::at(&path).unwrap();
    let ([packed, stored], [packed_bytes, stored_bytes]) = both(&files, Template::Chatml);
    let largest = packed.iter().fold(0.0_f64, |most, logit| most.max(logit.abs()));
    assert!(distance(&packed, &stored) <= 1e-4 * largest, "{}", distance(&packed, &stored));
    assert!(stored_bytes * 5 < packed_bytes, "{stored_bytes} {packed_bytes}");
}

#[test]
fn a_missing_head_is_never_replaced_by_the_table() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/tiny-base/decoder");
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&assets).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join("config.json");
    let config = fs::read_to_string(&path).unwrap();
    let untied = config.replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    assert_ne!(config, untied);
    fs::write(&path, untied).unwrap();
    let files = ModelFiles::at(folder.path()).unwrap();
    let (place, precision) = (Placement::cpu(), Precision::fastest());
    for loaded in [
        base::load_decoder(&files, None, Template::Inst, &place),
        base::load_packed_decoder(&files, None, Template::Inst, &place, precision),
        base::load_stored_decoder(&files, None, Template::Inst, &place),
    ] {
        let message = loaded.err().unwrap().to_string();
        assert!(message.contains("no tensor `lm_head.weight`"), "{message}");
    }
}
